/*
 * retry_round.h
 *	  One round for what is due again.
 */
#ifndef EE_RETRY_ROUND_H
#define EE_RETRY_ROUND_H

#include "postgres.h"

#include "delivery/round.h"

/* Deliver one event that is due again. */
extern EeRound ee_retry_round(EeDelivery *delivery, const EeUnit *unit);

#endif							/* EE_RETRY_ROUND_H */
