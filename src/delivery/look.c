/*
 * look.c
 *	  What waits for a subscription, for people: read only, and without
 *	  the locks of who delivers.
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/batch.h"
#include "delivery/round.h"
#include "ground/invalidate.h"
#include "routing/routing_cache.h"

/* A look at a lane ends after so many events that nobody wanted. */
#define LOOK_MAX	10000

#define BACKLOG_COLS	3

typedef struct Backlog
{
	int64		events;
	TimestampTz oldest_at;
	bool		complete;		/* it was read to its end */
} Backlog;

static void look_at_lane(EeDelivery *delivery, int64 max, Backlog *backlog);

PG_FUNCTION_INFO_V1(ee_sql_subscription_backlog);

/*
 * subscription_backlog(number, max) RETURNS record (events, oldest_at,
 * complete): what of its events the cursors have yet to pass.
 */
Datum
ee_sql_subscription_backlog(PG_FUNCTION_ARGS)
{
	int64		max = PG_GETARG_INT64(1);
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "event_engine look",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	uint64		generation;
	EeSubscription *subscription;
	Backlog		backlog = {0, 0, true};
	Datum		values[BACKLOG_COLS];
	bool		nulls[BACKLOG_COLS] = {0};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);
	old = MemoryContextSwitchTo(context);
	generation = ee_invalidate_watch(EE_REL_SUBSCRIPTIONS);
	subscription = ee_routing_cache_by_number(PG_GETARG_INT32(0), false);
	for (int index = 0; index < subscription->concurrency; index++)
	{
		EeDelivery *base = ee_round_delivery(subscription, index, generation,
											 context);

		base->looking = true;
		ee_round_expand(base);
		look_at_lane(base, max, &backlog);
		for (int class = 0; class < EE_N_PRIORITIES; class++)
		{
			EeDelivery *beside = class == EE_PRIORITY_NORMAL ? NULL :
				ee_round_beside(base, class, context);

			if (beside == NULL)
				continue;
			beside->looking = true;
			look_at_lane(beside, max, &backlog);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);

	values[0] = Int64GetDatum(backlog.events);
	values[1] = TimestampTzGetDatum(backlog.oldest_at);
	nulls[1] = backlog.events == 0;
	values[2] = BoolGetDatum(backlog.complete);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* As batches would read it, one after the other; the cursor stays. */
static void
look_at_lane(EeDelivery *delivery, int64 max, Backlog *backlog)
{
	int64		n = 0;
	int64		examined = 0;

	for (;;)
	{
		EeBatch    *batch = ee_batch_begin(delivery);
		TupleTableSlot *slot;

		while (n < max && examined + batch->examined < n + LOOK_MAX &&
			   (slot = ee_batch_next(batch)) != NULL)
		{
			bool		isnull;
			TimestampTz at = DatumGetTimestampTz(slot_getattr(slot,
															  EE_EVENT_CREATED_AT,
															  &isnull));

			backlog->oldest_at = backlog->events == 0 ? at :
				Min(backlog->oldest_at, at);
			backlog->events++;
			n++;
		}
		examined += batch->examined;
		ee_batch_end(batch);
		if (ee_batch_reached_end(batch))
			return;
		if (!batch->exhausted)
		{
			backlog->complete = false;
			return;
		}
		/* there is another range, up to the present */
		ee_batch_committed(delivery, batch->next);
	}
}
