/*
 * shared_subscription.c
 *	  A table of subscriptions in shared memory: fixed in size, an entry for
 *	  each that somebody delivers to.
 *
 * The lock is for finding, making and removing entries.  Each process keeps
 * the addresses of those that it has found, with their generation; as long as
 * that is the entry's the address is good, so whoever delivers takes the lock
 * once for each subscription that it gets to know.
 *
 *		free -> in use (claimed by the first who asks) -> free (its
 *		subscription or its database is gone), generation counted up
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/lwlock.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ground/config.h"
#include "ground/shared_internal.h"
#include "ground/shared_subscription.h"

/* No two entries share a cache line. */
#define ENTRY_SIZE	CACHELINEALIGN(sizeof(EeSharedSubscription))

typedef struct Table
{
	int			n_entries;		/* written once, at start */
	int			n_buckets;		/* likewise; a power of two */
	pg_atomic_uint32 n_free;
	int			free;			/* first free entry, -1: none */
	int			buckets[FLEXIBLE_ARRAY_MEMBER]; /* first entry, -1: none */
	/* the entries follow */
} Table;

/* Where this process has found a subscription. */
typedef struct Known
{
	int32		number;			/* key */
	uint32		generation;		/* of the shared entry when it was found */
	pg_uuid_t	id;
	EeSharedSubscription *shared;	/* NULL: not known, or there is no room */
	EeSharedSubscription *own;	/* this process's, where it has needed one */
} Known;

static Table *table = NULL;
static LWLock *table_lock = NULL;
static HTAB *known = NULL;
static bool warned_full = false;

static int	bucket_count(void);
static Size entries_offset(int n_buckets);
static EeSharedSubscription *entry_at(int i);
static int *bucket_of(Oid dbid, int32 number);
static void init_entry(EeSharedSubscription *entry);
static void reset_entry(EeSharedSubscription *entry, int32 number,
						const pg_uuid_t *id);
static Known *know(int32 number);
static EeSharedSubscription *own_entry(Known *mine, const pg_uuid_t *id);
static EeSharedSubscription *search(int32 number);
static EeSharedSubscription *claim(int32 number, const pg_uuid_t *id);
static void release(EeSharedSubscription *entry);
static void evict(void);
static int	compare_numbers(const void *a, const void *b);

/* ------------------------------------------------------------ shared memory */

Size
ee_shared_subscription_size(void)
{
	/* and what it takes to begin at a cache line */
	return add_size(add_size(entries_offset(bucket_count()),
							 PG_CACHE_LINE_SIZE),
					mul_size(ENTRY_SIZE,
							 ee_config_delivery_shared_subscriptions));
}

static int
bucket_count(void)
{
	return pg_nextpower2_32(ee_config_delivery_shared_subscriptions);
}

static Size
entries_offset(int n_buckets)
{
	return CACHELINEALIGN(add_size(offsetof(Table, buckets),
								   mul_size(sizeof(int), n_buckets)));
}

void
ee_shared_subscription_startup(void *memory, bool found, LWLock *lock)
{
	table = (Table *) CACHELINEALIGN(memory);
	table_lock = lock;
	if (found)
		return;
	table->n_entries = ee_config_delivery_shared_subscriptions;
	table->n_buckets = bucket_count();
	pg_atomic_init_u32(&table->n_free, table->n_entries);
	table->free = 0;
	for (int i = 0; i < table->n_buckets; i++)
		table->buckets[i] = -1;
	for (int i = 0; i < table->n_entries; i++)
	{
		EeSharedSubscription *entry = entry_at(i);

		init_entry(entry);
		entry->next = i + 1 < table->n_entries ? i + 1 : -1;
	}
}

static EeSharedSubscription *
entry_at(int i)
{
	return (EeSharedSubscription *) ((char *) table +
									 entries_offset(table->n_buckets) +
									 ENTRY_SIZE * i);
}

static int *
bucket_of(Oid dbid, int32 number)
{
	uint32		hash = hash_combine(murmurhash32(dbid),
									murmurhash32((uint32) number));

	return &table->buckets[hash & (table->n_buckets - 1)];
}

