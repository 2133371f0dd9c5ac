/*
 * stat_subscriptions.c
 *	  What all processes know together of a subscription.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ground/shared.h"
#include "ground/shared_subscription.h"

#define COUNTERS_COLS	15
#define N_QUANTILES		3

static const double shares[N_QUANTILES] = {0.50, 0.95, 0.99};

/* microseconds; powers of two, where buckets of the histogram end */
static const int64 bucket_limits[] = {
	1 << 8, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22,
	1 << 24, 1 << 26, PG_INT64_MAX
};

static Datum latency_buckets(const EeSharedSubscription *entry);
static void put_flow(EeSharedSubscription *entry, Datum *values, bool *nulls);

PG_FUNCTION_INFO_V1(ee_sql_subscription_counters);
PG_FUNCTION_INFO_V1(ee_sql_close_breaker);

/*
 * subscription_counters(number integer, id uuid) RETURNS record (since,
 * delivered, failed, delivered_rate, failed_rate, latency_p50, latency_p95,
 * latency_p99 in milliseconds, latency_buckets, latency_sum in seconds,
 * in_flight, breaker, breaker_since, breaker_retry_at, breaker_opened); null
 * where nothing is known of it.
 */
Datum
ee_sql_subscription_counters(PG_FUNCTION_ARGS)
{
	EeSharedSubscription *entry =
		ee_shared_subscription_peek(PG_GETARG_INT32(0), PG_GETARG_UUID_P(1));
	Datum		values[COUNTERS_COLS];
	bool		nulls[COUNTERS_COLS] = {0};
	double		quantiles[N_QUANTILES];
	bool		any;
	TupleDesc	desc;

	if (entry == NULL)
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = TimestampTzGetDatum(entry->claimed_at);
	values[1] = Int64GetDatum(pg_atomic_read_u64(&entry->delivered));
	values[2] = Int64GetDatum(pg_atomic_read_u64(&entry->failed));
	values[3] = Float8GetDatum(ee_rate_get(&entry->delivered_rate));
	values[4] = Float8GetDatum(ee_rate_get(&entry->failed_rate));
	any = ee_histogram_quantiles(&entry->latency, shares, quantiles,
								 N_QUANTILES);
	for (int i = 0; i < N_QUANTILES; i++)
	{
		nulls[5 + i] = !any;
		if (any)
			values[5 + i] = Float8GetDatum(quantiles[i] / 1000);
	}
	values[8] = latency_buckets(entry);
	values[9] = Float8GetDatum(pg_atomic_read_u64(&entry->latency.sum) /
							   1000000.0);
	put_flow(entry, values + 10, nulls + 10);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/* How many latencies were at most so long, as Prometheus counts them. */
static Datum
latency_buckets(const EeSharedSubscription *entry)
{
	Datum		counts[lengthof(bucket_limits)];

	for (int i = 0; i < lengthof(bucket_limits); i++)
		counts[i] = Int64GetDatum(ee_histogram_up_to(&entry->latency,
													 bucket_limits[i]));
	return PointerGetDatum(construct_array(counts, lengthof(bucket_limits),
										   INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* What its limits have come to. */
static void
put_flow(EeSharedSubscription *entry, Datum *values, bool *nulls)
{
	EeBreakerState state;
	TimestampTz since;
	TimestampTz retry_at;
	uint32		opened;

	ee_breaker_read(&entry->breaker, &state, &since, &retry_at, &opened);
	values[0] = Int32GetDatum((int32) pg_atomic_read_u32(&entry->in_flight));
	values[1] = CStringGetTextDatum(ee_breaker_state_name(state));
	values[2] = TimestampTzGetDatum(since);
	values[3] = TimestampTzGetDatum(retry_at);
	nulls[3] = state == EE_BREAKER_CLOSED;
	values[4] = Int64GetDatum(opened);
}

/*
 * close_breaker(number integer, id uuid) RETURNS void: at once, and let the
 * workers look.
 */
Datum
ee_sql_close_breaker(PG_FUNCTION_ARGS)
{
	EeSharedSubscription *entry =
		ee_shared_subscription_peek(PG_GETARG_INT32(0), PG_GETARG_UUID_P(1));

	if (entry != NULL && entry->breaker.state != EE_BREAKER_CLOSED)
	{
		ee_breaker_reset(&entry->breaker);
		ee_shared_note_changed();
	}
	PG_RETURN_VOID();
}
