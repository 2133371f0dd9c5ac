/*
 * testing.c
 *	  Procedures for tests: wait for something, run everything pending.
 *
 * Called outside of a transaction block each look is a transaction of its
 * own, and while they wait they hold no snapshot: a test that waits keeps
 * nothing from being vacuumed, and sees what others commit.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "delivery/session.h"
#include "ground/plan.h"
#include "ground/waits.h"
#include "store/log_state.h"

/* Between two looks. */
#define LOOK_INTERVAL_MS	10

/* A procedure that may commit between its looks. */
typedef struct Waiter
{
	bool		atomic;			/* it may not */
	MemoryContext context;		/* of what outlives the looks */
	TimestampTz end;			/* when it gives up */
} Waiter;

static void waiter_begin(Waiter *waiter, FunctionCallInfo fcinfo);
static void waiter_end(Waiter *waiter);
static void new_transaction(Waiter *waiter);
static bool wait_a_moment(Waiter *waiter);
static TimestampTz after_interval(Datum interval);
static Datum look(Waiter *waiter, EePlan *plan, Datum *values,
				  const char *nulls, int typlen, bool byval, bool *isnull);
static Datum copy_arg(Waiter *waiter, FunctionCallInfo fcinfo, int n,
					  char *nulls, int typlen, bool byval);
static Datum one_column(FunctionCallInfo fcinfo, Datum value);

PG_FUNCTION_INFO_V1(ee_sql_run_pending);
PG_FUNCTION_INFO_V1(ee_sql_wait_for_event);
PG_FUNCTION_INFO_V1(ee_sql_wait_for_delivery);

/* ------------------------------------------------------------------ waiting */

static void
waiter_begin(Waiter *waiter, FunctionCallInfo fcinfo)
{
	waiter->atomic = fcinfo->context == NULL ||
		!IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic;
	waiter->end = DT_NOEND;
	SPI_connect_ext(waiter->atomic ? 0 : SPI_OPT_NONATOMIC);
	waiter->context = CurrentMemoryContext;
}

static void
waiter_end(Waiter *waiter)
{
	SPI_finish();
}

/* What was done is committed, and no snapshot is held. */
static void
new_transaction(Waiter *waiter)
{
	if (waiter->atomic)
		return;
	SPI_commit();
	MemoryContextSwitchTo(waiter->context);
}

/* False when the time is up. */
static bool
wait_a_moment(Waiter *waiter)
{
	if (GetCurrentTimestamp() >= waiter->end)
		return false;
	new_transaction(waiter);
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 LOOK_INTERVAL_MS, ee_waits_event(EE_WAIT_TEST));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

static TimestampTz
after_interval(Datum interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(GetCurrentTimestamp()),
												   interval));
}

/* The one value that a statement of ours gives, in the waiter's context. */
static Datum
look(Waiter *waiter, EePlan *plan, Datum *values, const char *nulls,
	 int typlen, bool byval, bool *isnull)
{
	EePlanFrame frame;
	Datum		result;

	EnsurePortalSnapshotExists();
	ee_plan_begin(&frame);
	(void) ee_plan_execute(plan, values, nulls, false, 1);
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						   isnull);
	MemoryContextSwitchTo(waiter->context);
	if (!*isnull)
		result = datumCopy(result, byval, typlen);
	ee_plan_end(&frame);
	MemoryContextSwitchTo(waiter->context);
	return result;
}

/* An argument, where the end of a transaction does not reach it. */
static Datum
copy_arg(Waiter *waiter, FunctionCallInfo fcinfo, int n, char *nulls,
		 int typlen, bool byval)
{
	Datum		value = PG_GETARG_DATUM(n);

	if (PG_ARGISNULL(n))
	{
		nulls[n] = 'n';
		return (Datum) 0;
	}
	nulls[n] = ' ';
	if (typlen == -1)
		value = PointerGetDatum(PG_DETOAST_DATUM(value));
	return datumCopy(value, byval, typlen);
}

/* What a procedure with one parameter INOUT returns. */
static Datum
one_column(FunctionCallInfo fcinfo, Datum value)
{
	TupleDesc	desc;
	bool		isnull = false;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a procedure returns a record");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &value,
											 &isnull));
}

/* --------------------------------------------------------------- procedures */

/*
 * run_pending(subscriber text, ahead boolean, INOUT delivered bigint)
 *
 * In each round nobody else delivers: what the workers had in hand when it
 * began is committed, and what they published meanwhile is seen.  So when a
 * round finds nothing there is nothing.
 */
