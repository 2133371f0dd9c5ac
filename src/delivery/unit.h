/*
 * unit.h
 *	  A unit of delivery, and whose rights and settings hold in it.
 */
#ifndef EE_UNIT_H
#define EE_UNIT_H

#include "postgres.h"

#include "utils/elog.h"

#include "delivery/batch.h"
#include "ground/identity.h"

/*
 * How a unit of work begins and ends: a transaction in a worker, a
 * subtransaction in somebody's session.
 */
typedef struct EeUnit
{
	void		(*begin) (void);
	void		(*commit) (void);
	void		(*abort) (void);
	bool		in_session;		/* become the owner for the handler */
	bool		(*urgent) (EePriority class);	/* has more urgent news come?
												 * NULL: nobody can tell */
} EeUnit;

typedef enum EeRoundOutcome
{
	EE_ROUND_IDLE,				/* nothing to do */
	EE_ROUND_DONE,				/* some work, committed */
	EE_ROUND_FAILED,			/* a failure, dealt with */
	EE_ROUND_LOCKED,			/* somebody else is at it */
	EE_ROUND_HELD,				/* its limits allow none for now: flow.h */
	EE_ROUND_STALE				/* the subscription has changed: read it again */
} EeRoundOutcome;

typedef struct EeRound
{
	EeRoundOutcome outcome;
	int			delivered;		/* events handled with success */
	int			failed;
} EeRound;

/*
 * What a unit does.  The names are those of its debug points.
 *
 *	run		true if handlers were called: then what they have deferred to the
 *			commit is their work as well, within their time-out
 */
typedef struct EeUnitWork
{
	bool		(*run) (EeDelivery *delivery, const EeUnit *unit, int max,
						void *progress);
	const char *before_commit;
	const char *after_abort;
} EeUnitWork;

/*
 * Begin a unit, do the work, commit; or abort it and return the error, which
 * lives until it is forgotten.  NULL when it has committed.
 *
 *	committing	set once the work is done
 */
extern ErrorData *ee_unit_run(EeDelivery *delivery, const EeUnit *unit,
							  const EeUnitWork *work, int max,
							  void *progress, bool *committing);

/*
 * Take the lane's lock in a unit that has begun; false, with the
 * outcome LOCKED or STALE, when there is nothing to be done in it.
 */
extern bool ee_unit_enter(EeDelivery *delivery, EeRoundOutcome *outcome);

/* Around a handler. */
extern void ee_unit_act_as_owner(EeDelivery *delivery, const EeUnit *unit,
								 EeIdentity *saved);
extern void ee_unit_act_as_before(const EeUnit *unit,
								  const EeIdentity *saved);

/*
 * In PG_CATCH: a copy of the error, which lives as long as the delivery or
 * until it is forgotten.
 */
extern ErrorData *ee_unit_take_error(EeDelivery *delivery);
extern void ee_unit_forget_error(ErrorData *error);

/* After the abort: raise the error again where it is the session's matter. */
extern void ee_unit_heed_cancel(const EeUnit *unit, ErrorData *error);

/*
 * The subscription cannot be delivered at all.  When its handler is gone or
 * may not be called it waits for a person; anything else is not its fault
 * and is raised.
 */
extern void ee_unit_give_up(EeDelivery *delivery, const EeUnit *unit,
							ErrorData *error);

#endif							/* EE_UNIT_H */
