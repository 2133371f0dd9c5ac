/*
 * sparse.c
 *	  The subscriptions of an executor that want few of the events of their
 *	  patterns.
 *
 * Each class has a look, a cursor of its own that no table knows of.  It
 * reads on, finds in an index by the values of each event the lanes that may
 * want it, and offers it to them (delivery/offer.h); they take it as any lane
 * takes its events, and store their cursors with the effects.  All others
 * have been taken along, without a read or a write of their own.
 *
 * What a lane that is not behind is promised: of the events visible at the
 * look's cursor it has had, or did not want, all.  So at first the look
 * stands where the lane stands that is furthest behind.  Later one joins
 * where its stored cursor sees all that the look has seen; one that has fallen
 * too far behind reads for itself until it has caught up, and keeps the
 * promise from then on.  A lane is known by the number of its latest stored
 * move, so that it is noticed when somebody else has moved it.
 *
 *		asleep -> awake, with an offer -> awake, with nothing to do -> asleep
 *		awake, reading for itself -----^
 *
 * The index knows the subscriptions as they were read.  When one is changed
 * it is read anew and joins with its stored cursor, which has never been moved
 * by a look under the old definition.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "delivery/flow.h"
#include "delivery/offer.h"
#include "delivery/round.h"
#include "ground/compat.h"
#include "ground/invalidate.h"
#include "registry/registry_cache.h"
#include "routing/equality_index.h"
#include "store/log_reader.h"
#include "worker/sparse.h"
#include "worker/sparse_place.h"

/* Fewer of them read the log each for itself. */
#define SPARSE_MIN		64
/* Events, and offers of them, of one look. */
#define LOOK_EVENTS		5000
#define LOOK_OFFERS		50000
/* The look goes back so many events for a lane that joins. */
#define JOIN_EVENTS		10000
/* See batch.c. */
/* Lanes that one unit stores, with two locks each. */
#define STORE_LANES		50
#define LOOKUP_WORTH	64
#define MAX_LOOKUPS		256

typedef struct Sparse
{
	EeSubscription *subscription;
	EeDelivery *lanes[EE_N_PRIORITIES]; /* NULL: asleep */
	int64		moves[EE_N_PRIORITIES]; /* number of the last one stored */
} Sparse;

typedef struct Look
{
	bool		used;
	bool		behind;
	MemoryContext context;		/* of the cursors */
	EeLogCursor at;
	EeLogCursor before;			/* where the latest look began */
	int64		stored_seq;		/* as all that slept were stored latest */
} Look;

/* What is remembered of a lane while the set is read again. */
typedef struct Known
{
	int32		number;
	EeSubscriptionVersion version;
	int64		moves[EE_N_PRIORITIES]; /* -1: nothing is promised */
} Known;

/* An event that a lane may want. */
typedef struct Found
{
	int			sparse;
	int64		seq;
	uint64		xid;
} Found;

static Look looks[EE_N_PRIORITIES];

/* of the set, in its context */
static MemoryContext set_context = NULL;
static uint64 set_generation;
static uint64 cursors_generation;
static void (*tell_woken) (EeDelivery *lane);
static Oid	set_owner;
static Sparse *sparse = NULL;
static int	n_sparse = 0;
static EeEqualityIndex *by_value = NULL;
static EePatternSet interest;
static Datum *patterns;
static int	n_patterns;
static uint64 registry_generation;
static int	n_awake = 0;
static int	store_next = -1;	/* whom to store next; -1: nobody */

static MemoryContext known_context = NULL;
static Known *known = NULL;
static int	n_known = 0;

static bool is_sparse(const EeSubscription *subscription);
static void read_interest(void);
static void join(EePriority class);
static int	find_sparse(int32 number);
static Known *find_known(int32 number);
static void begin_look(Look *look, const EeSparsePlace *places, int n);
static bool promised(EePriority class, int which, int64 move);
static bool may_join(Look *look, const EeLogPosition *low);
static void set_cursor(Look *look, const EeLogCursor *at);
static bool is_of_latest(const EeDelivery *lane, const Look *look);
static bool by_pattern(const EeLogCursor *at);
static void offer(EePriority class, const Found *found);
static EeDelivery *wake(int which, EePriority class);
static void read_for_itself(EeDelivery *delivery);
static bool may_sleep(const EeDelivery *delivery, TimestampTz now);
static void put_to_sleep(EeDelivery *delivery);
static bool may_store(const Look *look);
static void store_lane(int which, EePriority class);

/* ----------------------------------------------------------------- the set */

