/*
 * step.c
 *	  Take a step of a workflow: consume what resumed it, call its handler,
 *	  and do what the handler answers.
 *
 * All of that happens in the transaction that moves the dispatcher's cursor,
 * with the effects of the handler: the step was taken, or it was not.
 *
 *		resumed -> the handler answers -> waits | is due | is over
 *				-> the handler raises  -> (rolled back) retry | failed
 *
 * A handler may also act by the functions that people call, on its own
 * instance like on any other.  So the row is read again after the handler has
 * returned, and what has been decided there stands.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "delivery/dead_letter.h"
#include "delivery/handler.h"
#include "ground/causation.h"
#include "ground/debug_point.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "workflow/answer.h"
#include "workflow/life_cycle.h"
#include "workflow/saga.h"
#include "workflow/step.h"
#include "workflow/step_log.h"
#include "workflow/workflow_definition.h"

#define ENDED	"the server process ended while the step was taken"

/* The columns of type event_engine.workflow_instance. */
#define INSTANCE_NATTS	11

/* A step, while it is being taken. */
typedef struct Step
{
	EeDelivery *delivery;
	const EeUnit *unit;
	EeInstance *instance;
	EeWorkflow *workflow;
	EeResumption *resumption;
	EeStepRecord record;
} Step;

/* the instance whose handler is being called */
static const pg_uuid_t *current = NULL;

static EeStepOutcome consume(EeInstance *instance,
							 EeResumption *resumption);
static EeStepOutcome take(EeDelivery *delivery, const EeUnit *unit,
						  EeInstance *instance, EeResumption *resumption,
						  int attempt);
static EeWorkflow *definition_of(const EeInstance *instance);
static void begin_record(EeStepRecord *record, const EeInstance *instance,
						 const EeResumption *resumption, int attempt);
static EeAnswer *call_handler(Step *step);
static Datum instance_datum(const EeInstance *instance);
static const char *apply(Step *step, const EeAnswer *answer);
static const char *wait_for(Step *step, const EeAnswer *answer);
static const char *acted(Step *step);
static void tell(Step *step);
static void look_again_at(EeDelivery *delivery, TimestampTz at);
static void end_children(EeDelivery *delivery, EeInstance *instance);
static bool is_due(const EeInstance *instance);
static void write_failure(EeInstance *instance, const EeStepRecord *record);

EeStepOutcome
ee_step_run(EeDelivery *delivery, const EeUnit *unit,
			const pg_uuid_t *id, const EeResumption *why)
{
	EeInstance *instance = ee_instance_lock(id);
	EeResumption resumption = *why;
	EeStepOutcome outcome;

	if (instance == NULL)
		return EE_STEP_GONE;
	outcome = consume(instance, &resumption);
	if (outcome != EE_STEP_TAKEN)
		return outcome;
	return take(delivery, unit, instance, &resumption, 1);
}

/* TAKEN: the step is to be taken. */
static EeStepOutcome
consume(EeInstance *instance, EeResumption *resumption)
{
	switch (ee_resumption_consume(instance, resumption))
	{
		case EE_CONSUMED_GONE:
			return EE_STEP_GONE;
		case EE_CONSUMED_PARTLY:
			ee_instance_store(instance);
			return EE_STEP_PARTLY;
		case EE_CONSUMED_ALL:
			break;
	}
	return EE_STEP_TAKEN;
}

EeStepOutcome
ee_step_due(EeDelivery *delivery, const EeUnit *unit, const pg_uuid_t *id)
{
	EeInstance *instance = ee_instance_lock(id);
	EeResumption resumption;

	if (instance == NULL || !is_due(instance))
		return EE_STEP_GONE;
	if (instance->status == EE_INSTANCE_COMPENSATING)
		return ee_saga_due(delivery, unit, instance, definition_of(instance));
	if (ee_instance_over(instance))
	{
		end_children(delivery, instance);
		return EE_STEP_PARTLY;
	}
	ee_resumption_kept(instance, &resumption);
	/* under the crash guard it has been counted before */
	return take(delivery, unit, instance, &resumption,
				ee_instance_attempts(instance) + (delivery->guarded ? 0 : 1));
}

