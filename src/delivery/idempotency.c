/*
 * idempotency.c
 *	  Events that mean the same to a subscription are handled once.
 *
 * The key of an event is what the subscription's SQL/JSON path gives of its
 * envelope.  It is written down in the transaction of the effects, so an event
 * that fails leaves none, and whoever has an event of the same key at the same
 * time waits for the outcome.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "delivery/idempotency.h"
#include "ground/envelope.h"
#include "ground/identity.h"
#include "ground/plan.h"

/* The event itself may come again: it has been asked for. */
bool
ee_idempotency_claim(const EeSubscription *subscription, Datum event,
					 int64 seq)
{
	static EePlan claim =
		EE_PLAN("WITH given AS MATERIALIZED (SELECT CASE WHEN pg_catalog.octet_length(k.key) <= 255 "
				"THEN k.key ELSE 'md5 ' || pg_catalog.md5(k.key) END AS key "
				"FROM (SELECT pg_catalog.jsonb_path_query_first($2, $3::pg_catalog.jsonpath, '{}', true)::pg_catalog.text AS key) AS k), "
				"claimed AS (INSERT INTO event_engine.delivery_keys AS d "
				"(subscription_number, key, seq, expires_at) "
				"SELECT $1, g.key, $4, pg_catalog.clock_timestamp() + $5 * interval '1 millisecond' "
				"FROM given AS g WHERE g.key IS NOT NULL "
				"ON CONFLICT ON CONSTRAINT delivery_keys_pkey DO UPDATE "
				"SET seq = excluded.seq, expires_at = excluded.expires_at "
				"WHERE d.seq = excluded.seq OR d.expires_at <= pg_catalog.clock_timestamp() "
				"RETURNING 1) "
				"SELECT g.key IS NULL OR EXISTS (SELECT FROM claimed) FROM given AS g",
				"int4", "jsonb", "text", "int8", "float8");
	MemoryContext context;
	MemoryContext old;
	EePlanFrame frame;
	EeIdentity	saved;
	EeEvent		deformed;
	Datum		values[5];
	bool		result;
	bool		isnull;

	if (subscription->idempotency_key == NULL)
		return true;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_engine idempotency",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	ee_envelope_deform(event, &deformed);
	values[0] = Int32GetDatum(subscription->number);
	values[1] = JsonbPGetDatum(ee_envelope_to_jsonb(&deformed));
	values[2] = CStringGetTextDatum(subscription->idempotency_key);
	values[3] = Int64GetDatum(seq);
	values[4] = Float8GetDatum(subscription->idempotency_window_ms);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&claim, values, NULL, false, 0);
	result = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return result;
}
