/*
 * group.c
 *	  Call the handler within a transaction that outlives its failures.
 *
 * Where events fail now and then, a batch that is rolled back as a whole for
 * each of them is mostly wasted.  So events are handed out in groups, each in
 * a subtransaction.  A group that fails is rolled back alone: those before
 * the event that is to blame are run again, it is tried alone, written down
 * if it fails again, and the next group begins behind it.
 *
 *		group of n -> done
 *				   -> failed at the i-th: group of i, then group of 1
 *				   -> failed, unknown where: group of n / 2
 *		group of 1 -> done
 *				   -> failed: settled, in the same transaction
 *
 * A group costs a subtransaction, a failure costs half a group run again: the
 * sum is least where the size goes with the square root of the distance
 * between failures.  After a long run without one there are no groups any
 * more, and the first failure after that costs a batch.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "delivery/group.h"
#include "delivery/idempotency.h"
#include "delivery/processing_log.h"
#include "delivery/tally.h"
#include "ground/config.h"
#include "ground/debug_point.h"

/* Events without a failure after which nobody is cautious any more. */
#define CONFIDENT_AFTER		10000
#define SIZE_FACTOR			3

/* How a group ended. */
typedef struct Attempt
{
	ErrorData  *error;			/* NULL: well */
	int			n;				/* events handled */
	int			at;				/* the event being handled then */
	bool		all_at_once;	/* it could be any of them */
	int64		duration_ms;	/* of that event */
} Attempt;

static bool is_held(EeGroup *group, const EeDue *due);
static int	run_group(EeGroup *group, EeDue *due, int n);
static void attempt(EeGroup *group, EeDue *due, int n, Attempt *result);
static void check_right(EeGroup *group, const EeDue *due);
static int	call(EeGroup *group, EeDue *due, int n, volatile int *at,
				 volatile TimestampTz *began);
static bool is_over(const EeGroup *group);
static void settle(EeGroup *group, EeDue *due, const Attempt *result);

void
ee_group_begin(EeGroup *group, EeDelivery *delivery, const EeUnit *unit,
			   EeHandler *handler, EeCursor *cursor, EeCaution *caution,
			   const EeGroupCalls *calls, void *arg)
{
	memset(group, 0, sizeof(*group));
	group->delivery = delivery;
	group->unit = unit;
	group->handler = handler;
	group->cursor = cursor;
	group->caution = caution;
	group->calls = calls;
	group->arg = arg;
	group->until = DT_NOEND;
	group->per_event = AllocSetContextCreate(CurrentMemoryContext,
											 "event_engine event",
											 ALLOCSET_DEFAULT_SIZES);
}

void
ee_group_end(EeGroup *group)
{
	MemoryContextDelete(group->per_event);
}

bool
ee_group_is_full(const EeGroup *group)
{
	const EeUnit *unit = group->unit;

	return group->subxacts >= EE_GROUP_SUBXACTS ||
		(unit->urgent != NULL &&
		 unit->urgent(group->delivery->lane.class)) ||
		ee_breaker_doubts(&group->delivery->subscription->breaker,
						  group->delivered, group->failed) ||
		is_over(group);
}

static bool
is_over(const EeGroup *group)
{
	return group->until != DT_NOEND && GetCurrentTimestamp() >= group->until;
}

int
ee_group_run(EeGroup *group, EeDue *due, int n)
{
	int			passed = 0;

	while (passed < n)
	{
		int			size = Min(n - passed, ee_group_size(group->caution));

		CHECK_FOR_INTERRUPTS();
		if (is_held(group, &due[passed]))
		{
			if (group->calls->hold != NULL)
				group->calls->hold(group, &due[passed]);
			passed++;
			continue;
		}
		if (due[passed].seq == group->suspect)
			size = 1;
		for (int i = 1; i < size; i++)
			if (is_held(group, &due[passed + i]))
				size = i;
		passed += run_group(group, &due[passed], size);
		if (ee_group_is_full(group))
			break;
	}
	return passed;
}

static bool
is_held(EeGroup *group, const EeDue *due)
{
	return group->calls->held != NULL && group->calls->held(group, due);
}

/* How many of them were dealt with: at least one. */
static int
run_group(EeGroup *group, EeDue *due, int n)
{
	for (;;)
	{
		Attempt		result;

		attempt(group, due, n, &result);
		if (result.error == NULL)
		{
			n = result.n;
			ee_group_caution_passed(group->caution, n);
			for (int i = 0; i < n; i++)
				if (!due[i].released)
				{
					ee_tally_event(group->delivery->subscription,
								   due[i].event, EE_OUTCOME_DELIVERED);
					group->delivered++;
				}
			if (group->calls->done != NULL)
				group->calls->done(group, due, n);
			return n;
		}
		ee_debug_point("group_after_failure");
		if (n == 1)
		{
			settle(group, due, &result);
			ee_debug_point("group_settled");
			ee_unit_forget_error(result.error);
			return 1;
		}
		ee_unit_forget_error(result.error);
		if (result.all_at_once)
			n /= 2;
		else
		{
			group->suspect = due[result.at].seq;
			n = Max(result.at, 1);
		}
	}
}

/*
 * One subtransaction.  Its events are not in its memory, and the scans and
 * snapshots of the batch are not its own, so that it can go without them.
 */
