/*
 * backoff.h
 *	  How long to wait before the next attempt: exponential, capped, with
 *	  jitter.
 */
#ifndef EE_BACKOFF_H
#define EE_BACKOFF_H

#include "postgres.h"

#include "utils/jsonb.h"

typedef struct EeBackoff
{
	int64		ms;				/* before the second attempt */
	double		factor;			/* each further attempt waits so much longer */
	int64		max_ms;
	double		jitter;			/* 0..1: share of the wait that is random */
} EeBackoff;

/* The options backoff_ms, backoff_factor, backoff_max_ms and jitter. */
extern void ee_backoff_read(EeBackoff *backoff, Jsonb *options);

/* Wait before the attempt after so many; random within the jitter. */
extern int64 ee_backoff_delay_ms(const EeBackoff *backoff, int attempts);

#endif							/* EE_BACKOFF_H */
