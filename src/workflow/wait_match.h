/*
 * wait_match.h
 *	  Which waits does an event end?
 */
#ifndef EE_WAIT_MATCH_H
#define EE_WAIT_MATCH_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/snapshot.h"

#include "workflow/dispatch.h"
#include "workflow/resume.h"

typedef struct EeWaitMatch EeWaitMatch;

/*
 * Begin to match events with the waits that a snapshot sees, in
 * CurrentMemoryContext.  What is found goes to the list.  filter: NULL, or the
 * lane's, to which what has become visible is added before an event is asked
 * about.
 */
extern EeWaitMatch *ee_wait_match_begin(EeDelivery *delivery,
										EeWaitIndex *index,
										EeWaitFilter *filter,
										Snapshot snapshot,
										EeResumeList *list);

/*
 * All waits that the event in this slot of the log ends.  False: the list is
 * full, and there may be more.  previous: see EeResume.
 */
extern bool ee_wait_match_event(EeWaitMatch *match, TupleTableSlot *slot,
								int64 previous);

/* Those among the waits of some slots of workflow_waits; see look_back.c. */
typedef struct EeWaitRef
{
	int64		key;
	ItemPointerData tid;
} EeWaitRef;

/* The same, among waits of the past: refs are ordered by key. */
extern bool ee_wait_match_past(EeWaitMatch *match, TupleTableSlot *slot,
							   const EeWaitRef *refs, int n_refs);

extern void ee_wait_match_end(EeWaitMatch *match);

/*
 * The wait that the event was to end is over, by another event maybe: the
 * next wait of the instance, which is locked, that wants it.
 */
extern bool ee_wait_match_other(EeDelivery *delivery,
								const pg_uuid_t *instance, Datum event,
								pg_uuid_t *wait);

#endif							/* EE_WAIT_MATCH_H */
