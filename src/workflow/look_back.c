/*
 * look_back.c
 *	  Waits that can be seen only now, and events that the lane has passed.
 *
 * A wait is to match the events that its registration could not see.  Let the
 * lane stand at A, and take a batch with the snapshot B.  Of a wait that B
 * sees, what lies behind A is matched in this batch and those to come.  What
 * lies before A was matched with it when that was read, if the wait could be
 * seen then.  It could not where it has become visible since: then whatever
 * is visible at A and was not at its registration has gone by, and is read
 * again here.
 *
 *		registered ...... A reads on ...... committed ...... B
 *		      |<- is looked back at ->|
 *
 * As a rule that is nothing: the registration saw all that A does, and one
 * comparison of two snapshots tells.  Waits that ask for events of the past
 * are looked back for once, in the same way.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "lib/qunique.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "delivery/lane.h"
#include "ground/compat.h"
#include "ground/extension.h"
#include "store/log_reader.h"
#include "store/log_state.h"
#include "store/milestone.h"
#include "workflow/look_back.h"
#include "workflow/wait.h"

/* More patterns than this are not looked up one by one. */
#define MAX_PATTERNS	64
/* Further apart than this two positions are not compared xid by xid. */
#define MAX_COMPARED	10000

/* The waits to be looked back for, and how far. */
typedef struct Arrivals
{
	MemoryContext context;
	MemoryContext scratch;
	const EeLogCursor *at;		/* where the lane stands */
	int64		n;				/* that arrived, looked back for or not */
	EeWaitRef  *refs;
	int			n_refs;
	int			allocated;
	int64		seq;			/* the lowest that any of them knows */
	int64		base_seq;
	uint64	   *xip;			/* in progress for any of them */
	int			nxip;
	int			xip_allocated;
	TimestampTz since;			/* the earliest asked for; DT_NOEND: none */
	Datum	   *patterns;
	int			n_patterns;
	bool		any_pattern;	/* too many, or wildcards */
} Arrivals;

static void read_arrivals(Arrivals *arrivals, int32 number,
						  const EeLogPosition *seen, Snapshot snapshot);
static void scan_arrivals(Arrivals *arrivals, Relation waits, Relation index,
						  TupleTableSlot *slot, Snapshot snapshot,
						  ScanKey keys, int n_keys);
static void add_arrival(Arrivals *arrivals, TupleTableSlot *slot);
static const EeLogPosition *position_of(const EeLogCursor *at);
static bool covers(const EeLogPosition *wait, const EeLogPosition *at);
static void add_ref(Arrivals *arrivals, TupleTableSlot *slot);
static void add_position(Arrivals *arrivals, const EeLogPosition *position);
static void add_pattern(Arrivals *arrivals, TupleTableSlot *slot);
static bool match_past(EeDelivery *delivery, Arrivals *arrivals,
					   EeWaitMatch *match, Snapshot snapshot);
static bool is_granted(const EeDelivery *delivery, TupleTableSlot *slot);
static bool has_passed(const EeLogCursor *at, TupleTableSlot *slot);
static int	compare_refs(const void *a, const void *b);
static int	compare_xids(const void *a, const void *b);

bool
ee_look_back(EeDelivery *delivery, EeDispatch *dispatch, EeWaitMatch *match,
			 Snapshot snapshot, int64 *arrived)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_engine look back",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Arrivals	arrivals;
	bool		complete = true;

	memset(&arrivals, 0, sizeof(arrivals));
	arrivals.context = context;
	arrivals.scratch = AllocSetContextCreate(context, "event_engine arrival",
											 ALLOCSET_SMALL_SIZES);
	arrivals.at = &delivery->cursor->at;
	arrivals.seq = arrivals.base_seq = PG_INT64_MAX;
	arrivals.since = DT_NOEND;
	read_arrivals(&arrivals, delivery->subscription->number,
				  dispatch->seen != NULL ? dispatch->seen :
				  &arrivals.at->low, snapshot);
	*arrived = arrivals.n;
	if (arrivals.n_refs > 0)
		complete = match_past(delivery, &arrivals, match, snapshot);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return complete;
}

/* ---------------------------------------------------------------- arrivals */

/*
 * Those that the snapshot sees and the position does not.  In another cluster
 * than the position's that is to be asked of all.
 */
