/*
 * group.h
 *	  Call the handler within a transaction that outlives its failures: in
 *	  groups of events, each group a subtransaction.
 */
#ifndef EE_GROUP_H
#define EE_GROUP_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/elog.h"

#include "delivery/batch.h"
#include "delivery/handler.h"
#include "delivery/retry.h"
#include "delivery/unit.h"

/* No group is larger. */
#define EE_GROUP_MAX	128

/*
 * Subtransactions of one transaction that have written and stay.  The server
 * keeps 64 of them at hand; with more, everybody's snapshots get slower.
 */
#define EE_GROUP_SUBXACTS	50

/*
 * A run of groups within a unit.  cursor counts what has failed; what is to
 * become of the others is the caller's.  Events are those of one call of
 * ee_group_run() or several.
 */
typedef struct EeGroup EeGroup;

/*
 * What is the caller's part, each outside of the subtransactions; NULL where
 * there is nothing to be done.
 *
 *	done		these have been delivered, or were released
 *	failed		this has been written down as failed; waits: it has a row
 *	held		is this to wait for one before it?
 *	hold		then this is done with it
 */
typedef struct EeGroupCalls
{
	void		(*done) (EeGroup *group, const EeDue *due, int n);
	void		(*failed) (EeGroup *group, const EeDue *due, bool waits);
	bool		(*held) (EeGroup *group, const EeDue *due);
	void		(*hold) (EeGroup *group, const EeDue *due);
} EeGroupCalls;

struct EeGroup
{
	EeDelivery *delivery;
	const EeUnit *unit;
	EeHandler  *handler;
	EeCursor   *cursor;
	EeCaution  *caution;		/* which of the delivery's */
	TimestampTz until;			/* no group begins later */
	bool		may_leave;		/* nor is one gone on with, event by event */
	bool		ask_right;		/* the owner's may have been taken back */
	const EeGroupCalls *calls;
	void	   *arg;			/* for them */

	int			delivered;		/* results */
	int			failed;
	int			subxacts;		/* that have written */
	int64		suspect;		/* to be tried alone */
	MemoryContext per_event;
};

/* Handler, caller and events must live until the run is over. */
extern void ee_group_begin(EeGroup *group, EeDelivery *delivery,
						   const EeUnit *unit, EeHandler *handler,
						   EeCursor *cursor, EeCaution *caution,
						   const EeGroupCalls *calls, void *arg);

/*
 * Hand out events in order; what fails is settled in deliveries.  Returns how
 * many were dealt with: fewer than n where the transaction should end.
 */
extern int	ee_group_run(EeGroup *group, EeDue *due, int n);

/* Is it time for the transaction to end? */
extern bool ee_group_is_full(const EeGroup *group);

extern void ee_group_end(EeGroup *group);

/* A failure outside of any group, and so many events without one. */
extern void ee_group_caution_failed(EeCaution *caution);
extern void ee_group_caution_passed(EeCaution *caution, int n);

/* How many events the next group takes. */
extern int	ee_group_size(const EeCaution *caution);

#endif							/* EE_GROUP_H */
