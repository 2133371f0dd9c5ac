/*
 * replay_feed.c
 *	  Hand past events over to delivery, as a replay asks for.
 *
 * A replay reads a range of the log: from a position not after its beginning
 * to what was visible when it was asked for.  Of that it takes what the lanes
 * of the subscription had come to at that moment, when all of them were
 * locked.  The rest they deliver themselves: so each event is replayed or
 * delivered, and none both, in whatever order its transaction has committed.
 *
 * What it takes becomes rows of deliveries, due at once, in the transaction
 * that moves the replay behind them.  From there on it is an event that is
 * tried again: limits, circuit breaker, retries, dead letters and crashes are
 * dealt with as for any other.  A chunk is handed over when nothing else is
 * due, so there is never more than one of them, and fresh events come in
 * between.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "delivery/handler.h"
#include "delivery/lane.h"
#include "delivery/replay.h"
#include "delivery/replay_feed.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "ground/subtransaction.h"
#include "registry/registry_cache.h"
#include "routing/match.h"
#include "store/log_reader.h"

/* A chunk ends after so many events that nobody wanted. */
#define EXAMINE_MAX		100000
/* With more patterns than this the log is read whole. */
#define MAX_LOOKUPS		256
#define CHUNK_SIZE_MAX	(16 * 1024 * 1024)

/* Where a lane stood. */
typedef struct LaneStand
{
	int32		lane;
	EeLogCursor at;
} LaneStand;

/* A row of event_replays, as far as it matters here. */
typedef struct Replay
{
	Datum		id;
	EeMatcher  *matcher;
	EeLogCursor at;
	TimestampTz since;
	TimestampTz until;
	int64		from_seq;
	int64		to_seq;
	EeSubscription rule;		/* says which lane an event belonged to */
	LaneStand  *stands;
	int			n_stands;		/* 0: it had come to everything */
} Replay;

/* A piece of it, to be handed over. */
typedef struct Chunk
{
	Replay	   *replay;
	const EeSubscription *subscription;
	int			max;
	int			n;				/* handed over */
	bool		more;			/* there is more of the replay */
} Chunk;

static bool load(Replay *replay, const EeSubscription *subscription);
static void load_stands(Replay *replay);
static void read_position(EeLogPosition *position, HeapTuple tuple,
						  TupleDesc desc, int column);
static void hand_over(void *arg);
static Datum *wanted_patterns(const Replay *replay,
							  const EeSubscription *subscription, int *n);
static bool takes(const Replay *replay, const EeSubscription *subscription,
				  EeEvent *event);
static bool was_delivered(const Replay *replay, const EeEvent *event,
						  int64 seq);
static int	store_events(const EeSubscription *subscription, Datum *events,
						 int n);
static void store_progress(const Replay *replay, int n, bool more);
static void store_failure(const Replay *replay, const ErrorData *error);

/* numbers of the subscriptions that have a replay running */
static int32 *running = NULL;
static int	n_running = 0;
static uint64 running_generation = 0;

bool
ee_replay_feed_wanted(int32 number)
{
	static EePlan all =
		EE_PLAN("SELECT subscription_number FROM event_engine.event_replays "
				"WHERE status = 'running'");

	if (running_generation == 0 ||
		running_generation != ee_invalidate_generation(EE_REL_EVENT_REPLAYS))
	{
		uint64		generation = ee_invalidate_watch(EE_REL_EVENT_REPLAYS);
		EePlanFrame frame;
		EeIdentity	saved;
		bool		isnull;

		running_generation = 0;
		ee_identity_engine(&saved);
		ee_plan_begin(&frame);
		PushActiveSnapshot(GetLatestSnapshot());
		n_running = (int) ee_plan_execute(&all, NULL, NULL, true, 0);
		PopActiveSnapshot();
		if (running != NULL)
			pfree(running);
		running = MemoryContextAlloc(TopMemoryContext,
									 sizeof(int32) * (n_running + 1));
		for (int i = 0; i < n_running; i++)
			running[i] = DatumGetInt32(ee_plan_value(i, 1, &isnull));
		ee_plan_end(&frame);
		ee_identity_restore(&saved);
		running_generation = generation;
	}
	for (int i = 0; i < n_running; i++)
		if (running[i] == number)
			return true;
	return false;
}