static void
read_arrivals(Arrivals *arrivals, int32 number, const EeLogPosition *seen,
			  Snapshot snapshot)
{
	Relation	waits = table_open(ee_extension_relid(EE_REL_WORKFLOW_WAITS),
								   AccessShareLock);
	Relation	index =
		index_open(ee_extension_relid(EE_REL_WORKFLOW_WAITS_XID_IDX),
				   AccessShareLock);
	TupleTableSlot *slot = table_slot_create(waits, NULL);
	int64		base_seq = ee_log_state_base_seq();
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(number));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(base_seq));
	if (seen->base_seq != base_seq)
		scan_arrivals(arrivals, waits, index, slot, snapshot, keys, 1);
	else
	{
		for (int i = 0; i < seen->nxip; i++)
		{
			ScanKeyInit(&keys[2], 3, BTEqualStrategyNumber, F_XID8EQ,
						FullTransactionIdGetDatum(FullTransactionIdFromU64(seen->xip[i])));
			scan_arrivals(arrivals, waits, index, slot, snapshot, keys, 3);
		}
		ScanKeyInit(&keys[2], 3, BTGreaterEqualStrategyNumber, F_XID8GE,
					FullTransactionIdGetDatum(FullTransactionIdFromU64(seen->xmax)));
		scan_arrivals(arrivals, waits, index, slot, snapshot, keys, 3);
	}
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, AccessShareLock);
	table_close(waits, AccessShareLock);
}

static void
scan_arrivals(Arrivals *arrivals, Relation waits, Relation index,
			  TupleTableSlot *slot, Snapshot snapshot, ScanKey keys,
			  int n_keys)
{
	IndexScanDesc scan = ee_index_beginscan(waits, index, snapshot, n_keys, 0);

	index_rescan(scan, keys, n_keys, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(arrivals->scratch);

		CHECK_FOR_INTERRUPTS();
		add_arrival(arrivals, slot);
		MemoryContextSwitchTo(old);
		MemoryContextReset(arrivals->scratch);
	}
	index_endscan(scan);
}

static void
add_arrival(Arrivals *arrivals, TupleTableSlot *slot)
{
	EeLogPosition position;
	Datum		since;
	Datum		snapshot;
	bool		isnull;
	bool		looks_back;

	arrivals->n++;
	snapshot = slot_getattr(slot, EE_WAIT_SNAPSHOT, &isnull);
	since = slot_getattr(slot, EE_WAIT_SINCE, &isnull);
	looks_back = !isnull;
	if (looks_back)
		arrivals->since = Min(arrivals->since, DatumGetTimestampTz(since));
	ee_log_position_set_snapshot(&position, snapshot);
	position.seq = DatumGetInt64(slot_getattr(slot, EE_WAIT_SEQ, &isnull));
	position.base_seq = DatumGetInt64(slot_getattr(slot, EE_WAIT_BASE_SEQ,
												   &isnull));
	if (!looks_back && covers(&position, position_of(arrivals->at)))
		return;
	add_ref(arrivals, slot);
	add_position(arrivals, &position);
	add_pattern(arrivals, slot);
}

/* All that the lane has read is visible here. */
static const EeLogPosition *
position_of(const EeLogCursor *at)
{
	return at->in_range ? &at->high : &at->low;
}

/* Does the wait's registration see all that is visible where the lane stands? */
static bool
covers(const EeLogPosition *wait, const EeLogPosition *at)
{
	if (wait->base_seq != at->base_seq)
		return wait->base_seq > at->base_seq;
	for (int i = 0; i < wait->nxip; i++)
		if (ee_log_position_sees(at, PG_INT64_MAX, wait->xip[i]))
			return false;
	if (at->xmax > wait->xmax && at->xmax - wait->xmax > MAX_COMPARED)
		return false;
	for (uint64 xid = wait->xmax; xid < at->xmax; xid++)
		if (ee_log_position_sees(at, PG_INT64_MAX, xid))
			return false;
	return true;
}

static void
add_ref(Arrivals *arrivals, TupleTableSlot *slot)
{
	EeWaitRef  *ref;
	bool		isnull;

	if (arrivals->n_refs == arrivals->allocated)
	{
		arrivals->allocated = Max(arrivals->allocated * 2, 16);
		arrivals->refs = arrivals->refs == NULL ?
			MemoryContextAlloc(arrivals->context,
							   sizeof(EeWaitRef) * arrivals->allocated) :
			repalloc_huge(arrivals->refs,
						  sizeof(EeWaitRef) * arrivals->allocated);
	}
	ref = &arrivals->refs[arrivals->n_refs++];
	ref->key = DatumGetInt64(slot_getattr(slot, EE_WAIT_KEY, &isnull));
	ref->tid = slot->tts_tid;
}

/*
 * One position for all: what any of them does not see, it does not see.  An
 * event whose seq is not above the lowest of theirs, and that one does not
 * see, has its xid in that one's xip.
 */
