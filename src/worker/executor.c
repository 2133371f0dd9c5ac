/*
 * executor.c
 *	  One or several a role with subscriptions: deliver, as that role.
 *
 * The process is the role's own session, so a handler can reach nothing that
 * its owner could not reach from psql.  It keeps the cursors of its
 * lanes in memory; a lock on (database, role, member) sees to it that there
 * is one such process, another on each lane lets sessions step in between.
 * Which member delivers a lane follows from the subscriptions of the role, so
 * all who know of the same ones agree.  For a moment two may not, and deliver
 * a lane in turn: then the number of the cursor's move, which is unique, ends
 * the one who did not know of the other.
 *
 * Urgent lanes go first, and when news for them come a batch of a less urgent
 * one is cut short.  Those of a class other than normal are made when the log
 * has the first event of that class: an installation that uses no priorities
 * has no cost of them.
 *
 * A helper (helper.h) is an executor too: it knows the lanes of all members,
 * and delivers those of members that are stuck.
 *
 * It ends when there has been nothing to do for a while.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "delivery/crash_guard.h"
#include "delivery/flow.h"
#include "delivery/idle.h"
#include "delivery/lane.h"
#include "delivery/offer.h"
#include "delivery/round.h"
#include "ground/clock.h"
#include "ground/config.h"
#include "ground/extension.h"
#include "ground/invalidate.h"
#include "ground/shared.h"
#include "registry/registry_cache.h"
#include "routing/subscription.h"
#include "worker/executor.h"
#include "worker/helper.h"
#include "worker/lane_list.h"
#include "worker/log_watch.h"
#include "worker/role_lock.h"
#include "worker/sparse.h"
#include "worker/worker_main.h"

/* Between two looks at a subscription that somebody else has locked. */
#define LOCKED_INTERVAL_MS	10
/* Between two looks of a helper at who is stuck. */
#define HELP_INTERVAL_MS	100
/* As many lanes of sparse subscriptions stay awake with nothing to do. */
#define SPARSE_AWAKE		256

static EeWorkerSlot *slot;
static Oid	role;
static int	member;
static bool is_helper;
static const EeExecutorAlone *alone = NULL;	/* see ee_executor_run_alone() */
static uint32 helped = 0;		/* rounds that were done for us, as we know */
static int	helping = 0;		/* the member that a round is done for */

/* what this process delivers, in a context that goes with it */
static MemoryContext set_context = NULL;
static List *lanes[EE_N_PRIORITIES];
static bool class_used[EE_N_PRIORITIES];	/* its lanes have been made */
static int	members;			/* executors that share the lanes of the role */
static uint32 turn = 0;			/* see run_all() */
static uint64 subscriptions_generation = 0;
static uint64 registry_generation = 0;

/* see look_at_all() */
static bool looked = false;
static TimestampTz looked_at = 0;
static bool resting = false;	/* outside of all work */

/* see crash_guard.h */
static bool guarded = false;
static bool survived = false;

static pg_noreturn void run(void);
static int	poll_interval(void);
static bool claim_role(void);
static void abort_unit(void);
static bool guarded_work_left(void);
static void note_survival(void);
static void look_for_stuck(void);
static void note_help(void);
static void read_again_if_asleep(void);
static void commit_help(void);
static void end_help(void);
static bool set_is_current(void);
static void read_set(void);
static void add_lanes(EeSubscription *subscription);
static void note_woken(EeDelivery *delivery);
static void use_class(EePriority class);
static void publish_interest(void);
static bool run_all(void);
static bool run_class(EePriority class, bool *busy);
static bool run_urgent(EePriority class);
static bool is_ready(const EeDelivery *delivery, TimestampTz now);
static bool is_ours(const EeDelivery *delivery);
static bool run_one(EeDelivery *delivery);
static void note_news(void);
static void use_classes(void);
static void mark_all_behind(void);
static bool poll_log(void);
static bool is_behind(void);
static long next_wait(TimestampTz idle_since);
static void look_at_all(void);
static void store_positions(void);
static void store_at_exit(int code, Datum arg);

