/*
 * resume.c
 *	  Take the steps that a round has found to be taken.
 *
 * They run in one transaction with no subtransaction in it.  When one fails
 * all of it is rolled back, and for a while each step has a subtransaction of
 * its own, so that one that fails is written down and the others go on.  What
 * fails only at the commit, as deferred triggers do, is closed in on: half as
 * many in the next unit, and one that fails alone is written down.
 *
 *		steps of a unit -> taken
 *						-> one failed: each in a subtransaction, for a while
 *						-> the commit failed: half of them
 *		a step alone	-> taken
 *						-> failed, or its commit: written down
 *
 * Under the crash guard an event's step is not taken but put among those that
 * are due; of those, an attempt is counted and committed before it is made
 * (timer.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "delivery/group.h"
#include "delivery/handler.h"
#include "delivery/tally.h"
#include "ground/debug_point.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "ground/subtransaction.h"
#include "workflow/dispatch.h"
#include "workflow/postponed.h"
#include "workflow/resume.h"
#include "workflow/wait_match.h"

/* A step to be taken in a subtransaction. */
typedef struct Attempt
{
	EeDelivery *delivery;
	const EeUnit *unit;
	EeResume   *item;
	EeStepOutcome outcome;
	bool		wrote;
} Attempt;

static void lock_instances(EeResumeList *list);
static int	compare_uuids(const void *a, const void *b);
static bool is_condemned(EeDelivery *delivery, const EeResume *item);
static void take(EeDelivery *delivery, const EeUnit *unit,
				 EeResume *item, EeResumeProgress *progress);
static EeStepOutcome call(EeDelivery *delivery, const EeUnit *unit,
						  EeResume *item);
static bool ends_another(EeDelivery *delivery, EeResume *item);
static void hold(EeDelivery *delivery, EeResume *item);
static bool take_carefully(EeDelivery *delivery, const EeUnit *unit,
						   EeResume *item, EeResumeProgress *progress);
static void attempt(void *arg);
static void write_down(EeDelivery *delivery, EeResume *item,
					   const ErrorData *error, EeResumeProgress *progress);
static bool close_in(EeDelivery *delivery, const EeResumeProgress *progress,
					 bool committing, ErrorData *error);
static void forget_condemned(EeDispatch *dispatch);

EeResumeList *
ee_resume_list(int max)
{
	EeResumeList *list = palloc0(sizeof(EeResumeList));

	list->context = AllocSetContextCreate(CurrentMemoryContext,
										  "event_engine resumptions",
										  ALLOCSET_DEFAULT_SIZES);
	list->max = max;
	return list;
}

EeResume *
ee_resume_add(EeResumeList *list)
{
	EeResume   *item;

	if (list->n == list->allocated)
	{
		list->allocated = Max(list->allocated * 2, 16);
		list->items = list->items == NULL ?
			MemoryContextAlloc(list->context,
							   sizeof(EeResume) * list->allocated) :
			repalloc(list->items, sizeof(EeResume) * list->allocated);
	}
	item = &list->items[list->n++];
	memset(item, 0, sizeof(*item));
	return item;
}

void
ee_resume_run(EeDelivery *delivery, const EeUnit *unit, EeResumeList *list,
			  TimestampTz until, EeResumeProgress *progress)
{
	MemoryContext per_step;
	int			subxacts = 0;

	if (list->n == 0)
		return;
	per_step = AllocSetContextCreate(CurrentMemoryContext,
									 "event_engine step",
									 ALLOCSET_DEFAULT_SIZES);
	if (!list->locked)
		lock_instances(list);
	while (progress->done < list->n)
	{
		EeResume   *item = &list->items[progress->done];
		MemoryContext old = MemoryContextSwitchTo(per_step);

		CHECK_FOR_INTERRUPTS();
		progress->began = GetCurrentTimestamp();
		if (progress->done > 0 &&
			(progress->began >= until || subxacts >= EE_GROUP_SUBXACTS ||
			 (unit->urgent != NULL && unit->urgent(delivery->lane.class))))
		{
			MemoryContextSwitchTo(old);
			break;
		}
		progress->current = *item;
		if (item->busy)
			ee_postponed_add(delivery, item);
		else if (is_condemned(delivery, item))
			write_down(delivery, item, delivery->dispatch->condemned.error,
					   progress);
		else if (delivery->guarded && item->call == EE_RESUME_WAIT)
			hold(delivery, item);
		else if (delivery->caution.distance == 0)
			take(delivery, unit, item, progress);
		else if (take_carefully(delivery, unit, item, progress))
			subxacts++;
		if (item->postponed && !item->busy)
			ee_postponed_remove(delivery, item);
		progress->done++;
		MemoryContextSwitchTo(old);
		MemoryContextReset(per_step);
	}
	MemoryContextDelete(per_step);
}

