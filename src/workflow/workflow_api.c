/*
 * workflow_api.c
 *	  What people, orchestrators and handlers do to workflows, as functions.
 *
 * A handler that calls them for its own instance acts in the plain style,
 * instead of answering; see step.c.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "ground/errors.h"
#include "ground/shared.h"
#include "ground/uuid7.h"
#include "workflow/life_cycle.h"
#include "workflow/saga.h"
#include "workflow/start.h"
#include "workflow/step.h"
#include "workflow/step_log.h"
#include "workflow/wait.h"
#include "workflow/workflow_definition.h"

static void start(FunctionCallInfo fcinfo, int first, EeStart *how,
				  pg_uuid_t *id);
static EeInstance *own_instance(FunctionCallInfo fcinfo, const char *function);
static EeInstance *live_instance(FunctionCallInfo fcinfo,
								 const char *function);
static Oid	owner_of(const EeInstance *instance);
static void lasting(EeInstance *instance, EeWaitSpec *spec,
					const char *next_step, int needed, pg_uuid_t *id);
static bool ending(EeInstance *instance, EeInstanceStatus status,
				   const char *message, Jsonb *details);
static void store(EeInstance *instance);
static char *text_argument(FunctionCallInfo fcinfo, int i);
static Jsonb *jsonb_argument(FunctionCallInfo fcinfo, int i);
static char *required_text(FunctionCallInfo fcinfo, int i, const char *name);
static TimestampTz after(Interval *interval);

PG_FUNCTION_INFO_V1(ee_sql_start_workflow);
PG_FUNCTION_INFO_V1(ee_sql_start_child_workflow);
PG_FUNCTION_INFO_V1(ee_sql_cancel_workflow);
PG_FUNCTION_INFO_V1(ee_sql_resume_workflow);
PG_FUNCTION_INFO_V1(ee_sql_move_workflow);
PG_FUNCTION_INFO_V1(ee_sql_register_workflow_wait);
PG_FUNCTION_INFO_V1(ee_sql_cancel_workflow_wait);
PG_FUNCTION_INFO_V1(ee_sql_sleep_workflow);
PG_FUNCTION_INFO_V1(ee_sql_set_workflow_state);
PG_FUNCTION_INFO_V1(ee_sql_report_progress);
PG_FUNCTION_INFO_V1(ee_sql_complete_workflow);
PG_FUNCTION_INFO_V1(ee_sql_fail_workflow);

/*
 * start_workflow(name text, input jsonb, correlation_key text,
 * idempotency_key text, version text) RETURNS uuid
 */
Datum
ee_sql_start_workflow(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	EeStart		how = {0};

	PreventCommandIfReadOnly("start_workflow()");
	start(fcinfo, 0, &how, id);
	PG_RETURN_UUID_P(id);
}

/*
 * start_child_workflow(parent_id uuid, name text, input jsonb,
 * correlation_key text, idempotency_key text, version text) RETURNS uuid
 *
 * The parent is locked: one that ends does not miss a child.
 */
Datum
ee_sql_start_child_workflow(PG_FUNCTION_ARGS)
{
	EeInstance *parent = live_instance(fcinfo, "start_child_workflow");
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	EeStart		how = {.parent = &parent->id};

	start(fcinfo, 1, &how, id);
	PG_RETURN_UUID_P(id);
}

/* first: argument that is the name, before the others. */
static void
start(FunctionCallInfo fcinfo, int first, EeStart *how, pg_uuid_t *id)
{
	char	   *name = required_text(fcinfo, first, "name");
	char	   *version = text_argument(fcinfo, first + 4);
	EeWorkflow *workflow;

	how->input = jsonb_argument(fcinfo, first + 1);
	how->correlation_key = text_argument(fcinfo, first + 2);
	how->idempotency_key = text_argument(fcinfo, first + 3);
	workflow = ee_workflow_definition_find(name, version);
	if (workflow == NULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_UNKNOWN_WORKFLOW),
				 version == NULL ?
				 errmsg("unknown workflow \"%s\"", name) :
				 errmsg("unknown version \"%s\" of workflow \"%s\"", version,
						name),
				 errdetail("No version of it is registered and active."),
				 errhint("Register it with event_engine.register_workflow().")));
	if (!workflow->active)
		ereport(ERROR,
				(errcode(EE_ERRCODE_UNKNOWN_WORKFLOW),
				 errmsg("version \"%s\" of workflow \"%s\" is deprecated",
						version, name),
				 errhint("Start another version of it, or the latest by naming none.")));
	(void) ee_start_instance(workflow, how, id);
}

