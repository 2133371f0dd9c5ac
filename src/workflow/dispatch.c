/*
 * dispatch.c
 *	  The dispatcher of a role's workflows: from events to resumptions, each
 *	  exactly once.
 *
 * A dispatcher is a subscription, and its cursor one like all others.  In one
 * unit of work it takes a slice of the log, finds the waits that these events
 * end, takes the steps of their instances, and moves the cursor: what a step
 * did, its new state and waits, and that the event has been read, commit
 * together.  Of the waits it sees those that the snapshot sees which the batch
 * is read with; what has become visible since the last one is looked back for
 * first (look_back.c).
 *
 *		batch begins: snapshot B, range of the log
 *		-> waits that arrived: looked back for, in what the lane has read
 *		-> events in order: the waits that each ends (wait_match.c)
 *		-> their instances locked, their steps taken (resume.c)
 *		-> the cursor moves behind the last event whose steps are all taken
 *
 * Where one event ends more waits than a unit takes steps, the cursor stays
 * before it: the waits that are over are gone when it is met again.
 *
 * An event that is not due yet is put off; see delayed.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/cursor.h"
#include "delivery/epoch.h"
#include "delivery/hand_out.h"
#include "delivery/round.h"
#include "ground/config.h"
#include "ground/debug_point.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "workflow/dispatch.h"
#include "workflow/look_back.h"
#include "workflow/postponed.h"
#include "workflow/resume.h"
#include "workflow/timer.h"
#include "workflow/trigger.h"
#include "workflow/wait_match.h"

/*
 * A batch that nobody waited for is not written down by itself: who begins
 * again before it finds the same.  Until it was so many events, or waits:
 * from there on other lanes read the log before a wait of theirs times out.
 */
#define STORE_AFTER		1000

/* What is known of a batch, also when it fails. */
typedef struct Progress
{
	EeRound		round;
	EeResumeProgress steps;
	bool		committing;
	int			events;			/* of the log */
	int			unstored;		/* see EeDispatch */
	bool		put_off;		/* one of them at least */
	bool		read_all;		/* up to the present */
	bool		at_end;			/* of the lane's epoch, see epoch.h */
	MemoryContext context;		/* of what follows, in the delivery's */
	EeCursor   *next;			/* where the cursor will stand */
	EeLogPosition *seen;		/* NULL: as before */
	TimestampTz began;
} Progress;

static EeRound deliver(EeDelivery *delivery, const EeUnit *unit, int max);
static void failed(EeDelivery *delivery, const EeUnit *unit,
				   Progress *progress, ErrorData *error);
static void passed(EeDelivery *delivery, Progress *progress);
static bool run_batch(EeDelivery *delivery, const EeUnit *unit, int max,
					  void *arg);
static bool covers_waits(EeDelivery *delivery, EeWaitIndex *index);
static bool read_events(EeDelivery *delivery, EeBatch *batch,
						EeWaitMatch *match, EeTriggers *triggers, int max,
						Progress *progress);
static bool cut_off(EeDelivery *delivery, EeBatch *batch,
					const EeResume *item);
static void keep(EeDelivery *delivery, EeBatch *batch,
				 const EeLogPosition *seen, Progress *progress);

static const EeRoundCalls calls = {deliver, ee_timer_round};

static const EeUnitWork batch_work = {
	run_batch, "workflow_before_commit", "workflow_after_abort"
};

void
ee_dispatch_init(void)
{
	ee_round_register(EE_SUBSCRIPTION_WORKFLOW, &calls);
}

EeDispatch *
ee_dispatch_of(EeDelivery *delivery)
{
	if (delivery->dispatch == NULL)
	{
		delivery->dispatch = MemoryContextAllocZero(delivery->context,
													sizeof(EeDispatch));
		delivery->dispatch->read_at = DT_NOBEGIN;
		delivery->dispatch->late_at = DT_NOEND;
	}
	return delivery->dispatch;
}

