/*
 * timer.c
 *	  What a dispatcher has to do by the clock.
 *
 * An event that had arrived when a wait was over wins over the clock: what
 * waits for events times out only once the lane has read the log up to a moment
 * after that, and what other lanes have not read has been looked at
 * (overdue.c).  Who only sleeps, first steps and those to be tried again need
 * not wait for it.  An event that was put off until now wins as well, hence
 * these come first.
 *
 * A round is short, so that fresh events come in between, however much is due
 * at once.  Instances that somebody else has locked are left for later.  Where
 * there are several lanes, each takes its share of the instances.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/lane.h"
#include "delivery/retry.h"
#include "ground/debug_point.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "workflow/delayed.h"
#include "workflow/dispatch.h"
#include "workflow/late.h"
#include "workflow/overdue.h"
#include "workflow/postponed.h"
#include "workflow/resume.h"
#include "workflow/timer.h"
#include "workflow/trigger.h"

/* No step is begun later in a round, and no more are looked up. */
#define ROUND_USECS			(5 * INT64CONST(1000))
#define CHUNK				100

/* Is it the lane's? */
#define OF_LANE(id, concurrency, index) \
	"($" #concurrency " = 1 OR (pg_catalog.uuid_hash(" id ") & 2147483647) " \
	"% $" #concurrency " = $" #index ")"

/*
 * Is the time over at?  For what waits for events only where they have been
 * read ($5).  Spelt so that the planner does not collect all waits first.
 */
#define IS_OVER(at, instance) \
	at " <= $4 AND (" at " <= $5 OR (SELECT true " \
	"FROM event_engine.workflow_waits o WHERE o.instance_id = " instance \
	" AND o.pattern IS NOT NULL LIMIT 1) IS NULL)"

/* What is known of a round, also when it fails. */
typedef struct Progress
{
	EeRound		round;
	EeResumeProgress steps;
	EeDuePlace	due_after;		/* of deliveries, before it */
	bool		committing;
	bool		counted;		/* the attempt at only has been */
	pg_uuid_t	only;
} Progress;

static void count_attempt(EeDelivery *delivery, const EeUnit *unit,
						  Progress *progress);
static void failed(EeDelivery *delivery, const EeUnit *unit,
				   Progress *progress, ErrorData *error);
static bool run_due(EeDelivery *delivery, const EeUnit *unit, int max,
					void *arg);
static void add_due(EeDelivery *delivery, EeResumeList *list);
static bool add_overdue(EeDelivery *delivery, EeResumeList *list,
						bool waits);
static void find_timeouts(EeDelivery *delivery, EeResumeList *list);
static void find_deadlines(EeDelivery *delivery, EeResumeList *list);
static void add_rows(EeDelivery *delivery, EeResumeList *list, EePlan *plan,
					 EeResumeCall call);
static void find_next_due(EeDelivery *delivery, bool idle);

static const EeUnitWork due_work = {
	run_due, "timer_before_commit", "timer_after_abort"
};

EeRound
ee_timer_round(EeDelivery *delivery, const EeUnit *unit, int max)
{
	Progress   *progress = MemoryContextAllocZero(delivery->context,
												  sizeof(Progress));
	ErrorData  *error;
	EeRound		round;

	(void) ee_dispatch_of(delivery);
	if (delivery->guarded)
		count_attempt(delivery, unit, progress);
	progress->due_after = delivery->due_after;
	error = ee_unit_run(delivery, unit, &due_work, max, progress,
						&progress->committing);
	if (error != NULL)
		failed(delivery, unit, progress, error);
	else
		ee_resume_unit_passed(delivery, &progress->steps);
	round = progress->round;
	pfree(progress);
	return round;
}

static void
failed(EeDelivery *delivery, const EeUnit *unit, Progress *progress,
	   ErrorData *error)
{
	delivery->next_due = DT_NOBEGIN;
	/* rows that it dealt with are due as before */
	ee_retry_go_back(delivery, progress->due_after);
	progress->round.delivered = progress->round.failed = 0;
	progress->round.outcome =
		ee_resume_unit_failed(delivery, unit, &progress->steps,
							  progress->committing, error);
}

/*
 * Under the crash guard: the attempt that comes next is committed before it
 * is made, and it alone is made.
 */