/* ------------------------------------------------------------------ helpers */

/* The instance of the first argument, locked, if the caller may change it. */
static EeInstance *
own_instance(FunctionCallInfo fcinfo, const char *function)
{
	pg_uuid_t  *id;
	EeInstance *instance;
	char		text[EE_UUID_TEXT_LEN + 1] = "";
	Oid			owner;

	PreventCommandIfReadOnly(psprintf("%s()", function));
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("id of a workflow must not be null")));
	id = PG_GETARG_UUID_P(0);
	ee_uuid7_to_text(id, text);
	instance = ee_instance_lock(id);
	if (instance == NULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_UNKNOWN_INSTANCE),
				 errmsg("workflow instance %s does not exist", text)));
	owner = owner_of(instance);
	if (!has_privs_of_role(GetUserId(), owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of workflow \"%s\"",
						ee_instance_text(instance, EE_INSTANCE_WORKFLOW)),
				 errdetail("It belongs to role %s.",
						   GetUserNameFromId(owner, true))));
	return instance;
}

static Oid
owner_of(const EeInstance *instance)
{
	EeWorkflow *workflow =
		ee_workflow_definition_by_id(DatumGetUUIDP(EE_INSTANCE_VALUE(instance,
																	 EE_INSTANCE_DEFINITION_ID)));

	/* a superuser can tidy up where it has been deleted */
	return workflow == NULL ? BOOTSTRAP_SUPERUSERID : workflow->owner;
}

/* The same, and it is not over. */
static EeInstance *
live_instance(FunctionCallInfo fcinfo, const char *function)
{
	EeInstance *instance = own_instance(fcinfo, function);

	if (ee_instance_over(instance))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INSTANCE_STATUS),
				 errmsg("workflow \"%s\" is %s already",
						ee_instance_text(instance, EE_INSTANCE_WORKFLOW),
						ee_instance_status_name(instance->status))));
	return instance;
}

static void
store(EeInstance *instance)
{
	ee_instance_store(instance);
	ee_shared_note_subscription(DatumGetInt32(EE_INSTANCE_VALUE(instance,
																EE_INSTANCE_NUMBER)));
}

static char *
text_argument(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

static Jsonb *
jsonb_argument(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : PG_GETARG_JSONB_P(i);
}

static char *
required_text(FunctionCallInfo fcinfo, int i, const char *name)
{
	if (PG_ARGISNULL(i))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	return text_argument(fcinfo, i);
}

static TimestampTz
after(Interval *interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(GetCurrentTimestamp()),
												   IntervalPGetDatum(interval)));
}

/* --------------------------------------------------------------- it goes on */

/*
 * register_workflow_wait(workflow_instance_id uuid, event_pattern text,
 * filter_condition text, timeout interval, name text, since timestamptz,
 * next_step text, filters jsonb, needed integer) RETURNS uuid
 */
Datum
ee_sql_register_workflow_wait(PG_FUNCTION_ARGS)
{
	EeInstance *instance = live_instance(fcinfo, "register_workflow_wait");
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	EeWaitSpec	spec = {0};

	spec.pattern = required_text(fcinfo, 1, "event_pattern");
	spec.filter_path = text_argument(fcinfo, 2);
	spec.timeout_at = PG_ARGISNULL(3) ? DT_NOEND :
		after(PG_GETARG_INTERVAL_P(3));
	spec.name = text_argument(fcinfo, 4);
	spec.has_since = !PG_ARGISNULL(5);
	spec.since = spec.has_since ? PG_GETARG_TIMESTAMPTZ(5) : 0;
	spec.filters = jsonb_argument(fcinfo, 7);
	lasting(instance, &spec, text_argument(fcinfo, 6),
			PG_ARGISNULL(8) ? 0 : PG_GETARG_INT32(8), id);
	PG_RETURN_UUID_P(id);
}

/*
 * sleep_workflow(workflow_instance_id uuid, duration interval, until
 * timestamptz, name text, next_step text) RETURNS uuid
 */
