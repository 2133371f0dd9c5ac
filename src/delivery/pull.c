/*
 * pull.c
 *	  Hand events to a pulling client, and take its acknowledgement.
 *
 * All that is known of a client is in tables, nothing in its session.  What
 * comes fresh from the log is leased by one row of event_leases, whatever the
 * number of events; what was handed out before is found by receive_again().
 * Errors of receipts are raised in SQL, where all that settle them share it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "delivery/pull.h"
#include "delivery/pull_flow.h"
#include "delivery/replay_feed.h"
#include "ground/debug_point.h"
#include "ground/envelope.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/insert.h"
#include "ground/plan.h"
#include "ground/shared.h"
#include "ground/wanted_columns.h"
#include "routing/routing_cache.h"
#include "store/unseal.h"

#define MAX_EVENTS			100000
#define MAX_VISIBILITY_DAYS	7
#define LEASE_NATTS			9

/* Columns of received_event: these, then those of an event up to its seq. */
#define RECEIVED_RECEIPT	0
#define RECEIVED_ATTEMPTS	1
#define RECEIVED_EVENT		2
#define RECEIVED_NATTS		EE_RECEIVED_NATTS

static void check_visibility_timeout(Interval *given, bool positive);
static void replay(const EeSubscription *subscription, int max);
static bool something_is_due(int32 number, TimestampTz at);
static void receive_again(EeReceipt *receipt, int32 number, TimestampTz at,
						  TimestampTz until);
static bool all_granted(const EeReceipt *receipt,
						const EeSubscription *subscription);
static void leave_out(EeReceipt *receipt, int32 number, EePlan *plan);
static void put_again(const EeReceipt *receipt);
static void unseal(Datum *event);
static void lease(const EeReceipt *receipt, int32 number, TimestampTz at,
				  TimestampTz until);
static EeSubscription *settled_at_once(Datum receipt);
static int	acknowledge(Datum receipt, int32 number);

/* What means the same as others that were acknowledged counts as such. */
static EePlan pass_over =
	EE_PLAN("SELECT p.id FROM event_engine.subscriptions AS s, "
			"event_engine.pass_over(s, $2) AS p (id) WHERE s.number = $1",
			"int4", "uuid");
/* What the owner may not have any more becomes a dead letter. */
static EePlan withhold =
	EE_PLAN("SELECT p.id FROM event_engine.subscriptions AS s, "
			"event_engine.withhold_events(s, $2) AS p (id) WHERE s.number = $1",
			"int4", "uuid");

PG_FUNCTION_INFO_V1(ee_sql_receive_events);
PG_FUNCTION_INFO_V1(ee_sql_check_visibility_timeout);
PG_FUNCTION_INFO_V1(ee_sql_ack_events);
PG_FUNCTION_INFO_V1(ee_sql_wake_clients);

/* ------------------------------------------------------------ subscriptions */

EeSubscription *
ee_pull_subscription(text *subscriber)
{
	static const char *const kinds[] = {"handler", "pull", "notify"};
	char	   *name = subscriber ? text_to_cstring(subscriber) : "";
	EeSubscription *found;

	AcceptInvalidationMessages();
	found = ee_routing_cache_by_name(name);
	if (!has_privs_of_role(GetUserId(), found->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of subscription \"%s\"", name),
				 errdetail("It belongs to role %s.",
						   quote_identifier(GetUserNameFromId(found->owner,
															  true)))));
	if (found->kind != EE_SUBSCRIPTION_PULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_SUBSCRIPTION_KIND),
				 errmsg("subscription \"%s\" is not pulled", name),
				 errdetail("It is of kind %s, which the workers deliver to.",
						   kinds[found->kind]),
				 errhint("To pull, subscribe under another name without handler and channel.")));
	return found;
}

/* ----------------------------------------------------------------- receive */

/*
 * receive_events(subscriber text, max_events integer,
 * visibility_timeout interval) RETURNS SETOF received_event: first what was
 * handed out before and is due again, then the next events of the log.
 */
