/*
 * lane_list.h
 *	  What an executor asks of all its lanes, which are lists of EeDelivery,
 *	  one for each class.
 */
#ifndef EE_LANE_LIST_H
#define EE_LANE_LIST_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "delivery/batch.h"

/* Is it to be delivered by this process, at this moment? */
typedef bool (*EeLaneTest) (const EeDelivery *delivery);

/* Is there one that somebody else has locked, or that is held? */
extern bool ee_lane_list_behind(List *const *lanes, EeLaneTest ours);

/* When the next retry of one is due; DT_NOEND: there is none. */
extern TimestampTz ee_lane_list_due(List *const *lanes);

/* When there is something to do that limits allow; what is locked is ready. */
extern TimestampTz ee_lane_list_ready(List *const *lanes, EeLaneTest ours);

/* Those of a member of the role are to look at all that there may be. */
extern void ee_lane_list_mark(List *const *lanes, int member);

/* Of sparse subscriptions (sparse.h) so many stay with nothing to do. */
extern void ee_lane_list_sleep(List **lanes, int keep);

/*
 * What a batch may take of the time, in ms, as all that are ready share what
 * one would have: so a turn of all takes no longer than a batch of one.
 */
extern int	ee_lane_list_slice(List *of_class,
							   bool (*is_ready) (const EeDelivery *delivery,
												 TimestampTz now));

#endif							/* EE_LANE_LIST_H */
