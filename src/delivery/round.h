/*
 * round.h
 *	  One round of delivery for one lane of a subscription: what a worker's loop and
 *	  process_batch() have in common.
 */
#ifndef EE_ROUND_H
#define EE_ROUND_H

#include "postgres.h"

#include "delivery/batch.h"
#include "delivery/unit.h"

/*
 * Make what a worker keeps of a lane of class normal, in a context of its
 * own.  The generation is that of EE_REL_SUBSCRIPTIONS before the
 * subscription was read; the subscription itself stays with the caller.
 */
extern EeDelivery *ee_round_delivery(const EeSubscription *subscription,
									 int index, uint64 generation,
									 MemoryContext parent);

/* Which registered patterns it wants. */
extern void ee_round_expand(EeDelivery *delivery);

/* News have come: is there something to be read, or to be done by the clock? */
extern void ee_round_told(EeDelivery *delivery, const EePatternSet *news);

/*
 * The lane of another class beside one that is expanded, whose patterns it
 * shares; NULL when there is none.
 */
extern EeDelivery *ee_round_beside(EeDelivery *base, EePriority class,
								   MemoryContext parent);

/*
 * What is done with a subscription's events, by its kind, where a room above
 * this one does it: new events, and what is due by the clock.  deliver keeps
 * the delivery's behind, due its next_due.
 */
typedef struct EeRoundCalls
{
	EeRound		(*deliver) (EeDelivery *delivery, const EeUnit *unit, int max);
	EeRound		(*due) (EeDelivery *delivery, const EeUnit *unit, int max);
} EeRoundCalls;

/* Once, when the library is loaded. */
extern void ee_round_register(EeSubscriptionKind kind,
							  const EeRoundCalls *calls);

/* NULL: delivery's own. */
extern const EeRoundCalls *ee_round_calls(EeSubscriptionKind kind);

/* Deliver a batch of new events, at most max. */
extern EeRound ee_round_deliver(EeDelivery *delivery, const EeUnit *unit,
								int max);

#endif							/* EE_ROUND_H */
