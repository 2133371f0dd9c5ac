/*
 * pull_wait.c
 *	  Let a pulling client wait until there is something to receive.
 *
 * A look changes nothing: what it finds is left for receive_events(), so that
 * whoever is fastest gets it.  How it waits in between: client_wait.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "delivery/client_wait.h"
#include "delivery/pull.h"
#include "delivery/pull_flow.h"
#include "delivery/round.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "ground/shared.h"
#include "ground/subtransaction.h"

/* How soon to look again while another client is reading the log. */
#define BUSY_INTERVAL_MS		5

typedef struct Waiting
{
	text	   *subscriber;
	MemoryContext context;		/* lives as long as we wait */
	MemoryContext per_look;
	EeDelivery *delivery;		/* remembers how far we have looked */
	EeDelivery *lanes[EE_N_PRIORITIES]; /* beside it, where there are events */
	uint64		generation;		/* of the subscriptions it was made under */
	bool		found;			/* the log has events */
} Waiting;

static bool wait_for_events(text *subscriber, TimestampTz end);
static bool look(void *arg, TimestampTz *next_look);
static void prepare_delivery(Waiting *waiting, EeSubscription *subscription,
							 uint64 generation);
static TimestampTz earliest_due(int32 number);
static bool any_lane_has_events(Waiting *waiting);
static bool log_has_events(EeDelivery *delivery);
static bool log_has_event(EeDelivery *delivery);
static bool log_has_events_guarded(Waiting *waiting);
static void look_at_lanes(void *arg);
static bool forget_cursors(Waiting *waiting);

PG_FUNCTION_INFO_V1(ee_sql_await_events);

/*
 * await_events(subscriber text, wait interval, INOUT available boolean)
 */
Datum
ee_sql_await_events(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	TimestampTz end;
	Datum		available;
	bool		isnull = false;

	ee_client_wait_check(fcinfo, "await_events",
						 "CALL it by itself, with the driver's autocommit on, and receive_events() afterwards.");
	end = ee_client_wait_end(fcinfo, 1, "wait");
	available = BoolGetDatum(wait_for_events(PG_ARGISNULL(0) ? NULL :
											 PG_GETARG_TEXT_PP(0), end));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return heap_copy_tuple_as_datum(heap_form_tuple(desc, &available, &isnull),
									desc);
}

static bool
wait_for_events(text *subscriber, TimestampTz end)
{
	Waiting		waiting = {0};
	bool		available;

	/* what is made in this context outlives our commits */
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	waiting.context = AllocSetContextCreate(CurrentMemoryContext,
											"event_engine waiting client",
											ALLOCSET_DEFAULT_SIZES);
	waiting.per_look = AllocSetContextCreate(waiting.context,
											 "event_engine look",
											 ALLOCSET_DEFAULT_SIZES);
	if (subscriber != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(waiting.context);

		waiting.subscriber = DatumGetTextPCopy(PointerGetDatum(subscriber));
		MemoryContextSwitchTo(old);
	}
	available = ee_client_wait(look, &waiting, end);
	SPI_finish();
	return available;
}

/* -------------------------------------------------------------------- look */

