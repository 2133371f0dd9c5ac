/*
 * late.c
 *	  Waits that come to light after an event of theirs fell due.
 *
 * An event with a deliver_at is matched, when that has come, with the waits
 * that can be seen.  A wait that was registered before, by a transaction that
 * is still open, cannot; and it may have seen the event in the log, so that
 * nobody looks back for it either.  So the event is kept, with the
 * transactions that were open: when one of them has ended it is matched
 * again, and when all have it is forgotten.  Whoever has no transaction id
 * then registers later than the event was due.
 *
 *		due, transactions open -> kept -> one has ended: matched again
 *									   -> all have ended: gone
 *
 * What the event has resumed it does not resume again (wait_match.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/array.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "ground/envelope.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "store/log_state.h"
#include "workflow/dispatch.h"
#include "workflow/late.h"
#include "workflow/wait_match.h"

/* At once. */
#define LATE_MAX	100

/* Looked at again after so long; twice as long while nothing ends. */
#define FIRST_USECS	(10 * INT64CONST(1000))
#define LAST_USECS	USECS_PER_SEC

/* An event that is kept. */
typedef struct Kept
{
	int64		seq;
	Datum		event;
	ArrayType  *open;			/* what is open still; NULL: nothing */
	int			end;			/* in the list, behind its steps */
} Kept;

struct EeLate
{
	Kept	   *kept;			/* of which a transaction has ended */
	int			n;
};

static int	read_kept(EeDelivery *delivery, Kept *kept, bool *any);
static ArrayType *still_open(ArrayType *open, const EeLogPosition *now,
							 bool *ended);
static void match_kept(EeDelivery *delivery, EeLate *late,
					   EeResumeList *list);
static void look_again(EeDelivery *delivery, bool soon);
static Datum xids_datum(const uint64 *xids, int n);
static void run(EePlan *plan, EeDelivery *delivery, int64 seq, Datum third,
				Datum fourth, Datum fifth);

void
ee_late_keep(EeDelivery *delivery, int64 seq, Datum event,
			 const EeLogPosition *position)
{
	static EePlan keep =
		EE_PLAN("INSERT INTO event_engine.workflow_late "
				"(number, seq, open, base_seq, event) "
				"VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
				"int4", "int8", "xid8[]", "int8", "event_engine.event");

	if (position->nxip == 0 || !ee_extension_has(EE_REL_WORKFLOW_LATE))
		return;
	run(&keep, delivery, seq, xids_datum(position->xip, position->nxip),
		Int64GetDatum(position->base_seq), event);
	look_again(delivery, true);
}

EeLate *
ee_late_find(EeDelivery *delivery, EeResumeList *list)
{
	EeLate	   *late;
	bool		any;

	if (list->n >= list->max || !ee_extension_has(EE_REL_WORKFLOW_LATE))
		return NULL;
	late = palloc(sizeof(EeLate));
	late->kept = palloc(sizeof(Kept) * LATE_MAX);
	late->n = read_kept(delivery, late->kept, &any);
	if (any)
		look_again(delivery, late->n > 0);
	if (late->n == 0)
		return NULL;
	match_kept(delivery, late, list);
	return late;
}

