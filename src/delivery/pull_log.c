/*
 * pull_log.c
 *	  Read the log for a pulling client.
 *
 * The cursor moves in the client's transaction: it commits together with the
 * lease of what was read, or both are undone.  Whoever reads holds the
 * subscription's lock until its transaction ends.  Most clients commit as
 * soon as they have received, so the others wait a few milliseconds for that
 * (delivery_receive_wait) rather than go away with nothing; who keeps his
 * transaction open keeps them no longer than so.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "delivery/cursor.h"
#include "delivery/handler.h"
#include "delivery/idempotency.h"
#include "delivery/pull.h"
#include "delivery/retry.h"
#include "delivery/round.h"
#include "ground/config.h"
#include "ground/debug_point.h"
#include "ground/errors.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "ground/subtransaction.h"
#include "routing/routing_cache.h"

/*
 * A cursor that passed only events that nobody wanted is worth storing once
 * it has come so far.
 */
#define MOVE_WORTH	1000

/* What is known of reading when a filter raises an error. */
typedef struct Reading
{
	EeDelivery *delivery;		/* the lane that is read */
	EeReceipt  *receipt;
	int			n_before;		/* events under the receipt before */
	int			limit;			/* events to be taken from the log */
	int			passed;			/* taken */
	bool		moved;			/* the cursor is worth storing */
} Reading;

static List *lanes_in_turn(EeDelivery *base);
static void read_lane(Reading *reading);
static void read_guarded(Reading *reading);
static bool bury_unmatched(EeDelivery *delivery, const ErrorData *error);
static void read_events(void *arg);
static bool is_known(EeDelivery *delivery, TupleTableSlot *slot,
					 MemoryContext context);
static bool put_off(EeDelivery *delivery, TupleTableSlot *slot,
					MemoryContext context);
static bool add_counts(int32 number, EeCursor *cursor);

/*
 * Take the next events of a subscription, until max are under the receipt,
 * and move its cursor behind them: events of one class, the most urgent that
 * has any.  Gives nothing while somebody else has the subscription for
 * longer.  What is not due yet is written to deliveries instead.
 */
void
ee_pull_log(EeReceipt *receipt, int32 number)
{
	EeDelivery *delivery;
	Reading		reading;
	int			n = receipt->n;
	ListCell   *lc;

	if (!ee_cursor_lock_lane_within(number, EE_PULL_LANE,
									receipt->n > 0 ? 0 :
									ee_config_delivery_receive_wait))
		return;
	/* whoever had the lock before may have removed the subscription */
	AcceptInvalidationMessages();
	delivery = ee_round_delivery(ee_routing_cache_by_number(number, false),
								 0, 0, CurrentMemoryContext);
	ee_round_expand(delivery);
	reading.receipt = receipt;
	foreach(lc, lanes_in_turn(delivery))
	{
		reading.delivery = lfirst(lc);
		read_lane(&reading);
		if (receipt->n > n)
			break;
	}
	ee_debug_point("pull_after_read");
	MemoryContextDelete(delivery->context);
}

/*
 * The most urgent first; low ones now and then before the others, so that
 * they are not left for ever.
 */
static List *
lanes_in_turn(EeDelivery *base)
{
	List	   *lanes = NIL;

	for (int class = 0; class < EE_N_PRIORITIES; class++)
	{
		EeDelivery *lane = class == EE_PRIORITY_NORMAL ? base :
			!ee_log_reader_any(class) ? NULL :
			ee_round_beside(base, class, base->context);

		if (lane == NULL)
			continue;
		if (class == EE_PRIORITY_LOW &&
			pg_prng_uint64_range(&pg_global_prng_state, 1,
								 EE_LOW_SHARE) == 1)
			lanes = lcons(lane, lanes);
		else
			lanes = lappend(lanes, lane);
	}
	return lanes;
}

static void
read_lane(Reading *reading)
{
	EeDelivery *delivery = reading->delivery;
	int32		number = delivery->subscription->number;
	EeCursor   *cursor;

	read_guarded(reading);
	cursor = ee_cursor_copy(delivery->cursor);
	if (delivery->base == delivery)
		reading->moved |= add_counts(number, cursor);
	if (reading->moved)
		ee_cursor_store(number, delivery->lane.number, cursor);
}

