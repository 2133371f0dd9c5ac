/*
 * router.c
 *	  One a database: starts executors, keeps time, does the upkeep.
 *
 * Runs no user code and holds nothing that the next router could not find
 * again: publishers and executors do not notice when it dies.
 *
 * It watches the patterns of roles that have no executor ("asleep"), starts
 * one when something comes for them, when one of their deliveries is due, and
 * when the poll finds a transaction that nobody told of.
 */
#include "postgres.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "delivery/broken.h"
#include "delivery/lane.h"
#include "ground/clock.h"
#include "ground/config.h"
#include "ground/extension.h"
#include "ground/invalidate.h"
#include "ground/shared.h"
#include "ground/shared_counter.h"
#include "ground/shared_subscription.h"
#include "operations/incident.h"
#include "operations/maintenance.h"
#include "operations/queue_depth.h"
#include "registry/registry_cache.h"
#include "routing/subscription.h"
#include "store/log_state.h"
#include "store/milestone.h"
#include "worker/helper.h"
#include "worker/log_watch.h"
#include "worker/router.h"
#include "worker/worker_main.h"

#define MAINTENANCE_INTERVAL_MS 60000
#define MILESTONE_INTERVAL_MS	1000
#define RATES_INTERVAL_MS		5000
/* Percentiles are of the last one to two periods. */
#define PERIOD_INTERVAL_MS		(5 * 60 * 1000)
/* What these took while they were read is worth giving back. */
#define MANY_SUBSCRIPTIONS		1000
/* Between two starts of an executor that keeps failing. */
#define RESTART_INTERVAL_MS		500
/* Between two starts of one that somebody keeps terminating. */
#define TERMINATED_INTERVAL_MS	100
#define RESTART_INTERVAL_MAX_MS	60000
/* A role that sleeps is worth waking when the log has grown by so much. */
#define BEHIND_WORTH			1000
/* While some role waits for its executor. */
#define WANTED_INTERVAL_MS		100

/* An executor that a role is to have when there is something to deliver. */
typedef struct Role
{
	Oid			roleid;
	int			member;
	EePatternSet interest;
	int			lanes;			/* that it delivers */
	int64		woken_seq;		/* end of the log when it was last woken */
	TimestampTz started_at;		/* of its latest executor, 0: never */
	bool		asleep;			/* has no executor, as watch() has seen */
	bool		wanted;			/* start one as soon as may be */
	int			delay_ms;		/* between starts: longer at each failure */
	uint32		failures;		/* in this database when it was started */
} Role;

static EeDatabaseSlot *slot;
static MemoryContext roles_context = NULL;
static List *roles = NIL;
static uint64 subscriptions_generation = 0;
static uint64 registry_generation = 0;
static bool warned_slots = false;

/* those that stand in for executors that are stuck, once they were started */
static List *helpers = NIL;

static TimestampTz maintained_at = 0;
static bool had_patterns = false;

/* when a role without an executor is due; DT_NOBEGIN: to be looked up */
static TimestampTz next_due = DT_NOBEGIN;

static void tell_at_exit(int code, Datum arg);
static void read_roles(void);
static void keep_shared(const List *subscriptions, TimestampTz as_of);
static void add_to_role(const EeSubscription *subscription, int members,
						List *patterns);
static Role *find_role(List *list, Oid roleid, int member);
static bool roles_are_current(void);
static void watch(void);
static void note_news(void);
static void poll_log(void);
static void poll_due(void);
static void wake_behind(TimestampTz now);
static bool start_wanted(void);
static TimestampTz start_helpers(void);
static void start_executor(Role *role, TimestampTz now);
static bool may_start(Role *role, TimestampTz now);