/*
 * A filter may raise an error: then the replay has failed, and nothing else.
 */
int
ee_replay_feed(const EeSubscription *subscription, int max, bool *more)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_engine replay",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Replay		replay;
	Chunk		chunk = {&replay, subscription, max, 0, false};

	memset(&replay, 0, sizeof(replay));
	if (load(&replay, subscription))
	{
		ErrorData  *error = ee_subtransaction_run(hand_over, &chunk);

		if (error != NULL)
		{
			if (ERRCODE_TO_CATEGORY(error->sqlerrcode) !=
				ERRCODE_DATA_EXCEPTION)
				ReThrowError(error);
			store_failure(&replay, error);
			chunk.n = 0;
			chunk.more = false;
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	*more = chunk.more;
	return chunk.n;
}

/* ------------------------------------------------------------------ the row */

/* Locked until the transaction ends; false when there is none to be had. */
static bool
load(Replay *replay, const EeSubscription *subscription)
{
	static EePlan get =
		EE_PLAN("SELECT id, match, filter_path, filters, since, until, from_seq, "
				"to_seq, low_snapshot, low_seq, low_base_seq, high_snapshot, "
				"high_seq, high_base_seq, seq, epoch, concurrency, ordered "
				"FROM event_engine.event_replays "
				"WHERE subscription_number = $1 AND status = 'running' "
				"FOR UPDATE SKIP LOCKED", "int4");
	MemoryContext context = CurrentMemoryContext;
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		number = Int32GetDatum(subscription->number);
	bool		found;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	found = ee_plan_execute(&get, &number, NULL, false, 1) > 0;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Datum		v[19];
		bool		nulls[19];
		pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

		for (int i = 1; i <= 18; i++)
			v[i] = SPI_getbinval(tuple, desc, i, &nulls[i]);
		*id = *DatumGetUUIDP(v[1]);
		replay->id = UUIDPGetDatum(id);
		replay->matcher =
			ee_match_compile(DatumGetJsonbPCopy(v[2]),
							 nulls[3] ? NULL : TextDatumGetCString(v[3]),
							 nulls[4] ? NULL : DatumGetJsonbPCopy(v[4]));
		replay->since = nulls[5] ? DT_NOBEGIN : DatumGetTimestampTz(v[5]);
		replay->until = nulls[6] ? DT_NOEND : DatumGetTimestampTz(v[6]);
		replay->from_seq = nulls[7] ? 0 : DatumGetInt64(v[7]);
		replay->to_seq = nulls[8] ? PG_INT64_MAX : DatumGetInt64(v[8]);
		read_position(&replay->at.low, tuple, desc, 9);
		read_position(&replay->at.high, tuple, desc, 12);
		replay->at.in_range = true;
		replay->at.seq = DatumGetInt64(v[15]);
		replay->rule = *subscription;
		replay->rule.epoch = DatumGetInt32(v[16]);
		replay->rule.concurrency = DatumGetInt32(v[17]);
		replay->rule.lanes_ordered = DatumGetBool(v[18]);
		MemoryContextSwitchTo(old);
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	if (found)
		load_stands(replay);
	return found;
}

static void
load_stands(Replay *replay)
{
	static EePlan get =
		EE_PLAN("SELECT lane, seq, low_snapshot, low_seq, low_base_seq, "
				"high_snapshot, high_seq, high_base_seq "
				"FROM event_engine.event_replay_cursors WHERE replay_id = $1",
				"uuid");
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	EePlanFrame frame;
	EeIdentity	saved;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	replay->n_stands = (int) ee_plan_execute(&get, &replay->id, NULL, true,
											 0);
	old = MemoryContextSwitchTo(context);
	replay->stands = palloc0(sizeof(LaneStand) * (replay->n_stands + 1));
	for (int i = 0; i < replay->n_stands; i++)
	{
		LaneStand  *stand = &replay->stands[i];
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		stand->lane = DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
		stand->at.seq = DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull));
		read_position(&stand->at.low, tuple, desc, 3);
		(void) SPI_getbinval(tuple, desc, 6, &isnull);
		stand->at.in_range = !isnull;
		if (!isnull)
			read_position(&stand->at.high, tuple, desc, 6);
	}
	MemoryContextSwitchTo(old);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