/*
 * Read in a subtransaction where a filter may raise an error.  Then those
 * before the event that is to blame are given first; when it is the next it
 * becomes a dead letter, and the others go on.
 */
static void
read_guarded(Reading *reading)
{
	EeDelivery *delivery = reading->delivery;
	ErrorData  *error;

	reading->limit = INT_MAX;
	reading->n_before = reading->receipt->n;
	reading->passed = 0;
	reading->moved = false;
	if (!ee_match_needs_content(delivery->subscription->matcher))
	{
		read_events(reading);
		return;
	}
	while ((error = ee_subtransaction_run(read_events, reading)) != NULL)
	{
		if (!delivery->matching ||
			error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		ee_pull_take_back(reading->receipt, reading->n_before);
		delivery->cursor = NULL;
		if (reading->passed > 0)
			reading->limit = reading->passed;
		else
			reading->moved |= bury_unmatched(delivery, error);
		reading->passed = 0;
		FreeErrorData(error);
	}
}

/*
 * The event looked at last; false when another one is next by now.  It may
 * lie behind a range that has nothing left.
 */
static bool
bury_unmatched(EeDelivery *delivery, const ErrorData *error)
{
	EeBatch    *batch;
	TupleTableSlot *slot;
	Datum		event = (Datum) 0;

	delivery->forced = delivery->examining;
	for (;;)
	{
		batch = ee_batch_begin(delivery);
		slot = ee_batch_next(batch);
		if (slot != NULL && delivery->examining == delivery->forced)
			event = ee_handler_event_datum(slot);
		ee_batch_end(batch);
		if (slot != NULL || ee_batch_reached_end(batch))
			break;
		ee_batch_committed(delivery, batch->next);
	}
	delivery->forced = 0;
	if (event == (Datum) 0)
		return false;
	ee_retry_unmatched(delivery, batch->next, event, error);
	ee_cursor_store(delivery->subscription->number, delivery->lane.number,
					batch->next);
	delivery->cursor = NULL;
	return true;
}

/*
 * Events go into the result, are put off or passed over; the delivery's cursor is behind
 * them then.  Goes on until there is something to give or nothing left, as a
 * client that gets nothing will pause.
 */
static void
read_events(void *arg)
{
	Reading    *reading = arg;
	EeDelivery *delivery = reading->delivery;
	EeReceipt  *receipt = reading->receipt;
	MemoryContext per_event = AllocSetContextCreate(CurrentMemoryContext,
													"event_engine event",
													ALLOCSET_DEFAULT_SIZES);
	bool		moved = false;
	bool		more = true;

	while (more)
	{
		EeBatch    *batch = ee_batch_begin(delivery);
		int64		low = batch->next->at.low.seq;
		TupleTableSlot *slot;

		while (receipt->n < receipt->max &&
			   reading->passed < reading->limit &&
			   (slot = ee_batch_next(batch)) != NULL)
		{
			if (put_off(delivery, slot, per_event))
				;				/* it comes again */
			else if (is_known(delivery, slot, per_event))
				batch->next->delivered++;
			else
				ee_pull_give(receipt, slot);
			reading->passed++;
		}
		ee_batch_end(batch);
		moved = moved || batch->examined > 0 || !batch->fresh ||
			batch->next->at.low.seq - low >= MOVE_WORTH;
		more = receipt->n < receipt->max &&
			reading->passed < reading->limit &&
			!ee_batch_reached_end(batch) &&
			(receipt->n == 0 || batch->exhausted);
		ee_batch_committed(delivery, batch->next);
	}
	MemoryContextDelete(per_event);
	reading->moved |= moved;
}

/* The client has acknowledged another that means the same. */
static bool
is_known(EeDelivery *delivery, TupleTableSlot *slot, MemoryContext context)
{
	MemoryContext old;
	bool		known;

	if (delivery->subscription->idempotency_key == NULL)
		return false;
	old = MemoryContextSwitchTo(context);
	known = ee_idempotency_known(delivery->subscription,
								 ee_handler_event_datum(slot),
								 delivery->examining);
	MemoryContextSwitchTo(old);
	MemoryContextReset(context);
	return known;
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
	ee_plan_by_index(&frame);
	ee_plan_execute(&take, &value, NULL, false, 0);
	delivered = ee_plan_value(0, 1, &isnull);
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
