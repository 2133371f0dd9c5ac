/*
 * retry_round.c
 *	  One round for what is due again: as much as a short time allows, in one
 *	  unit of work, in groups that fail one by one (group.c).
 *
 *		attempt	-> done: its row is deleted with the effects
 *				-> failed: the row says so, in the same unit
 *
 * The time is short so that new events come in between, however much is due
 * at once.
 *
 * A unit that fails as a whole, at its commit, is closed in on: half as many
 * in the next, and so on, and one that fails alone is written down in a unit
 * of its own.
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
#include "delivery/group.h"
#include "delivery/handler.h"
#include "delivery/processing_log.h"
#include "delivery/retry.h"
#include "delivery/retry_round.h"
#include "ground/debug_point.h"

#define LOCKED_DELAY_USECS	(100 * INT64CONST(1000))
/* No event is begun later in a round. */
#define ROUND_USECS			(5 * INT64CONST(1000))
/* Rows read at a time. */
#define CHUNK				100

/* Outlives the units. */
typedef struct Attempts
{
	EeRound		round;
	bool		begun;			/* the handler was reached */
	bool		counted;		/* the row counts this attempt already */
	int			limit;			/* of those tried in this unit */
	int			tried;
	EeDue		first;			/* of them; its event goes with the unit */
	TimestampTz began;
} Attempts;

static void try_due(EeDelivery *delivery, const EeUnit *unit, int limit,
					Attempts *progress);
static int	next_chunk(EeDelivery *delivery, EeDue *due, int max,
					   Attempts *progress);
static void find_next_due(EeDelivery *delivery);
static void delete_done(EeGroup *group, const EeDue *due, int n);
static void note_limit(EeDelivery *delivery, const Attempts *progress,
					   bool failed);
static void record_failure(EeDelivery *delivery, const EeUnit *unit,
						   Attempts *progress, const ErrorData *error);

EeRound
ee_retry_round(EeDelivery *delivery, const EeUnit *unit, int max)
{
	Attempts   *progress = MemoryContextAllocZero(delivery->context,
												  sizeof(Attempts));
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
												 &progress->first);
	progress->limit = delivery->guarded ? 1 :
		delivery->again_limit > 0 ? Min(max, delivery->again_limit) : max;
	unit->begin();
	PG_TRY();
	{
		try_due(delivery, unit, progress->limit, progress);
		ee_debug_point("retry_before_commit");
		/* deferred triggers are the handler's work as well */
		if (progress->tried > 0 && !unit->in_session)
			ee_handler_timeout_start(delivery->subscription->timeout_ms);
		unit->commit();
		ee_handler_timeout_stop();
	}
	PG_CATCH();
	{
		error = ee_unit_take_error(delivery);
		unit->abort();
		ee_unit_heed_cancel(unit, error);
		ee_debug_point("retry_after_abort");
	}
	PG_END_TRY();

	if (error != NULL)
	{
		ee_retry_forget(delivery);
		progress->round.delivered = progress->round.failed = 0;
		progress->round.outcome = EE_ROUND_FAILED;
		if (!progress->begun)
		{
			/* no event is to blame */
			ee_unit_give_up(delivery, unit, error);
			progress->round.outcome = EE_ROUND_STALE;
		}
		else if (progress->tried == 1)
			record_failure(delivery, unit, progress, error);
		FreeErrorData(error);
	}
	note_limit(delivery, progress, error != NULL);
	/* the totals have moved: the cursor is to be read again */
	if (progress->round.delivered > 0 || progress->round.failed > 0)
		delivery->cursor = NULL;
	round = progress->round;
	pfree(progress);
	return round;
}

/* How many may be tried in the next unit. */
static void
note_limit(EeDelivery *delivery, const Attempts *progress, bool failed)
{
	if (failed && progress->tried > 1)
		delivery->again_limit = progress->tried / 2;
	else if (failed || progress->tried < delivery->again_limit)
		return;
	else if (delivery->again_limit > 0)
	{
		delivery->again_limit *= 2;
		if (delivery->again_limit >= CHUNK)
			delivery->again_limit = 0;
	}
}

