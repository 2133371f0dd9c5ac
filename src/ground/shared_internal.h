/*
 * shared_internal.h
 *	  The shared memory itself, for the files shared*.c.
 */
#ifndef EE_SHARED_INTERNAL_H
#define EE_SHARED_INTERNAL_H

#include "postgres.h"

#include "storage/lwlock.h"

#include "ground/shared.h"

typedef struct EeHold
{
	Oid			dbid;			/* InvalidOid: free */
	int			pid;			/* backend that holds */
} EeHold;

/*
 * Lock order: the one lock, taken last of all.  Fields named "atomic" may be
 * read by anybody at any time and carry no promise beyond their own value.
 */
struct EeShared
{
	LWLock	   *lock;			/* written once, at start */
	pg_atomic_uint32 launcher_procno;	/* written by the launcher */
	pg_atomic_uint32 launcher_request;	/* set by anybody, taken by launcher */
	EeHold		holds[EE_MAX_HOLDS];	/* lock */
	EeDatabaseSlot databases[EE_MAX_DATABASES]; /* lock, see shared.h */
	pg_atomic_uint32 waiters_end;	/* behind the last in use; written under lock */
	EeWaiterSlot waiters[EE_MAX_WAITERS];	/* lock, see shared.h */
	int			n_workers;		/* written once, at start */
	EeWorkerSlot workers[FLEXIBLE_ARRAY_MEMBER];	/* lock, see shared.h */
};

/* The locks of our tranche, none taken while another one is held. */
typedef enum EeSharedLock
{
	EE_LOCK_SLOTS,				/* EeShared.lock */
	EE_LOCK_COUNTERS,			/* of shared_counter.c */
	EE_LOCK_SUBSCRIPTIONS,		/* shared_subscription.c */
	EE_LOCK_INCIDENTS,			/* shared_incident.c */
	EE_N_LOCKS
} EeSharedLock;

/* NULL in a server that did not preload the library. */
extern EeShared *ee_shared;

/* This process's own slots. */
extern EeDatabaseSlot *ee_shared_own_database;
extern EeWorkerSlot *ee_shared_own_worker;

extern void ee_shared_set_latch(uint32 procno);
extern void ee_shared_waiters_init(void);
extern void ee_shared_waiters_wake(const EePatternSet *news);
extern EeDatabaseSlot *ee_shared_find_database(Oid dbid);
extern EeDatabaseSlot *ee_shared_claim_database(Oid dbid);
extern void ee_shared_clear_patterns(EeSharedPatternSet *set);
extern bool ee_shared_hold_exists(Oid dbid);

#endif							/* EE_SHARED_INTERNAL_H */
