/*
 * shared_subscription.h
 *	  What all processes know together of a subscription: how it is getting
 *	  on since the server was started.
 *
 * Nothing here outlives the server, and nothing that must not be lost may be
 * kept here.
 */
#ifndef EE_SHARED_SUBSCRIPTION_H
#define EE_SHARED_SUBSCRIPTION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/uuid.h"

#include "ground/histogram.h"
#include "ground/rate.h"
#include "ground/breaker.h"
#include "ground/rate_bucket.h"

/* As many as a subscription may have lanes of a class. */
#define EE_SHARED_POSITIONS	64

/*
 * An entry.  The first part is written under the lock of the table; a process
 * that has looked the entry up reads its generation alone.  The atomics are
 * anybody's.
 */
typedef struct EeSharedSubscription
{
	pg_atomic_uint32 generation;	/* counts the uses of this entry */
	Oid			dbid;			/* InvalidOid: free */
	int32		number;
	int			next;			/* in its bucket, or among the free; -1: none */
	pg_uuid_t	id;				/* a number may be another's after a while */
	TimestampTz claimed_at;

	EeRateBucket rate;
	pg_atomic_uint32 in_flight; /* events that handlers may be working on;
								 * kept where there is a limit */
	EeBreaker	breaker;		/* its own lock */

	/*
	 * How far the log has been read, as a seq, by each index of its lanes of
	 * class normal; 0: not known.
	 */
	pg_atomic_uint64 positions[EE_SHARED_POSITIONS];

	pg_atomic_uint64 delivered; /* events handled with success */
	pg_atomic_uint64 failed;	/* attempts that were not */
	EeSharedRate delivered_rate;
	EeSharedRate failed_rate;
	EeHistogram latency;		/* from arrival to delivery */
} EeSharedSubscription;

/* Shared memory, for shared.c. */
extern Size ee_shared_subscription_size(void);
extern void ee_shared_subscription_startup(void *memory, bool found,
										   LWLock *lock);

/*
 * The entry of a subscription of this database; made when there is none.
 * Never NULL: where the library was not preloaded, or the table is full
 * (event_engine.delivery_shared_subscriptions), it is this process's own.
 *
 * Ask again for each unit of work rather than keep the pointer, as an entry
 * may be given to another subscription once its own is gone.  Asking again
 * takes no lock.  What is noted in an entry that was given away meanwhile is
 * noted for the wrong subscription, which harms nothing that is kept here.
 */
extern EeSharedSubscription *ee_shared_subscription_find(int32 number,
														 const pg_uuid_t *id);

/* Is there one?  NULL otherwise; takes the lock, for readers of statistics. */
extern EeSharedSubscription *ee_shared_subscription_peek(int32 number,
														 const pg_uuid_t *id);

/*
 * The subscriptions of this database are those with these numbers, ascending,
 * as of that moment: let go of entries that are older and not among them.
 */
extern void ee_shared_subscription_keep(const int32 *numbers, int n,
										TimestampTz as_of);

/*
 * By the router: the rates of this database's subscriptions after so many
 * seconds; with rotate another period of their histograms begins.
 */
extern void ee_shared_subscription_tick(double seconds, bool rotate);

/* The database is gone. */
extern void ee_shared_subscription_forget(Oid dbid);

#endif							/* EE_SHARED_SUBSCRIPTION_H */
