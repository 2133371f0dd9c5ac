/*
 * rate_bucket.c
 *	  A token bucket that many processes take from without a lock.
 */
#include "postgres.h"

#include <math.h>

#include "portability/instr_time.h"

#include "ground/rate_bucket.h"

#define NANOSECONDS	1e9

static int64 cost(const EeRateLimit *limit, double n);
static int64 depth(const EeRateLimit *limit);

int64
ee_rate_bucket_now(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now) * 1000;
}

void
ee_rate_bucket_init(EeRateBucket *bucket)
{
	pg_atomic_init_u64(&bucket->full_at, 0);
}

void
ee_rate_bucket_reset(EeRateBucket *bucket)
{
	pg_atomic_write_u64(&bucket->full_at, 0);
}

/* The time that n tokens take to flow in. */
static int64
cost(const EeRateLimit *limit, double n)
{
	return (int64) rint(n * NANOSECONDS / limit->rate);
}

static int64
depth(const EeRateLimit *limit)
{
	return cost(limit, Max(limit->burst, 1.0));
}

int
ee_rate_bucket_take(EeRateBucket *bucket, const EeRateLimit *limit, int max)
{
	int64		now = ee_rate_bucket_now();
	uint64		seen = pg_atomic_read_u64(&bucket->full_at);

	for (;;)
	{
		/* it may be empty, and not more: the rate was a lower one before */
		int64		full_at = Min(Max((int64) seen, now), now + depth(limit));
		double		there = (now + depth(limit) - full_at) *
			limit->rate / NANOSECONDS;
		/* a token that lacks a nanosecond is there */
		int			n = there >= max ? max : (int) floor(there + 1e-6);

		if (n <= 0)
			return 0;
		if (pg_atomic_compare_exchange_u64(&bucket->full_at, &seen,
										   full_at + cost(limit, n)))
			return n;
	}
}

bool
ee_rate_bucket_charge(EeRateBucket *bucket, const EeRateLimit *limit, int n)
{
	int64		now = ee_rate_bucket_now();
	uint64		seen = pg_atomic_read_u64(&bucket->full_at);

	for (;;)
	{
		int64		full_at = Max((int64) seen, now);

		if (full_at + cost(limit, 1) > now + depth(limit))
			return false;
		if (pg_atomic_compare_exchange_u64(&bucket->full_at, &seen,
										   full_at + cost(limit, n)))
			return true;
	}
}

void
ee_rate_bucket_put_back(EeRateBucket *bucket, const EeRateLimit *limit, int n)
{
	if (n > 0)
		pg_atomic_fetch_sub_u64(&bucket->full_at, cost(limit, n));
}

int64
ee_rate_bucket_wait(EeRateBucket *bucket, const EeRateLimit *limit, double n)
{
	int64		now = ee_rate_bucket_now();
	int64		full_at = (int64) pg_atomic_read_u64(&bucket->full_at);
	int64		wait = full_at + cost(limit, Min(n, Max(limit->burst, 1.0))) -
		depth(limit) - now;

	/* up to the next microsecond */
	return wait <= 0 ? 0 : (wait + 999) / 1000;
}
