/*
 * processing_log.c
 *	  One row per finished delivery, for subscriptions that ask for it.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "delivery/processing_log.h"
#include "ground/envelope.h"
#include "ground/extension.h"
#include "ground/insert.h"

static void insert(const char *subscriber, Datum event, const char *outcome,
				   int attempt, const char *message, TimestampTz began);

void
ee_processing_log_delivered(const char *subscriber, Datum event, int attempt,
							TimestampTz began)
{
	insert(subscriber, event, "delivered", attempt, NULL, began);
}

void
ee_processing_log_failed(const char *subscriber, Datum event, int attempt,
						 const char *message)
{
	insert(subscriber, event, "failed", attempt, message,
		   GetCurrentTimestamp());
}

/* subscriber, id, pattern, outcome, attempt, error_message, started_at, ... */
static void
insert(const char *subscriber, Datum event, const char *outcome, int attempt,
	   const char *message, TimestampTz began)
{
	EeEvent		deformed;
	Datum		values[8];
	bool		nulls[8] = {false};

	ee_envelope_deform(event, &deformed);
	values[0] = CStringGetTextDatum(subscriber);
	values[1] = EE_EVENT_VALUE(&deformed, EE_EVENT_ID);
	values[2] = EE_EVENT_VALUE(&deformed, EE_EVENT_PATTERN);
	values[3] = CStringGetTextDatum(outcome);
	values[4] = Int32GetDatum(attempt);
	nulls[5] = message == NULL;
	values[5] = message ? CStringGetTextDatum(message) : (Datum) 0;
	values[6] = TimestampTzGetDatum(began);
	values[7] = TimestampTzGetDatum(GetCurrentTimestamp());
	ee_insert_values(ee_extension_relid(EE_REL_EVENT_PROCESSING_LOG), values,
					 nulls);
}
