/*
 * rate_bucket.h
 *	  A token bucket that many processes take from without a lock.
 *
 * All that it remembers is when it would be full (the generic cell rate
 * algorithm): a bucket of burst tokens that fills with rate tokens a second
 * holds burst less what is still to flow in until then.
 */
#ifndef EE_RATE_BUCKET_H
#define EE_RATE_BUCKET_H

#include "postgres.h"

#include "port/atomics.h"

typedef struct EeRateBucket
{
	pg_atomic_uint64 full_at;	/* on the clock of ee_rate_bucket_now() */
} EeRateBucket;

typedef struct EeRateLimit
{
	double		rate;			/* tokens a second, above 0 */
	double		burst;			/* what the bucket holds, at least 1 */
} EeRateLimit;

/* The burst of a limit that names none: what comes in within 100 ms. */
static inline double
ee_rate_bucket_burst(double rate)
{
	return Max(1.0, rate / 10);
}

/* Nanoseconds on a clock that all processes share and nobody sets. */
extern int64 ee_rate_bucket_now(void);

/* Full, as one is in the beginning. */
extern void ee_rate_bucket_init(EeRateBucket *bucket);
extern void ee_rate_bucket_reset(EeRateBucket *bucket);

/* Take what is there, at most max tokens; returns how many. */
extern int	ee_rate_bucket_take(EeRateBucket *bucket, const EeRateLimit *limit,
								int max);

/* Take n tokens where there is one, going into debt; false: there is none. */
extern bool ee_rate_bucket_charge(EeRateBucket *bucket,
								  const EeRateLimit *limit, int n);

/* Tokens taken and not used. */
extern void ee_rate_bucket_put_back(EeRateBucket *bucket,
									const EeRateLimit *limit, int n);

/* Microseconds until there will be n tokens, at most burst. */
extern int64 ee_rate_bucket_wait(EeRateBucket *bucket,
								 const EeRateLimit *limit, double n);

#endif							/* EE_RATE_BUCKET_H */
