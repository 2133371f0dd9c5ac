/*
 * histogram.c
 *	  Durations counted in shared memory, in buckets that grow with them.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "ground/commit_count.h"
#include "ground/histogram.h"

static int	bucket_of(int64 microseconds);
static int64 lower_bound(int bucket);
static int64 upper_bound(int bucket);

void
ee_histogram_init(EeHistogram *histogram)
{
	pg_atomic_init_u64(&histogram->sum, 0);
	for (int i = 0; i < EE_HISTOGRAM_BUCKETS; i++)
	{
		pg_atomic_init_u64(&histogram->counts[i], 0);
		histogram->since[i] = histogram->before[i] = 0;
	}
}

static int
bucket_of(int64 microseconds)
{
	int			bit;

	if (microseconds < INT64CONST(1) << EE_HISTOGRAM_FIRST_BIT)
		return 0;
	bit = pg_leftmost_one_pos64(microseconds);
	if (bit >= EE_HISTOGRAM_LAST_BIT)
		return EE_HISTOGRAM_BUCKETS - 1;
	return 1 + ((bit - EE_HISTOGRAM_FIRST_BIT) << EE_HISTOGRAM_SUB_BITS) +
		((microseconds >> (bit - EE_HISTOGRAM_SUB_BITS)) &
		 ((1 << EE_HISTOGRAM_SUB_BITS) - 1));
}

static int64
lower_bound(int bucket)
{
	int			steps = 1 << EE_HISTOGRAM_SUB_BITS;

	if (bucket == 0)
		return 0;
	bucket--;
	return (int64) (steps + bucket % steps) <<
		(EE_HISTOGRAM_FIRST_BIT - EE_HISTOGRAM_SUB_BITS + bucket / steps);
}

static int64
upper_bound(int bucket)
{
	return bucket == EE_HISTOGRAM_BUCKETS - 1 ? PG_INT64_MAX :
		lower_bound(bucket + 1);
}

void
ee_histogram_note(EeHistogram *histogram, int64 microseconds)
{
	microseconds = Max(microseconds, 0);	/* a clock that was set back */
	ee_commit_count_add(&histogram->counts[bucket_of(microseconds)], NULL, 1);
	ee_commit_count_add(&histogram->sum, NULL, microseconds);
}

void
ee_histogram_rotate(EeHistogram *histogram)
{
	for (int i = 0; i < EE_HISTOGRAM_BUCKETS; i++)
	{
		histogram->before[i] = histogram->since[i];
		histogram->since[i] =
			(uint32) pg_atomic_read_u64(&histogram->counts[i]);
	}
}

/* Within a bucket they are taken to be spread evenly. */
bool
ee_histogram_quantiles(const EeHistogram *histogram, const double *shares,
					   double *result, int n)
{
	uint32		recent[EE_HISTOGRAM_BUCKETS];
	double		total = 0;
	double		below = 0;
	int			next = 0;

	for (int i = 0; i < EE_HISTOGRAM_BUCKETS; i++)
	{
		recent[i] = (uint32)
			pg_atomic_read_u64(unconstify(pg_atomic_uint64 *,
										  &histogram->counts[i])) -
			histogram->before[i];
		total += recent[i];
	}
	for (int i = 0; i < EE_HISTOGRAM_BUCKETS && next < n; i++)
	{
		double		low = lower_bound(i);
		double		high = upper_bound(i);

		while (next < n && recent[i] > 0 &&
			   below + recent[i] >= shares[next] * total)
		{
			double		share = (shares[next] * total - below) / recent[i];

			result[next++] = i == EE_HISTOGRAM_BUCKETS - 1 ? low :
				low + (high - low) * Max(share, 0);
		}
		below += recent[i];
	}
	return total > 0;
}

uint64
ee_histogram_up_to(const EeHistogram *histogram, int64 microseconds)
{
	uint64		n = 0;

	for (int i = 0; i < EE_HISTOGRAM_BUCKETS &&
		 upper_bound(i) <= microseconds; i++)
		n += pg_atomic_read_u64(unconstify(pg_atomic_uint64 *,
										   &histogram->counts[i]));
	return n;
}
