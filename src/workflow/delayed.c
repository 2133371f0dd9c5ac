/*
 * delayed.c
 *	  Events that were not due when the dispatcher read them.
 *
 * An event whose deliver_at lay ahead has been put off: it has a row in
 * deliveries, as it has for every subscription, and the cursor is past it.
 * When it is due it is matched with the waits that are there then, and the
 * row goes in the transaction that takes their steps; nobody may want it, then
 * only the row goes.  Waits that cannot be seen then are late.c's.  Where there is no time for all of its steps the row
 * stays, and the event finds the waits that are left in the next round.
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/snapmgr.h"

#include "delivery/retry.h"
#include "ground/envelope.h"
#include "workflow/delayed.h"
#include "workflow/late.h"
#include "workflow/trigger.h"
#include "workflow/wait_match.h"

/* At once. */
#define DELAYED_MAX		100

struct EeDelayed
{
	EeTriggers	triggers;
	EeDue	   *events;
	int			n;
	int		   *ends;			/* in the list, behind the steps of each */
	TupleTableSlot *slot;
	EeLogPosition *position;	/* whose waits they were matched with */
};

static void match_events(EeDelivery *delivery, EeDelayed *delayed,
						 EeResumeList *list, bool *more);
static TupleTableSlot *slot_of(EeDelayed *delayed, int i);

EeDelayed *
ee_delayed_find(EeDelivery *delivery, EeResumeList *list, bool *more)
{
	EeDelayed  *delayed;

	*more = list->n >= list->max;
	if (*more)
		return NULL;
	delayed = palloc(sizeof(EeDelayed));
	delayed->events = palloc(sizeof(EeDue) * DELAYED_MAX);
	delayed->n = ee_retry_due(delivery, delayed->events, DELAYED_MAX);
	if (delayed->n == 0)
		return NULL;
	*more = delayed->n == DELAYED_MAX;
	delayed->ends = palloc(sizeof(int) * delayed->n);
	delayed->slot = ee_envelope_new_slot();
	match_events(delivery, delayed, list, more);
	return delayed;
}

/* Those behind one that more waits want than the list has room for can wait. */
static void
match_events(EeDelivery *delivery, EeDelayed *delayed, EeResumeList *list,
			 bool *more)
{
	EeDispatch *dispatch = delivery->dispatch;
	uint64		known = ee_wait_index_watch();
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	EeWaitMatch *match;
	int			matched = 0;

	PushActiveSnapshot(snapshot);
	delayed->position = ee_log_position_current();
	dispatch->index = ee_wait_index_read(dispatch->index,
										 delivery->subscription->number,
										 known, delivery->context);
	if (ee_trigger_begin(&delayed->triggers, delivery->subscription->number))
	{
		match = ee_wait_match_begin(delivery, dispatch->index, NULL, snapshot,
									list);
		while (matched < delayed->n &&
			   ee_wait_match_event(match, slot_of(delayed, matched), 0))
			delayed->ends[matched++] = list->n;
		ee_wait_match_end(match);
	}
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	if (matched < delayed->n)
		*more = true;
	delayed->n = matched;
}

static TupleTableSlot *
slot_of(EeDelayed *delayed, int i)
{
	return ee_envelope_slot(delayed->slot, delayed->events[i].event);
}

int
ee_delayed_end(EeDelivery *delivery, EeDelayed *delayed, int done)
{
	int64	   *over = palloc(sizeof(int64) * delayed->n);
	int			n = 0;

	/* the steps of each are behind those of the one before */
	while (n < delayed->n && delayed->ends[n] <= done)
	{
		over[n] = delayed->events[n].seq;
		ee_late_keep(delivery, over[n], delayed->events[n].event,
					 delayed->position);
		ee_trigger_note(&delayed->triggers, slot_of(delayed, n),
						EE_TRIGGER_DUE);
		n++;
	}
	ExecDropSingleTupleTableSlot(delayed->slot);
	(void) ee_trigger_fire(&delayed->triggers, PG_INT64_MAX);
	if (n > 0)
		ee_retry_delete(delivery, over, n);
	return n;
}
