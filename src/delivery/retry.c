/*
 * retry.c
 *	  Deliveries that did not simply succeed: the rows of
 *	  event_engine.deliveries.
 *
 * A row is
 *		delayed	-> gone (delivered) | retry
 *		retry	-> gone (delivered) | retry | gone (dead letter)
 *		leased	-> gone (acknowledged) | retry | gone (dead letter)
 * and, where the subscription is ordered, parked, halted or released, of which
 * order.c tells.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "delivery/dead_letter.h"
#include "delivery/order.h"
#include "delivery/retry.h"
#include "delivery/tally.h"
#include "ground/delete.h"
#include "ground/envelope.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"

/* How often what is due is looked for from the beginning. */
#define SEARCH_INTERVAL_USECS	(60 * USECS_PER_SEC)
/* Others commit a little after the time that they write. */
#define SEARCH_SLACK_USECS		USECS_PER_SEC

/* Rows of these are due at next_attempt_at, and what is read of them. */
#define DUE_STATUS	"('retry', 'delayed', 'released')"
#define DUE_COLUMNS \
	"seq, attempts, next_attempt_at, event, status = 'released', partition_key"
#define AFTER(at, seq)	"(next_attempt_at, seq) > ($" #at ", $" #seq ")"
/* as deliveries_due_idx wants to be asked, and no other index */
#define OF_SUBSCRIPTION	"subscription_number::pg_catalog.int8 = $1"

/*
 * Where order is kept a row is its key's lane's, so that one process frees the
 * key; else it is for whoever comes first.  The hash is that of lane.c.
 */
#define OF_LANE(concurrency, index) \
	"(partition_key IS NULL OR " \
	"(pg_catalog.hashtext(partition_key)::pg_catalog.int8 & 4294967295) " \
	"% $" #concurrency " = $" #index ")"

static bool keeps_place(EeDelivery *delivery, Datum event, int64 seq);
static void insert_row(EeDelivery *delivery, Datum event, int64 seq,
					   const char *status, int attempts, TimestampTz due,
					   const ErrorData *error, int64 duration_ms);
static void update_row(EeDelivery *delivery, int64 seq, int attempts,
					   TimestampTz due, const ErrorData *error,
					   int64 duration_ms);
static void search_now_and_then(EeDelivery *delivery);
static EeDuePlace place_before(TimestampTz at);
static int	read_rows(EePlan *plan, Datum *values, EeDue *due, int max);

int
ee_retry_attempt(const EeSubscription *subscription, const EeDue *due)
{
	return due->attempts < subscription->max_attempts ? due->attempts + 1 :
		due->attempts;
}

bool
ee_retry_failed(EeDelivery *delivery, EeCursor *cursor, Datum event,
				int64 seq, int attempts, const ErrorData *error,
				int64 duration_ms)
{
	EeSubscription *subscription = delivery->subscription;

	cursor->failed++;
	ee_tally_event(delivery->subscription, event, EE_OUTCOME_FAILED);
	if (attempts >= subscription->max_attempts)
	{
		ee_tally_event(delivery->subscription, event, EE_OUTCOME_DEAD);
		ee_dead_letter_insert(subscription->subscriber, event, attempts,
							  error, duration_ms);
		cursor->dead++;
		if (subscription->halts && keeps_place(delivery, event, seq))
		{
			insert_row(delivery, event, seq, "halted", attempts, DT_NOEND,
					   error, duration_ms);
			return true;
		}
		ee_retry_delete(delivery, &seq, 1);
		return false;
	}
	else
	{
		TimestampTz due =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										ee_backoff_delay_ms(&subscription->backoff,
															attempts));

		if (attempts == 1)
			insert_row(delivery, event, seq, "retry", attempts, due, error,
					   duration_ms);
		else
			update_row(delivery, seq, attempts, due, error, duration_ms);
		ee_retry_note_due(delivery, due);
		return true;
	}
}

/*
 * Does the event hold up others of its key?  Not one that had a deliver_at,
 * nor one whose subscription was not ordered when it failed: the row says so.
 */