void
ee_router_main(Datum arg)
{
	EeWorkerStart start;
	TimestampTz polled_at;
	TimestampTz milestone_at = 0;
	TimestampTz looked_at = GetCurrentTimestamp();
	long		look_interval = 0;
	TimestampTz counted_at = GetCurrentTimestamp();
	TimestampTz rotated_at = counted_at;

	ee_worker_signals();
	ee_worker_read_start(&start);
	slot = ee_shared_attach_router(start.index, start.generation);
	if (slot == NULL)
		proc_exit(0);
	ee_worker_connect(start.dbid, InvalidOid, "event_engine router");
	ee_worker_await_version(&slot->waits);
	/* what executors that we start do not see, we shall */
	(void) ee_log_watch_late();
	ee_incident_started(&ee_worker_unit);
	before_shmem_exit(tell_at_exit, (Datum) 0);
	read_roles();
	watch();
	polled_at = GetCurrentTimestamp();

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		long		wait = ee_config_delivery_poll_interval;
		TimestampTz next_stuck;

		/* a restore goes on with nobody touching what it brings */
		if (!ee_config_delivery_enabled)
		{
			pgstat_report_activity(STATE_IDLE, NULL);
			ee_worker_wait(wait, EE_WAIT_ROUTER);
			continue;
		}
		if (pg_atomic_exchange_u32(&slot->changed, 0) != 0 ||
			!roles_are_current())
			read_roles();
		watch();
		note_news();
		ee_incident_publish(&ee_worker_unit);
		if (ee_clock_exceeds(polled_at, now,
									   ee_config_delivery_poll_interval))
		{
			poll_log();
			next_due = DT_NOBEGIN;
			polled_at = now;
		}
		if (ee_clock_exceeds(counted_at, now, RATES_INTERVAL_MS))
		{
			bool		rotate = ee_clock_exceeds(rotated_at, now,
														PERIOD_INTERVAL_MS);

			/* at least so much, where the clock went back */
			double		seconds = Max((now - counted_at) / 1000000.0,
									  RATES_INTERVAL_MS / 1000.0);

			ee_shared_counter_tick(seconds);
			ee_shared_subscription_tick(seconds, rotate);
			counted_at = now;
			if (rotate)
				rotated_at = now;
		}
		if (ee_clock_exceeds(looked_at, now, look_interval))
		{
			look_interval = ee_queue_depth_look(&ee_worker_unit);
			looked_at = now;
		}
		if (ee_queue_depth_wanted())
			wait = Min(wait, look_interval);
		if (next_due <= now)
			poll_due();
		wake_behind(now);
		if (next_due != DT_NOEND)
			wait = Min(wait, TimestampDifferenceMilliseconds(now, next_due) + 1);
		if (start_wanted())
			wait = Min(wait, WANTED_INTERVAL_MS);
		next_stuck = start_helpers();
		if (next_stuck != DT_NOEND)
			wait = Min(wait, TimestampDifferenceMilliseconds(now, next_stuck) + 1);

		if (ee_clock_exceeds(milestone_at, now,
									   MILESTONE_INTERVAL_MS) &&
			pg_atomic_exchange_u32(&slot->dirty, 0) != 0)
		{
			ee_worker_begin();
			ee_milestone_store();
			ee_worker_commit();
			milestone_at = now;
			wait = Min(wait, MILESTONE_INTERVAL_MS);
		}
		if (ee_clock_exceeds(maintained_at, now,
									   MAINTENANCE_INTERVAL_MS))
		{
			ee_maintenance_run(&ee_worker_unit);
			maintained_at = now;
		}
		if (ee_clock_exceeds(milestone_at, now, 0) &&
			!ee_clock_exceeds(milestone_at, now,
										MILESTONE_INTERVAL_MS))
			wait = Min(wait, MILESTONE_INTERVAL_MS);
		pgstat_report_activity(STATE_IDLE, NULL);
		ee_worker_wait(wait, EE_WAIT_ROUTER);
	}
}

/*
 * Told to stop, with the server or alone.  As with the server's own callbacks
 * of this kind nothing can interrupt it any more: it waits for no lock and for
 * no standby, and rather says nothing.
 */
static void
tell_at_exit(int code, Datum arg)
{
	if (!ee_shared_was_terminated())
		return;
	AbortOutOfAnyTransaction();
	synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
	if (ee_worker_is_free(EE_REL_EVENTS))
		ee_incident_stopped(&ee_worker_unit);
}

/* ------------------------------------------------------------------- roles */

