/*
 * stat_flow.c
 *	  What the limits of a subscription have come to.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ground/shared.h"
#include "ground/shared_subscription.h"

#define FLOW_COLS	5

PG_FUNCTION_INFO_V1(ee_sql_subscription_flow);
PG_FUNCTION_INFO_V1(ee_sql_close_breaker);

/*
 * subscription_flow(number integer, id uuid) RETURNS record (in_flight,
 * breaker, breaker_since, breaker_retry_at, breaker_opened); null where
 * nothing is known of it.
 */
Datum
ee_sql_subscription_flow(PG_FUNCTION_ARGS)
{
	EeSharedSubscription *entry =
		ee_shared_subscription_peek(PG_GETARG_INT32(0), PG_GETARG_UUID_P(1));
	Datum		values[FLOW_COLS];
	bool		nulls[FLOW_COLS] = {0};
	EeBreakerState state;
	TimestampTz since;
	TimestampTz retry_at;
	uint32		opened;
	TupleDesc	desc;

	if (entry == NULL)
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	ee_breaker_read(&entry->breaker, &state, &since, &retry_at, &opened);
	values[0] = Int32GetDatum((int32) pg_atomic_read_u32(&entry->in_flight));
	values[1] = CStringGetTextDatum(ee_breaker_state_name(state));
	values[2] = TimestampTzGetDatum(since);
	values[3] = TimestampTzGetDatum(retry_at);
	nulls[3] = state == EE_BREAKER_CLOSED;
	values[4] = Int64GetDatum(opened);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
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