static void
attempt(EeGroup *group, EeDue *due, int n, Attempt *result)
{
	EeSubscription *subscription = group->delivery->subscription;
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile int at = 0;
	volatile TimestampTz began = 0;
	volatile bool wrote = false;

	memset(result, 0, sizeof(*result));
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(group->per_event);
	PG_TRY();
	{
		/* alone an event has what was promised to it, and no more */
		ee_handler_timeout_start(subscription->timeout_ms == 0 ? 0 :
								 n == 1 ? subscription->timeout_ms :
								 subscription->timeout_ms +
								 ee_config_delivery_batch_time);
		result->n = call(group, due, n, &at, &began);
		ee_handler_timeout_stop();
		ee_debug_point("group_before_release");
		wrote = TransactionIdIsValid(GetCurrentTransactionIdIfAny());
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error = ee_unit_take_error(group->delivery);

		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		ee_unit_heed_cancel(group->unit, error);
		result->error = error;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	MemoryContextReset(group->per_event);
	if (wrote)
		group->subxacts++;
	if (result->error != NULL)
	{
		result->at = at;
		result->all_at_once = n > 1 &&
			group->handler->kind == EE_HANDLER_EVENTS;
		result->duration_ms =
			TimestampDifferenceMilliseconds(began, GetCurrentTimestamp());
	}
}

/* How many were handled: at least one. */
static int
call(EeGroup *group, EeDue *due, int n, volatile int *at,
	 volatile TimestampTz *began)
{
	EeSubscription *subscription = group->delivery->subscription;

	if (group->handler->kind == EE_HANDLER_EVENTS)
	{
		Datum	   *events = palloc(sizeof(Datum) * n);
		int			n_events = 0;

		for (int i = 0; i < n; i++)
			check_right(group, &due[i]);
		for (int i = 0; i < n; i++)
			if (!due[i].released &&
				ee_idempotency_claim(subscription, due[i].event, due[i].seq))
				events[n_events++] = due[i].event;
		*began = GetCurrentTimestamp();
		if (n_events > 0)
			ee_handler_call_batch(group->handler, events, n_events);
		if (subscription->processing_log)
			for (int i = 0; i < n; i++)
				if (!due[i].released)
					ee_processing_log_delivered(subscription->subscriber,
												due[i].event,
												ee_retry_attempt(subscription, &due[i]),
												*began);
		return n;
	}
	for (int i = 0; i < n; i++)
	{
		if (due[i].released)
			continue;
		*at = i;
		*began = GetCurrentTimestamp();
		check_right(group, &due[i]);
		if (ee_idempotency_claim(subscription, due[i].event, due[i].seq))
			ee_handler_call(group->handler, due[i].event);
		if (subscription->processing_log)
			ee_processing_log_delivered(subscription->subscriber,
										due[i].event,
										ee_retry_attempt(subscription, &due[i]),
										*began);
		MemoryContextReset(group->per_event);
		if (group->may_leave && is_over(group))
			return i + 1;
	}
	return n;
}

/*
 * What failed before was granted then.  Without the right another attempt
 * fails as well, without the handler: in the end it is a dead letter, and with
 * the right again it can be redriven.
 */
static void
check_right(EeGroup *group, const EeDue *due)
{
	EeSubscription *subscription = group->delivery->subscription;
	EeEvent		event;

	if (!group->ask_right || due->released)
		return;
	ee_envelope_deform(due->event, &event);
	if (!ee_match_permits(subscription->matcher, &event))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not subscribe to event \"%s\"",
						GetUserNameFromId(subscription->owner, false),
						TextDatumGetCString(EE_EVENT_VALUE(&event,
														   EE_EVENT_PATTERN))),
				 errhint("The right has been taken back; it is granted with event_engine.grant_subscribe().")));
}

/* It failed alone: another attempt later, or a dead letter. */
static void
settle(EeGroup *group, EeDue *due, const Attempt *result)
{
	EeSubscription *subscription = group->delivery->subscription;
	MemoryContext old = MemoryContextSwitchTo(group->per_event);
	int			attempts = ee_retry_attempt(subscription, due);
	bool		waits;

	waits = ee_retry_failed(group->delivery, group->cursor, due->event,
							due->seq, attempts, result->error,
							result->duration_ms);
	if (subscription->processing_log)
		ee_processing_log_failed(subscription->subscriber, due->event,
								 attempts, result->error->message);
	MemoryContextSwitchTo(old);
	MemoryContextReset(group->per_event);
	group->failed++;
	ee_group_caution_failed(group->caution);
	if (group->calls->failed != NULL)
		group->calls->failed(group, due, waits);
}

/* ----------------------------------------------------------------- caution */

/* Quick to believe that it got worse, slow to believe that it got better. */
void
ee_group_caution_failed(EeCaution *caution)
{
	double		change = caution->passed - caution->distance;

	if (caution->distance == 0)
		caution->distance = caution->passed;
	else
		caution->distance += change < 0 ? change / 2 : change / 4;
	caution->distance = Max(caution->distance, 1);
	caution->passed = 0;
}

void
ee_group_caution_passed(EeCaution *caution, int n)
{
	caution->passed += n;
	if (caution->passed >= CONFIDENT_AFTER)
	{
		caution->distance = 0;
		caution->passed = CONFIDENT_AFTER;
	}
}

int
ee_group_size(const EeCaution *caution)
{
	double		distance = Max(caution->distance, caution->passed);

	return Max(1, Min(EE_GROUP_MAX, (int) (SIZE_FACTOR * sqrt(distance))));
}
