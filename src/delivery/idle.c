/*
 * idle.c
 *	  Store how far lanes have looked to which nothing was delivered.
 *
 * Such lanes move in the memory of their executor only, so that a thousand
 * of them cost nothing while events of others flow.  But what stands in the
 * table is where a restart begins to read, and what retention and the lag go
 * by.  So it is brought up to date seldom, many lanes in one transaction.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "delivery/batch.h"
#include "delivery/idle.h"
#include "ground/invalidate.h"

/* Each takes two locks of the server's table until its transaction ends. */
#define LANES_PER_UNIT	50

static int	store_some(List *deliveries, int from, int64 distance,
					   const EeUnit *unit, int *n_stored);
static bool is_far(const EeDelivery *delivery, int64 distance);
static EeCursor *store_one(EeDelivery *delivery);

int
ee_idle_store(List *deliveries, int64 distance, const EeUnit *unit)
{
	int			stored = 0;
	int			i = 0;

	while (i < list_length(deliveries))
	{
		CHECK_FOR_INTERRUPTS();
		i = store_some(deliveries, i, distance, unit, &stored);
	}
	return stored;
}

/* Where to go on. */
static int
store_some(List *deliveries, int from, int64 distance, const EeUnit *unit,
		   int *n_stored)
{
	EeDelivery *stored[LANES_PER_UNIT];
	EeCursor   *cursors[LANES_PER_UNIT];
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	int			n = 0;
	int			i;

	for (i = from; i < list_length(deliveries); i++)
		if (is_far(list_nth(deliveries, i), distance))
			break;
	if (i == list_length(deliveries))
		return i;

	/* what they are copied to outlives the unit */
	context = AllocSetContextCreate(caller, "event_engine idle lanes",
									ALLOCSET_SMALL_SIZES);
	unit->begin();
	for (; i < list_length(deliveries) && n < LANES_PER_UNIT; i++)
	{
		EeDelivery *delivery = list_nth(deliveries, i);
		MemoryContext old = MemoryContextSwitchTo(context);

		cursors[n] = is_far(delivery, distance) ? store_one(delivery) : NULL;
		if (cursors[n] != NULL)
			stored[n++] = delivery;
		MemoryContextSwitchTo(old);
	}
	unit->commit();
	for (int k = 0; k < n; k++)
		ee_batch_committed(stored[k], cursors[k]);
	*n_stored += n;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return i;
}

static bool
is_far(const EeDelivery *delivery, int64 distance)
{
	const EeCursor *cursor = delivery->cursor;

	return cursor != NULL &&
		cursor->at.seq - cursor->stored_seq >= distance;
}

/* The cursor as it is then; NULL when it is not ours to store. */
static EeCursor *
store_one(EeDelivery *delivery)
{
	EeCursor   *cursor;
	EeRoundOutcome outcome;

	if (!ee_unit_enter(delivery, &outcome))
		return NULL;
	/* somebody may have moved it, and then we know nothing */
	if (delivery->cursor == NULL || delivery->cursors_generation !=
		ee_invalidate_generation(EE_REL_SUBSCRIPTION_CURSORS))
		return NULL;
	cursor = ee_cursor_copy(delivery->cursor);
	ee_cursor_store(delivery->subscription->number, delivery->lane.number,
					cursor);
	return cursor;
}
