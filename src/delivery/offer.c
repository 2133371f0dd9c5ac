/*
 * offer.c
 *	  Events that a lane may want, found by somebody who looked for many.
 *
 * An offer says: up to the cursor "from" the lane has had all that it wanted,
 * and up to "to" it may want these events and no others.  The lane's own
 * cursor, of which the tables know, may be older, for a look moves nobody's;
 * or newer, where the lane has read for itself or somebody else stepped in.
 * Both are put together here, event by event where they overlap, and where
 * they do not fit the offer is not taken: it only ever saves reading.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "delivery/offer.h"
#include "ground/invalidate.h"

static bool start_at(const EeOffer *offer, EeLogCursor *at);

EeOffer *
ee_offer_create(EeDelivery *delivery, const EeLogCursor *from,
				const EeLogCursor *to, uint64 generation)
{
	MemoryContext context =
		AllocSetContextCreate(delivery->context, "event_engine offer",
							  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	EeOffer    *offer = palloc0(sizeof(EeOffer));

	Assert(delivery->offer == NULL);
	offer->context = context;
	ee_log_cursor_copy(&offer->from, from);
	ee_log_cursor_copy(&offer->to, to);
	offer->generation = generation;
	offer->allocated = 4;
	offer->seqs = palloc(sizeof(int64) * offer->allocated);
	offer->xids = palloc(sizeof(uint64) * offer->allocated);
	delivery->offer = offer;
	MemoryContextSwitchTo(old);
	return offer;
}

void
ee_offer_add(EeOffer *offer, int64 seq, uint64 xid)
{
	if (offer->n == offer->allocated)
	{
		offer->allocated *= 2;
		offer->seqs = repalloc(offer->seqs,
							   sizeof(int64) * offer->allocated);
		offer->xids = repalloc(offer->xids,
							   sizeof(uint64) * offer->allocated);
	}
	offer->seqs[offer->n] = seq;
	offer->xids[offer->n++] = xid;
}

void
ee_offer_drop(EeDelivery *delivery)
{
	if (delivery->offer != NULL)
		MemoryContextDelete(delivery->offer->context);
	delivery->offer = NULL;
}

bool
ee_offer_take(EeDelivery *delivery, EeLogCursor *at, int64 **seqs, int *n)
{
	EeOffer    *offer = delivery->offer;
	EeLogCursor had = *at;

	if (offer->generation !=
		ee_invalidate_generation(EE_REL_SUBSCRIPTION_CURSORS) ||
		!start_at(offer, at))
		return false;
	*seqs = palloc(sizeof(int64) * Max(offer->n, 1));
	*n = 0;
	for (int i = 0; i < offer->n; i++)
		if (!ee_log_cursor_passed(&had, offer->seqs[i], offer->xids[i]))
			(*seqs)[(*n)++] = offer->seqs[i];
	return true;
}

/* The later of the two places, in the range of the offer. */
static bool
start_at(const EeOffer *offer, EeLogCursor *at)
{
	const EeLogCursor *from = &offer->from;
	const EeLogPosition *high = &from->high;

	Assert(from->in_range);
	if (!at->in_range)
	{
		/* it has been further than the look */
		if (!ee_log_position_includes(high, &at->low))
			return false;
		if (ee_log_position_includes(&from->low, &at->low))
		{
			at->low = from->low;
			at->seq = from->seq;
		}
		else if (ee_log_position_includes(&at->low, &from->low))
			at->seq = 0;
		else
			return false;
	}
	else if (ee_log_position_includes(&from->low, &at->high))
	{
		at->low = from->low;
		at->seq = from->seq;
	}
	else if (ee_log_position_equal(&from->low, &at->low) &&
			 ee_log_position_equal(high, &at->high))
		at->seq = Max(at->seq, from->seq);
	else
		return false;
	at->in_range = true;
	at->high = *high;
	return true;
}

void
ee_offer_taken(const EeDelivery *delivery, EeLogCursor *at)
{
	const EeLogCursor *to = &delivery->offer->to;

	if (to->in_range)
		at->seq = Max(at->seq, to->seq);
	else
	{
		at->low = at->high;
		at->in_range = false;
		at->seq = at->low.seq;
	}
}