/* Those that were left when it ended. */
static void
end_children(EeDelivery *delivery, EeInstance *instance)
{
	ee_saga_end_children(instance);
	ee_instance_store(instance);
	if (!EE_INSTANCE_IS_NULL(instance, EE_INSTANCE_NEXT_ATTEMPT_AT))
		look_again_at(delivery,
					  DatumGetTimestampTz(EE_INSTANCE_VALUE(instance,
															EE_INSTANCE_NEXT_ATTEMPT_AT)));
}

/* A step, a compensation, or children of one that has ended. */
static bool
is_due(const EeInstance *instance)
{
	return instance->status != EE_INSTANCE_WAITING &&
		instance->status != EE_INSTANCE_COMPLETED &&
		!EE_INSTANCE_IS_NULL(instance, EE_INSTANCE_NEXT_ATTEMPT_AT) &&
		DatumGetTimestampTz(EE_INSTANCE_VALUE(instance,
											  EE_INSTANCE_NEXT_ATTEMPT_AT)) <=
		GetCurrentTimestamp();
}

static EeStepOutcome
take(EeDelivery *delivery, const EeUnit *unit, EeInstance *instance,
	 EeResumption *resumption, int attempt)
{
	Step		step = {delivery, unit, instance, definition_of(instance),
	resumption};
	EeAnswer   *answer;

	begin_record(&step.record, instance, resumption, attempt);
	if (step.workflow->handler == NULL)
	{
		tell(&step);
		return EE_STEP_TAKEN;
	}
	answer = call_handler(&step);

	/* as the handler has left it */
	step.instance = ee_instance_lock(&instance->id);
	if (step.instance == NULL)
		return EE_STEP_TAKEN;
	step.record.result = apply(&step, answer);
	ee_instance_set(step.instance, EE_INSTANCE_STEPS,
					Int32GetDatum(step.record.number));
	ee_instance_store(step.instance);
	ee_step_log_add(step.instance, &step.record);
	return EE_STEP_TAKEN;
}

static EeWorkflow *
definition_of(const EeInstance *instance)
{
	pg_uuid_t  *id = DatumGetUUIDP(EE_INSTANCE_VALUE(instance,
													 EE_INSTANCE_DEFINITION_ID));
	EeWorkflow *workflow = ee_workflow_definition_by_id(id);

	if (workflow == NULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_UNKNOWN_WORKFLOW),
				 errmsg("version \"%s\" of workflow \"%s\" does not exist any more",
						ee_instance_text(instance, EE_INSTANCE_VERSION),
						ee_instance_text(instance, EE_INSTANCE_WORKFLOW)),
				 errhint("Move the instance to another with event_engine.move_workflow().")));
	return workflow;
}

static void
begin_record(EeStepRecord *record, const EeInstance *instance,
			 const EeResumption *resumption, int attempt)
{
	memset(record, 0, sizeof(EeStepRecord));
	record->number =
		DatumGetInt32(EE_INSTANCE_VALUE(instance, EE_INSTANCE_STEPS)) + 1;
	record->attempt = attempt;
	record->step = ee_instance_text(instance, EE_INSTANCE_STEP);
	record->resumed_by = ee_resumption_kind_name(resumption->kind);
	record->wait_name = resumption->wait_name;
	record->event = resumption->event;
	record->started_at = GetCurrentTimestamp();
}

/* ----------------------------------------------------------------- handler */

/* NULL: it answered nothing, and has acted by functions. */
static EeAnswer *
call_handler(Step *step)
{
	EeWorkflow *workflow = step->workflow;
	EeIdentity	saved;
	Datum		arguments[2];
	Datum		result;
	bool		answers;
	bool		answered = false;

	arguments[0] = instance_datum(step->instance);
	ee_debug_point("workflow_before_handler");
	ee_unit_act_as_owner(step->delivery, step->unit, &saved);
	/* as the owner, who may see what is sealed or may not */
	arguments[1] = ee_resumption_datum(step->resumption,
									   step->record.attempt);
	ee_workflow_definition_prepare(workflow);
	answers = workflow->answers;
	ee_handler_timeout_start(workflow->timeout_ms);
	current = &step->instance->id;
	ee_causation_set_context(ee_instance_jsonb(step->instance,
											   EE_INSTANCE_METADATA),
							 ee_life_cycle_source(step->instance));
	PG_TRY();
	{
		answered = ee_handler_invoke(&workflow->function, arguments, 2,
									 step->resumption->event, &result);
	}
	PG_FINALLY();
	{
		current = NULL;
		ee_causation_set_context(NULL, NULL);
	}
	PG_END_TRY();
	ee_handler_timeout_stop();
	ee_unit_act_as_before(step->unit, &saved);
	ee_debug_point("workflow_after_handler");
	if (!answered || !answers)
		return NULL;
	return ee_answer_read(DatumGetJsonbP(result));
}

