/*
 * crash_guard.c
 *	  What to do where a handler takes its process, or the server, down.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/crash_guard.h"
#include "delivery/hand_out.h"
#include "delivery/handler.h"
#include "delivery/order.h"
#include "ground/debug_point.h"
#include "ground/identity.h"
#include "ground/plan.h"

static ErrorData *unfinished(void);
static void take(EeDelivery *delivery, Datum event, text *key);

bool
ee_crash_guard_start(Oid owner, int member)
{
	static EePlan note =
		EE_PLAN("INSERT INTO event_engine.executor_starts AS e (owner, member, starts) "
				"VALUES ($1, $2, 1) ON CONFLICT (owner, member) DO UPDATE SET "
				"starts = e.starts + 1, started_at = pg_catalog.clock_timestamp() "
				"RETURNING starts", "oid", "int4");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[] = {ObjectIdGetDatum(owner), Int32GetDatum(member)};
	int			starts;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&note, values, NULL, false, 0);
	starts = DatumGetInt32(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return starts > 1;
}

void
ee_crash_guard_survived(Oid owner, int member)
{
	static EePlan take_back =
		EE_PLAN("UPDATE event_engine.executor_starts SET starts = 0 "
				"WHERE owner = $1 AND member = $2", "oid", "int4");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[] = {ObjectIdGetDatum(owner), Int32GetDatum(member)};

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&take_back, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

/* What stands in the row of an attempt that has not ended otherwise. */
static ErrorData *
unfinished(void)
{
	ErrorData  *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = ERRCODE_CRASH_SHUTDOWN;
	error->message = "the attempt did not end: the worker or the server went down";
	error->hint = "Look into the server log for the time of the attempt.";
	return error;
}

EeRound
ee_crash_guard_take(EeDelivery *delivery, const EeUnit *unit)
{
	EeRound		round = {EE_ROUND_IDLE, 0, 0};
	MemoryContext old;
	EeBatch    *batch;
	TupleTableSlot *slot;
	bool		taken = false;

	/* its publishers call the handler themselves */
	if (delivery->subscription->immediate)
	{
		delivery->behind = false;
		return round;
	}
	unit->begin();
	old = MemoryContextSwitchTo(CurTransactionContext);
	if (ee_unit_enter(delivery, &round.outcome))
	{
		ee_order_enter(delivery);
		batch = ee_batch_begin(delivery);
		slot = ee_batch_next(batch);
		if (slot != NULL)
		{
			if (!ee_hand_out_put_off(delivery, slot))
				take(delivery, ee_handler_event_datum(slot),
					 ee_order_key(delivery, slot));
			taken = true;
		}
		ee_batch_end(batch);
		delivery->behind = !ee_batch_reached_end(batch);
		if (taken)
		{
			delivery->taken++;
			ee_cursor_store(delivery->subscription->number, delivery->lane.number,
							batch->next);
			round.outcome = EE_ROUND_DONE;
		}
		if (!taken && (batch->last || delivery->at_end))
		{
			/* the end of its epoch, with nothing to guard: round.c closes it */
			delivery->taken = delivery->subscription->batch_size;
			delivery->behind = true;
		}
		else
			/* errors end the process, so this is as good as committed */
			ee_batch_committed(delivery, batch->next);
	}
	MemoryContextSwitchTo(old);
	unit->commit();
	ee_debug_point("guard_taken");
	return round;
}

static void
take(EeDelivery *delivery, Datum event, text *key)
{
	if (ee_order_holds(delivery, key))
		ee_order_park(delivery, &event, 1);
	else
	{
		ee_retry_now(delivery, event, delivery->examining);
		ee_order_block(delivery, key);
	}
}

/*
 * What took the process down was in a batch that began at the cursor: beyond
 * the length of a batch there is no reason to go on one at a time.
 */
bool
ee_crash_guard_takes(const EeDelivery *delivery)
{
	return delivery->guarded &&
		delivery->subscription->kind == EE_SUBSCRIPTION_HANDLER &&
		delivery->taken < delivery->subscription->batch_size;
}

bool
ee_crash_guard_count(EeDelivery *delivery, const EeUnit *unit, EeDue *due)
{
	EeRoundOutcome outcome;
	MemoryContext old;
	bool		counted = false;

	unit->begin();
	old = MemoryContextSwitchTo(CurTransactionContext);
	if (ee_unit_enter(delivery, &outcome) && ee_retry_due(delivery, due, 1) > 0)
	{
		ErrorData  *error = unfinished();

		ee_order_enter(delivery);

		if (due->attempts >= delivery->subscription->max_attempts)
		{
			EeCursor   *cursor =
				ee_cursor_load(delivery->subscription->number, delivery->lane.number);

			if (!ee_retry_failed(delivery, cursor, due->event, due->seq,
								 due->attempts, error, -1) &&
				due->key != NULL)
				ee_order_advance(delivery, &due->key, 1);
			ee_cursor_store(delivery->subscription->number, delivery->lane.number,
							cursor);
			delivery->cursor = NULL;
		}
		else
		{
			ee_retry_count(delivery, due, error);
			due->attempts++;
			counted = true;
		}
	}
	MemoryContextSwitchTo(old);
	unit->commit();
	ee_debug_point("guard_counted");
	return counted;
}
