/*
 * retry_round.c
 *	  One round for what is due again: one event, in one unit of work.
 *
 *		attempt	-> done: its row is deleted with the effects
 *				-> failed: the row says so, in a unit of its own
 *
 * Where the process, or the server, did not survive its latest attempts
 * (crash_guard.h), each attempt is committed before it is made, so that one
 * that takes the process down is counted and becomes a dead letter in the end.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/crash_guard.h"
#include "delivery/handler.h"
#include "delivery/processing_log.h"
#include "delivery/retry.h"
#include "delivery/retry_round.h"
#include "delivery/tally.h"

#define LOCKED_DELAY_USECS	(100 * INT64CONST(1000))

/* Outlives the units. */
typedef struct Attempt
{
	EeRound		round;
	bool		begun;			/* the handler was reached */
	bool		counted;		/* the row counts this attempt already */
	EeDue		due;
} Attempt;

static void attempt(EeDelivery *delivery, const EeUnit *unit,
					Attempt *progress);
static void record_failure(EeDelivery *delivery, const EeUnit *unit,
						   Attempt *progress, const ErrorData *error);
static void move_totals(EeDelivery *delivery, int delivered);

EeRound
ee_retry_round(EeDelivery *delivery, const EeUnit *unit)
{
	Attempt    *progress = MemoryContextAllocZero(delivery->context,
												  sizeof(Attempt));
	ErrorData  *volatile error = NULL;
	EeRound		round;

	if (delivery->subscription->kind != EE_SUBSCRIPTION_HANDLER)
	{
		/* pulled by its client; a bell has nothing to try again */
		delivery->next_due = DT_NOEND;
		pfree(progress);
		round.outcome = EE_ROUND_IDLE;
		round.delivered = round.failed = 0;
		return round;
	}
	if (delivery->guarded)
		progress->counted = ee_crash_guard_count(delivery, unit,
												 &progress->due);
	unit->begin();
	PG_TRY();
	{
		attempt(delivery, unit, progress);
		unit->commit();
	}
	PG_CATCH();
	{
		error = ee_unit_take_error(delivery);
		unit->abort();
		ee_unit_heed_cancel(unit, error);
	}
	PG_END_TRY();

	if (error != NULL)
	{
		if (!progress->begun)
		{
			/* no event is to blame */
			ee_unit_give_up(delivery, unit, error);
			progress->round.outcome = EE_ROUND_STALE;
		}
		else
			record_failure(delivery, unit, progress, error);
		FreeErrorData(error);
	}
	/* the totals have moved: the cursor is to be read again */
	if (progress->round.delivered > 0 || progress->round.failed > 0)
		delivery->cursor = NULL;
	round = progress->round;
	pfree(progress);
	return round;
}

static void
attempt(EeDelivery *delivery, const EeUnit *unit, Attempt *progress)
{
	EeSubscription *subscription = delivery->subscription;
	MemoryContext old = MemoryContextSwitchTo(CurTransactionContext);
	TimestampTz began = GetCurrentTimestamp();
	EeDue	   *due = &progress->due;
	EeHandler	handler;
	EeIdentity	saved;

	if (!ee_unit_enter(delivery, &progress->round.outcome))
	{
		MemoryContextSwitchTo(old);
		return;
	}
	if (progress->counted ? !ee_retry_get(delivery, due->seq, due) :
		!ee_retry_next(delivery, due))
	{
		delivery->next_due = ee_retry_next_due(subscription->number);
		/* due, and locked by somebody: again soon, without spinning */
		if (delivery->next_due <= GetCurrentTimestamp())
			delivery->next_due = GetCurrentTimestamp() + LOCKED_DELAY_USECS;
		progress->round.outcome = progress->counted ? EE_ROUND_DONE :
			EE_ROUND_IDLE;
		MemoryContextSwitchTo(old);
		return;
	}
	ee_unit_act_as_owner(delivery, unit, &saved);
	ee_handler_prepare(&handler, subscription->handler,
					   &delivery->handler);
	progress->begun = true;
	ee_handler_timeout_start(subscription->timeout_ms);
	ee_handler_call(&handler, due->event);
	ee_handler_timeout_stop();
	ee_unit_act_as_before(unit, &saved);

	ee_retry_succeeded(delivery, due);
	ee_tally_event(due->event, EE_OUTCOME_DELIVERED);
	if (subscription->processing_log)
		ee_processing_log_delivered(subscription->subscriber, due->event,
									due->attempts +
									(progress->counted ? 0 : 1), began);
	move_totals(delivery, 1);
	progress->round.outcome = EE_ROUND_DONE;
	progress->round.delivered = 1;
	MemoryContextSwitchTo(old);
}

static void
move_totals(EeDelivery *delivery, int delivered)
{
	int32		number = delivery->subscription->number;
	EeCursor   *cursor = ee_cursor_load(number, delivery->lane);

	cursor->delivered += delivered;
	ee_cursor_store(number, delivery->lane, cursor);
}

/* The row as it was went with the transaction: read it again. */
static void
record_failure(EeDelivery *delivery, const EeUnit *unit, Attempt *progress,
			   const ErrorData *error)
{
	EeSubscription *subscription = delivery->subscription;
	int64		seq = progress->due.seq;
	int			attempts = progress->due.attempts +
		(progress->counted ? 0 : 1);
	EeDue		due;
	MemoryContext old;

	unit->begin();
	old = MemoryContextSwitchTo(CurTransactionContext);
	progress->round.outcome = EE_ROUND_FAILED;
	if (ee_unit_enter(delivery, &progress->round.outcome) &&
		ee_retry_get(delivery, seq, &due))
	{
		EeCursor   *cursor = ee_cursor_load(subscription->number,
											delivery->lane);

		ee_retry_failed(delivery, cursor, due.event, seq, attempts, error);
		if (subscription->processing_log)
			ee_processing_log_failed(subscription->subscriber, due.event,
									 attempts, error->message);
		ee_cursor_store(subscription->number, delivery->lane, cursor);
		progress->round.outcome = EE_ROUND_FAILED;
		progress->round.failed = 1;
	}
	MemoryContextSwitchTo(old);
	unit->commit();
}