static bool
roles_are_current(void)
{
	return subscriptions_generation ==
		ee_invalidate_generation(EE_REL_SUBSCRIPTIONS) &&
		registry_generation ==
		ee_invalidate_generation(EE_REL_EVENT_DEFINITIONS);
}

/* A role with subscriptions that somebody has just changed is wanted. */
static void
read_roles(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "event_engine roles",
												  ALLOCSET_SMALL_SIZES);
	List	   *previous = roles;
	TimestampTz as_of = GetCurrentTimestamp();
	List	   *patterns;
	List	   *subscriptions;
	Oid			owner = InvalidOid;
	int			members = 1;
	bool		many pg_attribute_unused();
	ListCell   *lc;

	roles = NIL;
	ee_worker_begin();
	subscriptions_generation = ee_invalidate_watch(EE_REL_SUBSCRIPTIONS);
	registry_generation = ee_invalidate_watch(EE_REL_EVENT_DEFINITIONS);
	PushActiveSnapshot(GetLatestSnapshot());
	patterns = ee_registry_cache_patterns();
	subscriptions = ee_subscription_load_all(InvalidOid);
	keep_shared(subscriptions, as_of);
	ee_queue_depth_read(subscriptions, patterns);
	foreach(lc, subscriptions)
	{
		EeSubscription *subscription = lfirst(lc);
		const char *reason;
		MemoryContext old;

		if (subscription->status != EE_SUBSCRIPTION_ACTIVE ||
			subscription->kind == EE_SUBSCRIPTION_PULL)
			continue;
		reason = ee_broken_owner(subscription);
		if (reason != NULL)
		{
			ee_broken_mark(subscription, reason);
			continue;
		}
		old = MemoryContextSwitchTo(context);
		/* asked for each role, not for each of very many subscriptions */
		if (subscription->owner != owner)
		{
			owner = subscription->owner;
			members = ee_lane_members(subscriptions, owner);
		}
		add_to_role(subscription, members, patterns);
		MemoryContextSwitchTo(old);
	}
	many = list_length(subscriptions) > MANY_SUBSCRIPTIONS;
	PopActiveSnapshot();
	ee_worker_commit();
#ifdef __GLIBC__
	/* the C library would keep it */
	if (many)
		malloc_trim(0);
#endif

	/* with the first definition there is something to make partitions for */
	if (patterns != NIL && !had_patterns)
		maintained_at = 0;
	had_patterns = patterns != NIL;

	foreach(lc, roles)
	{
		Role	   *role = lfirst(lc);
		Role	   *before = find_role(previous, role->roleid,
											role->member);

		role->started_at = before ? before->started_at : 0;
		role->delay_ms = before ? before->delay_ms : RESTART_INTERVAL_MS;
		role->woken_seq = before ? before->woken_seq : 0;
		role->failures = before ? before->failures :
			pg_atomic_read_u32(&slot->failures);
		role->wanted = true;
	}
	if (roles_context != NULL)
		MemoryContextDelete(roles_context);
	roles_context = context;
}

/* Those that are gone give their places in shared memory to others. */
static void
keep_shared(const List *subscriptions, TimestampTz as_of)
{
	int32	   *numbers = palloc(sizeof(int32) * (list_length(subscriptions) + 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, subscriptions)
		numbers[n++] = ((EeSubscription *) lfirst(lc))->number;
	ee_shared_subscription_keep(numbers, n, as_of);
	pfree(numbers);
}

static Role *
find_role(List *list, Oid roleid, int member)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		Role	   *role = lfirst(lc);

		if (role->roleid == roleid && role->member == member)
			return role;
	}
	return NULL;
}

/* The executors of its lanes. */
static void
add_to_role(const EeSubscription *subscription, int members, List *patterns)
{
	for (int i = 0; i < Min(subscription->concurrency, members); i++)
	{
		int			member = ee_lane_member(subscription, i, members);
		Role	   *role = find_role(roles, subscription->owner, member);
		ListCell   *lc;

		if (role == NULL)
		{
			role = palloc0(sizeof(Role));
			role->roleid = subscription->owner;
			role->member = member;
			roles = lappend(roles, role);
		}
		role->lanes += (subscription->concurrency - i + members - 1) / members;
		if (subscription->kind == EE_SUBSCRIPTION_WORKFLOW)
			ee_shared_subscription_add(&role->interest, subscription->number);
		foreach(lc, patterns)
		{
			const char *pattern = lfirst(lc);

			if (!ee_match_pattern(subscription->matcher, pattern,
								  strlen(pattern)))
				continue;
			for (int class = 0; class < EE_N_PRIORITIES; class++)
				ee_shared_pattern_add(&role->interest, pattern,
									  strlen(pattern), class);
		}
	}
}

