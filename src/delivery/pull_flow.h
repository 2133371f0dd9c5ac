/*
 * pull_flow.h
 *	  What a pulling client may have: the limits of its subscription.
 */
#ifndef EE_PULL_FLOW_H
#define EE_PULL_FLOW_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "routing/subscription.h"

/* How many of the wanted events may be given now; they count as given. */
extern int	ee_pull_flow_take(const EeSubscription *subscription, int wanted);

/* So many were not given after all. */
extern void ee_pull_flow_put_back(const EeSubscription *subscription, int n);

/*
 * May anything be given at all?  If not, *until is when to ask again, DT_NOEND
 * where that is not a matter of time.
 */
extern bool ee_pull_flow_allows(const EeSubscription *subscription,
								TimestampTz *until);

#endif							/* EE_PULL_FLOW_H */
