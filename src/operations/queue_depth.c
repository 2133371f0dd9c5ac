/*
 * queue_depth.c
 *	  How many events wait for the slowest subscription.
 *
 * A subscription has read the log up to a position.  All events behind that
 * are an upper bound of what waits for it; only where the bound is above the
 * depth known so far are those of its patterns counted, in an index, and of
 * those behind a position that has not moved only the new ones.  So a
 * subscription to rare events, whose position is ancient, costs a look into
 * the index, and one that takes all events costs nothing.  Filters of content
 * are not looked at.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ground/config.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "ground/shared_incident.h"
#include "ground/shared_publisher.h"
#include "ground/shared_subscription.h"
#include "operations/queue_depth.h"
#include "routing/subscription.h"
#include "store/log_state.h"

#define LOOK_INTERVAL_MS	1000
/* Looking may take one part in so many of the time. */
#define LOOK_SHARE			50
/* The queue is no longer long when it is below this share of the mark. */
#define RELIEF				0.8

/* A subscription that publishers are to wait for. */
typedef struct Waiting
{
	int32		number;
	pg_uuid_t	id;
	char	   *subscriber;
	int			n_lanes;		/* of a class */
	Datum		patterns;		/* text[]; 0: all */
	int64		stored;			/* position in the tables, -1: not looked up */
	int64		from;			/* position that was counted from */
	int64		to;				/* and up to which seq */
	int64		count;			/* so many */
} Waiting;

static MemoryContext waiting_context = NULL;
static List *waiting = NIL;
static EePressure pressure = EE_PRESSURE_NONE;

static Datum wanted_patterns(const EeSubscription *subscription,
							 const List *patterns);
static int64 deepest(const char **subscriber);
static int64 position_of(Waiting *one, int64 last);
static int64 stored_position(const Waiting *one, int64 last);
static int64 count_events(const Waiting *one, int64 to, int64 max);
static int64 enough(void);
static void tell(int64 depth, const char *subscriber);

PG_FUNCTION_INFO_V1(ee_sql_queue_pressure);

bool
ee_queue_depth_wanted(void)
{
	return ee_config_high_watermark() > 0;
}