Datum
ee_sql_sleep_workflow(PG_FUNCTION_ARGS)
{
	EeInstance *instance = live_instance(fcinfo, "sleep_workflow");
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	EeWaitSpec	spec = {0};

	if (PG_ARGISNULL(1) == PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("one of duration and until must be given")));
	spec.timeout_at = PG_ARGISNULL(2) ? after(PG_GETARG_INTERVAL_P(1)) :
		PG_GETARG_TIMESTAMPTZ(2);
	spec.name = text_argument(fcinfo, 3);
	lasting(instance, &spec, text_argument(fcinfo, 4), 0, id);
	PG_RETURN_UUID_P(id);
}

/*
 * The instance waits for one thing more.  A step that is due or is being taken
 * elsewhere must not find that somebody has begun to wait in its stead.
 */
static void
lasting(EeInstance *instance, EeWaitSpec *spec, const char *next_step,
		int needed, pg_uuid_t *id)
{
	bool		waits = instance->status == EE_INSTANCE_WAITING;

	if (!waits && !ee_step_is_current(&instance->id) &&
		!EE_INSTANCE_IS_NULL(instance, EE_INSTANCE_NEXT_ATTEMPT_AT))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INSTANCE_STATUS),
				 errmsg("a step of workflow \"%s\" is due",
						ee_instance_text(instance, EE_INSTANCE_WORKFLOW)),
				 errdetail("What it waits for follows from that step.")));
	ee_wait_register(instance, spec, id);
	if (needed == 0 && waits)
		needed = DatumGetInt32(EE_INSTANCE_VALUE(instance,
												 EE_INSTANCE_WAIT_NEEDED));
	needed = Max(needed, 1);
	if (waits)
		ee_instance_set(instance, EE_INSTANCE_WAIT_NEEDED,
						Int32GetDatum(needed));
	else
		ee_instance_wait(instance, needed);
	if (next_step != NULL)
		ee_instance_set_step(instance, next_step);
	store(instance);
}

/* cancel_workflow_wait(workflow_instance_id uuid, wait_id uuid) RETURNS boolean */
Datum
ee_sql_cancel_workflow_wait(PG_FUNCTION_ARGS)
{
	EeInstance *instance = own_instance(fcinfo, "cancel_workflow_wait");
	pg_uuid_t  *id = PG_ARGISNULL(1) ? NULL : PG_GETARG_UUID_P(1);
	ListCell   *lc;

	foreach(lc, ee_wait_list(&instance->id))
	{
		EeWaitRow  *wait = lfirst(lc);

		if (id != NULL && memcmp(&wait->id, id, sizeof(pg_uuid_t)) == 0)
		{
			ee_wait_remove(list_make1(wait));
			PG_RETURN_BOOL(true);
		}
	}
	PG_RETURN_BOOL(false);
}

/* set_workflow_state(workflow_instance_id uuid, state jsonb) */
Datum
ee_sql_set_workflow_state(PG_FUNCTION_ARGS)
{
	EeInstance *instance = live_instance(fcinfo, "set_workflow_state");

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("state of a workflow must not be null")));
	ee_instance_set(instance, EE_INSTANCE_STATE, PG_GETARG_DATUM(1));
	ee_instance_store(instance);
	PG_RETURN_VOID();
}

/* report_progress(workflow_instance_id uuid, progress jsonb) */
Datum
ee_sql_report_progress(PG_FUNCTION_ARGS)
{
	EeInstance *instance = live_instance(fcinfo, "report_progress");

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("progress must not be null")));
	ee_life_cycle_progress(instance, PG_GETARG_JSONB_P(1));
	PG_RETURN_VOID();
}

/* move_workflow(workflow_instance_id uuid, version text) */
Datum
ee_sql_move_workflow(PG_FUNCTION_ARGS)
{
	EeInstance *instance = live_instance(fcinfo, "move_workflow");
	char	   *version = required_text(fcinfo, 1, "version");
	char	   *name = ee_instance_text(instance, EE_INSTANCE_WORKFLOW);
	EeWorkflow *workflow = ee_workflow_definition_find(name, version);

	if (workflow == NULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_UNKNOWN_WORKFLOW),
				 errmsg("unknown version \"%s\" of workflow \"%s\"", version,
						name)));
	ee_instance_set(instance, EE_INSTANCE_DEFINITION_ID,
					UUIDPGetDatum(&workflow->id));
	ee_instance_set(instance, EE_INSTANCE_VERSION,
					CStringGetTextDatum(workflow->version));
	ee_instance_store(instance);
	PG_RETURN_VOID();
}

