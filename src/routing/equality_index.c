/*
 * equality_index.c
 *	  Many subscriptions that demand a value, and which of them may want an
 *	  event.
 *
 * Subscriptions that demand a value at the same path of events of the same
 * pattern are a group.  The groups that an event concerns are found by its
 * name, and the subscriptions of a group by the values that the event has at
 * the path.  A subscription costs about 40 bytes here for each of its
 * patterns.
 *
 * Pure: knows no tables.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "routing/equality.h"
#include "routing/equality_index.h"
#include "ground/pattern_trie.h"

typedef struct Group
{
	char	   *pattern;
	int			pattern_len;
	EePatternKind kind;
	EeEqualityPath *path;
} Group;

/* Of a hash to the first of a chain, in groups or in links. */
typedef struct Chain
{
	uint64		key;
	char		status;
	int			first;
} Chain;

#define SH_PREFIX			chains
#define SH_ELEMENT_TYPE		Chain
#define SH_KEY_TYPE			uint64
#define SH_KEY				key
#define SH_HASH_KEY(tb, k)	((uint32) ((k) ^ ((k) >> 32)))
#define SH_EQUAL(tb, a, b)	((a) == (b))
#define SH_SCOPE			static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct Link
{
	int			payload;
	int			next;			/* -1: none */
} Link;

struct EeEqualityIndex
{
	MemoryContext context;
	MemoryContext scratch;		/* of one call */
	EePatternTrie *trie;		/* payload: group */
	Group	   *groups;
	int			n_groups;
	int			groups_allocated;
	chains_hash *by_place;		/* hash of pattern and path: group */
	chains_hash *by_key;
	Link	   *links;
	int			n_links;
	int			links_allocated;
	int		   *found;
	int			n_found;
	int			found_allocated;
};

static EeEqualityTerm **terms_of(const EeMatcher *matcher);
static int	group_of(EeEqualityIndex *index, const EePattern *pattern,
					 const EeEqualityPath *path);
static void add_link(EeEqualityIndex *index, uint64 key, int payload);
static void find(EeEqualityIndex *index, uint64 key);
static void sort_found(EeEqualityIndex *index);
static int	compare_ints(const void *a, const void *b);

EeEqualityIndex *
ee_equality_index_create(void)
{
	EeEqualityIndex *index = palloc0(sizeof(EeEqualityIndex));

	index->context = CurrentMemoryContext;
	index->scratch = AllocSetContextCreate(CurrentMemoryContext,
										   "event_engine equality look-up",
										   ALLOCSET_SMALL_SIZES);
	index->trie = ee_pattern_trie_create();
	index->groups_allocated = 16;
	index->groups = palloc(sizeof(Group) * index->groups_allocated);
	index->by_place = chains_create(CurrentMemoryContext, 16, NULL);
	index->by_key = chains_create(CurrentMemoryContext, 64, NULL);
	index->links_allocated = 64;
	index->links = palloc(sizeof(Link) * index->links_allocated);
	index->found_allocated = 64;
	index->found = palloc(sizeof(int) * index->found_allocated);
	return index;
}

