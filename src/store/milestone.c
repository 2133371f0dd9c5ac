/*
 * milestone.c
 *	  Positions of the log by time: where a replay "since 10:00" begins.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "ground/debug_point.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/insert.h"
#include "ground/plan.h"
#include "store/log_position.h"
#include "store/milestone.h"

void
ee_milestone_store(void)
{
	EeLogPosition *position = ee_log_position_current();
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[1] = Int64GetDatum(position->seq);
	values[2] = ee_log_position_snapshot(position);
	values[3] = Int64GetDatum(position->base_seq);
	ee_insert_values(ee_extension_relid(EE_REL_EVENT_MILESTONES), values,
					 nulls);
	ee_debug_point("milestone_stored");
}

bool
ee_milestone_published(uint64 *xids, int n)
{
	static EePlan any =
		EE_PLAN("SELECT FROM event_engine.events WHERE xid = ANY ($1) LIMIT 1",
				"xid8[]");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum	   *elements = palloc(sizeof(Datum) * n);
	Datum		value;
	bool		found;

	for (int i = 0; i < n; i++)
		elements[i] =
			FullTransactionIdGetDatum(FullTransactionIdFromU64(xids[i]));
	value = PointerGetDatum(construct_array(elements, n, XID8OID, 8,
											FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	found = ee_plan_execute(&any, &value, NULL, false, 1) > 0;
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return found;
}

void
ee_milestone_position(TimestampTz at, EeLogPosition *position)
{
	static EePlan latest =
		EE_PLAN("SELECT seq, snapshot, base_seq FROM event_engine.event_milestones "
				"WHERE created_at <= $1 ORDER BY created_at DESC LIMIT 1",
				"timestamptz");
	static uint64 nothing_in_progress[1];
	MemoryContext caller = CurrentMemoryContext;
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = TimestampTzGetDatum(at);

	/* a position that has seen nothing */
	memset(position, 0, sizeof(*position));
	position->xmin = position->xmax = FirstNormalTransactionId;
	position->xip = nothing_in_progress;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(&latest, &value, NULL, false, 1) > 0)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(caller);
		bool		isnull;

		position->seq = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		ee_log_position_set_snapshot(position,
									 SPI_getbinval(tuple, desc, 2, &isnull));
		position->base_seq = DatumGetInt64(SPI_getbinval(tuple, desc, 3,
														 &isnull));
		MemoryContextSwitchTo(old);
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}