void
ee_sparse_forget(void)
{
	bool		again[EE_N_PRIORITIES] = {false};
	MemoryContext old;

	if (known_context != NULL)
		MemoryContextDelete(known_context);
	known_context = AllocSetContextCreate(TopMemoryContext,
										  "event_engine sparse lanes",
										  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(known_context);
	known = MemoryContextAllocHuge(known_context,
								   sizeof(Known) * Max(n_sparse, 1));
	n_known = n_sparse;
	for (int i = 0; i < n_sparse; i++)
	{
		Known	   *one = &known[i];

		one->number = sparse[i].subscription->number;
		one->version = sparse[i].subscription->version;
		for (int class = 0; class < EE_N_PRIORITIES; class++)
		{
			EeDelivery *lane = sparse[i].lanes[class];

			one->moves[class] = sparse[i].moves[class];
			if (lane == NULL)
				continue;
			if (lane->cursor != NULL)
				one->moves[class] = lane->cursor->move;
			if (!lane->behind)
				continue;
			if (is_of_latest(lane, &looks[class]))
				again[class] = true;
			else
				one->moves[class] = -1;
		}
	}
	/* what was offered, and is not done, is to be found again */
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		if (again[class])
			set_cursor(&looks[class], &looks[class].before);
	MemoryContextSwitchTo(old);
	sparse = NULL;
	n_sparse = n_awake = 0;
	store_next = -1;
	by_value = NULL;
}

List *
ee_sparse_read(List *subscriptions, Oid owner, uint64 generation,
			   MemoryContext context, void (*woken) (EeDelivery *lane))
{
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *others = NIL;
	int			n = 0;
	int		   *busy;
	int			n_busy;
	ListCell   *lc;

	set_context = context;
	set_generation = generation;
	set_owner = owner;
	tell_woken = woken;
	cursors_generation = ee_invalidate_watch(EE_REL_SUBSCRIPTION_CURSORS);
	memset(&interest, 0, sizeof(interest));
	foreach(lc, subscriptions)
		if (is_sparse(lfirst(lc)))
			n++;
	if (n < SPARSE_MIN)
	{
		for (int class = 0; class < EE_N_PRIORITIES; class++)
		{
			if (looks[class].context != NULL)
				MemoryContextDelete(looks[class].context);
			memset(&looks[class], 0, sizeof(Look));
		}
		MemoryContextSwitchTo(old);
		return subscriptions;
	}

	by_value = ee_equality_index_create();
	sparse = MemoryContextAllocHuge(context, sizeof(Sparse) * n);
	foreach(lc, subscriptions)
	{
		EeSubscription *subscription = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (is_sparse(subscription) &&
			ee_equality_index_add(by_value, subscription->matcher, n_sparse))
		{
			memset(&sparse[n_sparse], 0, sizeof(Sparse));
			sparse[n_sparse++].subscription = subscription;
		}
		else
			others = lappend(others, subscription);
	}
	read_interest();
	looks[EE_PRIORITY_NORMAL].used = true;
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		if (looks[class].used)
			join(class);

	/* retries are the business of the lane of class normal, awake */
	busy = ee_sparse_place_busy(&n_busy);
	for (int i = 0; i < n_busy; i++)
	{
		int			which = find_sparse(busy[i]);

		if (which >= 0)
			wake(which, EE_PRIORITY_NORMAL)->next_due = DT_NOBEGIN;
	}
	MemoryContextSwitchTo(old);
	return others;
}

bool
ee_sparse_any(void)
{
	return n_sparse > 0;
}

/*
 * One lane of each class, whose events wait for nothing: what goes on in
 * others is not worth knowing here.
 */
static bool
is_sparse(const EeSubscription *subscription)
{
	return subscription->kind == EE_SUBSCRIPTION_HANDLER &&
		subscription->concurrency == 1 && subscription->n_epochs == 1 &&
		!subscription->immediate && !subscription->ordered &&
		!subscription->lanes_ordered &&
		ee_match_needs_content(subscription->matcher);
}

static void
read_interest(void)
{
	List	   *all;
	ListCell   *lc;

	registry_generation = ee_invalidate_watch(EE_REL_EVENT_DEFINITIONS);
	all = ee_registry_cache_patterns();
	patterns = palloc(sizeof(Datum) * Max(list_length(all), 1));
	n_patterns = 0;
	foreach(lc, all)
	{
		const char *pattern = lfirst(lc);

		if (!ee_equality_index_pattern(by_value, pattern, strlen(pattern)))
			continue;
		patterns[n_patterns++] = CStringGetTextDatum(pattern);
		for (int class = 0; class < EE_N_PRIORITIES; class++)
			ee_shared_pattern_add(&interest, pattern, strlen(pattern), class);
	}
	list_free_deep(all);
}

void
ee_sparse_use_class(EePriority class)
{
	if (looks[class].used || n_sparse == 0)
		return;
	looks[class].used = true;
	join(class);
}

/* ------------------------------------------------------------------ joining */

/* All lanes of a class: the look keeps its promise to them, or they read. */
static void
join(EePriority class)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_engine places",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Look	   *look = &looks[class];
	EeSparsePlace	   *places;
	int			n;

	places = ee_sparse_place_read(set_owner, class, &n);
	if (look->context == NULL && n > 0)
		begin_look(look, places, n);
	for (int i = 0; i < n; i++)
	{
		const EeSparsePlace *place = &places[i];
		bool		joined;
		int			which;

		CHECK_FOR_INTERRUPTS();
		which = find_sparse(place->number);
		if (which < 0)
			continue;
		sparse[which].moves[class] = place->move;
		joined = promised(class, which, place->move) ||
			may_join(look, &place->low);
		if (!joined)
			read_for_itself(wake(which, class));
	}
	look->behind = true;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* They are in order of number. */
static int
find_sparse(int32 number)
{
	int			low = 0;
	int			high = n_sparse - 1;

	while (low <= high)
	{
		int			middle = low + (high - low) / 2;
		int32		at = sparse[middle].subscription->number;

		if (at == number)
			return middle;
		if (at < number)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return -1;
}

static Known *
find_known(int32 number)
{
	int			low = 0;
	int			high = n_known - 1;

	while (low <= high)
	{
		int			middle = low + (high - low) / 2;

		if (known[middle].number == number)
			return &known[middle];
		if (known[middle].number < number)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return NULL;
}

static void
begin_look(Look *look, const EeSparsePlace *places, int n)
{
	const EeLogPosition **ours = MemoryContextAllocHuge(CurrentMemoryContext,
														sizeof(EeLogPosition *) * n);
	EeLogCursor at;
	int			n_ours = 0;

	for (int i = 0; i < n; i++)
		if (find_sparse(places[i].number) >= 0)
			ours[n_ours++] = &places[i].low;
	if (n_ours == 0)
		return;
	memset(&at, 0, sizeof(at));
	at.low = *ee_sparse_place_first(ours, n_ours);
	at.seq = at.low.seq;
	set_cursor(look, &at);
}

/* Is it as we left it, with the promise of the look? */
static bool
promised(EePriority class, int which, int64 move)
{
	const EeSubscription *subscription = sparse[which].subscription;
	const Known *one = find_known(subscription->number);

	return one != NULL && one->moves[class] == move &&
		memcmp(&one->version, &subscription->version,
			   sizeof(EeSubscriptionVersion)) == 0;
}

/* Has it seen all that the look has, or may the look go back to it? */
static bool
may_join(Look *look, const EeLogPosition *low)
{
	EeLogCursor at;

	if (look->context == NULL)
		return false;
	if (ee_log_position_includes(low, look->at.in_range ? &look->at.high :
								 &look->at.low))
		return true;
	if (!ee_log_position_includes(&look->at.low, low) ||
		look->at.low.seq - low->seq > JOIN_EVENTS)
		return false;
	memset(&at, 0, sizeof(at));
	at.low = *low;
	at.seq = low->seq;
	set_cursor(look, &at);
	return true;
}

static void
set_cursor(Look *look, const EeLogCursor *at)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "event_engine look",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	EeLogCursor copy;
	EeLogCursor before;

	ee_log_cursor_copy(&copy, at);
	ee_log_cursor_copy(&before, look->context == NULL ? at : &look->at);
	MemoryContextSwitchTo(old);
	if (look->context != NULL)
		MemoryContextDelete(look->context);
	look->context = context;
	look->at = copy;
	look->before = before;
}

/* --------------------------------------------------------------- the look */

const EePatternSet *
ee_sparse_interest(void)
{
	return &interest;
}

void
ee_sparse_note(EePriority class)
{
	looks[class].behind = looks[class].used;
}

void
ee_sparse_note_all(void)
{
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		ee_sparse_note(class);
}

bool
ee_sparse_is_current(void)
{
	return n_sparse == 0 ||
		cursors_generation ==
		ee_invalidate_generation(EE_REL_SUBSCRIPTION_CURSORS);
}

bool
ee_sparse_is_behind(void)
{
	if (n_sparse == 0)
		return false;
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		if (looks[class].behind)
			return true;
	return false;
}

bool
ee_sparse_look(EePriority class, const EeUnit *unit)
{
	Look	   *look = &looks[class];
	MemoryContext old;
	Found	   *found;
	int			n_found = 0;
	EeLogCursor at;
	Snapshot	snapshot;
	EeLogReader *reader;
	TupleTableSlot *slot = NULL;
	bool		fresh;
	int			examined = 0;
	int			allocated = 64;

	if (n_sparse == 0 || !look->behind)
		return false;
	unit->begin();
	old = MemoryContextSwitchTo(CurTransactionContext);
	found = palloc(sizeof(Found) * allocated);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(snapshot);
	ee_log_cursor_copy(&at, &look->at);
	fresh = !at.in_range;
	if (fresh)
	{
		at.high = *ee_log_position_current();
		/* a log that is being restored: not all that was seen is there */
		if (at.high.seq < at.low.seq)
			at.high = at.low;
		at.in_range = true;
		at.seq = 0;
		/* what is offered now begins here */
		set_cursor(look, &at);
	}
	reader = by_pattern(&at) && class == EE_PRIORITY_NORMAL ?
		ee_log_reader_begin(&look->at, patterns, n_patterns, class, snapshot) :
		ee_log_reader_begin(&look->at, NULL, 0, class, snapshot);
	while (examined < LOOK_EVENTS && n_found < LOOK_OFFERS &&
		   (slot = ee_log_reader_next(reader)) != NULL)
	{
		EeEvent		event;
		const int  *wanted;
		int			n;

		examined++;
		ee_envelope_from_slot(slot, &event);
		at.seq = DatumGetInt64(EE_EVENT_VALUE(&event, EE_EVENT_SEQ));
		if (ee_extension_priority_of(DatumGetObjectId(EE_EVENT_VALUE(&event,
																	 EE_EVENT_PRIORITY))) != class)
			continue;
		wanted = ee_equality_index_lookup(by_value, &event, &n);
		for (int i = 0; i < n; i++)
		{
			Found	   *one;

			if (n_found == allocated)
			{
				allocated *= 2;
				found = repalloc_huge(found, sizeof(Found) * allocated);
			}
			one = &found[n_found++];
			one->sparse = wanted[i];
			one->seq = at.seq;
			one->xid = U64FromFullTransactionId(DatumGetFullTransactionId(EE_EVENT_VALUE(&event,
																						 EE_EVENT_XID)));
		}
	}
	ee_log_reader_end(reader);
	if (slot == NULL)
	{
		at.low = at.high;
		at.in_range = false;
		at.seq = at.low.seq;
	}
	look->behind = !(slot == NULL && fresh);
	set_cursor(look, &at);
	for (int i = 0; i < n_found; i++)
		offer(class, &found[i]);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	MemoryContextSwitchTo(old);
	unit->commit();
	return examined > 0;
}

/* As batch.c does, and for the same reasons. */
static bool
by_pattern(const EeLogCursor *at)
{
	return n_patterns > 0 && n_patterns <= MAX_LOOKUPS &&
		at->high.seq - Max(at->seq, at->low.seq) >
		(int64) LOOKUP_WORTH * n_patterns &&
		ee_invalidate_settled(EE_REL_EVENT_DEFINITIONS) &&
		registry_generation ==
		ee_invalidate_generation(EE_REL_EVENT_DEFINITIONS);
}

/*
 * One that still has work of an earlier look reads for itself, lest offers
 * pile up for a lane that cannot keep up.
 */
static void
offer(EePriority class, const Found *found)
{
	Look	   *look = &looks[class];
	EeDelivery *lane = wake(found->sparse, class);

	if (!lane->behind)
	{
		ee_offer_drop(lane);
		(void) ee_offer_create(lane, &look->before, &look->at,
							   cursors_generation);
		lane->behind = true;
	}
	else if (lane->offer == NULL)
		return;
	else if (!is_of_latest(lane, look))
	{
		read_for_itself(lane);
		return;
	}
	ee_offer_add(lane->offer, found->seq, found->xid);
}

/* Does its offer begin where the latest look did? */
static bool
is_of_latest(const EeDelivery *lane, const Look *look)
{
	const EeLogCursor *from;

	if (lane->offer == NULL)
		return false;
	from = &lane->offer->from;
	return look->before.in_range && from->seq == look->before.seq &&
		ee_log_position_equal(&from->low, &look->before.low) &&
		ee_log_position_equal(&from->high, &look->before.high);
}

/* ------------------------------------------------------------- the lanes */

static EeDelivery *
wake(int which, EePriority class)
{
	Sparse	   *one = &sparse[which];
	EeDelivery *lane = one->lanes[class];

	if (lane != NULL)
		return lane;
	if (class == EE_PRIORITY_NORMAL)
	{
		lane = ee_round_delivery(one->subscription, 0, set_generation,
								 set_context);
		/* where it has retries it is woken for them, see ee_sparse_read() */
		lane->next_due = DT_NOEND;
	}
	else
		lane = ee_round_beside(wake(which, EE_PRIORITY_NORMAL), class,
							   set_context);
	lane->behind = false;
	lane->sparse = which;
	one->lanes[class] = lane;
	n_awake++;
	tell_woken(lane);
	return lane;
}

/* It has fallen behind the look. */
static void
read_for_itself(EeDelivery *delivery)
{
	ee_offer_drop(delivery);
	if (delivery->base == delivery && delivery->registry_generation == 0)
		ee_round_expand(delivery);
	delivery->behind = true;
}

List *
ee_sparse_sleep(List *lanes, int keep)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;

	foreach(lc, lanes)
	{
		EeDelivery *delivery = lfirst(lc);

		if (n_awake <= keep)
			break;
		if (delivery->sparse < 0 || !may_sleep(delivery, now))
			continue;
		put_to_sleep(delivery);
		lanes = foreach_delete_current(lanes, lc);
	}
	return lanes;
}

static bool
may_sleep(const EeDelivery *delivery, TimestampTz now)
{
	if (delivery->behind || delivery->offer != NULL ||
		delivery->next_due != DT_NOEND || ee_flow_is_held(delivery, now) ||
		delivery->caution.distance != 0 || delivery->limit != 0)
		return false;
	/* the others of its subscription rest on the one of class normal */
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		if (delivery->base == delivery && class != delivery->lane.class &&
			sparse[delivery->sparse].lanes[class] != NULL)
			return false;
	return true;
}

static void
put_to_sleep(EeDelivery *delivery)
{
	Sparse	   *one = &sparse[delivery->sparse];
	EePriority	class = delivery->lane.class;

	if (delivery->cursor != NULL)
		one->moves[class] = delivery->cursor->move;
	one->lanes[class] = NULL;
	n_awake--;
	if (class == EE_PRIORITY_NORMAL)
		ee_match_forget(one->subscription->matcher);
	MemoryContextDelete(delivery->context);
}

/* --------------------------------------------------------------- storing */

void
ee_sparse_store_begin(void)
{
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		if (n_sparse > 0 && may_store(&looks[class]))
			store_next = 0;
}

/*
 * The look rests: all that slept meanwhile, and sleep now, have come as far.
 */
static bool
may_store(const Look *look)
{
	return look->context != NULL && !look->behind && !look->at.in_range &&
		look->at.seq != look->stored_seq;
}

bool
ee_sparse_store(const EeUnit *unit)
{
	int			n = 0;
	int			end;

	if (store_next < 0)
		return false;
	unit->begin();
	for (end = store_next; end < n_sparse && n < STORE_LANES; end++)
		for (int class = 0; class < EE_N_PRIORITIES; class++)
			if (sparse[end].lanes[class] == NULL && may_store(&looks[class]))
			{
				store_lane(end, class);
				n++;
			}
	unit->commit();
	store_next = end;
	if (end < n_sparse)
		return true;
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		if (may_store(&looks[class]))
			looks[class].stored_seq = looks[class].at.seq;
	store_next = -1;
	return false;
}

/* Unless somebody else has it, or it has been further. */
static void
store_lane(int which, EePriority class)
{
	Sparse	   *one = &sparse[which];
	const EeLogPosition *to = &looks[class].at.low;
	int32		number = one->subscription->number;
	int32		lane = ee_lane_number(one->subscription->epoch, 0, class);
	EeCursor   *cursor;

	if (!ee_cursor_lock_lane(number, lane))
		return;
	AcceptInvalidationMessages();
	if (set_generation != ee_invalidate_generation(EE_REL_SUBSCRIPTIONS) ||
		!ee_sparse_is_current())
		return;
	cursor = ee_cursor_load(number, lane);
	if (cursor->move != one->moves[class] || cursor->at.in_range ||
		!ee_log_position_includes(to, &cursor->at.low))
		return;
	cursor->at.low = *to;
	cursor->at.seq = to->seq;
	ee_cursor_store(number, lane, cursor);
	/* errors end the process, so this is as good as committed */
	one->moves[class] = cursor->move;
}