void
ee_queue_depth_read(const List *subscriptions, const List *patterns)
{
	MemoryContext old;
	ListCell   *lc;

	if (waiting_context != NULL)
		MemoryContextDelete(waiting_context);
	waiting = NIL;
	waiting_context = AllocSetContextCreate(TopMemoryContext,
											"event_engine queue depth",
											ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(waiting_context);
	foreach(lc, subscriptions)
	{
		EeSubscription *subscription = lfirst(lc);
		Waiting    *one;

		if (subscription->status != EE_SUBSCRIPTION_ACTIVE ||
			subscription->immediate || !subscription->backpressure)
			continue;
		one = palloc0(sizeof(Waiting));
		one->number = subscription->number;
		one->id = subscription->id;
		one->n_lanes = Min(subscription->concurrency, EE_SHARED_POSITIONS);
		one->subscriber = pstrdup(subscription->subscriber);
		one->patterns = wanted_patterns(subscription, patterns);
		one->stored = -1;
		waiting = lappend(waiting, one);
	}
	MemoryContextSwitchTo(old);
}

static Datum
wanted_patterns(const EeSubscription *subscription, const List *patterns)
{
	Datum	   *names = palloc(sizeof(Datum) * (list_length(patterns) + 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, patterns)
	{
		const char *pattern = lfirst(lc);

		if (ee_match_pattern(subscription->matcher, pattern, strlen(pattern)))
			names[n++] = CStringGetTextDatum(pattern);
	}
	if (n == list_length(patterns))
		return (Datum) 0;
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

long
ee_queue_depth_look(const EeUnit *unit)
{
	TimestampTz began = GetCurrentTimestamp();
	const char *subscriber = NULL;
	int64		depth;

	if (!ee_queue_depth_wanted())
	{
		if (pressure != EE_PRESSURE_NONE)
			tell(0, NULL);
		return LOOK_INTERVAL_MS;
	}
	unit->begin();
	depth = deepest(&subscriber);
	unit->commit();
	tell(depth, subscriber);
	return Max(LOOK_INTERVAL_MS,
			   LOOK_SHARE * TimestampDifferenceMilliseconds(began,
															GetCurrentTimestamp()));
}

/* The depth above which it makes no difference how deep it is. */
static int64
enough(void)
{
	return Max(ee_config_store_max_queue_depth, ee_config_high_watermark());
}

static int64
deepest(const char **subscriber)
{
	int64		last = ee_log_state_last_seq();
	int64		depth = 0;
	ListCell   *lc;

	foreach(lc, waiting)
	{
		Waiting    *one = lfirst(lc);
		int64		position = position_of(one, last);

		if (position != one->from || one->to > last)
		{
			one->from = one->to = position;
			one->count = 0;
		}
		if (one->count + (last - one->to) <= depth)
			continue;
		if (one->patterns == (Datum) 0)
			one->count += last - one->to;
		else if (one->count < enough())
			one->count += count_events(one, last, enough() - one->count);
		one->to = last;
		if (one->count > depth)
		{
			depth = one->count;
			*subscriber = one->subscriber;
		}
	}
	return depth;
}

/*
 * Of the lane that is furthest behind.  Processes tell of it, unless none has delivered since the server was
 * started: then the tables do.
 */
static int64
position_of(Waiting *one, int64 last)
{
	EeSharedSubscription *entry =
		ee_shared_subscription_peek(one->number, &one->id);
	int64		position = PG_INT64_MAX;

	for (int i = 0; i < one->n_lanes && entry != NULL; i++)
		position = Min(position,
					   (int64) pg_atomic_read_u64(&entry->positions[i]));
	if (entry != NULL && position > 0)
		return position;
	if (one->stored < 0)
		one->stored = stored_position(one, last);
	return one->stored;
}

static int64
stored_position(const Waiting *one, int64 last)
{
	static EePlan lag =
		EE_PLAN("SELECT v.lag FROM event_engine.stat_subscriptions AS v "
				"WHERE v.subscriber = $1", "text");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = CStringGetTextDatum(one->subscriber);
	int64		behind = 0;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(&lag, &value, NULL, true, 1) > 0)
		behind = DatumGetInt64(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return Max(last - behind, 0);
}

/* Of its patterns, behind what has been counted. */
static int64
count_events(const Waiting *one, int64 to, int64 max)
{
	static EePlan count =
		EE_PLAN("SELECT count(*) FROM (SELECT FROM event_engine.events AS e "
				"WHERE e.pattern = ANY ($1) AND e.seq > $2 AND e.seq <= $3 "
				"LIMIT $4) AS w", "text[]", "int8", "int8", "int8");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[] = {one->patterns, Int64GetDatum(one->to),
	Int64GetDatum(to), Int64GetDatum(max)};
	int64		n;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&count, values, NULL, true, 1);
	n = DatumGetInt64(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}

/* ------------------------------------------------------------------- telling */

static void
tell(int64 depth, const char *subscriber)
{
	EePressure	before = pressure;
	int64		high = ee_config_high_watermark();

	if (ee_config_store_max_queue_depth > 0 &&
		depth >= ee_config_store_max_queue_depth)
		pressure = EE_PRESSURE_FULL;
	else if (high > 0 &&
			 depth >= (before == EE_PRESSURE_NONE ? high : high * RELIEF))
		pressure = EE_PRESSURE_HIGH;
	else
		pressure = EE_PRESSURE_NONE;
	ee_shared_publisher_set_pressure(pressure, depth);
	if (pressure == before)
		return;
	ee_shared_incident_note(pressure == EE_PRESSURE_NONE ?
							EE_INCIDENT_QUEUE_NORMAL : EE_INCIDENT_QUEUE_HIGH,
							subscriber, depth);
	if (pressure == EE_PRESSURE_NONE)
		ereport(LOG,
				(errmsg("the queue is short again: %lld events wait",
						(long long) depth)));
	else
		ereport(LOG,
				(errmsg(pressure == EE_PRESSURE_FULL ? "the queue is full" :
						"the queue is long"),
				 errdetail("%lld events or more wait for subscription \"%s\"; the high watermark is %lld, the limit %d.",
						   (long long) depth, subscriber, (long long) high,
						   ee_config_store_max_queue_depth),
				 errhint("Publishers meet what event_engine.store_backpressure says.")));
}

/*
 * queue_pressure() RETURNS record (pressure text, depth bigint): as publishers
 * see it.
 */
Datum
ee_sql_queue_pressure(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"none", "high", "full"};
	Datum		values[2];
	bool		nulls[2] = {0};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(names[ee_shared_publisher_pressure()]);
	values[1] = Int64GetDatum(ee_shared_publisher_depth());
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
