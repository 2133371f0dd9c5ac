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
