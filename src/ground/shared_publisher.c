/*
 * shared_publisher.c
 *	  What all processes know together of publishers.
 *
 * A bucket that is full is as good as none, so places are never freed: a role
 * without one takes the place of a bucket that has filled up.  Two processes
 * may do so at the same time in two places; whoever comes later finds the
 * first of them, so a role's limit is that of two buckets for a moment only.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"

#include "ground/shared_internal.h"
#include "ground/shared_publisher.h"

#define N_BUCKETS	1024
/* Places where a role may have its bucket. */
#define WAYS		8

typedef struct Place
{
	pg_atomic_uint64 key;		/* database, role and rate; 0: nobody */
	EeRateBucket bucket;
} Place;

static Place *places = NULL;
/* where there is no shared memory, or no place */
static Place own_place;
static bool own_ready = false;

static EeRateBucket *own_bucket(uint64 key);

Size
ee_shared_publisher_size(void)
{
	return mul_size(sizeof(Place), N_BUCKETS);
}

void
ee_shared_publisher_startup(void *memory, bool found)
{
	places = memory;
	if (found)
		return;
	for (int i = 0; i < N_BUCKETS; i++)
	{
		pg_atomic_init_u64(&places[i].key, 0);
		ee_rate_bucket_init(&places[i].bucket);
	}
}

EeRateBucket *
ee_shared_publisher_bucket(Oid role, double rate)
{
	struct
	{
		Oid			dbid;
		Oid			role;
		double		rate;
	}			who = {MyDatabaseId, role, rate};
	uint64		key = hash_bytes_extended((const unsigned char *) &who,
										  sizeof(who), 0) | 1;
	uint32		begin = (key >> 32) % (N_BUCKETS / WAYS) * WAYS;
	int64		now;

	if (places == NULL)
		return own_bucket(key);
	for (int i = 0; i < WAYS; i++)
		if (pg_atomic_read_u64(&places[begin + i].key) == key)
			return &places[begin + i].bucket;
	now = ee_rate_bucket_now();
	for (int i = 0; i < WAYS; i++)
	{
		Place	   *place = &places[begin + i];
		uint64		seen = pg_atomic_read_u64(&place->key);

		if ((int64) pg_atomic_read_u64(&place->bucket.full_at) <= now &&
			pg_atomic_compare_exchange_u64(&place->key, &seen, key))
			return &place->bucket;
	}
	return own_bucket(key);
}

static EeRateBucket *
own_bucket(uint64 key)
{
	if (!own_ready)
	{
		pg_atomic_init_u64(&own_place.key, key);
		ee_rate_bucket_init(&own_place.bucket);
		own_ready = true;
	}
	else if (pg_atomic_read_u64(&own_place.key) != key)
	{
		pg_atomic_write_u64(&own_place.key, key);
		ee_rate_bucket_reset(&own_place.bucket);
	}
	return &own_place.bucket;
}

/* ---------------------------------------------------------------- pressure */

void
ee_shared_publisher_set_pressure(EePressure pressure, int64 depth)
{
	EeDatabaseSlot *db = ee_shared_my_database();

	if (db == NULL)
		return;
	pg_atomic_write_u64(&db->queue_depth, depth);
	pg_atomic_write_u32(&db->pressure, pressure);
}

EePressure
ee_shared_publisher_pressure(void)
{
	EeDatabaseSlot *db = ee_shared_my_database();

	return db == NULL ? EE_PRESSURE_NONE :
		(EePressure) pg_atomic_read_u32(&db->pressure);
}

int64
ee_shared_publisher_depth(void)
{
	EeDatabaseSlot *db = ee_shared_my_database();

	return db == NULL ? 0 : (int64) pg_atomic_read_u64(&db->queue_depth);
}
