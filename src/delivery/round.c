/*
 * round.c
 *	  One round of delivery for one subscription.
 *
 * A batch runs in one unit of work with no subtransaction in it: the effects
 * of the handler and the move of the cursor commit together.  When it fails
 * all of it is rolled back, and for a while batches are handed out in groups
 * that fail one by one (group.c).
 *
 * What groups cannot catch is closed in on by the rounds that follow: a
 * filter that raises an error, and what fails only at the commit, as deferred
 * triggers do.  Those before it go first, as one batch, then it alone.  What
 * fails alone is written down in deliveries (or as a dead letter), with the
 * move of the cursor, and the rest goes on.
 *
 *		batch of n -> done
 *				   -> failed in the handler: groups
 *				   -> failed at the i-th: batch of i, then batch of 1
 *				   -> failed, unknown where: batch of n / 2
 *		batch of 1 -> done
 *				   -> failed: settled
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/epoch.h"
#include "delivery/group.h"
#include "delivery/hand_out.h"
#include "delivery/handler.h"
#include "delivery/order.h"
#include "delivery/processing_log.h"
#include "delivery/retry.h"
#include "delivery/round.h"
#include "ground/debug_point.h"
#include "ground/invalidate.h"
#include "registry/event_grant.h"
#include "registry/registry_cache.h"

static const EeRoundCalls *registered[EE_N_SUBSCRIPTION_KINDS];

static bool run_batch(EeDelivery *delivery, const EeUnit *unit, int max,
					  void *arg);
static void end_epoch(EeDelivery *delivery, const EeUnit *unit,
					  EeRound *round);
static void close_in(EeDelivery *delivery, const EeProgress *progress);
static bool settle(EeDelivery *delivery, const EeUnit *unit,
				   const ErrorData *error, int64 duration_ms);
static int	batch_limit(const EeDelivery *delivery, int max);

static const EeUnitWork batch_work = {
	run_batch, "delivery_before_commit", "delivery_after_abort"
};

void
ee_round_register(EeSubscriptionKind kind, const EeRoundCalls *calls)
{
	registered[kind] = calls;
}

const EeRoundCalls *
ee_round_calls(EeSubscriptionKind kind)
{
	return registered[kind];
}

EeDelivery *
ee_round_delivery(const EeSubscription *subscription, int index,
				  uint64 generation, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent,
												  "event_engine delivery",
												  ALLOCSET_SMALL_SIZES);
	EeDelivery *delivery = MemoryContextAllocZero(context,
												  sizeof(EeDelivery));

	delivery->context = context;
	delivery->handler.context = context;
	delivery->subscription = unconstify(EeSubscription *, subscription);
	delivery->lane = ee_lane_of(subscription, index, EE_PRIORITY_NORMAL);
	delivery->base = delivery;
	delivery->next_due = DT_NOBEGIN;	/* to be looked up */
	delivery->behind = true;
	delivery->generation = generation;
	delivery->sparse = -1;
	return delivery;
}

EeDelivery *
ee_round_beside(EeDelivery *base, EePriority class, MemoryContext parent)
{
	EeDelivery *delivery;

	if (!ee_lane_class_exists(base->subscription, class))
		return NULL;
	delivery = ee_round_delivery(base->subscription, base->lane.index,
								 base->generation, parent);
	delivery->lane = ee_lane_of(base->subscription, base->lane.index, class);
	delivery->base = base;
	delivery->member = base->member;
	delivery->borrowed = base->borrowed;
	delivery->next_due = DT_NOEND;
	delivery->guarded = base->guarded;
	delivery->registry_generation = base->registry_generation;
	delivery->rights_generation = base->rights_generation;
	delivery->patterns = base->patterns;
	delivery->n_patterns = base->n_patterns;
	delivery->interest = base->interest;
	return delivery;
}

void
ee_round_expand(EeDelivery *delivery)
{
	List	   *all;
	ListCell   *lc;

	delivery->registry_generation =
		ee_invalidate_watch(EE_REL_EVENT_DEFINITIONS);
	delivery->rights_generation = ee_event_grant_generation();
	all = ee_registry_cache_patterns();
	memset(&delivery->interest, 0, sizeof(delivery->interest));
	/* whoever starts a workflow or lets one wait says so: ee_round_told() */
	if (delivery->subscription->kind == EE_SUBSCRIPTION_WORKFLOW)
		ee_shared_subscription_add(&delivery->interest,
								   delivery->subscription->number);
	delivery->patterns =
		MemoryContextAlloc(delivery->context,
						   sizeof(Datum) * Max(list_length(all), 1));
	delivery->n_patterns = 0;
	foreach(lc, all)
	{
		const char *pattern = lfirst(lc);
		MemoryContext old;

		if (!ee_match_pattern(delivery->subscription->matcher, pattern,
							  strlen(pattern)))
			continue;
		for (int class = 0; class < EE_N_PRIORITIES; class++)
			ee_shared_pattern_add(&delivery->interest, pattern,
								  strlen(pattern), class);
		old = MemoryContextSwitchTo(delivery->context);
		delivery->patterns[delivery->n_patterns++] =
			CStringGetTextDatum(pattern);
		MemoryContextSwitchTo(old);
	}
	if (delivery->n_patterns == list_length(all) && delivery->n_patterns > 0)
		delivery->patterns = NULL;
	list_free_deep(all);
	delivery->behind = true;
}

