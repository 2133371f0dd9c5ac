/*
 * registry_cache.c
 *	  What this backend knows of the registered definitions.
 *
 * Promises that a lookup answers as the tables stand: a change committed by
 * another session counts from the next transaction or lock on, a change of
 * this session from the next command on, and none after it is rolled back.
 * After a change each entry is compared with its rows when it is next asked
 * for; only those whose rows or documents are others are compiled again.
 * That a pattern is unknown is never remembered.
 *
 * An entry lives in a memory context of its own.  It is built under the
 * transaction and handed to the cache when it is whole, so that an error
 * leaves nothing behind.  Memory is bounded; the entries that were used
 * longest ago go first.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "ground/compat.h"
#include "ground/config.h"
#include "ground/errors.h"
#include "ground/invalidate.h"
#include "ground/similar.h"
#include "registry/event_definition.h"
#include "registry/event_rule.h"
#include "registry/registry_cache.h"
#include "registry/registry_row.h"
#include "registry/schema_document.h"
#include "registry/sensitive.h"

#define CACHE_BYTES		(64 * 1024 * 1024)

/* for the hint: how far a suggested name is from the one asked for */
#define SUGGEST_ROWS		1000

typedef struct CacheKey
{
	const char *pattern;
	uint32		len;
	const char *version;		/* NULL: the current one */
} CacheKey;

typedef struct CacheEntry
{
	EeDefinition definition;	/* what is handed out */
	CacheKey	key;
	MemoryContext context;		/* of all of this */
	Size		size;
	dlist_node	node;
	uint64		generation;		/* when it was last found to be right */
	bool		formats_given;	/* else as the setting was: */
	bool		formats;
	bool		content_given;	/* likewise */
	bool		content;
	EeRowIdentity definition_row;
	EeRowIdentity version_row;	/* where not the current version */
	List	   *documents;		/* of EeDocumentUse */
} CacheEntry;

typedef struct CacheSlot
{
	CacheKey	key;
	CacheEntry *entry;
	uint32		hash;
	char		status;
} CacheSlot;

static inline uint32 hash_key(CacheKey key);
static inline bool same_key(CacheKey a, CacheKey b);

#define SH_PREFIX			slots
#define SH_ELEMENT_TYPE		CacheSlot
#define SH_KEY_TYPE			CacheKey
#define SH_KEY				key
#define SH_HASH_KEY(tb, k)	hash_key(k)
#define SH_EQUAL(tb, a, b)	same_key(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a)	(a)->hash
#define SH_SCOPE			static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static CacheEntry *find(const char *pattern, int len, const char *version,
						uint64 generation);
static bool settings_changed(const CacheEntry *entry);
static bool still_right(CacheEntry *entry);
static CacheEntry *load(const char *pattern, int len, const char *version,
						uint64 generation, bool missing_ok);
static bool fill(CacheEntry *entry, const char *pattern, int len,
				 const char *version, bool *version_found);
static void fill_content(CacheEntry *entry, EeRowScan *scan, HeapTuple tuple,
						 AttrNumber source_types, AttrNumber payload_schema,
						 AttrNumber status, AttrNumber options);
static bool open_definition(EeRowScan *scan, const char *pattern, int len,
							HeapTuple *tuple);
static bool open_version(EeRowScan *scan, const pg_uuid_t *id,
						 const char *version, HeapTuple *tuple);
static char *get_string(EeRowScan *scan, HeapTuple tuple, AttrNumber attr);
static Jsonb *get_jsonb(EeRowScan *scan, HeapTuple tuple, AttrNumber attr);
static void set_source_types(EeDefinition *definition, Jsonb *types);
static EeDefinitionStatus parse_status(const char *status);
static void keep(CacheEntry *entry);
static void drop(CacheEntry *entry);
pg_noreturn static void unknown_pattern(const char *pattern, int len);
pg_noreturn static void unknown_version(const char *pattern, int len,
										const char *version);
static const char *similar_pattern(const char *pattern, int len);

static MemoryContext cache_context = NULL;
static slots_hash *slots = NULL;
static dlist_head entries = DLIST_STATIC_INIT(entries); /* recent first */
static Size cache_size = 0;

EeDefinition *
ee_registry_cache_lookup(const char *pattern, int len, const char *version)
{
	uint64		generation = ee_registry_cache_generation();
	CacheEntry *entry = find(pattern, len, NULL, generation);

	if (version != NULL &&
		(entry == NULL || strcmp(entry->definition.version, version) != 0))
		entry = find(pattern, len, version, generation);
	if (entry == NULL)
		entry = load(pattern, len, version, generation, false);

	return &entry->definition;
}

