/*
 * executor.c
 *	  One a role with subscriptions: delivers, as that role.
 *
 * The process is the role's own session, so a handler can reach nothing that
 * its owner could not reach from psql.  It keeps the cursors of its
 * subscriptions in memory; a lock on (database, role) sees to it that there
 * is one such process, another on each subscription lets sessions step in
 * between.
 *
 * It ends when there has been nothing to do for a while.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "delivery/crash_guard.h"
#include "delivery/retry_round.h"
#include "delivery/round.h"
#include "ground/config.h"
#include "ground/extension.h"
#include "ground/invalidate.h"
#include "ground/shared.h"
#include "registry/registry_cache.h"
#include "routing/subscription.h"
#include "worker/executor.h"
#include "worker/log_watch.h"
#include "worker/worker_main.h"

static EeWorkerSlot *slot;
static Oid	role;

/* what this process delivers, in a context that goes with it */
static MemoryContext set_context = NULL;
static List *deliveries = NIL;
static uint64 subscriptions_generation = 0;
static uint64 registry_generation = 0;

/* see crash_guard.h */
static bool guarded = false;
static bool survived = false;

static bool claim_role(void);
static bool guarded_work_left(void);
static void note_survival(void);
static bool set_is_current(void);
static void read_set(void);
static void publish_interest(void);
static bool run_all(void);
static bool run_one(EeDelivery *delivery);
static void note_news(void);
static void mark_all_behind(void);
static long next_wait(TimestampTz idle_since);
static TimestampTz earliest_due(void);
static void count_round(const EeRound *round);

void
ee_executor_main(Datum arg)
{
	EeWorkerStart start;
	TimestampTz idle_since = GetCurrentTimestamp();
	TimestampTz polled_at = 0;

	ee_worker_signals();
	ee_worker_read_start(&start);
	slot = ee_shared_attach_executor(start.index, start.generation);
	if (slot == NULL)
		proc_exit(0);
	role = start.roleid;
	ee_worker_connect(start.dbid, role, "event_engine executor");
	if (!claim_role())
		proc_exit(0);

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
			if (TimestampDifferenceExceeds(polled_at, now,
										   ee_config_delivery_poll_interval))
			{
				if (ee_log_watch_any())
					mark_all_behind();
				polled_at = now;
			}
			pg_atomic_write_u64(&slot->busy_since, now);
			worked = run_all();
			pg_atomic_write_u64(&slot->busy_since, 0);
		}
		now = GetCurrentTimestamp();
		if (!survived && !guarded_work_left())
			note_survival();
		if (worked)
			idle_since = now;
		else
		{
			if (TimestampDifferenceExceeds(idle_since, now,
										   ee_config_worker_idle_timeout) &&
				earliest_due() > now + ee_config_worker_idle_timeout * INT64CONST(1000) &&
				ee_shared_executor_retire())
				proc_exit(0);
			pgstat_report_activity(STATE_IDLE, NULL);
			ee_worker_wait(next_wait(idle_since), EE_WAIT_EXECUTOR);
		}
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * One executor a role: the lock is the session's, so it goes with the
 * process, whatever becomes of shared memory.
 */
static bool
claim_role(void)
{
	LOCKTAG		tag;
	bool		claimed;

	ee_worker_begin();
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId,
					   ee_extension_relid(EE_REL_SUBSCRIPTIONS), role, 1);
	claimed = LockAcquire(&tag, ExclusiveLock, true, true) !=
		LOCKACQUIRE_NOT_AVAIL;
	if (claimed)
		guarded = ee_crash_guard_start(role);
	ee_worker_commit();
	return claimed;
}

/*
 * Guarded, all that was waiting is worked off first; else one round for each
 * subscription is proof enough, as a batch that takes the process down is the
 * first after its cursor.
 */
static bool
guarded_work_left(void)
{
	ListCell   *lc;

	if (set_context == NULL || subscriptions_generation == 0)
		return true;
	if (guarded)
		foreach(lc, deliveries)
		{
			EeDelivery *delivery = lfirst(lc);

			if (delivery->behind ||
				delivery->next_due <= GetCurrentTimestamp())
				return true;
		}
	return false;
}

static void
note_survival(void)
{
	ListCell   *lc;

	ee_worker_begin();
	ee_crash_guard_survived(role);
	ee_worker_commit();
	survived = true;
	guarded = false;
	foreach(lc, deliveries)
		((EeDelivery *) lfirst(lc))->guarded = false;
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
		ee_invalidate_generation(EE_REL_EVENT_DEFINITIONS);
}

