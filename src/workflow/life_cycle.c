/*
 * life_cycle.c
 *	  Events about workflows: workflow.started, workflow.completed, ..., and
 *	  about the runs of their steps: task.started, task.completed, ...
 *
 * They are published where somebody has subscribed to them, in the
 * transaction of what they tell of, with the workflow's correlation.  Their
 * definitions are made with the first workflow; whoever has registered such a
 * pattern before keeps it, and there are no such events then.
 *
 * Neither the limits of publishers nor an invalid payload stop a workflow:
 * what is published here passes neither admission nor deduplication.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "ground/causation.h"
#include "ground/config.h"
#include "ground/envelope.h"
#include "ground/error_text.h"
#include "ground/identity.h"
#include "ground/jsonb_push.h"
#include "ground/plan.h"
#include "ground/uuid7.h"
#include "registry/registry_cache.h"
#include "routing/routing_cache.h"
#include "store/append.h"
#include "store/receive.h"
#include "validation/schema_report.h"
#include "workflow/life_cycle.h"

typedef enum Family
{
	FAMILY_WORKFLOW,
	FAMILY_TASK
} Family;

#define N_FAMILIES		2

static const char *const family_names[N_FAMILIES] = {
	[FAMILY_WORKFLOW] = "workflow",
	[FAMILY_TASK] = "task",
};

static bool tells_of_steps(Datum event);
static void tell_of_task(const EeInstance *instance,
						 const EeStepRecord *record);
static void tell(Family family, const char *what, const EeInstance *instance,
				 const EeStepRecord *record, Jsonb *progress, bool always);
static bool is_wanted(Family family, const char *pattern, bool always);
static bool is_defined(Family family);
static void publish(const EeInstance *instance, const EeStepRecord *record,
					Jsonb *progress, const char *pattern);
static void leave_out(const char *pattern, List *violations);
static Jsonb *payload_of(const EeInstance *instance,
						 const EeStepRecord *record, Jsonb *progress);
static Jsonb *bounded(Jsonb *output);
static char *id_text(const EeInstance *instance, EeInstanceAttr attr);

void
ee_life_cycle_started(const EeInstance *instance)
{
	tell(FAMILY_WORKFLOW, "started", instance, NULL, NULL, false);
}

void
ee_life_cycle_step(const EeInstance *instance, const EeStepRecord *record)
{
	const char *result = record->result;
	bool		failed = strcmp(result, "failed") == 0;
	bool		told = strcmp(result, "told") == 0;
	bool		by_call = strcmp(record->resumed_by, "call") == 0;
	bool		of_time = strcmp(result, "timed_out") == 0;
	bool		quiet = !told && tells_of_steps(record->event);

	if (!by_call && !of_time && !quiet)
	{
		if (strcmp(record->resumed_by, "start") != 0 && record->attempt == 1)
			tell(FAMILY_WORKFLOW, "resumed", instance, record, NULL, told);
		tell_of_task(instance, record);
		if (failed || strcmp(result, "retry") == 0)
			tell(FAMILY_WORKFLOW, "step_failed", instance, record, NULL,
				 false);
		else if (!told)
			tell(FAMILY_WORKFLOW, "step_completed", instance, record, NULL,
				 false);
	}
	if (instance->status == EE_INSTANCE_WAITING)
	{
		if (!quiet)
			tell(FAMILY_WORKFLOW, "waiting", instance, record, NULL, false);
	}
	else if (instance->status == EE_INSTANCE_COMPENSATING)
		tell(FAMILY_WORKFLOW, "compensating", instance, record, NULL, false);
	else if (instance->status >= EE_INSTANCE_COMPLETED)
	{
		tell(FAMILY_WORKFLOW, ee_instance_status_name(instance->status),
			 instance, record, NULL, false);
		/* a parent may wait for it, or be going to */
		tell(FAMILY_WORKFLOW, "finished", instance, record, NULL,
			 !EE_INSTANCE_IS_NULL(instance, EE_INSTANCE_PARENT_ID));
	}
}

/*
 * Of a step that was taken because of another one only the end is told: a
 * workflow that waits for such events would be resumed by its own, and by
 * those of others that do, without end.  What starts and ends is bounded: by
 * the limit of hops.
 */
