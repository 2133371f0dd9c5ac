/*
 * batch.c
 *	  Take the next events of a subscription from the log.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "delivery/batch.h"
#include "delivery/epoch.h"
#include "delivery/flow.h"
#include "delivery/offer.h"
#include "ground/invalidate.h"
#include "registry/event_grant.h"

/*
 * A range that spans fewer log positions than this, for each pattern wanted,
 * is read whole and filtered: looking up each pattern would cost more.
 */
#define LOOKUP_WORTH	64
/* With more patterns than this the log is read whole. */
#define MAX_LOOKUPS		256
/* A batch ends after so many events that nobody wanted. */
#define EXAMINE_MAX		100000

static bool has_news(const EeLogPosition *low, const EeLogPosition *high);
static bool look_up_patterns(const EeBatch *batch);
static void refuse_orphan(const EeSubscription *subscription);
static bool patterns_are_current(const EeDelivery *delivery);

EeBatch *
ee_batch_begin(EeDelivery *delivery)
{
	EeBatch    *batch = palloc0(sizeof(EeBatch));
	EeLogCursor *at;

	batch->delivery = delivery;
	delivery->matching = false;
	if (delivery->cursor == NULL ||
		delivery->cursors_generation !=
		ee_invalidate_generation(EE_REL_SUBSCRIPTION_CURSORS))
	{
		delivery->cursors_generation =
			ee_invalidate_watch(EE_REL_SUBSCRIPTION_CURSORS);
		ee_batch_committed(delivery,
						   ee_cursor_load(delivery->subscription->number,
									  delivery->lane.number));
	}
	batch->next = ee_cursor_copy(delivery->cursor);
	at = &batch->next->at;

	/* taken after the lock: sees all that whoever had it before did */
	batch->snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(batch->snapshot);
	/* a grant that came before an event is known before that is matched */
	AcceptInvalidationMessages();
	if (delivery->offer != NULL)
	{
		int64	   *seqs;
		int			n;

		batch->offered = ee_offer_take(delivery, at, &seqs, &n);
		if (batch->offered && n > 0)
			batch->reader = ee_log_reader_begin_events(seqs, n,
													   batch->snapshot);
		else if (batch->offered)
			batch->exhausted = true;
		else
			ee_offer_drop(delivery);
		if (batch->offered)
			return batch;
	}
	if (!at->in_range)
	{
		const EeLogPosition *end = ee_epoch_end(delivery);

		delivery->at_end = end != NULL && ee_log_position_equal(&at->low, end);
		batch->last = end != NULL && !delivery->at_end;
		if (end != NULL)
			at->high = *end;
		else
			at->high = *ee_log_position_current();
		at->in_range = true;
		at->seq = 0;
		batch->fresh = true;
		/* a log that is being restored: not all that we have seen is there */
		if (at->high.seq < at->low.seq)
			at->high = at->low;
		if (!has_news(&at->low, &at->high))
		{
			batch->exhausted = true;
			return batch;
		}
	}
	else if (ee_epoch_end(delivery) != NULL)
		batch->last = ee_log_position_equal(&at->high,
											ee_epoch_end(delivery));
	if (!look_up_patterns(batch))
		batch->reader = ee_log_reader_begin(at, NULL, 0,
											delivery->lane.class,
											batch->snapshot);
	else if (delivery->n_patterns == 0)
		batch->exhausted = true;
	else
		batch->reader = ee_log_reader_begin(at, delivery->patterns,
											delivery->n_patterns,
											EE_PRIORITY_NORMAL,
											batch->snapshot);
	return batch;
}

/* Could there be anything between the two? */
static bool
has_news(const EeLogPosition *low, const EeLogPosition *high)
{
	int			n_late;

	if (high->seq > low->seq)
		return true;
	pfree(ee_log_position_late(low, high, &n_late));
	return n_late > 0;
}