static void
add_position(Arrivals *arrivals, const EeLogPosition *position)
{
	arrivals->seq = Min(arrivals->seq, position->seq);
	arrivals->base_seq = Min(arrivals->base_seq, position->base_seq);
	while (arrivals->nxip + position->nxip > arrivals->xip_allocated)
	{
		arrivals->xip_allocated = Max(arrivals->xip_allocated * 2, 64);
		arrivals->xip = arrivals->xip == NULL ?
			MemoryContextAlloc(arrivals->context,
							   sizeof(uint64) * arrivals->xip_allocated) :
			repalloc_huge(arrivals->xip,
						  sizeof(uint64) * arrivals->xip_allocated);
	}
	memcpy(arrivals->xip + arrivals->nxip, position->xip,
		   sizeof(uint64) * position->nxip);
	arrivals->nxip += position->nxip;
	/* as many are the same */
	if (arrivals->nxip > arrivals->xip_allocated / 2)
	{
		pg_qsort(arrivals->xip, arrivals->nxip, sizeof(uint64), compare_xids);
		arrivals->nxip = qunique(arrivals->xip, arrivals->nxip,
								 sizeof(uint64), compare_xids);
	}
}

static void
add_pattern(Arrivals *arrivals, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		pattern = slot_getattr(slot, EE_WAIT_PATTERN, &isnull);
	char	   *name = TextDatumGetCString(pattern);
	MemoryContext old;

	if (arrivals->any_pattern)
		return;
	if (strpbrk(name, "*#") != NULL || arrivals->n_patterns == MAX_PATTERNS)
	{
		arrivals->any_pattern = true;
		return;
	}
	for (int i = 0; i < arrivals->n_patterns; i++)
		if (strcmp(TextDatumGetCString(arrivals->patterns[i]), name) == 0)
			return;
	old = MemoryContextSwitchTo(arrivals->context);
	if (arrivals->patterns == NULL)
		arrivals->patterns = palloc(sizeof(Datum) * MAX_PATTERNS);
	arrivals->patterns[arrivals->n_patterns++] = CStringGetTextDatum(name);
	MemoryContextSwitchTo(old);
}

/* ------------------------------------------------------------------ the past */

static bool
match_past(EeDelivery *delivery, Arrivals *arrivals, EeWaitMatch *match,
		   Snapshot snapshot)
{
	EeLogCursor range;
	EeLogReader *reader;
	TupleTableSlot *slot;
	bool		complete = true;

	if (arrivals->since != DT_NOEND)
	{
		EeLogPosition since;

		ee_milestone_position(arrivals->since, &since);
		add_position(arrivals, &since);
	}
	pg_qsort(arrivals->refs, arrivals->n_refs, sizeof(EeWaitRef),
			 compare_refs);
	pg_qsort(arrivals->xip, arrivals->nxip, sizeof(uint64), compare_xids);
	memset(&range, 0, sizeof(range));
	range.low.seq = arrivals->seq;
	range.low.base_seq = arrivals->base_seq;
	range.low.xip = arrivals->xip;
	range.low.nxip = qunique(arrivals->xip, arrivals->nxip, sizeof(uint64),
							 compare_xids);
	range.in_range = true;
	range.high = *position_of(arrivals->at);
	reader = ee_log_reader_begin(&range,
								 arrivals->any_pattern ? NULL :
								 arrivals->patterns, arrivals->n_patterns,
								 EE_PRIORITY_NORMAL, snapshot);
	while (complete && (slot = ee_log_reader_next(reader)) != NULL)
		if (has_passed(arrivals->at, slot) &&
			ee_lane_takes(&delivery->lane, slot) &&
			is_granted(delivery, slot))
			complete = ee_wait_match_past(match, slot, arrivals->refs,
										  arrivals->n_refs);
	ee_log_reader_end(reader);
	return complete;
}

/* What comes by the log is asked by the matcher; this is what went by. */
static bool
is_granted(const EeDelivery *delivery, TupleTableSlot *slot)
{
	EeEvent		event;

	ee_envelope_from_slot(slot, &event);
	return ee_match_permits(delivery->subscription->matcher, &event);
}

/* Within a range, all up to seq have gone by, and all that was there before. */
static bool
has_passed(const EeLogCursor *at, TupleTableSlot *slot)
{
	bool		isnull;
	int64		seq = DatumGetInt64(slot_getattr(slot, EE_EVENT_SEQ, &isnull));
	uint64		xid =
		U64FromFullTransactionId(DatumGetFullTransactionId(slot_getattr(slot,
																		EE_EVENT_XID, &isnull)));

	return !at->in_range || seq <= at->seq ||
		ee_log_position_sees(&at->low, seq, xid);
}

static int
compare_refs(const void *a, const void *b)
{
	int64		first = ((const EeWaitRef *) a)->key;
	int64		second = ((const EeWaitRef *) b)->key;

	return first < second ? -1 : first > second;
}

static int
compare_xids(const void *a, const void *b)
{
	uint64		first = *(const uint64 *) a;
	uint64		second = *(const uint64 *) b;

	return first < second ? -1 : first > second;
}
