/*
 * round.h
 *	  One round of delivery for one subscription: what a worker's loop and
 *	  process_batch() have in common.
 */
#ifndef EE_ROUND_H
#define EE_ROUND_H

#include "postgres.h"

#include "delivery/batch.h"

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
} EeUnit;

typedef enum EeRoundOutcome
{
	EE_ROUND_IDLE,				/* nothing to do */
	EE_ROUND_DONE,				/* some work, committed */
	EE_ROUND_FAILED,			/* a failure, dealt with */
	EE_ROUND_LOCKED,			/* somebody else is at it */
	EE_ROUND_STALE				/* the subscription has changed: read it again */
} EeRoundOutcome;

typedef struct EeRound
{
	EeRoundOutcome outcome;
	int			delivered;		/* events handled with success */
	int			failed;
} EeRound;

/*
 * Make what a worker keeps of a subscription, in a context of its own.  The
 * generation is that of EE_REL_SUBSCRIPTIONS before the subscription was
 * read; the subscription itself stays with the caller.
 */
extern EeDelivery *ee_round_delivery(const EeSubscription *subscription,
									 uint64 generation, MemoryContext parent);

/* Which registered patterns it wants, after they or it have changed. */
extern void ee_round_expand(EeDelivery *delivery);

/* Deliver a batch of new events, at most max. */
extern EeRound ee_round_deliver(EeDelivery *delivery, const EeUnit *unit,
								int max);

/* Deliver one event that is due again. */
extern EeRound ee_round_retry(EeDelivery *delivery, const EeUnit *unit);

#endif							/* EE_ROUND_H */
