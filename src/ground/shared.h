/*
 * shared.h
 *	  All shared memory of event_engine, and the wake at commit.
 *
 * Everything here is a no-op in a server that did not preload the library;
 * ee_shared_available() tells.
 */
#ifndef EE_SHARED_H
#define EE_SHARED_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "utils/uuid.h"

#include "ground/extension.h"

/*
 * A set of patterns, as bits: a pattern is hashed to one of them.  A shared
 * bit wakes somebody in vain, never the other way round.  Urgent and low
 * events have words of their own for each class, so that normal ones wake
 * nobody who waits for those.
 */
#define EE_NORMAL_WORDS		16
#define EE_CLASS_WORDS		4
#define EE_PATTERN_WORDS	(EE_NORMAL_WORDS + \
							 (EE_N_PRIORITIES - 1) * EE_CLASS_WORDS)

typedef struct EePatternSet
{
	uint64		words[EE_PATTERN_WORDS];
} EePatternSet;

typedef struct EeSharedPatternSet
{
	pg_atomic_uint64 words[EE_PATTERN_WORDS];
} EeSharedPatternSet;

#define EE_MAX_DATABASES	128
#define EE_MAX_HOLDS		16
#define EE_MAX_WAITERS		128

/* Successors: FREE -> STARTING -> RUNNING -> FREE, or STARTING -> FREE. */
typedef enum EeSlotState
{
	EE_SLOT_FREE,
	EE_SLOT_STARTING,			/* registered with the postmaster */
	EE_SLOT_RUNNING				/* its process is attached */
} EeSlotState;

/*
 * A database with a router.  All fields are written under EeShared.lock,
 * except the atomics.
 */
typedef struct EeDatabaseSlot
{
	pg_atomic_uint32 dbid;		/* InvalidOid: free; read without lock */
	EeSlotState state;			/* of the router */
	bool		requested;		/* somebody created the extension here */
	bool		failed;			/* the latest router ended with an error */
	bool		waits;			/* the router, for ALTER EXTENSION UPDATE */
	uint32		generation;		/* counts the uses of this slot */
	int			pid;			/* of the router */
	TimestampTz started_at;		/* STARTING since, or attached at */
	pg_atomic_uint32 procno;	/* of the router; read without lock */
	pg_atomic_uint32 changed;	/* configuration changed: router to look */
	pg_atomic_uint32 dirty;		/* something was published */
	pg_atomic_uint32 failures;	/* executors that ended with an error */
	pg_atomic_uint32 pressure;	/* shared_publisher.h; by the router */
	pg_atomic_uint64 queue_depth;	/* by the router */
	EeSharedPatternSet asleep;	/* wanted by roles without an executor */
	EeSharedPatternSet news;	/* of those, published */
	EeSharedPatternSet prepared;	/* by prepared transactions, ever */
	pg_atomic_uint32 prepared_changed;	/* one changed configuration */
} EeDatabaseSlot;

/* An executor.  Locking as above. */
typedef struct EeWorkerSlot
{
	pg_atomic_uint32 dbid;		/* InvalidOid: free; read without lock */
	Oid			roleid;
	int			member;			/* of the role's executors, from 0 */
	EeSlotState state;
	uint32		generation;
	int			pid;
	TimestampTz started_at;
	pg_atomic_uint32 procno;
	pg_atomic_uint32 changed;	/* configuration changed */
	EeSharedPatternSet interest;	/* written by the executor */
	EeSharedPatternSet news;	/* set by publishers, taken by the executor */
	pg_atomic_uint32 urgent;	/* classes above normal among them, as bits */
	/* for the statistics view; written by the executor alone */
	pg_atomic_uint64 events;
	pg_atomic_uint64 batches;
	pg_atomic_uint64 failures;
	pg_atomic_uint64 busy_since;	/* TimestampTz of its round, 0: none */
	pg_atomic_uint32 helped;	/* rounds that others did for it, by them */
} EeWorkerSlot;

/* The executors of a role that are stuck, a bit each. */
typedef struct EeSharedStuck
{
	uint64		members;
	uint32		helpers;		/* members from 64 on */
} EeSharedStuck;

/* A client that waits for events.  Locking as above. */
typedef struct EeWaiterSlot
{
	pg_atomic_uint32 dbid;		/* InvalidOid: free; read without lock */
	pg_atomic_uint32 procno;
	EeSharedPatternSet interest;	/* written by the client */
} EeWaiterSlot;

typedef struct EeShared EeShared;

#define EE_NO_PROC	PG_UINT32_MAX

extern void ee_shared_init(void);
extern bool ee_shared_available(void);

/* The slots, for readers that iterate; see the locking rule above. */
extern EeDatabaseSlot *ee_shared_database(int i);
extern EeWorkerSlot *ee_shared_worker(int i);
extern int	ee_shared_n_workers(void);
extern int	ee_shared_launcher_pid(void);	/* 0: none */
extern void ee_shared_lock(bool exclusive);
extern void ee_shared_unlock(void);