static bool
keeps_place(EeDelivery *delivery, Datum event, int64 seq)
{
	static EePlan place =
		EE_PLAN("SELECT partition_key IS NOT NULL FROM event_engine.deliveries "
				"WHERE subscription_number = $1 AND seq = $2",
				"int4", "int8");
	EePlanFrame frame;
	EeIdentity	saved;
	EeEvent		deformed;
	Datum		values[2];
	bool		result = true;
	bool		isnull;

	ee_envelope_deform(event, &deformed);
	if (!ee_order_kept(delivery) ||
		EE_EVENT_IS_NULL(&deformed, EE_EVENT_PARTITION_KEY))
		return false;
	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int64GetDatum(seq);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	if (ee_plan_execute(&place, values, NULL, false, 1) > 0)
		result = DatumGetBool(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return result;
}

void
ee_retry_unmatched(EeDelivery *delivery, EeCursor *cursor, Datum event,
				   const ErrorData *error)
{
	cursor->failed++;
	cursor->dead++;
	ee_tally_event(delivery->subscription, event, EE_OUTCOME_FAILED);
	ee_tally_event(delivery->subscription, event, EE_OUTCOME_DEAD);
	ee_dead_letter_insert(delivery->subscription->subscriber, event, 1, error,
						  -1);
}

void
ee_retry_delay(EeDelivery *delivery, Datum event, int64 seq,
			   TimestampTz until)
{
	insert_row(delivery, event, seq, "delayed", 0, until, NULL, -1);
	ee_retry_note_due(delivery, until);
}

void
ee_retry_now(EeDelivery *delivery, Datum event, int64 seq)
{
	TimestampTz now = GetCurrentTimestamp();

	insert_row(delivery, event, seq, "retry", 0, now, NULL, -1);
	ee_retry_note_due(delivery, now);
}

/*
 * An event that was delayed or parked has its row when it first fails: then
 * that is updated, and has its place in the order or not, as before.
 */
static void
insert_row(EeDelivery *delivery, Datum event, int64 seq, const char *status,
		   int attempts, TimestampTz due, const ErrorData *error,
		   int64 duration_ms)
{
	static EePlan insert =
		EE_PLAN("INSERT INTO event_engine.deliveries AS d "
				"(subscription_number, seq, id, status, attempts, next_attempt_at, "
				"event, last_error, error_details, partition_key, first_failed_at) "
				"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
				"CASE WHEN $8 IS NOT NULL THEN pg_catalog.clock_timestamp() END) "
				"ON CONFLICT (subscription_number, seq) DO UPDATE SET "
				"status = excluded.status, attempts = excluded.attempts, "
				"next_attempt_at = excluded.next_attempt_at, "
				"last_error = excluded.last_error, "
				"error_details = excluded.error_details, "
				"first_failed_at = coalesce(d.first_failed_at, excluded.first_failed_at), "
				"updated_at = pg_catalog.clock_timestamp()",
				"int4", "int8", "uuid", "text", "int4", "timestamptz",
				"event_engine.event", "text", "jsonb", "varchar");
	EePlanFrame frame;
	EeIdentity	saved;
	EeEvent		deformed;
	Datum		values[10];
	char		nulls[11] = "          ";

	ee_envelope_deform(event, &deformed);
	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int64GetDatum(seq);
	values[2] = EE_EVENT_VALUE(&deformed, EE_EVENT_ID);
	values[3] = CStringGetTextDatum(status);
	values[4] = Int32GetDatum(attempts);
	values[5] = TimestampTzGetDatum(due);
	values[6] = event;
	values[7] = error ? CStringGetTextDatum(error->message) : (Datum) 0;
	values[8] = error ? JsonbPGetDatum(ee_dead_letter_details(error, attempts,
														   duration_ms)) :
		(Datum) 0;
	if (error == NULL)
		nulls[7] = nulls[8] = 'n';
	values[9] = EE_EVENT_VALUE(&deformed, EE_EVENT_PARTITION_KEY);
	if (EE_EVENT_IS_NULL(&deformed, EE_EVENT_PARTITION_KEY) ||
		!ee_order_kept(delivery) || strcmp(status, "delayed") == 0)
		nulls[9] = 'n';
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&insert, values, nulls, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

static void
update_row(EeDelivery *delivery, int64 seq, int attempts, TimestampTz due,
		   const ErrorData *error, int64 duration_ms)
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
	values[5] = JsonbPGetDatum(ee_dead_letter_details(error, attempts,
													  duration_ms));
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	ee_plan_execute(&update, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

void
ee_retry_count(EeDelivery *delivery, const EeDue *due, const ErrorData *error)
{
	int			attempts = due->attempts + 1;
	TimestampTz again =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									ee_backoff_delay_ms(&delivery->subscription->backoff,
														attempts));

	update_row(delivery, due->seq, attempts, again, error, -1);
	ee_retry_note_due(delivery, again);
}

bool
ee_retry_get(EeDelivery *delivery, int64 seq, EeDue *due)
{
	static EePlan get =
		EE_PLAN("SELECT " DUE_COLUMNS " FROM event_engine.deliveries "
				"WHERE subscription_number = $1 AND seq = $2 "
				"AND status IN " DUE_STATUS " FOR UPDATE",
				"int4", "int8");
	Datum		values[2];

	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = Int64GetDatum(seq);
	return read_rows(&get, values, due, 1) > 0;
}

int
ee_retry_due(EeDelivery *delivery, EeDue *due, int max)
{
	static EePlan next =
		EE_PLAN("SELECT " DUE_COLUMNS " FROM event_engine.deliveries "
				"WHERE " OF_SUBSCRIPTION " AND status IN " DUE_STATUS " "
				"AND " AFTER(2, 3) " AND " OF_LANE(4, 5)
				" AND next_attempt_at <= $6 "
				"ORDER BY next_attempt_at, seq LIMIT $7 FOR UPDATE SKIP LOCKED",
				"int8", "timestamptz", "int8", "int4", "int4", "timestamptz",
				"int4");
	Datum		values[7];

	search_now_and_then(delivery);
	values[0] = Int64GetDatum(delivery->subscription->number);
	values[1] = TimestampTzGetDatum(delivery->due_after.at);
	values[2] = Int64GetDatum(delivery->due_after.seq);
	values[3] = Int32GetDatum(delivery->lane.concurrency);
	values[4] = Int32GetDatum(delivery->lane.index);
	/* not clock_timestamp(): what is due later is not to be walked over */
	values[5] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[6] = Int32GetDatum(max);
	return read_rows(&next, values, due, max);
}

/*
 * Rows that are gone are in the index as long as somebody holds a snapshot
 * that may see them, and to look for those that are due from the beginning
 * would be to walk over more and more of them; also where all are due at one
 * moment, hence a place has a seq.  We have seen ourselves what was due up to
 * there, and note what we write.  What others write makes us forget it
 * (redrive_dead_letters() wakes us with all that we know forgotten), but for
 * what a person does to the table: hence look from the beginning now and then.
 */
static void
search_now_and_then(EeDelivery *delivery)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now - delivery->searched_at < SEARCH_INTERVAL_USECS &&
		now >= delivery->searched_at)
		return;
	delivery->searched_at = now;
	delivery->due_after = place_before(DT_NOBEGIN);
}