static bool
tells_of_steps(Datum event)
{
	static const char *const patterns[] = {
		"workflow.resumed", "workflow.step_completed", "workflow.step_failed",
		"workflow.waiting", "task.started", "task.completed", "task.failed"
	};
	EeEvent		deformed;
	char	   *pattern;

	if (event == (Datum) 0)
		return false;
	ee_envelope_deform(event, &deformed);
	pattern = TextDatumGetCString(EE_EVENT_VALUE(&deformed, EE_EVENT_PATTERN));
	for (int i = 0; i < lengthof(patterns); i++)
		if (strcmp(pattern, patterns[i]) == 0)
			return true;
	return false;
}

/* What is told to an orchestrator outside begins here, and ends there. */
static void
tell_of_task(const EeInstance *instance, const EeStepRecord *record)
{
	const char *result = record->result;

	tell(FAMILY_TASK, "started", instance, record, NULL, false);
	if (strcmp(result, "failed") == 0 || strcmp(result, "retry") == 0)
		tell(FAMILY_TASK, "failed", instance, record, NULL, false);
	else if (strcmp(result, "told") != 0)
		tell(FAMILY_TASK, "completed", instance, record, NULL, false);
}

void
ee_life_cycle_progress(const EeInstance *instance, Jsonb *progress)
{
	tell(FAMILY_TASK, "progress", instance, NULL, progress, false);
}

static void
tell(Family family, const char *what, const EeInstance *instance,
	 const EeStepRecord *record, Jsonb *progress, bool always)
{
	char		pattern[64];

	snprintf(pattern, sizeof(pattern), "%s.%s", family_names[family], what);
	if (is_wanted(family, pattern, always))
		publish(instance, record, progress, pattern);
}

/* always: whatever the setting says. */
static bool
is_wanted(Family family, const char *pattern, bool always)
{
	if (!always && (ee_config_workflow_events == EE_WORKFLOW_EVENTS_NONE ||
					(ee_config_workflow_events ==
					 EE_WORKFLOW_EVENTS_SUBSCRIBED &&
					 ee_routing_cache_lookup(pattern,
											 strlen(pattern)) == NIL)))
		return false;
	return is_defined(family);
}

/*
 * Are all definitions there, and ours?  A catalog of version 0.1.0 knows names
 * of the first family only, and without it.
 */
static bool
is_defined(Family family)
{
	static EePlan count =
		EE_PLAN("SELECT count(*) > 0 AND bool_and(EXISTS ("
				"SELECT FROM event_engine.event_definitions AS d "
				"WHERE d.pattern = p.pattern AND d.status <> 'draft' "
				"AND d.event_id = 'event_engine.' || p.pattern)) "
				"FROM event_engine.workflow_event_names() AS n (name), "
				"LATERAL (SELECT CASE WHEN n.name LIKE '%.%' THEN n.name "
				"ELSE 'workflow.' || n.name END) AS p (pattern) "
				"WHERE starts_with(p.pattern, $1 || '.')", "text");
	static bool defined[N_FAMILIES];
	static uint64 generation[N_FAMILIES];
	Datum		value = CStringGetTextDatum(family_names[family]);
	EePlanFrame frame;
	EeIdentity	saved;
	uint64		now = ee_registry_cache_generation();
	bool		isnull;

	if (generation[family] == now)
		return defined[family];
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&count, &value, NULL, false, 1);
	defined[family] = DatumGetBool(ee_plan_value(0, 1, &isnull)) &&
		!isnull;
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	generation[family] = now;
	return defined[family];
}

