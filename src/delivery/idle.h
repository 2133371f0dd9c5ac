/*
 * idle.h
 *	  Store how far lanes have looked to which nothing was delivered.
 */
#ifndef EE_IDLE_H
#define EE_IDLE_H

#include "postgres.h"

#include "delivery/unit.h"

/*
 * Of these deliveries (List of EeDelivery *) those that have come at least so
 * far since they were stored, and that nobody else has in hand; each unit of
 * work stores some.  Returns how many.
 */
extern int	ee_idle_store(List *deliveries, int64 distance,
						  const EeUnit *unit);

#endif							/* EE_IDLE_H */