/* ---------------------------------------------------------------- watching */

/*
 * Let publishers know of the patterns of roles without an executor.  An
 * executor that retires adds its own before it stops listening.
 */
static void
watch(void)
{
	EePatternSet asleep;
	ListCell   *lc;

	memset(&asleep, 0, sizeof(asleep));
	foreach(lc, roles)
	{
		Role	   *role = lfirst(lc);

		if (ee_shared_executor_exists(MyDatabaseId, role->roleid,
									  role->member))
		{
			role->asleep = false;
			continue;
		}
		/* it kept the time of its retries itself until now */
		if (!role->asleep)
			next_due = DT_NOBEGIN;
		role->asleep = true;
		ee_shared_pattern_union(&asleep, &role->interest);
	}
	/* only ever added to here: an executor may be retiring at this moment */
	for (int w = 0; w < EE_PATTERN_WORDS; w++)
		if (asleep.words[w] != 0)
			pg_atomic_fetch_or_u64(&slot->asleep.words[w], asleep.words[w]);
}

static void
note_news(void)
{
	EePatternSet news;
	ListCell   *lc;

	if (!ee_shared_pattern_take(&slot->news, &news))
		return;
	foreach(lc, roles)
	{
		Role	   *role = lfirst(lc);

		if (ee_shared_pattern_overlap(&role->interest, &news))
			role->wanted = true;
	}
}

/* Something that nobody told of: whoever sleeps is woken to look. */
static void
poll_log(void)
{
	ListCell   *lc;

	if (!ee_log_watch_late())
		return;
	foreach(lc, roles)
	{
		Role	   *role = lfirst(lc);

		/* an executor may be leaving, and then hands the news back to us */
		ee_shared_executor_nudge(MyDatabaseId, role->roleid);
		role->wanted = true;
	}
}

/* Whose deliveries are due, and when is the next of somebody who sleeps? */
static void
poll_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	EeRoleDue  *due;
	int			n;

	next_due = DT_NOEND;
	ee_worker_begin();
	due = ee_maintenance_roles_due(&n);
	for (int i = 0; i < n; i++)
	{
		ListCell   *lc;

		/* whose lane it is in, the executors find out */
		foreach(lc, roles)
		{
			Role	   *role = lfirst(lc);

			if (role->roleid != due[i].roleid || !role->asleep)
				continue;
			if (due[i].due <= now)
				role->wanted = true;
			else
				next_due = Min(next_due, due[i].due);
		}
	}
	ee_worker_commit();
}

/*
 * The positions of who sleeps stand still.  Now and then one of them is
 * started to look how far the log has come, each about once in the interval.
 */
static void
wake_behind(TimestampTz now)
{
	static TimestampTz woken_at = 0;
	Role	   *oldest = NULL;
	int64		last;
	ListCell   *lc;

	if (roles == NIL ||
		!ee_clock_exceeds(woken_at, now,
									ee_config_delivery_position_interval /
									list_length(roles)))
		return;
	woken_at = now;
	foreach(lc, roles)
	{
		Role	   *role = lfirst(lc);

		if (role->asleep && !role->wanted &&
			ee_clock_exceeds(role->started_at, now,
									   ee_config_delivery_position_interval) &&
			(oldest == NULL || role->started_at < oldest->started_at))
			oldest = role;
	}
	if (oldest == NULL)
		return;
	ee_worker_begin();
	last = ee_log_state_last_seq();
	ee_worker_commit();
	if (last - oldest->woken_seq >= BEHIND_WORTH)
	{
		oldest->woken_seq = last;
		oldest->wanted = true;
	}
}

