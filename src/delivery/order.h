/*
 * order.h
 *	  The order of events of one key, where some of them fail.
 *
 * In an ordered subscription an event that failed holds up the later ones of
 * its partition key: they are parked in deliveries and follow when it is done
 * with.  A key is held up as long as it has a row there.
 */
#ifndef EE_ORDER_H
#define EE_ORDER_H

#include "postgres.h"

#include "executor/tuptable.h"

#include "delivery/batch.h"
#include "delivery/retry.h"

/* Does the lane keep the events of a key in order? */
static inline bool
ee_order_kept(const EeDelivery *delivery)
{
	return delivery->subscription->ordered &&
		delivery->lane.class == EE_PRIORITY_NORMAL;
}

/*
 * Know which keys are held up, in a unit that has the lane's lock; nothing
 * where no order is kept.
 */
extern void ee_order_enter(EeDelivery *delivery);

/* The unit was rolled back: what is known may be wrong. */
extern void ee_order_forget(EeDelivery *delivery);

/* The key of an event that has a place in the order, palloc'd; or NULL. */
extern text *ee_order_key(const EeDelivery *delivery, TupleTableSlot *slot);

/* Is that key held up?  None is NULL.  Is any? */
extern bool ee_order_holds(const EeDelivery *delivery, const text *key);
extern bool ee_order_holds_any(const EeDelivery *delivery);

/* From now on it is; or no longer. */
extern void ee_order_block(EeDelivery *delivery, const text *key);
extern void ee_order_free(EeDelivery *delivery, const text *key);

/* Write down events that have to wait for earlier ones of their keys. */
extern void ee_order_park(EeDelivery *delivery, Datum *events, int n);

/*
 * Put behind each of n events, which are due, those that follow it, at most
 * max for each; due has room.  Sets chain and, for heads, followers.
 * Returns how many they are together.
 */
extern int	ee_order_follow(EeDelivery *delivery, EeDue *due, int n, int max);

/*
 * What held up these keys is done with: the next of each, if it is parked, is
 * due; a key without one is free.
 */
extern void ee_order_advance(EeDelivery *delivery, text **keys, int n);

#endif							/* EE_ORDER_H */
