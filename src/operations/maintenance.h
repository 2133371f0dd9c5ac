/*
 * maintenance.h
 *	  The regular upkeep, in a worker or by hand.
 */
#ifndef EE_MAINTENANCE_H
#define EE_MAINTENANCE_H

#include "postgres.h"

#include "delivery/round.h"

/* All of it, each step in a unit of its own. */
extern void ee_maintenance_run(const EeUnit *unit);

/* Roles with deliveries that are due; count in *n. */
extern Oid *ee_maintenance_roles_due(int *n);

#endif							/* EE_MAINTENANCE_H */