/* That of which all that is due at that time is still ahead. */
static EeDuePlace
place_before(TimestampTz at)
{
	EeDuePlace	place = {at, PG_INT64_MIN};

	return place;
}

void
ee_retry_forget(EeDelivery *delivery)
{
	delivery->due_after = place_before(DT_NOBEGIN);
	delivery->next_due = DT_NOBEGIN;
}

void
ee_retry_note_due(EeDelivery *delivery, TimestampTz at)
{
	EeDelivery *base = delivery->base;

	base->next_due = Min(base->next_due, at);
	/* where it is due at once, or the clock has been set back */
	ee_retry_go_back(base, place_before(at));
}

void
ee_retry_go_back(EeDelivery *delivery, EeDuePlace place)
{
	const EeDuePlace *present = &delivery->due_after;

	if (place.at < present->at ||
		(place.at == present->at && place.seq < present->seq))
		delivery->due_after = place;
}

/* DUE_COLUMNS */
static int
read_rows(EePlan *plan, Datum *values, EeDue *due, int max)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	EePlanFrame frame;
	EeIdentity	saved;
	int			n;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	n = (int) ee_plan_execute(plan, values, NULL, false, max);
	old = MemoryContextSwitchTo(caller);
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Datum		key;

		memset(&due[i], 0, sizeof(EeDue));
		due[i].seq = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		due[i].attempts =
			DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
		due[i].at =
			DatumGetTimestampTz(SPI_getbinval(tuple, desc, 3, &isnull));
		due[i].event =
			PointerGetDatum(DatumGetHeapTupleHeaderCopy(SPI_getbinval(tuple,
																	  desc, 4,
																	  &isnull)));
		due[i].released =
			DatumGetBool(SPI_getbinval(tuple, desc, 5, &isnull));
		key = SPI_getbinval(tuple, desc, 6, &isnull);
		if (!isnull)
			due[i].key = DatumGetTextPCopy(key);
	}
	MemoryContextSwitchTo(old);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}

void
ee_retry_delete(EeDelivery *delivery, const int64 *seqs, int n)
{
	ee_delete_rows(ee_extension_relid(EE_REL_DELIVERIES),
				   delivery->subscription->number, seqs, n);
}

TimestampTz
ee_retry_next_due(EeDelivery *delivery)
{
	static EePlan earliest =
		EE_PLAN("SELECT next_attempt_at FROM event_engine.deliveries "
				"WHERE " OF_SUBSCRIPTION " AND status IN " DUE_STATUS " "
				"AND " AFTER(2, 3) " AND " OF_LANE(4, 5)
				" AND next_attempt_at < 'infinity' "
				"ORDER BY next_attempt_at LIMIT 1",
				"int8", "timestamptz", "int8", "int4", "int4");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[5];
	TimestampTz found = DT_NOEND;
	TimestampTz none_before;
	bool		isnull;

	search_now_and_then(delivery);
	values[0] = Int64GetDatum(delivery->subscription->number);
	values[1] = TimestampTzGetDatum(delivery->due_after.at);
	values[2] = Int64GetDatum(delivery->due_after.seq);
	values[3] = Int32GetDatum(delivery->lane.concurrency);
	values[4] = Int32GetDatum(delivery->lane.index);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	if (ee_plan_execute(&earliest, values, NULL, false, 1) > 0)
		found = DatumGetTimestampTz(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	/* nothing is due before; what we write from now on is due later */
	none_before = Min(found, GetCurrentTimestamp() - SEARCH_SLACK_USECS);
	if (none_before > delivery->due_after.at)
		delivery->due_after = place_before(none_before);
	return found;
}
