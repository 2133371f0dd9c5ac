/*
 * routing_cache.h
 *	  What this backend knows of the subscriptions, and whom a pattern
 *	  reaches.
 */
#ifndef EE_ROUTING_CACHE_H
#define EE_ROUTING_CACHE_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "routing/subscription.h"

/*
 * All subscriptions (List of EeSubscription *), in order of number, of
 * whatever status.  Good until the transaction ends, and not to be changed.
 * Needs a transaction.
 */
extern List *ee_routing_cache_all(void);

/* One of them; raises an error where there is none, unless missing_ok. */
extern EeSubscription *ee_routing_cache_by_number(int32 number,
												  bool missing_ok);
extern EeSubscription *ee_routing_cache_by_name(const char *subscriber);

/*
 * Those that may want an event of this pattern, going by its name: in order
 * of number, in CurrentMemoryContext, the elements as above.  The cost does
 * not grow with the number of subscriptions that do not want it, except for
 * those that use regular expressions.
 */
extern List *ee_routing_cache_lookup(const char *pattern, int len);

/*
 * The same for an event, going by the values as well that filters demand: the
 * cost does not grow with the number of subscriptions that demand others.
 */
extern List *ee_routing_cache_candidates(const EeEvent *event);

#endif							/* EE_ROUTING_CACHE_H */