static const EeUnit executor_unit = {
	ee_worker_begin, ee_worker_commit, abort_unit, false,
	ee_shared_more_urgent
};
static const EeUnit helper_unit = {
	ee_worker_begin, commit_help, abort_unit, false,
	ee_shared_more_urgent
};

void
ee_executor_main(Datum arg)
{
	EeWorkerStart start;

	ee_worker_signals();
	ee_worker_read_start(&start);
	slot = ee_shared_attach_executor(start.index, start.generation);
	if (slot == NULL)
		proc_exit(0);
	role = start.roleid;
	member = start.member;
	is_helper = member >= EE_FIRST_HELPER;
	ee_worker_connect(start.dbid, role, "event_engine executor");
	run();
}

void
ee_executor_run_alone(Oid roleid, const EeExecutorAlone *how)
{
	slot = ee_shared_private_executor();
	role = roleid;
	alone = how;
	run();
}

static int
poll_interval(void)
{
	return alone ? alone->poll_interval_ms : ee_config_delivery_poll_interval;
}

static void
run(void)
{
	TimestampTz idle_since = GetCurrentTimestamp();
	TimestampTz polled_at = 0;
	bool		leaving = false;	/* once everything has been looked at */

	if (!claim_role())
		proc_exit(0);
	before_shmem_exit(store_at_exit, (Datum) 0);

	for (;;)
	{
		bool		worked = false;
		TimestampTz now;

		if (ee_config_delivery_enabled)
		{
			if (pg_atomic_exchange_u32(&slot->changed, 0) != 0 ||
				!set_is_current())
				read_set();
			note_news();
			now = GetCurrentTimestamp();
			/* the clock went back */
			if (now < idle_since)
			{
				ee_lane_list_mark(lanes, member);
				idle_since = now;
			}
			if (ee_clock_exceeds(polled_at, now, poll_interval()))
			{
				bool		moved = poll_log();

				if (alone && alone->upkeep(moved))
					ee_lane_list_mark(lanes, member);
				polled_at = now;
			}
			if (is_helper)
				look_for_stuck();
			else
				note_help();
			if (ee_clock_exceeds(looked_at, now,
										   ee_config_delivery_position_interval))
				look_at_all();
			worked = run_all();
			pg_atomic_write_u64(&slot->busy_since, 0);
			if (looked && subscriptions_generation != 0)
				store_positions();
		}
		now = GetCurrentTimestamp();
		if (!survived && !guarded_work_left())
			note_survival();
		leaving = leaving && !worked;
		if (worked)
		{
			idle_since = now;
			/* handlers publish, and nobody tells */
			if (alone)
				polled_at = 0;
		}
		else if (is_helper && ee_helper_is_done())
			end_help();
		else
		{
			if (!is_helper && !alone &&
				ee_clock_exceeds(idle_since, now,
										   ee_config_worker_idle_timeout) &&
				ee_lane_list_due(lanes) > now + ee_config_worker_idle_timeout * INT64CONST(1000) &&
				!is_behind() && !leaving)
			{
				look_at_all();
				leaving = true;
				continue;
			}
			if (leaving && !is_behind() &&
				ee_shared_executor_retire())
			{
				/* nobody tells of a prepared transaction: look once more */
				if (!poll_log())
					proc_exit(0);
				continue;
			}
			pgstat_report_activity(STATE_IDLE, NULL);
			resting = true;
			ee_worker_wait(next_wait(idle_since), EE_WAIT_EXECUTOR);
			resting = false;
		}
		CHECK_FOR_INTERRUPTS();
		/* with work without end there is no wait that would do it */
		ee_worker_reload();
	}
}

static bool
claim_role(void)
{
	bool		claimed;

	ee_worker_begin();
	claimed = ee_role_lock_claim(role, member);
	if (claimed)
		guarded = ee_crash_guard_start(role, member);
	ee_worker_commit();
	return claimed;
}

