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
#include "delivery/order.h"
#include "delivery/processing_log.h"
#include "delivery/replay_feed.h"
#include "delivery/retry.h"
#include "delivery/retry_round.h"
#include "ground/debug_point.h"

#define LOCKED_DELAY_USECS	(100 * INT64CONST(1000))
/* No event is begun later in a round. */
#define ROUND_USECS			(5 * INT64CONST(1000))
/* Rows read at a time, and locked; fewer where rounds deal with less. */
#define CHUNK				100
#define CHUNK_MIN			10
/* Events that a replay hands over at a time. */
#define REPLAY_CHUNK		1000
/* The same where events keep their order, and how many behind each. */
#define ORDERED_CHUNK		20
#define FOLLOWERS			50

/* Rows that are due, each with those that follow it. */
typedef struct Chunk
{
	MemoryContext context;
	EeDue	   *due;
	int			n;
	int			n_heads;
	bool		last;			/* nothing else is due */
	bool	   *stopped;		/* per head: it or a follower failed */
} Chunk;

/* Outlives the units. */
typedef struct Attempts
{
	EeRound		round;
	bool		begun;			/* the handler was reached */
	bool		counted;		/* the row counts this attempt already */
	int			limit;			/* of those tried in this unit */
	int			tried;
	bool		committing;
	EeDue		first;			/* of them; its event goes with the unit */
	TimestampTz began;
} Attempts;

static bool try_due(EeDelivery *delivery, const EeUnit *unit, int limit,
					void *arg);
static Chunk *read_chunk(EeDelivery *delivery, int max, Attempts *progress);
static void end_chunk(EeDelivery *delivery, Chunk *chunk, int passed);
static void find_next_due(EeDelivery *delivery);
static bool is_replayed_to(const EeDelivery *delivery);
static void delete_done(EeGroup *group, const EeDue *due, int n);
static void stop_chain(EeGroup *group, const EeDue *due, bool waits);
static bool is_stopped(EeGroup *group, const EeDue *due);
static void note_limit(EeDelivery *delivery, const Attempts *progress,
					   bool failed);
static void record_failure(EeDelivery *delivery, const EeUnit *unit,
						   Attempts *progress, const ErrorData *error);

static const EeUnitWork due_work = {
	try_due, "retry_before_commit", "retry_after_abort"
};

static const EeGroupCalls group_calls = {
	delete_done, stop_chain, is_stopped, NULL
};