bool
ee_equality_index_add(EeEqualityIndex *index, const EeMatcher *matcher,
					  int payload)
{
	MemoryContext old = MemoryContextSwitchTo(index->scratch);
	EeEqualityTerm **terms = terms_of(matcher);

	MemoryContextSwitchTo(index->context);
	for (int i = 0; terms != NULL && i < ee_match_n_patterns(matcher); i++)
	{
		const EePattern *pattern = ee_match_nth_pattern(matcher, i);

		(void) group_of(index, pattern, terms[i]->path);
		add_link(index, ee_equality_key(pattern->value, pattern->len,
										terms[i]), payload);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(index->scratch);
	return terms != NULL;
}

/* The term of each of its patterns; NULL where one has none. */
static EeEqualityTerm **
terms_of(const EeMatcher *matcher)
{
	int			n = ee_match_n_patterns(matcher);
	EeEqualityTerm **terms;

	if (n == 0 || !ee_match_needs_content(matcher))
		return NULL;
	terms = palloc(sizeof(EeEqualityTerm *) * n);
	for (int i = 0; i < n; i++)
	{
		if (ee_match_nth_pattern(matcher, i)->kind == EE_PATTERN_REGEX)
			return NULL;
		terms[i] = ee_equality_choose(ee_match_terms(matcher, i));
		if (terms[i] == NULL)
			return NULL;
	}
	return terms;
}

/* The group of that pattern and path, made if it is the first of them. */
static int
group_of(EeEqualityIndex *index, const EePattern *pattern,
		 const EeEqualityPath *path)
{
	uint64		place;
	Chain	   *chain;
	Group	   *group;
	bool		found;

	place = hash_bytes_extended((const unsigned char *) pattern->value,
								pattern->len, pattern->kind);
	place = hash_bytes_extended((const unsigned char *) path->text,
								strlen(path->text), place);
	/* whoever has the same hash by accident is next to it */
	for (;; place++)
	{
		chain = chains_insert(index->by_place, place, &found);
		if (!found)
			break;
		group = &index->groups[chain->first];
		if (group->kind == pattern->kind &&
			strcmp(group->pattern, pattern->value) == 0 &&
			strcmp(group->path->text, path->text) == 0)
			return chain->first;
	}
	if (index->n_groups == index->groups_allocated)
	{
		index->groups_allocated *= 2;
		index->groups = repalloc(index->groups,
								 sizeof(Group) * index->groups_allocated);
	}
	chain->first = index->n_groups;
	group = &index->groups[index->n_groups++];
	group->pattern = pstrdup(pattern->value);
	group->pattern_len = pattern->len;
	group->kind = pattern->kind;
	group->path = ee_equality_path_parse(path->text);
	ee_pattern_trie_add(index->trie, pattern, chain->first);
	return chain->first;
}

static void
add_link(EeEqualityIndex *index, uint64 key, int payload)
{
	Chain	   *chain;
	Link	   *link;
	bool		found;

	if (index->n_links == index->links_allocated)
	{
		index->links_allocated *= 2;
		index->links = repalloc_huge(index->links,
									 sizeof(Link) * index->links_allocated);
	}
	chain = chains_insert(index->by_key, key, &found);
	link = &index->links[index->n_links];
	link->payload = payload;
	link->next = found ? chain->first : -1;
	chain->first = index->n_links++;
}

const int *
ee_equality_index_lookup(EeEqualityIndex *index, const EeEvent *event,
						 int *n)
{
	MemoryContext old = MemoryContextSwitchTo(index->scratch);
	text	   *name = DatumGetTextPP(EE_EVENT_VALUE(event,
													 EE_EVENT_PATTERN));
	EeFilterView view;
	const int  *groups;
	int			n_groups;

	index->n_found = 0;
	ee_filter_field_view(&view, event);
	groups = ee_pattern_trie_lookup(index->trie, VARDATA_ANY(name),
									VARSIZE_ANY_EXHDR(name), &n_groups);
	for (int i = 0; i < n_groups; i++)
	{
		const Group *group = &index->groups[groups[i]];
		uint64	   *keys;
		int			n_keys;

		keys = ee_equality_event_keys(group->pattern, group->pattern_len,
									  group->path, &view, &n_keys);
		for (int k = 0; k < n_keys; k++)
			find(index, keys[k]);
	}
	if (index->n_found > 1)
		sort_found(index);
	MemoryContextSwitchTo(old);
	MemoryContextReset(index->scratch);
	*n = index->n_found;
	return index->found;
}

bool
ee_equality_index_pattern(EeEqualityIndex *index, const char *pattern,
						  int len)
{
	int			n;

	(void) ee_pattern_trie_lookup(index->trie, pattern, len, &n);
	return n > 0;
}

static void
find(EeEqualityIndex *index, uint64 key)
{
	Chain	   *chain = chains_lookup(index->by_key, key);

	for (int i = chain == NULL ? -1 : chain->first; i >= 0;
		 i = index->links[i].next)
	{
		if (index->n_found == index->found_allocated)
		{
			index->found_allocated *= 2;
			index->found = repalloc_huge(index->found,
										 sizeof(int) * index->found_allocated);
		}
		index->found[index->n_found++] = index->links[i].payload;
	}
}

/* One that may want it for several reasons is there several times. */
static void
sort_found(EeEqualityIndex *index)
{
	int			kept = 0;

	qsort(index->found, index->n_found, sizeof(int), compare_ints);
	for (int i = 1; i < index->n_found; i++)
		if (index->found[i] != index->found[kept])
			index->found[++kept] = index->found[i];
	index->n_found = kept + 1;
}

static int
compare_ints(const void *a, const void *b)
{
	int			first = *(const int *) a;
	int			second = *(const int *) b;

	return first < second ? -1 : first > second;
}