Datum
ee_sql_receive_events(PG_FUNCTION_ARGS)
{
	EeSubscription *subscription;
	EeReceipt	receipt;
	TimestampTz at = GetCurrentTimestamp();
	TimestampTz until;
	int32		number;
	int			allowed;

	PreventCommandIfReadOnly("receive_events()");
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	subscription = ee_pull_subscription(PG_ARGISNULL(0) ? NULL :
										PG_GETARG_TEXT_PP(0));
	if (PG_ARGISNULL(1) || PG_GETARG_INT32(1) < 1 ||
		PG_GETARG_INT32(1) > MAX_EVENTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_events must be from 1 to %d", MAX_EVENTS)));
	check_visibility_timeout(PG_ARGISNULL(2) ? NULL : PG_GETARG_INTERVAL_P(2),
							 true);
	if (subscription->status != EE_SUBSCRIPTION_ACTIVE)
		return (Datum) 0;
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("events can be received only in a transaction of isolation level READ COMMITTED")));

	number = subscription->number;
	until = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													TimestampTzGetDatum(at),
													PG_GETARG_DATUM(2)));
	memset(&receipt, 0, sizeof(receipt));
	receipt.id = *DatumGetUUIDP(OidFunctionCall0(F_GEN_RANDOM_UUID));
	receipt.result = (ReturnSetInfo *) fcinfo->resultinfo;
	ee_wanted_columns(fcinfo, receipt.wanted, RECEIVED_NATTS);
	receipt.max = allowed = ee_pull_flow_take(subscription,
											  PG_GETARG_INT32(1));
	if (allowed == 0)
		return (Datum) 0;
	if (ee_replay_feed_wanted(number) && !something_is_due(number, at))
	{
		replay(subscription, allowed);
		at = GetCurrentTimestamp();
	}
	while (receipt.n == 0 && something_is_due(number, at))
	{
		receive_again(&receipt, number, at, until);
		if (receipt.n_again == 0)
			break;
		if (!all_granted(&receipt, subscription))
			leave_out(&receipt, number, &withhold);
		if (subscription->idempotency_key != NULL)
			leave_out(&receipt, number, &pass_over);
		put_again(&receipt);
		receipt.n = receipt.n_again;
		CHECK_FOR_INTERRUPTS();
	}
	if (receipt.n < receipt.max)
		ee_pull_log(&receipt, number);
	if (receipt.n > receipt.n_again)
		lease(&receipt, number, at, until);
	ee_pull_flow_put_back(subscription, allowed - receipt.n);
	ee_debug_point("pull_leased");
	return (Datum) 0;
}

/*
 * Some of a replay, so that new events come in between.
 */
static void
replay(const EeSubscription *subscription, int max)
{
	bool		more;

	while (ee_replay_feed(subscription, (max + 1) / 2, &more) == 0 && more)
		CHECK_FOR_INTERRUPTS();
}

/*
 * check_visibility_timeout(given interval, positive boolean): raises what is
 * wrong with it.
 */
Datum
ee_sql_check_visibility_timeout(PG_FUNCTION_ARGS)
{
	check_visibility_timeout(PG_ARGISNULL(0) ? NULL : PG_GETARG_INTERVAL_P(0),
							 PG_GETARG_BOOL(1));
	PG_RETURN_VOID();
}

static void
check_visibility_timeout(Interval *given, bool positive)
{
	Interval	none = {0};
	Interval	most = {.day = MAX_VISIBILITY_DAYS};

	if (given != NULL &&
		DatumGetInt32(DirectFunctionCall2(interval_cmp,
										  IntervalPGetDatum(given),
										  IntervalPGetDatum(&none))) >=
		(positive ? 1 : 0) &&
		DatumGetInt32(DirectFunctionCall2(interval_cmp,
										  IntervalPGetDatum(given),
										  IntervalPGetDatum(&most))) <= 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid visibility_timeout"),
			 errdetail("It must be %s and not above %d days, and is %s.",
					   positive ? "positive" : "not negative",
					   MAX_VISIBILITY_DAYS,
					   given == NULL ? "null" :
					   DatumGetCString(DirectFunctionCall1(interval_out,
														   IntervalPGetDatum(given))))));
}