/* With the causation and the source of a step, whoever is at work. */
static void
publish(const EeInstance *instance, const EeStepRecord *record,
		Jsonb *progress, const char *pattern)
{
	Datum		event = ee_causation_event;
	Jsonb	   *context = ee_causation_context;
	Jsonb	   *source = ee_causation_source;
	List	   *violations = NIL;
	EeReceived	received = {0};
	EeEvent		made;

	received.pattern = unconstify(char *, pattern);
	received.pattern_len = strlen(pattern);
	received.payload = payload_of(instance, record, progress);
	received.partition_key = id_text(instance, EE_INSTANCE_ID);
	/* of progress the user says what he likes; all else is ours */
	received.right = progress != NULL ? EE_RIGHT_NOT_ASKED :
		EE_RIGHT_OF_ENGINE;
	/*
	 * What is at work where a step is not: a handler, a step of another
	 * instance or a trigger, that has cancelled this one because of its event.
	 */
	if (record != NULL && record->event != (Datum) 0)
		ee_causation_set(record->event);
	else if (record == NULL || strcmp(record->resumed_by, "call") != 0)
		ee_causation_clear();
	ee_causation_set_context(ee_instance_jsonb(instance, EE_INSTANCE_METADATA),
							 ee_life_cycle_source(instance));
	PG_TRY();
	{
		ee_receive_event(&made, &received, GetCurrentTimestamp(),
						 &violations);
	}
	PG_FINALLY();
	{
		ee_causation_set(event);
		ee_causation_set_context(context, source);
	}
	PG_END_TRY();
	if (violations == NIL)
		ee_append_events(&made, 1);
	else if (progress != NULL)
		ee_receive_raise(violations, pattern);
	else
		leave_out(pattern, violations);
}

/* No step fails because somebody has changed the definition. */
static void
leave_out(const char *pattern, List *violations)
{
	const EeViolation *first = linitial(violations);

	ereport(WARNING,
			(errmsg("event \"%s\" about a workflow is not valid and is left out: %s: %s",
					pattern, first->instance_path, first->message),
			 errhint("The schema of its definition has been changed.")));
}

static Jsonb *
payload_of(const EeInstance *instance, const EeStepRecord *record,
		   Jsonb *progress)
{
	JsonbParseState *state = NULL;

	ee_jsonb_push_begin(&state);
	ee_jsonb_push_text(&state, "id", id_text(instance, EE_INSTANCE_ID));
	ee_jsonb_push_text(&state, "workflow",
					   ee_instance_text(instance, EE_INSTANCE_WORKFLOW));
	ee_jsonb_push_text(&state, "version",
					   ee_instance_text(instance, EE_INSTANCE_VERSION));
	ee_jsonb_push_text(&state, "status",
					   ee_instance_status_name(instance->status));
	ee_jsonb_push_text(&state, "correlationKey",
					   ee_instance_text(instance, EE_INSTANCE_CORRELATION_KEY));
	ee_jsonb_push_text(&state, "parentId",
					   id_text(instance, EE_INSTANCE_PARENT_ID));
	if (record != NULL)
	{
		ee_jsonb_push_text(&state, "step", record->step);
		ee_jsonb_push_number(&state, "stepNumber", record->number);
		ee_jsonb_push_number(&state, "attempt", record->attempt);
		ee_jsonb_push_text(&state, "result", record->result);
		ee_jsonb_push_text(&state, "resumedBy", record->resumed_by);
		ee_jsonb_push_text(&state, "wait", record->wait_name);
		ee_jsonb_push_text(&state, "error",
						   ee_error_text_clip(unconstify(char *,
														 record->error_message)));
		ee_jsonb_push_number(&state, "durationMs",
							 TimestampDifferenceMilliseconds(record->started_at,
															 GetCurrentTimestamp()));
	}
	ee_jsonb_push_jsonb(&state, "output",
						bounded(ee_instance_jsonb(instance,
												  EE_INSTANCE_OUTPUT)));
	ee_jsonb_push_jsonb(&state, "progress", progress);
	return ee_jsonb_push_end(&state);
}

/* What an event cannot hold is left to get_workflow(). */
static Jsonb *
bounded(Jsonb *output)
{
	if (output != NULL &&
		VARSIZE(output) > (Size) ee_config_store_max_payload * 1024)
		return NULL;
	return output;
}

Jsonb *
ee_life_cycle_source(const EeInstance *instance)
{
	JsonbParseState *state = NULL;

	ee_jsonb_push_begin(&state);
	ee_jsonb_push_text(&state, "type", "workflow");
	ee_jsonb_push_text(&state, "id", id_text(instance, EE_INSTANCE_ID));
	ee_jsonb_push_text(&state, "name",
					   ee_instance_text(instance, EE_INSTANCE_WORKFLOW));
	return ee_jsonb_push_end(&state);
}

static char *
id_text(const EeInstance *instance, EeInstanceAttr attr)
{
	if (EE_INSTANCE_IS_NULL(instance, attr))
		return NULL;
	return DatumGetCString(DirectFunctionCall1(uuid_out,
											   EE_INSTANCE_VALUE(instance,
																 attr)));
}
