/*
 * retry_round.h
 *	  One round for what is due again.
 */
#ifndef EE_RETRY_ROUND_H
#define EE_RETRY_ROUND_H

#include "postgres.h"

#include "delivery/round.h"

/* Deliver events that are due again, at most max. */
extern EeRound ee_retry_round(EeDelivery *delivery, const EeUnit *unit,
							  int max);

#endif							/* EE_RETRY_ROUND_H */