static void
try_due(EeDelivery *delivery, const EeUnit *unit, int limit,
		Attempts *progress)
{
	EeSubscription *subscription = delivery->subscription;
	TimestampTz end = GetCurrentTimestamp() + ROUND_USECS;
	MemoryContext context;
	MemoryContext old;
	EeDue	   *due;
	EeCursor   *cursor;
	EeHandler	handler;
	EeIdentity	saved;
	EeGroup		group;
	int			n;

	progress->round.outcome = EE_ROUND_IDLE;
	if (!ee_unit_enter(delivery, &progress->round.outcome))
		return;
	context = AllocSetContextCreate(CurTransactionContext,
									"event_engine retries",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	due = palloc(sizeof(EeDue) * CHUNK);
	n = next_chunk(delivery, due, limit, progress);
	if (n == 0)
	{
		find_next_due(delivery);
		if (progress->counted)
			progress->round.outcome = EE_ROUND_DONE;
		MemoryContextSwitchTo(old);
		return;
	}
	cursor = ee_cursor_load(subscription->number, delivery->lane.number);
	ee_unit_act_as_owner(delivery, unit, &saved);
	ee_handler_prepare(&handler, subscription->handler, &delivery->handler);
	progress->begun = true;
	progress->began = GetCurrentTimestamp();
	progress->first = due[0];
	ee_group_begin(&group, delivery, unit, &handler, cursor,
				   &delivery->again_caution);
	group.until = end;
	group.done = delete_done;
	for (;;)
	{
		bool		last = n < Min(CHUNK, limit - progress->tried);
		int			passed;

		progress->tried += n;
		passed = ee_group_run(&group, due, n);
		progress->tried -= n - passed;
		delivery->due_from = due[passed - 1].at;
		if (last)
			find_next_due(delivery);
		if (last || passed < n || progress->tried >= limit ||
			ee_group_is_full(&group))
			break;
		for (int i = 0; i < n; i++)
			pfree(DatumGetPointer(due[i].event));
		n = next_chunk(delivery, due, limit - progress->tried, progress);
		if (n == 0)
			break;
	}
	ee_unit_act_as_before(unit, &saved);
	cursor->delivered += group.delivered;
	ee_cursor_store(subscription->number, delivery->lane.number, cursor);
	progress->round.outcome = EE_ROUND_DONE;
	progress->round.delivered = group.delivered;
	progress->round.failed = group.failed;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static int
next_chunk(EeDelivery *delivery, EeDue *due, int max, Attempts *progress)
{
	if (!progress->counted)
		return ee_retry_due(delivery, due, Min(CHUNK, max));
	if (!ee_retry_get(delivery, progress->first.seq, due))
		return 0;
	/* the one that is about to be made */
	due->attempts--;
	return 1;
}

static void
find_next_due(EeDelivery *delivery)
{
	TimestampTz now = GetCurrentTimestamp();

	delivery->next_due = ee_retry_next_due(delivery);
	/* due, and locked by somebody: again soon, without spinning */
	if (delivery->next_due <= now)
		delivery->next_due = now + LOCKED_DELAY_USECS;
}

static void
delete_done(EeGroup *group, const EeDue *due, int n)
{
	int64		seqs[EE_GROUP_MAX];

	for (int i = 0; i < n; i++)
		seqs[i] = due[i].seq;
	ee_retry_delete(group->delivery, seqs, n);
}

/* The row as it was went with the transaction: read it again. */
static void
record_failure(EeDelivery *delivery, const EeUnit *unit, Attempts *progress,
			   const ErrorData *error)
{
	EeSubscription *subscription = delivery->subscription;
	EeDue		due;
	MemoryContext old;

	unit->begin();
	old = MemoryContextSwitchTo(CurTransactionContext);
	if (ee_unit_enter(delivery, &progress->round.outcome) &&
		ee_retry_get(delivery, progress->first.seq, &due))
	{
		EeCursor   *cursor = ee_cursor_load(subscription->number,
											delivery->lane.number);
		int			attempts = progress->first.attempts + 1;

		ee_retry_failed(delivery, cursor, due.event, due.seq, attempts, error,
						TimestampDifferenceMilliseconds(progress->began,
														GetCurrentTimestamp()));
		if (subscription->processing_log)
			ee_processing_log_failed(subscription->subscriber, due.event,
									 attempts, error->message);
		ee_cursor_store(subscription->number, delivery->lane.number, cursor);
		ee_debug_point("retry_before_settle");
		progress->round.outcome = EE_ROUND_FAILED;
		progress->round.failed = 1;
	}
	MemoryContextSwitchTo(old);
	unit->commit();
}