static void
count_attempt(EeDelivery *delivery, const EeUnit *unit, Progress *progress)
{
	EeRoundOutcome outcome;
	MemoryContext old;

	unit->begin();
	old = MemoryContextSwitchTo(CurTransactionContext);
	if (ee_unit_enter(delivery, &outcome))
	{
		EeResumeList *list = ee_resume_list(1);

		add_due(delivery, list);
		if (list->n > 0 &&
			ee_step_attempt(delivery, &list->items[0].instance))
		{
			progress->counted = true;
			progress->only = list->items[0].instance;
		}
	}
	MemoryContextSwitchTo(old);
	unit->commit();
	ee_debug_point("workflow_attempt_counted");
}

static bool
run_due(EeDelivery *delivery, const EeUnit *unit, int max, void *arg)
{
	Progress   *progress = arg;
	MemoryContext context;
	MemoryContext old;
	EeResumeList *list;
	EeDelayed  *delayed = NULL;
	EeLate	   *late = NULL;
	bool		more = false;
	bool		full = false;
	bool		triggers_left;
	int			over = 0;

	progress->round.outcome = EE_ROUND_IDLE;
	if (!ee_unit_enter(delivery, &progress->round.outcome))
		return false;
	context = AllocSetContextCreate(CurTransactionContext,
									"event_engine timer",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	list = ee_resume_list(ee_resume_limit(delivery, Min(max, CHUNK)));
	list->locked = true;
	if (progress->counted)
	{
		EeResume   *item = ee_resume_add(list);

		item->call = EE_RESUME_DUE;
		item->instance = progress->only;
		list->locked = false;
	}
	else
	{
		if (!delivery->guarded)
			add_due(delivery, list);
		ee_postponed_find(delivery, list);
		late = ee_late_find(delivery, list);
		delayed = ee_delayed_find(delivery, list, &more);
		if (late != NULL || delayed != NULL)
			list->locked = false;
		full = list->n == list->max;
		full |= add_overdue(delivery, list, !more);
	}
	ee_debug_point("timer_found");
	ee_resume_run(delivery, unit, list, GetCurrentTimestamp() + ROUND_USECS,
				  &progress->steps);
	if (late != NULL)
		ee_late_end(delivery, late, progress->steps.done);
	if (delayed != NULL)
		over = ee_delayed_end(delivery, delayed, progress->steps.done);
	over += ee_trigger_fire_postponed(delivery->subscription->number,
									  &triggers_left);
	if (progress->steps.done < list->n || (full && list->n > 0))
		delivery->next_due = DT_NOBEGIN;
	else
		find_next_due(delivery, list->n == 0 && over == 0);
	if (triggers_left)
		delivery->next_due = Min(delivery->next_due, GetCurrentTimestamp() +
								 EE_POSTPONED_USECS);
	progress->round.delivered = progress->steps.resumed;
	progress->round.failed = progress->steps.failed;
	if (progress->steps.done > 0 || over > 0)
		progress->round.outcome = EE_ROUND_DONE;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return progress->steps.done > 0;
}

/* ------------------------------------------------------------- what is due */

static void
add_due(EeDelivery *delivery, EeResumeList *list)
{
	static EePlan due =
		EE_PLAN("SELECT i.id, i.id FROM event_engine.workflow_instances i "
				"WHERE i.number = $1 AND i.next_attempt_at <= $4 AND "
				OF_LANE("i.id", 2, 3)
				" ORDER BY i.next_attempt_at LIMIT $6 FOR UPDATE SKIP LOCKED",
				"int4", "int4", "int4", "timestamptz", "timestamptz", "int4");

	add_rows(delivery, list, &due, EE_RESUME_DUE);
}

/* waits: those of waits as well.  True: there may be more. */
static bool
add_overdue(EeDelivery *delivery, EeResumeList *list, bool waits)
{
	EeResumeList *over = ee_resume_list(Max(list->max - list->n, 0));

	if (waits)
		find_timeouts(delivery, over);
	find_deadlines(delivery, over);
	ee_overdue_add(delivery, over, list);
	return over->n == over->max;
}

static void
find_timeouts(EeDelivery *delivery, EeResumeList *list)
{
	static EePlan over =
		EE_PLAN("SELECT i.id, w.id FROM event_engine.workflow_waits w "
				"JOIN event_engine.workflow_instances i ON i.id = w.instance_id "
				"WHERE w.number = $1 AND " IS_OVER("w.timeout_at", "w.instance_id")
				" AND " OF_LANE("w.instance_id", 2, 3)
				" ORDER BY w.timeout_at LIMIT $6 FOR UPDATE OF i SKIP LOCKED",
				"int4", "int4", "int4", "timestamptz", "timestamptz", "int4");

	add_rows(delivery, list, &over, EE_RESUME_WAIT);
}

static void
find_deadlines(EeDelivery *delivery, EeResumeList *list)
{
	static EePlan over =
		EE_PLAN("SELECT i.id, i.id FROM event_engine.workflow_instances i "
				"WHERE i.number = $1 AND " IS_OVER("i.deadline_at", "i.id")
				" AND " OF_LANE("i.id", 2, 3)
				" ORDER BY i.deadline_at LIMIT $6 FOR UPDATE SKIP LOCKED",
				"int4", "int4", "int4", "timestamptz", "timestamptz", "int4");

	add_rows(delivery, list, &over, EE_RESUME_DEADLINE);
}

static void
add_rows(EeDelivery *delivery, EeResumeList *list, EePlan *plan,
		 EeResumeCall call)
{
	TimestampTz now = GetCurrentTimestamp();
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[6];
	int			n;

	if (list->n >= list->max)
		return;
	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int32GetDatum(delivery->lane.concurrency);
	values[2] = Int32GetDatum(delivery->lane.index);
	values[3] = TimestampTzGetDatum(now);
	values[4] = TimestampTzGetDatum(ee_overdue_read_at(delivery));
	values[5] = Int32GetDatum(list->max - list->n);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	n = (int) ee_plan_execute(plan, values, NULL, false, 0);
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		EeResume   *item = ee_resume_add(list);
		bool		isnull;

		item->call = call;
		item->instance = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 1,
													  &isnull));
		item->resumption.kind = EE_RESUMED_BY_TIMEOUT;
		item->resumption.wait = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 2,
															 &isnull));
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