/*
 * Where none has failed since, it may start at once, but for one that ended
 * as soon as it had begun; else it waits, twice as long each time until one
 * has run for a while.  One that was terminated has not failed.
 */
static bool
may_start(Role *role, TimestampTz now)
{
	uint32		failures = pg_atomic_read_u32(&slot->failures);

	if (failures == role->failures ||
		ee_clock_exceeds(role->started_at, now,
								   RESTART_INTERVAL_MAX_MS))
	{
		role->delay_ms = RESTART_INTERVAL_MS;
		return role->started_at == 0 ||
			ee_clock_exceeds(role->started_at, now, TERMINATED_INTERVAL_MS);
	}
	if (!ee_clock_exceeds(role->started_at, now,
										 role->delay_ms))
		return false;
	role->delay_ms = Min(role->delay_ms * 2, RESTART_INTERVAL_MAX_MS);
	return true;
}

/* True when some role still waits. */
static bool
start_wanted(void)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		waiting = false;
	ListCell   *lc;

	foreach(lc, roles)
	{
		Role	   *role = lfirst(lc);

		if (!role->wanted)
			continue;
		if (ee_shared_executor_runs(MyDatabaseId, role->roleid,
									role->member))
		{
			role->wanted = false;
			continue;
		}
		/* one that is coming up may never arrive, and is wanted till then */
		waiting = true;
		if (ee_shared_executor_exists(MyDatabaseId, role->roleid,
									  role->member))
			continue;
		if (may_start(role, now))
			start_executor(role, now);
	}
	return waiting;
}

/*
 * Others of its role are not to wait for one whose handler is stuck.  When may
 * the next of them be?
 */
static TimestampTz
start_helpers(void)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		any;
	TimestampTz next = ee_helper_next(&any);
	ListCell   *lc;

	if (!any)
		return next;
	foreach(lc, roles)
	{
		const Role *role = lfirst(lc);
		int			member = role->lanes < 2 ? -1 :
			ee_helper_wanted(role->roleid, role->member);
		Role	   *helper;

		if (member < 0 ||
			ee_shared_executor_exists(MyDatabaseId, role->roleid, member))
			continue;
		helper = find_role(helpers, role->roleid, member);
		if (helper == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

			helper = palloc0(sizeof(Role));
			helper->roleid = role->roleid;
			helper->member = member;
			helper->delay_ms = RESTART_INTERVAL_MS;
			helper->failures = pg_atomic_read_u32(&slot->failures);
			helpers = lappend(helpers, helper);
			MemoryContextSwitchTo(old);
		}
		if (may_start(helper, now))
			start_executor(helper, now);
	}
	/* a helper may be stuck itself soon, or not have come up */
	return Min(next, now + WANTED_INTERVAL_MS * INT64CONST(1000));
}

static void
start_executor(Role *role, TimestampTz now)
{
	EeWorkerStart start;
	char		name[BGW_MAXLEN];
	EeWorkerSlot *worker;
	bool		running;

	worker = ee_shared_reserve_executor(MyDatabaseId, role->roleid,
										role->member, &running);
	if (worker == NULL)
	{
		if (!running && !warned_slots)
		{
			ereport(WARNING,
					(errmsg("all %d slots of event_engine are taken",
							ee_shared_n_workers()),
					 errhint("Increase event_engine.worker_slots.")));
			warned_slots = true;
		}
		return;
	}
	start.index = ee_shared_executor_index(worker);
	start.generation = worker->generation;
	start.dbid = MyDatabaseId;
	start.roleid = role->roleid;
	start.member = role->member;
	role->started_at = now;
	role->failures = pg_atomic_read_u32(&slot->failures);
	snprintf(name, sizeof(name), "event_engine executor for role %u",
			 role->roleid);
	if (ee_worker_start("ee_executor_main", "event_engine executor", name,
						&start))
		warned_slots = false;
	else
	{
		ee_shared_unreserve_executor(worker, start.generation);
		if (!warned_slots)
			ereport(WARNING,
					(errmsg("no background worker slot is free for event_engine"),
					 errhint("Increase max_worker_processes.")));
		warned_slots = true;
	}
}
