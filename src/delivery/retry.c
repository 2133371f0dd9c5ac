/*
 * retry.c
 *	  Deliveries that did not simply succeed: the rows of
 *	  event_engine.deliveries.
 *
 * A row is
 *		delayed	-> gone (delivered) | retry
 *		retry	-> gone (delivered) | retry | gone (dead letter)
 *		leased	-> gone (acknowledged) | retry | gone (dead letter)
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "delivery/dead_letter.h"
#include "delivery/retry.h"
#include "delivery/tally.h"
#include "ground/envelope.h"
#include "ground/identity.h"
#include "ground/plan.h"

static void insert_row(EeDelivery *delivery, Datum event, int64 seq,
					   const char *status, int attempts, TimestampTz due,
					   const ErrorData *error);
static void update_row(EeDelivery *delivery, int64 seq, int attempts,
					   TimestampTz due, const ErrorData *error);
static void delete_row(EeDelivery *delivery, int64 seq);
static bool read_row(EePlan *plan, Datum *values, EeDue *due);

/*
 * base * factor^(attempts - 1), capped, less a random share up to jitter.
 */
int64
ee_retry_delay_ms(const EeSubscription *subscription, int attempts)
{
	double		delay = subscription->backoff_ms *
		pow(subscription->backoff_factor, attempts - 1);

	delay = Min(delay, (double) subscription->backoff_max_ms);
	delay -= delay * subscription->jitter *
		pg_prng_double(&pg_global_prng_state);
	return (int64) Max(delay, 0);
}

void
ee_retry_failed(EeDelivery *delivery, EeCursor *cursor, Datum event,
				int64 seq, int attempts, const ErrorData *error)
{
	EeSubscription *subscription = delivery->subscription;

	cursor->failed++;
	ee_tally_event(event, EE_OUTCOME_FAILED);
	if (attempts >= subscription->max_attempts)
	{
		ee_tally_event(event, EE_OUTCOME_DEAD);
		ee_dead_letter_insert(subscription->subscriber, event, attempts,
							  error);
		cursor->dead++;
		delete_row(delivery, seq);
	}
	else
	{
		TimestampTz due =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										ee_retry_delay_ms(subscription,
														  attempts));

		if (attempts == 1)
			insert_row(delivery, event, seq, "retry", attempts, due, error);
		else
			update_row(delivery, seq, attempts, due, error);
		delivery->next_due = Min(delivery->next_due, due);
	}
}

void
ee_retry_unmatched(EeDelivery *delivery, EeCursor *cursor, Datum event,
				   const ErrorData *error)
{
	cursor->failed++;
	cursor->dead++;
	ee_tally_event(event, EE_OUTCOME_FAILED);
	ee_tally_event(event, EE_OUTCOME_DEAD);
	ee_dead_letter_insert(delivery->subscription->subscriber, event, 1, error);
}

void
ee_retry_delay(EeDelivery *delivery, Datum event, int64 seq,
			   TimestampTz until)
{
	insert_row(delivery, event, seq, "delayed", 0, until, NULL);
	delivery->next_due = Min(delivery->next_due, until);
}

