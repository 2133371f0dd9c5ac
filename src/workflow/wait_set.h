/*
 * wait_set.h
 *	  Waits that are asked together about a stretch of the log.
 */
#ifndef EE_WAIT_SET_H
#define EE_WAIT_SET_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/snapshot.h"

#include "delivery/batch.h"
#include "store/log_position.h"
#include "store/log_reader.h"
#include "workflow/wait_match.h"

/* Which they are, and what their events are called. */
typedef struct EeWaitSet
{
	MemoryContext context;
	EeWaitRef  *refs;
	int			n;
	int			allocated;
	bool		sorted;
	Datum	   *patterns;		/* of type text */
	int			n_patterns;
	bool		any_pattern;	/* too many, or wildcards */
} EeWaitSet;

/*
 * From where on the log is read: a position that sees nothing that one of
 * those does not see which were added.
 */
typedef struct EeWaitFrom
{
	MemoryContext context;
	EeLogPosition position;		/* for a reader: xmin and xmax mean nothing */
	int			allocated;
	TimestampTz since;			/* the earliest asked for; DT_NOEND: none */
} EeWaitFrom;

/* Empty, in CurrentMemoryContext. */
extern void ee_wait_set_init(EeWaitSet *set);
extern void ee_wait_set_init_from(EeWaitFrom *from);

/* One more, of a slot of workflow_waits. */
extern void ee_wait_set_add(EeWaitSet *set, TupleTableSlot *slot);

extern void ee_wait_set_from(EeWaitFrom *from,
							 const EeLogPosition *position);

/*
 * The lane stands there, and has not asked this wait about what it has read:
 * begin early enough for that.  False: none of it concerns the wait.
 */
extern bool ee_wait_set_from_wait(EeWaitFrom *from, TupleTableSlot *slot,
								  const EeLogCursor *at);

/*
 * Read what lies between the two, at least.  class: see
 * ee_log_reader_begin().  Both are to live as long as the reader.
 */
extern EeLogReader *ee_wait_set_read(EeWaitSet *set, EeWaitFrom *from,
									 const EeLogPosition *to,
									 EePriority class, Snapshot snapshot);

/* Those of them that the event in this slot ends: see ee_wait_match_past(). */
extern bool ee_wait_set_match(EeWaitSet *set, EeWaitMatch *match,
							  TupleTableSlot *slot);

/* May the owner of the workflows receive the event in this slot of the log? */
extern bool ee_wait_set_permits(const EeDelivery *delivery,
								TupleTableSlot *slot);

#endif							/* EE_WAIT_SET_H */
