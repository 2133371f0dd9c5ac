/*
 * shared.c
 *	  All shared memory of event_engine, and the wake at commit.
 *
 * Publishers never wait here and never send a NOTIFY: at commit they set bits
 * in the slots of executors that want their patterns, and a latch.  Whoever
 * waits for news stores what it wants first and looks at the log afterwards,
 * with a full barrier between; a publisher commits first and looks at the
 * slots afterwards.  So either the reader's snapshot sees the event or the
 * publisher sees the reader.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "ground/compat.h"
#include "ground/config.h"
#include "ground/shared.h"
#include "ground/waits.h"

/* A slot whose process has not come up after so long is free again. */
#define START_TIMEOUT_MS	30000

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
	int			n_workers;		/* written once, at start */
	EeWorkerSlot workers[FLEXIBLE_ARRAY_MEMBER];	/* lock, see shared.h */
};

static EeShared *shared = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/* what this transaction has to tell at its commit */
static EePatternSet pending_patterns;
static bool pending_published = false;
static bool pending_changed = false;

static EeDatabaseSlot *my_database = NULL;
static EeWorkerSlot *my_worker = NULL;

static void request_shmem(void);
static void startup_shmem(void);
static Size shmem_size(void);
static uint32 pattern_bit(const char *pattern, int len);
static void xact_callback(XactEvent event, void *arg);
static void tell_published(void);
static void tell_changed(void);
static void set_latch_of(uint32 procno);
static EeDatabaseSlot *find_database(Oid dbid);
static EeDatabaseSlot *claim_database(Oid dbid);
static bool start_expired(EeSlotState state, TimestampTz started_at);
static void detach_router(int code, Datum arg);
static void detach_executor(int code, Datum arg);
static void detach_launcher(int code, Datum arg);
static bool hold_exists(Oid dbid);
static bool signal_workers(Oid dbid);
static void clear_patterns(EeSharedPatternSet *set);

void
ee_shared_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	if (!process_shared_preload_libraries_in_progress)
		return;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

bool
ee_shared_available(void)
{
	return shared != NULL;
}

static Size
shmem_size(void)
{
	return add_size(offsetof(EeShared, workers),
					mul_size(sizeof(EeWorkerSlot), ee_config_worker_slots));
}

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(shmem_size());
	RequestNamedLWLockTranche("event_engine", 1);
}

