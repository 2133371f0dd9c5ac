/*
 * need.c
 *	  Who has yet to read events of the log up to a position?
 *
 * Where a cursor stands does not tell: idle subscriptions do not move.  So the
 * log is read from there, as the next batches would be, for an event that the
 * subscription wants.  What is read so has either been dropped by the next
 * time, or is needed and was found at once; hence a subscription costs one
 * reading of each event that expires, at most.
 *
 * Events that are retried, delayed or parked are not in need of the log: their
 * rows hold them.  Those that a pulling client has leased are.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/batch.h"
#include "delivery/need.h"
#include "delivery/round.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "routing/routing_cache.h"

static bool subscription_needs(EeSubscription *subscription,
							   uint64 generation, int64 max_seq,
							   MemoryContext context);
static bool lane_needs(EeDelivery *delivery, int64 max_seq);
static void tell_subscription(void *arg);
static char *holder(int64 max_seq, TimestampTz upper);

char *
ee_need_of(int64 max_seq, TimestampTz upper)
{
	char	   *who = holder(max_seq, upper);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	uint64		generation;
	ListCell   *lc;

	if (who != NULL)
		return who;
	context = AllocSetContextCreate(CurrentMemoryContext, "event_engine need",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	generation = ee_invalidate_watch(EE_REL_SUBSCRIPTIONS);
	foreach(lc, ee_routing_cache_all())
	{
		EeSubscription *subscription = lfirst(lc);

		/* what is published while it is there never waits for it */
		if (subscription->immediate ||
			!subscription_needs(subscription, generation, max_seq, context))
			continue;
		MemoryContextSwitchTo(caller);
		who = psprintf("subscription \"%s\"%s", subscription->subscriber,
					   subscription->status == EE_SUBSCRIPTION_PAUSED ?
					   ", which is paused" :
					   subscription->status == EE_SUBSCRIPTION_BROKEN ?
					   ", which is broken" : "");
		break;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return who;
}

static bool
subscription_needs(EeSubscription *subscription, uint64 generation,
				   int64 max_seq, MemoryContext context)
{
	ErrorContextCallback context_callback = {
		.previous = error_context_stack,
		.callback = tell_subscription,
		.arg = subscription->subscriber
	};
	bool		needs = false;

	/* its lanes are about to change: soon one can tell */
	if (subscription->n_epochs > 1)
		return true;
	error_context_stack = &context_callback;
	for (int index = 0; index < subscription->concurrency && !needs; index++)
	{
		EeDelivery *base = ee_round_delivery(subscription, index, generation,
											 context);

		base->looking = true;
		ee_round_expand(base);
		needs = lane_needs(base, max_seq);
		for (int class = 0; class < EE_N_PRIORITIES && !needs; class++)
		{
			EeDelivery *beside = class == EE_PRIORITY_NORMAL ? NULL :
				ee_round_beside(base, class, context);

			if (beside == NULL)
				continue;
			beside->looking = true;
			needs = lane_needs(beside, max_seq);
		}
	}
	error_context_stack = context_callback.previous;
	return needs;
}

static void
tell_subscription(void *arg)
{
	errcontext("filter of subscription \"%s\"", (char *) arg);
}

/*
 * Within a range events come in order of seq, so the first one behind max_seq
 * ends the search in it.  What was in progress at the end of an old range
 * comes with the next one, and may be of an older seq.
 */
static bool
lane_needs(EeDelivery *delivery, int64 max_seq)
{
	for (;;)
	{
		EeBatch    *batch = ee_batch_begin(delivery);
		TupleTableSlot *slot = NULL;
		int64		seq;

		if (batch->next->at.low.seq < max_seq || batch->next->at.low.nxip > 0)
			slot = ee_batch_next(batch);
		else
			batch->exhausted = true;
		seq = batch->next->at.seq;
		if (seq > max_seq)
			batch->exhausted = true;
		ee_batch_end(batch);
		if (slot != NULL && seq <= max_seq)
			return true;
		if (ee_batch_reached_end(batch))
			return false;
		ee_batch_committed(delivery, batch->next);
	}
}

/* Those who keep positions of their own. */
static char *
holder(int64 max_seq, TimestampTz upper)
{
	static EePlan leases =
		EE_PLAN("SELECT pg_catalog.format('a client of subscription \"%s\" that holds events until %s', "
				"s.subscriber, pg_catalog.date_trunc('second', l.expires_at)) "
				"FROM event_engine.event_leases l "
				"JOIN event_engine.subscriptions s ON s.number = l.subscription_number "
				"WHERE l.first_at < $1 ORDER BY l.expires_at DESC LIMIT 1",
				"timestamptz");
	static EePlan replays =
		EE_PLAN("SELECT pg_catalog.format('a replay to subscription \"%s\"', r.subscriber) "
				"FROM event_engine.event_replays r "
				"WHERE r.status = 'running' AND r.seq < $1 LIMIT 1", "int8");
	MemoryContext caller = CurrentMemoryContext;
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[] = {TimestampTzGetDatum(upper)};
	Datum		seq[] = {Int64GetDatum(max_seq)};
	char	   *who = NULL;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(&leases, values, NULL, false, 1) > 0 ||
		ee_plan_execute(&replays, seq, NULL, false, 1) > 0)
		who = MemoryContextStrdup(caller,
								  SPI_getvalue(SPI_tuptable->vals[0],
											   SPI_tuptable->tupdesc, 1));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return who;
}
