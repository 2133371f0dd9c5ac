/*
 * overdue.c
 *	  Time-outs, against the events that had arrived when they are fired.
 *
 * The events of an instance may come by any lane, while its time-outs are
 * fired by one.  That one has read its own part of the log; of the others it
 * knows where their cursors stand.  So, with the instances that are due
 * locked, it reads what lies between there and now, and matches it with the
 * waits of these instances: an event that is found resumes its instance here
 * and now, before the time-out, which then finds the wait gone.  So does the
 * lane that the event belongs to, when it comes there.
 *
 *		locked -> cursors of other lanes -> what is postponed -> snapshot N
 *		-> the log from there to N: events of these waits, then the time-outs
 *
 * Nothing is between the two: what a lane has done is in its cursor, or in
 * what it has postponed as the instance was locked, or it has not done it yet
 * and finds the instance locked.  A cursor may be older than the lane's
 * position: then more is read, and an event that has been dealt with finds no
 * wait.  A wait that had not been seen yet where a cursor stands is one that
 * the lane would look back for (look_back.c), and the log is read from that
 * wait's registration on.  Where a lane is so far behind that reading would
 * take long, time-outs of waits for events wait for it.
 *
 * Where there is one lane, nothing is read; a wait must only be one that it has
 * seen.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/xid8.h"

#include "delivery/cursor.h"
#include "delivery/lane.h"
#include "ground/compat.h"
#include "ground/envelope.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "store/log_reader.h"
#include "workflow/dispatch.h"
#include "workflow/overdue.h"
#include "workflow/postponed.h"
#include "workflow/wait.h"
#include "workflow/wait_set.h"

/* Cursors of others are read again after so long. */
#define LANES_USECS		(50 * INT64CONST(1000))
/* More events than this are not read before a time-out. */
#define MAX_READ		10000
/* Then so many times as long as that took nothing is read. */
#define HOLD_FACTOR		10

typedef struct OtherLane
{
	EePriority	class;
	EeLogCursor at;				/* it has come at least so far */
} OtherLane;

struct EeOtherLanes
{
	MemoryContext context;
	TimestampTz read_at;
	uint64		generation;		/* of cursors */
	OtherLane  *lanes;
	int			n;
};

/* An instance that is due. */
typedef struct Instance
{
	pg_uuid_t	id;
	bool		waits;			/* for events */
	bool		held;			/* until a later round */
} Instance;

typedef struct Overdue
{
	EeDelivery *delivery;
	const EeOtherLanes *others;
	uint64		known;			/* before the snapshot: see wait_index.h */
	Snapshot	snapshot;
	EeLogPosition *now;
	Instance   *instances;		/* in order of id */
	int			n;
	EeWaitSet	set;			/* the waits for events of all of them */
	EeWaitFrom	from[EE_N_PRIORITIES];
} Overdue;

static void hold_all(Overdue *overdue, int64 usecs);
static EeOtherLanes *read_others(EeDelivery *delivery);
static void add_other(EeOtherLanes *others, EePriority class,
					  const EeLogCursor *at);
static void list_instances(Overdue *overdue, const EeResumeList *over);
static Instance *find(Overdue *overdue, const pg_uuid_t *id);
static int	compare_instances(const void *a, const void *b);
static void hold_postponed(Overdue *overdue);
static void add_waits(Overdue *overdue);
static void add_wait(Overdue *overdue, Instance *instance,
					 TupleTableSlot *slot);
static bool has_seen(const EeLogPosition *position, TupleTableSlot *slot);
static void begin_at_others(Overdue *overdue);
static bool match_events(Overdue *overdue, EeResumeList *list);
static bool match_log(Overdue *overdue, EePriority class, EeWaitMatch *match,
					  int *n_read);
static bool match_due(Overdue *overdue, EeWaitMatch *match, int *n_read);
static int	read_rows(const EeDelivery *delivery, EePlan *plan,
					  Datum **events);

TimestampTz
ee_overdue_read_at(EeDelivery *delivery)
{
	EeDispatch *dispatch = delivery->dispatch;
	TimestampTz now = GetCurrentTimestamp();

	return dispatch->hold_until > now ? DT_NOBEGIN : dispatch->read_at;
}

