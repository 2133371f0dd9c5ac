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
#include "ground/debug_point.h"
#include "ground/shared_counter.h"
#include "ground/shared_incident.h"
#include "ground/shared_internal.h"
#include "ground/shared_publisher.h"
#include "ground/shared_subscription.h"

EeShared   *ee_shared = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/* what this transaction has to tell at its commit */
static EePatternSet pending_patterns;
static bool pending_published = false;
static bool pending_changed = false;

static void request_shmem(void);
static void startup_shmem(void);
static Size shmem_size(void);
static uint32 pattern_bit(const char *pattern, int len, EePriority class);
static int	first_word(EePriority class);
static int	n_words(EePriority class);
static void tell_worker(EeWorkerSlot *worker);
static void xact_callback(XactEvent event, void *arg);
static void tell_published(void);
static void remember_prepared(void);
static void tell_changed(void);

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
	return ee_shared != NULL;
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
	RequestAddinShmemSpace(ee_shared_subscription_size());
	RequestAddinShmemSpace(ee_shared_publisher_size());
	RequestAddinShmemSpace(ee_shared_counter_size());
	RequestAddinShmemSpace(ee_shared_incident_size());
	RequestNamedLWLockTranche("event_engine", EE_N_LOCKS);
}

static void
startup_shmem(void)
{
	LWLockPadded *locks;
	void	   *subscriptions;
	void	   *publishers;
	void	   *incidents;
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	locks = GetNamedLWLockTranche("event_engine");
	ee_shared = ShmemInitStruct("event_engine", shmem_size(), &found);
	if (!found)
	{
		memset(ee_shared, 0, shmem_size());
		ee_shared->lock = &locks[EE_LOCK_SLOTS].lock;
		ee_shared->n_workers = ee_config_worker_slots;
		pg_atomic_init_u32(&ee_shared->launcher_procno, EE_NO_PROC);
		pg_atomic_init_u32(&ee_shared->launcher_request, 0);
		for (int i = 0; i < EE_MAX_DATABASES; i++)
		{
			EeDatabaseSlot *db = &ee_shared->databases[i];

			pg_atomic_init_u32(&db->dbid, InvalidOid);
			pg_atomic_init_u32(&db->procno, EE_NO_PROC);
			pg_atomic_init_u32(&db->changed, 0);
			pg_atomic_init_u32(&db->dirty, 0);
			pg_atomic_init_u32(&db->failures, 0);
			pg_atomic_init_u32(&db->pressure, 0);
			pg_atomic_init_u64(&db->queue_depth, 0);
			pg_atomic_init_u32(&db->prepared_changed, 0);
			for (int w = 0; w < EE_PATTERN_WORDS; w++)
			{
				pg_atomic_init_u64(&db->asleep.words[w], 0);
				pg_atomic_init_u64(&db->news.words[w], 0);
				pg_atomic_init_u64(&db->prepared.words[w], 0);
			}
		}
		ee_shared_waiters_init();
		for (int i = 0; i < ee_shared->n_workers; i++)
		{
			EeWorkerSlot *worker = &ee_shared->workers[i];

			pg_atomic_init_u32(&worker->dbid, InvalidOid);
			pg_atomic_init_u32(&worker->procno, EE_NO_PROC);
			pg_atomic_init_u32(&worker->changed, 0);
			pg_atomic_init_u32(&worker->urgent, 0);
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
	subscriptions = ShmemInitStruct("event_engine subscriptions",
									ee_shared_subscription_size(), &found);
	ee_shared_subscription_startup(subscriptions, found,
								   &locks[EE_LOCK_SUBSCRIPTIONS].lock);
	publishers = ShmemInitStruct("event_engine publishers",
								 ee_shared_publisher_size(), &found);
	ee_shared_publisher_startup(publishers, found);
	incidents = ShmemInitStruct("event_engine incidents",
								ee_shared_incident_size(), &found);
	ee_shared_incident_startup(incidents, found,
							   &locks[EE_LOCK_INCIDENTS].lock);
	ee_shared_counter_startup(&locks[EE_LOCK_COUNTERS].lock);
	LWLockRelease(AddinShmemInitLock);
}

EeDatabaseSlot *
ee_shared_database(int i)
{
	return &ee_shared->databases[i];
}

EeWorkerSlot *
ee_shared_worker(int i)
{
	return &ee_shared->workers[i];
}

int
ee_shared_n_workers(void)
{
	return ee_shared ? ee_shared->n_workers : 0;
}

int
ee_shared_launcher_pid(void)
{
	uint32		procno = pg_atomic_read_u32(&ee_shared->launcher_procno);

	return procno == EE_NO_PROC ? 0 : GetPGProcByNumber(procno)->pid;
}

void
ee_shared_lock(bool exclusive)
{
	LWLockAcquire(ee_shared->lock, exclusive ? LW_EXCLUSIVE : LW_SHARED);
}

void
ee_shared_unlock(void)
{
	LWLockRelease(ee_shared->lock);
}

/* ---------------------------------------------------------------- patterns */

/* Where the words of a class begin, and how many there are. */
static int
first_word(EePriority class)
{
	switch (class)
	{
		case EE_PRIORITY_CRITICAL:
			return EE_NORMAL_WORDS;
		case EE_PRIORITY_HIGH:
			return EE_NORMAL_WORDS + EE_CLASS_WORDS;
		case EE_PRIORITY_LOW:
			return EE_NORMAL_WORDS + 2 * EE_CLASS_WORDS;
		case EE_PRIORITY_NORMAL:
			break;
	}
	return 0;
}

static int
n_words(EePriority class)
{
	return class == EE_PRIORITY_NORMAL ? EE_NORMAL_WORDS : EE_CLASS_WORDS;
}

static uint32
pattern_bit(const char *pattern, int len, EePriority class)
{
	return first_word(class) * 64 +
		hash_bytes((const unsigned char *) pattern, len) %
		(n_words(class) * 64);
}

void
ee_shared_pattern_restrict(EePatternSet *set, uint32 classes)
{
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		if ((classes & (1 << class)) == 0)
			memset(&set->words[first_word(class)], 0,
				   sizeof(uint64) * n_words(class));
}

bool
ee_shared_pattern_has(const EePatternSet *set, EePriority class)
{
	for (int w = 0; w < n_words(class); w++)
		if (set->words[first_word(class) + w] != 0)
			return true;
	return false;
}

void
ee_shared_pattern_add(EePatternSet *set, const char *pattern, int len,
					  EePriority class)
{
	uint32		bit = pattern_bit(pattern, len, class);

	set->words[bit / 64] |= UINT64CONST(1) << (bit % 64);
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

void
ee_shared_clear_patterns(EeSharedPatternSet *set)
{
	EePatternSet nothing;

	(void) ee_shared_pattern_take(set, &nothing);
}

/* ------------------------------------------------------------ at commit */

void
ee_shared_note_published(const char *pattern, int len, EePriority class)
{
	if (ee_shared == NULL)
		return;
	ee_shared_pattern_add(&pending_patterns, pattern, len, class);
	pending_published = true;
}

/* Something of the subscription may be due: clients that wait are to look. */
void
ee_shared_note_subscription(int32 number)
{
	if (ee_shared == NULL)
		return;
	ee_shared_subscription_add(&pending_patterns, number);
	pending_published = true;
}

/* A request has been replied to: whoever waits for it is to look. */
void
ee_shared_note_request(const pg_uuid_t *id)
{
	if (ee_shared == NULL)
		return;
	ee_shared_request_add(&pending_patterns, id);
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
			ee_debug_point("store_after_commit");
			if (ee_shared != NULL)
			{
				if (pending_changed)
					tell_changed();
				if (pending_published)
					tell_published();
			}
			break;
		case XACT_EVENT_PRE_COMMIT:
			ee_debug_point("store_before_commit");
			return;
		case XACT_EVENT_PREPARE:
			remember_prepared();
			break;
		case XACT_EVENT_ABORT:
			break;
		default:
			return;
	}
	memset(&pending_patterns, 0, sizeof(pending_patterns));
	pending_published = pending_changed = false;
}

/*
 * COMMIT PREPARED has no callback of its own, and neither says what was
 * published.  After a restart of the server, which forgets it, the poll finds
 * such a transaction: it was in progress when the poll looked first.
 */
static void
remember_prepared(void)
{
	EeDatabaseSlot *db = ee_shared_my_database();

	if (db == NULL)
		return;
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
		if (pending_patterns.words[w] != 0)
			pg_atomic_fetch_or_u64(&db->prepared.words[w],
								   pending_patterns.words[w]);
	if (pending_changed)
		pg_atomic_write_u32(&db->prepared_changed, 1);
}

void
ee_shared_note_prepared(void)
{
	EeDatabaseSlot *db = ee_shared_my_database();

	if (db == NULL)
		return;
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
	{
		uint64		bits = pg_atomic_read_u64(&db->prepared.words[w]);

		pending_patterns.words[w] |= bits;
		pending_published |= bits != 0;
	}
	pending_changed |= pg_atomic_read_u32(&db->prepared_changed) != 0;
}

void
ee_shared_set_latch(uint32 procno)
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

	for (int i = 0; i < ee_shared->n_workers; i++)
	{
		EeWorkerSlot *worker = &ee_shared->workers[i];

		if (pg_atomic_read_u32(&worker->dbid) == MyDatabaseId)
			tell_worker(worker);
	}
	ee_shared_waiters_wake(&pending_patterns);

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
			ee_shared_set_latch(pg_atomic_read_u32(&db->procno));
	}
}

