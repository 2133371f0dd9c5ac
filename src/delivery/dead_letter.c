/*
 * dead_letter.c
 *	  Deliveries given up: kept whole, so that they outlive the event's
 *	  partition and the subscription.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/elog.h"

#include "delivery/dead_letter.h"
#include "ground/envelope.h"
#include "ground/identity.h"
#include "ground/jsonb_push.h"
#include "ground/plan.h"


Jsonb *
ee_dead_letter_details(const ErrorData *error, int attempt,
					   int64 duration_ms)
{
	JsonbParseState *state = NULL;

	ee_jsonb_push_begin(&state);
	ee_jsonb_push_text(&state, "sqlstate",
					   unpack_sql_state(error->sqlerrcode));
	ee_jsonb_push_text(&state, "detail", error->detail);
	ee_jsonb_push_text(&state, "hint", error->hint);
	ee_jsonb_push_text(&state, "context", error->context);
	ee_jsonb_push_number(&state, "attempt", attempt);
	if (duration_ms >= 0)
		ee_jsonb_push_number(&state, "durationMs", duration_ms);
	return ee_jsonb_push_end(&state);
}

/* The event's latest letter, if it was redriven, is the one before this. */
void
ee_dead_letter_insert(const char *subscriber, Datum event, int attempts,
					  const ErrorData *error, int64 duration_ms)
{
	static EePlan insert =
		EE_PLAN("INSERT INTO event_engine.event_dead_letters "
				"(subscriber, event_id, event_type, payload, envelope, seq, "
				"error_message, error_details, retry_count, original_created_at, previous_id) "
				"SELECT $1, coalesce(($2).event_id, ($2).id::pg_catalog.text), "
				"($2).pattern, ($2).payload, $3, ($2).seq, $4, $5, $6, ($2).created_at, "
				"(SELECT l.id FROM event_engine.event_dead_letters AS l "
				"WHERE l.subscriber = $1 AND l.seq = ($2).seq AND l.status = 'redriven' "
				"ORDER BY l.created_at DESC LIMIT 1)",
				"text", "event_engine.event", "jsonb", "text", "jsonb", "int4");
	EePlanFrame frame;
	EeIdentity	saved;
	EeEvent		deformed;
	Datum		values[6];

	ee_envelope_deform(event, &deformed);
	values[0] = CStringGetTextDatum(subscriber);
	values[1] = event;
	values[2] = JsonbPGetDatum(ee_envelope_to_jsonb(&deformed));
	values[3] = CStringGetTextDatum(error->message);
	values[4] = JsonbPGetDatum(ee_dead_letter_details(error, attempts,
													  duration_ms));
	values[5] = Int32GetDatum(attempts);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&insert, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}
