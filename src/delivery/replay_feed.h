/*
 * replay_feed.h
 *	  Hand past events over to delivery, as a replay asks for.
 */
#ifndef EE_REPLAY_FEED_H
#define EE_REPLAY_FEED_H

#include "postgres.h"

#include "routing/subscription.h"

/* Is a replay to this subscription running?  Cheap; needs a transaction. */
extern bool ee_replay_feed_wanted(int32 number);

/*
 * Write the next events of the replay, at most max, into deliveries, due now,
 * and move the replay behind them, in the current transaction.  Returns how
 * many; *more: it is not at its end.  Does nothing, and says that there is no
 * more, while somebody else is at it.
 */
extern int	ee_replay_feed(const EeSubscription *subscription, int max,
						   bool *more);

#endif							/* EE_REPLAY_FEED_H */