/* Bits of a pattern, of events of one class. */
extern void ee_shared_pattern_add(EePatternSet *set, const char *pattern,
								  int len, EePriority class);

/* Leave the bits of these classes (a bit each); are there any of one? */
extern void ee_shared_pattern_restrict(EePatternSet *set, uint32 classes);
extern bool ee_shared_pattern_has(const EePatternSet *set, EePriority class);
extern void ee_shared_pattern_all(EePatternSet *set);
extern void ee_shared_pattern_store(EeSharedPatternSet *shared,
									const EePatternSet *set);
extern bool ee_shared_pattern_take(EeSharedPatternSet *shared,
								   EePatternSet *set);
extern bool ee_shared_pattern_empty(const EePatternSet *set);

static inline void
ee_shared_pattern_union(EePatternSet *set, const EePatternSet *more)
{
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
		set->words[w] |= more->words[w];
}

static inline bool
ee_shared_pattern_overlap(const EePatternSet *a, const EePatternSet *b)
{
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
		if ((a->words[w] & b->words[w]) != 0)
			return true;
	return false;
}

/* Called in a transaction; take effect when it commits. */
extern void ee_shared_note_published(const char *pattern, int len,
									 EePriority class);
extern void ee_shared_note_subscription(int32 number);
extern void ee_shared_note_request(const pg_uuid_t *id);
extern void ee_shared_note_changed(void);

/* Called after COMMIT PREPARED, of a transaction that may be any of them. */
extern void ee_shared_note_prepared(void);

/* Launcher */
extern void ee_shared_launcher_attach(void);
extern bool ee_shared_take_launcher_request(void);

/* Slots: reserve (by who starts a process), attach (by the process). */
extern EeDatabaseSlot *ee_shared_reserve_router(Oid dbid, bool *running);
extern EeWorkerSlot *ee_shared_reserve_executor(Oid dbid, Oid roleid,
												int member, bool *running);
extern void ee_shared_free_database(EeDatabaseSlot *slot, Oid dbid);
extern void ee_shared_unreserve_router(EeDatabaseSlot *slot,
									   uint32 generation);
extern void ee_shared_unreserve_executor(EeWorkerSlot *slot,
										 uint32 generation);
extern EeDatabaseSlot *ee_shared_attach_router(int index, uint32 generation);
extern EeWorkerSlot *ee_shared_attach_executor(int index, uint32 generation);
extern EeWorkerSlot *ee_shared_private_executor(void);
extern void ee_shared_executor_count(int delivered, bool failed);
extern int	ee_shared_router_index(EeDatabaseSlot *slot);
extern int	ee_shared_executor_index(EeWorkerSlot *slot);
extern EeDatabaseSlot *ee_shared_my_database(void);
extern bool ee_shared_executor_exists(Oid dbid, Oid roleid, int member);
extern bool ee_shared_executor_runs(Oid dbid, Oid roleid, int member);
extern bool ee_shared_executor_retire(void);

/* Somebody ends this process on purpose.  For a signal handler. */
extern void ee_shared_note_terminated(void);
extern bool ee_shared_was_terminated(void);
extern void ee_shared_executor_nudge(Oid dbid, Oid roleid);

/*
 * Which executors of a role are in a round that began before then?  Since when
 * is the one in its round that has been longest, of those who began it later;
 * *any: is there one who began it before?  DT_NOEND: none.
 */
extern void ee_shared_executor_stuck(Oid dbid, Oid roleid, TimestampTz before,
									 EeSharedStuck *stuck);
extern TimestampTz ee_shared_executor_busy_since(Oid dbid, TimestampTz before,
												 bool *any);

/* Another executor does a round for a member; how often was that for us? */
extern void ee_shared_executor_help(Oid dbid, Oid roleid, int member);
extern uint32 ee_shared_executor_helped(void);

/*
 * A client that waits for events: announce what it wants, then look at the
 * log, then wait for the latch.  False: no slot is free, and it has to poll.
 */
extern bool ee_shared_waiter_attach(void);
extern void ee_shared_waiter_store(const EePatternSet *set);
extern void ee_shared_waiter_detach(void);

/* A subscription, or a request, as a bit among the patterns. */
extern void ee_shared_subscription_add(EePatternSet *set, int32 number);
extern void ee_shared_request_add(EePatternSet *set, const pg_uuid_t *id);

/*
 * Has this executor got news of a more urgent class that it has not taken
 * yet?  Cheap enough to be asked after each event.
 */
extern bool ee_shared_more_urgent(EePriority class);

/* Keep workers out of a database, for DROP DATABASE and its kin. */
extern void ee_shared_hold_database(Oid dbid);
extern void ee_shared_release_database(Oid dbid);

#endif							/* EE_SHARED_H */
