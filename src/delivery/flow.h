/*
 * flow.h
 *	  Rounds of delivery, within what a subscription's limits allow: its
 *	  rate, its events in flight, its circuit breaker.
 */
#ifndef EE_FLOW_H
#define EE_FLOW_H

#include "postgres.h"

#include "delivery/unit.h"

/*
 * As ee_round_deliver() and ee_retry_round(), which these call with what is
 * allowed of max.  Where that is nothing the outcome is HELD, and the
 * delivery's held_until says when to ask again.
 */
extern EeRound ee_flow_deliver(EeDelivery *delivery, const EeUnit *unit,
							   int max);
extern EeRound ee_flow_retry(EeDelivery *delivery, const EeUnit *unit,
							 int max);

/* The delivery's cursor has moved, or was read. */
extern void ee_flow_note_position(const EeDelivery *delivery);

static inline bool
ee_flow_is_held(const EeDelivery *delivery, TimestampTz now)
{
	return delivery->held_until > now;
}

#endif							/* EE_FLOW_H */
