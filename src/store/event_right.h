/*
 * event_right.h
 *	  Whether a role has a right to one event, of a pattern and a tenant.
 */
#ifndef EE_EVENT_RIGHT_H
#define EE_EVENT_RIGHT_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "registry/event_grant.h"

/* To an event of this pattern with these metadata.  Needs a transaction. */
extern bool ee_event_right(Oid role, EePrivilege privilege,
						   const char *pattern, int len, Jsonb *metadata);

#endif							/* EE_EVENT_RIGHT_H */