void
ee_overdue_add(EeDelivery *delivery, const EeResumeList *over,
			   EeResumeList *list)
{
	Overdue		overdue;
	TimestampTz began = GetCurrentTimestamp();

	if (over->n == 0)
		return;
	memset(&overdue, 0, sizeof(overdue));
	overdue.delivery = delivery;
	overdue.others = read_others(delivery);
	overdue.known = ee_wait_index_watch();
	overdue.snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(overdue.snapshot);
	/* a grant that came before an event is known before that is matched */
	AcceptInvalidationMessages();
	overdue.now = ee_log_position_current();
	ee_wait_set_init(&overdue.set);
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		ee_wait_set_init_from(&overdue.from[class]);
	list_instances(&overdue, over);
	add_waits(&overdue);
	if (overdue.set.n > 0)
	{
		hold_postponed(&overdue);
		begin_at_others(&overdue);
		if (!match_events(&overdue, list))
			hold_all(&overdue, GetCurrentTimestamp() - began);
	}
	PopActiveSnapshot();
	UnregisterSnapshot(overdue.snapshot);
	for (int i = 0; i < over->n; i++)
		if (!find(&overdue, &over->items[i].instance)->held)
			*ee_resume_add(list) = over->items[i];
}

/* Other lanes have too much to read. */
static void
hold_all(Overdue *overdue, int64 usecs)
{
	for (int i = 0; i < overdue->n; i++)
		overdue->instances[i].held |= overdue->instances[i].waits;
	overdue->delivery->dispatch->hold_until = GetCurrentTimestamp() +
		Max(EE_POSTPONED_USECS, usecs * HOLD_FACTOR);
}

/* ---------------------------------------------------------------- the others */

