/*
 * timer.h
 *	  What a dispatcher has to do by the clock.
 */
#ifndef EE_TIMER_H
#define EE_TIMER_H

#include "postgres.h"

#include "delivery/unit.h"

/*
 * Take the steps that are due: first ones, those to be tried again, those
 * whose wait is over without an event, and end what is past its deadline.
 */
extern EeRound ee_timer_round(EeDelivery *delivery, const EeUnit *unit,
							  int max);

#endif							/* EE_TIMER_H */
