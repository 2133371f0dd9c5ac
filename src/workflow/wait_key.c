/*
 * wait_key.c
 *	  By which paths the keys of waits are made: event_engine.workflow_wait_keys.
 *
 * Workflows wait again and again for the same kinds of events by the same
 * members: this backend remembers what is there, and writes nothing then.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "common/hashfn.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/jsonb_push.h"
#include "ground/plan.h"
#include "ground/shared.h"
#include "registry/registry_cache.h"
#include "routing/match.h"
#include "workflow/wait_key.h"

typedef struct Key
{
	int32		number;
	char	   *pattern;
	char	   *path;
} Key;

typedef struct KeyEntry
{
	uint32		hash;			/* of the key, for dynahash */
	List	   *keys;			/* of Key */
} KeyEntry;

static bool known(int32 number, const char *pattern, const char *path);
static void refresh(void);
static void remember(int32 number, const char *pattern, const char *path);
static uint32 hash_of(int32 number, const char *pattern, const char *path);
static void check_pattern(const char *pattern);
static void add(int32 number, const char *pattern, const char *path);

static MemoryContext cache_context = NULL;
static HTAB *cache = NULL;
static uint64 cache_generation = 0;

void
ee_wait_key_cover(int32 number, const char *pattern, const char *path)
{
	refresh();
	if (known(number, pattern, path))
		return;
	check_pattern(pattern);
	add(number, pattern, path);
}

static bool
known(int32 number, const char *pattern, const char *path)
{
	uint32		hash = hash_of(number, pattern, path);
	KeyEntry   *entry = hash_search(cache, &hash, HASH_FIND, NULL);
	ListCell   *lc;

	if (entry == NULL)
		return false;
	foreach(lc, entry->keys)
	{
		Key		   *key = lfirst(lc);

		if (key->number == number && strcmp(key->pattern, pattern) == 0 &&
			strcmp(key->path, path) == 0)
			return true;
	}
	return false;
}

static uint32
hash_of(int32 number, const char *pattern, const char *path)
{
	uint32		hash = murmurhash32((uint32) number);

	hash = hash_combine(hash, string_hash(pattern, strlen(pattern) + 1));
	return hash_combine(hash, string_hash(path, strlen(path) + 1));
}

/* Read the table again if it may have changed. */
static void
refresh(void)
{
	uint64		generation = ee_invalidate_watch(EE_REL_WORKFLOW_WAIT_KEYS);
	HASHCTL		info = {.keysize = sizeof(uint32),.entrysize = sizeof(KeyEntry)};
	Relation	rel;
	TableScanDesc scan;
	TupleTableSlot *slot;

	if (cache != NULL && cache_generation == generation)
		return;
	cache = NULL;
	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(CacheMemoryContext,
											  "event_engine wait keys",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(cache_context);
	info.hcxt = cache_context;
	cache = hash_create("event_engine wait keys", 64, &info,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	cache_generation = 0;
	rel = table_open(ee_extension_relid(EE_REL_WORKFLOW_WAIT_KEYS),
					 AccessShareLock);
	slot = table_slot_create(rel, NULL);
	PushActiveSnapshot(GetLatestSnapshot());
	scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		slot_getallattrs(slot);
		remember(DatumGetInt32(slot->tts_values[0]),
				 TextDatumGetCString(slot->tts_values[1]),
				 TextDatumGetCString(slot->tts_values[2]));
	}
	table_endscan(scan);
	PopActiveSnapshot();
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
	cache_generation = generation;
}

static void
remember(int32 number, const char *pattern, const char *path)
{
	uint32		hash = hash_of(number, pattern, path);
	MemoryContext old = MemoryContextSwitchTo(cache_context);
	KeyEntry   *entry;
	Key		   *key = palloc(sizeof(Key));
	bool		found;

	key->number = number;
	key->pattern = pstrdup(pattern);
	key->path = pstrdup(path);
	entry = hash_search(cache, &hash, HASH_ENTER, &found);
	if (!found)
		entry->keys = NIL;
	entry->keys = lappend(entry->keys, key);
	MemoryContextSwitchTo(old);
}

/* An exact one must be registered, as where it is subscribed to. */
static void
check_pattern(const char *pattern)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;

	if (strpbrk(pattern, "*#") == NULL)
	{
		(void) ee_registry_cache_lookup(pattern, strlen(pattern), NULL);
		return;
	}
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	ee_jsonb_push_begin(&state);
	ee_jsonb_push_text(&state, "type", "wildcard");
	ee_jsonb_push_text(&state, "value", pattern);
	(void) pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	value = *pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	(void) ee_match_compile(JsonbValueToJsonb(&value), NULL, NULL);
}

/*
 * That the dispatcher reads such events is seen to by itself once the wait can
 * be seen (dispatch.c): its subscription must not be locked by those who
 * register waits, who may be long in committing.
 */
static void
add(int32 number, const char *pattern, const char *path)
{
	static EePlan insert =
		EE_PLAN("INSERT INTO event_engine.workflow_wait_keys "
				"(number, pattern, path) VALUES ($1, $2, $3) "
				"ON CONFLICT DO NOTHING", "int4", "text", "text");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[3];

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	values[0] = Int32GetDatum(number);
	values[1] = CStringGetTextDatum(pattern);
	values[2] = CStringGetTextDatum(path);
	ee_plan_execute(&insert, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	ee_shared_note_subscription(number);
}
