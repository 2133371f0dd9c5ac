/*
 * stat_subscriptions.c
 *	  What all processes know together of a subscription.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/timestamp.h"

#include "ground/shared_subscription.h"

#define COUNTERS_COLS	3

PG_FUNCTION_INFO_V1(ee_sql_subscription_counters);

/*
 * subscription_counters(number integer, id uuid) RETURNS record (since,
 * delivered, failed); null where nothing is known of it.
 */
Datum
ee_sql_subscription_counters(PG_FUNCTION_ARGS)
{
	EeSharedSubscription *entry =
		ee_shared_subscription_peek(PG_GETARG_INT32(0), PG_GETARG_UUID_P(1));
	Datum		values[COUNTERS_COLS];
	bool		nulls[COUNTERS_COLS] = {0};
	TupleDesc	desc;

	if (entry == NULL)
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = TimestampTzGetDatum(entry->claimed_at);
	values[1] = Int64GetDatum(pg_atomic_read_u64(&entry->delivered));
	values[2] = Int64GetDatum(pg_atomic_read_u64(&entry->failed));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
