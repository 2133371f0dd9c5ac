/*
 * pull.c
 *	  Read the log for a pulling client.
 *
 * The cursor moves in the client's transaction: it commits together with the
 * lease that receive_events() writes, or both are undone.  Whoever reads holds
 * the subscription's lock until its transaction ends; others get nothing from
 * the log meanwhile, and wait for nothing.
 */
#include "postgres.h"

#include "access/xact.h"
#include "funcapi.h"
#include "utils/inval.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "delivery/cursor.h"
#include "delivery/handler.h"
#include "delivery/retry.h"
#include "delivery/round.h"
#include "ground/errors.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "routing/routing_cache.h"

/*
 * A cursor that passed only events that nobody wanted is worth storing once
 * it has come so far.
 */
#define MOVE_WORTH	1000

static EeSubscription *load_by_number(int32 number);
static bool read_events(EeDelivery *delivery, int max, ReturnSetInfo *result);
static bool put_off(EeDelivery *delivery, TupleTableSlot *slot,
					MemoryContext context);
static bool add_counts(int32 number, EeCursor *cursor);

PG_FUNCTION_INFO_V1(ee_sql_read_log);

/*
 * read_log(number integer, max_events integer) RETURNS SETOF event: take the
 * next events of a subscription and move its cursor behind them, in this
 * transaction.  Gives nothing while somebody else has the subscription.  What
 * is not due yet is written to deliveries instead.
 */
Datum
ee_sql_read_log(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int32		number = PG_GETARG_INT32(0);
	int			max = PG_GETARG_INT32(1);
	EeDelivery *delivery;
	EeCursor   *cursor;
	bool		moved;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("events can be received only in a transaction of isolation level READ COMMITTED")));
	if (max < 1 || !ee_cursor_lock(number, true))
		return (Datum) 0;
	/* whoever had the lock before may have removed the subscription */
	AcceptInvalidationMessages();
	delivery = ee_round_delivery(load_by_number(number), 0,
								 CurrentMemoryContext);
	ee_round_expand(delivery);
	moved = read_events(delivery, max, result);
	cursor = ee_cursor_copy(delivery->cursor);
	moved |= add_counts(number, cursor);
	if (moved)
		ee_cursor_store(number, cursor);
	MemoryContextDelete(delivery->context);
	return (Datum) 0;
}

static EeSubscription *
load_by_number(int32 number)
{
	ListCell   *lc;

	foreach(lc, ee_routing_cache_all())
	{
		EeSubscription *subscription = lfirst(lc);

		if (subscription->number == number)
			return subscription;
	}
	ereport(ERROR,
			(errcode(EE_ERRCODE_UNKNOWN_SUBSCRIPTION),
			 errmsg("subscription number %d does not exist", number)));
}

/*
 * Up to max events go into the result; the delivery's cursor is behind them
 * then.  Goes on until there is something to give or nothing left, as a
 * client that gets nothing will pause.  True when the cursor is worth storing.
 */
static bool
read_events(EeDelivery *delivery, int max, ReturnSetInfo *result)
{
	MemoryContext per_event = AllocSetContextCreate(CurrentMemoryContext,
													"event_engine event",
													ALLOCSET_DEFAULT_SIZES);
	bool		moved = false;
	bool		more = true;
	int			n = 0;

	while (more)
	{
		EeBatch    *batch = ee_batch_begin(delivery);
		int64		low = batch->next->at.low.seq;
		TupleTableSlot *slot;

		while (n < max && (slot = ee_batch_next(batch)) != NULL)
		{
			if (put_off(delivery, slot, per_event))
				continue;
			slot_getallattrs(slot);
			tuplestore_putvalues(result->setResult, result->setDesc,
								 slot->tts_values, slot->tts_isnull);
			n++;
		}
		ee_batch_end(batch);
		moved = moved || batch->examined > 0 || !batch->fresh ||
			batch->next->at.low.seq - low >= MOVE_WORTH;
		more = n < max && !ee_batch_reached_end(batch) &&
			(n == 0 || batch->exhausted);
		ee_batch_committed(delivery, batch->next);
	}
	MemoryContextDelete(per_event);
	return moved;
}

static bool
put_off(EeDelivery *delivery, TupleTableSlot *slot, MemoryContext context)
{
	bool		isnull;
	Datum		deliver_at = slot_getattr(slot, EE_EVENT_DELIVER_AT, &isnull);
	MemoryContext old;

	if (isnull || DatumGetTimestampTz(deliver_at) <= GetCurrentTimestamp())
		return false;
	old = MemoryContextSwitchTo(context);
	ee_retry_delay(delivery, ee_handler_event_datum(slot),
				   DatumGetInt64(slot_getattr(slot, EE_EVENT_SEQ, &isnull)),
				   DatumGetTimestampTz(deliver_at));
	MemoryContextSwitchTo(old);
	MemoryContextReset(context);
	return true;
}

/*
 * Add to the totals what has become of the events read before.  Only whoever
 * has the subscription's lock takes rows away, anybody may add some.
 */
static bool
add_counts(int32 number, EeCursor *cursor)
{
	static EePlan take =
		EE_PLAN("WITH taken AS (DELETE FROM event_engine.delivery_counts "
				"WHERE subscription_number = $1 RETURNING delivered, failed, dead) "
				"SELECT sum(delivered)::pg_catalog.int8, sum(failed)::pg_catalog.int8, "
				"sum(dead)::pg_catalog.int8 FROM taken", "int4");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = Int32GetDatum(number);
	Datum		delivered;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&take, &value, NULL, false, 0);
	delivered = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
							  &isnull);
	if (!isnull)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		null;

		cursor->delivered += DatumGetInt64(delivered);
		cursor->failed += DatumGetInt64(SPI_getbinval(tuple, desc, 2, &null));
		cursor->dead += DatumGetInt64(SPI_getbinval(tuple, desc, 3, &null));
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return !isnull;
}
