/*
 * session.c
 *	  Delivery in a session of somebody: process_batch(), and the functions
 *	  that subscriptions are made of.
 *
 * Units of work are subtransactions here, as the transaction belongs to the
 * caller; otherwise the code is that of the workers.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "delivery/cursor.h"
#include "delivery/flow.h"
#include "delivery/handler.h"
#include "delivery/idle.h"
#include "delivery/lane.h"
#include "delivery/round.h"
#include "delivery/session.h"
#include "ground/error_text.h"
#include "ground/errors.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "store/milestone.h"

/* A lane to which nothing was delivered is stored when it has come so far. */
#define IDLE_DISTANCE	1000

static void begin_unit(void);
static void commit_unit(void);
static void abort_unit(void);
static void leave_unit(MemoryContext caller);
static int	process_subscription(const EeSubscription *subscription,
								 uint64 generation, int max);
static int	process_lane(EeDelivery *delivery, int max, bool *moved);
static int	process_retries(EeDelivery *delivery, int max, bool *moved);
static void start_position(const char *start, EeLogPosition *position);

static const EeUnit session_unit = {begin_unit, commit_unit, abort_unit, true};

PG_FUNCTION_INFO_V1(ee_sql_process_batch);
PG_FUNCTION_INFO_V1(ee_sql_start_cursor);
PG_FUNCTION_INFO_V1(ee_sql_lock_subscription);

/* ------------------------------------------------------------------- units */

/* One unit is open at a time, so what it replaced is remembered here. */
static MemoryContext unit_context;
static ResourceOwner unit_owner;
static bool unit_open = false;

static void
begin_unit(void)
{
	unit_context = CurrentMemoryContext;
	unit_owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
	unit_open = true;
}

static void
commit_unit(void)
{
	ReleaseCurrentSubTransaction();
	unit_open = false;
	MemoryContextSwitchTo(unit_context);
	CurrentResourceOwner = unit_owner;
}

static void
abort_unit(void)
{
	unit_open = false;
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(unit_context);
	CurrentResourceOwner = unit_owner;
}

/*
 * An error that no unit took: whoever catches it must find the transaction at
 * the level that it had when we were called.
 */
static void
leave_unit(MemoryContext caller)
{
	ErrorData  *error;

	MemoryContextSwitchTo(caller);
	error = ee_error_text_copy();
	FlushErrorState();
	if (unit_open)
		abort_unit();
	ReThrowError(error);
}

/*
 * process_batch(max_events integer, subscriber text) RETURNS integer: deliver
 * in this transaction what is waiting, as the workers would.
 */
Datum
ee_sql_process_batch(PG_FUNCTION_ARGS)
{
	int			max = PG_GETARG_INT32(0);
	char	   *only = PG_ARGISNULL(1) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(1));

	PG_RETURN_INT32(ee_session_process_batch(max, only));
}

