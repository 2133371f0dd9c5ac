/*
 * identity.h
 *	  Act as somebody else for a while.
 *
 * An error leaves no trace: the abort of the (sub)transaction restores who we
 * were.
 */
#ifndef EE_IDENTITY_H
#define EE_IDENTITY_H

#include "postgres.h"

typedef struct EeIdentity
{
	Oid			userid;
	int			sec_context;
	int			guc_level;		/* 0: settings are not scoped */
} EeIdentity;

/* As the owner of our tables, for statements of our own. */
extern void ee_identity_engine(EeIdentity *saved);

/*
 * As the owner of a handler, in a session of somebody else: restricted, and
 * settings are undone by ee_identity_restore().
 */
extern void ee_identity_handler(EeIdentity *saved, Oid owner);

extern void ee_identity_restore(const EeIdentity *saved);

/*
 * Search as the role would in a session of its own, with temporary objects
 * last: those are whoever's session this is.  Until the current nesting level
 * of settings ends.
 */
extern void ee_identity_search_path(Oid role);

#endif							/* EE_IDENTITY_H */
