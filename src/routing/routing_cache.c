/*
 * routing_cache.c
 *	  What this backend knows of the subscriptions, and whom a pattern
 *	  reaches.
 *
 * The patterns of all subscriptions are in one trie; only the subscriptions
 * with regular expressions are asked one by one, and what they answer for a
 * name their matchers remember.  Those that demand a value are in an index of
 * their own besides, which an event is looked up in.
 *
 * Built whole at first use and again after any change.  Rows are read with
 * a snapshot of their own, taken after the count of changes: what a
 * REPEATABLE READ transaction may not yet see would never be told again.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "ground/errors.h"
#include "ground/invalidate.h"
#include "routing/equality_index.h"
#include "ground/pattern_trie.h"
#include "routing/routing_cache.h"

typedef struct RoutingCache
{
	MemoryContext context;
	List	   *subscriptions;	/* in order of number */
	List	   *named;			/* the same in order of name; NIL: not made */
	List	   *with_regex;		/* positions in the list */
	EePatternTrie *trie;		/* payload: position in the list */
	EePatternTrie *others;		/* of those that are not in the index */
	EeEqualityIndex *index;		/* payload: likewise; NULL: not made yet */
} RoutingCache;

static int	compare_names(const ListCell *a, const ListCell *b);
static List *by_name(RoutingCache *routing, EePatternTrie *trie,
					 const char *pattern, int len);
static List *subscriptions_at(RoutingCache *routing, List *positions);
static void build_index(RoutingCache *routing);
static RoutingCache *current(void);
static RoutingCache *build(void);

static RoutingCache *cache = NULL;
static uint64 cache_generation = 0;

List *
ee_routing_cache_all(void)
{
	return current()->subscriptions;
}

EeSubscription *
ee_routing_cache_by_number(int32 number, bool missing_ok)
{
	List	   *all = current()->subscriptions;
	int			low = 0;
	int			high = list_length(all);

	/* in order of number */
	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		EeSubscription *subscription = list_nth(all, middle);

		if (subscription->number == number)
			return subscription;
		if (subscription->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (!missing_ok)
		ereport(ERROR,
				(errcode(EE_ERRCODE_UNKNOWN_SUBSCRIPTION),
				 errmsg("subscription number %d does not exist", number)));
	return NULL;
}

EeSubscription *
ee_routing_cache_by_name(const char *subscriber)
{
	RoutingCache *routing = current();
	int			low = 0;
	int			high = list_length(routing->subscriptions);

	if (routing->named == NIL)
	{
		MemoryContext old = MemoryContextSwitchTo(routing->context);

		routing->named = list_copy(routing->subscriptions);
		list_sort(routing->named, compare_names);
		MemoryContextSwitchTo(old);
	}
	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		EeSubscription *subscription = list_nth(routing->named, middle);
		int			order = strcmp(subscription->subscriber, subscriber);

		if (order == 0)
			return subscription;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	ereport(ERROR,
			(errcode(EE_ERRCODE_UNKNOWN_SUBSCRIPTION),
			 errmsg("unknown subscription \"%s\"", subscriber)));
	return NULL;				/* keep the compiler quiet */
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(((EeSubscription *) lfirst(a))->subscriber,
				  ((EeSubscription *) lfirst(b))->subscriber);
}

List *
ee_routing_cache_lookup(const char *pattern, int len)
{
	RoutingCache *routing = current();

	return subscriptions_at(routing,
							by_name(routing, routing->trie, pattern, len));
}

List *
ee_routing_cache_candidates(const EeEvent *event)
{
	RoutingCache *routing = current();
	text	   *pattern = DatumGetTextPP(EE_EVENT_VALUE(event,
														EE_EVENT_PATTERN));
	List	   *positions;
	const int  *payloads;
	int			n;

	if (routing->index == NULL)
		build_index(routing);
	positions = by_name(routing, routing->others, VARDATA_ANY(pattern),
						VARSIZE_ANY_EXHDR(pattern));
	payloads = ee_equality_index_lookup(routing->index, event, &n);
	for (int i = 0; i < n; i++)
		positions = lappend_int(positions, payloads[i]);
	return subscriptions_at(routing, positions);
}

/* The positions of those in the trie, and with a regular expression. */
static List *
by_name(RoutingCache *routing, EePatternTrie *trie, const char *pattern,
		int len)
{
	List	   *positions = NIL;
	const int  *payloads;
	int			n;
	ListCell   *cell;

	payloads = ee_pattern_trie_lookup(trie, pattern, len, &n);
	for (int i = 0; i < n; i++)
		positions = lappend_int(positions, payloads[i]);

	foreach(cell, routing->with_regex)
	{
		EeSubscription *subscription = list_nth(routing->subscriptions,
												lfirst_int(cell));

		if (ee_match_pattern(subscription->matcher, pattern, len))
			positions = lappend_int(positions, lfirst_int(cell));
	}
	return positions;
}

static List *
subscriptions_at(RoutingCache *routing, List *positions)
{
	List	   *result = NIL;
	int			last = -1;
	ListCell   *cell;

	/* one that matches by several patterns is there several times */
	list_sort(positions, list_int_cmp);
	foreach(cell, positions)
	{
		if (lfirst_int(cell) != last)
			result = lappend(result, list_nth(routing->subscriptions,
											  lfirst_int(cell)));
		last = lfirst_int(cell);
	}
	list_free(positions);
	return result;
}

/* Few sessions ask who wants an event: made when first asked. */
static void
build_index(RoutingCache *routing)
{
	MemoryContext old = MemoryContextSwitchTo(routing->context);
	EeEqualityIndex *index = ee_equality_index_create();
	EePatternTrie *others = ee_pattern_trie_create();
	ListCell   *cell;

	foreach(cell, routing->subscriptions)
	{
		EeSubscription *subscription = lfirst(cell);
		int			position = foreach_current_index(cell);

		if (!ee_equality_index_add(index, subscription->matcher, position))
			(void) ee_match_index(subscription->matcher, others, position);
	}
	routing->others = others;
	routing->index = index;
	MemoryContextSwitchTo(old);
}

static RoutingCache *
current(void)
{
	uint64		generation = ee_invalidate_watch(EE_REL_SUBSCRIPTIONS);
	RoutingCache *built;

	if (cache != NULL && cache_generation == generation)
		return cache;

	/* whoever is in the middle of using the old one may go on */
	built = build();
	if (cache != NULL)
		MemoryContextSetParent(cache->context, TopTransactionContext);
	cache = built;
	cache_generation = generation;
	return cache;
}

/* In a context that becomes permanent only when all went well. */
static RoutingCache *
build(void)
{
	MemoryContext context;
	MemoryContext old;
	RoutingCache *result;
	ListCell   *cell;

	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_engine routing cache",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	result = palloc0(sizeof(RoutingCache));
	result->context = context;
	result->trie = ee_pattern_trie_create();

	PushActiveSnapshot(GetLatestSnapshot());
	result->subscriptions = ee_subscription_load_all(InvalidOid);
	PopActiveSnapshot();

	foreach(cell, result->subscriptions)
	{
		EeSubscription *subscription = lfirst(cell);
		int			position = foreach_current_index(cell);

		if (!ee_match_index(subscription->matcher, result->trie, position))
			result->with_regex = lappend_int(result->with_regex, position);
	}

	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, CacheMemoryContext);
	return result;
}
