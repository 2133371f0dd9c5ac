/*
 * sparse.h
 *	  The subscriptions of an executor that want few of the events of their
 *	  patterns: those with a value that their filters demand.
 *
 * One look at the log serves all of them.  A lane is asleep as long as no
 * event comes that it may want: then nothing is kept of it but its
 * subscription and a place in an index.
 */
#ifndef EE_SPARSE_H
#define EE_SPARSE_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "delivery/batch.h"
#include "delivery/unit.h"
#include "ground/shared.h"

/*
 * Begin to read the set of subscriptions anew: remember how far the lanes of
 * those known are, before their deliveries go away with their context.
 */
extern void ee_sparse_forget(void);

/*
 * Take over from the list those that are sparse; the result is the others.
 * In a transaction, with a snapshot; the subscriptions were read under the
 * generation, in order of number, and live in the context, and so will the
 * deliveries.  woken is called for each lane that awakes, now and later.
 */
extern List *ee_sparse_read(List *subscriptions, Oid owner, uint64 generation,
							MemoryContext context,
							void (*woken) (EeDelivery *lane));

extern bool ee_sparse_any(void);

/* The lanes of a class are used from now on.  In a transaction. */
extern void ee_sparse_use_class(EePriority class);

/* Which patterns they want; news of these have come; or may have. */
extern const EePatternSet *ee_sparse_interest(void);
extern void ee_sparse_note(EePriority class);
extern void ee_sparse_note_all(void);

/* Is there something to look at? */
extern bool ee_sparse_is_behind(void);

/* Has nobody else moved lanes, as far as is known? */
extern bool ee_sparse_is_current(void);

/*
 * Look at some of what is new of a class, in a unit of its own, and offer it
 * to the lanes that may want it.  True when there was anything.
 */
extern bool ee_sparse_look(EePriority class, const EeUnit *unit);

/*
 * Where more lanes are awake those with nothing to do fall asleep again; the
 * others of the list are the result.
 */
extern List *ee_sparse_sleep(List *lanes, int keep);

/*
 * Store how far the looks have come as the places of all that sleep: begin,
 * and go on, some in each call; false when there is nothing left to do.
 */
extern void ee_sparse_store_begin(void);
extern bool ee_sparse_store(const EeUnit *unit);

#endif							/* EE_SPARSE_H */
