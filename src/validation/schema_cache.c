/*
 * schema_cache.c
 *	  Compiled schemas of the general functions, by content.
 *
 * One cache in each backend, of at most MAX_ENTRIES programs and as much
 * memory as event_engine.validation_schema_cache says; what was used longest
 * ago goes first.  An entry that a call site
 * holds is pinned: it may leave the cache, but its memory stays until the
 * last pin is gone.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "ground/config.h"
#include "lib/ilist.h"
#include "utils/memutils.h"

#include "validation/schema_cache.h"

#define MAX_ENTRIES	256

struct EeCachedSchema
{
	dlist_node	node;			/* newest first */
	MemoryContext context;		/* holds all of it */
	uint64		hash;
	EeDialect	dialect;
	bool		described;		/* compiled for an output */
	Jsonb	   *schema;
	EeSchema   *program;
	Size		size;
	int			pins;
	bool		listed;
};

static MemoryContext cache_context = NULL;
static dlist_head entries = DLIST_STATIC_INIT(entries);
static int	nentries = 0;
static Size total_size = 0;

static uint64 hash_schema(const Jsonb *schema, EeDialect dialect);
static EeCachedSchema *make_entry(Jsonb *schema, EeDialect dialect,
								  bool described, uint64 hash);
static void make_room(void);
static void unlist(EeCachedSchema *cached);

/*
 * The program of a schema, compiled if need be.  Formats are asserted up to
 * draft 7 and annotations from 2019-09 on, and only built-in documents can be
 * referred to, so that the answer depends on nothing but the arguments.
 * described: with what an output tells of it.  The result is good until the
 * next call unless it is pinned.
 */
EeCachedSchema *
ee_schema_cache_get(Jsonb *schema, EeDialect dialect, bool described)
{
	uint64		hash = hash_schema(schema, dialect);
	EeCachedSchema *cached;
	dlist_iter	iter;

	dlist_foreach(iter, &entries)
	{
		cached = dlist_container(EeCachedSchema, node, iter.cur);
		if (cached->hash == hash && cached->described == described &&
			ee_schema_cache_is(cached, schema, dialect))
		{
			dlist_move_head(&entries, &cached->node);
			return cached;
		}
	}
	cached = make_entry(schema, dialect, described, hash);
	dlist_push_head(&entries, &cached->node);
	cached->listed = true;
	nentries++;
	total_size += cached->size;
	make_room();
	return cached;
}

static uint64
hash_schema(const Jsonb *schema, EeDialect dialect)
{
	return hash_bytes_extended((const unsigned char *) VARDATA(schema),
							   VARSIZE(schema) - VARHDRSZ, dialect);
}

/* Built below the transaction's context, so that an error leaves nothing. */
static EeCachedSchema *
make_entry(Jsonb *schema, EeDialect dialect, bool described, uint64 hash)
{
	EeSchemaOptions options = {.dialect = dialect, .describe = described};
	MemoryContext context;
	MemoryContext old;
	EeCachedSchema *cached;

	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(TopMemoryContext,
											  "event_engine schema cache",
											  ALLOCSET_SMALL_SIZES);
	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_engine cached schema",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	cached = palloc0(sizeof(EeCachedSchema));
	cached->context = context;
	cached->hash = hash;
	cached->dialect = dialect;
	cached->described = described;
	cached->schema = palloc(VARSIZE(schema));
	memcpy(cached->schema, schema, VARSIZE(schema));
	cached->program = ee_schema_compile(cached->schema, &options);
	cached->size = MemoryContextMemAllocated(context, true);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, cache_context);
	return cached;
}

/* Lets the oldest go; the newest always stays. */
static void
make_room(void)
{
	Size		limit = (Size) ee_config_validation_schema_cache * 1024;

	while (nentries > 1 && (nentries > MAX_ENTRIES || total_size > limit))
	{
		EeCachedSchema *oldest = dlist_container(EeCachedSchema, node,
												 dlist_tail_node(&entries));

		unlist(oldest);
		if (oldest->pins == 0)
			MemoryContextDelete(oldest->context);
	}
}

static void
unlist(EeCachedSchema *cached)
{
	dlist_delete(&cached->node);
	cached->listed = false;
	nentries--;
	total_size -= cached->size;
}

const EeSchema *
ee_schema_cache_program(const EeCachedSchema *cached)
{
	return cached->program;
}

/* Is it the program of that schema? */
bool
ee_schema_cache_is(const EeCachedSchema *cached, const Jsonb *schema,
				   EeDialect dialect)
{
	return cached->dialect == dialect &&
		VARSIZE(cached->schema) == VARSIZE(schema) &&
		memcmp(cached->schema, schema, VARSIZE(schema)) == 0;
}

void
ee_schema_cache_pin(EeCachedSchema *cached)
{
	cached->pins++;
}

void
ee_schema_cache_unpin(EeCachedSchema *cached)
{
	if (--cached->pins == 0 && !cached->listed)
		MemoryContextDelete(cached->context);
}