/* resume_workflow(workflow_instance_id uuid) */
Datum
ee_sql_resume_workflow(PG_FUNCTION_ARGS)
{
	EeInstance *instance = own_instance(fcinfo, "resume_workflow");
	char	   *workflow = ee_instance_text(instance, EE_INSTANCE_WORKFLOW);
	bool		retried = instance->status == EE_INSTANCE_RUNNING &&
		!EE_INSTANCE_IS_NULL(instance, EE_INSTANCE_NEXT_ATTEMPT_AT);

	if (instance->status == EE_INSTANCE_COMPENSATING)
	{
		ee_saga_resume(instance);
		store(instance);
		PG_RETURN_VOID();
	}
	if (instance->status == EE_INSTANCE_FAILED && ee_saga_undone(instance))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INSTANCE_STATUS),
				 errmsg("workflow \"%s\" has been compensated", workflow),
				 errdetail("What its steps had done is undone."),
				 errhint("Start it again.")));
	if (instance->status != EE_INSTANCE_FAILED && !retried)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INSTANCE_STATUS),
				 errmsg("workflow \"%s\" has not failed", workflow),
				 errdetail("It is %s.",
						   ee_instance_status_name(instance->status))));
	ee_instance_due(instance, GetCurrentTimestamp());
	ee_instance_set(instance, EE_INSTANCE_ATTEMPTS, Int32GetDatum(0));
	ee_instance_set_null(instance, EE_INSTANCE_FINISHED_AT);
	store(instance);
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------------ its end */

/* cancel_workflow(workflow_instance_id uuid, reason text) RETURNS boolean */
Datum
ee_sql_cancel_workflow(PG_FUNCTION_ARGS)
{
	EeInstance *instance = own_instance(fcinfo, "cancel_workflow");

	PG_RETURN_BOOL(ending(instance, EE_INSTANCE_CANCELLED,
						  text_argument(fcinfo, 1), NULL));
}

/* complete_workflow(workflow_instance_id uuid, output jsonb) */
Datum
ee_sql_complete_workflow(PG_FUNCTION_ARGS)
{
	EeInstance *instance = live_instance(fcinfo, "complete_workflow");
	Jsonb	   *output = jsonb_argument(fcinfo, 1);

	if (output != NULL)
		ee_instance_set(instance, EE_INSTANCE_OUTPUT, JsonbPGetDatum(output));
	(void) ending(instance, EE_INSTANCE_COMPLETED, NULL, NULL);
	PG_RETURN_VOID();
}

/* fail_workflow(workflow_instance_id uuid, message text, details jsonb) */
Datum
ee_sql_fail_workflow(PG_FUNCTION_ARGS)
{
	EeInstance *instance = live_instance(fcinfo, "fail_workflow");
	char	   *message = required_text(fcinfo, 1, "message");

	(void) ending(instance, EE_INSTANCE_FAILED, message,
				  jsonb_argument(fcinfo, 2));
	PG_RETURN_VOID();
}

/*
 * False when it is over already.  A step that ends its own instance has its
 * place in the history anyway.
 */
static bool
ending(EeInstance *instance, EeInstanceStatus status, const char *message,
	   Jsonb *details)
{
	EeStepRecord record = {0};

	if (ee_instance_over(instance))
		return false;
	ee_wait_remove(ee_wait_list(&instance->id));
	if (status != EE_INSTANCE_FAILED)
		ee_instance_forget_step(instance);
	if (message != NULL)
		ee_instance_set(instance, EE_INSTANCE_LAST_ERROR,
						CStringGetTextDatum(message));
	if (details != NULL)
		ee_instance_set(instance, EE_INSTANCE_ERROR_DETAILS,
						JsonbPGetDatum(details));
	record.number =
		DatumGetInt32(EE_INSTANCE_VALUE(instance, EE_INSTANCE_STEPS)) + 1;
	ee_instance_end(instance, status);
	store(instance);
	if (ee_step_is_current(&instance->id))
		return true;
	record.attempt = 1;
	record.step = ee_instance_text(instance, EE_INSTANCE_STEP);
	record.resumed_by = "call";
	record.result = ee_instance_status_name(status);
	record.error_message = message;
	record.details = details;
	record.started_at = GetCurrentTimestamp();
	ee_step_log_add(instance, &record);
	return true;
}
