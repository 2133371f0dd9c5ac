/*
 * idempotency.c
 *	  Events that mean the same to a subscription are handled once.
 *
 * The key of an event is what the subscription's SQL/JSON path gives of its
 * envelope.  It is written down in the transaction of the effects, so an event
 * that fails leaves none, and whoever has an event of the same key at the same
 * time waits for the outcome.  Of a pulling client the effects are known only
 * when it acknowledges: then the key is written down, and from then on others
 * of that key are not handed out.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "delivery/idempotency.h"
#include "ground/envelope.h"
#include "ground/identity.h"
#include "ground/plan.h"

/* A longer key is kept as its hash. */
#define KEY_MAX		255

static bool ask(EePlan *plan, const EeSubscription *subscription,
				Datum event, int64 seq, bool without_key);
static text *key_of(Datum event, text *path);
static Jsonb *first_of(Jsonb *document, Datum path);

PG_FUNCTION_INFO_V1(ee_sql_delivery_key);

/* The event itself may come again: it has been asked for. */
bool
ee_idempotency_claim(const EeSubscription *subscription, Datum event,
					 int64 seq)
{
	static EePlan claim =
		EE_PLAN("INSERT INTO event_engine.delivery_keys AS d "
				"(subscription_number, key, seq, expires_at) "
				"VALUES ($1, $2, $3, pg_catalog.clock_timestamp() + $4 * interval '1 millisecond') "
				"ON CONFLICT ON CONSTRAINT delivery_keys_pkey DO UPDATE "
				"SET seq = excluded.seq, expires_at = excluded.expires_at "
				"WHERE d.seq = excluded.seq OR d.expires_at <= pg_catalog.clock_timestamp() "
				"RETURNING 1", "int4", "text", "int8", "float8");

	return ask(&claim, subscription, event, seq, true);
}

bool
ee_idempotency_known(const EeSubscription *subscription, Datum event,
					 int64 seq)
{
	static EePlan known =
		EE_PLAN("SELECT FROM event_engine.delivery_keys AS d "
				"WHERE d.subscription_number = $1 AND d.key = $2 "
				"AND d.seq <> $3 AND d.expires_at > pg_catalog.clock_timestamp()",
				"int4", "text", "int8", "float8");

	return ask(&known, subscription, event, seq, false);
}

/* Does the plan give a row?  Where there is no key it is not asked. */
static bool
ask(EePlan *plan, const EeSubscription *subscription, Datum event, int64 seq,
	bool without_key)
{
	MemoryContext context;
	MemoryContext old;
	text	   *key;
	bool		result = without_key;

	if (subscription->idempotency_key == NULL)
		return without_key;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_engine idempotency",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	key = key_of(event, cstring_to_text(subscription->idempotency_key));
	if (key != NULL)
	{
		EePlanFrame frame;
		EeIdentity	saved;
		Datum		values[4];

		values[0] = Int32GetDatum(subscription->number);
		values[1] = PointerGetDatum(key);
		values[2] = Int64GetDatum(seq);
		values[3] = Float8GetDatum(subscription->idempotency_window_ms);
		ee_identity_engine(&saved);
		ee_plan_begin(&frame);
		ee_plan_by_index(&frame);
		result = ee_plan_execute(plan, values, NULL, false, 0) > 0;
		ee_plan_end(&frame);
		ee_identity_restore(&saved);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return result;
}

/* delivery_key(event, path text) RETURNS text */
Datum
ee_sql_delivery_key(PG_FUNCTION_ARGS)
{
	text	   *key = key_of(PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1));

	if (key == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(key);
}

/* NULL: it has none. */
static text *
key_of(Datum event, text *path)
{
	EeEvent		deformed;
	Jsonb	   *found;
	char	   *key;

	ee_envelope_deform(event, &deformed);
	found = first_of(ee_envelope_to_jsonb(&deformed),
					 DirectFunctionCall1(jsonpath_in,
										 CStringGetDatum(text_to_cstring(path))));
	if (found == NULL)
		return NULL;
	key = JsonbToCString(NULL, &found->root, VARSIZE(found));
	if (strlen(key) > KEY_MAX)
		key = psprintf("md5 %s",
					   TextDatumGetCString(DirectFunctionCall1(md5_text,
															   CStringGetTextDatum(key))));
	return cstring_to_text(key);
}

/* What the path gives first; NULL where it gives nothing, or fails. */
static Jsonb *
first_of(Jsonb *document, Datum path)
{
	LOCAL_FCINFO(fcinfo, 4);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(document);
	fcinfo->args[1].value = path;
	fcinfo->args[2].value = DirectFunctionCall1(jsonb_in,
												CStringGetDatum("{}"));
	fcinfo->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		fcinfo->args[i].isnull = false;
	result = jsonb_path_query_first(fcinfo);
	return fcinfo->isnull ? NULL : DatumGetJsonbP(result);
}