bool
ee_step_is_current(const pg_uuid_t *instance)
{
	return current != NULL &&
		memcmp(current, instance, sizeof(pg_uuid_t)) == 0;
}

static Datum
instance_datum(const EeInstance *instance)
{
	static const EeInstanceAttr attrs[INSTANCE_NATTS] = {
		EE_INSTANCE_ID, EE_INSTANCE_WORKFLOW, EE_INSTANCE_VERSION,
		EE_INSTANCE_STEP, EE_INSTANCE_STEPS, EE_INSTANCE_STATUS,
		EE_INSTANCE_INPUT, EE_INSTANCE_STATE, EE_INSTANCE_CORRELATION_KEY,
		EE_INSTANCE_PARENT_ID, EE_INSTANCE_CREATED_AT
	};
	TupleDesc	desc = lookup_type_cache(ee_extension_workflow_instance_type(),
										 TYPECACHE_TUPDESC)->tupDesc;
	Datum		values[INSTANCE_NATTS];
	bool		nulls[INSTANCE_NATTS];

	for (int i = 0; i < INSTANCE_NATTS; i++)
	{
		values[i] = EE_INSTANCE_VALUE(instance, attrs[i]);
		nulls[i] = EE_INSTANCE_IS_NULL(instance, attrs[i]);
		if (attrs[i] == EE_INSTANCE_STATUS)
			values[i] = CStringGetTextDatum("running");
	}
	return heap_copy_tuple_as_datum(heap_form_tuple(desc, values, nulls),
									desc);
}

/* ------------------------------------------------------------------ answer */

/* What comes of the step, for the history. */
static const char *
apply(Step *step, const EeAnswer *answer)
{
	EeInstance *instance = step->instance;

	/* a handler that has ended its own instance has answered */
	if (ee_instance_over(instance))
	{
		step->record.error_message =
			ee_instance_text(instance, EE_INSTANCE_LAST_ERROR);
		step->record.details =
			ee_instance_jsonb(instance, EE_INSTANCE_ERROR_DETAILS);
		if (instance->status == EE_INSTANCE_FAILED)
			ee_resumption_keep(instance, step->resumption);
		return ee_instance_status_name(instance->status);
	}
	if (answer == NULL)
		return acted(step);
	if (answer->state != NULL)
		ee_instance_set(instance, EE_INSTANCE_STATE,
						JsonbPGetDatum(answer->state));
	if (answer->step != NULL)
		ee_instance_set_step(instance, answer->step);
	switch (answer->kind)
	{
		case EE_ANSWER_WAIT:
			return wait_for(step, answer);
		case EE_ANSWER_CONTINUE:
			{
				EeResumption next = {EE_RESUMED_BY_STEP};

				ee_wait_remove(ee_wait_list(&instance->id));
				ee_instance_forget_step(instance);
				ee_resumption_keep(instance, &next);
				ee_instance_due(instance, GetCurrentTimestamp());
				look_again_at(step->delivery, GetCurrentTimestamp());
				return "continue";
			}
		case EE_ANSWER_COMPLETE:
			ee_wait_remove(ee_wait_list(&instance->id));
			ee_instance_forget_step(instance);
			if (answer->output != NULL)
				ee_instance_set(instance, EE_INSTANCE_OUTPUT,
								JsonbPGetDatum(answer->output));
			ee_instance_end(instance, EE_INSTANCE_COMPLETED);
			return "completed";
		case EE_ANSWER_FAIL:
			step->record.error_message = answer->message;
			step->record.details = answer->details;
			ee_wait_remove(ee_wait_list(&instance->id));
			ee_resumption_keep(instance, step->resumption);
			write_failure(instance, &step->record);
			ee_instance_end(instance, EE_INSTANCE_FAILED);
			return "failed";
	}
	return NULL;				/* keep the compiler quiet */
}