static EeRound
deliver(EeDelivery *delivery, const EeUnit *unit, int max)
{
	Progress   *progress = MemoryContextAllocZero(delivery->context,
												  sizeof(Progress));
	ErrorData  *error;
	EeRound		round;

	(void) ee_dispatch_of(delivery);
	progress->context = AllocSetContextCreate(delivery->context,
											  "event_engine next cursor",
											  ALLOCSET_SMALL_SIZES);
	error = ee_unit_run(delivery, unit, &batch_work, max, progress,
						&progress->committing);
	if (error != NULL)
		failed(delivery, unit, progress, error);
	else
		passed(delivery, progress);
	round = progress->round;
	if (error == NULL && progress->at_end)
	{
		EeRoundOutcome outcome = ee_epoch_close(delivery, unit);

		if (outcome == EE_ROUND_STALE || round.outcome == EE_ROUND_IDLE)
			round.outcome = outcome;
		delivery->behind = true;
	}
	MemoryContextDelete(progress->context);
	pfree(progress);
	return round;
}

static void
failed(EeDelivery *delivery, const EeUnit *unit, Progress *progress,
	   ErrorData *error)
{
	delivery->behind = true;
	progress->round.delivered = progress->round.failed = 0;
	progress->round.outcome =
		ee_resume_unit_failed(delivery, unit, &progress->steps,
							  progress->committing, error);
}

static void
passed(EeDelivery *delivery, Progress *progress)
{
	EeDispatch *dispatch = delivery->dispatch;

	if (progress->next != NULL)
		ee_batch_committed(delivery, progress->next);
	if (progress->seen != NULL)
	{
		MemoryContext context =
			AllocSetContextCreate(delivery->context, "event_engine seen",
								  ALLOCSET_SMALL_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);

		dispatch->seen = palloc(sizeof(EeLogPosition));
		ee_log_position_copy(dispatch->seen, progress->seen);
		MemoryContextSwitchTo(old);
		if (dispatch->seen_context != NULL)
			MemoryContextDelete(dispatch->seen_context);
		dispatch->seen_context = context;
	}
	if (progress->read_all)
		dispatch->read_at = progress->began;
	dispatch->unstored = progress->unstored;
	ee_resume_unit_passed(delivery, &progress->steps);
}

/* ------------------------------------------------------------------- a batch */

