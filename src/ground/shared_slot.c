/*
 * shared_slot.c
 *	  Slots of databases and executors: reserved by who starts a process,
 *	  attached by the process, freed when it ends.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "ground/clock.h"
#include "ground/compat.h"
#include "ground/shared_incident.h"
#include "ground/shared_internal.h"

/* A slot whose process has not come up after so long is free again. */
#define START_TIMEOUT_MS	30000

static volatile sig_atomic_t terminated = false;

EeDatabaseSlot *ee_shared_own_database = NULL;
EeWorkerSlot *ee_shared_own_worker = NULL;

static bool start_expired(EeSlotState state, TimestampTz started_at);
static void detach_launcher(int code, Datum arg);
static void detach_router(int code, Datum arg);
static void detach_executor(int code, Datum arg);
static void leave_to_router(EeDatabaseSlot *db, bool failed);
static bool find_executor(Oid dbid, Oid roleid, int member, bool running);

/* --------------------------------------------------------------- launcher */

void
ee_shared_launcher_attach(void)
{
	on_shmem_exit(detach_launcher, (Datum) 0);
	pg_atomic_write_u32(&ee_shared->launcher_procno, EE_MY_PROCNO);
}

static void
detach_launcher(int code, Datum arg)
{
	pg_atomic_write_u32(&ee_shared->launcher_procno, EE_NO_PROC);
}

bool
ee_shared_take_launcher_request(void)
{
	return pg_atomic_exchange_u32(&ee_shared->launcher_request, 0) != 0;
}

/* ------------------------------------------------------------------ slots */

EeDatabaseSlot *
ee_shared_find_database(Oid dbid)
{
	for (int i = 0; i < EE_MAX_DATABASES; i++)
		if (pg_atomic_read_u32(&ee_shared->databases[i].dbid) == dbid)
			return &ee_shared->databases[i];
	return NULL;
}

/* Find or make the slot of a database; NULL when all are taken. */
EeDatabaseSlot *
ee_shared_claim_database(Oid dbid)
{
	EeDatabaseSlot *db = ee_shared_find_database(dbid);

	Assert(LWLockHeldByMeInMode(ee_shared->lock, LW_EXCLUSIVE));
	if (db == NULL)
	{
		db = ee_shared_find_database(InvalidOid);
		if (db == NULL)
			return NULL;
		db->state = EE_SLOT_FREE;
		db->requested = db->failed = false;
		db->pid = 0;
		pg_atomic_write_u32(&db->procno, EE_NO_PROC);
		pg_atomic_write_u32(&db->changed, 0);
		pg_atomic_write_u32(&db->dirty, 1);
		pg_atomic_write_u32(&db->pressure, 0);
		pg_atomic_write_u64(&db->queue_depth, 0);
		ee_shared_clear_patterns(&db->asleep);
		ee_shared_clear_patterns(&db->news);
		ee_shared_clear_patterns(&db->prepared);
		pg_atomic_write_u32(&db->prepared_changed, 0);
		pg_atomic_write_u32(&db->dbid, dbid);
	}
	return db;
}

EeDatabaseSlot *
ee_shared_my_database(void)
{
	if (ee_shared == NULL)
		return NULL;
	if (ee_shared_own_database == NULL ||
		pg_atomic_read_u32(&ee_shared_own_database->dbid) != MyDatabaseId)
		ee_shared_own_database = ee_shared_find_database(MyDatabaseId);
	return ee_shared_own_database;
}

