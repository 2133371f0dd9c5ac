/*
 * saga.c
 *	  Undo what the steps of a workflow have done, and end its children.
 *
 *		fails, is cancelled, times out
 *			-> nothing registered: over
 *			-> compensating -> the latest registered -> ... -> over
 *					  -> fails -> tried again -> ... -> given up: it stays
 *						 compensating until a person has it tried again
 *
 * Each compensation is called in a unit of its own, as what is due at
 * next_attempt_at, and marked as done in that transaction.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "delivery/dead_letter.h"
#include "delivery/handler.h"
#include "ground/causation.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "ground/shared.h"
#include "workflow/life_cycle.h"
#include "workflow/saga.h"
#include "workflow/step_log.h"

/* Children that are cancelled at once, and generations of them. */
#define CHILDREN_MAX	1000
#define DEPTH_MAX		16

/* When it is looked again after those that were left. */
#define FIRST_USECS		(10 * INT64CONST(1000))
#define LAST_USECS		USECS_PER_SEC

typedef struct Compensation
{
	int			position;
	char	   *handler;
	Datum		argument;
	int			left;			/* beside it */
} Compensation;

static bool cancel_children(const EeInstance *instance,
							EeInstanceStatus outcome);
static uint64 run(EePlan *plan, const EeInstance *instance, Datum second,
				  Datum third);
static bool next_compensation(const EeInstance *instance,
							  Compensation *compensation);
static void call(EeDelivery *delivery, const EeUnit *unit,
				 EeInstance *instance, const EeWorkflow *workflow,
				 const Compensation *compensation);
static EeInstanceStatus outcome_of(const EeInstance *instance);
static void write_down(EeDelivery *delivery, EeInstance *instance,
					   const Compensation *compensation, int attempt,
					   const char *result, TimestampTz started_at,
					   const ErrorData *error);

bool
ee_saga_begin(EeInstance *instance, EeInstanceStatus outcome)
{
	static EePlan begin =
		EE_PLAN("UPDATE event_engine.workflow_compensations "
				"SET outcome = $2 WHERE instance_id = $1 AND status = 'registered'",
				"uuid", "text");
	const char *name = ee_instance_status_name(outcome);

	if (run(&begin, instance, CStringGetTextDatum(name), (Datum) 0) == 0)
		return false;
	(void) cancel_children(instance, outcome);
	ee_instance_set_status(instance, EE_INSTANCE_COMPENSATING);
	/* the step that failed, or the call that ended it, has its number */
	ee_instance_set(instance, EE_INSTANCE_STEPS,
					Int32GetDatum(DatumGetInt32(EE_INSTANCE_VALUE(instance,
																  EE_INSTANCE_STEPS)) + 1));
	ee_instance_set_null(instance, EE_INSTANCE_DEADLINE_AT);
	ee_instance_set_null(instance, EE_INSTANCE_MATCHED);
	ee_instance_set(instance, EE_INSTANCE_WAIT_NEEDED, Int32GetDatum(0));
	ee_instance_set(instance, EE_INSTANCE_ATTEMPTS, Int32GetDatum(0));
	ee_instance_set(instance, EE_INSTANCE_NEXT_ATTEMPT_AT,
					TimestampTzGetDatum(GetCurrentTimestamp()));
	ee_shared_note_subscription(DatumGetInt32(EE_INSTANCE_VALUE(instance,
																EE_INSTANCE_NUMBER)));
	return true;
}

/*
 * Nobody is waited for: a child that somebody else has locked is left, as are
 * those beyond CHILDREN_MAX, and those of children far down.  True: some are.
 */
static bool
cancel_children(const EeInstance *instance, EeInstanceStatus outcome)
{
	static EePlan cancel =
		EE_PLAN("SELECT event_engine.cancel_workflow(c.id, $2) "
				"FROM (SELECT i.id FROM event_engine.workflow_instances AS i "
				"WHERE i.parent_id = $1 AND i.finished_at IS NULL "
				"AND i.status <> 'compensating' "
				"ORDER BY i.id LIMIT $3 FOR UPDATE SKIP LOCKED) AS c",
				"uuid", "text", "int4");
	static EePlan left =
		EE_PLAN("SELECT FROM event_engine.workflow_instances AS i "
				"WHERE i.parent_id = $1 AND i.finished_at IS NULL "
				"AND i.status <> 'compensating' LIMIT 1", "uuid");
	static int	depth = 0;
	char	   *reason = psprintf("its parent is %s",
								  ee_instance_status_name(outcome));

	if (depth < DEPTH_MAX)
	{
		depth++;
		PG_TRY();
		{
			run(&cancel, instance, CStringGetTextDatum(reason),
				Int32GetDatum(CHILDREN_MAX));
		}
		PG_FINALLY();
		{
			depth--;
		}
		PG_END_TRY();
	}
	return run(&left, instance, (Datum) 0, (Datum) 0) > 0;
}

