/*
 * commit_count.h
 *	  Counters in shared memory that count what was committed.
 */
#ifndef EE_COMMIT_COUNT_H
#define EE_COMMIT_COUNT_H

#include "postgres.h"

#include "port/atomics.h"

/*
 * Add n to the counter, and put the time of that into the stamp (unless
 * NULL), when the transaction commits or is prepared.  What a subtransaction
 * adds that is rolled back does not count.
 */
extern void ee_commit_count_add(pg_atomic_uint64 *counter,
								pg_atomic_uint64 *stamp, int64 n);

#endif							/* EE_COMMIT_COUNT_H */