Datum
ee_sql_run_pending(PG_FUNCTION_ARGS)
{
	static EePlan keep_out =
		EE_PLAN("SELECT event_engine.lock_deliveries($1)", "text");
	static EePlan make_due =
		EE_PLAN("SELECT event_engine.make_due($1)", "text");
	Waiter		waiter;
	Datum		subscriber;
	char		nulls[4] = "   ";
	char	   *only;
	bool		ahead = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	int64		total = 0;
	int64		made_due;
	int32		done;
	bool		isnull;

	waiter_begin(&waiter, fcinfo);
	subscriber = copy_arg(&waiter, fcinfo, 0, nulls, -1, false);
	only = PG_ARGISNULL(0) ? NULL : TextDatumGetCString(subscriber);
	do
	{
		CHECK_FOR_INTERRUPTS();
		(void) look(&waiter, &keep_out, &subscriber, nulls, sizeof(int32),
					true, &isnull);
		made_due = !ahead ? 0 :
			DatumGetInt64(look(&waiter, &make_due, &subscriber, nulls,
							   sizeof(int64), true, &isnull));
		/* with the search path that whoever called us has */
		done = ee_session_process_batch(INT_MAX, only);
		MemoryContextSwitchTo(waiter.context);
		total += done;
		new_transaction(&waiter);
	} while (made_due > 0 || done > 0);
	waiter_end(&waiter);
	return one_column(fcinfo, Int64GetDatum(total));
}

/*
 * wait_for_event(pattern text, timeout interval, filter text,
 *				  since timestamptz, INOUT id uuid)
 */
Datum
ee_sql_wait_for_event(PG_FUNCTION_ARGS)
{
	static EePlan first =
		EE_PLAN("SELECT event_engine.first_published($1, $2, $3, $4)",
				"text", "text", "int8", "timestamptz");
	Waiter		waiter;
	Datum		values[4];
	char		given[6] = "     ";
	char		nulls[5] = "    ";
	bool		isnull;
	pg_uuid_t	id;
	Datum		found;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pattern and timeout must not be null")));
	waiter_begin(&waiter, fcinfo);
	waiter.end = after_interval(PG_GETARG_DATUM(1));
	values[0] = copy_arg(&waiter, fcinfo, 0, given, -1, false);
	values[1] = copy_arg(&waiter, fcinfo, 2, given, -1, false);
	values[2] = Int64GetDatum(ee_log_state_last_seq());
	values[3] = copy_arg(&waiter, fcinfo, 3, given, sizeof(int64), true);
	nulls[1] = given[2];
	nulls[2] = given[3] == 'n' ? ' ' : 'n';
	nulls[3] = given[3];
	do
	{
		found = look(&waiter, &first, values, nulls, UUID_LEN, false, &isnull);
	} while (isnull && wait_a_moment(&waiter));
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_ASSERT_FAILURE),
				 errmsg("no event \"%s\" was published in time",
						TextDatumGetCString(values[0]))));
	id = *DatumGetUUIDP(found);
	waiter_end(&waiter);
	return one_column(fcinfo,
					  datumCopy(UUIDPGetDatum(&id), false, UUID_LEN));
}

/* wait_for_delivery(id uuid, timeout interval, subscriber text) */
Datum
ee_sql_wait_for_delivery(PG_FUNCTION_ARGS)
{
	static EePlan undelivered =
		EE_PLAN("SELECT event_engine.undelivered_event($1, $2)",
				"uuid", "text");
	Waiter		waiter;
	Datum		values[2];
	char		given[4] = "   ";
	char		nulls[3] = "  ";
	bool		done;
	Datum		who;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("id and timeout must not be null")));
	waiter_begin(&waiter, fcinfo);
	waiter.end = after_interval(PG_GETARG_DATUM(1));
	values[0] = copy_arg(&waiter, fcinfo, 0, given, UUID_LEN, false);
	values[1] = copy_arg(&waiter, fcinfo, 2, given, -1, false);
	nulls[1] = given[2];
	do
	{
		who = look(&waiter, &undelivered, values, nulls, -1, false, &done);
	} while (!done && wait_a_moment(&waiter));
	if (!done)
		ereport(ERROR,
				(errcode(ERRCODE_ASSERT_FAILURE),
				 errmsg("the event was not delivered in time"),
				 errdetail_internal("%s", TextDatumGetCString(who))));
	waiter_end(&waiter);
	PG_RETURN_NULL();
}
