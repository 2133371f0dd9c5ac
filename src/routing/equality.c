/*
 * equality.c
 *	  The keys by which the conditions that an event may fulfil are found.
 *
 * A path is a chain of members and arrays are transparent to it: an event has
 * all scalars that it leads to, through arrays at any place and of any depth.
 * That is more than SQL/JSON path finds by unwrapping arrays of one level,
 * in lax mode, or by subscripts, and more than the list form finds; so one
 * notion serves all of them and no match is missed.
 *
 * A key is a hash of pattern, path, and type and value of the scalar.
 * Numbers have the same key where they are equal, 1 and 1.0; 1 and "1" have
 * not.  Keys are stored in tables: they must not depend on anything but what
 * they are made of.
 *
 * Pure: knows no tables.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "routing/equality.h"

typedef struct KeySet
{
	int			n;
	int			allocated;
	uint64	   *keys;
	uint64		seed;
} KeySet;

static int	promise(const EeEqualityTerm *term);
static bool names_something(const char *key);
static bool has_digit(const char *string, int len);
static uint64 seed_of(const char *pattern, int len,
					  const EeEqualityPath *path);
static uint64 value_key(uint64 seed, const JsonbValue *value);
static void collect(KeySet *set, const EeEqualityPath *path, int depth,
					const JsonbValue *value);
static void collect_elements(KeySet *set, const EeEqualityPath *path,
							 int depth, JsonbContainer *array);
static void add_key(KeySet *set, uint64 key);
static int	compare_keys(const void *a, const void *b);

/* The first of those that promise most. */
EeEqualityTerm *
ee_equality_choose(List *terms)
{
	EeEqualityTerm *best = NULL;
	ListCell   *lc;

	foreach(lc, terms)
	{
		EeEqualityTerm *term = lfirst(lc);

		if (best == NULL || promise(term) > promise(best))
			best = term;
	}
	return best;
}

/*
 * How few events have this value, as far as one can tell without having seen
 * any: an invoice is one of many, its currency one of a few.
 */
static int
promise(const EeEqualityTerm *term)
{
	const EeEqualityPath *path = term->path;
	const JsonbValue *value = &term->value;
	int			points = 0;

	if (value->type == jbvNull || value->type == jbvBool)
		return 0;
	if (term->of_variable)
		points += 8;
	switch (path->member)
	{
		case EE_ENVELOPE_PATTERN:
		case EE_ENVELOPE_VERSION:
		case EE_ENVELOPE_PRIORITY:
		case EE_ENVELOPE_CREATED_BY:
		case EE_ENVELOPE_AGGREGATE_TYPE:
			return 1;
		case EE_ENVELOPE_ID:
		case EE_ENVELOPE_EVENT_ID:
		case EE_ENVELOPE_PARTITION_KEY:
			points += 4;
			break;
		default:
			if (path->n_keys > 0 &&
				names_something(path->keys[path->n_keys - 1]))
				points += 4;
			break;
	}
	if (value->type == jbvNumeric ||
		has_digit(value->val.string.val, value->val.string.len))
		points += 2;
	return points + 2;
}

/* id, orderId, invoice_no, ... */
static bool
names_something(const char *key)
{
	static const char *const ends[] = {
		"id", "no", "nr", "key", "number", "uuid", "guid", "reference",
		"email", "code"
	};
	int			len = strlen(key);

	for (int i = 0; i < lengthof(ends); i++)
	{
		int			end = strlen(ends[i]);

		if (len >= end && pg_strcasecmp(key + len - end, ends[i]) == 0)
			return true;
	}
	return false;
}

static bool
has_digit(const char *string, int len)
{
	for (int i = 0; i < len; i++)
		if (string[i] >= '0' && string[i] <= '9')
			return true;
	return false;
}

uint64
ee_equality_key(const char *pattern, int len, const EeEqualityTerm *term)
{
	if (term == NULL)
		return seed_of(pattern, len, NULL);
	return value_key(seed_of(pattern, len, term->path), &term->value);
}

uint64 *
ee_equality_event_keys(const char *pattern, int len,
					   const EeEqualityPath *path, EeFilterView *view, int *n)
{
	KeySet		set = {0, 0, NULL, 0};
	JsonbValue	value;
	int			kept = 0;

	*n = 0;
	if (path->member < 0 ||
		!ee_filter_field_member(view, (EeEnvelopeField) path->member, &value))
		return NULL;

	set.seed = seed_of(pattern, len, path);
	collect(&set, path, 0, &value);
	if (set.n > 1)
	{
		qsort(set.keys, set.n, sizeof(uint64), compare_keys);
		for (int i = 1; i < set.n; i++)
			if (set.keys[i] != set.keys[kept])
				set.keys[++kept] = set.keys[i];
		set.n = kept + 1;
	}
	*n = set.n;
	return set.keys;
}

static uint64
seed_of(const char *pattern, int len, const EeEqualityPath *path)
{
	uint64		seed;

	seed = hash_bytes_extended((const unsigned char *) pattern, len, 0);
	if (path == NULL)
		return seed;
	return hash_bytes_extended((const unsigned char *) path->text,
							   strlen(path->text), seed);
}

static uint64
value_key(uint64 seed, const JsonbValue *value)
{
	uint64		key = hash_combine64(seed, value->type);

	JsonbHashScalarValueExtended(value, &key, seed);
	return key;
}

static void
collect(KeySet *set, const EeEqualityPath *path, int depth,
		const JsonbValue *value)
{
	JsonbContainer *container;
	JsonbValue	member;

	check_stack_depth();
	if (value->type != jbvBinary)
	{
		if (depth == path->n_keys)
			add_key(set, value_key(set->seed, value));
		return;
	}

	container = value->val.binary.data;
	if (JsonContainerIsArray(container))
		collect_elements(set, path, depth, container);
	else if (depth < path->n_keys &&
			 getKeyJsonValueFromContainer(container, path->keys[depth],
										  strlen(path->keys[depth]),
										  &member) != NULL)
		collect(set, path, depth + 1, &member);
}

static void
collect_elements(KeySet *set, const EeEqualityPath *path, int depth,
				 JsonbContainer *array)
{
	JsonbIterator *it = JsonbIteratorInit(array);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_ELEM)
			collect(set, path, depth, &value);
	}
}

static void
add_key(KeySet *set, uint64 key)
{
	if (set->n == set->allocated)
	{
		set->allocated = Max(set->allocated * 2, 4);
		set->keys = set->keys == NULL ?
			palloc(sizeof(uint64) * set->allocated) :
			repalloc_huge(set->keys, sizeof(uint64) * set->allocated);
	}
	set->keys[set->n++] = key;
}

static int
compare_keys(const void *a, const void *b)
{
	uint64		first = *(const uint64 *) a;
	uint64		second = *(const uint64 *) b;

	return first < second ? -1 : first > second;
}
