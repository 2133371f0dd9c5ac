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
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "delivery/lane.h"
#include "ground/compat.h"
#include "ground/extension.h"
#include "store/log_state.h"
#include "workflow/look_back.h"
#include "workflow/wait_set.h"

/* The waits to be looked back for, and how far. */
typedef struct Arrivals
{
	MemoryContext scratch;
	const EeLogCursor *at;		/* where the lane stands */
	EeWaitFilter *filter;		/* of the lane */
	int64		n;				/* that arrived, looked back for or not */
	EeWaitSet	set;
	EeWaitFrom	from;
} Arrivals;

static void read_arrivals(Arrivals *arrivals, int32 number,
						  const EeLogPosition *seen, Snapshot snapshot);
static void scan_arrivals(Arrivals *arrivals, Relation waits, Relation index,
						  TupleTableSlot *slot, Snapshot snapshot,
						  ScanKey keys, int n_keys);
static void add_arrival(Arrivals *arrivals, TupleTableSlot *slot);
static bool match_past(EeDelivery *delivery, Arrivals *arrivals,
					   EeWaitMatch *match, Snapshot snapshot);
static bool has_passed(const EeLogCursor *at, TupleTableSlot *slot);

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
	ee_wait_set_init(&arrivals.set);
	ee_wait_set_init_from(&arrivals.from);
	arrivals.scratch = AllocSetContextCreate(context, "event_engine arrival",
											 ALLOCSET_SMALL_SIZES);
	arrivals.at = &delivery->cursor->at;
	arrivals.filter = &dispatch->filter;
	read_arrivals(&arrivals, delivery->subscription->number,
				  dispatch->seen != NULL ? dispatch->seen :
				  &arrivals.at->low, snapshot);
	*arrived = arrivals.n;
	if (arrivals.set.n > 0)
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
	bool		isnull;

	arrivals->n++;
	ee_wait_filter_add(arrivals->filter,
					   DatumGetInt64(slot_getattr(slot, EE_WAIT_KEY,
												  &isnull)));
	if (ee_wait_set_from_wait(&arrivals->from, slot, arrivals->at))
		ee_wait_set_add(&arrivals->set, slot);
}

/* ------------------------------------------------------------------ the past */

static bool
match_past(EeDelivery *delivery, Arrivals *arrivals, EeWaitMatch *match,
		   Snapshot snapshot)
{
	const EeLogCursor *at = arrivals->at;
	EeLogReader *reader =
		ee_wait_set_read(&arrivals->set, &arrivals->from,
						 at->in_range ? &at->high : &at->low,
						 EE_PRIORITY_NORMAL, snapshot);
	TupleTableSlot *slot;
	bool		complete = true;

	while (complete && (slot = ee_log_reader_next(reader)) != NULL)
		if (has_passed(at, slot) &&
			ee_lane_takes(&delivery->lane, slot) &&
			ee_wait_set_permits(delivery, slot))
			complete = ee_wait_set_match(&arrivals->set, match, slot);
	ee_log_reader_end(reader);
	return complete;
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