void
ee_saga_end_children(EeInstance *instance)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		passed;

	if (!cancel_children(instance, instance->status))
	{
		ee_instance_set_null(instance, EE_INSTANCE_NEXT_ATTEMPT_AT);
		return;
	}
	/* the longer it takes, the longer is waited */
	passed = now - DatumGetTimestampTz(EE_INSTANCE_VALUE(instance,
														 EE_INSTANCE_FINISHED_AT));
	ee_instance_set(instance, EE_INSTANCE_NEXT_ATTEMPT_AT,
					TimestampTzGetDatum(now + Min(Max(passed, FIRST_USECS),
												  LAST_USECS)));
	ee_shared_note_subscription(DatumGetInt32(EE_INSTANCE_VALUE(instance,
																EE_INSTANCE_NUMBER)));
}

/* In the name of the engine; rows that were processed. */
static uint64
run(EePlan *plan, const EeInstance *instance, Datum second, Datum third)
{
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[3];
	uint64		n;

	values[0] = UUIDPGetDatum(&instance->id);
	values[1] = second;
	values[2] = third;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	n = ee_plan_execute(plan, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}

EeStepOutcome
ee_saga_due(EeDelivery *delivery, const EeUnit *unit, EeInstance *instance,
			EeWorkflow *workflow)
{
	static EePlan done =
		EE_PLAN("UPDATE event_engine.workflow_compensations "
				"SET status = 'done', attempts = $3, last_error = NULL, "
				"finished_at = pg_catalog.clock_timestamp() "
				"WHERE instance_id = $1 AND position = $2",
				"uuid", "int4", "int4");
	TimestampTz started_at = GetCurrentTimestamp();
	Compensation compensation;
	int			attempt = ee_instance_attempts(instance) +
		(delivery->guarded ? 0 : 1);
	pg_uuid_t	id = instance->id;

	if (!next_compensation(instance, &compensation))
		return EE_STEP_GONE;
	call(delivery, unit, instance, workflow, &compensation);
	instance = ee_instance_lock(&id);
	if (instance == NULL || instance->status != EE_INSTANCE_COMPENSATING)
		return EE_STEP_TAKEN;
	run(&done, instance, Int32GetDatum(compensation.position),
		Int32GetDatum(attempt));
	ee_instance_set(instance, EE_INSTANCE_ATTEMPTS, Int32GetDatum(0));
	if (compensation.left == 0)
		ee_instance_end(instance, outcome_of(instance));
	else
		ee_instance_set(instance, EE_INSTANCE_NEXT_ATTEMPT_AT,
						TimestampTzGetDatum(GetCurrentTimestamp()));
	write_down(delivery, instance, &compensation, attempt, "compensated",
			   started_at, NULL);
	return EE_STEP_TAKEN;
}

static bool
next_compensation(const EeInstance *instance, Compensation *compensation)
{
	static EePlan next =
		EE_PLAN("SELECT position, handler, argument FROM event_engine.workflow_compensations "
				"WHERE instance_id = $1 AND status = 'registered' "
				"ORDER BY position DESC", "uuid");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = UUIDPGetDatum(&instance->id);
	bool		found;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	found = ee_plan_execute(&next, &value, NULL, false, 0) > 0;
	if (found)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		MemoryContextSwitchTo(frame.caller);
		compensation->left = SPI_processed - 1;
		compensation->position =
			DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
		compensation->handler =
			TextDatumGetCString(SPI_getbinval(tuple, desc, 2, &isnull));
		compensation->argument =
			PointerGetDatum(PG_DETOAST_DATUM_COPY(SPI_getbinval(tuple, desc, 3,
																&isnull)));
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return found;
}

/* As a step is called, with what it publishes being the workflow's. */
static void
call(EeDelivery *delivery, const EeUnit *unit, EeInstance *instance,
	 const EeWorkflow *workflow, const Compensation *compensation)
{
	EeHandlerName unknown = {.context = CurrentMemoryContext};
	EeIdentity	saved;
	FmgrInfo	function;
	Datum		argument = compensation->argument;
	Datum		result;

	ee_unit_act_as_owner(delivery, unit, &saved);
	fmgr_info(ee_handler_find(compensation->handler, &unknown), &function);
	ee_handler_timeout_start(workflow->timeout_ms);
	ee_causation_set_context(ee_instance_jsonb(instance,
											   EE_INSTANCE_METADATA),
							 ee_life_cycle_source(instance));
	PG_TRY();
	{
		(void) ee_handler_invoke(&function, &argument, 1, (Datum) 0, &result);
	}
	PG_FINALLY();
	{
		ee_causation_set_context(NULL, NULL);
	}
	PG_END_TRY();
	ee_handler_timeout_stop();
	ee_unit_act_as_before(unit, &saved);
}

static EeInstanceStatus
outcome_of(const EeInstance *instance)
{
	static EePlan outcome =
		EE_PLAN("SELECT outcome FROM event_engine.workflow_compensations "
				"WHERE instance_id = $1 AND outcome IS NOT NULL LIMIT 1",
				"uuid");
	EeInstanceStatus result = EE_INSTANCE_FAILED;
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = UUIDPGetDatum(&instance->id);
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(&outcome, &value, NULL, false, 1) > 0)
	{
		char	   *name = TextDatumGetCString(ee_plan_value(0, 1, &isnull));

		for (int s = EE_INSTANCE_COMPLETED; s <= EE_INSTANCE_TIMED_OUT; s++)
			if (strcmp(name, ee_instance_status_name(s)) == 0)
				result = s;
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return result;
}

EeStepOutcome
ee_saga_failed(EeDelivery *delivery, EeInstance *instance,
			   const EeWorkflow *workflow, const ErrorData *error,
			   TimestampTz started_at)
{
	static EePlan retry =
		EE_PLAN("UPDATE event_engine.workflow_compensations "
				"SET attempts = attempts + 1, last_error = $3 "
				"WHERE instance_id = $1 AND position = $2",
				"uuid", "int4", "text");
	static EePlan give_up =
		EE_PLAN("UPDATE event_engine.workflow_compensations "
				"SET attempts = attempts + 1, last_error = $3, status = 'failed' "
				"WHERE instance_id = $1 AND position = $2",
				"uuid", "int4", "text");
	int			attempt = ee_instance_attempts(instance) +
		(delivery->guarded ? 0 : 1);
	bool		again = workflow != NULL && attempt < workflow->max_attempts;
	Compensation compensation;

	if (!next_compensation(instance, &compensation))
		return EE_STEP_GONE;
	run(again ? &retry : &give_up, instance,
		Int32GetDatum(compensation.position),
		CStringGetTextDatum(error->message));
	ee_instance_set(instance, EE_INSTANCE_ATTEMPTS, Int32GetDatum(attempt));
	ee_instance_set(instance, EE_INSTANCE_LAST_ERROR,
					CStringGetTextDatum(error->message));
	if (again)
		ee_instance_set(instance, EE_INSTANCE_NEXT_ATTEMPT_AT,
						TimestampTzGetDatum(TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
																		ee_backoff_delay_ms(&workflow->backoff, attempt))));
	else
		ee_instance_set_null(instance, EE_INSTANCE_NEXT_ATTEMPT_AT);
	write_down(delivery, instance, &compensation, attempt,
			   again ? "retry" : "failed", started_at, error);
	return EE_STEP_TAKEN;
}

