/*
 * hand_out.c
 *	  Give the events of a batch to whoever is to have them.
 *
 * Either with nothing in between, so that what fails takes the batch with it,
 * or, while failures are about, in groups that fail one by one.
 */
#include "postgres.h"

#include "commands/async.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/group.h"
#include "delivery/hand_out.h"
#include "delivery/handler.h"
#include "delivery/idempotency.h"
#include "delivery/order.h"
#include "delivery/processing_log.h"
#include "delivery/retry.h"
#include "delivery/tally.h"
#include "ground/config.h"
#include "ground/debug_point.h"

/* An array of events ends when it has reached this size. */
#define ARRAY_SIZE_MAX	(16 * 1024 * 1024)

/* Events that wait for others of their keys are written many at a time. */
#define PARKING_MAX		100

typedef struct Parking
{
	MemoryContext context;
	Datum		events[PARKING_MAX];
	int			n;
} Parking;

static void one_by_one(EeDelivery *delivery, const EeUnit *unit,
					   EeHandler *handler, EeBatch *batch, int limit,
					   EeProgress *progress);
static void in_one_array(EeDelivery *delivery, const EeUnit *unit,
						 EeHandler *handler, EeBatch *batch, int limit,
						 EeProgress *progress);
static void in_groups(EeDelivery *delivery, const EeUnit *unit,
					  EeHandler *handler, EeBatch *batch, int limit,
					  EeProgress *progress);
static void ring(EeDelivery *delivery, EeBatch *batch, int limit,
				 EeProgress *progress);
static TimestampTz batch_end(const EeDelivery *delivery);
static bool cut_short(const EeDelivery *delivery, const EeUnit *unit);
static bool hold(EeDelivery *delivery, TupleTableSlot *slot, Parking *parking);
static Parking *begin_parking(void);
static void park(EeDelivery *delivery, Parking *parking, Datum event);
static void end_parking(EeDelivery *delivery, Parking *parking);
static void block(EeGroup *group, const EeDue *due, bool waits);
static bool is_held(EeGroup *group, const EeDue *due);
static void hold_due(EeGroup *group, const EeDue *due);

static const EeGroupCalls group_calls = {NULL, block, is_held, hold_due};

void
ee_hand_out(EeDelivery *delivery, const EeUnit *unit, EeBatch *batch,
			int limit, EeProgress *progress)
{
	EeSubscription *subscription = delivery->subscription;
	EeHandler	handler;

	progress->began = GetCurrentTimestamp();
	if (subscription->kind != EE_SUBSCRIPTION_HANDLER)
	{
		ring(delivery, batch, limit, progress);
		return;
	}
	ee_handler_prepare(&handler, subscription->handler, &delivery->handler);
	if (delivery->caution.distance > 0)
	{
		in_groups(delivery, unit, &handler, batch, limit, progress);
		return;
	}
	ee_handler_timeout_start(subscription->timeout_ms > 0 ?
							 subscription->timeout_ms +
							 ee_config_delivery_batch_time : 0);
	if (handler.kind == EE_HANDLER_EVENTS)
		in_one_array(delivery, unit, &handler, batch, limit, progress);
	else
		one_by_one(delivery, unit, &handler, batch, limit, progress);
	ee_handler_timeout_stop();
}

static TimestampTz
batch_end(const EeDelivery *delivery)
{
	int			ms = delivery->slice_ms > 0 ? delivery->slice_ms :
		ee_config_delivery_batch_time;

	return GetCurrentTimestamp() + ms * INT64CONST(1000);
}

/* Something more urgent has come: the batch commits what it has. */
static bool
cut_short(const EeDelivery *delivery, const EeUnit *unit)
{
	return unit->urgent != NULL && unit->urgent(delivery->lane.class);
}

