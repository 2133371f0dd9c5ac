/*
 * invalidate.h
 *	  Has something changed that this backend has read?
 *
 * One relcache callback and one syscache callback serve all caches of the
 * library.  They only count; a cache keeps the count it was filled under and
 * looks again when the count has moved:
 *
 *		generation = ee_invalidate_watch(EE_REL_SUBSCRIPTIONS);
 *		... read the table, with a snapshot taken from here on ...
 *
 *		if (generation != ee_invalidate_generation(EE_REL_SUBSCRIPTIONS))
 *			... read it again ...
 *
 * A count moves at the end of the command in the session that made the
 * change, at its rollback (savepoints included), and in every other session
 * after the commit, when that session next starts a transaction or takes a
 * lock.  It also moves for reasons that changed no row, VACUUM for one.
 *
 * Rows must be read as of now and not with the snapshot of a REPEATABLE READ
 * transaction: a cache filled with old rows would never be told again.
 */
#ifndef EE_INVALIDATE_H
#define EE_INVALIDATE_H

#include "postgres.h"

#include "ground/extension.h"

/*
 * Look up the relation, so that its changes are noticed from now on, and
 * return its count; never 0.  Needs a transaction; raises an error when the
 * extension is missing.
 */
extern uint64 ee_invalidate_watch(EeRelation relation);

/* The count of a relation that is watched; no lookup, cheap, never 0. */
extern uint64 ee_invalidate_generation(EeRelation relation);

/*
 * Moves when the extension may have been created, dropped or moved: every
 * OID of ours remembered under another value is worth nothing.  Never 0.
 */
extern uint64 ee_invalidate_objects_generation(void);

/*
 * Tell every session, this one included, that rows of the relation changed:
 * the C face of trigger function event_engine.announce_change() does the
 * same for the table that it is on.
 */
extern void ee_invalidate_announce(EeRelation relation);

/*
 * Tell every session that the extension is another: what has been remembered
 * of it is looked up again.
 */
extern void ee_invalidate_announce_extension(void);

/*
 * A commit is visible a moment before the other sessions are told of it, and
 * a snapshot taken in between sees what the caches know nothing of.  Called
 * after the snapshot was taken: true, when this session has been told of all
 * announced changes that the snapshot sees; false, when somebody has a change
 * under way, so that nobody can tell.  Never waits.
 */
extern bool ee_invalidate_settled(EeRelation relation);

/* For extension.c: have the callbacks in place, and name our schema. */
extern void ee_invalidate_init(void);
extern void ee_invalidate_watch_schema(uint32 hash);

#endif							/* EE_INVALIDATE_H */