/* A delayed event may have its row when it first fails: then it is updated. */
static void
insert_row(EeDelivery *delivery, Datum event, int64 seq, const char *status,
		   int attempts, TimestampTz due, const ErrorData *error)
{
	static EePlan insert =
		EE_PLAN("INSERT INTO event_engine.deliveries AS d "
				"(subscription_number, seq, id, status, attempts, next_attempt_at, "
				"event, last_error, error_details, first_failed_at) "
				"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
				"CASE WHEN $8 IS NOT NULL THEN pg_catalog.clock_timestamp() END) "
				"ON CONFLICT (subscription_number, seq) DO UPDATE SET "
				"status = excluded.status, attempts = excluded.attempts, "
				"next_attempt_at = excluded.next_attempt_at, "
				"last_error = excluded.last_error, "
				"error_details = excluded.error_details, "
				"first_failed_at = coalesce(d.first_failed_at, excluded.first_failed_at), "
				"updated_at = pg_catalog.clock_timestamp()",
				"int4", "int8", "uuid", "text", "int4", "timestamptz",
				"event_engine.event", "text", "jsonb");
	EePlanFrame frame;
	EeIdentity	saved;
	EeEvent		deformed;
	Datum		values[9];
	char		nulls[10] = "         ";

	ee_envelope_deform(event, &deformed);
	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int64GetDatum(seq);
	values[2] = EE_EVENT_VALUE(&deformed, EE_EVENT_ID);
	values[3] = CStringGetTextDatum(status);
	values[4] = Int32GetDatum(attempts);
	values[5] = TimestampTzGetDatum(due);
	values[6] = event;
	values[7] = error ? CStringGetTextDatum(error->message) : (Datum) 0;
	values[8] = error ? JsonbPGetDatum(ee_dead_letter_details(error)) :
		(Datum) 0;
	if (error == NULL)
		nulls[7] = nulls[8] = 'n';
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&insert, values, nulls, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

static void
update_row(EeDelivery *delivery, int64 seq, int attempts, TimestampTz due,
		   const ErrorData *error)
{
	static EePlan update =
		EE_PLAN("UPDATE event_engine.deliveries SET status = 'retry', "
				"attempts = $3, next_attempt_at = $4, last_error = $5, "
				"error_details = $6, "
				"first_failed_at = coalesce(first_failed_at, pg_catalog.clock_timestamp()), "
				"updated_at = pg_catalog.clock_timestamp() "
				"WHERE subscription_number = $1 AND seq = $2",
				"int4", "int8", "int4", "timestamptz", "text", "jsonb");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[6];

	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int64GetDatum(seq);
	values[2] = Int32GetDatum(attempts);
	values[3] = TimestampTzGetDatum(due);
	values[4] = CStringGetTextDatum(error->message);
	values[5] = JsonbPGetDatum(ee_dead_letter_details(error));
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&update, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

static void
delete_row(EeDelivery *delivery, int64 seq)
{
	static EePlan delete =
		EE_PLAN("DELETE FROM event_engine.deliveries "
				"WHERE subscription_number = $1 AND seq = $2",
				"int4", "int8");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[2];

	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int64GetDatum(seq);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&delete, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

void
ee_retry_count(EeDelivery *delivery, const EeDue *due, const ErrorData *error)
{
	int			attempts = due->attempts + 1;
	TimestampTz again =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									ee_retry_delay_ms(delivery->subscription,
													  attempts));

	update_row(delivery, due->seq, attempts, again, error);
}

bool
ee_retry_get(EeDelivery *delivery, int64 seq, EeDue *due)
{
	static EePlan get =
		EE_PLAN("SELECT seq, attempts, event FROM event_engine.deliveries "
				"WHERE subscription_number = $1 AND seq = $2 "
				"AND status IN ('retry', 'delayed') FOR UPDATE",
				"int4", "int8");
	Datum		values[2];

	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int64GetDatum(seq);
	return read_row(&get, values, due);
}

bool
ee_retry_next(EeDelivery *delivery, EeDue *due)
{
	static EePlan next =
		EE_PLAN("SELECT seq, attempts, event FROM event_engine.deliveries "
				"WHERE subscription_number = $1 AND status IN ('retry', 'delayed') "
				"AND next_attempt_at <= pg_catalog.clock_timestamp() "
				"ORDER BY next_attempt_at, seq LIMIT 1 FOR UPDATE SKIP LOCKED",
				"int4");
	Datum		value = Int32GetDatum(delivery->subscription->number);

	return read_row(&next, &value, due);
}

/* seq, attempts, event */
static bool
read_row(EePlan *plan, Datum *values, EeDue *due)
{
	MemoryContext caller = CurrentMemoryContext;
	EePlanFrame frame;
	EeIdentity	saved;
	bool		found;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	found = ee_plan_execute(plan, values, NULL, false, 1) > 0;
	if (found)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(caller);
		bool		isnull;

		due->seq = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		due->attempts = DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
		due->event =
			PointerGetDatum(DatumGetHeapTupleHeaderCopy(SPI_getbinval(tuple, desc, 3,
																	  &isnull)));
		MemoryContextSwitchTo(old);
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return found;
}

void
ee_retry_succeeded(EeDelivery *delivery, const EeDue *due)
{
	delete_row(delivery, due->seq);
}

TimestampTz
ee_retry_next_due(int32 number)
{
	static EePlan earliest =
		EE_PLAN("SELECT min(next_attempt_at) FROM event_engine.deliveries "
				"WHERE subscription_number = $1 AND status IN ('retry', 'delayed')",
				"int4");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = Int32GetDatum(number);
	Datum		found;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&earliest, &value, NULL, false, 1);
	found = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &isnull);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return isnull ? DT_NOEND : DatumGetTimestampTz(found);
}