/*
 * Those that somebody else has locked are busy: nobody is waited for, neither
 * a client that takes its time to commit nor another lane.
 */
static void
lock_instances(EeResumeList *list)
{
	static EePlan lock =
		EE_PLAN("SELECT id FROM event_engine.workflow_instances "
				"WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED", "uuid[]");
	EePlanFrame frame;
	EeIdentity	saved;
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * list->n);
	Datum	   *elements = palloc(sizeof(Datum) * list->n);
	Datum		value;
	int			n = 0;

	for (int i = 0; i < list->n; i++)
		ids[i] = list->items[i].instance;
	pg_qsort(ids, list->n, sizeof(pg_uuid_t), compare_uuids);
	for (int i = 0; i < list->n; i++)
		if (i == 0 || compare_uuids(&ids[i], &ids[i - 1]) != 0)
			elements[n++] = UUIDPGetDatum(&ids[i]);
	value = PointerGetDatum(construct_array(elements, n, UUIDOID, UUID_LEN,
											false, TYPALIGN_CHAR));
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(&lock, &value, NULL, false, 0) < n)
	{
		pg_uuid_t  *locked = palloc(sizeof(pg_uuid_t) * n);
		int			n_locked = (int) SPI_processed;

		for (int i = 0; i < n_locked; i++)
		{
			bool		isnull;

			locked[i] = *DatumGetUUIDP(ee_plan_value(i, 1, &isnull));
		}
		pg_qsort(locked, n_locked, sizeof(pg_uuid_t), compare_uuids);
		for (int i = 0; i < list->n; i++)
			list->items[i].busy =
				bsearch(&list->items[i].instance, locked, n_locked,
						sizeof(pg_uuid_t), compare_uuids) == NULL;
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

static int
compare_uuids(const void *a, const void *b)
{
	return memcmp(a, b, UUID_LEN);
}

static bool
is_condemned(EeDelivery *delivery, const EeResume *item)
{
	const EeCondemned *condemned = &delivery->dispatch->condemned;

	return condemned->error != NULL &&
		compare_uuids(&condemned->instance, &item->instance) == 0;
}

/* ------------------------------------------------------------------- a step */

static void
take(EeDelivery *delivery, const EeUnit *unit, EeResume *item,
	 EeResumeProgress *progress)
{
	EeStepOutcome outcome;

	progress->in_step = true;
	outcome = call(delivery, unit, item);
	progress->in_step = false;
	if (outcome == EE_STEP_TAKEN)
		progress->resumed++;
	if (outcome != EE_STEP_GONE && item->resumption.event != (Datum) 0)
		ee_tally_event(delivery->subscription, item->resumption.event,
					   EE_OUTCOME_DELIVERED);
}

static EeStepOutcome
call(EeDelivery *delivery, const EeUnit *unit, EeResume *item)
{
	EeStepOutcome outcome;

	ee_debug_point("workflow_before_step");
	switch (item->call)
	{
		case EE_RESUME_WAIT:
			do
				outcome = ee_step_run(delivery, unit, &item->instance,
									  &item->resumption);
			while (outcome == EE_STEP_GONE && ends_another(delivery, item));
			return outcome;
		case EE_RESUME_DUE:
			return ee_step_due(delivery, unit, &item->instance);
		case EE_RESUME_DEADLINE:
			return ee_step_deadline(delivery, unit, &item->instance);
	}
	return EE_STEP_GONE;		/* keep the compiler quiet */
}

/* Its wait is over: does the event end another one of the instance? */
static bool
ends_another(EeDelivery *delivery, EeResume *item)
{
	pg_uuid_t	over = item->resumption.wait;

	return item->call == EE_RESUME_WAIT &&
		item->resumption.event != (Datum) 0 &&
		ee_wait_match_other(delivery, &item->instance, item->resumption.event,
							&item->resumption.wait) &&
		compare_uuids(&over, &item->resumption.wait) != 0;
}

/* Among those that are due: see timer.c. */
static void
hold(EeDelivery *delivery, EeResume *item)
{
	EeStepOutcome outcome;

	do
		outcome = ee_step_hold(delivery, &item->instance, &item->resumption);
	while (outcome == EE_STEP_GONE && ends_another(delivery, item));
}

/* True: a subtransaction has written. */
static bool
take_carefully(EeDelivery *delivery, const EeUnit *unit,
			   EeResume *item, EeResumeProgress *progress)
{
	Attempt		work = {delivery, unit, item, EE_STEP_GONE, false};
	ErrorData  *error = ee_subtransaction_run(attempt, &work);

	if (error == NULL)
	{
		ee_group_caution_passed(&delivery->caution, 1);
		if (work.outcome == EE_STEP_TAKEN)
			progress->resumed++;
		if (work.outcome != EE_STEP_GONE &&
			item->resumption.event != (Datum) 0)
			ee_tally_event(delivery->subscription, item->resumption.event,
						   EE_OUTCOME_DELIVERED);
		return work.wrote;
	}
	ee_handler_reset();
	ee_unit_heed_cancel(unit, error);
	ee_group_caution_failed(&delivery->caution);
	ee_debug_point("workflow_step_failed");
	write_down(delivery, item, error, progress);
	return false;
}

static void
attempt(void *arg)
{
	Attempt    *work = arg;

	work->outcome = call(work->delivery, work->unit, work->item);
	work->wrote = TransactionIdIsValid(GetCurrentTransactionIdIfAny());
}

static void
write_down(EeDelivery *delivery, EeResume *item, const ErrorData *error,
		   EeResumeProgress *progress)
{
	EeStepOutcome outcome;

	do
		outcome = ee_step_failed(delivery, &item->instance,
								 item->call == EE_RESUME_WAIT ?
								 &item->resumption : NULL, error,
								 progress->began);
	while (outcome == EE_STEP_GONE && ends_another(delivery, item));
	if (item->resumption.event != (Datum) 0)
		ee_tally_event(delivery->subscription, item->resumption.event,
					   EE_OUTCOME_FAILED);
	progress->failed++;
}

/* -------------------------------------------------------------- after a unit */

int
ee_resume_limit(EeDelivery *delivery, int max)
{
	int			limit = delivery->subscription->batch_size;

	if (delivery->dispatch->limit > 0)
		limit = Min(limit, delivery->dispatch->limit);
	return Max(1, Min(limit, max));
}

EeRoundOutcome
ee_resume_unit_failed(EeDelivery *delivery, const EeUnit *unit,
					  const EeResumeProgress *progress, bool committing,
					  ErrorData *error)
{
	EeRoundOutcome outcome = EE_ROUND_FAILED;
	bool		kept = false;

	if (progress->in_step || progress->done > 0 ||
		(delivery->matching && delivery->caution.distance == 0))
		kept = close_in(delivery, progress, committing, error);
	else
	{
		ee_unit_give_up(delivery, unit, error);
		outcome = EE_ROUND_STALE;
	}
	delivery->matching = false;
	if (!kept)
		ee_unit_forget_error(error);
	return outcome;
}

/* True: the error is kept for the step that it condemns. */
static bool
close_in(EeDelivery *delivery, const EeResumeProgress *progress,
		 bool committing, ErrorData *error)
{
	EeDispatch *dispatch = delivery->dispatch;

	forget_condemned(dispatch);
	if (!committing && delivery->caution.distance == 0)
	{
		ee_group_caution_failed(&delivery->caution);
		return false;
	}
	if (progress->done > 1)
	{
		dispatch->limit = progress->done / 2;
		return false;
	}
	/* alone, and at the commit: there is nothing else to try */
	dispatch->limit = 1;
	dispatch->condemned.instance = progress->current.instance;
	dispatch->condemned.error = error;
	return true;
}

void
ee_resume_unit_passed(EeDelivery *delivery, const EeResumeProgress *progress)
{
	EeDispatch *dispatch = delivery->dispatch;

	if (progress->done == 0)
		return;
	forget_condemned(dispatch);
	if (delivery->caution.distance == 0)
		ee_group_caution_passed(&delivery->caution, progress->done);
	if (dispatch->limit > 0)
	{
		dispatch->limit *= 2;
		if (dispatch->limit >= delivery->subscription->batch_size)
			dispatch->limit = 0;
	}
}

static void
forget_condemned(EeDispatch *dispatch)
{
	if (dispatch->condemned.error != NULL)
		ee_unit_forget_error(dispatch->condemned.error);
	dispatch->condemned.error = NULL;
}