void
ee_round_told(EeDelivery *delivery, const EePatternSet *news)
{
	EePatternSet own;

	if (!ee_shared_pattern_overlap(&delivery->interest, news))
		return;
	delivery->behind = true;
	if (delivery->subscription->kind != EE_SUBSCRIPTION_WORKFLOW)
		return;
	memset(&own, 0, sizeof(own));
	ee_shared_subscription_add(&own, delivery->subscription->number);
	if (ee_shared_pattern_overlap(&own, news))
		delivery->next_due = DT_NOBEGIN;
}

static int
batch_limit(const EeDelivery *delivery, int max)
{
	int			limit = delivery->subscription->batch_size;

	if (delivery->limit > 0)
		limit = Min(limit, delivery->limit);
	return Max(1, Min(limit, max));
}

/* ------------------------------------------------------------------- batch */

EeRound
ee_round_deliver(EeDelivery *delivery, const EeUnit *unit, int max)
{
	/* in the long-lived context: read after an error */
	EeProgress *progress = MemoryContextAllocZero(delivery->context,
												  sizeof(EeProgress));
	ErrorData  *error;
	EeRound		round;

	/* its publishers call the handler themselves */
	if (delivery->subscription->immediate)
	{
		delivery->behind = false;
		memset(&round, 0, sizeof(round));
		round.outcome = EE_ROUND_IDLE;
		pfree(progress);
		return round;
	}
	error = ee_unit_run(delivery, unit, &batch_work,
						batch_limit(delivery, max), progress,
						&progress->committing);
	ee_debug_point("delivery_after_commit");

	if (error == NULL)
	{
		if (progress->next != NULL)
		{
			ee_batch_committed(delivery, progress->next);
			MemoryContextDelete(GetMemoryChunkContext(progress->next));
		}
		if (delivery->caution.distance == 0)
			ee_group_caution_passed(&delivery->caution, progress->handled);
		if (progress->round.outcome == EE_ROUND_DONE)
		{
			if (delivery->single_next)
			{
				delivery->limit = 1;
				delivery->single_next = false;
			}
			else if (delivery->limit > 0)
			{
				delivery->limit *= 2;
				if (delivery->limit >= delivery->subscription->batch_size)
					delivery->limit = 0;
			}
		}
	}
	else
	{
		progress->round.delivered = 0;
		progress->round.outcome = EE_ROUND_FAILED;
		delivery->behind = true;
		ee_order_forget(delivery);
		if (progress->next != NULL)
			MemoryContextDelete(GetMemoryChunkContext(progress->next));
		if (progress->handled == 0 && !progress->in_batch)
		{
			/* no event is to blame */
			ee_unit_give_up(delivery, unit, error);
			progress->round.outcome = EE_ROUND_STALE;
		}
		else if (progress->handled == 0 ||
				 (progress->handled == 1 && !progress->in_batch))
		{
			delivery->single_next = false;
			if (!delivery->matching && !progress->committing)
				ee_group_caution_failed(&delivery->caution);
			if (settle(delivery, unit, error,
					   TimestampDifferenceMilliseconds(progress->began,
													   GetCurrentTimestamp())))
			{
				progress->round.failed = 1;
				delivery->limit = 0;
			}
			else
				delivery->limit = 1;
		}
		else
			close_in(delivery, progress);
		ee_unit_forget_error(error);
	}
	round = progress->round;
	if (error == NULL && progress->at_end)
		end_epoch(delivery, unit, &round);
	pfree(progress);
	return round;
}

/* The lane is at its end; as long as others are not, look again and again. */
static void
end_epoch(EeDelivery *delivery, const EeUnit *unit, EeRound *round)
{
	EeRoundOutcome outcome = ee_epoch_close(delivery, unit);

	if (outcome == EE_ROUND_STALE || round->outcome == EE_ROUND_IDLE)
		round->outcome = outcome;
	delivery->behind = true;
}

/*
 * Which events to take next, after a batch has failed.  Groups find the event
 * that a handler failed at; not one that a filter did, for it is matched
 * outside of them, nor what fails only at the commit.
 */