static void
abort_unit(void)
{
	ee_role_lock_lose();
	ee_worker_abort();
	ee_role_lock_again();
}

/*
 * Guarded, all that was waiting is worked off first; else one round for each
 * subscription is proof enough, as a batch that takes the process down is the
 * first after its cursor.
 */
static bool
guarded_work_left(void)
{
	if (set_context == NULL || subscriptions_generation == 0)
		return true;
	return guarded && (is_behind() ||
					   ee_lane_list_due(lanes) <= GetCurrentTimestamp());
}

static void
note_survival(void)
{
	ListCell   *lc;

	ee_worker_begin();
	ee_crash_guard_survived(role, member);
	ee_worker_commit();
	survived = true;
	guarded = false;
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		foreach(lc, lanes[class])
			((EeDelivery *) lfirst(lc))->guarded = false;
}

/* -------------------------------------------------------------------- help */

/* What they had to do when they got stuck nobody has told us. */
static void
look_for_stuck(void)
{
	if (!ee_helper_look(role, member))
		return;
	read_again_if_asleep();
	for (int i = 0; i < EE_FIRST_HELPER; i++)
		if (ee_helper_stands_in(i))
			ee_lane_list_mark(lanes, i);
}

/* Somebody has stood in for us: look at all that he may have left. */
static void
note_help(void)
{
	if (helped == ee_shared_executor_helped())
		return;
	helped = ee_shared_executor_helped();
	read_again_if_asleep();
	ee_lane_list_mark(lanes, member);
}

/* What somebody else has done with lanes that sleep, the tables tell. */
static void
read_again_if_asleep(void)
{
	if (ee_sparse_any())
		read_set();
}

/* The member hears of it before it can have the lane, and when it is done. */
static void
commit_help(void)
{
	ee_shared_executor_help(MyDatabaseId, role, helping);
	ee_worker_commit();
	ee_shared_executor_help(MyDatabaseId, role, helping);
}

/* Its patterns are watched by the members. */
static void
end_help(void)
{
	EePatternSet none;

	if (!survived)
		note_survival();
	memset(&none, 0, sizeof(none));
	ee_shared_pattern_store(&slot->interest, &none);
	(void) ee_shared_pattern_take(&slot->news, &none);
	proc_exit(0);
}

/* --------------------------------------------------- what there is to deliver */

static bool
set_is_current(void)
{
	if (set_context == NULL)
		return false;
	AcceptInvalidationMessages();
	return subscriptions_generation ==
		ee_invalidate_generation(EE_REL_SUBSCRIPTIONS) &&
		registry_generation ==
		ee_invalidate_generation(EE_REL_EVENT_DEFINITIONS) &&
		ee_sparse_is_current();
}

static void
read_set(void)
{
	MemoryContext old;
	List	   *subscriptions;
	List	   *ours = NIL;
	ListCell   *lc;

	ee_sparse_forget();
	if (set_context != NULL)
		MemoryContextDelete(set_context);
	memset(lanes, 0, sizeof(lanes));
	memset(class_used, 0, sizeof(class_used));
	set_context = AllocSetContextCreate(TopMemoryContext,
										"event_engine deliveries",
										ALLOCSET_DEFAULT_SIZES);
	ee_worker_begin();
	old = MemoryContextSwitchTo(set_context);
	subscriptions_generation = ee_invalidate_watch(EE_REL_SUBSCRIPTIONS);
	registry_generation = ee_invalidate_watch(EE_REL_EVENT_DEFINITIONS);
	PushActiveSnapshot(GetLatestSnapshot());
	subscriptions = ee_subscription_load_all(role);
	members = alone ? 1 : ee_lane_members(subscriptions, role);
	foreach(lc, subscriptions)
	{
		EeSubscription *subscription = lfirst(lc);

		if (subscription->status == EE_SUBSCRIPTION_ACTIVE &&
			subscription->kind != EE_SUBSCRIPTION_PULL &&
			(subscription->concurrency > 1 ||
			 is_helper ||
			 ee_lane_member(subscription, 0, members) == member))
			ours = lappend(ours, subscription);
	}
	foreach(lc, ee_sparse_read(ours, role, subscriptions_generation,
							   set_context, note_woken))
		add_lanes(lfirst(lc));
	class_used[EE_PRIORITY_NORMAL] = true;
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	publish_interest();
	ee_worker_commit();
}

