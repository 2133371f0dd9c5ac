/*
 * log_reader.h
 *	  Read what lies between two positions of the log, in order.
 */
#ifndef EE_LOG_READER_H
#define EE_LOG_READER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/snapshot.h"

#include "ground/extension.h"
#include "store/log_position.h"

typedef struct EeLogReader EeLogReader;

/*
 * The events of the cursor's range that are above its seq, in order of seq.
 * patterns (n_patterns of type text) restricts to those; NULL: all.  class
 * restricts to the events of a priority, and some others, where there are
 * indexes for it: not for EE_PRIORITY_NORMAL, which restricts nothing.  The
 * snapshot is the reader's own and not older than the range's end; it stays
 * with the caller.  All lives in CurrentMemoryContext.
 */
extern EeLogReader *ee_log_reader_begin(const EeLogCursor *cursor,
										Datum *patterns, int n_patterns,
										EePriority class, Snapshot snapshot);

/*
 * These events instead (n of them, by seq, in this order), those that are no
 * longer there left out.  The array stays with the caller.
 */
extern EeLogReader *ee_log_reader_begin_events(const int64 *seqs, int n,
											   Snapshot snapshot);

/* The next event, valid until the next call; NULL at the end. */
extern TupleTableSlot *ee_log_reader_next(EeLogReader *reader);

extern void ee_log_reader_end(EeLogReader *reader);

/* Has any event of this priority, not normal, ever been committed? */
extern bool ee_log_reader_any(EePriority class);

#endif							/* EE_LOG_READER_H */
