/*
 * pull_flow.h
 *	  What a pulling client may have: the limits of its subscription.
 */
#ifndef EE_PULL_FLOW_H
#define EE_PULL_FLOW_H

#include "postgres.h"

#include "routing/subscription.h"

/* How many of the wanted events may be given now; they count as given. */
extern int	ee_pull_flow_take(const EeSubscription *subscription, int wanted);

/* So many were not given after all. */
extern void ee_pull_flow_put_back(const EeSubscription *subscription, int n);

#endif							/* EE_PULL_FLOW_H */
