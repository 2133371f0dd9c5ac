/*
 * event_grant.h
 *	  Which events a role may publish, subscribe to and read.
 */
#ifndef EE_EVENT_GRANT_H
#define EE_EVENT_GRANT_H

#include "postgres.h"

#include "ground/invalidate.h"

/* What can be granted, in the order of the labels in event_grant.c. */
typedef enum EePrivilege
{
	EE_PRIVILEGE_PUBLISH,
	EE_PRIVILEGE_SUBSCRIBE,
	EE_PRIVILEGE_READ,
	EE_PRIVILEGE_UNSEAL
} EePrivilege;

#define EE_N_PRIVILEGES	(EE_PRIVILEGE_UNSEAL + 1)

/* Of a pattern: events of every tenant, or of those named; maybe of none. */
typedef struct EeGranted
{
	bool		all;
	int			n_tenants;		/* 0 where all */
	char	  **tenants;		/* in order, each once */
} EeGranted;

/*
 * What a role has been granted, itself or through roles whose privileges it
 * has; superusers and the extension's owner everything.  The result is good
 * until the transaction ends.  Needs a transaction.
 */
extern const EeGranted *ee_event_grant_lookup(Oid role, EePrivilege privilege,
											  const char *pattern, int len);

/* Has a role been granted it for any event? */
extern bool ee_event_grant_any(Oid role, EePrivilege privilege);

/*
 * What is looked up where the extension has yet to be updated to a version
 * that grants by event: everything, not to be remembered.
 */
extern const EeGranted ee_event_grant_unasked;

/* Whether an event of this tenant, or (NULL) of none, is among it. */
extern bool ee_event_grant_includes(const EeGranted *granted,
									const char *tenant, int len);

/* Its tenants, as people read them: "acme", "globex". */
extern char *ee_event_grant_tenants(const EeGranted *granted);

/*
 * Moves when grants, or who has whose privileges, have changed; never 0.
 * What was looked up under another one must be looked up again.
 */
static inline uint64
ee_event_grant_generation(void)
{
	return ee_invalidate_generation(EE_REL_EVENT_GRANTS);
}

#endif							/* EE_EVENT_GRANT_H */