static void
startup_shmem(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("event_engine", shmem_size(), &found);
	if (!found)
	{
		memset(shared, 0, shmem_size());
		shared->lock = &(GetNamedLWLockTranche("event_engine"))->lock;
		shared->n_workers = ee_config_worker_slots;
		pg_atomic_init_u32(&shared->launcher_procno, EE_NO_PROC);
		pg_atomic_init_u32(&shared->launcher_request, 0);
		for (int i = 0; i < EE_MAX_DATABASES; i++)
		{
			EeDatabaseSlot *db = &shared->databases[i];

			pg_atomic_init_u32(&db->dbid, InvalidOid);
			pg_atomic_init_u32(&db->procno, EE_NO_PROC);
			pg_atomic_init_u32(&db->changed, 0);
			pg_atomic_init_u32(&db->dirty, 0);
			pg_atomic_init_u32(&db->failures, 0);
			for (int w = 0; w < EE_PATTERN_WORDS; w++)
			{
				pg_atomic_init_u64(&db->asleep.words[w], 0);
				pg_atomic_init_u64(&db->news.words[w], 0);
			}
		}
		for (int i = 0; i < shared->n_workers; i++)
		{
			EeWorkerSlot *worker = &shared->workers[i];

			pg_atomic_init_u32(&worker->dbid, InvalidOid);
			pg_atomic_init_u32(&worker->procno, EE_NO_PROC);
			pg_atomic_init_u32(&worker->changed, 0);
			pg_atomic_init_u64(&worker->events, 0);
			pg_atomic_init_u64(&worker->batches, 0);
			pg_atomic_init_u64(&worker->failures, 0);
			pg_atomic_init_u64(&worker->busy_since, 0);
			for (int w = 0; w < EE_PATTERN_WORDS; w++)
			{
				pg_atomic_init_u64(&worker->interest.words[w], 0);
				pg_atomic_init_u64(&worker->news.words[w], 0);
			}
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

EeDatabaseSlot *
ee_shared_database(int i)
{
	return &shared->databases[i];
}

EeWorkerSlot *
ee_shared_worker(int i)
{
	return &shared->workers[i];
}

int
ee_shared_n_workers(void)
{
	return shared ? shared->n_workers : 0;
}

void
ee_shared_lock(bool exclusive)
{
	LWLockAcquire(shared->lock, exclusive ? LW_EXCLUSIVE : LW_SHARED);
}

void
ee_shared_unlock(void)
{
	LWLockRelease(shared->lock);
}

/* ---------------------------------------------------------------- patterns */

static uint32
pattern_bit(const char *pattern, int len)
{
	return hash_bytes((const unsigned char *) pattern, len) %
		(EE_PATTERN_WORDS * 64);
}

void
ee_shared_pattern_add(EePatternSet *set, const char *pattern, int len)
{
	uint32		bit = pattern_bit(pattern, len);

	set->words[bit / 64] |= UINT64CONST(1) << (bit % 64);
}

bool
ee_shared_pattern_test(const EePatternSet *set, const char *pattern, int len)
{
	uint32		bit = pattern_bit(pattern, len);

	return (set->words[bit / 64] & (UINT64CONST(1) << (bit % 64))) != 0;
}

void
ee_shared_pattern_all(EePatternSet *set)
{
	memset(set, 0xff, sizeof(*set));
}

bool
ee_shared_pattern_empty(const EePatternSet *set)
{
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
		if (set->words[w] != 0)
			return false;
	return true;
}

/* Publish what somebody waits for; a full barrier follows. */
void
ee_shared_pattern_store(EeSharedPatternSet *to, const EePatternSet *set)
{
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
		pg_atomic_write_u64(&to->words[w], set->words[w]);
	pg_memory_barrier();
}

/* Take and clear; true when there was anything. */
bool
ee_shared_pattern_take(EeSharedPatternSet *from, EePatternSet *set)
{
	bool		any = false;

	for (int w = 0; w < EE_PATTERN_WORDS; w++)
	{
		set->words[w] = pg_atomic_read_u64(&from->words[w]) == 0 ? 0 :
			pg_atomic_exchange_u64(&from->words[w], 0);
		any |= set->words[w] != 0;
	}
	return any;
}

static void
clear_patterns(EeSharedPatternSet *set)
{
	EePatternSet nothing;

	(void) ee_shared_pattern_take(set, &nothing);
}

/* ------------------------------------------------------------ at commit */

void
ee_shared_note_published(const char *pattern, int len)
{
	if (shared == NULL)
		return;
	ee_shared_pattern_add(&pending_patterns, pattern, len);
	pending_published = true;
}

void
ee_shared_note_changed(void)
{
	pending_changed = true;
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (!pending_published && !pending_changed)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			if (shared != NULL)
			{
				if (pending_changed)
					tell_changed();
				if (pending_published)
					tell_published();
			}
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			/* COMMIT PREPARED has no callback: the poll finds it */
			break;
		default:
			return;
	}
	memset(&pending_patterns, 0, sizeof(pending_patterns));
	pending_published = pending_changed = false;
}

static void
set_latch_of(uint32 procno)
{
	if (procno != EE_NO_PROC)
		SetLatch(&GetPGProcByNumber(procno)->procLatch);
}

/* The commit is visible already: let those know who want its patterns. */
static void
tell_published(void)
{
	EeDatabaseSlot *db = ee_shared_my_database();

	pg_memory_barrier();

	for (int i = 0; i < shared->n_workers; i++)
	{
		EeWorkerSlot *worker = &shared->workers[i];
		bool		wanted = false;

		if (pg_atomic_read_u32(&worker->dbid) != MyDatabaseId)
			continue;
		for (int w = 0; w < EE_PATTERN_WORDS; w++)
		{
			uint64		bits = pending_patterns.words[w];

			if (bits == 0)
				continue;
			bits &= pg_atomic_read_u64(&worker->interest.words[w]);
			if (bits != 0)
			{
				pg_atomic_fetch_or_u64(&worker->news.words[w], bits);
				wanted = true;
			}
		}
		if (wanted && worker != my_worker)
			set_latch_of(pg_atomic_read_u32(&worker->procno));
	}

	if (db != NULL)
	{
		bool		wanted = false;

		if (pg_atomic_read_u32(&db->dirty) == 0)
			pg_atomic_write_u32(&db->dirty, 1);
		for (int w = 0; w < EE_PATTERN_WORDS; w++)
		{
			uint64		bits = pending_patterns.words[w];

			if (bits == 0)
				continue;
			bits &= pg_atomic_read_u64(&db->asleep.words[w]);
			if (bits != 0)
			{
				pg_atomic_fetch_or_u64(&db->news.words[w], bits);
				wanted = true;
			}
		}
		if (wanted)
			set_latch_of(pg_atomic_read_u32(&db->procno));
	}
}

/* Definitions, subscriptions or the extension itself changed. */
static void
tell_changed(void)
{
	EeDatabaseSlot *db;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	db = claim_database(MyDatabaseId);
	if (db != NULL)
		db->requested = true;
	LWLockRelease(shared->lock);
	if (db == NULL || db->state == EE_SLOT_FREE)
	{
		pg_atomic_write_u32(&shared->launcher_request, 1);
		set_latch_of(pg_atomic_read_u32(&shared->launcher_procno));
	}
	if (db != NULL)
	{
		pg_atomic_write_u32(&db->changed, 1);
		set_latch_of(pg_atomic_read_u32(&db->procno));
	}
	for (int i = 0; i < shared->n_workers; i++)
	{
		EeWorkerSlot *worker = &shared->workers[i];

		if (pg_atomic_read_u32(&worker->dbid) == MyDatabaseId)
		{
			pg_atomic_write_u32(&worker->changed, 1);
			set_latch_of(pg_atomic_read_u32(&worker->procno));
		}
	}
}

/* --------------------------------------------------------------- launcher */

void
ee_shared_launcher_attach(void)
{
	on_shmem_exit(detach_launcher, (Datum) 0);
	pg_atomic_write_u32(&shared->launcher_procno, EE_MY_PROCNO);
}

static void
detach_launcher(int code, Datum arg)
{
	pg_atomic_write_u32(&shared->launcher_procno, EE_NO_PROC);
}

bool
ee_shared_take_launcher_request(void)
{
	return pg_atomic_exchange_u32(&shared->launcher_request, 0) != 0;
}

/* ------------------------------------------------------------------ slots */

static EeDatabaseSlot *
find_database(Oid dbid)
{
	for (int i = 0; i < EE_MAX_DATABASES; i++)
		if (pg_atomic_read_u32(&shared->databases[i].dbid) == dbid)
			return &shared->databases[i];
	return NULL;
}

/* Find or make the slot of a database; NULL when all are taken. */
static EeDatabaseSlot *
claim_database(Oid dbid)
{
	EeDatabaseSlot *db = find_database(dbid);

	Assert(LWLockHeldByMeInMode(shared->lock, LW_EXCLUSIVE));
	if (db == NULL)
	{
		db = find_database(InvalidOid);
		if (db == NULL)
			return NULL;
		db->state = EE_SLOT_FREE;
		db->requested = db->failed = false;
		db->pid = 0;
		pg_atomic_write_u32(&db->procno, EE_NO_PROC);
		pg_atomic_write_u32(&db->changed, 0);
		pg_atomic_write_u32(&db->dirty, 1);
		clear_patterns(&db->asleep);
		clear_patterns(&db->news);
		pg_atomic_write_u32(&db->dbid, dbid);
	}
	return db;
}

EeDatabaseSlot *
ee_shared_my_database(void)
{
	if (shared == NULL)
		return NULL;
	if (my_database == NULL ||
		pg_atomic_read_u32(&my_database->dbid) != MyDatabaseId)
		my_database = find_database(MyDatabaseId);
	return my_database;
}

static bool
start_expired(EeSlotState state, TimestampTz started_at)
{
	return state == EE_SLOT_STARTING &&
		TimestampDifferenceExceeds(started_at, GetCurrentTimestamp(),
								   START_TIMEOUT_MS);
}

/*
 * Reserve the right to start a router.  NULL with *running set: one is there
 * already, or the database is held; NULL without: no slot is free.
 */
EeDatabaseSlot *
ee_shared_reserve_router(Oid dbid, bool *running)
{
	EeDatabaseSlot *db = NULL;

	*running = false;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (hold_exists(dbid))
		*running = true;
	else
	{
		db = claim_database(dbid);
		if (db != NULL)
		{
			if (db->state == EE_SLOT_FREE ||
				start_expired(db->state, db->started_at))
			{
				db->state = EE_SLOT_STARTING;
				db->requested = db->failed = false;
				db->generation++;
				db->started_at = GetCurrentTimestamp();
			}
			else
			{
				*running = true;
				db = NULL;
			}
		}
	}
	LWLockRelease(shared->lock);
	return db;
}

/* Free the slot of a database that is no more, unless it is in use. */
void
ee_shared_free_database(EeDatabaseSlot *db, Oid dbid)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (db->state == EE_SLOT_FREE && pg_atomic_read_u32(&db->dbid) == dbid)
		pg_atomic_write_u32(&db->dbid, InvalidOid);
	LWLockRelease(shared->lock);
}

void
ee_shared_unreserve_router(EeDatabaseSlot *db, uint32 generation)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (db->state == EE_SLOT_STARTING && db->generation == generation)
	{
		db->state = EE_SLOT_FREE;
		if (!db->requested && !db->failed)
			pg_atomic_write_u32(&db->dbid, InvalidOid);
	}
	LWLockRelease(shared->lock);
}