static void
init_entry(EeSharedSubscription *entry)
{
	memset(entry, 0, sizeof(EeSharedSubscription));
	pg_atomic_init_u32(&entry->generation, 0);
	ee_rate_bucket_init(&entry->rate);
	pg_atomic_init_u32(&entry->in_flight, 0);
	ee_breaker_init(&entry->breaker);
	for (int i = 0; i < EE_SHARED_POSITIONS; i++)
		pg_atomic_init_u64(&entry->positions[i], 0);
	pg_atomic_init_u64(&entry->delivered, 0);
	pg_atomic_init_u64(&entry->failed, 0);
	ee_rate_init(&entry->delivered_rate);
	ee_rate_init(&entry->failed_rate);
	ee_histogram_init(&entry->latency);
}

/* For a subscription of which nothing is known yet. */
static void
reset_entry(EeSharedSubscription *entry, int32 number, const pg_uuid_t *id)
{
	entry->dbid = MyDatabaseId;
	entry->number = number;
	entry->id = *id;
	entry->claimed_at = GetCurrentTimestamp();
	ee_rate_bucket_reset(&entry->rate);
	pg_atomic_write_u32(&entry->in_flight, 0);
	ee_breaker_reset(&entry->breaker);
	for (int i = 0; i < EE_SHARED_POSITIONS; i++)
		pg_atomic_write_u64(&entry->positions[i], 0);
	pg_atomic_write_u64(&entry->delivered, 0);
	pg_atomic_write_u64(&entry->failed, 0);
	ee_rate_init(&entry->delivered_rate);
	ee_rate_init(&entry->failed_rate);
	ee_histogram_init(&entry->latency);
}

/* ------------------------------------------------------------------ looking */

EeSharedSubscription *
ee_shared_subscription_find(int32 number, const pg_uuid_t *id)
{
	Known	   *mine = know(number);

	if (mine->shared != NULL &&
		mine->generation == pg_atomic_read_u32(&mine->shared->generation) &&
		memcmp(&mine->id, id, sizeof(pg_uuid_t)) == 0)
		return mine->shared;
	mine->shared = NULL;
	if (table == NULL ||
		(mine->own != NULL && pg_atomic_read_u32(&table->n_free) == 0))
		return own_entry(mine, id);

	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	mine->shared = claim(number, id);
	if (mine->shared != NULL)
	{
		mine->generation = pg_atomic_read_u32(&mine->shared->generation);
		mine->id = *id;
	}
	LWLockRelease(table_lock);
	if (mine->shared != NULL)
		return mine->shared;
	if (!warned_full)
		ereport(LOG,
				(errmsg("all %d entries for subscriptions in shared memory are taken",
						table->n_entries),
				 errhint("Increase event_engine.delivery_shared_subscriptions: until then limits of further subscriptions are kept by each process for itself.")));
	warned_full = true;
	return own_entry(mine, id);
}

EeSharedSubscription *
ee_shared_subscription_peek(int32 number, const pg_uuid_t *id)
{
	EeSharedSubscription *entry = NULL;

	if (table != NULL)
	{
		LWLockAcquire(table_lock, LW_SHARED);
		entry = search(number);
		if (entry != NULL && memcmp(&entry->id, id, sizeof(pg_uuid_t)) != 0)
			entry = NULL;
		LWLockRelease(table_lock);
	}
	if (entry == NULL)
	{
		Known	   *mine = know(number);

		if (mine->own != NULL &&
			memcmp(&mine->own->id, id, sizeof(pg_uuid_t)) == 0)
			entry = mine->own;
	}
	return entry;
}

static Known *
know(int32 number)
{
	Known	   *mine;
	bool		found;

	if (known == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(int32);
		ctl.entrysize = sizeof(Known);
		known = hash_create("event_engine known subscriptions", 64, &ctl,
							HASH_ELEM | HASH_BLOBS);
	}
	mine = hash_search(known, &number, HASH_ENTER, &found);
	if (!found)
	{
		mine->shared = NULL;
		mine->own = NULL;
	}
	return mine;
}

