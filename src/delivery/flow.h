/*
 * flow.h
 *	  Rounds of delivery, within what a subscription's limits allow.
 */
#ifndef EE_FLOW_H
#define EE_FLOW_H

#include "postgres.h"

#include "delivery/unit.h"

/* As ee_round_deliver() and ee_retry_round(), which these call. */
extern EeRound ee_flow_deliver(EeDelivery *delivery, const EeUnit *unit,
							   int max);
extern EeRound ee_flow_retry(EeDelivery *delivery, const EeUnit *unit,
							 int max);

#endif							/* EE_FLOW_H */