/*
 * When is the next?  What is due and was not found is locked, or is a wait
 * that events may still end: then the log is to be read first.
 */
static void
find_next_due(EeDelivery *delivery, bool idle)
{
	static EePlan next =
		EE_PLAN("SELECT (SELECT i.next_attempt_at "
				"FROM event_engine.workflow_instances i "
				"WHERE i.number = $1 AND i.next_attempt_at IS NOT NULL AND "
				OF_LANE("i.id", 2, 3) " ORDER BY i.next_attempt_at LIMIT 1), "
				"(SELECT w.timeout_at FROM event_engine.workflow_waits w "
				"WHERE w.number = $1 AND w.timeout_at IS NOT NULL AND "
				OF_LANE("w.instance_id", 2, 3)
				" ORDER BY w.timeout_at LIMIT 1), "
				"(SELECT i.deadline_at FROM event_engine.workflow_instances i "
				"WHERE i.number = $1 AND i.deadline_at IS NOT NULL AND "
				OF_LANE("i.id", 2, 3) " ORDER BY i.deadline_at LIMIT 1)",
				"int4", "int4", "int4");
	TimestampTz now = GetCurrentTimestamp();
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[3];

	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int32GetDatum(delivery->lane.concurrency);
	values[2] = Int32GetDatum(delivery->lane.index);
	delivery->next_due = ee_retry_next_due(delivery);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	ee_plan_execute(&next, values, NULL, false, 1);
	for (int i = 1; i <= 3; i++)
	{
		bool		isnull;
		Datum		value = ee_plan_value(0, i, &isnull);

		if (isnull)
			continue;
		delivery->next_due = Min(delivery->next_due,
								 DatumGetTimestampTz(value));
		if (i != 1 && DatumGetTimestampTz(value) <= now &&
			DatumGetTimestampTz(value) > delivery->dispatch->read_at)
			delivery->behind = true;
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	if (idle && !delivery->behind && delivery->next_due <= now)
		delivery->next_due = now + EE_POSTPONED_USECS;
	delivery->next_due = Min(delivery->next_due,
							 delivery->dispatch->late_at);
	if (ee_postponed_any(delivery))
		delivery->next_due = Min(delivery->next_due,
								 now + EE_POSTPONED_USECS);
}