/* It stays where it is for as long as the process lives. */
static EeSharedSubscription *
own_entry(Known *mine, const pg_uuid_t *id)
{
	if (mine->own == NULL)
	{
		EeSharedSubscription *entry =
			MemoryContextAlloc(TopMemoryContext,
							   sizeof(EeSharedSubscription));

		init_entry(entry);
		reset_entry(entry, mine->number, id);
		mine->own = entry;
	}
	else if (memcmp(&mine->own->id, id, sizeof(pg_uuid_t)) != 0)
		reset_entry(mine->own, mine->number, id);
	return mine->own;
}

/* ------------------------------------------------------ entries, locked */

static EeSharedSubscription *
search(int32 number)
{
	for (int i = *bucket_of(MyDatabaseId, number); i >= 0;
		 i = entry_at(i)->next)
	{
		EeSharedSubscription *entry = entry_at(i);

		if (entry->dbid == MyDatabaseId && entry->number == number)
			return entry;
	}
	return NULL;
}

/* Search, or make; NULL when there is no room. */
static EeSharedSubscription *
claim(int32 number, const pg_uuid_t *id)
{
	EeSharedSubscription *entry = search(number);
	int		   *bucket = bucket_of(MyDatabaseId, number);
	int			index;

	if (entry != NULL)
	{
		/* of a subscription before the extension was dropped and made again */
		if (memcmp(&entry->id, id, sizeof(pg_uuid_t)) != 0)
		{
			pg_atomic_fetch_add_u32(&entry->generation, 1);
			reset_entry(entry, number, id);
		}
		return entry;
	}
	if (table->free < 0)
		evict();
	if (table->free < 0)
		return NULL;
	index = table->free;
	entry = entry_at(index);
	table->free = entry->next;
	pg_atomic_fetch_sub_u32(&table->n_free, 1);
	reset_entry(entry, number, id);
	entry->next = *bucket;
	*bucket = index;
	return entry;
}

static void
release(EeSharedSubscription *entry)
{
	int			index = ((char *) entry - (char *) entry_at(0)) / ENTRY_SIZE;
	int		   *link = bucket_of(entry->dbid, entry->number);

	while (*link != index)
		link = &entry_at(*link)->next;
	*link = entry->next;
	pg_atomic_fetch_add_u32(&entry->generation, 1);
	entry->dbid = InvalidOid;
	entry->next = table->free;
	table->free = index;
	pg_atomic_fetch_add_u32(&table->n_free, 1);
}

/* Databases that have no router any more leave their entries behind. */
static void
evict(void)
{
	for (int i = 0; i < table->n_entries; i++)
	{
		EeSharedSubscription *entry = entry_at(i);

		if (OidIsValid(entry->dbid) && entry->dbid != MyDatabaseId &&
			ee_shared_find_database(entry->dbid) == NULL)
			release(entry);
	}
}

void
ee_shared_subscription_keep(const int32 *numbers, int n, TimestampTz as_of)
{
	if (table == NULL)
		return;
	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	for (int i = 0; i < table->n_entries; i++)
	{
		EeSharedSubscription *entry = entry_at(i);

		if (entry->dbid == MyDatabaseId && entry->claimed_at < as_of &&
			bsearch(&entry->number, numbers, n, sizeof(int32),
					compare_numbers) == NULL)
			release(entry);
	}
	LWLockRelease(table_lock);
}

static int
compare_numbers(const void *a, const void *b)
{
	int32		first = *(const int32 *) a;
	int32		second = *(const int32 *) b;

	return first < second ? -1 : first > second;
}

void
ee_shared_subscription_forget(Oid dbid)
{
	if (table == NULL)
		return;
	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	for (int i = 0; i < table->n_entries; i++)
		if (entry_at(i)->dbid == dbid)
			release(entry_at(i));
	LWLockRelease(table_lock);
}

void
ee_shared_subscription_tick(double seconds, bool rotate)
{
	if (table == NULL)
		return;
	LWLockAcquire(table_lock, LW_SHARED);
	for (int i = 0; i < table->n_entries; i++)
	{
		EeSharedSubscription *entry = entry_at(i);

		if (entry->dbid != MyDatabaseId)
			continue;
		ee_rate_tick(&entry->delivered_rate, &entry->delivered, seconds);
		ee_rate_tick(&entry->failed_rate, &entry->failed, seconds);
		if (rotate)
			ee_histogram_rotate(&entry->latency);
	}
	LWLockRelease(table_lock);
}