/* snapshot, seq, base_seq, from this column on */
static void
read_position(EeLogPosition *position, HeapTuple tuple, TupleDesc desc,
			  int column)
{
	bool		isnull;

	ee_log_position_set_snapshot(position,
								 SPI_getbinval(tuple, desc, column, &isnull));
	position->seq = DatumGetInt64(SPI_getbinval(tuple, desc, column + 1,
												&isnull));
	position->base_seq = DatumGetInt64(SPI_getbinval(tuple, desc, column + 2,
													 &isnull));
}

/* ------------------------------------------------------------------ reading */

static void
hand_over(void *arg)
{
	Chunk	   *chunk = arg;
	Replay	   *replay = chunk->replay;
	const EeSubscription *subscription = chunk->subscription;
	int			max = chunk->max;
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	MemoryContext context = CurrentMemoryContext;
	Datum	   *events = palloc(sizeof(Datum) * max);
	Datum	   *patterns;
	EeLogReader *reader;
	TupleTableSlot *slot = NULL;
	int64		passed = replay->at.seq;
	Size		size = 0;
	int			n_patterns;
	int			examined = 0;
	int			n = 0;

	PushActiveSnapshot(snapshot);
	patterns = wanted_patterns(replay, subscription, &n_patterns);
	reader = ee_log_reader_begin(&replay->at, patterns, n_patterns,
								 EE_PRIORITY_NORMAL, snapshot);
	while (n < max && examined < EXAMINE_MAX && size < CHUNK_SIZE_MAX &&
		   (patterns == NULL || n_patterns > 0) &&
		   (slot = ee_log_reader_next(reader)) != NULL)
	{
		EeEvent		event;
		bool		isnull;

		passed = DatumGetInt64(slot_getattr(slot, EE_EVENT_SEQ, &isnull));
		examined++;
		/* late ones come first, then all are in order */
		if (passed > replay->to_seq && passed > replay->at.low.seq)
		{
			slot = NULL;
			break;
		}
		ee_envelope_from_slot(slot, &event);
		if (takes(replay, subscription, &event))
		{
			events[n] = ee_replay_mark(ee_handler_event_datum(slot));
			size += VARSIZE_ANY(DatumGetPointer(events[n]));
			n++;
		}
	}
	chunk->more = slot != NULL;
	ee_log_reader_end(reader);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	replay->at.seq = passed;
	MemoryContextSwitchTo(context);
	chunk->n = store_events(subscription, events, n);
	store_progress(replay, chunk->n, chunk->more);
}

/* Registered patterns that may be wanted; NULL: read the log whole. */
static Datum *
wanted_patterns(const Replay *replay, const EeSubscription *subscription,
				int *n)
{
	List	   *all = ee_registry_cache_patterns();
	Datum	   *patterns = palloc(sizeof(Datum) * (list_length(all) + 1));
	ListCell   *lc;

	*n = 0;
	foreach(lc, all)
	{
		const char *pattern = lfirst(lc);

		if (ee_match_pattern(subscription->matcher, pattern,
							 strlen(pattern)) &&
			ee_match_pattern(replay->matcher, pattern, strlen(pattern)))
			patterns[(*n)++] = CStringGetTextDatum(pattern);
	}
	/* somebody may just be committing one together with its first events */
	if (*n > MAX_LOOKUPS || *n == list_length(all) ||
		!ee_invalidate_settled(EE_REL_EVENT_DEFINITIONS))
		return NULL;
	return patterns;
}

