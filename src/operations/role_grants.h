/*
 * role_grants.h
 *	  Grants of roles that are no more.
 */
#ifndef EE_ROLE_GRANTS_H
#define EE_ROLE_GRANTS_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "operations/maintenance.h"

/* What has been granted to these roles (an Oid List), in this database, goes. */
extern void ee_role_grants_drop(List *roles);

/* The same of roles that were dropped out of sight. */
extern void ee_role_grants_sweep(const EeUnit *unit);

#endif							/* EE_ROLE_GRANTS_H */
