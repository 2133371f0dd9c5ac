/*
 * drain.c
 *	  Let a subscription finish what was published so far, then pause it.
 *
 * A procedure, since only a procedure can give up its snapshot.  Delivery goes
 * on meanwhile; a look keeps it out for a moment.
 *
 *		look -> all is settled: pause
 *			 -> something is not: commit, wait, look again
 *
 * Every look is a transaction of its own that sees what is committed by then,
 * whatever default_transaction_isolation is.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "tcop/pquery.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/lane.h"
#include "delivery/round.h"
#include "ground/errors.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "ground/subtransaction.h"
#include "ground/waits.h"
#include "routing/routing_cache.h"
#include "store/log_reader.h"
#include "store/log_state.h"

#define LOOK_INTERVAL_MS	20

/* A look at the log. */
typedef struct Look
{
	EeSubscription *subscription;
	int64		last;
	EeDelivery *lane;			/* that is looked at; NULL: none yet */
	bool		settled;
} Look;

static EeSubscription *own_subscription(const char *subscriber);
static bool is_settled(const char *subscriber, int64 last);
static bool rows_are_settled(int32 number, int64 last);
static bool log_is_settled(EeSubscription *subscription, int64 last);
static void look_at_lanes(void *arg);
static bool lanes_are_settled(Look *look);
static bool lane_is_settled(EeDelivery *delivery, int64 last);
static void pause_subscription(const char *subscriber);

PG_FUNCTION_INFO_V1(ee_sql_drain_subscription);

/* drain_subscription(subscriber text, timeout interval) */
Datum
ee_sql_drain_subscription(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	char	   *subscriber;
	TimestampTz end;
	int64		last;
	bool		settled = false;

	PreventCommandIfReadOnly("drain_subscription()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("subscriber and timeout must not be null")));
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("drain_subscription() cannot be called in a transaction block"),
				 errhint("CALL it by itself, with the driver's autocommit on.")));
	/* what is made in this context outlives our commits */
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	context = CurrentMemoryContext;
	subscriber = text_to_cstring(PG_GETARG_TEXT_PP(0));
	end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												  TimestampTzGetDatum(GetCurrentTimestamp()),
												  PG_GETARG_DATUM(1)));
	last = ee_log_state_last_seq();
	/* the caller's snapshot may be one for the whole transaction */
	SPI_commit();
	for (;;)
	{
		MemoryContextSwitchTo(context);
		XactIsoLevel = XACT_READ_COMMITTED;
		EnsurePortalSnapshotExists();
		settled = is_settled(subscriber, last);
		if (settled)
			pause_subscription(subscriber);
		SPI_commit();
		MemoryContextSwitchTo(context);
		if (settled)
			break;
		if (GetCurrentTimestamp() >= end)
			ereport(ERROR,
					(errcode(EE_ERRCODE_NOT_DRAINED),
					 errmsg("subscription \"%s\" has not been drained in time",
							subscriber),
					 errdetail("It goes on as before, and is not paused."),
					 errhint("See lag, pending, parked and leased in event_engine.stat_subscriptions for what is left.")));
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_INTERVAL_MS, ee_waits_event(EE_WAIT_DRAIN));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_finish();
	PG_RETURN_VOID();
}

static EeSubscription *
own_subscription(const char *subscriber)
{
	EeSubscription *found;

	AcceptInvalidationMessages();
	found = ee_routing_cache_by_name(subscriber);
	if (!has_privs_of_role(GetUserId(), found->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of subscription \"%s\"", subscriber)));
	return found;
}

/*
 * The rows first, as that keeps nobody out; and again, as a batch may commit
 * between the two looks: its cursor is past the event that failed, whose row
 * was not there yet.  With all lanes locked by the look at the log nothing
 * leaves the log any more before we commit.
 */
static bool
is_settled(const char *subscriber, int64 last)
{
	EeSubscription *subscription = own_subscription(subscriber);

	return rows_are_settled(subscription->number, last) &&
		log_is_settled(subscription, last) &&
		rows_are_settled(subscription->number, last);
}

/* What is delayed by its publisher may take for ever, and is safe. */
static bool
rows_are_settled(int32 number, int64 last)
{
	static EePlan left =
		EE_PLAN("SELECT EXISTS (SELECT FROM event_engine.deliveries AS d "
				"WHERE d.subscription_number = $1 AND d.seq <= $2 "
				"AND d.status <> 'delayed') "
				"OR EXISTS (SELECT FROM event_engine.event_leases AS l "
				"WHERE l.subscription_number = $1 AND $2 >= ANY (l.seqs))",
				"int4", "int8");
	Datum		values[] = {Int32GetDatum(number), Int64GetDatum(last)};
	EePlanFrame frame;
	EeIdentity	saved;
	bool		found;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&left, values, NULL, false, 1);
	found = DatumGetBool(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return !found;
}

/*
 * In a subtransaction, as a filter may raise an error: then there is something
 * to be delivered, which makes the event a dead letter.
 */
static bool
log_is_settled(EeSubscription *subscription, int64 last)
{
	Look		look = {subscription, last, NULL, false};
	ErrorData  *error;

	/* a change of its lanes waits for the old ones to end */
	if (subscription->n_epochs > 1)
		return false;
	error = ee_subtransaction_run(look_at_lanes, &look);
	if (error == NULL)
		return look.settled;
	if (look.lane == NULL || !look.lane->matching ||
		error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

static void
look_at_lanes(void *arg)
{
	Look	   *look = arg;

	look->settled = lanes_are_settled(look);
}

static bool
lanes_are_settled(Look *look)
{
	MemoryContext parent = MemoryContextGetParent(CurTransactionContext);

	for (int i = 0; i < look->subscription->concurrency; i++)
	{
		EeDelivery *base = ee_round_delivery(look->subscription, i, 0,
											 parent);

		ee_round_expand(base);
		for (int class = 0; class < EE_N_PRIORITIES; class++)
		{
			EeDelivery *lane = class == EE_PRIORITY_NORMAL ? base :
				!ee_log_reader_any(class) ? NULL :
				ee_round_beside(base, class, parent);

			if (lane == NULL)
				continue;
			look->lane = lane;
			if (!lane_is_settled(lane, look->last))
				return false;
		}
	}
	return true;
}

/*
 * Nothing wanted is left, or only what came later.  Of an older range that
 * cannot be told: what became visible after it may have a lower seq.
 */
static bool
lane_is_settled(EeDelivery *delivery, int64 last)
{
	bool		end;

	if (!ee_cursor_lock_lane(delivery->subscription->number,
							 delivery->lane.number))
		return false;
	do
	{
		EeBatch    *batch = ee_batch_begin(delivery);

		if (ee_batch_next(batch) != NULL)
		{
			bool		fresh = batch->fresh;

			ee_batch_end(batch);
			return fresh && delivery->examining > last;
		}
		end = ee_batch_reached_end(batch);
		ee_batch_end(batch);
		ee_batch_committed(delivery, batch->next);
		CHECK_FOR_INTERRUPTS();
	} while (!end);
	return true;
}

/* As whoever has called us. */
static void
pause_subscription(const char *subscriber)
{
	static EePlan pause =
		EE_PLAN("SELECT event_engine.pause_subscription($1, 'drained')",
				"text");
	EePlanFrame frame;
	Datum		value = CStringGetTextDatum(subscriber);

	ee_plan_begin(&frame);
	ee_plan_execute(&pause, &value, NULL, false, 1);
	ee_plan_end(&frame);
}