EeDefinition *
ee_registry_cache_find(const char *pattern, int len)
{
	uint64		generation = ee_registry_cache_generation();
	CacheEntry *entry = find(pattern, len, NULL, generation);

	if (entry == NULL)
		entry = load(pattern, len, NULL, generation, true);
	return entry == NULL ? NULL : &entry->definition;
}

uint64
ee_registry_cache_generation(void)
{
	/* each only ever grows, hence so does the sum */
	return ee_invalidate_watch(EE_REL_EVENT_DEFINITIONS) +
		ee_invalidate_watch(EE_REL_EVENT_DEFINITION_VERSIONS) +
		ee_invalidate_watch(EE_REL_EVENT_SCHEMAS) +
		ee_invalidate_watch(EE_REL_EVENT_RULES) +
		ee_invalidate_objects_generation();
}

List *
ee_registry_cache_patterns(void)
{
	EeRowScan	scan;
	HeapTuple	tuple;
	List	   *patterns = NIL;

	ee_registry_row_begin(&scan, EE_REL_EVENT_DEFINITIONS, NULL, 0, NULL, NULL);
	while (HeapTupleIsValid(tuple = ee_registry_row_next(&scan)))
		patterns = lappend(patterns,
						   get_string(&scan, tuple, EE_DEFINITION_PATTERN));
	ee_registry_row_end(&scan);

	return patterns;
}

static inline uint32
hash_key(CacheKey key)
{
	uint32		hash = hash_bytes((const unsigned char *) key.pattern, key.len);

	if (key.version != NULL)
		hash = hash_combine(hash,
							hash_bytes((const unsigned char *) key.version,
									   strlen(key.version)));
	return hash;
}

static inline bool
same_key(CacheKey a, CacheKey b)
{
	return a.len == b.len &&
		memcmp(a.pattern, b.pattern, a.len) == 0 &&
		(a.version == NULL) == (b.version == NULL) &&
		(a.version == NULL || strcmp(a.version, b.version) == 0);
}

/* An entry that is right, or NULL. */
static CacheEntry *
find(const char *pattern, int len, const char *version, uint64 generation)
{
	CacheKey	key = {pattern, len, version};
	CacheSlot  *slot = slots == NULL ? NULL : slots_lookup(slots, key);
	CacheEntry *entry;

	if (slot == NULL)
		return NULL;
	entry = slot->entry;

	if (unlikely(entry->generation != generation ||
				 settings_changed(entry)))
	{
		if (!still_right(entry))
		{
			drop(entry);
			return NULL;
		}
		entry->generation = generation;
	}
	dlist_move_head(&entries, &entry->node);

	return entry;
}

/* Was it compiled under settings that are others now? */
static bool
settings_changed(const CacheEntry *entry)
{
	return (!entry->formats_given &&
			entry->formats != ee_config_validation_assert_formats) ||
		(!entry->content_given &&
		 entry->content != ee_config_validation_assert_content);
}

static bool
still_right(CacheEntry *entry)
{
	EeRowScan	scan;
	HeapTuple	tuple;
	bool		right;

	if (settings_changed(entry))
		return false;

	right = open_definition(&scan, entry->key.pattern, entry->key.len, &tuple) &&
		ee_registry_row_same(ee_registry_row_identity(tuple),
							 entry->definition_row);
	ee_registry_row_end(&scan);

	if (right && entry->key.version != NULL)
	{
		right = open_version(&scan, &entry->definition.id, entry->key.version,
							 &tuple) &&
			ee_registry_row_same(ee_registry_row_identity(tuple),
								 entry->version_row);
		ee_registry_row_end(&scan);
	}

	return right && ee_schema_document_unchanged(entry->documents) &&
		ee_event_rule_unchanged(entry->definition.rules,
								&entry->definition.id);
}

/*
 * Read, compile and keep; raises an error when there is nothing to read, or
 * is NULL.
 */
static CacheEntry *
load(const char *pattern, int len, const char *version, uint64 generation,
	 bool missing_ok)
{
	MemoryContext context;
	MemoryContext old;
	CacheEntry *entry;
	bool		version_found;

	context = AllocSetContextCreate(CurTransactionContext,
									"event_engine definition",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	entry = palloc0(sizeof(CacheEntry));
	entry->context = context;
	entry->generation = generation;

	if (!fill(entry, pattern, len, version, &version_found))
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		if (missing_ok)
			return NULL;
		if (version_found)
			unknown_pattern(pattern, len);
		unknown_version(pattern, len, version);
	}
	MemoryContextSwitchTo(old);

	keep(entry);

	return entry;
}

/*
 * Fill an entry, in CurrentMemoryContext.  False when there is no such
 * definition, or (*version_found) no such version of it.
 */