/* Into the history; and the row is stored. */
static void
write_down(EeDelivery *delivery, EeInstance *instance,
		   const Compensation *compensation, int attempt, const char *result,
		   TimestampTz started_at, const ErrorData *error)
{
	EeStepRecord record = {0};
	TimestampTz next = DT_NOEND;

	record.number =
		DatumGetInt32(EE_INSTANCE_VALUE(instance, EE_INSTANCE_STEPS)) + 1;
	record.attempt = attempt;
	record.step = compensation->handler;
	record.resumed_by = "compensation";
	record.result = result;
	record.started_at = started_at;
	if (error != NULL)
	{
		record.error_message = error->message;
		record.details =
			ee_dead_letter_details(error, attempt,
								   TimestampDifferenceMilliseconds(started_at,
																   GetCurrentTimestamp()));
	}
	else
		ee_instance_set(instance, EE_INSTANCE_STEPS,
						Int32GetDatum(record.number));
	if (!EE_INSTANCE_IS_NULL(instance, EE_INSTANCE_NEXT_ATTEMPT_AT))
		next = DatumGetTimestampTz(EE_INSTANCE_VALUE(instance,
													 EE_INSTANCE_NEXT_ATTEMPT_AT));
	delivery->base->next_due = Min(delivery->base->next_due, next);
	ee_instance_store(instance);
	ee_step_log_add(instance, &record);
}

void
ee_saga_resume(EeInstance *instance)
{
	static EePlan again =
		EE_PLAN("UPDATE event_engine.workflow_compensations "
				"SET status = 'registered' "
				"WHERE instance_id = $1 AND status = 'failed'", "uuid");

	run(&again, instance, (Datum) 0, (Datum) 0);
	ee_instance_set(instance, EE_INSTANCE_ATTEMPTS, Int32GetDatum(0));
	ee_instance_set(instance, EE_INSTANCE_NEXT_ATTEMPT_AT,
					TimestampTzGetDatum(GetCurrentTimestamp()));
}

bool
ee_saga_undone(const EeInstance *instance)
{
	static EePlan undone =
		EE_PLAN("SELECT FROM event_engine.workflow_compensations "
				"WHERE instance_id = $1 AND status = 'done'", "uuid");

	return run(&undone, instance, (Datum) 0, (Datum) 0) > 0;
}