/* Those of which a transaction has ended. */
static int
read_kept(EeDelivery *delivery, Kept *kept, bool *any)
{
	static EePlan find =
		EE_PLAN("SELECT seq, event, open, base_seq "
				"FROM event_engine.workflow_late WHERE number = $1 "
				"ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED",
				"int4", "int4");
	EeLogPosition *now;
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[2];
	int			found;
	int			n = 0;

	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int32GetDatum(LATE_MAX);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	found = (int) ee_plan_execute(&find, values, NULL, false, 0);
	MemoryContextSwitchTo(frame.caller);
	PushActiveSnapshot(GetLatestSnapshot());
	now = ee_log_position_current();
	PopActiveSnapshot();
	for (int i = 0; i < found; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Kept	   *one = &kept[n];
		bool		isnull;
		bool		ended;

		one->open = still_open(DatumGetArrayTypeP(SPI_getbinval(tuple, desc,
																3, &isnull)),
							   DatumGetInt64(SPI_getbinval(tuple, desc, 4,
														   &isnull)) ==
							   now->base_seq ? now : NULL, &ended);
		if (!ended)
			continue;
		one->seq = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		one->event =
			PointerGetDatum(DatumGetHeapTupleHeaderCopy(SPI_getbinval(tuple,
																	  desc, 2,
																	  &isnull)));
		n++;
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	*any = found > 0;
	return n;
}

/* now NULL: of another cluster, where nothing is open any more. */
static ArrayType *
still_open(ArrayType *open, const EeLogPosition *now, bool *ended)
{
	Datum	   *xids;
	uint64	   *left;
	int			n;
	int			n_left = 0;

	deconstruct_array(open, XID8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &xids, NULL, &n);
	left = palloc(sizeof(uint64) * Max(n, 1));
	for (int i = 0; now != NULL && i < n; i++)
	{
		uint64		xid =
			U64FromFullTransactionId(DatumGetFullTransactionId(xids[i]));

		for (int j = 0; j < now->nxip; j++)
			if (now->xip[j] == xid)
			{
				left[n_left++] = xid;
				break;
			}
	}
	*ended = n_left < n;
	return n_left == 0 ? NULL :
		DatumGetArrayTypeP(xids_datum(left, n_left));
}

static void
match_kept(EeDelivery *delivery, EeLate *late, EeResumeList *list)
{
	EeDispatch *dispatch = delivery->dispatch;
	uint64		known = ee_wait_index_watch();
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = ee_envelope_new_slot();
	EeWaitMatch *match;
	int			matched = 0;

	PushActiveSnapshot(snapshot);
	dispatch->index = ee_wait_index_read(dispatch->index,
										 delivery->subscription->number,
										 known, delivery->context);
	match = ee_wait_match_begin(delivery, dispatch->index, NULL, snapshot, list);
	while (matched < late->n)
	{
		if (!ee_wait_match_event(match,
								 ee_envelope_slot(slot,
												  late->kept[matched].event),
								 0))
			break;
		late->kept[matched++].end = list->n;
	}
	ee_wait_match_end(match);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	/* those behind one that more waits want than there is room for can wait */
	late->n = matched;
}

void
ee_late_end(EeDelivery *delivery, EeLate *late, int done)
{
	static EePlan forget =
		EE_PLAN("DELETE FROM event_engine.workflow_late "
				"WHERE number = $1 AND seq = $2", "int4", "int8");
	static EePlan keep =
		EE_PLAN("UPDATE event_engine.workflow_late SET open = $3 "
				"WHERE number = $1 AND seq = $2", "int4", "int8", "xid8[]");

	for (int i = 0; i < late->n && late->kept[i].end <= done; i++)
		run(late->kept[i].open == NULL ? &forget : &keep, delivery,
			late->kept[i].seq, PointerGetDatum(late->kept[i].open),
			(Datum) 0, (Datum) 0);
}

static void
look_again(EeDelivery *delivery, bool soon)
{
	EeDispatch *dispatch = delivery->dispatch;

	dispatch->late_usecs = soon ? FIRST_USECS :
		Min(Max(dispatch->late_usecs * 2, FIRST_USECS), LAST_USECS);
	dispatch->late_at = GetCurrentTimestamp() + dispatch->late_usecs;
}

static Datum
xids_datum(const uint64 *xids, int n)
{
	Datum	   *elements = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		elements[i] =
			FullTransactionIdGetDatum(FullTransactionIdFromU64(xids[i]));
	return PointerGetDatum(construct_array(elements, n, XID8OID, 8,
										   FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

static void
run(EePlan *plan, EeDelivery *delivery, int64 seq, Datum third, Datum fourth,
	Datum fifth)
{
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[5] = {0};

	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int64GetDatum(seq);
	values[2] = third;
	values[3] = fourth;
	values[4] = fifth;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(plan, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}