static bool
fill(CacheEntry *entry, const char *pattern, int len, const char *version,
	 bool *version_found)
{
	EeDefinition *definition = &entry->definition;
	EeRowScan	scan;
	HeapTuple	tuple;
	bool		isnull;
	bool		current;

	*version_found = true;
	if (!open_definition(&scan, pattern, len, &tuple))
	{
		ee_registry_row_end(&scan);
		return false;
	}

	memcpy(&definition->id,
		   DatumGetUUIDP(ee_registry_row_get(&scan, tuple, EE_DEFINITION_ID,
											 &isnull)),
		   sizeof(pg_uuid_t));
	definition->event_id = get_string(&scan, tuple, EE_DEFINITION_EVENT_ID);
	definition->pattern = get_string(&scan, tuple, EE_DEFINITION_PATTERN);
	definition->version = get_string(&scan, tuple, EE_DEFINITION_VERSION);
	entry->definition_row = ee_registry_row_identity(tuple);

	current = version == NULL || strcmp(version, definition->version) == 0;
	if (current)
		fill_content(entry, &scan, tuple, EE_DEFINITION_SOURCE_TYPES,
					 EE_DEFINITION_PAYLOAD_SCHEMA, EE_DEFINITION_STATUS,
					 EE_DEFINITION_OPTIONS);
	ee_registry_row_end(&scan);

	if (!current)
	{
		definition->version = pstrdup(version);
		*version_found = open_version(&scan, &definition->id, version, &tuple);
		if (*version_found)
		{
			entry->version_row = ee_registry_row_identity(tuple);
			fill_content(entry, &scan, tuple, EE_VERSION_SOURCE_TYPES,
						 EE_VERSION_PAYLOAD_SCHEMA, EE_VERSION_STATUS,
						 EE_VERSION_OPTIONS);
		}
		ee_registry_row_end(&scan);
		if (!*version_found)
			return false;
	}

	definition->rules = ee_event_rule_load(&definition->id);
	definition->pattern_text = CStringGetTextDatum(definition->pattern);
	definition->version_text = CStringGetTextDatum(definition->version);
	entry->key.pattern = definition->pattern;
	entry->key.len = strlen(definition->pattern);
	entry->key.version = current ? NULL : definition->version;

	return true;
}

