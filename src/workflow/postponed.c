/*
 * postponed.c
 *	  Events whose instance somebody else has locked.
 *
 * A client may have an instance locked for as long as its transaction is open:
 * the dispatcher writes down what it has found, moves on, and looks again
 * every few milliseconds.  Whatever ends the wait meanwhile wins.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "ground/identity.h"
#include "ground/plan.h"
#include "workflow/postponed.h"

void
ee_postponed_add(EeDelivery *delivery, const EeResume *item)
{
	static EePlan insert =
		EE_PLAN("INSERT INTO event_engine.workflow_postponed "
				"(number, seq, wait_id, instance_id, event) "
				"VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
				"int4", "int8", "uuid", "uuid", "event_engine.event");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[5];

	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int64GetDatum(item->seq);
	values[2] = UUIDPGetDatum(&item->resumption.wait);
	values[3] = UUIDPGetDatum(&item->instance);
	values[4] = item->resumption.event;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&insert, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	delivery->base->next_due = Min(delivery->base->next_due,
								   GetCurrentTimestamp() +
								   EE_POSTPONED_USECS);
}

void
ee_postponed_find(EeDelivery *delivery, EeResumeList *list)
{
	static EePlan find =
		EE_PLAN("SELECT p.seq, p.wait_id, p.instance_id, p.event "
				"FROM event_engine.workflow_postponed p "
				"JOIN event_engine.workflow_instances i ON i.id = p.instance_id "
				"WHERE p.number = $1 ORDER BY p.seq LIMIT $2 "
				"FOR UPDATE SKIP LOCKED", "int4", "int4");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[2];
	int			n;

	if (list->n >= list->max)
		return;
	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int32GetDatum(list->max - list->n);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	n = (int) ee_plan_execute(&find, values, NULL, false, 0);
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		EeResume   *item = ee_resume_add(list);
		MemoryContext old = MemoryContextSwitchTo(list->context);
		bool		isnull;

		item->call = EE_RESUME_WAIT;
		item->postponed = true;
		item->seq = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		item->resumption.kind = EE_RESUMED_BY_EVENT;
		item->resumption.wait =
			*DatumGetUUIDP(SPI_getbinval(tuple, desc, 2, &isnull));
		item->postponed_wait = item->resumption.wait;
		item->instance =
			*DatumGetUUIDP(SPI_getbinval(tuple, desc, 3, &isnull));
		item->resumption.event =
			PointerGetDatum(DatumGetHeapTupleHeaderCopy(SPI_getbinval(tuple,
																	  desc, 4,
																	  &isnull)));
		MemoryContextSwitchTo(old);
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

void
ee_postponed_remove(EeDelivery *delivery, const EeResume *item)
{
	static EePlan remove =
		EE_PLAN("DELETE FROM event_engine.workflow_postponed "
				"WHERE number = $1 AND seq = $2 AND wait_id = $3",
				"int4", "int8", "uuid");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[3];

	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int64GetDatum(item->seq);
	values[2] = UUIDPGetDatum(&item->postponed_wait);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&remove, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

bool
ee_postponed_any(EeDelivery *delivery)
{
	static EePlan any =
		EE_PLAN("SELECT FROM event_engine.workflow_postponed p "
				"JOIN event_engine.workflow_instances i ON i.id = p.instance_id "
				"WHERE p.number = $1 LIMIT 1", "int4");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = Int32GetDatum(delivery->subscription->number);
	bool		found;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	found = ee_plan_execute(&any, &value, NULL, false, 1) > 0;
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return found;
}