/* As ee_shared_reserve_router, for the executor of a role. */
EeWorkerSlot *
ee_shared_reserve_executor(Oid dbid, Oid roleid, bool *running)
{
	EeWorkerSlot *free_slot = NULL;

	*running = false;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (hold_exists(dbid))
		*running = true;
	for (int i = 0; i < shared->n_workers && !*running; i++)
	{
		EeWorkerSlot *worker = &shared->workers[i];

		if (start_expired(worker->state, worker->started_at))
		{
			worker->state = EE_SLOT_FREE;
			pg_atomic_write_u32(&worker->dbid, InvalidOid);
		}
		if (worker->state == EE_SLOT_FREE)
			free_slot = free_slot ? free_slot : worker;
		else if (pg_atomic_read_u32(&worker->dbid) == dbid &&
				 worker->roleid == roleid)
			*running = true;
	}
	if (*running)
		free_slot = NULL;
	else if (free_slot != NULL)
	{
		free_slot->state = EE_SLOT_STARTING;
		free_slot->generation++;
		free_slot->roleid = roleid;
		free_slot->pid = 0;
		free_slot->started_at = GetCurrentTimestamp();
		pg_atomic_write_u32(&free_slot->procno, EE_NO_PROC);
		pg_atomic_write_u32(&free_slot->changed, 0);
		pg_atomic_write_u64(&free_slot->events, 0);
		pg_atomic_write_u64(&free_slot->batches, 0);
		pg_atomic_write_u64(&free_slot->failures, 0);
		pg_atomic_write_u64(&free_slot->busy_since, 0);
		clear_patterns(&free_slot->interest);
		clear_patterns(&free_slot->news);
		pg_atomic_write_u32(&free_slot->dbid, dbid);
	}
	LWLockRelease(shared->lock);
	return free_slot;
}