static void
one_by_one(EeDelivery *delivery, const EeUnit *unit, EeHandler *handler,
		   EeBatch *batch, int limit, EeProgress *progress)
{
	EeSubscription *subscription = delivery->subscription;
	TimestampTz end = batch_end(delivery);
	MemoryContext per_event =
		AllocSetContextCreate(CurrentMemoryContext, "event_engine event",
							  ALLOCSET_DEFAULT_SIZES);
	Parking    *parking = begin_parking();
	TupleTableSlot *slot;

	progress->in_batch = true;
	while (progress->handled < limit && progress->began < end &&
		   (slot = ee_batch_next(batch)) != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(per_event);

		if (!ee_hand_out_put_off(delivery, slot) && !hold(delivery, slot, parking))
		{
			Datum		event = ee_handler_event_datum(slot);

			ee_debug_point("delivery_before_handler");
			if (ee_idempotency_claim(subscription, event, delivery->examining))
				ee_handler_call(handler, event);
			ee_debug_point("delivery_after_handler");
			if (subscription->processing_log)
				ee_processing_log_delivered(subscription->subscriber, event,
											1, progress->began);
			ee_tally_slot(delivery->subscription, slot, EE_OUTCOME_DELIVERED);
			progress->round.delivered++;
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(per_event);
		progress->handled++;
		progress->began = GetCurrentTimestamp();
		if (cut_short(delivery, unit))
			break;
	}
	progress->in_batch = false;
	end_parking(delivery, parking);
}

/* The same for a handler that takes a whole batch. */
static void
in_one_array(EeDelivery *delivery, const EeUnit *unit, EeHandler *handler,
			 EeBatch *batch, int limit, EeProgress *progress)
{
	EeSubscription *subscription = delivery->subscription;
	Datum	   *events = palloc(sizeof(Datum) * limit);
	Parking    *parking = begin_parking();
	TupleTableSlot *slot;
	Size		size = 0;
	int			n = 0;

	progress->in_batch = true;
	while (progress->handled < limit && size < ARRAY_SIZE_MAX &&
		   (slot = ee_batch_next(batch)) != NULL)
	{
		if (!ee_hand_out_put_off(delivery, slot) && !hold(delivery, slot, parking))
		{
			Datum		event = ee_handler_event_datum(slot);

			if (ee_idempotency_claim(subscription, event, delivery->examining))
			{
				events[n++] = event;
				size += VARSIZE_ANY(DatumGetPointer(event));
			}
			progress->round.delivered++;
		}
		progress->handled++;
		if (cut_short(delivery, unit))
			break;
	}
	progress->in_batch = false;
	end_parking(delivery, parking);
	if (n == 0)
		return;
	progress->began = GetCurrentTimestamp();
	ee_handler_call_batch(handler, events, n);
	ee_debug_point("delivery_after_array");
	for (int i = 0; i < n; i++)
		ee_tally_event(subscription, events[i], EE_OUTCOME_DELIVERED);
	if (subscription->processing_log)
		for (int i = 0; i < n; i++)
			ee_processing_log_delivered(subscription->subscriber, events[i],
										1, progress->began);
}

/*
 * The events of a group are copied before it begins: what they are read with
 * belongs to the batch, and must not be touched by what may be rolled back.
 */
static void
in_groups(EeDelivery *delivery, const EeUnit *unit, EeHandler *handler,
		  EeBatch *batch, int limit, EeProgress *progress)
{
	MemoryContext events =
		AllocSetContextCreate(CurrentMemoryContext, "event_engine group",
							  ALLOCSET_DEFAULT_SIZES);
	Parking    *parking = begin_parking();
	EeDue		due[EE_GROUP_MAX];
	EeGroup		group;
	bool		more = true;

	ee_group_begin(&group, delivery, unit, handler, batch->next,
				   &delivery->caution, &group_calls, parking);
	group.until = batch_end(delivery);
	progress->in_batch = true;
	/* one group in any case, or what is more urgent could stop us for ever */
	do
	{
		int			size = Min(ee_group_size(group.caution),
							   limit - progress->handled);
		MemoryContext old = MemoryContextSwitchTo(events);
		TupleTableSlot *slot = NULL;
		Size		bytes = 0;
		int			n = 0;

		while (n < size && bytes < ARRAY_SIZE_MAX &&
			   (slot = ee_batch_next(batch)) != NULL)
		{
			if (!ee_hand_out_put_off(delivery, slot))
			{
				memset(&due[n], 0, sizeof(EeDue));
				due[n].event = ee_handler_event_datum(slot);
				due[n].key = ee_order_key(delivery, slot);
				bytes += VARSIZE_ANY(DatumGetPointer(due[n].event));
				due[n].seq = delivery->examining;
				n++;
			}
			progress->handled++;
		}
		more = slot != NULL && !cut_short(delivery, unit);
		MemoryContextSwitchTo(old);
		/* all that was taken from the log is to be dealt with */
		for (int i = 0; i < n;)
			i += ee_group_run(&group, &due[i], n - i);
		MemoryContextReset(events);
	} while (more && progress->handled < limit &&
			 !ee_group_is_full(&group));
	progress->in_batch = false;
	progress->round.delivered = group.delivered;
	progress->round.failed = group.failed;
	ee_group_end(&group);
	end_parking(delivery, parking);
	MemoryContextDelete(events);
}

/* Somebody listens for a bell; the events themselves he looks up. */
static void
ring(EeDelivery *delivery, EeBatch *batch, int limit, EeProgress *progress)
{
	TimestampTz end = batch_end(delivery);
	TupleTableSlot *slot;

	progress->in_batch = true;
	while (progress->handled < limit && progress->began < end &&
		   (slot = ee_batch_next(batch)) != NULL)
	{
		if (!ee_hand_out_put_off(delivery, slot))
		{
			ee_tally_slot(delivery->subscription, slot, EE_OUTCOME_DELIVERED);
			progress->round.delivered++;
		}
		progress->handled++;
		progress->began = GetCurrentTimestamp();
	}
	progress->in_batch = false;
	if (progress->round.delivered > 0)
		Async_Notify(delivery->subscription->channel, "");
}

bool
ee_hand_out_put_off(EeDelivery *delivery, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		deliver_at = slot_getattr(slot, EE_EVENT_DELIVER_AT, &isnull);

	if (isnull ||
		DatumGetTimestampTz(deliver_at) <= GetCurrentTimestamp())
		return false;
	ee_retry_delay(delivery, ee_handler_event_datum(slot),
				   delivery->examining, DatumGetTimestampTz(deliver_at));
	return true;
}

/* ------------------------------------------------------------------- order */

/* Behind another of its key that has failed: written down in its place. */
static bool
hold(EeDelivery *delivery, TupleTableSlot *slot, Parking *parking)
{
	if (!ee_order_holds_any(delivery) ||
		!ee_order_holds(delivery, ee_order_key(delivery, slot)))
		return false;
	park(delivery, parking, ee_handler_event_datum(slot));
	return true;
}

static Parking *
begin_parking(void)
{
	Parking    *parking = palloc0(sizeof(Parking));

	parking->context = AllocSetContextCreate(CurrentMemoryContext,
											 "event_engine parking",
											 ALLOCSET_DEFAULT_SIZES);
	return parking;
}

static void
park(EeDelivery *delivery, Parking *parking, Datum event)
{
	MemoryContext old = MemoryContextSwitchTo(parking->context);

	parking->events[parking->n++] = datumCopy(event, false, -1);
	MemoryContextSwitchTo(old);
	if (parking->n == PARKING_MAX)
		end_parking(delivery, parking);
}

static void
end_parking(EeDelivery *delivery, Parking *parking)
{
	if (parking->n == 0)
		return;
	ee_order_park(delivery, parking->events, parking->n);
	MemoryContextReset(parking->context);
	parking->n = 0;
}

static void
block(EeGroup *group, const EeDue *due, bool waits)
{
	if (waits)
		ee_order_block(group->delivery, due->key);
}

static bool
is_held(EeGroup *group, const EeDue *due)
{
	return ee_order_holds(group->delivery, due->key);
}

static void
hold_due(EeGroup *group, const EeDue *due)
{
	park(group->delivery, group->arg, due->event);
}
