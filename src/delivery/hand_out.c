/*
 * hand_out.c
 *	  Give the events of a batch to whoever is to have them.
 *
 * Either with nothing in between, so that what fails takes the batch with it,
 * or, while failures are about, in groups that fail one by one.
 */
#include "postgres.h"

#include "commands/async.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/group.h"
#include "delivery/hand_out.h"
#include "delivery/handler.h"
#include "delivery/processing_log.h"
#include "delivery/retry.h"
#include "delivery/tally.h"
#include "ground/config.h"
#include "ground/debug_point.h"

/* An array of events ends when it has reached this size. */
#define ARRAY_SIZE_MAX	(16 * 1024 * 1024)

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
static TimestampTz batch_end(void);
static bool cut_short(const EeDelivery *delivery, const EeUnit *unit);
static bool put_off(EeDelivery *delivery, TupleTableSlot *slot);

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
batch_end(void)
{
	return GetCurrentTimestamp() +
		ee_config_delivery_batch_time * INT64CONST(1000);
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
	TimestampTz end = batch_end();
	MemoryContext per_event =
		AllocSetContextCreate(CurrentMemoryContext, "event_engine event",
							  ALLOCSET_DEFAULT_SIZES);
	TupleTableSlot *slot;

	progress->in_batch = true;
	while (progress->handled < limit && progress->began < end &&
		   (slot = ee_batch_next(batch)) != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(per_event);

		if (!put_off(delivery, slot))
		{
			Datum		event = ee_handler_event_datum(slot);

			ee_debug_point("delivery_before_handler");
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
}

/* The same for a handler that takes a whole batch. */
static void
in_one_array(EeDelivery *delivery, const EeUnit *unit, EeHandler *handler,
			 EeBatch *batch, int limit, EeProgress *progress)
{
	EeSubscription *subscription = delivery->subscription;
	Datum	   *events = palloc(sizeof(Datum) * limit);
	TupleTableSlot *slot;
	Size		size = 0;
	int			n = 0;

	progress->in_batch = true;
	while (progress->handled < limit && size < ARRAY_SIZE_MAX &&
		   (slot = ee_batch_next(batch)) != NULL)
	{
		if (!put_off(delivery, slot))
		{
			events[n] = ee_handler_event_datum(slot);
			size += VARSIZE_ANY(DatumGetPointer(events[n]));
			n++;
		}
		progress->handled++;
		if (cut_short(delivery, unit))
			break;
	}
	progress->in_batch = false;
	if (n == 0)
		return;
	progress->began = GetCurrentTimestamp();
	ee_handler_call_batch(handler, events, n);
	ee_debug_point("delivery_after_array");
	progress->round.delivered = n;
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
	EeDue		due[EE_GROUP_MAX];
	EeGroup		group;
	bool		more = true;

	ee_group_begin(&group, delivery, unit, handler, batch->next,
				   &delivery->caution);
	group.until = batch_end();
	progress->in_batch = true;
	while (more && progress->handled < limit && !ee_group_is_full(&group))
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
			if (!put_off(delivery, slot))
			{
				due[n].event = ee_handler_event_datum(slot);
				bytes += VARSIZE_ANY(DatumGetPointer(due[n].event));
				due[n].seq = delivery->examining;
				due[n].attempts = 0;
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
	}
	progress->in_batch = false;
	progress->round.delivered = group.delivered;
	progress->round.failed = group.failed;
	ee_group_end(&group);
	MemoryContextDelete(events);
}

/* Somebody listens for a bell; the events themselves he looks up. */
static void
ring(EeDelivery *delivery, EeBatch *batch, int limit, EeProgress *progress)
{
	TimestampTz end = batch_end();
	TupleTableSlot *slot;

	progress->in_batch = true;
	while (progress->handled < limit && progress->began < end &&
		   (slot = ee_batch_next(batch)) != NULL)
	{
		if (!put_off(delivery, slot))
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

/* Not due yet: written down, and out of the way. */
static bool
put_off(EeDelivery *delivery, TupleTableSlot *slot)
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