static bool
something_is_due(int32 number, TimestampTz at)
{
	static EePlan due =
		EE_PLAN("SELECT EXISTS (SELECT FROM event_engine.event_leases AS l "
				"WHERE l.subscription_number = $1 AND l.expires_at <= $2) "
				"OR EXISTS (SELECT FROM event_engine.deliveries AS d "
				"WHERE d.subscription_number::pg_catalog.int8 = $1 AND d.next_attempt_at <= $2)",
				"int4", "timestamptz");
	Datum		values[] = {Int32GetDatum(number), TimestampTzGetDatum(at)};
	EePlanFrame frame;
	EeIdentity	saved;
	bool		isnull;
	bool		found;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	ee_plan_execute(&due, values, NULL, false, 0);
	found = DatumGetBool(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return found;
}

static void
receive_again(EeReceipt *receipt, int32 number, TimestampTz at,
			  TimestampTz until)
{
	static EePlan again =
		EE_PLAN("SELECT r.* FROM event_engine.subscriptions AS s, "
				"event_engine.receive_again(s, $2, $3, $4, $5, $6) AS r "
				"WHERE s.number = $1",
				"int4", "uuid", "int4", "timestamptz", "timestamptz", "text");
	Datum		values[] = {Int32GetDatum(number), UUIDPGetDatum(&receipt->id),
		Int32GetDatum(receipt->max), TimestampTzGetDatum(at),
		TimestampTzGetDatum(until),
	CStringGetTextDatum(GetUserNameFromId(GetUserId(), false))};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	EePlanFrame frame;
	EeIdentity	saved;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	receipt->n_again = ee_plan_execute(&again, values, NULL, false, 0);
	old = MemoryContextSwitchTo(caller);
	receipt->again = palloc(sizeof(HeapTuple) * (receipt->n_again + 1));
	for (int i = 0; i < receipt->n_again; i++)
		receipt->again[i] = heap_copytuple(SPI_tuptable->vals[i]);
	MemoryContextSwitchTo(old);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

/* The owner's right may have been taken back since. */
static bool
all_granted(const EeReceipt *receipt, const EeSubscription *subscription)
{
	for (int i = 0; i < receipt->n_again; i++)
	{
		EeEvent		event;
		const EeEventAttr attrs[] = {EE_EVENT_PATTERN, EE_EVENT_METADATA};

		for (int k = 0; k < lengthof(attrs); k++)
			EE_EVENT_VALUE(&event, attrs[k]) =
				heap_getattr(receipt->again[i], RECEIVED_EVENT + attrs[k],
							 receipt->result->setDesc,
							 &EE_EVENT_IS_NULL(&event, attrs[k]));
		if (!ee_match_permits(subscription->matcher, &event))
			return false;
	}
	return true;
}

/* What is settled instead, as the plan tells by the ids, is not given. */
static void
leave_out(EeReceipt *receipt, int32 number, EePlan *plan)
{
	Datum		values[] = {Int32GetDatum(number), UUIDPGetDatum(&receipt->id)};
	EePlanFrame frame;
	EeIdentity	saved;
	uint64		n_known;
	int			n = 0;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	n_known = ee_plan_execute(plan, values, NULL, false, 0);
	for (int i = 0; i < receipt->n_again; i++)
	{
		bool		isnull;
		bool		given = true;
		Datum		id = heap_getattr(receipt->again[i], RECEIVED_EVENT + 1,
									  receipt->result->setDesc, &isnull);

		for (uint64 k = 0; k < n_known && given; k++)
			given = memcmp(DatumGetUUIDP(id),
						   DatumGetUUIDP(ee_plan_value(k, 1, &isnull)),
						   UUID_LEN) != 0;
		if (given)
			receipt->again[n++] = receipt->again[i];
	}
	receipt->n_again = n;
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

static void
put_again(const EeReceipt *receipt)
{
	for (int i = 0; i < receipt->n_again; i++)
	{
		Datum		values[RECEIVED_NATTS];
		bool		nulls[RECEIVED_NATTS];

		if (!ee_unseal_may())
		{
			tuplestore_puttuple(receipt->result->setResult,
								receipt->again[i]);
			continue;
		}
		heap_deform_tuple(receipt->again[i], receipt->result->setDesc,
						  values, nulls);
		unseal(&values[RECEIVED_EVENT]);
		tuplestore_putvalues(receipt->result->setResult,
							 receipt->result->setDesc, values, nulls);
	}
}

/* What the client may see of the payload of an event. */
static void
unseal(Datum *event)
{
	event[EE_EVENT_PAYLOAD - 1] =
		ee_unseal_payload(event[EE_EVENT_PAYLOAD - 1],
						  event[EE_EVENT_ID - 1],
						  event[EE_EVENT_PATTERN - 1],
						  event[EE_EVENT_VERSION - 1],
						  event[EE_EVENT_METADATA - 1]);
}

void
ee_pull_give(EeReceipt *receipt, TupleTableSlot *slot)
{
	Datum		values[RECEIVED_NATTS];
	bool		nulls[RECEIVED_NATTS];
	int			n_new = receipt->n - receipt->n_again;
	TimestampTz created_at;

	slot_getsomeattrs(slot, EE_EVENT_SEQ);
	values[RECEIVED_RECEIPT] = UUIDPGetDatum(&receipt->id);
	values[RECEIVED_ATTEMPTS] = Int32GetDatum(1);
	nulls[RECEIVED_RECEIPT] = nulls[RECEIVED_ATTEMPTS] = false;
	memcpy(&values[RECEIVED_EVENT], slot->tts_values,
		   sizeof(Datum) * EE_EVENT_SEQ);
	memcpy(&nulls[RECEIVED_EVENT], slot->tts_isnull,
		   sizeof(bool) * EE_EVENT_SEQ);
	if (receipt->wanted[RECEIVED_EVENT + EE_EVENT_PAYLOAD - 1] &&
		ee_unseal_may())
		unseal(&values[RECEIVED_EVENT]);
	for (int i = 0; i < RECEIVED_NATTS; i++)
		nulls[i] |= !receipt->wanted[i];
	tuplestore_putvalues(receipt->result->setResult,
						 receipt->result->setDesc, values, nulls);

	if (n_new == receipt->n_allocated)
	{
		receipt->n_allocated = Max(receipt->n_allocated * 2, 64);
		if (receipt->seqs == NULL)
			receipt->seqs = palloc(sizeof(int64) * receipt->n_allocated);
		else
			receipt->seqs = repalloc(receipt->seqs,
									 sizeof(int64) * receipt->n_allocated);
	}
	receipt->seqs[n_new] = DatumGetInt64(slot->tts_values[EE_EVENT_SEQ - 1]);
	created_at =
		DatumGetTimestampTz(slot->tts_values[EE_EVENT_CREATED_AT - 1]);
	if (n_new == 0)
		receipt->first_at = receipt->last_at = created_at;
	receipt->first_at = Min(receipt->first_at, created_at);
	receipt->last_at = Max(receipt->last_at, created_at);
	receipt->n++;
}

/* Nothing is given before those that are due again, so n is their number. */
void
ee_pull_take_back(EeReceipt *receipt, int n)
{
	Assert(n == receipt->n_again);
	tuplestore_clear(receipt->result->setResult);
	put_again(receipt);
	receipt->n = n;
}

/* One row for all that was read from the log. */
static void
lease(const EeReceipt *receipt, int32 number, TimestampTz at,
	  TimestampTz until)
{
	int			n = receipt->n - receipt->n_again;
	Datum	   *seqs = palloc(sizeof(Datum) * n);
	Datum		values[LEASE_NATTS];
	bool		nulls[LEASE_NATTS] = {false};

	for (int i = 0; i < n; i++)
		seqs[i] = Int64GetDatum(receipt->seqs[i]);
	values[0] = UUIDPGetDatum(&receipt->id);
	values[1] = Int32GetDatum(number);
	values[2] = PointerGetDatum(construct_array(seqs, n, INT8OID,
												sizeof(int64), FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	values[3] = TimestampTzGetDatum(receipt->first_at);
	values[4] = TimestampTzGetDatum(receipt->last_at);
	values[5] = Int32GetDatum(1);
	values[6] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	values[7] = TimestampTzGetDatum(at);
	values[8] = TimestampTzGetDatum(until);
	ee_insert_values(ee_extension_relid(EE_REL_EVENT_LEASES), values, nulls);
}

/* ------------------------------------------------------------- acknowledge */

/*
 * ack_events(receipt uuid, ids uuid[]) RETURNS integer.  A receipt that is
 * acknowledged whole, of which nothing is to be remembered, takes one
 * statement; all else, errors too, is the matter of ack_events_as().
 */
Datum
ee_sql_ack_events(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("ack_events()");
	if (!PG_ARGISNULL(0) && PG_ARGISNULL(1))
	{
		EeSubscription *subscription = settled_at_once(PG_GETARG_DATUM(0));
		int			n = 0;

		if (subscription != NULL)
			n = acknowledge(PG_GETARG_DATUM(0), subscription->number);
		ee_debug_point("pull_acknowledged");
		if (n > 0)
		{
			/* there is room for others now */
			if (subscription->max_in_flight > 0)
				ee_shared_note_subscription(subscription->number);
			PG_RETURN_INT32(n);
		}
	}
	return ee_sql_subscription_call(fcinfo);
}

/* The subscription of a receipt of which nothing else is to be known. */
static EeSubscription *
settled_at_once(Datum receipt)
{
	static EePlan find =
		EE_PLAN("SELECT l.subscription_number FROM event_engine.event_leases AS l "
				"WHERE l.receipt = $1 "
				"UNION ALL SELECT d.subscription_number FROM event_engine.deliveries AS d "
				"WHERE d.receipt = $1 LIMIT 1", "uuid");
	EeSubscription *subscription = NULL;
	EePlanFrame frame;
	EeIdentity	saved;
	int32		number = 0;
	bool		isnull;
	bool		found;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	found = ee_plan_execute(&find, &receipt, NULL, false, 1) > 0;
	if (found)
		number = DatumGetInt32(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	if (found)
		subscription = ee_routing_cache_by_number(number, true);
	if (subscription == NULL || subscription->processing_log ||
		subscription->idempotency_key != NULL ||
		!has_privs_of_role(GetUserId(), subscription->owner))
		return NULL;
	return subscription;
}

/* 0 when somebody was faster. */
static int
acknowledge(Datum receipt, int32 number)
{
	static EePlan plan =
		EE_PLAN("WITH lease AS (DELETE FROM event_engine.event_leases AS l "
				"WHERE l.receipt = $1 RETURNING pg_catalog.cardinality(l.seqs) AS n), "
				"delivery AS (DELETE FROM event_engine.deliveries AS d "
				"WHERE d.receipt = $1 RETURNING 1 AS n), "
				"total AS (SELECT COALESCE(pg_catalog.sum(x.n), 0)::pg_catalog.int4 AS n "
				"FROM (SELECT l.n FROM lease AS l "
				"UNION ALL SELECT d.n FROM delivery AS d) AS x), "
				"counted AS (INSERT INTO event_engine.delivery_counts AS c "
				"SELECT $2, t.n, 0, 0 FROM total AS t WHERE t.n > 0) "
				"SELECT t.n FROM total AS t", "uuid", "int4");
	Datum		values[] = {receipt, Int32GetDatum(number)};
	EePlanFrame frame;
	EeIdentity	saved;
	bool		isnull;
	int			n;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	ee_plan_execute(&plan, values, NULL, false, 0);
	n = DatumGetInt32(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}

/*
 * wake_clients(number integer): whoever waits for events of the subscription
 * looks again once this transaction has committed.
 */
Datum
ee_sql_wake_clients(PG_FUNCTION_ARGS)
{
	ee_shared_note_subscription(PG_GETARG_INT32(0));
	PG_RETURN_VOID();
}