/* What the two tables have in common; compiles the schema. */
static void
fill_content(CacheEntry *entry, EeRowScan *scan, HeapTuple tuple,
			 AttrNumber source_types, AttrNumber payload_schema,
			 AttrNumber status, AttrNumber options)
{
	EeDefinition *definition = &entry->definition;
	EeDefinitionOptions parsed;
	Jsonb	   *source;
	MemoryContext scratch;
	MemoryContext old;

	/* what is needed for compiling only does not stay with the entry */
	scratch = AllocSetContextCreate(CurTransactionContext,
									"event_engine definition source",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	source = get_jsonb(scan, tuple, payload_schema);
	ee_event_definition_parse_options(get_jsonb(scan, tuple, options), &parsed);
	definition->status = parse_status(get_string(scan, tuple, status));
	MemoryContextSwitchTo(old);

	set_source_types(definition, get_jsonb(scan, tuple, source_types));
	entry->formats_given = parsed.formats_given;
	entry->formats = ee_config_validation_assert_formats;
	entry->content_given = parsed.content_given;
	entry->content = ee_config_validation_assert_content;
	if (source != NULL)
		definition->schema = ee_schema_document_compile(source, &parsed,
														&entry->documents);
	else						/* there is none to assert */
		entry->formats_given = entry->content_given = true;
	definition->sensitive = ee_sensitive_load(source, &parsed,
											  entry->documents != NIL);

	MemoryContextDelete(scratch);
}

/* The caller ends the scan, whatever the answer. */
static bool
open_definition(EeRowScan *scan, const char *pattern, int len, HeapTuple *tuple)
{
	AttrNumber	attr = EE_DEFINITION_PATTERN;
	text	   *key = cstring_to_text_with_len(pattern, len);
	Datum		value = PointerGetDatum(key);

	ee_registry_row_begin(scan, EE_REL_EVENT_DEFINITIONS,
						  "event_definitions_pattern_key", 1, &attr, &value);
	*tuple = ee_registry_row_next(scan);

	return HeapTupleIsValid(*tuple);
}

static bool
open_version(EeRowScan *scan, const pg_uuid_t *id, const char *version,
			 HeapTuple *tuple)
{
	AttrNumber	attrs[] = {EE_VERSION_DEFINITION_ID, EE_VERSION_VERSION};
	Datum		values[] = {UUIDPGetDatum(id), CStringGetTextDatum(version)};

	ee_registry_row_begin(scan, EE_REL_EVENT_DEFINITION_VERSIONS,
						  "event_definition_versions_pkey", 2, attrs, values);
	*tuple = ee_registry_row_next(scan);

	return HeapTupleIsValid(*tuple);
}

static char *
get_string(EeRowScan *scan, HeapTuple tuple, AttrNumber attr)
{
	bool		isnull;
	Datum		value = ee_registry_row_get(scan, tuple, attr, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d of the registry", attr);
	return TextDatumGetCString(value);
}

/* NULL where the column is; a copy otherwise. */
static Jsonb *
get_jsonb(EeRowScan *scan, HeapTuple tuple, AttrNumber attr)
{
	bool		isnull;
	Datum		value = ee_registry_row_get(scan, tuple, attr, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

static void
set_source_types(EeDefinition *definition, Jsonb *types)
{
	JsonbIterator *it = JsonbIteratorInit(&types->root);
	JsonbIteratorToken token;
	JsonbValue	v;

	definition->source_types = palloc0(sizeof(char *) *
									   Max(JB_ROOT_COUNT(types), 1));
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM && v.type == jbvString)
			definition->source_types[definition->n_source_types++] =
				pnstrdup(v.val.string.val, v.val.string.len);
	}
}

static EeDefinitionStatus
parse_status(const char *status)
{
	if (strcmp(status, "draft") == 0)
		return EE_DEFINITION_DRAFT;
	if (strcmp(status, "deprecated") == 0)
		return EE_DEFINITION_DEPRECATED;
	return EE_DEFINITION_ACTIVE;
}

/* Take an entry that is whole into the cache; make room at the other end. */
static void
keep(CacheEntry *entry)
{
	CacheSlot  *slot;
	bool		found;

	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(CacheMemoryContext,
											  "event_engine registry",
											  ALLOCSET_DEFAULT_SIZES);
	if (slots == NULL)
		slots = slots_create(cache_context, 128, NULL);

	/* the version asked for may just have become the current one */
	slot = slots_lookup(slots, entry->key);
	if (slot != NULL)
		drop(slot->entry);

	slot = slots_insert(slots, entry->key, &found);
	Assert(!found);
	slot->entry = entry;
	MemoryContextSetParent(entry->context, cache_context);
	MemoryContextSetIdentifier(entry->context, entry->definition.pattern);
	dlist_push_head(&entries, &entry->node);
	entry->size = MemoryContextMemAllocated(entry->context, true);
	cache_size += entry->size;

	while (cache_size > CACHE_BYTES && dlist_has_next(&entries, &entry->node))
		drop(dlist_tail_element(CacheEntry, node, &entries));
}

static void
drop(CacheEntry *entry)
{
	slots_delete(slots, entry->key);
	dlist_delete(&entry->node);
	cache_size -= entry->size;
	if (entry->definition.schema != NULL)
		ee_schema_free(entry->definition.schema);
	MemoryContextDelete(entry->context);
}

static void
unknown_pattern(const char *pattern, int len)
{
	const char *similar = similar_pattern(pattern, len);
	int			shown = pg_mbcliplen(pattern, len, EE_PATTERN_MAX);

	ereport(ERROR,
			(errcode(EE_ERRCODE_UNKNOWN_PATTERN),
			 errmsg("unknown event pattern \"%.*s\"", shown, pattern),
			 similar != NULL ?
			 errhint("Perhaps you meant \"%s\".", similar) :
			 errhint("Register it with event_engine.register_event_definition().")));
}

static void
unknown_version(const char *pattern, int len, const char *version)
{
	ereport(ERROR,
			(errcode(EE_ERRCODE_UNKNOWN_VERSION),
			 errmsg("event pattern \"%.*s\" has no version \"%s\"",
					len, pattern, version),
			 errhint("See the versions that it has in event_engine.event_definition_versions.")));
}

/* The registered pattern that looks most like a name, or NULL. */
static const char *
similar_pattern(const char *pattern, int len)
{
	EeRowScan	scan;
	EeSimilar	similar;
	int			i;

	ee_similar_begin(&similar, pattern, len);
	if (similar.len < 0)
		return NULL;
	ee_registry_row_begin(&scan, EE_REL_EVENT_DEFINITIONS, NULL, 0, NULL, NULL);
	for (i = 0; i < SUGGEST_ROWS; i++)
	{
		HeapTuple	tuple = ee_registry_row_next(&scan);
		char	   *candidate;

		if (!HeapTupleIsValid(tuple))
			break;
		candidate = get_string(&scan, tuple, EE_DEFINITION_PATTERN);
		ee_similar_offer(&similar, candidate, strlen(candidate));
		if (candidate != similar.best)
			pfree(candidate);
	}
	ee_registry_row_end(&scan);

	return similar.best;
}
