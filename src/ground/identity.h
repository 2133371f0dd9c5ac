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
	Oid			handler;		/* owner of the outer one */
	Oid			caller;			/* who was known to have called */
} EeIdentity;

/* As the owner of our tables, for statements of our own. */
extern void ee_identity_engine(EeIdentity *saved);
extern Oid	ee_identity_engine_role(void);

/*
 * As the owner of a handler, in a session of somebody else: restricted, and
 * settings are undone by ee_identity_restore().
 */
extern void ee_identity_handler(EeIdentity *saved, Oid owner);

extern void ee_identity_restore(const EeIdentity *saved);

/* Does a handler run in a session of somebody else? */
extern bool ee_identity_in_handler(void);

/*
 * In whose name does a function of ours act that has more rights?  Whoever
 * calls one on somebody's behalf says so first, and puts back what was said
 * before, after an error too.
 */
extern Oid	ee_identity_set_caller(Oid caller);
extern Oid	ee_identity_caller(void);

/*
 * Search as the role would in a session of its own, with temporary objects
 * last: those are whoever's session this is.  Until the current nesting level
 * of settings ends.
 */
extern void ee_identity_search_path(Oid role);

#endif							/* EE_IDENTITY_H */
