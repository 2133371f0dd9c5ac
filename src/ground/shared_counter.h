/*
 * shared_counter.h
 *	  What became of the events of each pattern, by the kind of their source:
 *	  counted in shared memory since the server was started.
 *
 * No-ops in a server that did not preload the library, and for patterns that
 * find no room (event_engine.operations_counted_patterns).
 */
#ifndef EE_SHARED_COUNTER_H
#define EE_SHARED_COUNTER_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

#include "ground/rate.h"

typedef enum EeOutcome
{
	EE_OUTCOME_PUBLISHED,
	EE_OUTCOME_REFUSED,			/* not valid, or not allowed */
	EE_OUTCOME_DELIVERED,		/* to a handler, with success */
	EE_OUTCOME_FAILED,			/* an attempt of a handler */
	EE_OUTCOME_DEAD,
	EE_N_OUTCOMES
} EeOutcome;

/* the kinds that there are, and any other */
#define EE_N_SOURCE_KINDS	5

typedef struct EePatternCounters
{
	/* the key */
	Oid			dbid;
	uint32		padding;		/* 0 */
	uint64		hash;			/* of the pattern; two share it never */

	pg_atomic_uint64 counts[EE_N_SOURCE_KINDS][EE_N_OUTCOMES];
	pg_atomic_uint64 published_at;	/* TimestampTz of the latest; 0: none */
	EeSharedRate rates[EE_N_SOURCE_KINDS][EE_N_OUTCOMES];
} EePatternCounters;

/* Shared memory, for shared.c. */
extern Size ee_shared_counter_size(void);
extern void ee_shared_counter_startup(LWLock *lock);

/*
 * Count n events when the transaction commits (or is prepared); what was
 * done in a subtransaction that is rolled back does not count.
 */
extern void ee_shared_counter_note(const char *pattern, int len,
								   const char *source, int source_len,
								   EeOutcome outcome, int n);

/* Count at once, whatever becomes of the transaction. */
extern void ee_shared_counter_add(const char *pattern, int len,
								  const char *source, int source_len,
								  EeOutcome outcome);

/* NULL where nothing was counted. */
extern EePatternCounters *ee_shared_counter_find(const char *pattern,
												 int len);
extern const char *ee_shared_counter_source_kind(int i);

/* Every few seconds, by the router: the rates of this database. */
extern void ee_shared_counter_tick(double seconds);

/* The database is gone. */
extern void ee_shared_counter_forget(Oid dbid);

#endif							/* EE_SHARED_COUNTER_H */