static void
read_set(void)
{
	MemoryContext old;
	ListCell   *lc;

	if (set_context != NULL)
		MemoryContextDelete(set_context);
	deliveries = NIL;
	set_context = AllocSetContextCreate(TopMemoryContext,
										"event_engine deliveries",
										ALLOCSET_DEFAULT_SIZES);
	ee_worker_begin();
	old = MemoryContextSwitchTo(set_context);
	subscriptions_generation = ee_invalidate_watch(EE_REL_SUBSCRIPTIONS);
	registry_generation = ee_invalidate_watch(EE_REL_EVENT_DEFINITIONS);
	PushActiveSnapshot(GetLatestSnapshot());
	foreach(lc, ee_subscription_load_all(role))
	{
		EeSubscription *subscription = lfirst(lc);
		EeDelivery *delivery;

		if (subscription->status != EE_SUBSCRIPTION_ACTIVE ||
			subscription->kind == EE_SUBSCRIPTION_PULL)
			continue;
		delivery = ee_round_delivery(subscription, subscriptions_generation,
									 set_context);
		ee_round_expand(delivery);
		delivery->guarded = guarded &&
			subscription->kind == EE_SUBSCRIPTION_HANDLER;
		deliveries = lappend(deliveries, delivery);
	}
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	publish_interest();
	ee_worker_commit();
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

	memset(&interest, 0, sizeof(interest));
	foreach(lc, deliveries)
	{
		EeDelivery *delivery = lfirst(lc);

		for (int w = 0; w < EE_PATTERN_WORDS; w++)
			interest.words[w] |= delivery->interest.words[w];
	}
	ee_shared_pattern_store(&slot->interest, &interest);
	mark_all_behind();
}

static void
mark_all_behind(void)
{
	ListCell   *lc;

	foreach(lc, deliveries)
		((EeDelivery *) lfirst(lc))->behind = true;
}

static void
note_news(void)
{
	EePatternSet news;
	ListCell   *lc;

	if (!ee_shared_pattern_take(&slot->news, &news))
		return;
	foreach(lc, deliveries)
	{
		EeDelivery *delivery = lfirst(lc);

		for (int w = 0; w < EE_PATTERN_WORDS && !delivery->behind; w++)
			delivery->behind =
				(delivery->interest.words[w] & news.words[w]) != 0;
	}
}

/* -------------------------------------------------------------------- work */

/*
 * A round for each that has something to do, so that none waits for another
 * to work off its backlog.  True when there was any.
 */
static bool
run_all(void)
{
	bool		worked = false;
	ListCell   *lc;

	foreach(lc, deliveries)
	{
		EeDelivery *delivery = lfirst(lc);

		if (!delivery->behind &&
			delivery->next_due > GetCurrentTimestamp())
			continue;
		if (run_one(delivery))
			worked = true;
		CHECK_FOR_INTERRUPTS();
		/* the set is read again before anything else is done with it */
		if (subscriptions_generation == 0)
			return true;
	}
	return worked;
}

static bool
run_one(EeDelivery *delivery)
{
	bool		worked = false;
	EeRound		round;

	if (delivery->behind)
	{
		pgstat_report_activity(STATE_RUNNING,
							   delivery->subscription->subscriber);
		round = delivery->guarded ?
			ee_crash_guard_take(delivery, &ee_worker_unit) :
			ee_round_deliver(delivery, &ee_worker_unit, INT_MAX);
		count_round(&round);
		if (round.outcome == EE_ROUND_STALE)
		{
			subscriptions_generation = 0;
			return true;
		}
		/* somebody steps in between: try again soon, without spinning */
		worked = round.outcome != EE_ROUND_LOCKED &&
			(round.outcome != EE_ROUND_IDLE || delivery->behind);
	}
	if (delivery->next_due <= GetCurrentTimestamp())
	{
		round = ee_retry_round(delivery, &ee_worker_unit);
		count_round(&round);
		if (round.outcome == EE_ROUND_STALE)
		{
			subscriptions_generation = 0;
			return true;
		}
		worked |= round.outcome == EE_ROUND_DONE ||
			round.outcome == EE_ROUND_FAILED;
	}
	return worked;
}

static void
count_round(const EeRound *round)
{
	if (round->delivered > 0)
	{
		pg_atomic_write_u64(&slot->events,
							pg_atomic_read_u64(&slot->events) +
							round->delivered);
		pg_atomic_write_u64(&slot->batches,
							pg_atomic_read_u64(&slot->batches) + 1);
	}
	if (round->outcome == EE_ROUND_FAILED)
		pg_atomic_write_u64(&slot->failures,
							pg_atomic_read_u64(&slot->failures) + 1);
}

/* ------------------------------------------------------------------- waits */

static TimestampTz
earliest_due(void)
{
	TimestampTz earliest = DT_NOEND;
	ListCell   *lc;

	foreach(lc, deliveries)
	{
		EeDelivery *delivery = lfirst(lc);

		earliest = Min(earliest, delivery->next_due);
	}
	return earliest;
}

static long
next_wait(TimestampTz idle_since)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = earliest_due();
	long		wait = ee_config_delivery_poll_interval;
	ListCell   *lc;

	if (due != DT_NOEND)
		wait = Min(wait, TimestampDifferenceMilliseconds(now, due));
	wait = Min(wait, TimestampDifferenceMilliseconds(now,
													 idle_since + ee_config_worker_idle_timeout * INT64CONST(1000)) + 1);
	/* a subscription that was locked */
	foreach(lc, deliveries)
		if (((EeDelivery *) lfirst(lc))->behind)
			wait = Min(wait, 10);
	return Max(wait, 1);
}