static const char *
wait_for(Step *step, const EeAnswer *answer)
{
	bool		sleeps = true;
	ListCell   *lc;

	foreach(lc, answer->waits)
	{
		EeWaitSpec *spec = lfirst(lc);
		pg_uuid_t	id;

		ee_wait_register(step->instance, spec, &id);
		look_again_at(step->delivery, spec->timeout_at);
		sleeps &= spec->pattern == NULL;
	}
	ee_instance_wait(step->instance, answer->needed);
	return sleeps ? "sleep" : "wait";
}

/* By the functions that people call. */
static const char *
acted(Step *step)
{
	EeInstance *instance = step->instance;

	if (instance->status == EE_INSTANCE_WAITING &&
		ee_wait_list(&instance->id) != NIL)
	{
		look_again_at(step->delivery, GetCurrentTimestamp());
		return "wait";
	}
	ereport(ERROR,
			(errcode(EE_ERRCODE_INVALID_ANSWER),
			 errmsg("step \"%s\" of workflow \"%s\" has no answer",
					step->record.step, step->workflow->name),
			 errdetail("The instance waits for nothing and is not over."),
			 errhint("Return what event_engine.wait_for(), complete() or another of them makes, or call register_workflow_wait(), sleep_workflow(), complete_workflow() or fail_workflow().")));
}

/* The dispatcher has something to do at that time. */
static void
look_again_at(EeDelivery *delivery, TimestampTz at)
{
	delivery->base->next_due = Min(delivery->base->next_due, at);
}

/*
 * The steps are taken by an orchestrator outside: it is told why, and the
 * instance runs until it says what it waits for.
 */
static void
tell(Step *step)
{
	EeInstance *instance = step->instance;

	ee_resumption_keep(instance, step->resumption);
	ee_instance_set_status(instance, EE_INSTANCE_RUNNING);
	ee_instance_set_null(instance, EE_INSTANCE_NEXT_ATTEMPT_AT);
	ee_instance_set(instance, EE_INSTANCE_STEPS,
					Int32GetDatum(step->record.number));
	ee_instance_store(instance);
	step->record.result = "told";
	ee_step_log_add(instance, &step->record);
}

/* ---------------------------------------------------------------- failures */

EeStepOutcome
ee_step_failed(EeDelivery *delivery, const pg_uuid_t *id,
			   const EeResumption *why, const ErrorData *error,
			   TimestampTz started_at)
{
	EeInstance *instance = ee_instance_lock(id);
	EeWorkflow *workflow;
	EeResumption resumption;
	EeStepRecord record;
	int			attempt = 1;
	int			max_attempts;

	if (instance == NULL)
		return EE_STEP_GONE;
	/* NULL: it does not exist any more, which may be what has failed */
	workflow = ee_workflow_definition_by_id(DatumGetUUIDP(EE_INSTANCE_VALUE(instance,
																			EE_INSTANCE_DEFINITION_ID)));
	if (why == NULL)
	{
		if (!is_due(instance))
			return EE_STEP_GONE;
		if (instance->status >= EE_INSTANCE_COMPLETED)
		{
			/* its children; not at once again */
			ee_instance_set(instance, EE_INSTANCE_NEXT_ATTEMPT_AT,
							TimestampTzGetDatum(GetCurrentTimestamp() +
												USECS_PER_SEC));
			ee_instance_store(instance);
			return EE_STEP_PARTLY;
		}
		if (instance->status == EE_INSTANCE_COMPENSATING)
			return ee_saga_failed(delivery, instance, workflow, error,
								  started_at);
		ee_resumption_kept(instance, &resumption);
		attempt = ee_instance_attempts(instance) +
		(delivery->guarded ? 0 : 1);
	}
	else
	{
		EeStepOutcome outcome;

		resumption = *why;
		outcome = consume(instance, &resumption);
		if (outcome != EE_STEP_TAKEN)
			return outcome;
	}

	max_attempts = workflow == NULL ? 1 : workflow->max_attempts;
	begin_record(&record, instance, &resumption, attempt);
	record.started_at = started_at;
	record.error_message = error->message;
	if (ee_handler_timed_out() && workflow != NULL &&
		error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		record.error_message =
			psprintf("step exceeded its time-out of %d ms",
					 workflow->timeout_ms);
	record.details = ee_dead_letter_details(error, attempt,
											TimestampDifferenceMilliseconds(started_at,
																			GetCurrentTimestamp()));
	ee_resumption_keep(instance, &resumption);
	write_failure(instance, &record);
	ee_instance_set(instance, EE_INSTANCE_ATTEMPTS, Int32GetDatum(attempt));
	if (attempt >= max_attempts)
	{
		ee_instance_end(instance, EE_INSTANCE_FAILED);
		record.result = "failed";
	}
	else
	{
		TimestampTz again =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										ee_backoff_delay_ms(&workflow->backoff,
															attempt));

		ee_instance_due(instance, again);
		look_again_at(delivery, again);
		record.result = "retry";
	}
	ee_instance_store(instance);
	ee_step_log_add(instance, &record);
	return EE_STEP_TAKEN;
}

