/*
 * replay_range.c
 *	  Places in the log by time and by position, for seek and replay.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "funcapi.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "store/log_position.h"

static void position_before(EeLogPosition *position, bool by_time,
							Datum bound);

PG_FUNCTION_INFO_V1(ee_sql_replay_range);
PG_FUNCTION_INFO_V1(ee_sql_announce_cursors);

/*
 * replay_range(since timestamptz, from_seq bigint, OUT ...): from the latest
 * position known that is before both to the present, taken in this order.
 */
Datum
ee_sql_replay_range(PG_FUNCTION_ARGS)
{
	EeLogPosition low;
	EeLogPosition by_seq;
	EeLogPosition *high;
	TupleDesc	desc;
	Datum		values[6];
	bool		nulls[6] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PushActiveSnapshot(GetLatestSnapshot());
	high = ee_log_position_current();
	position_before(&low, true, PG_ARGISNULL(0) ? (Datum) 0 :
					PG_GETARG_DATUM(0));
	if (!PG_ARGISNULL(1))
	{
		position_before(&by_seq, false, PG_GETARG_DATUM(1));
		if (PG_ARGISNULL(0) || by_seq.seq > low.seq)
			low = by_seq;
	}
	PopActiveSnapshot();
	values[0] = ee_log_position_snapshot(&low);
	values[1] = Int64GetDatum(low.seq);
	values[2] = Int64GetDatum(low.base_seq);
	values[3] = ee_log_position_snapshot(high);
	values[4] = Int64GetDatum(high->seq);
	values[5] = Int64GetDatum(high->base_seq);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/*
 * The latest milestone at a time (0: none) or below a seq; where there is
 * none, a position that has seen nothing.
 */
static void
position_before(EeLogPosition *position, bool by_time, Datum bound)
{
	static uint64 nothing_in_progress[1];
	static EePlan at_time =
		EE_PLAN("SELECT snapshot, seq, base_seq FROM event_engine.event_milestones "
				"WHERE created_at <= $1 ORDER BY created_at DESC LIMIT 1",
				"timestamptz");
	static EePlan below_seq =
		EE_PLAN("SELECT snapshot, seq, base_seq FROM event_engine.event_milestones "
				"WHERE seq < $1 ORDER BY seq DESC LIMIT 1", "int8");
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	EePlanFrame frame;
	EeIdentity	saved;

	memset(position, 0, sizeof(*position));
	position->xmin = position->xmax = FirstNormalTransactionId;
	position->xip = nothing_in_progress;
	if (bound == (Datum) 0)
		return;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(by_time ? &at_time : &below_seq, &bound, NULL, true,
						1) > 0)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		old = MemoryContextSwitchTo(caller);
		ee_log_position_set_snapshot(position,
									 SPI_getbinval(tuple, desc, 1, &isnull));
		MemoryContextSwitchTo(old);
		position->seq = DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull));
		position->base_seq = DatumGetInt64(SPI_getbinval(tuple, desc, 3,
														 &isnull));
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

/* announce_cursors(): of use where cursors are written in SQL. */
Datum
ee_sql_announce_cursors(PG_FUNCTION_ARGS)
{
	(void) ee_invalidate_watch(EE_REL_SUBSCRIPTION_CURSORS);
	ee_invalidate_announce(EE_REL_SUBSCRIPTION_CURSORS);
	PG_RETURN_VOID();
}