/* The bits first: whoever sees that there is something urgent takes them. */
static void
tell_worker(EeWorkerSlot *worker)
{
	EePatternSet news;
	bool		wanted = false;
	uint32		urgent = 0;

	for (int w = 0; w < EE_PATTERN_WORDS; w++)
	{
		news.words[w] = pending_patterns.words[w];
		if (news.words[w] == 0)
			continue;
		news.words[w] &= pg_atomic_read_u64(&worker->interest.words[w]);
		if (news.words[w] != 0)
		{
			pg_atomic_fetch_or_u64(&worker->news.words[w], news.words[w]);
			wanted = true;
		}
	}
	if (!wanted)
		return;
	for (int class = 0; class < EE_PRIORITY_NORMAL; class++)
		if (ee_shared_pattern_has(&news, class))
			urgent |= 1 << class;
	if (urgent != 0)
		pg_atomic_fetch_or_u32(&worker->urgent, urgent);
	if (worker != ee_shared_own_worker)
		ee_shared_set_latch(pg_atomic_read_u32(&worker->procno));
}

/* Definitions, subscriptions or the extension itself changed. */
static void
tell_changed(void)
{
	EeDatabaseSlot *db;

	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	db = ee_shared_claim_database(MyDatabaseId);
	if (db != NULL)
		db->requested = true;
	LWLockRelease(ee_shared->lock);
	if (db == NULL || db->state == EE_SLOT_FREE)
	{
		pg_atomic_write_u32(&ee_shared->launcher_request, 1);
		ee_shared_set_latch(pg_atomic_read_u32(&ee_shared->launcher_procno));
	}

	/*
	 * Executors first: one that the router then sees running hands the news
	 * back if it leaves before it has read it.
	 */
	for (int i = 0; i < ee_shared->n_workers; i++)
	{
		EeWorkerSlot *worker = &ee_shared->workers[i];

		if (pg_atomic_read_u32(&worker->dbid) == MyDatabaseId)
		{
			pg_atomic_write_u32(&worker->changed, 1);
			ee_shared_set_latch(pg_atomic_read_u32(&worker->procno));
		}
	}
	ee_shared_waiters_wake(NULL);
	pg_memory_barrier();
	if (db != NULL)
	{
		pg_atomic_write_u32(&db->changed, 1);
		ee_shared_set_latch(pg_atomic_read_u32(&db->procno));
	}
}