static bool
takes(const Replay *replay, const EeSubscription *subscription,
	  EeEvent *event)
{
	int64		seq = DatumGetInt64(EE_EVENT_VALUE(event, EE_EVENT_SEQ));
	TimestampTz created_at =
		DatumGetTimestampTz(EE_EVENT_VALUE(event, EE_EVENT_CREATED_AT));
	text	   *pattern = DatumGetTextPP(EE_EVENT_VALUE(event,
														EE_EVENT_PATTERN));
	char	   *name = VARDATA_ANY(pattern);
	int			len = VARSIZE_ANY_EXHDR(pattern);

	return seq >= replay->from_seq && seq <= replay->to_seq &&
		created_at >= replay->since && created_at < replay->until &&
		ee_match_pattern(subscription->matcher, name, len) &&
		ee_match_pattern(replay->matcher, name, len) &&
		was_delivered(replay, event, seq) &&
		(!ee_match_needs_content(subscription->matcher) ||
		 ee_match_event(subscription->matcher, event)) &&
		(!ee_match_needs_content(replay->matcher) ||
		 ee_match_event(replay->matcher, event));
}

/* Had its lane come to it when the replay was asked for? */
static bool
was_delivered(const Replay *replay, const EeEvent *event, int64 seq)
{
	const LaneStand *stand = NULL;
	int32		lane;
	uint64		xid;

	if (replay->n_stands == 0)
		return true;
	lane = ee_lane_for(&replay->rule, event);
	for (int i = 0; i < replay->n_stands; i++)
		if (replay->stands[i].lane == lane ||
			(stand == NULL && replay->stands[i].lane ==
			 ee_lane_origin(replay->rule.epoch)))
			stand = &replay->stands[i];
	if (stand == NULL)
		return false;
	xid = U64FromFullTransactionId(DatumGetFullTransactionId(EE_EVENT_VALUE(event, EE_EVENT_XID)));
	return ee_log_cursor_passed(&stand->at, seq, xid);
}

/* ------------------------------------------------------------------ writing */

/* What waits for another attempt already will come anyway. */
static int
store_events(const EeSubscription *subscription, Datum *events, int n)
{
	static EePlan insert =
		EE_PLAN("INSERT INTO event_engine.deliveries AS d (subscription_number, "
				"seq, id, status, attempts, next_attempt_at, event) "
				"SELECT $1, e.seq, e.id, 'retry', 0, $2, e "
				"FROM pg_catalog.unnest($3) AS e "
				"ON CONFLICT (subscription_number, seq) DO NOTHING",
				"int4", "timestamptz", "event_engine.event[]");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[3];

	if (n == 0)
		return 0;
	values[0] = Int32GetDatum(subscription->number);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[2] = PointerGetDatum(construct_array(events, n,
												ee_extension_event_type(), -1,
												false, TYPALIGN_DOUBLE));
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	n = (int) ee_plan_execute(&insert, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}

static void
store_progress(const Replay *replay, int n, bool more)
{
	static EePlan move =
		EE_PLAN("UPDATE event_engine.event_replays SET seq = $2, "
				"replayed = replayed + $3 WHERE id = $1",
				"uuid", "int8", "int8");
	static EePlan finish =
		EE_PLAN("UPDATE event_engine.event_replays SET seq = $2, "
				"replayed = replayed + $3, status = 'done', "
				"finished_at = pg_catalog.clock_timestamp() WHERE id = $1",
				"uuid", "int8", "int8");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[3];

	values[0] = replay->id;
	values[1] = Int64GetDatum(replay->at.seq);
	values[2] = Int64GetDatum(n);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(more ? &move : &finish, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

static void
store_failure(const Replay *replay, const ErrorData *error)
{
	static EePlan fail =
		EE_PLAN("UPDATE event_engine.event_replays SET status = 'failed', "
				"error = $2, finished_at = pg_catalog.clock_timestamp() "
				"WHERE id = $1", "uuid", "text");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[2];

	values[0] = replay->id;
	values[1] = CStringGetTextDatum(error->message);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&fail, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}