/* Cursors that are a little old will do; but none that was moved by hand. */
static EeOtherLanes *
read_others(EeDelivery *delivery)
{
	EeDispatch *dispatch = delivery->dispatch;
	const EeSubscription *subscription = delivery->subscription;
	uint64		generation = ee_invalidate_watch(EE_REL_SUBSCRIPTION_CURSORS);
	TimestampTz now = GetCurrentTimestamp();
	EeOtherLanes *others = dispatch->others;
	MemoryContext context;
	MemoryContext old;
	EeLogCursor none;

	if (others != NULL && others->generation == generation &&
		now >= others->read_at && now < others->read_at + LANES_USECS)
		return others;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_engine other lanes",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	others = palloc0(sizeof(EeOtherLanes));
	others->context = context;
	others->read_at = now;
	others->generation = generation;
	others->lanes = palloc(sizeof(OtherLane) * EE_N_PRIORITIES *
						   subscription->concurrency);
	/* there are no events yet of a class that has no lanes */
	memset(&none, 0, sizeof(none));
	PushActiveSnapshot(GetLatestSnapshot());
	none.low = *ee_log_position_current();
	PopActiveSnapshot();
	for (int class = 0; class < EE_N_PRIORITIES; class++)
	{
		if (!ee_lane_class_exists(subscription, class))
			continue;
		if (class != EE_PRIORITY_NORMAL && !ee_log_reader_any(class))
		{
			add_other(others, class, &none);
			continue;
		}
		for (int i = 0; i < subscription->concurrency; i++)
		{
			EeLane		lane = ee_lane_of(subscription, i, class);

			if (lane.number != delivery->lane.number)
				add_other(others, class,
						  &ee_cursor_peek(subscription->number,
										  lane.number)->at);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, delivery->context);
	if (dispatch->others != NULL)
		MemoryContextDelete(dispatch->others->context);
	dispatch->others = others;
	return others;
}

static void
add_other(EeOtherLanes *others, EePriority class, const EeLogCursor *at)
{
	OtherLane  *lane = &others->lanes[others->n++];

	lane->class = class;
	lane->at = *at;
}

/* ------------------------------------------------------------- what is due */

static void
list_instances(Overdue *overdue, const EeResumeList *over)
{
	overdue->instances = palloc0(sizeof(Instance) * over->n);
	for (int i = 0; i < over->n; i++)
		overdue->instances[i].id = over->items[i].instance;
	pg_qsort(overdue->instances, over->n, sizeof(Instance),
			 compare_instances);
	overdue->n = 1;
	for (int i = 1; i < over->n; i++)
		if (compare_instances(&overdue->instances[i],
							  &overdue->instances[overdue->n - 1]) != 0)
			overdue->instances[overdue->n++] = overdue->instances[i];
}

static Instance *
find(Overdue *overdue, const pg_uuid_t *id)
{
	Instance	key = {*id};

	return bsearch(&key, overdue->instances, overdue->n, sizeof(Instance),
				   compare_instances);
}

static int
compare_instances(const void *a, const void *b)
{
	return memcmp(&((const Instance *) a)->id, &((const Instance *) b)->id,
				  sizeof(pg_uuid_t));
}

/* An event that was in the way of somebody comes first: postponed.c. */
static void
hold_postponed(Overdue *overdue)
{
	static EePlan postponed =
		EE_PLAN("SELECT instance_id FROM event_engine.workflow_postponed "
				"WHERE number = $1 AND instance_id = ANY ($2)",
				"int4", "uuid[]");
	Datum	   *ids = palloc(sizeof(Datum) * overdue->n);
	Datum		values[2];
	EePlanFrame frame;
	EeIdentity	saved;
	int			n;

	for (int i = 0; i < overdue->n; i++)
		ids[i] = UUIDPGetDatum(&overdue->instances[i].id);
	values[0] = Int32GetDatum(overdue->delivery->subscription->number);
	values[1] = PointerGetDatum(construct_array(ids, overdue->n, UUIDOID,
												UUID_LEN, false,
												TYPALIGN_CHAR));
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	n = (int) ee_plan_execute(&postponed, values, NULL, false, 0);
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		id = ee_plan_value(i, 1, &isnull);

		find(overdue, DatumGetUUIDP(id))->held = true;
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

/* ------------------------------------------------------------------ its waits */

static void
add_waits(Overdue *overdue)
{
	Relation	waits = table_open(ee_extension_relid(EE_REL_WORKFLOW_WAITS),
								   AccessShareLock);
	Relation	index =
		index_open(ee_extension_relid(EE_REL_WORKFLOW_WAITS_INSTANCE_IDX),
				   AccessShareLock);
	TupleTableSlot *slot = table_slot_create(waits, NULL);
	IndexScanDesc scan = ee_index_beginscan(waits, index, overdue->snapshot,
											1, 0);

	for (int i = 0; i < overdue->n; i++)
	{
		Instance   *instance = &overdue->instances[i];
		ScanKeyData key;

		ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ,
					UUIDPGetDatum(&instance->id));
		index_rescan(scan, &key, 1, NULL, 0);
		while (index_getnext_slot(scan, ForwardScanDirection, slot))
		{
			CHECK_FOR_INTERRUPTS();
			if (!slot_attisnull(slot, EE_WAIT_PATTERN))
				add_wait(overdue, instance, slot);
		}
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, AccessShareLock);
	table_close(waits, AccessShareLock);
}

static void
add_wait(Overdue *overdue, Instance *instance, TupleTableSlot *slot)
{
	EeDelivery *delivery = overdue->delivery;
	const EeOtherLanes *others = overdue->others;
	const EeLogPosition *seen = delivery->dispatch->seen;

	instance->waits = true;
	/* our own lane is to look back for it first */
	if (seen == NULL || !has_seen(seen, slot))
	{
		instance->held = true;
		delivery->behind = true;
	}
	if (instance->held)
		return;
	ee_wait_set_add(&overdue->set, slot);
	for (int i = 0; i < others->n; i++)
	{
		const OtherLane *lane = &others->lanes[i];

		if (!has_seen(&lane->at.low, slot))
			(void) ee_wait_set_from_wait(&overdue->from[lane->class], slot,
										 &lane->at);
	}
}

/* Our own are seen by whoever reads after they were registered. */
static bool
has_seen(const EeLogPosition *position, TupleTableSlot *slot)
{
	bool		isnull;
	int64		base_seq = DatumGetInt64(slot_getattr(slot, EE_WAIT_BASE_SEQ,
													  &isnull));
	FullTransactionId xid =
		DatumGetFullTransactionId(slot_getattr(slot, EE_WAIT_XID, &isnull));

	if (base_seq != position->base_seq)
		return base_seq < position->base_seq;
	return ee_log_position_sees(position, PG_INT64_MAX,
								U64FromFullTransactionId(xid)) ||
		FullTransactionIdEquals(xid, GetTopFullTransactionIdIfAny());
}

/* All behind that the lanes may not have read yet. */
static void
begin_at_others(Overdue *overdue)
{
	for (int i = 0; i < overdue->others->n; i++)
	{
		const OtherLane *lane = &overdue->others->lanes[i];
		EeWaitFrom *from = &overdue->from[lane->class];

		/* late events come before the others of a range */
		if (lane->at.in_range && lane->at.seq >= lane->at.low.seq)
		{
			EeLogPosition within = lane->at.high;

			within.seq = Min(lane->at.seq, within.seq);
			ee_wait_set_from(from, &within);
		}
		else
			ee_wait_set_from(from, &lane->at.low);
	}
}

/* ------------------------------------------------------------------- events */

/* False: there are too many. */
static bool
match_events(Overdue *overdue, EeResumeList *list)
{
	EeDelivery *delivery = overdue->delivery;
	EeDispatch *dispatch = delivery->dispatch;
	int			max = list->max;
	int			n_read = 0;
	bool		complete = true;
	EeWaitMatch *match;

	dispatch->index = ee_wait_index_read(dispatch->index,
										 delivery->subscription->number,
										 overdue->known, delivery->context);
	match = ee_wait_match_begin(delivery, dispatch->index, NULL,
								overdue->snapshot, list);
	/* no more than there are waits */
	list->max = INT_MAX;
	for (int class = 0; class < EE_N_PRIORITIES && complete; class++)
		complete = match_log(overdue, class, match, &n_read);
	if (complete && delivery->lane.concurrency > 1)
		complete = match_due(overdue, match, &n_read);
	list->max = max;
	ee_wait_match_end(match);
	return complete;
}

static bool
match_log(Overdue *overdue, EePriority class, EeWaitMatch *match, int *n_read)
{
	EeWaitFrom *from = &overdue->from[class];
	EeLogReader *reader;
	TupleTableSlot *slot;

	if (from->position.seq >= overdue->now->seq && from->position.nxip == 0 &&
		from->since == DT_NOEND)
		return true;
	reader = ee_wait_set_read(&overdue->set, from, overdue->now, class,
							  overdue->snapshot);
	while ((slot = ee_log_reader_next(reader)) != NULL)
	{
		if (++*n_read > MAX_READ)
			break;
		if (ee_wait_set_permits(overdue->delivery, slot))
			(void) ee_wait_set_match(&overdue->set, match, slot);
	}
	ee_log_reader_end(reader);
	return slot == NULL;
}

/*
 * Those with a deliver_at that have come to pass: another lane may be about
 * to match them (delayed.c), or to do that again (late.c).
 */
static bool
match_due(Overdue *overdue, EeWaitMatch *match, int *n_read)
{
	static EePlan due =
		EE_PLAN("SELECT event FROM event_engine.deliveries "
				"WHERE subscription_number::pg_catalog.int8 = $1 "
				"AND status IN ('retry', 'delayed', 'released') "
				"AND next_attempt_at <= $2", "int8", "timestamptz");
	static EePlan late =
		EE_PLAN("SELECT event FROM event_engine.workflow_late "
				"WHERE number = $1::pg_catalog.int4", "int8", "timestamptz");
	TupleTableSlot *slot = ee_envelope_new_slot();
	EePlan	   *plans[] = {&due, &late};

	for (int i = 0; i < lengthof(plans) && *n_read <= MAX_READ; i++)
	{
		Datum	   *events;
		int			n;

		if (plans[i] == &late && !ee_extension_has(EE_REL_WORKFLOW_LATE))
			continue;
		n = read_rows(overdue->delivery, plans[i], &events);
		*n_read += n;
		for (int k = 0; k < n; k++)
			(void) ee_wait_set_match(&overdue->set, match,
									 ee_envelope_slot(slot, events[k]));
	}
	ExecDropSingleTupleTableSlot(slot);
	return *n_read <= MAX_READ;
}

/* In CurrentMemoryContext. */
static int
read_rows(const EeDelivery *delivery, EePlan *plan, Datum **events)
{
	Datum		values[2];
	EePlanFrame frame;
	EeIdentity	saved;
	MemoryContext old;
	int			n;

	values[0] = Int64GetDatum(delivery->subscription->number);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	n = (int) ee_plan_execute(plan, values, NULL, false, MAX_READ + 1);
	old = MemoryContextSwitchTo(frame.caller);
	*events = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		event = ee_plan_value(i, 1, &isnull);

		(*events)[i] = PointerGetDatum(DatumGetHeapTupleHeaderCopy(event));
	}
	MemoryContextSwitchTo(old);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}
