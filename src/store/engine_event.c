/*
 * engine_event.c
 *	  Events that the engine itself publishes: system.config.changed, ...
 *
 * They are published where their definition is there, ours, and active, in
 * the transaction of what they tell of.  Whoever has registered such a
 * pattern before keeps it, and there are no such events then.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ground/identity.h"
#include "ground/jsonb_push.h"
#include "ground/plan.h"
#include "registry/registry_cache.h"
#include "store/append.h"
#include "store/engine_event.h"
#include "store/receive.h"
#include "validation/schema_report.h"

static List *wanted_patterns(void);
static Jsonb *source(void);

PG_FUNCTION_INFO_V1(ee_sql_audits);
PG_FUNCTION_INFO_V1(ee_sql_acting_role);
PG_FUNCTION_INFO_V1(ee_sql_publish_engine_event);

bool
ee_engine_event_wanted(const char *pattern)
{
	ListCell   *lc;

	foreach(lc, wanted_patterns())
		if (strcmp(lfirst(lc), pattern) == 0)
			return true;
	return false;
}

/* As long as no definition has changed. */
static List *
wanted_patterns(void)
{
	static EePlan active =
		EE_PLAN("SELECT pattern FROM event_engine.event_definitions "
				"WHERE event_id LIKE '" EE_ENGINE_EVENT_SYSTEM "%' "
				"AND event_id = '" EE_ENGINE_EVENT_PREFIX "' || pattern "
				"AND status = 'active'");
	static MemoryContext context = NULL;
	static List *wanted = NIL;
	static uint64 generation = 0;
	uint64		now = ee_registry_cache_generation();
	EePlanFrame frame;
	EeIdentity	saved;
	MemoryContext old;

	if (generation == now)
		return wanted;
	generation = 0;
	wanted = NIL;
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext,
										"event_engine own events",
										ALLOCSET_SMALL_SIZES);
	MemoryContextReset(context);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&active, NULL, NULL, false, 0);
	old = MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *pattern = SPI_getvalue(SPI_tuptable->vals[i],
										   SPI_tuptable->tupdesc, 1);

		wanted = lappend(wanted, pstrdup(pattern));
	}
	MemoryContextSwitchTo(old);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	generation = now;
	return wanted;
}

void
ee_engine_event_publish(const char *pattern, Jsonb *payload,
						const char *partition_key, Jsonb *metadata)
{
	List	   *violations = NIL;
	EeReceived	received = {0};
	EeEvent		made;

	received.right = EE_RIGHT_OF_ENGINE;
	received.pattern = unconstify(char *, pattern);
	received.pattern_len = strlen(pattern);
	received.payload = payload;
	received.source = source();
	received.metadata = metadata;
	if (partition_key != NULL && partition_key[0] != '\0')
		received.partition_key = unconstify(char *, partition_key);
	ee_receive_event(&made, &received, GetCurrentTimestamp(), &violations);
	if (violations != NIL)
	{
		EeViolation *first = linitial(violations);

		ereport(WARNING,
				(errmsg("event \"%s\" of the engine is not valid and is left out: %s: %s",
						pattern, first->instance_path, first->message),
				 errhint("The schema of its definition has been changed.")));
		return;
	}
	ee_append_events(&made, 1);
}

static Jsonb *
source(void)
{
	JsonbParseState *state = NULL;

	ee_jsonb_push_begin(&state);
	ee_jsonb_push_text(&state, "type", "integration");
	ee_jsonb_push_text(&state, "id", "event_engine");
	ee_jsonb_push_text(&state, "name", "event_engine");
	return ee_jsonb_push_end(&state);
}

/* ------------------------------------------------------------------- faces */

/* audits(pattern text) RETURNS boolean */
Datum
ee_sql_audits(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ee_engine_event_wanted(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/* acting_role() RETURNS regrole: in whose name a function of ours acts. */
Datum
ee_sql_acting_role(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(ee_identity_caller());
}

/*
 * publish_engine_event(pattern text, payload jsonb, partition_key text,
 * metadata jsonb) RETURNS void
 */
Datum
ee_sql_publish_engine_event(PG_FUNCTION_ARGS)
{
	char	   *pattern = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (ee_engine_event_wanted(pattern))
		ee_engine_event_publish(pattern, PG_GETARG_JSONB_P(1),
								PG_ARGISNULL(2) ? NULL :
								text_to_cstring(PG_GETARG_TEXT_PP(2)),
								PG_ARGISNULL(3) ? NULL :
								PG_GETARG_JSONB_P(3));
	PG_RETURN_VOID();
}
