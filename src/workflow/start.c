/*
 * start.c
 *	  Start instances of workflows.
 *
 * The first step is taken by the dispatcher of the definition's owner, as
 * soon as the transaction that starts the instance has committed.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ground/errors.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "ground/shared.h"
#include "ground/uuid7.h"
#include "store/metadata.h"
#include "workflow/instance.h"
#include "workflow/life_cycle.h"
#include "workflow/start.h"

#define MAX_KEY_LENGTH	255

static void fill(EeInstance *instance, const EeWorkflow *workflow,
				 const EeStart *start);
static Jsonb *empty_object(void);
static Jsonb *metadata_of(const pg_uuid_t *id);
static bool insert_once(EeInstance *instance, pg_uuid_t *id);
static void check_key(const char *key, const char *what);

bool
ee_start_instance(const EeWorkflow *workflow, const EeStart *start,
				  pg_uuid_t *id)
{
	EeInstance	instance;
	bool		fresh = true;

	check_key(start->correlation_key, "correlation key");
	check_key(start->idempotency_key, "idempotency key");
	fill(&instance, workflow, start);
	*id = instance.id;
	if (start->idempotency_key == NULL)
		ee_instance_insert(&instance);
	else
		fresh = insert_once(&instance, id);
	if (fresh)
	{
		ee_shared_note_subscription(workflow->number);
		ee_life_cycle_started(&instance);
	}
	return fresh;
}

static void
check_key(const char *key, const char *what)
{
	if (key != NULL &&
		(key[0] == '\0' || pg_mbstrlen(key) > MAX_KEY_LENGTH))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of a workflow must have 1 to %d characters",
						what, MAX_KEY_LENGTH)));
}

static void
fill(EeInstance *instance, const EeWorkflow *workflow, const EeStart *start)
{
	TimestampTz now = GetCurrentTimestamp();

	memset(instance->values, 0, sizeof(instance->values));
	memset(instance->nulls, true, sizeof(instance->nulls));
	ee_uuid7_generate(&instance->id, now);
	ee_instance_set(instance, EE_INSTANCE_ID, UUIDPGetDatum(&instance->id));
	ee_instance_set(instance, EE_INSTANCE_NUMBER,
					Int32GetDatum(workflow->number));
	ee_instance_set(instance, EE_INSTANCE_DEFINITION_ID,
					UUIDPGetDatum(&workflow->id));
	ee_instance_set(instance, EE_INSTANCE_WORKFLOW,
					CStringGetTextDatum(workflow->name));
	ee_instance_set(instance, EE_INSTANCE_VERSION,
					CStringGetTextDatum(workflow->version));
	ee_instance_due(instance, now);
	if (start->correlation_key != NULL)
		ee_instance_set(instance, EE_INSTANCE_CORRELATION_KEY,
						CStringGetTextDatum(start->correlation_key));
	if (start->idempotency_key != NULL)
		ee_instance_set(instance, EE_INSTANCE_IDEMPOTENCY_KEY,
						CStringGetTextDatum(start->idempotency_key));
	ee_instance_set(instance, EE_INSTANCE_INPUT,
					JsonbPGetDatum(start->input != NULL ? start->input :
								   empty_object()));
	ee_instance_set(instance, EE_INSTANCE_STATE,
					JsonbPGetDatum(empty_object()));
	ee_instance_set(instance, EE_INSTANCE_STEP, CStringGetTextDatum("start"));
	ee_instance_set(instance, EE_INSTANCE_STEPS, Int32GetDatum(0));
	ee_instance_set(instance, EE_INSTANCE_WAIT_NEEDED, Int32GetDatum(0));
	ee_instance_set(instance, EE_INSTANCE_ATTEMPTS, Int32GetDatum(0));
	if (start->parent != NULL)
		ee_instance_set(instance, EE_INSTANCE_PARENT_ID,
						UUIDPGetDatum(start->parent));
	if (workflow->instance_timeout_ms > 0)
		ee_instance_set(instance, EE_INSTANCE_DEADLINE_AT,
						TimestampTzGetDatum(now + (int64)
											(workflow->instance_timeout_ms * 1000)));
	ee_instance_set(instance, EE_INSTANCE_METADATA,
					JsonbPGetDatum(metadata_of(&instance->id)));
	ee_instance_set(instance, EE_INSTANCE_CREATED_AT,
					TimestampTzGetDatum(now));
	ee_instance_set(instance, EE_INSTANCE_UPDATED_AT,
					TimestampTzGetDatum(now));
}

static Jsonb *
empty_object(void)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* What an event would have that is published instead. */
static Jsonb *
metadata_of(const pg_uuid_t *id)
{
	List	   *violations = NIL;

	return ee_metadata_complete(NULL, id, &violations);
}

/*
 * Of those who use a key at the same time one inserts the row, and the others
 * wait for what becomes of it.
 */
static bool
insert_once(EeInstance *instance, pg_uuid_t *id)
{
	static EePlan insert =
		EE_PLAN("INSERT INTO event_engine.workflow_instances (id, number, "
				"definition_id, workflow, version, status, correlation_key, "
				"idempotency_key, input, state, step, next_attempt_at, "
				"parent_id, deadline_at, metadata, created_at) VALUES ($1, $2, "
				"$3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) "
				"ON CONFLICT (workflow, idempotency_key) "
				"WHERE idempotency_key IS NOT NULL DO NOTHING",
				"uuid", "int4", "uuid", "text", "text", "text", "text", "text",
				"jsonb", "jsonb", "text", "timestamptz", "uuid", "timestamptz",
				"jsonb", "timestamptz");
	static EePlan find =
		EE_PLAN("SELECT id FROM event_engine.workflow_instances "
				"WHERE workflow = $1 AND idempotency_key = $2",
				"varchar", "varchar");
	static const EeInstanceAttr attrs[] = {
		EE_INSTANCE_ID, EE_INSTANCE_NUMBER, EE_INSTANCE_DEFINITION_ID,
		EE_INSTANCE_WORKFLOW, EE_INSTANCE_VERSION, EE_INSTANCE_STATUS,
		EE_INSTANCE_CORRELATION_KEY, EE_INSTANCE_IDEMPOTENCY_KEY,
		EE_INSTANCE_INPUT, EE_INSTANCE_STATE, EE_INSTANCE_STEP,
		EE_INSTANCE_NEXT_ATTEMPT_AT, EE_INSTANCE_PARENT_ID,
		EE_INSTANCE_DEADLINE_AT, EE_INSTANCE_METADATA,
		EE_INSTANCE_CREATED_AT
	};
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[lengthof(attrs)];
	char		nulls[lengthof(attrs)];
	Datum		key[2];
	bool		fresh;
	bool		found = true;
	bool		isnull;

	for (int i = 0; i < lengthof(attrs); i++)
	{
		values[i] = EE_INSTANCE_VALUE(instance, attrs[i]);
		nulls[i] = EE_INSTANCE_IS_NULL(instance, attrs[i]) ? 'n' : ' ';
	}
	key[0] = EE_INSTANCE_VALUE(instance, EE_INSTANCE_WORKFLOW);
	key[1] = EE_INSTANCE_VALUE(instance, EE_INSTANCE_IDEMPOTENCY_KEY);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	do
	{
		CHECK_FOR_INTERRUPTS();
		fresh = ee_plan_execute(&insert, values, nulls, false, 0) > 0;
		if (fresh)
			break;
		/* again if what stood in the way is gone when looked at */
		found = ee_plan_execute(&find, key, NULL, false, 1) > 0;
	} while (!found);
	if (!fresh)
		*id = *DatumGetUUIDP(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return fresh;
}