EeRound
ee_retry_round(EeDelivery *delivery, const EeUnit *unit, int max)
{
	Attempts   *progress = MemoryContextAllocZero(delivery->context,
												  sizeof(Attempts));
	ErrorData  *error;
	EeDuePlace	due_after;
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
	due_after = delivery->due_after;
	error = ee_unit_run(delivery, unit, &due_work, progress->limit, progress,
						&progress->committing);

	if (error != NULL)
	{
		/* what it dealt with is due as before */
		ee_retry_go_back(delivery, due_after);
		delivery->next_due = DT_NOBEGIN;
		ee_order_forget(delivery);
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
		ee_unit_forget_error(error);
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

static bool
try_due(EeDelivery *delivery, const EeUnit *unit, int limit, void *arg)
{
	Attempts   *progress = arg;
	EeSubscription *subscription = delivery->subscription;
	TimestampTz end = GetCurrentTimestamp() + ROUND_USECS;
	MemoryContext context;
	MemoryContext old;
	Chunk	   *chunk;
	EeCursor   *cursor;
	EeHandler	handler;
	EeIdentity	saved;
	EeGroup		group;
	bool		replaying = false;
	bool		left;

	progress->round.outcome = EE_ROUND_IDLE;
	if (!ee_unit_enter(delivery, &progress->round.outcome))
		return false;
	context = AllocSetContextCreate(CurTransactionContext,
									"event_engine retries",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	ee_order_enter(delivery);
	chunk = read_chunk(delivery, limit, progress);
	if (chunk->n_heads == 0 && is_replayed_to(delivery))
	{
		ee_retry_note_due(delivery, GetCurrentTimestamp());
		if (ee_replay_feed(subscription, REPLAY_CHUNK, &replaying) > 0)
			chunk = read_chunk(delivery, limit, progress);
	}
	if (chunk->n_heads == 0)
	{
		find_next_due(delivery);
		if (replaying)
			delivery->next_due = GetCurrentTimestamp();
		if (progress->counted || replaying)
			progress->round.outcome = EE_ROUND_DONE;
		MemoryContextSwitchTo(old);
		return false;
	}
	cursor = ee_cursor_load(subscription->number, delivery->lane.number);
	ee_unit_act_as_owner(delivery, unit, &saved);
	ee_handler_prepare(&handler, subscription->handler, &delivery->handler);
	progress->begun = true;
	progress->began = GetCurrentTimestamp();
	progress->first = chunk->due[0];
	ee_group_begin(&group, delivery, unit, &handler, cursor,
				   &delivery->again_caution, &group_calls, chunk);
	group.until = end;
	group.may_leave = true;
	group.ask_right = true;
	for (;;)
	{
		int			passed;

		group.arg = chunk;
		progress->tried += chunk->n;
		passed = ee_group_run(&group, chunk->due, chunk->n);
		progress->tried -= chunk->n - passed;
		left = passed < chunk->n;
		end_chunk(delivery, chunk, passed);
		if (chunk->last || left || progress->tried >= limit ||
			ee_group_is_full(&group))
			break;
		MemoryContextDelete(chunk->context);
		chunk = read_chunk(delivery, limit - progress->tried, progress);
		if (chunk->n_heads == 0)
			break;
	}
	/* what there was no time for is due as it was */
	if (chunk->last && !left)
		find_next_due(delivery);
	ee_unit_act_as_before(unit, &saved);
	if (is_replayed_to(delivery))
		delivery->next_due = Min(delivery->next_due, GetCurrentTimestamp());
	cursor->delivered += group.delivered;
	ee_cursor_store(subscription->number, delivery->lane.number, cursor);
	delivery->again_tried = progress->tried;
	progress->round.outcome = EE_ROUND_DONE;
	progress->round.delivered = group.delivered;
	progress->round.failed = group.failed;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return progress->tried > 0;
}

/* What is due, and, where events keep their order, what waits behind it. */
static Chunk *
read_chunk(EeDelivery *delivery, int max, Attempts *progress)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_engine chunk",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		ordered = ee_order_kept(delivery);
	int			passed = progress->tried > 0 ? progress->tried :
		delivery->again_tried;
	int			wanted = Min(Min(ordered ? ORDERED_CHUNK : CHUNK, max),
							 Max(2 * passed, CHUNK_MIN));
	Chunk	   *chunk = palloc0(sizeof(Chunk));

	chunk->context = context;
	chunk->due = palloc(sizeof(EeDue) *
						(ordered ? wanted * (1 + FOLLOWERS) : wanted));
	if (!progress->counted)
		chunk->n_heads = ee_retry_due(delivery, chunk->due, wanted);
	else if (ee_retry_get(delivery, progress->first.seq, chunk->due))
	{
		/* the one that is about to be made */
		chunk->due->attempts--;
		chunk->n_heads = 1;
	}
	chunk->last = chunk->n_heads < wanted;
	chunk->n = chunk->n_heads;
	if (ordered && chunk->n_heads > 0)
	{
		chunk->n = ee_order_follow(delivery, chunk->due, chunk->n_heads,
								   Min(FOLLOWERS,
									   (max - chunk->n_heads) / chunk->n_heads));
		chunk->stopped = palloc0(sizeof(bool) * chunk->n_heads);
	}
	MemoryContextSwitchTo(old);
	return chunk;
}

/*
 * So many have been dealt with.  Where a head is done with, its key is free
 * if nothing is left behind it; else the next of the key is due.
 */
static void
end_chunk(EeDelivery *delivery, Chunk *chunk, int passed)
{
	text	  **keys = palloc(sizeof(text *) * chunk->n_heads);
	int			n_keys = 0;

	for (int i = 0; i < passed; i += 1 + chunk->due[i].followers)
	{
		EeDue	   *head = &chunk->due[i];

		/* what was counted has the time of its next attempt already */
		if (!delivery->guarded)
		{
			delivery->due_after.at = head->at;
			delivery->due_after.seq = head->seq;
		}
		if (head->key == NULL || chunk->stopped[head->chain])
			continue;
		if (head->ends && i + head->followers < passed)
			ee_order_free(delivery, head->key);
		else
			keys[n_keys++] = head->key;
	}
	ee_order_advance(delivery, keys, n_keys);
}

static void
find_next_due(EeDelivery *delivery)
{
	TimestampTz now = GetCurrentTimestamp();

	delivery->next_due = ee_retry_next_due(delivery);
	/* due, and locked by somebody: again soon, without spinning */
	if (delivery->next_due <= now || is_replayed_to(delivery))
		delivery->next_due = now + LOCKED_DELAY_USECS;
}

/* Is it to ask for more of a replay when nothing else is due? */
static bool
is_replayed_to(const EeDelivery *delivery)
{
	return delivery->lane.index == 0 &&
		ee_replay_feed_wanted(delivery->subscription->number);
}

/* ----------------------------------------------- what becomes of each event */

static void
delete_done(EeGroup *group, const EeDue *due, int n)
{
	int64		seqs[EE_GROUP_MAX];

	for (int i = 0; i < n; i++)
		seqs[i] = due[i].seq;
	ee_retry_delete(group->delivery, seqs, n);
}

static void
stop_chain(EeGroup *group, const EeDue *due, bool waits)
{
	Chunk	   *chunk = group->arg;

	if (!waits || due->key == NULL)
		return;
	chunk->stopped[due->chain] = true;
	ee_order_block(group->delivery, due->key);
}

/* It stays parked. */
static bool
is_stopped(EeGroup *group, const EeDue *due)
{
	Chunk	   *chunk = group->arg;

	return due->key != NULL && chunk->stopped[due->chain];
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
		int			attempts = ee_retry_attempt(subscription,
												&progress->first);

		if (!ee_retry_failed(delivery, cursor, due.event, due.seq, attempts,
							 error,
							 TimestampDifferenceMilliseconds(progress->began,
															 GetCurrentTimestamp())) &&
			due.key != NULL)
			ee_order_advance(delivery, &due.key, 1);
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
