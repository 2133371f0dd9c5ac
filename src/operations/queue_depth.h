/*
 * queue_depth.h
 *	  How many events wait for the slowest subscription, for publishers to
 *	  heed.
 */
#ifndef EE_QUEUE_DEPTH_H
#define EE_QUEUE_DEPTH_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "delivery/unit.h"

/* Is anybody to know? */
extern bool ee_queue_depth_wanted(void);

/*
 * The subscriptions (List of EeSubscription) that there are now, and the
 * names of all patterns.
 */
extern void ee_queue_depth_read(const List *subscriptions,
								const List *patterns);

/*
 * Look, and tell publishers, and the log when the queue has become long or
 * full or neither.  Returns after how many milliseconds to look again.
 */
extern long ee_queue_depth_look(const EeUnit *unit);

#endif							/* EE_QUEUE_DEPTH_H */