static bool
run_batch(EeDelivery *delivery, const EeUnit *unit, int max, void *arg)
{
	Progress   *progress = arg;
	EeDispatch *dispatch = delivery->dispatch;
	MemoryContext context;
	MemoryContext old;
	uint64		known;
	EeBatch    *batch;
	EeLogPosition *seen;
	EeResumeList *list;
	EeWaitMatch *match;
	EeTriggers	triggers;
	int64		arrived;
	int			fired;
	bool		complete;
	bool		looked_back;

	progress->round.outcome = EE_ROUND_IDLE;
	if (!ee_unit_enter(delivery, &progress->round.outcome))
		return false;
	delivery->behind = false;
	context = AllocSetContextCreate(CurTransactionContext,
									"event_engine dispatch",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	known = ee_wait_index_watch();
	progress->began = GetCurrentTimestamp();
	batch = ee_batch_begin(delivery);
	seen = batch->fresh ? &batch->next->at.high : ee_log_position_current();
	dispatch->index = ee_wait_index_read(dispatch->index,
										 delivery->subscription->number,
										 known, delivery->context);
	if (!ee_trigger_begin(&triggers, delivery->subscription->number) ||
		!covers_waits(delivery, dispatch->index))
	{
		ee_batch_end(batch);
		delivery->behind = true;
		progress->round.outcome = EE_ROUND_STALE;
		MemoryContextSwitchTo(old);
		return false;
	}
	ee_debug_point("workflow_batch_begun");

	list = ee_resume_list(ee_resume_limit(delivery, INT_MAX));
	match = ee_wait_match_begin(delivery, dispatch->index, &dispatch->filter,
								batch->snapshot, list);
	looked_back = ee_look_back(delivery, dispatch, match, batch->snapshot,
							   &arrived);
	complete = looked_back &&
		read_events(delivery, batch, match, &triggers, max, progress);
	ee_wait_match_end(match);
	ee_debug_point("workflow_matched");

	ee_resume_run(delivery, unit, list,
				  GetCurrentTimestamp() + INT64CONST(1000) *
				  (delivery->slice_ms > 0 ? delivery->slice_ms :
				   ee_config_delivery_batch_time),
				  &progress->steps);
	if (progress->steps.done < list->n)
	{
		complete = false;
		looked_back &= cut_off(delivery, batch,
							   &list->items[progress->steps.done]);
	}
	else if (!looked_back)
		(void) cut_off(delivery, batch, NULL);
	fired = ee_trigger_fire(&triggers, looked_back ?
							batch->next->at.seq : 0);
	if (triggers.postponed)
		delivery->base->next_due = Min(delivery->base->next_due,
									   GetCurrentTimestamp() +
									   EE_POSTPONED_USECS);
	if (!complete)
		batch->exhausted = false;
	ee_batch_end(batch);

	progress->round.delivered = progress->steps.resumed;
	progress->round.failed = progress->steps.failed;
	progress->at_end = complete && (batch->last || delivery->at_end);
	progress->read_all = complete && ee_batch_reached_end(batch);
	delivery->behind = !progress->read_all;
	if (progress->steps.done > 0 || progress->events > 0)
		progress->round.outcome = EE_ROUND_DONE;
	progress->unstored = dispatch->unstored + batch->examined;
	if (progress->steps.done > 0 || fired > 0 || progress->put_off ||
		progress->unstored >= STORE_AFTER || arrived >= STORE_AFTER ||
		batch->last)
	{
		progress->unstored = 0;
		batch->next->delivered += progress->round.delivered;
		batch->next->failed += progress->round.failed;
		ee_debug_point("workflow_before_move");
		ee_cursor_store(delivery->subscription->number, delivery->lane.number,
						batch->next);
	}
	keep(delivery, batch, looked_back ? seen : NULL, progress);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return progress->steps.done > 0;
}

/*
 * Does the subscription read the patterns of all waits that this snapshot
 * sees?  Not where one has been registered a moment ago, of which nobody has
 * told us yet: then the events of its pattern must not be passed over.
 */
static bool
covers_waits(EeDelivery *delivery, EeWaitIndex *index)
{
	static EePlan cover =
		EE_PLAN("SELECT event_engine.cover_patterns($1, $2)", "int4",
				"text[]");
	List	   *patterns;
	Datum	   *missing;
	Datum		values[2];
	EePlanFrame frame;
	EeIdentity	saved;
	ListCell   *lc;
	int			n = 0;

	if (!ee_wait_index_is_new(index))
		return true;
	patterns = ee_wait_index_patterns(index);
	missing = palloc(sizeof(Datum) * Max(list_length(patterns), 1));
	foreach(lc, patterns)
		if (!ee_match_includes(delivery->subscription->matcher, lfirst(lc)))
			missing[n++] = CStringGetTextDatum(lfirst(lc));
	if (n == 0)
		return true;
	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = PointerGetDatum(construct_array(missing, n, TEXTOID, -1,
												false, TYPALIGN_INT));
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&cover, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return false;
}

/* False: the list is full, and the last event may be wanted by more. */
static bool
read_events(EeDelivery *delivery, EeBatch *batch, EeWaitMatch *match,
			EeTriggers *triggers, int max, Progress *progress)
{
	int			limit = Min(max, delivery->subscription->batch_size);

	while (progress->events < limit)
	{
		int64		previous = batch->next->at.seq;
		TupleTableSlot *slot = ee_batch_next(batch);
		bool		put_off;

		if (slot == NULL)
			return true;
		put_off = ee_hand_out_put_off(delivery, slot);
		progress->put_off |= put_off;
		if (!put_off && !ee_wait_match_event(match, slot, previous))
		{
			EeDispatch *dispatch = delivery->dispatch;

			dispatch->met_seq = Max(dispatch->met_seq, batch->next->at.seq);
			batch->next->at.seq = previous;
			return false;
		}
		ee_trigger_note(triggers, slot,
						put_off ? EE_TRIGGER_PUT_OFF : EE_TRIGGER_READ);
		progress->events++;
	}
	return true;
}

/*
 * The cursor must not pass the event whose step was not taken; NULL: nor
 * anything else, as the waits that arrived have not all been looked back for.
 * True: they have.
 */
static bool
cut_off(EeDelivery *delivery, EeBatch *batch, const EeResume *item)
{
	if (item != NULL && !item->of_past)
	{
		batch->next->at.seq = item->previous;
		return true;
	}
	batch->next->at = ee_cursor_copy(delivery->cursor)->at;
	return false;
}

/* What is to be known once the unit has committed. */
static void
keep(EeDelivery *delivery, EeBatch *batch, const EeLogPosition *seen,
	 Progress *progress)
{
	MemoryContext old = MemoryContextSwitchTo(progress->context);

	progress->next = ee_cursor_copy(batch->next);
	if (seen != NULL)
	{
		progress->seen = palloc(sizeof(EeLogPosition));
		ee_log_position_copy(progress->seen, seen);
	}
	MemoryContextSwitchTo(old);
}