static void
write_failure(EeInstance *instance, const EeStepRecord *record)
{
	ee_instance_set(instance, EE_INSTANCE_LAST_ERROR,
					CStringGetTextDatum(record->error_message));
	if (record->details != NULL)
		ee_instance_set(instance, EE_INSTANCE_ERROR_DETAILS,
						JsonbPGetDatum(record->details));
	else
		ee_instance_set_null(instance, EE_INSTANCE_ERROR_DETAILS);
}

/* ------------------------------------------------------------- crash guard */

EeStepOutcome
ee_step_hold(EeDelivery *delivery, const pg_uuid_t *id,
			 const EeResumption *why)
{
	EeInstance *instance = ee_instance_lock(id);
	EeResumption resumption = *why;
	TimestampTz now = GetCurrentTimestamp();
	EeStepOutcome outcome;

	if (instance == NULL)
		return EE_STEP_GONE;
	outcome = consume(instance, &resumption);
	if (outcome != EE_STEP_TAKEN)
		return outcome;
	ee_instance_forget_step(instance);
	ee_resumption_keep(instance, &resumption);
	ee_instance_due(instance, now);
	ee_instance_store(instance);
	look_again_at(delivery, now);
	return EE_STEP_TAKEN;
}

bool
ee_step_attempt(EeDelivery *delivery, const pg_uuid_t *id)
{
	EeInstance *instance = ee_instance_lock(id);
	EeWorkflow *workflow;
	EeResumption resumption;
	EeStepRecord record;
	int			attempt;

	if (instance == NULL || !is_due(instance))
		return false;
	if (instance->status >= EE_INSTANCE_COMPLETED)
	{
		end_children(delivery, instance);
		return false;
	}
	attempt = ee_instance_attempts(instance) + 1;
	workflow = definition_of(instance);
	if (attempt <= workflow->max_attempts)
	{
		ee_instance_set(instance, EE_INSTANCE_ATTEMPTS,
						Int32GetDatum(attempt));
		ee_instance_store(instance);
		return true;
	}
	if (instance->status == EE_INSTANCE_COMPENSATING)
	{
		ErrorData	error = {.elevel = ERROR, .sqlerrcode = ERRCODE_CRASH_SHUTDOWN,
		.message = pstrdup(ENDED)};

		(void) ee_saga_failed(delivery, instance, workflow, &error,
							  GetCurrentTimestamp());
		return false;
	}
	ee_resumption_kept(instance, &resumption);
	begin_record(&record, instance, &resumption, attempt - 1);
	record.error_message = ENDED;
	record.result = "failed";
	write_failure(instance, &record);
	ee_instance_end(instance, EE_INSTANCE_FAILED);
	ee_instance_store(instance);
	ee_step_log_add(instance, &record);
	return false;
}

/* ---------------------------------------------------------------- deadline */

EeStepOutcome
ee_step_deadline(EeDelivery *delivery, const EeUnit *unit,
				 const pg_uuid_t *id)
{
	EeInstance *instance = ee_instance_lock(id);
	EeResumption resumption = {EE_RESUMED_BY_TIMEOUT};
	EeStepRecord record;

	if (instance == NULL || ee_instance_over(instance) ||
		EE_INSTANCE_IS_NULL(instance, EE_INSTANCE_DEADLINE_AT) ||
		DatumGetTimestampTz(EE_INSTANCE_VALUE(instance,
											  EE_INSTANCE_DEADLINE_AT)) >
		GetCurrentTimestamp())
		return EE_STEP_GONE;
	begin_record(&record, instance, &resumption, 1);
	record.result = "timed_out";
	ee_wait_remove(ee_wait_list(&instance->id));
	ee_instance_forget_step(instance);
	ee_instance_end(instance, EE_INSTANCE_TIMED_OUT);
	ee_instance_store(instance);
	ee_step_log_add(instance, &record);
	return EE_STEP_TAKEN;
}
