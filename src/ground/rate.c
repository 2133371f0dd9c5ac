/*
 * rate.c
 *	  How fast a counter in shared memory grows: an exponentially weighted
 *	  mean, as the load averages of an operating system are.
 */
#include "postgres.h"

#include <math.h>

#include "ground/rate.h"

/* It follows a change by 63 % within this time. */
#define RATE_SECONDS	60.0

void
ee_rate_init(EeSharedRate *rate)
{
	pg_atomic_init_u64(&rate->seen, 0);
	pg_atomic_init_u64(&rate->rate, 0);
}

void
ee_rate_tick(EeSharedRate *rate, pg_atomic_uint64 *counter, double seconds)
{
	uint64		count = pg_atomic_read_u64(counter);
	double		now = (count - pg_atomic_read_u64(&rate->seen)) / seconds;
	double		keep = exp(-seconds / RATE_SECONDS);

	pg_atomic_write_u64(&rate->seen, count);
	pg_atomic_write_u64(&rate->rate,
						(uint64) (1000 * (ee_rate_get(rate) * keep +
										  now * (1 - keep))));
}

double
ee_rate_get(EeSharedRate *rate)
{
	return pg_atomic_read_u64(&rate->rate) / 1000.0;
}