/* Those that this member delivers; a helper might deliver any. */
static void
add_lanes(EeSubscription *subscription)
{
	for (int i = 0; i < subscription->concurrency; i++)
	{
		EeDelivery *delivery;
		int			its_member = ee_lane_member(subscription, i, members);

		if (its_member != member && !is_helper)
			continue;
		delivery = ee_round_delivery(subscription, i,
									 subscriptions_generation, set_context);
		delivery->member = its_member;
		delivery->borrowed = is_helper;
		ee_round_expand(delivery);
		delivery->guarded = guarded &&
			subscription->kind != EE_SUBSCRIPTION_NOTIFY;
		lanes[EE_PRIORITY_NORMAL] = lappend(lanes[EE_PRIORITY_NORMAL],
											delivery);
	}
}

/* A lane of a sparse subscription has been asleep until now. */
static void
note_woken(EeDelivery *delivery)
{
	MemoryContext old = MemoryContextSwitchTo(set_context);

	delivery->guarded = guarded;
	if (delivery->base == delivery)
		delivery->member = ee_lane_member(delivery->subscription, 0, members);
	lanes[delivery->lane.class] = lappend(lanes[delivery->lane.class],
										  delivery);
	MemoryContextSwitchTo(old);
}

/* There are events of this class: make its lanes, if they are not there. */
static void
use_class(EePriority class)
{
	bool		begun = IsTransactionState();
	ListCell   *lc;

	if (class_used[class])
		return;
	foreach(lc, lanes[EE_PRIORITY_NORMAL])
	{
		EeDelivery *base = lfirst(lc);
		EeDelivery *delivery = base->sparse >= 0 ? NULL :
			ee_round_beside(base, class, set_context);
		MemoryContext old = MemoryContextSwitchTo(set_context);

		if (delivery != NULL)
			lanes[class] = lappend(lanes[class], delivery);
		MemoryContextSwitchTo(old);
	}
	if (!begun)
		ee_worker_begin();
	ee_sparse_use_class(class);
	if (!begun)
		ee_worker_commit();
	class_used[class] = true;
}

/*
 * From here on publishers wake us; what was committed before is seen by the
 * snapshots that come now, for all deliveries are marked behind.
 */
static void
publish_interest(void)
{
	EePatternSet interest;
	ListCell   *lc;

	interest = *ee_sparse_interest();
	foreach(lc, lanes[EE_PRIORITY_NORMAL])
	{
		EeDelivery *delivery = lfirst(lc);

		ee_shared_pattern_union(&interest, &delivery->interest);
	}
	ee_shared_pattern_store(&slot->interest, &interest);
	use_classes();
	mark_all_behind();
}

/* In a transaction. */
static void
use_classes(void)
{
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		if (!class_used[class] && ee_log_reader_any(class))
			use_class(class);
}

static void
mark_all_behind(void)
{
	ListCell   *lc;

	for (int class = 0; class < EE_N_PRIORITIES; class++)
		foreach(lc, lanes[class])
		{
			EeDelivery *delivery = lfirst(lc);

			if (delivery->sparse < 0)
				delivery->behind = true;
		}
	ee_sparse_note_all();
}

/* Has anything come of which nobody told? */
static bool
poll_log(void)
{
	if (!ee_log_watch_any())
		return false;
	ee_worker_begin();
	use_classes();
	ee_worker_commit();
	mark_all_behind();
	return true;
}

