/*
 * shared_counter.c
 *	  What became of the events of each pattern, counted in shared memory.
 *
 * Counters are atomics in a table of fixed size.  Entries are made on demand
 * and go with their database only, so that a process may keep pointers to
 * those of its own database.
 *
 * What a transaction did is added when it commits (commit_count.h).
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "ground/commit_count.h"
#include "ground/config.h"
#include "ground/shared_counter.h"

/* varchar(255) in UTF-8 */
#define MAX_PATTERN_BYTES	(255 * 4)

/* A pattern's entry, known to this process. */
typedef struct Known
{
	uint64		hash;			/* key */
	EePatternCounters *counters;
} Known;

static const char *const source_kinds[EE_N_SOURCE_KINDS] = {
	"workflow", "task", "integration", "external", "other"
};

static HTAB *counters_table = NULL; /* in shared memory */
static LWLock *counters_lock = NULL;

static HTAB *known = NULL;

static EePatternCounters *find(const char *pattern, int len, bool create);
static int	source_kind(const char *source, int len);

/* ------------------------------------------------------------ shared memory */

Size
ee_shared_counter_size(void)
{
	return hash_estimate_size(ee_config_operations_counted_patterns,
							  sizeof(EePatternCounters));
}

void
ee_shared_counter_startup(LWLock *lock)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = offsetof(EePatternCounters, counts);
	ctl.entrysize = sizeof(EePatternCounters);
	counters_table = ShmemInitHash("event_engine counters",
								   ee_config_operations_counted_patterns,
								   ee_config_operations_counted_patterns,
								   &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	counters_lock = lock;
}

EePatternCounters *
ee_shared_counter_find(const char *pattern, int len)
{
	return counters_table == NULL ? NULL : find(pattern, len, false);
}

static EePatternCounters *
find(const char *pattern, int len, bool create)
{
	static char last_pattern[MAX_PATTERN_BYTES];
	static int	last_len = -1;
	static EePatternCounters *last;
	EePatternCounters key;
	EePatternCounters *counters;
	Known	   *mine;
	bool		found;

	if (len == last_len && memcmp(pattern, last_pattern, len) == 0)
		return last;
	memset(&key, 0, offsetof(EePatternCounters, counts));
	key.dbid = MyDatabaseId;
	key.hash = hash_bytes_extended((const unsigned char *) pattern, len, 0);
	if (known == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(uint64);
		ctl.entrysize = sizeof(Known);
		known = hash_create("event_engine known counters", 64, &ctl,
							HASH_ELEM | HASH_BLOBS);
	}
	mine = hash_search(known, &key.hash, HASH_FIND, NULL);
	if (mine != NULL)
	{
		if (len <= MAX_PATTERN_BYTES)
		{
			memcpy(last_pattern, pattern, len);
			last_len = len;
			last = mine->counters;
		}
		return mine->counters;
	}

	LWLockAcquire(counters_lock, LW_SHARED);
	counters = hash_search(counters_table, &key, HASH_FIND, NULL);
	LWLockRelease(counters_lock);
	if (counters == NULL && create)
	{
		LWLockAcquire(counters_lock, LW_EXCLUSIVE);
		counters = hash_search(counters_table, &key, HASH_ENTER_NULL, &found);
		if (counters != NULL && !found)
		{
			pg_atomic_init_u64(&counters->published_at, 0);
			for (int i = 0; i < EE_N_SOURCE_KINDS; i++)
				for (int j = 0; j < EE_N_OUTCOMES; j++)
				{
					pg_atomic_init_u64(&counters->counts[i][j], 0);
					ee_rate_init(&counters->rates[i][j]);
				}
		}
		LWLockRelease(counters_lock);
	}
	/* that there is no room is remembered too, lest all ask for the lock */
	if (counters != NULL || create)
	{
		mine = hash_search(known, &key.hash, HASH_ENTER, NULL);
		mine->counters = counters;
	}
	return counters;
}

void
ee_shared_counter_forget(Oid dbid)
{
	HASH_SEQ_STATUS scan;
	EePatternCounters *counters;

	if (counters_table == NULL)
		return;
	LWLockAcquire(counters_lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, counters_table);
	while ((counters = hash_seq_search(&scan)) != NULL)
		if (counters->dbid == dbid)
			(void) hash_search(counters_table, counters, HASH_REMOVE, NULL);
	LWLockRelease(counters_lock);
}

const char *
ee_shared_counter_source_kind(int i)
{
	return source_kinds[i];
}

static int
source_kind(const char *source, int len)
{
	for (int i = 0; i < EE_N_SOURCE_KINDS - 1; i++)
		if (strlen(source_kinds[i]) == len &&
			memcmp(source_kinds[i], source, len) == 0)
			return i;
	return EE_N_SOURCE_KINDS - 1;
}

/* -------------------------------------------------------------------- rates */

void
ee_shared_counter_tick(double seconds)
{
	HASH_SEQ_STATUS scan;
	EePatternCounters *counters;

	if (counters_table == NULL || seconds <= 0)
		return;
	LWLockAcquire(counters_lock, LW_SHARED);
	hash_seq_init(&scan, counters_table);
	while ((counters = hash_seq_search(&scan)) != NULL)
	{
		if (counters->dbid != MyDatabaseId)
			continue;
		for (int i = 0; i < EE_N_SOURCE_KINDS; i++)
			for (int j = 0; j < EE_N_OUTCOMES; j++)
				ee_rate_tick(&counters->rates[i][j],
							 &counters->counts[i][j], seconds);
	}
	LWLockRelease(counters_lock);
}

/* ------------------------------------------------------------------- counts */

void
ee_shared_counter_add(const char *pattern, int len, const char *source,
					  int source_len, EeOutcome outcome)
{
	EePatternCounters *counters;

	if (counters_table == NULL)
		return;
	counters = find(pattern, len, true);
	if (counters != NULL)
		pg_atomic_fetch_add_u64(&counters->counts[source_kind(source, source_len)][outcome],
								1);
}

void
ee_shared_counter_note(const char *pattern, int len, const char *source,
					   int source_len, EeOutcome outcome, int n)
{
	EePatternCounters *counters;

	if (counters_table == NULL)
		return;
	counters = find(pattern, len, true);
	if (counters != NULL)
		ee_commit_count_add(&counters->counts[source_kind(source, source_len)][outcome],
							outcome == EE_OUTCOME_PUBLISHED ?
							&counters->published_at : NULL, n);
}