static void
close_in(EeDelivery *delivery, const EeProgress *progress)
{
	if (!delivery->matching && !progress->committing &&
		delivery->caution.distance == 0)
	{
		ee_group_caution_passed(&delivery->caution, progress->handled);
		ee_group_caution_failed(&delivery->caution);
	}
	else if (progress->in_batch)
	{
		delivery->limit = progress->handled;
		delivery->single_next = true;
	}
	else
	{
		delivery->limit = Max(1, progress->handled / 2);
		delivery->single_next = false;
	}
}

static bool
run_batch(EeDelivery *delivery, const EeUnit *unit, int max, void *arg)
{
	EeProgress *progress = arg;
	EeSubscription *subscription = delivery->subscription;
	MemoryContext context;
	MemoryContext old;
	EeBatch    *batch;
	EeIdentity	saved;

	progress->round.outcome = EE_ROUND_IDLE;
	if (!ee_unit_enter(delivery, &progress->round.outcome))
		return false;
	delivery->behind = false;
	ee_order_enter(delivery);
	context = AllocSetContextCreate(CurTransactionContext,
									"event_engine batch",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	batch = ee_batch_begin(delivery);

	/* nothing new: do not become somebody else for it */
	if (!batch->exhausted)
	{
		ee_unit_act_as_owner(delivery, unit, &saved);
		ee_hand_out(delivery, unit, batch, max, progress);
		ee_unit_act_as_before(unit, &saved);
	}
	ee_batch_end(batch);

	if (progress->handled > 0)
		progress->round.outcome = EE_ROUND_DONE;
	/* that a lane has come to its end is to be known to the others */
	if (progress->handled > 0 || batch->last)
	{
		batch->next->delivered += progress->round.delivered;
		ee_debug_point("delivery_before_move");
		ee_cursor_store(subscription->number, delivery->lane.number,
						batch->next);
	}
	progress->at_end = batch->last || delivery->at_end;
	delivery->behind = !ee_batch_reached_end(batch);

	/* the cursor must outlive the transaction */
	MemoryContextSwitchTo(AllocSetContextCreate(delivery->context,
												"event_engine next cursor",
												ALLOCSET_SMALL_SIZES));
	progress->next = ee_cursor_copy(batch->next);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return progress->handled > 0;
}

/* ---------------------------------------------------------------- failures */

/*
 * The first event of the next batch has failed, alone: write that down and
 * move the cursor behind it.  False when it is another one by now; since a
 * late transaction may have put one before it, that is to be run first.
 */
static bool
settle(EeDelivery *delivery, const EeUnit *unit, const ErrorData *error,
	   int64 duration_ms)
{
	EeSubscription *subscription = delivery->subscription;
	EeRound		round;
	MemoryContext old;
	EeBatch    *batch;
	TupleTableSlot *slot;
	bool		unmatched = delivery->matching;
	bool		settled = false;

	unit->begin();
	if (!ee_unit_enter(delivery, &round.outcome))
	{
		unit->abort();
		return false;
	}
	old = MemoryContextSwitchTo(CurTransactionContext);
	ee_order_enter(delivery);
	delivery->forced = delivery->examining;
	batch = ee_batch_begin(delivery);
	slot = ee_batch_next(batch);
	if (slot != NULL && delivery->examining == delivery->forced)
	{
		Datum		event = ee_handler_event_datum(slot);
		text	   *key = ee_order_key(delivery, slot);

		ee_batch_end(batch);
		if (unmatched)
			ee_retry_unmatched(delivery, batch->next, event, error);
		else if (ee_retry_failed(delivery, batch->next, event,
								 delivery->forced, 1, error, duration_ms))
			ee_order_block(delivery, key);
		if (subscription->processing_log)
			ee_processing_log_failed(subscription->subscriber, event, 1,
									 error->message);
		ee_cursor_store(subscription->number, delivery->lane.number, batch->next);
		ee_debug_point("delivery_before_settle");
		settled = true;
	}
	else
		ee_batch_end(batch);
	delivery->forced = 0;
	if (settled)
	{
		EeCursor   *next;
		MemoryContext context = AllocSetContextCreate(delivery->context,
													  "event_engine next cursor",
													  ALLOCSET_SMALL_SIZES);

		MemoryContextSwitchTo(context);
		next = ee_cursor_copy(batch->next);
		MemoryContextSwitchTo(old);
		unit->commit();
		ee_debug_point("delivery_after_settle");
		ee_batch_committed(delivery, next);
		MemoryContextDelete(context);
	}
	else
	{
		MemoryContextSwitchTo(old);
		unit->abort();
	}
	return settled;
}