static bool
start_expired(EeSlotState state, TimestampTz started_at)
{
	return state == EE_SLOT_STARTING &&
		ee_clock_exceeds(started_at, GetCurrentTimestamp(),
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
	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	if (ee_shared_hold_exists(dbid))
		*running = true;
	else
	{
		db = ee_shared_claim_database(dbid);
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
	LWLockRelease(ee_shared->lock);
	return db;
}

/* Free the slot of a database that is no more, unless it is in use. */
void
ee_shared_free_database(EeDatabaseSlot *db, Oid dbid)
{
	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	if (db->state == EE_SLOT_FREE && pg_atomic_read_u32(&db->dbid) == dbid)
		pg_atomic_write_u32(&db->dbid, InvalidOid);
	LWLockRelease(ee_shared->lock);
}

void
ee_shared_unreserve_router(EeDatabaseSlot *db, uint32 generation)
{
	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	if (db->state == EE_SLOT_STARTING && db->generation == generation)
	{
		db->state = EE_SLOT_FREE;
		if (!db->requested && !db->failed)
			pg_atomic_write_u32(&db->dbid, InvalidOid);
	}
	LWLockRelease(ee_shared->lock);
}

/* As ee_shared_reserve_router, for an executor of a role. */
EeWorkerSlot *
ee_shared_reserve_executor(Oid dbid, Oid roleid, int member, bool *running)
{
	EeWorkerSlot *free_slot = NULL;

	*running = false;
	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	if (ee_shared_hold_exists(dbid))
		*running = true;
	for (int i = 0; i < ee_shared->n_workers && !*running; i++)
	{
		EeWorkerSlot *worker = &ee_shared->workers[i];

		if (start_expired(worker->state, worker->started_at))
		{
			worker->state = EE_SLOT_FREE;
			pg_atomic_write_u32(&worker->dbid, InvalidOid);
		}
		if (worker->state == EE_SLOT_FREE)
			free_slot = free_slot ? free_slot : worker;
		else if (pg_atomic_read_u32(&worker->dbid) == dbid &&
				 worker->roleid == roleid && worker->member == member)
			*running = true;
	}
	if (*running)
		free_slot = NULL;
	else if (free_slot != NULL)
	{
		free_slot->state = EE_SLOT_STARTING;
		free_slot->generation++;
		free_slot->roleid = roleid;
		free_slot->member = member;
		free_slot->pid = 0;
		free_slot->started_at = GetCurrentTimestamp();
		pg_atomic_write_u32(&free_slot->procno, EE_NO_PROC);
		pg_atomic_write_u32(&free_slot->changed, 0);
		pg_atomic_write_u32(&free_slot->urgent, 0);
		pg_atomic_write_u64(&free_slot->events, 0);
		pg_atomic_write_u64(&free_slot->batches, 0);
		pg_atomic_write_u64(&free_slot->failures, 0);
		pg_atomic_write_u64(&free_slot->busy_since, 0);
		pg_atomic_write_u32(&free_slot->helped, 0);
		ee_shared_clear_patterns(&free_slot->interest);
		ee_shared_clear_patterns(&free_slot->news);
		pg_atomic_write_u32(&free_slot->dbid, dbid);
	}
	LWLockRelease(ee_shared->lock);
	return free_slot;
}

void
ee_shared_unreserve_executor(EeWorkerSlot *worker, uint32 generation)
{
	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	if (worker->state == EE_SLOT_STARTING && worker->generation == generation)
	{
		worker->state = EE_SLOT_FREE;
		pg_atomic_write_u32(&worker->dbid, InvalidOid);
	}
	LWLockRelease(ee_shared->lock);
}

/*
 * Attach this process to the slot it was started for.  NULL: the slot is no
 * longer ours, or its database is held; then end without connecting.
 */
EeDatabaseSlot *
ee_shared_attach_router(int index, uint32 generation)
{
	EeDatabaseSlot *db = &ee_shared->databases[index];
	bool		mine;

	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	mine = db->state == EE_SLOT_STARTING && db->generation == generation;
	if (mine && ee_shared_hold_exists(pg_atomic_read_u32(&db->dbid)))
	{
		db->state = EE_SLOT_FREE;
		mine = false;
	}
	if (mine)
	{
		ee_shared_own_database = db;
		on_shmem_exit(detach_router, UInt32GetDatum(generation));
		db->state = EE_SLOT_RUNNING;
		db->waits = false;
		db->pid = MyProcPid;
		db->started_at = GetCurrentTimestamp();
		pg_atomic_write_u32(&db->procno, EE_MY_PROCNO);
	}
	LWLockRelease(ee_shared->lock);
	return mine ? db : NULL;
}

static void
detach_router(int code, Datum arg)
{
	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	if (ee_shared_own_database->generation == DatumGetUInt32(arg))
	{
		ee_shared_own_database->state = EE_SLOT_FREE;
		ee_shared_own_database->pid = 0;
		pg_atomic_write_u32(&ee_shared_own_database->procno, EE_NO_PROC);
		ee_shared_clear_patterns(&ee_shared_own_database->asleep);
		/* nobody would ever take it back */
		pg_atomic_write_u32(&ee_shared_own_database->pressure, 0);
		pg_atomic_write_u64(&ee_shared_own_database->queue_depth, 0);
		/* somebody may have created the extension while we were leaving */
		ee_shared_own_database->failed = code != 0;
		if (!ee_shared_own_database->requested && !ee_shared_own_database->failed)
			pg_atomic_write_u32(&ee_shared_own_database->dbid, InvalidOid);
	}
	LWLockRelease(ee_shared->lock);
	/* a router that failed is missed at once */
	ee_shared_set_latch(pg_atomic_read_u32(&ee_shared->launcher_procno));
}

EeWorkerSlot *
ee_shared_attach_executor(int index, uint32 generation)
{
	EeWorkerSlot *worker = &ee_shared->workers[index];
	bool		mine;

	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	mine = worker->state == EE_SLOT_STARTING &&
		worker->generation == generation;
	if (mine && ee_shared_hold_exists(pg_atomic_read_u32(&worker->dbid)))
	{
		worker->state = EE_SLOT_FREE;
		pg_atomic_write_u32(&worker->dbid, InvalidOid);
		mine = false;
	}
	if (mine)
	{
		ee_shared_own_worker = worker;
		on_shmem_exit(detach_executor, UInt32GetDatum(generation));
		worker->state = EE_SLOT_RUNNING;
		worker->pid = MyProcPid;
		worker->started_at = GetCurrentTimestamp();
		pg_atomic_write_u32(&worker->procno, EE_MY_PROCNO);
	}
	LWLockRelease(ee_shared->lock);
	return mine ? worker : NULL;
}

/* For a process that delivers where there is no shared memory. */
EeWorkerSlot *
ee_shared_private_executor(void)
{
	static EeWorkerSlot private_slot;

	Assert(ee_shared == NULL);
	pg_atomic_init_u32(&private_slot.dbid, MyDatabaseId);
	pg_atomic_init_u32(&private_slot.procno, EE_NO_PROC);
	pg_atomic_init_u32(&private_slot.changed, 0);
	pg_atomic_init_u32(&private_slot.urgent, 0);
	pg_atomic_init_u64(&private_slot.events, 0);
	pg_atomic_init_u64(&private_slot.batches, 0);
	pg_atomic_init_u64(&private_slot.failures, 0);
	pg_atomic_init_u64(&private_slot.busy_since, 0);
	pg_atomic_init_u32(&private_slot.helped, 0);
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
	{
		pg_atomic_init_u64(&private_slot.interest.words[w], 0);
		pg_atomic_init_u64(&private_slot.news.words[w], 0);
	}
	ee_shared_own_worker = &private_slot;
	return ee_shared_own_worker;
}

/* A round of this executor is over. */
void
ee_shared_executor_count(int delivered, bool failed)
{
	EeWorkerSlot *worker = ee_shared_own_worker;

	if (delivered > 0)
	{
		pg_atomic_write_u64(&worker->events,
							pg_atomic_read_u64(&worker->events) + delivered);
		pg_atomic_write_u64(&worker->batches,
							pg_atomic_read_u64(&worker->batches) + 1);
	}
	if (failed)
		pg_atomic_write_u64(&worker->failures,
							pg_atomic_read_u64(&worker->failures) + 1);
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
							   pg_atomic_read_u64(&ee_shared_own_worker->interest.words[w]));
	pg_memory_barrier();
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
		if (pg_atomic_read_u64(&ee_shared_own_worker->news.words[w]) != 0)
			return false;
	return true;
}

/* In a signal handler. */
void
ee_shared_note_terminated(void)
{
	terminated = true;
}

bool
ee_shared_was_terminated(void)
{
	return terminated;
}

static void
detach_executor(int code, Datum arg)
{
	EeDatabaseSlot *db;

	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	db = ee_shared_find_database(pg_atomic_read_u32(&ee_shared_own_worker->dbid));
	if (ee_shared_own_worker->generation == DatumGetUInt32(arg))
	{
		if (db != NULL)
			leave_to_router(db, code != 0);
		ee_shared_own_worker->state = EE_SLOT_FREE;
		ee_shared_own_worker->pid = 0;
		pg_atomic_write_u32(&ee_shared_own_worker->procno, EE_NO_PROC);
		ee_shared_clear_patterns(&ee_shared_own_worker->interest);
		pg_atomic_write_u32(&ee_shared_own_worker->dbid, InvalidOid);
	}
	LWLockRelease(ee_shared->lock);
	if (code != 0)
		ee_shared_incident_note(EE_INCIDENT_WORKER_FAILED, NULL, 0);
	/* the router watches over our patterns from now on */
	if (db != NULL)
		ee_shared_set_latch(pg_atomic_read_u32(&db->procno));
}

/*
 * What was published while we were leaving is the router's, who may have
 * seen us still there when it was told.  One that failed is wanted again;
 * if it did not come to say what it wants, somebody is.
 */
static void
leave_to_router(EeDatabaseSlot *db, bool failed)
{
	EePatternSet interest;
	EePatternSet news;

	for (int w = 0; w < EE_PATTERN_WORDS; w++)
		interest.words[w] =
			pg_atomic_read_u64(&ee_shared_own_worker->interest.words[w]);
	(void) ee_shared_pattern_take(&ee_shared_own_worker->news, &news);
	if (failed)
	{
		if (!terminated)
			pg_atomic_fetch_add_u32(&db->failures, 1);
		news = interest;
		if (ee_shared_pattern_empty(&interest))
			ee_shared_pattern_all(&news);
	}
	else if (pg_atomic_read_u32(&ee_shared_own_worker->changed) != 0)
		ee_shared_pattern_all(&news);
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
	{
		pg_atomic_fetch_or_u64(&db->asleep.words[w], interest.words[w]);
		pg_atomic_fetch_or_u64(&db->news.words[w], news.words[w]);
	}
}

int
ee_shared_router_index(EeDatabaseSlot *slot)
{
	return slot - ee_shared->databases;
}

int
ee_shared_executor_index(EeWorkerSlot *slot)
{
	return slot - ee_shared->workers;
}

bool
ee_shared_more_urgent(EePriority class)
{
	EeWorkerSlot *worker = ee_shared_own_worker;
	uint32		urgent = pg_atomic_read_u32(&worker->urgent);

	if (urgent != 0 && (urgent & ((1 << class) - 1)) != 0)
		return true;
	if (class == EE_PRIORITY_LOW)
		for (int w = 0; w < EE_NORMAL_WORDS; w++)
			if (pg_atomic_read_u64(&worker->news.words[w]) != 0)
				return true;
	return false;
}

/* Is there this executor of the role in this database, or coming? */
bool
ee_shared_executor_exists(Oid dbid, Oid roleid, int member)
{
	return find_executor(dbid, roleid, member, false);
}

/* Is it there? */
bool
ee_shared_executor_runs(Oid dbid, Oid roleid, int member)
{
	return find_executor(dbid, roleid, member, true);
}

/* Let the executors of a role look at the log. */
void
ee_shared_executor_nudge(Oid dbid, Oid roleid)
{
	LWLockAcquire(ee_shared->lock, LW_SHARED);
	for (int i = 0; i < ee_shared->n_workers; i++)
	{
		EeWorkerSlot *worker = &ee_shared->workers[i];

		if (pg_atomic_read_u32(&worker->dbid) != dbid ||
			worker->roleid != roleid)
			continue;
		for (int w = 0; w < EE_PATTERN_WORDS; w++)
			pg_atomic_fetch_or_u64(&worker->news.words[w],
								   pg_atomic_read_u64(&worker->interest.words[w]));
		ee_shared_set_latch(pg_atomic_read_u32(&worker->procno));
	}
	LWLockRelease(ee_shared->lock);
}

void
ee_shared_executor_stuck(Oid dbid, Oid roleid, TimestampTz before,
						 EeSharedStuck *stuck)
{
	stuck->members = 0;
	stuck->helpers = 0;
	LWLockAcquire(ee_shared->lock, LW_SHARED);
	for (int i = 0; i < ee_shared->n_workers; i++)
	{
		EeWorkerSlot *worker = &ee_shared->workers[i];
		TimestampTz since;

		if (pg_atomic_read_u32(&worker->dbid) != dbid ||
			worker->roleid != roleid || worker->state != EE_SLOT_RUNNING)
			continue;
		since = (TimestampTz) pg_atomic_read_u64(&worker->busy_since);
		if (since == 0 || since >= before)
			continue;
		if (worker->member < 64)
			stuck->members |= UINT64CONST(1) << worker->member;
		else
			stuck->helpers |= 1 << (worker->member - 64);
	}
	LWLockRelease(ee_shared->lock);
}

TimestampTz
ee_shared_executor_busy_since(Oid dbid, TimestampTz before, bool *any)
{
	TimestampTz earliest = DT_NOEND;

	*any = false;
	for (int i = 0; i < ee_shared->n_workers; i++)
	{
		EeWorkerSlot *worker = &ee_shared->workers[i];
		TimestampTz since =
			(TimestampTz) pg_atomic_read_u64(&worker->busy_since);

		if (since == 0 || pg_atomic_read_u32(&worker->dbid) != dbid)
			continue;
		if (since < before)
			*any = true;
		else
			earliest = Min(earliest, since);
	}
	return earliest;
}

/*
 * To be called before the commit, so that the member sees it when it has the
 * lane's lock, and after it, so that it looks at what was left.
 */
void
ee_shared_executor_help(Oid dbid, Oid roleid, int member)
{
	LWLockAcquire(ee_shared->lock, LW_SHARED);
	for (int i = 0; i < ee_shared->n_workers; i++)
	{
		EeWorkerSlot *worker = &ee_shared->workers[i];

		if (pg_atomic_read_u32(&worker->dbid) != dbid ||
			worker->roleid != roleid || worker->member != member)
			continue;
		pg_atomic_fetch_add_u32(&worker->helped, 1);
		ee_shared_set_latch(pg_atomic_read_u32(&worker->procno));
	}
	LWLockRelease(ee_shared->lock);
}

uint32
ee_shared_executor_helped(void)
{
	return ee_shared_own_worker == NULL ? 0 :
		pg_atomic_read_u32(&ee_shared_own_worker->helped);
}

static bool
find_executor(Oid dbid, Oid roleid, int member, bool running)
{
	bool		exists = false;

	LWLockAcquire(ee_shared->lock, LW_SHARED);
	for (int i = 0; i < ee_shared->n_workers && !exists; i++)
	{
		EeWorkerSlot *worker = &ee_shared->workers[i];

		exists = pg_atomic_read_u32(&worker->dbid) == dbid &&
			worker->roleid == roleid && worker->member == member &&
			(worker->state == EE_SLOT_RUNNING ||
			 (!running && worker->state == EE_SLOT_STARTING &&
			  !start_expired(worker->state, worker->started_at)));
	}
	LWLockRelease(ee_shared->lock);
	return exists;
}
