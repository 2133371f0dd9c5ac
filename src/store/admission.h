/*
 * admission.h
 *	  May an event be published now?  The rate of its publisher, and how full
 *	  the queue is.
 */
#ifndef EE_ADMISSION_H
#define EE_ADMISSION_H

#include "postgres.h"

#include "ground/config.h"
#include "ground/envelope.h"
#include "ground/shared_publisher.h"

extern void ee_admission_wait(const EeEvent *events, int n);

/*
 * Ask for events that one call publishes, before it takes any lock: returns
 * at once, after a while, or not at all.
 */
static inline void
ee_admission_ask(const EeEvent *events, int n)
{
	if (unlikely(ee_config_store_publish_rate_limit > 0) ||
		unlikely(ee_config_store_backpressure != EE_BACKPRESSURE_OFF &&
				 ee_shared_publisher_pressure() != EE_PRESSURE_NONE))
		ee_admission_wait(events, n);
}

#endif							/* EE_ADMISSION_H */
