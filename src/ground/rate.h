/*
 * rate.h
 *	  How fast a counter in shared memory grows.
 */
#ifndef EE_RATE_H
#define EE_RATE_H

#include "postgres.h"

#include "port/atomics.h"

/* Per second, over about the last minute; written by the router alone. */
typedef struct EeSharedRate
{
	pg_atomic_uint64 seen;		/* the counter when it was last looked at */
	pg_atomic_uint64 rate;		/* in thousandths */
} EeSharedRate;

extern void ee_rate_init(EeSharedRate *rate);

/* So many seconds have passed. */
extern void ee_rate_tick(EeSharedRate *rate, pg_atomic_uint64 *counter,
						 double seconds);

extern double ee_rate_get(EeSharedRate *rate);

#endif							/* EE_RATE_H */