static bool
look(void *arg, TimestampTz *next_look)
{
	Waiting    *waiting = arg;
	MemoryContext old = MemoryContextSwitchTo(waiting->per_look);
	uint64		generation = ee_invalidate_watch(EE_REL_SUBSCRIPTIONS);
	EeSubscription *subscription = ee_pull_subscription(waiting->subscriber);
	TimestampTz until;
	bool		found = false;

	prepare_delivery(waiting, subscription, generation);
	if (subscription->status == EE_SUBSCRIPTION_ACTIVE)
	{
		bool		allowed = ee_pull_flow_allows(subscription, &until);

		*next_look = earliest_due(subscription->number);
		if (!allowed)
			*next_look = until == DT_NOEND ? *next_look : until;
		else if (*next_look <= GetCurrentTimestamp())
			found = true;
		else if (ee_cursor_is_locked(subscription->number, EE_PULL_LANE))
		{
			/*
			 * Somebody who has received has not committed yet: what he leaves
			 * is seen afterwards.  Taking the lock ourselves would send away
			 * whoever comes to receive.
			 */
			*next_look = Min(*next_look, GetCurrentTimestamp() +
							 BUSY_INTERVAL_MS * 1000);
		}
		else if (ee_match_needs_content(subscription->matcher))
			found = log_has_events_guarded(waiting);
		else
			found = any_lane_has_events(waiting);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(waiting->per_look);
	return found;
}

/*
 * What we want must be known to publishers before the log is looked at.  The
 * generations are read first: what changes later is told as a change.
 */
static void
prepare_delivery(Waiting *waiting, EeSubscription *subscription,
				 uint64 generation)
{
	EeDelivery *delivery = waiting->delivery;
	EePatternSet interest;

	if (delivery != NULL && waiting->generation == generation &&
		delivery->registry_generation ==
		ee_invalidate_generation(EE_REL_EVENT_DEFINITIONS))
		return;
	if (delivery != NULL)
	{
		for (int class = 0; class < EE_N_PRIORITIES; class++)
			if (waiting->lanes[class] != NULL)
				MemoryContextDelete(waiting->lanes[class]->context);
		MemoryContextDelete(delivery->context);
	}
	waiting->delivery = ee_round_delivery(subscription, 0, generation,
										  waiting->context);
	memset(waiting->lanes, 0, sizeof(waiting->lanes));
	waiting->generation = generation;
	ee_round_expand(waiting->delivery);
	interest = waiting->delivery->interest;
	ee_shared_subscription_add(&interest, subscription->number);
	ee_shared_waiter_store(&interest);
}

/* When the first of what was handed out before, or put off, is due. */
static TimestampTz
earliest_due(int32 number)
{
	static EePlan earliest =
		EE_PLAN("SELECT LEAST((SELECT min(l.expires_at) FROM event_engine.event_leases AS l "
				"WHERE l.subscription_number = $1), "
				"(SELECT min(d.next_attempt_at) FROM event_engine.deliveries AS d "
				"WHERE d.subscription_number::pg_catalog.int8 = $1))", "int4");
	Datum		value = Int32GetDatum(number);
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		due;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	ee_plan_execute(&earliest, &value, NULL, false, 0);
	due = ee_plan_value(0, 1, &isnull);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return isnull ? DT_NOEND : DatumGetTimestampTz(due);
}

static bool
any_lane_has_events(Waiting *waiting)
{
	if (log_has_events(waiting->delivery))
		return true;
	for (int class = 0; class < EE_N_PRIORITIES; class++)
	{
		if (class == EE_PRIORITY_NORMAL || !ee_log_reader_any(class))
			continue;
		if (waiting->lanes[class] == NULL)
			waiting->lanes[class] = ee_round_beside(waiting->delivery, class,
													waiting->context);
		if (log_has_events(waiting->lanes[class]))
			return true;
	}
	return false;
}

/*
 * Is there an event behind the cursor that the subscription wants?  When the
 * cursor is remembered others may have moved it since, past what we find.
 */
static bool
log_has_events(EeDelivery *delivery)
{
	bool		remembered = delivery->cursor != NULL;

	if (!log_has_event(delivery))
		return false;
	if (!remembered)
		return true;
	delivery->cursor = NULL;
	return log_has_event(delivery);
}

static bool
log_has_event(EeDelivery *delivery)
{
	bool		found;
	bool		end;

	do
	{
		EeBatch    *batch = ee_batch_begin(delivery);

		found = ee_batch_next(batch) != NULL;
		end = ee_batch_reached_end(batch);
		ee_batch_end(batch);
		/* what nobody wants need not be looked at again */
		if (!found)
			ee_batch_committed(delivery, batch->next);
	} while (!found && !end);
	return found;
}

/* True when it was an event being matched that raised an error. */
static bool
forget_cursors(Waiting *waiting)
{
	bool		matching = waiting->delivery->matching;

	waiting->delivery->cursor = NULL;
	for (int class = 0; class < EE_N_PRIORITIES; class++)
	{
		EeDelivery *lane = waiting->lanes[class];

		if (lane == NULL)
			continue;
		matching |= lane->matching;
		lane->cursor = NULL;
	}
	return matching;
}

/*
 * The same where a filter may raise an error: then receive_events() has
 * something to do, which makes the event a dead letter.
 */
static bool
log_has_events_guarded(Waiting *waiting)
{
	ErrorData  *error = ee_subtransaction_run(look_at_lanes, waiting);

	if (error == NULL)
		return waiting->found;
	if (!forget_cursors(waiting) ||
		error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	FreeErrorData(error);
	return true;
}

static void
look_at_lanes(void *arg)
{
	Waiting    *waiting = arg;

	waiting->found = any_lane_has_events(waiting);
}