static void
note_news(void)
{
	EePatternSet news;
	ListCell   *lc;

	/* whoever sets a bit again from here on has set those of news before */
	if (pg_atomic_read_u32(&slot->urgent) != 0)
		pg_atomic_exchange_u32(&slot->urgent, 0);
	if (!ee_shared_pattern_take(&slot->news, &news))
		return;
	for (int class = 0; class < EE_N_PRIORITIES; class++)
	{
		EePatternSet of_class = news;

		if (!ee_shared_pattern_has(&news, class))
			continue;
		use_class(class);
		ee_shared_pattern_restrict(&of_class, 1 << class);
		/* some lanes of class normal take all */
		foreach(lc, lanes[EE_PRIORITY_NORMAL])
		{
			EeDelivery *delivery = lfirst(lc);

			if ((delivery->lane.classes & (1 << class)) != 0 &&
				delivery->sparse < 0)
				ee_round_told(delivery, &of_class);
		}
		if (ee_shared_pattern_overlap(ee_sparse_interest(), &of_class))
			ee_sparse_note(class);
		if (class == EE_PRIORITY_NORMAL)
			continue;
		foreach(lc, lanes[class])
		{
			EeDelivery *delivery = lfirst(lc);

			if (delivery->sparse < 0 &&
				ee_shared_pattern_overlap(&delivery->interest, &of_class))
				delivery->behind = true;
		}
	}
}

/* -------------------------------------------------------------------- work */

/*
 * A round for each lane that has something to do, so that none waits for
 * another to work off its backlog; the most urgent class first.  The others
 * wait while it goes on, but for one turn in EE_LOW_SHARE.  True when there
 * was any.
 */
static bool
run_all(void)
{
	bool		worked = false;
	bool		busy = false;

	turn++;
	for (int class = 0; class < EE_N_PRIORITIES; class++)
	{
		if (busy && turn % EE_LOW_SHARE != 0)
			break;
		worked |= run_class(class, &busy);
		/* the set is read again before anything else is done with it */
		if (subscriptions_generation == 0)
			return true;
	}
	ee_lane_list_sleep(lanes, SPARSE_AWAKE);
	return ee_sparse_store(&executor_unit) || worked;
}

/* *busy: it worked and has more to do. */
static bool
run_class(EePriority class, bool *busy)
{
	bool		worked = ee_sparse_look(class, &executor_unit);
	int			slice_ms = ee_lane_list_slice(lanes[class], is_ready);
	ListCell   *lc;

	foreach(lc, lanes[class])
	{
		EeDelivery *delivery = lfirst(lc);

		if (!is_ready(delivery, GetCurrentTimestamp()))
			continue;
		delivery->slice_ms = slice_ms;
		if (ee_shared_more_urgent(class))
			worked |= run_urgent(class);
		if (subscriptions_generation == 0)
			return true;
		if (run_one(delivery))
		{
			worked = true;
			*busy |= is_ready(delivery, GetCurrentTimestamp());
		}
		CHECK_FOR_INTERRUPTS();
		if (subscriptions_generation == 0)
			return true;
	}
	return worked;
}

/* News have come that cannot wait until a round of this class is over. */
static bool
run_urgent(EePriority class)
{
	bool		worked = false;
	bool		busy;

	note_news();
	for (int urgent = 0; urgent < class; urgent++)
		if (urgent != EE_PRIORITY_NORMAL && subscriptions_generation != 0)
			worked |= run_class(urgent, &busy);
	return worked;
}

static bool
is_ready(const EeDelivery *delivery, TimestampTz now)
{
	return (delivery->behind || delivery->next_due <= now) &&
		!ee_flow_is_held(delivery, now) && is_ours(delivery);
}

/* Is it to be delivered by this process, at this moment? */
static bool
is_ours(const EeDelivery *delivery)
{
	return !is_helper || ee_helper_stands_in(delivery->member);
}

