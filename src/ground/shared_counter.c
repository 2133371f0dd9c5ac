/*
 * shared_counter.c
 *	  What became of the events of each pattern, counted in shared memory.
 *
 * Counters are atomics in a table of fixed size.  Entries are made on demand
 * and go with their database only, so that a process may keep pointers to
 * those of its own database.
 *
 * What a transaction did is noted in its own memory, apart for each level of
 * subtransactions, and added when it commits: a row of the shared table is
 * touched once a transaction, not once an event.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ground/config.h"
#include "ground/shared_counter.h"

/* A rate follows a change by 63 % within this time. */
#define RATE_SECONDS	60.0

/* varchar(255) in UTF-8 */
#define MAX_PATTERN_BYTES	(255 * 4)

/* How far back a note is looked for before another one is made. */
#define NOTES_SEARCHED	32

typedef struct Note
{
	EePatternCounters *counters;
	int			cell;			/* source and outcome */
	int			level;			/* of subtransactions */
	int64		n;
} Note;

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
static Note *notes = NULL;		/* of this transaction, levels ascending */
static int	n_notes = 0;
static int	max_notes = 0;
static bool callbacks_registered = false;

static EePatternCounters *find(const char *pattern, int len, bool create);
static int	source_kind(const char *source, int len);
static void count(EePatternCounters *counters, int cell, int64 n);
static Note *current_note(EePatternCounters *counters, int cell);
static void make_room(void);
static void merge_notes(void);
static int	compare_notes(const void *a, const void *b);
static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId mine,
							 SubTransactionId parent, void *arg);

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
					pg_atomic_init_u64(&counters->rates[i][j].seen, 0);
					pg_atomic_init_u64(&counters->rates[i][j].rate, 0);
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

static void
count(EePatternCounters *counters, int cell, int64 n)
{
	EeOutcome	outcome = cell % EE_N_OUTCOMES;

	pg_atomic_fetch_add_u64(&counters->counts[cell / EE_N_OUTCOMES][outcome],
							n);
	if (outcome == EE_OUTCOME_PUBLISHED)
		pg_atomic_write_u64(&counters->published_at,
							GetCurrentTransactionStopTimestamp());
}

/* -------------------------------------------------------------------- rates */

/* An exponentially weighted mean, as the load averages of an operating system. */
void
ee_shared_counter_rate(EeSharedRate *rate, uint64 counter, double seconds)
{
	uint64		seen = pg_atomic_read_u64(&rate->seen);
	double		now = (counter - seen) / seconds;
	double		before = pg_atomic_read_u64(&rate->rate) / 1000.0;
	double		keep = exp(-seconds / RATE_SECONDS);

	pg_atomic_write_u64(&rate->seen, counter);
	pg_atomic_write_u64(&rate->rate,
						(uint64) ((before * keep + now * (1 - keep)) * 1000));
}

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
				ee_shared_counter_rate(&counters->rates[i][j],
									   pg_atomic_read_u64(&counters->counts[i][j]),
									   seconds);
	}
	LWLockRelease(counters_lock);
}

/* -------------------------------------------------------------------- notes */

void
ee_shared_counter_add(const char *pattern, int len, const char *source,
					  int source_len, EeOutcome outcome)
{
	EePatternCounters *counters;

	if (counters_table == NULL)
		return;
	counters = find(pattern, len, true);
	if (counters != NULL)
		count(counters,
			  source_kind(source, source_len) * EE_N_OUTCOMES + outcome, 1);
}

void
ee_shared_counter_note(const char *pattern, int len, const char *source,
					   int source_len, EeOutcome outcome, int n)
{
	EePatternCounters *counters;

	if (counters_table == NULL)
		return;
	counters = find(pattern, len, true);
	if (counters == NULL)
		return;
	if (!callbacks_registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		callbacks_registered = true;
	}
	current_note(counters,
				 source_kind(source, source_len) * EE_N_OUTCOMES +
				 outcome)->n += n;
}

/*
 * The note of these at this level.  One that lies deep is not looked for:
 * then there are two, until they are merged.
 */
static Note *
current_note(EePatternCounters *counters, int cell)
{
	int			level = GetCurrentTransactionNestLevel();
	int			end = Max(n_notes - NOTES_SEARCHED, 0);
	Note	   *note;

	for (int i = n_notes - 1; i >= end && notes[i].level == level; i--)
		if (notes[i].counters == counters && notes[i].cell == cell)
			return &notes[i];
	if (n_notes == max_notes)
		make_room();
	note = &notes[n_notes++];
	note->counters = counters;
	note->cell = cell;
	note->level = level;
	note->n = 0;
	return note;
}

static void
make_room(void)
{
	if (notes == NULL)
	{
		max_notes = NOTES_SEARCHED * 2;
		notes = MemoryContextAlloc(TopMemoryContext,
								   sizeof(Note) * max_notes);
		return;
	}
	merge_notes();
	if (n_notes > max_notes / 2)
	{
		notes = repalloc(notes, sizeof(Note) * max_notes * 2);
		max_notes *= 2;
	}
}

/* Levels stay in their order, the latest last. */
static void
merge_notes(void)
{
	int			kept = 0;

	qsort(notes, n_notes, sizeof(Note), compare_notes);
	for (int i = 1; i < n_notes; i++)
	{
		if (compare_notes(&notes[i], &notes[kept]) == 0)
			notes[kept].n += notes[i].n;
		else
			notes[++kept] = notes[i];
	}
	n_notes = kept + 1;
}

static int
compare_notes(const void *a, const void *b)
{
	const Note *one = a;
	const Note *other = b;

	if (one->level != other->level)
		return one->level < other->level ? -1 : 1;
	if (one->counters != other->counters)
		return one->counters < other->counters ? -1 : 1;
	return one->cell - other->cell;
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			for (int i = 0; i < n_notes; i++)
				count(notes[i].counters, notes[i].cell, notes[i].n);
			n_notes = 0;
			break;
		case XACT_EVENT_ABORT:
			n_notes = 0;
			break;
		default:
			break;
	}
}

/* The notes of a level become those of the one above it, or nothing. */
static void
subxact_callback(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (n_notes > 0 && notes[n_notes - 1].level >= level)
			n_notes--;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		for (int i = n_notes - 1; i >= 0 && notes[i].level >= level; i--)
			notes[i].level = level - 1;
}