int
ee_session_process_batch(int max, const char *only)
{
	MemoryContext caller = CurrentMemoryContext;
	uint64		generation;
	List	   *subscriptions;
	ListCell   *lc;
	volatile int32 last = PG_INT32_MIN;
	volatile bool again;
	volatile int done = 0;

	PreventCommandIfReadOnly("process_batch()");
	if (max < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_events must be at least 1")));
	if (ee_handler_running())
		ereport(ERROR,
				(errcode(EE_ERRCODE_SUBSCRIPTION_BUSY),
				 errmsg("process_batch cannot be called by a handler"),
				 errhint("What is waiting is delivered after the handler has ended.")));
	do
	{
		generation = ee_invalidate_watch(EE_REL_SUBSCRIPTIONS);
		PushActiveSnapshot(GetLatestSnapshot());
		subscriptions = ee_subscription_load_all(InvalidOid);
		PopActiveSnapshot();
		again = false;
		foreach(lc, subscriptions)
		{
			EeSubscription *subscription = lfirst(lc);

			if (subscription->number <= last ||
				subscription->status != EE_SUBSCRIPTION_ACTIVE ||
				subscription->kind == EE_SUBSCRIPTION_PULL ||
				(only != NULL && strcmp(only, subscription->subscriber) != 0) ||
				!has_privs_of_role(GetUserId(), subscription->owner))
				continue;
			if (done >= max)
				break;
			/* one has been changed meanwhile, or found to be broken */
			again = generation !=
				ee_invalidate_generation(EE_REL_SUBSCRIPTIONS);
			if (again)
				break;
			PG_TRY();
			{
				done += process_subscription(subscription, generation,
											 max - done);
				/*
				 * The next epoch of the same subscription may have begun,
				 * or its workflows wait for events of other patterns.
				 */
				again = (subscription->n_epochs > 1 ||
						 subscription->kind == EE_SUBSCRIPTION_WORKFLOW) &&
					done < max &&
					generation !=
					ee_invalidate_generation(EE_REL_SUBSCRIPTIONS);
			}
			PG_CATCH();
			{
				leave_unit(caller);
			}
			PG_END_TRY();
			if (again)
				break;
			last = subscription->number;
		}
	} while (again);
	return done;
}

/* Lane by lane, the most urgent first. */
static int
process_subscription(const EeSubscription *subscription, uint64 generation,
					 int max)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_engine deliveries",
												  ALLOCSET_DEFAULT_SIZES);
	EeDelivery **bases = MemoryContextAlloc(context, sizeof(EeDelivery *) *
											subscription->concurrency);
	bool		held = ee_cursor_holds(subscription->number);
	bool		moved = false;
	int			done = 0;

	for (int i = 0; i < subscription->concurrency; i++)
	{
		bases[i] = ee_round_delivery(subscription, i, generation, context);
		ee_round_expand(bases[i]);
	}
	for (int class = 0; class < EE_N_PRIORITIES; class++)
	{
		if (class != EE_PRIORITY_NORMAL && !ee_log_reader_any(class))
			continue;
		for (int i = 0; i < subscription->concurrency && done < max; i++)
		{
			EeDelivery *lane = class == EE_PRIORITY_NORMAL ? bases[i] :
				ee_round_beside(bases[i], class, context);

			if (lane == NULL)
				continue;
			done += process_lane(lane, max - done, &moved);
			moved |= ee_idle_store(list_make1(lane), IDLE_DISTANCE,
								   &session_unit) > 0;
		}
	}
	for (int i = 0; i < subscription->concurrency && done < max; i++)
		done += process_retries(bases[i], max - done, &moved);
	/* the server's table of locks would not do for very many with nothing */
	if (done == 0 && !moved && !held &&
		subscription->kind != EE_SUBSCRIPTION_WORKFLOW)
		ee_cursor_unlock(subscription->number,
						 subscription->concurrency * EE_N_PRIORITIES);
	/* a worker that knows this cursor must read it again */
	if (moved)
		ee_invalidate_announce(EE_REL_SUBSCRIPTION_CURSORS);
	MemoryContextDelete(context);
	return done;
}

static int
process_lane(EeDelivery *delivery, int max, bool *moved)
{
	int			done = 0;
	bool		more = true;

	while (more && done < max)
	{
		EeRound		round;

		CHECK_FOR_INTERRUPTS();
		round = ee_flow_deliver(delivery, &session_unit, max - done);
		done += round.delivered;
		*moved |= round.outcome == EE_ROUND_DONE ||
			round.outcome == EE_ROUND_FAILED;
		more = round.outcome == EE_ROUND_FAILED ||
			(delivery->behind && round.outcome != EE_ROUND_LOCKED &&
			 round.outcome != EE_ROUND_STALE &&
			 round.outcome != EE_ROUND_HELD);
	}
	return done;
}

static int
process_retries(EeDelivery *delivery, int max, bool *moved)
{
	int			done = 0;
	bool		more = true;

	while (more && done < max)
	{
		EeRound		round;

		CHECK_FOR_INTERRUPTS();
		round = ee_flow_retry(delivery, &session_unit, max - done);
		done += round.delivered;
		more = round.outcome == EE_ROUND_DONE ||
			round.outcome == EE_ROUND_FAILED;
		*moved |= more;
	}
	return done;
}

/* -------------------------------------------------------- for subscriptions */

/*
 * start_cursor(number integer, start text): where a new subscription begins:
 * now, beginning, or a time.
 */
Datum
ee_sql_start_cursor(PG_FUNCTION_ARGS)
{
	EeLogPosition position;

	PushActiveSnapshot(GetLatestSnapshot());
	start_position(text_to_cstring(PG_GETARG_TEXT_PP(1)), &position);
	ee_cursor_create(PG_GETARG_INT32(0), 0, &position);
	PopActiveSnapshot();
	PG_RETURN_VOID();
}

static void
start_position(const char *start, EeLogPosition *position)
{
	if (strcmp(start, "now") == 0)
		*position = *ee_log_position_current();
	else if (strcmp(start, "beginning") == 0)
		ee_milestone_position(DT_NOBEGIN, position);
	else
		ee_milestone_position(DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
																	  CStringGetDatum(start),
																	  ObjectIdGetDatum(InvalidOid),
																	  Int32GetDatum(-1))),
							  position);
}

/*
 * lock_subscription(number integer): until the end of the transaction nothing
 * is delivered to it; waits for a batch that is running.
 */
Datum
ee_sql_lock_subscription(PG_FUNCTION_ARGS)
{
	ee_cursor_lock_all(PG_GETARG_INT32(0));
	PG_RETURN_VOID();
}