static bool
run_one(EeDelivery *delivery)
{
	const EeUnit *unit = is_helper ? &helper_unit : &executor_unit;
	bool		locked = false;
	bool		worked = false;
	EeRound		round;

	pg_atomic_write_u64(&slot->busy_since, GetCurrentTimestamp());
	helping = delivery->member;
	if (delivery->behind)
	{
		pgstat_report_activity(STATE_RUNNING,
							   delivery->subscription->subscriber);
		round = ee_crash_guard_takes(delivery) ?
			ee_crash_guard_take(delivery, unit) :
			ee_flow_deliver(delivery, unit, INT_MAX);
		ee_shared_executor_count(round.delivered,
								 round.outcome == EE_ROUND_FAILED);
		if (round.outcome == EE_ROUND_STALE)
		{
			subscriptions_generation = 0;
			return true;
		}
		/* somebody steps in between: try again soon, without spinning */
		worked = round.outcome != EE_ROUND_LOCKED &&
			round.outcome != EE_ROUND_HELD &&
			(round.outcome != EE_ROUND_IDLE || delivery->behind);
		locked = round.outcome == EE_ROUND_LOCKED;
	}
	if (delivery->next_due <= GetCurrentTimestamp() &&
		!ee_flow_is_held(delivery, GetCurrentTimestamp()))
	{
		pgstat_report_activity(STATE_RUNNING,
							   delivery->subscription->subscriber);
		round = ee_flow_retry(delivery, unit, INT_MAX);
		ee_shared_executor_count(round.delivered,
								 round.outcome == EE_ROUND_FAILED);
		if (round.outcome == EE_ROUND_STALE)
		{
			subscriptions_generation = 0;
			return true;
		}
		worked |= round.outcome == EE_ROUND_DONE ||
			round.outcome == EE_ROUND_FAILED;
		locked |= round.outcome == EE_ROUND_LOCKED;
	}
	/* whoever is stuck has it in hand */
	if (locked && is_helper)
		delivery->held_until = GetCurrentTimestamp() +
			HELP_INTERVAL_MS * INT64CONST(1000);
	/* what was offered has been taken */
	if (!delivery->behind)
		ee_offer_drop(delivery);
	return worked;
}

/* ------------------------------------------------------------------- waits */

/* Idle lanes move when they are looked at; their positions are stored then. */
static void
look_at_all(void)
{
	if (is_helper)
		return;
	mark_all_behind();
	looked = true;
	looked_at = GetCurrentTimestamp();
}

static void
store_positions(void)
{
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		ee_idle_store(lanes[class], 1, &executor_unit);
	ee_lane_list_sleep(lanes, 0);
	ee_sparse_store_begin();
	looked = false;
}

/*
 * Told to end while it had nothing to do: the next one is to begin where this
 * one has come to.  As nothing can be interrupted any more, it waits for
 * nothing.
 */
static void
store_at_exit(int code, Datum arg)
{
	if (!resting || is_helper || set_context == NULL ||
		subscriptions_generation == 0)
		return;
	resting = false;
	synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
	if (ee_worker_is_free(EE_REL_SUBSCRIPTION_CURSOR_MOVES))
		store_positions();
}

static bool
is_behind(void)
{
	return ee_sparse_is_behind() || ee_lane_list_behind(lanes, is_ours);
}

static long
next_wait(TimestampTz idle_since)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz ready = ee_sparse_is_behind() ? DT_NOBEGIN :
		ee_lane_list_ready(lanes, is_ours);
	TimestampTz end = idle_since +
		ee_config_worker_idle_timeout * INT64CONST(1000);
	long		wait = poll_interval();

	if (is_helper)
		wait = Min(wait, HELP_INTERVAL_MS);
	if (ready != DT_NOEND)
		wait = Min(wait, TimestampDifferenceMilliseconds(now, ready));
	/* once that is over something else keeps us */
	if (end > now)
		wait = Min(wait, TimestampDifferenceMilliseconds(now, end) + 1);
	/* what is ready and was not done is locked: again soon, without spinning */
	return Max(wait, ready <= now ? LOCKED_INTERVAL_MS : 1);
}
