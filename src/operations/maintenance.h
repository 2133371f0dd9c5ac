/*
 * maintenance.h
 *	  The regular upkeep, in a worker or by hand.
 */
#ifndef EE_MAINTENANCE_H
#define EE_MAINTENANCE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "delivery/round.h"

/* All of it, each step in a unit of its own. */
extern void ee_maintenance_run(const EeUnit *unit);

typedef struct EeRoleDue
{
	Oid			roleid;
	TimestampTz due;			/* its earliest delivery to be tried (again) */
} EeRoleDue;

/* Roles with deliveries that have a time; count in *n. */
extern EeRoleDue *ee_maintenance_roles_due(int *n);

#endif							/* EE_MAINTENANCE_H */
