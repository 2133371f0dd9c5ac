/*
 * histogram.h
 *	  Durations counted in shared memory, in buckets that grow with them.
 *
 * Four buckets for each doubling, as HdrHistogram has it with one bit more
 * than two of precision: a quantile is told within an eighth of its value.
 */
#ifndef EE_HISTOGRAM_H
#define EE_HISTOGRAM_H

#include "postgres.h"

#include "port/atomics.h"

/* From 2^6 us up to 2^32 us, 71 minutes; the first and last take the rest. */
#define EE_HISTOGRAM_FIRST_BIT	6
#define EE_HISTOGRAM_LAST_BIT	32
#define EE_HISTOGRAM_SUB_BITS	2
#define EE_HISTOGRAM_BUCKETS \
	(((EE_HISTOGRAM_LAST_BIT - EE_HISTOGRAM_FIRST_BIT) << \
	  EE_HISTOGRAM_SUB_BITS) + 2)

/*
 * counts only grow.  The other two are counts as they were when the present
 * period began, and the one before it: what is shown is of the last one to
 * two periods.  They are kept modulo 2^32 and written by the router alone.
 */
typedef struct EeHistogram
{
	pg_atomic_uint64 sum;		/* of all durations, microseconds */
	pg_atomic_uint64 counts[EE_HISTOGRAM_BUCKETS];
	uint32		since[EE_HISTOGRAM_BUCKETS];
	uint32		before[EE_HISTOGRAM_BUCKETS];
} EeHistogram;

extern void ee_histogram_init(EeHistogram *histogram);

/* Count a duration when the transaction commits. */
extern void ee_histogram_note(EeHistogram *histogram, int64 microseconds);

/* Another period begins. */
extern void ee_histogram_rotate(EeHistogram *histogram);

/*
 * The durations (microseconds) below which these shares of the recent ones
 * lie, shares ascending; false when there was none.
 */
extern bool ee_histogram_quantiles(const EeHistogram *histogram,
								   const double *shares, double *result,
								   int n);

/* How many durations, ever, were at most so long. */
extern uint64 ee_histogram_up_to(const EeHistogram *histogram,
								 int64 microseconds);

#endif							/* EE_HISTOGRAM_H */