void
ee_shared_unreserve_executor(EeWorkerSlot *worker, uint32 generation)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (worker->state == EE_SLOT_STARTING && worker->generation == generation)
	{
		worker->state = EE_SLOT_FREE;
		pg_atomic_write_u32(&worker->dbid, InvalidOid);
	}
	LWLockRelease(shared->lock);
}

/*
 * Attach this process to the slot it was started for.  NULL: the slot is no
 * longer ours, or its database is held; then end without connecting.
 */
EeDatabaseSlot *
ee_shared_attach_router(int index, uint32 generation)
{
	EeDatabaseSlot *db = &shared->databases[index];
	bool		mine;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	mine = db->state == EE_SLOT_STARTING && db->generation == generation;
	if (mine && hold_exists(pg_atomic_read_u32(&db->dbid)))
	{
		db->state = EE_SLOT_FREE;
		mine = false;
	}
	if (mine)
	{
		my_database = db;
		on_shmem_exit(detach_router, UInt32GetDatum(generation));
		db->state = EE_SLOT_RUNNING;
		db->pid = MyProcPid;
		db->started_at = GetCurrentTimestamp();
		pg_atomic_write_u32(&db->procno, EE_MY_PROCNO);
	}
	LWLockRelease(shared->lock);
	return mine ? db : NULL;
}

