/*
 * wait_index.c
 *	  By which keys the waits are found that an event may end.
 *
 * A wait has one key: of its pattern, and of the path and value of what its
 * condition demands to be equal (equality.h).  Which paths the waits of a
 * pattern have is written down in workflow_wait_keys; with those the keys are
 * made of an event.  They are few however many the waits are, and are kept in
 * memory from batch to batch.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "routing/equality.h"
#include "ground/pattern_trie.h"
#include "workflow/wait_index.h"

/* A pattern of waits, and a path of their keys. */
typedef struct WaitKey
{
	char	   *pattern;
	int			len;
	EeEqualityPath *path;		/* NULL: the pattern alone */
	int64		key;			/* of that */
} WaitKey;

struct EeWaitIndex
{
	MemoryContext context;
	uint64		generation;		/* of workflow_wait_keys */
	bool		is_new;
	int			n_keys;
	WaitKey    *keys;			/* ordered by pattern */
	EePatternTrie *trie;		/* of their patterns, to their positions */
};

static void read_keys(EeWaitIndex *index, int32 number);
static void add_key(EeWaitIndex *index, WaitKey *key, char *pattern,
					const char *path);

uint64
ee_wait_index_watch(void)
{
	return ee_invalidate_watch(EE_REL_WORKFLOW_WAIT_KEYS);
}

/*
 * A row that the snapshot sees and we have not been told of is told by
 * settled(): then the table is read again, and nothing is missed while
 * somebody takes his time to commit.
 */
EeWaitIndex *
ee_wait_index_read(EeWaitIndex *known, int32 number, uint64 before,
				   MemoryContext parent)
{
	MemoryContext context;
	MemoryContext old;
	EeWaitIndex *index;

	if (known != NULL && known->generation == before &&
		ee_invalidate_settled(EE_REL_WORKFLOW_WAIT_KEYS) &&
		ee_invalidate_generation(EE_REL_WORKFLOW_WAIT_KEYS) == before)
		return known;
	context = AllocSetContextCreate(parent, "event_engine wait index",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	index = palloc0(sizeof(EeWaitIndex));
	index->context = context;
	index->generation = before;
	index->is_new = true;
	index->trie = ee_pattern_trie_create();
	read_keys(index, number);
	MemoryContextSwitchTo(old);
	if (known != NULL)
		MemoryContextDelete(known->context);
	return index;
}

static void
read_keys(EeWaitIndex *index, int32 number)
{
	static EePlan keys =
		EE_PLAN("SELECT pattern, path FROM event_engine.workflow_wait_keys "
				"WHERE number = $1 ORDER BY pattern, path", "int4");
	MemoryContext old;
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = Int32GetDatum(number);

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	index->n_keys = (int) ee_plan_execute(&keys, &value, NULL, true, 0);
	old = MemoryContextSwitchTo(index->context);
	index->keys = palloc0(sizeof(WaitKey) * Max(index->n_keys, 1));
	for (int i = 0; i < index->n_keys; i++)
	{
		char	   *pattern = SPI_getvalue(SPI_tuptable->vals[i],
										   SPI_tuptable->tupdesc, 1);

		add_key(index, &index->keys[i], pattern,
				SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2));
		/* the trie has each pattern once: with the first of its paths */
		if (i == 0 || strcmp(index->keys[i - 1].pattern, pattern) != 0)
		{
			EePattern	compiled;

			memset(&compiled, 0, sizeof(compiled));
			compiled.kind = strpbrk(pattern, "*#") != NULL ?
				EE_PATTERN_WILDCARD : EE_PATTERN_EXACT;
			compiled.value = pattern;
			compiled.len = index->keys[i].len;
			ee_pattern_trie_add(index->trie, &compiled, i);
		}
	}
	MemoryContextSwitchTo(old);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

static void
add_key(EeWaitIndex *index, WaitKey *key, char *pattern, const char *path)
{
	key->pattern = pattern;
	key->len = strlen(pattern);
	if (*path != '\0')
		key->path = ee_equality_path_parse(path);
	else
		key->key = (int64) ee_equality_key(pattern, key->len, NULL);
}

List *
ee_wait_index_patterns(const EeWaitIndex *index)
{
	List	   *patterns = NIL;

	for (int i = 0; i < index->n_keys; i++)
		if (i == 0 || strcmp(index->keys[i - 1].pattern,
							 index->keys[i].pattern) != 0)
			patterns = lappend(patterns, index->keys[i].pattern);
	return patterns;
}

bool
ee_wait_index_is_new(EeWaitIndex *index)
{
	bool		is_new = index->is_new;

	index->is_new = false;
	return is_new;
}

int64 *
ee_wait_index_keys(EeWaitIndex *index, const char *name, int len,
				   EeFilterView *view, int *n)
{
	int			n_patterns;
	const int  *patterns = ee_pattern_trie_lookup(index->trie, name, len,
												  &n_patterns);
	int			allocated = 8;
	int64	   *keys = palloc(sizeof(int64) * allocated);

	*n = 0;
	for (int p = 0; p < n_patterns; p++)
	{
		const char *pattern = index->keys[patterns[p]].pattern;

		for (int i = patterns[p]; i < index->n_keys &&
			 (i == patterns[p] ||
			  strcmp(index->keys[i].pattern, pattern) == 0); i++)
		{
			const WaitKey *key = &index->keys[i];
			uint64	   *of_path = NULL;
			int			n_more = 1;

			if (key->path != NULL)
				of_path = ee_equality_event_keys(pattern, key->len, key->path,
												 view, &n_more);
			while (*n + n_more > allocated)
			{
				allocated *= 2;
				keys = repalloc(keys, sizeof(int64) * allocated);
			}
			for (int k = 0; k < n_more; k++)
				keys[(*n)++] = of_path == NULL ? key->key :
					(int64) of_path[k];
		}
	}
	return keys;
}