static bool
look_up_patterns(const EeBatch *batch)
{
	const EeDelivery *delivery = batch->delivery;
	const EeLogCursor *at = &batch->next->at;
	int64		span = at->high.seq - Max(at->seq, at->low.seq);

	return delivery->lane.class == EE_PRIORITY_NORMAL &&
		delivery->patterns != NULL &&
		delivery->n_patterns <= MAX_LOOKUPS &&
		span > (int64) LOOKUP_WORTH * delivery->n_patterns &&
		patterns_are_current(delivery);
}

/*
 * Does the delivery know all patterns that the snapshot may see events of?
 * A definition, or a grant, can be committed together with its first events,
 * while we have an older list.
 */
static bool
patterns_are_current(const EeDelivery *delivery)
{
	return ee_invalidate_settled(EE_REL_EVENT_DEFINITIONS) &&
		delivery->registry_generation ==
		ee_invalidate_generation(EE_REL_EVENT_DEFINITIONS) &&
		(!ee_extension_has(EE_REL_EVENT_GRANTS) ||
		 ee_invalidate_settled(EE_REL_EVENT_GRANTS)) &&
		delivery->rights_generation == ee_event_grant_generation();
}

TupleTableSlot *
ee_batch_next(EeBatch *batch)
{
	EeMatcher  *matcher = batch->delivery->subscription->matcher;
	TupleTableSlot *slot;

	if (batch->exhausted || batch->examined >= EXAMINE_MAX)
		return NULL;
	while (batch->examined < EXAMINE_MAX &&
		   (slot = ee_log_reader_next(batch->reader)) != NULL)
	{
		bool		isnull;
		text	   *pattern;
		bool		wanted;

		batch->examined++;
		batch->next->at.seq = DatumGetInt64(slot_getattr(slot, EE_EVENT_SEQ,
														 &isnull));
		batch->delivery->examining = batch->next->at.seq;
		if (batch->delivery->examining == batch->delivery->forced)
			return slot;
		if (!ee_lane_takes(&batch->delivery->lane, slot))
			continue;
		pattern = DatumGetTextPP(slot_getattr(slot, EE_EVENT_PATTERN,
											  &isnull));
		batch->delivery->matching = true;
		wanted = ee_match_pattern(matcher, VARDATA_ANY(pattern),
								  VARSIZE_ANY_EXHDR(pattern));
		if (wanted && ee_match_needs_content(matcher))
		{
			ee_envelope_from_slot(slot, &batch->event);
			wanted = ee_match_event(matcher, &batch->event);
		}
		batch->delivery->matching = false;
		if (unlikely(ee_match_orphaned(matcher)) && !batch->delivery->looking)
			refuse_orphan(batch->delivery->subscription);
		if (wanted)
			return slot;
	}
	batch->exhausted = batch->examined < EXAMINE_MAX;
	return NULL;
}

/* What it has not delivered is neither handed out nor passed over. */
static void
refuse_orphan(const EeSubscription *subscription)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("role %u, the owner of subscription \"%s\", does not exist",
					subscription->owner, subscription->subscriber),
			 errhint("A superuser can give it to another role: CALL event_engine.reassign_owned('%u', ...).",
					 subscription->owner)));
}

void
ee_batch_end(EeBatch *batch)
{
	EeLogCursor *at = &batch->next->at;

	if (batch->reader != NULL)
		ee_log_reader_end(batch->reader);
	batch->reader = NULL;
	if (batch->exhausted && batch->offered)
		ee_offer_taken(batch->delivery, at);
	else if (batch->exhausted)
	{
		at->low = at->high;
		at->in_range = false;
		at->seq = at->low.seq;
	}
	else
		batch->last = false;
	PopActiveSnapshot();
	UnregisterSnapshot(batch->snapshot);
}

void
ee_batch_committed(EeDelivery *delivery, const EeCursor *next)
{
	MemoryContext context =
		AllocSetContextCreate(delivery->context, "event_engine cursor",
							  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	delivery->cursor = ee_cursor_copy(next);
	MemoryContextSwitchTo(old);
	if (!delivery->looking)
		ee_flow_note_position(delivery);
	if (delivery->cursor_context != NULL)
		MemoryContextDelete(delivery->cursor_context);
	delivery->cursor_context = context;
}