static void
detach_router(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (my_database->generation == DatumGetUInt32(arg))
	{
		my_database->state = EE_SLOT_FREE;
		my_database->pid = 0;
		pg_atomic_write_u32(&my_database->procno, EE_NO_PROC);
		clear_patterns(&my_database->asleep);
		/* somebody may have created the extension while we were leaving */
		my_database->failed = code != 0;
		if (!my_database->requested && !my_database->failed)
			pg_atomic_write_u32(&my_database->dbid, InvalidOid);
	}
	LWLockRelease(shared->lock);
	/* a router that failed is missed at once */
	set_latch_of(pg_atomic_read_u32(&shared->launcher_procno));
}

EeWorkerSlot *
ee_shared_attach_executor(int index, uint32 generation)
{
	EeWorkerSlot *worker = &shared->workers[index];
	bool		mine;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	mine = worker->state == EE_SLOT_STARTING &&
		worker->generation == generation;
	if (mine && hold_exists(pg_atomic_read_u32(&worker->dbid)))
	{
		worker->state = EE_SLOT_FREE;
		pg_atomic_write_u32(&worker->dbid, InvalidOid);
		mine = false;
	}
	if (mine)
	{
		my_worker = worker;
		on_shmem_exit(detach_executor, UInt32GetDatum(generation));
		worker->state = EE_SLOT_RUNNING;
		worker->pid = MyProcPid;
		worker->started_at = GetCurrentTimestamp();
		pg_atomic_write_u32(&worker->procno, EE_MY_PROCNO);
	}
	LWLockRelease(shared->lock);
	return mine ? worker : NULL;
}

/*
 * Nothing is missed while no executor runs: the router is asked to watch our
 * patterns before they are taken back.  False when there is news by now.
 */
bool
ee_shared_executor_retire(void)
{
	EeDatabaseSlot *db = ee_shared_my_database();

	if (db == NULL)
		return true;
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
		pg_atomic_fetch_or_u64(&db->asleep.words[w],
							   pg_atomic_read_u64(&my_worker->interest.words[w]));
	pg_memory_barrier();
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
		if (pg_atomic_read_u64(&my_worker->news.words[w]) != 0)
			return false;
	return true;
}

