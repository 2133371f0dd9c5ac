/*
 * epoch.c
 *	  Change by which rule events are assigned to lanes, while they flow.
 *
 * How many lanes there are, and which events are in which, is changed at a
 * position of the log: what lies before it is delivered by the old rule, what
 * lies behind it by the new one.  The change locks all lanes out, takes the
 * present position, and writes it down as the origin of another epoch.  From
 * then on the lanes of the old epoch end there, and when the last of them has
 * come to its end the next epoch runs.  So an event is in one lane only, and
 * those of a key stay in order.
 *
 *		running -> running, with an end (the rule was changed)
 *				-> over (all lanes are at the end): the next one is running
 *
 * Several changes in a row make as many epochs, which run one by one.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "delivery/cursor.h"
#include "delivery/epoch.h"
#include "delivery/lane.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"

static bool all_at_end(const EeSubscription *subscription,
					   const EeLogPosition *end);
static bool begin_next(const EeSubscription *subscription);

PG_FUNCTION_INFO_V1(ee_sql_begin_epoch);

/*
 * begin_epoch(number integer, epoch integer): it begins here, in the
 * transaction that has locked the subscription.
 */
Datum
ee_sql_begin_epoch(PG_FUNCTION_ARGS)
{
	PushActiveSnapshot(GetLatestSnapshot());
	ee_cursor_create(PG_GETARG_INT32(0), PG_GETARG_INT32(1),
					 ee_log_position_current());
	PopActiveSnapshot();
	PG_RETURN_VOID();
}

const EeLogPosition *
ee_epoch_end(EeDelivery *delivery)
{
	const EeSubscription *subscription = delivery->subscription;
	EeCursor   *next;
	MemoryContext old;

	if (subscription->n_epochs < 2)
		return NULL;
	if (delivery->end != NULL)
		return delivery->end;
	old = MemoryContextSwitchTo(delivery->context);
	next = ee_cursor_load(subscription->number,
						  ee_lane_origin(subscription->epoch + 1));
	delivery->end = palloc(sizeof(EeLogPosition));
	ee_log_position_copy(delivery->end, &next->at.low);
	MemoryContextSwitchTo(old);
	return delivery->end;
}

EeRoundOutcome
ee_epoch_close(EeDelivery *delivery, const EeUnit *unit)
{
	const EeSubscription *subscription = delivery->subscription;
	EeRoundOutcome outcome = EE_ROUND_LOCKED;

	unit->begin();
	/* whoever is at it now looks himself when he has come to the end */
	if (ee_cursor_try_lock_all(subscription->number))
	{
		MemoryContext old = MemoryContextSwitchTo(CurTransactionContext);

		AcceptInvalidationMessages();
		if (delivery->generation !=
			ee_invalidate_generation(EE_REL_SUBSCRIPTIONS) ||
			(all_at_end(subscription, delivery->end) &&
			 begin_next(subscription)))
			outcome = EE_ROUND_STALE;
		MemoryContextSwitchTo(old);
	}
	unit->commit();
	return outcome;
}

/* A class that has no events in the log has no lanes that could be behind. */
static bool
all_at_end(const EeSubscription *subscription, const EeLogPosition *end)
{
	for (int class = 0; class < EE_N_PRIORITIES; class++)
	{
		if (!ee_lane_class_exists(subscription, class) ||
			(class != EE_PRIORITY_NORMAL && !ee_log_reader_any(class)))
			continue;
		for (int i = 0; i < subscription->concurrency; i++)
		{
			EeCursor   *cursor =
				ee_cursor_load(subscription->number,
							   ee_lane_number(subscription->epoch, i, class));

			if (cursor->at.in_range ||
				!ee_log_position_equal(&cursor->at.low, end))
				return false;
		}
	}
	return true;
}

/* False when somebody is changing the subscription at this moment. */
static bool
begin_next(const EeSubscription *subscription)
{
	static EePlan claim =
		EE_PLAN("SELECT FROM event_engine.subscriptions "
				"WHERE number = $1 AND epoch = $2 FOR UPDATE SKIP LOCKED",
				"int4", "int4");
	static EePlan next =
		EE_PLAN("SELECT event_engine.begin_next_epoch($1)", "int4");
	Datum		values[2];
	EePlanFrame frame;
	EeIdentity	saved;
	bool		claimed;

	values[0] = Int32GetDatum(subscription->number);
	values[1] = Int32GetDatum(subscription->epoch);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	claimed = ee_plan_execute(&claim, values, NULL, false, 0) > 0;
	if (claimed)
		ee_plan_execute(&next, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return claimed;
}
