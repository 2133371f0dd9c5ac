/*
 * wait_filter.h
 *	  Is there no wait with this key?  Asked before the index of keys is.
 */
#ifndef EE_WAIT_FILTER_H
#define EE_WAIT_FILTER_H

#include "postgres.h"

#include "lib/bloomfilter.h"
#include "utils/relcache.h"

/* Of a lane; all zero at first. */
typedef struct EeWaitFilter
{
	bloom_filter *bits;			/* NULL: nothing is known */
	MemoryContext context;		/* of those */
	int64		asked;			/* keys, since nothing is known */
	int64		n;				/* keys in it */
	int64		max;			/* with more it tells too little */
} EeWaitFilter;

/*
 * Before a batch, in whose snapshot the waits are to be seen: reads all keys
 * of the dispatcher's waits where that will pay.  The bits live below parent.
 */
extern void ee_wait_filter_prepare(EeWaitFilter *filter, Relation waits,
								   Relation key_index, int32 number,
								   MemoryContext parent);

/* A wait has become visible. */
extern void ee_wait_filter_add(EeWaitFilter *filter, int64 key);

/* True: no wait has it.  False: one may have. */
extern bool ee_wait_filter_lacks(EeWaitFilter *filter, int64 key);

#endif							/* EE_WAIT_FILTER_H */