static void
detach_executor(int code, Datum arg)
{
	EeDatabaseSlot *db;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	db = find_database(pg_atomic_read_u32(&my_worker->dbid));
	if (my_worker->generation == DatumGetUInt32(arg))
	{
		/* one that failed is wanted again */
		if (code != 0 && db != NULL)
		{
			pg_atomic_fetch_add_u32(&db->failures, 1);
			for (int w = 0; w < EE_PATTERN_WORDS; w++)
			{
				uint64		bits =
					pg_atomic_read_u64(&my_worker->interest.words[w]);

				pg_atomic_fetch_or_u64(&db->asleep.words[w], bits);
				pg_atomic_fetch_or_u64(&db->news.words[w], bits);
			}
		}
		my_worker->state = EE_SLOT_FREE;
		my_worker->pid = 0;
		pg_atomic_write_u32(&my_worker->procno, EE_NO_PROC);
		clear_patterns(&my_worker->interest);
		pg_atomic_write_u32(&my_worker->dbid, InvalidOid);
	}
	LWLockRelease(shared->lock);
	/* the router watches over our patterns from now on */
	if (db != NULL)
		set_latch_of(pg_atomic_read_u32(&db->procno));
}

int
ee_shared_router_index(EeDatabaseSlot *slot)
{
	return slot - shared->databases;
}

int
ee_shared_executor_index(EeWorkerSlot *slot)
{
	return slot - shared->workers;
}

/* Is there an executor of this role in this database? */
bool
ee_shared_executor_exists(Oid dbid, Oid roleid)
{
	bool		exists = false;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < shared->n_workers && !exists; i++)
	{
		EeWorkerSlot *worker = &shared->workers[i];

		exists = pg_atomic_read_u32(&worker->dbid) == dbid &&
			worker->roleid == roleid && worker->state != EE_SLOT_FREE &&
			!start_expired(worker->state, worker->started_at);
	}
	LWLockRelease(shared->lock);
	return exists;
}

/* ------------------------------------------------------------------ holds */

static bool
hold_exists(Oid dbid)
{
	for (int i = 0; i < EE_MAX_HOLDS; i++)
	{
		EeHold	   *hold = &shared->holds[i];

		if (hold->dbid == dbid && BackendPidGetProc(hold->pid) != NULL)
			return true;
	}
	return false;
}

bool
ee_shared_is_held(Oid dbid)
{
	bool		held;

	LWLockAcquire(shared->lock, LW_SHARED);
	held = hold_exists(dbid);
	LWLockRelease(shared->lock);
	return held;
}

/*
 * End our workers in a database and let none start until it is released or
 * this backend ends.  Waits until they are gone; interruptible, the caller
 * releases then.  With all holds taken the workers are ended all the same.
 */
void
ee_shared_hold_database(Oid dbid)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < EE_MAX_HOLDS; i++)
	{
		EeHold	   *hold = &shared->holds[i];

		if (!OidIsValid(hold->dbid) || BackendPidGetProc(hold->pid) == NULL)
		{
			hold->dbid = dbid;
			hold->pid = MyProcPid;
			break;
		}
	}
	LWLockRelease(shared->lock);

	while (signal_workers(dbid))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 10L, ee_waits_event(EE_WAIT_HOLD));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* True while there is one that has not ended. */
static bool
signal_workers(Oid dbid)
{
	bool		any = false;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < EE_MAX_DATABASES; i++)
	{
		EeDatabaseSlot *db = &shared->databases[i];

		if (pg_atomic_read_u32(&db->dbid) == dbid &&
			db->state == EE_SLOT_RUNNING)
		{
			kill(db->pid, SIGTERM);
			any = true;
		}
	}
	for (int i = 0; i < shared->n_workers; i++)
	{
		EeWorkerSlot *worker = &shared->workers[i];

		if (pg_atomic_read_u32(&worker->dbid) == dbid &&
			worker->state == EE_SLOT_RUNNING)
		{
			kill(worker->pid, SIGTERM);
			any = true;
		}
	}
	LWLockRelease(shared->lock);
	return any;
}

void
ee_shared_release_database(Oid dbid)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < EE_MAX_HOLDS; i++)
		if (shared->holds[i].dbid == dbid && shared->holds[i].pid == MyProcPid)
			shared->holds[i].dbid = InvalidOid;
	LWLockRelease(shared->lock);
	pg_atomic_write_u32(&shared->launcher_request, 1);
	set_latch_of(pg_atomic_read_u32(&shared->launcher_procno));
}
