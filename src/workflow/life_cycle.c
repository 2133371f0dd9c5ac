/*
 * life_cycle.c
 *	  Events about workflows: workflow.started, workflow.completed, ...
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
#include "ground/identity.h"
#include "ground/jsonb_push.h"
#include "ground/plan.h"
#include "ground/uuid7.h"
#include "registry/registry_cache.h"
#include "routing/routing_cache.h"
#include "store/append.h"
#include "store/receive.h"
#include "workflow/life_cycle.h"

#define PATTERN_PREFIX	"workflow."

static void tell(const EeInstance *instance, const EeStepRecord *record,
				 const char *what, bool always);
static bool is_wanted(const char *pattern, bool always);
static bool is_defined(void);
static void publish(const EeInstance *instance, const EeStepRecord *record,
					const char *pattern);
static Jsonb *payload_of(const EeInstance *instance,
						 const EeStepRecord *record);
static char *id_text(const EeInstance *instance, EeInstanceAttr attr);

void
ee_life_cycle_started(const EeInstance *instance)
{
	tell(instance, NULL, "started", false);
}

void
ee_life_cycle_step(const EeInstance *instance, const EeStepRecord *record)
{
	const char *result = record->result;
	bool		failed = strcmp(result, "failed") == 0;
	bool		by_call = strcmp(record->resumed_by, "call") == 0;
	bool		of_time = strcmp(result, "timed_out") == 0;

	if (!by_call && !of_time)
	{
		if (strcmp(record->resumed_by, "start") != 0 && record->attempt == 1)
			tell(instance, record, "resumed", strcmp(result, "told") == 0);
		if (failed || strcmp(result, "retry") == 0)
			tell(instance, record, "step_failed", false);
		else if (strcmp(result, "told") != 0)
			tell(instance, record, "step_completed", false);
	}
	if (instance->status == EE_INSTANCE_WAITING)
		tell(instance, record, "waiting", false);
	else if (instance->status == EE_INSTANCE_COMPENSATING)
		tell(instance, record, "compensating", false);
	else if (instance->status >= EE_INSTANCE_COMPLETED)
	{
		tell(instance, record, ee_instance_status_name(instance->status),
			 false);
		/* a parent may wait for it, or be going to */
		tell(instance, record, "finished",
			 !EE_INSTANCE_IS_NULL(instance, EE_INSTANCE_PARENT_ID));
	}
}

static void
tell(const EeInstance *instance, const EeStepRecord *record, const char *what,
	 bool always)
{
	char		pattern[64];

	snprintf(pattern, sizeof(pattern), PATTERN_PREFIX "%s", what);
	if (is_wanted(pattern, always))
		publish(instance, record, pattern);
}

/* always: whatever the setting says. */
static bool
is_wanted(const char *pattern, bool always)
{
	if (!always && (ee_config_workflow_events == EE_WORKFLOW_EVENTS_NONE ||
					(ee_config_workflow_events ==
					 EE_WORKFLOW_EVENTS_SUBSCRIBED &&
					 ee_routing_cache_lookup(pattern,
											 strlen(pattern)) == NIL)))
		return false;
	return is_defined();
}

/* Are all definitions there, and ours? */
static bool
is_defined(void)
{
	static EePlan count =
		EE_PLAN("SELECT NOT EXISTS (SELECT FROM event_engine.workflow_event_names() AS n "
				"WHERE NOT EXISTS (SELECT FROM event_engine.event_definitions AS d "
				"WHERE d.pattern = 'workflow.' || n AND d.event_id = 'event_engine.workflow.' || n "
				"AND d.status <> 'draft'))");
	static bool defined = false;
	static uint64 generation = 0;
	EePlanFrame frame;
	EeIdentity	saved;
	uint64		now = ee_registry_cache_generation();
	bool		isnull;

	if (generation == now)
		return defined;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&count, NULL, NULL, false, 1);
	defined = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	generation = now;
	return defined;
}

/* With the causation and the source of a step, whoever is at work. */
static void
publish(const EeInstance *instance, const EeStepRecord *record,
		const char *pattern)
{
	Datum		event = ee_causation_event;
	Jsonb	   *context = ee_causation_context;
	Jsonb	   *source = ee_causation_source;
	List	   *violations = NIL;
	EeReceived	received = {0};
	EeEvent		made;

	received.pattern = unconstify(char *, pattern);
	received.pattern_len = strlen(pattern);
	received.payload = payload_of(instance, record);
	received.partition_key = id_text(instance, EE_INSTANCE_ID);
	received.right = EE_RIGHT_OF_ENGINE;
	ee_causation_set(record != NULL ? record->event : (Datum) 0);
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
}

static Jsonb *
payload_of(const EeInstance *instance, const EeStepRecord *record)
{
	JsonbParseState *state = NULL;
	Jsonb	   *output = ee_instance_jsonb(instance, EE_INSTANCE_OUTPUT);

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
		ee_jsonb_push_text(&state, "error", record->error_message);
		ee_jsonb_push_number(&state, "durationMs",
							 TimestampDifferenceMilliseconds(record->started_at,
															 GetCurrentTimestamp()));
	}
	ee_jsonb_push_jsonb(&state, "output", output);
	return ee_jsonb_push_end(&state);
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
