/*
 * event_worker.c
 *	  A worker where the library is not preloaded: start_event_worker().
 *
 * An executor of one role that nobody tells of news: it looks at the log in
 * short intervals, and does the upkeep of the database beside it.  The server
 * starts it again after an error, and after a crash; when the server is
 * restarted it is gone.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

#include "ground/clock.h"
#include "ground/errors.h"
#include "ground/shared.h"
#include "operations/maintenance.h"
#include "store/milestone.h"
#include "worker/event_worker.h"
#include "worker/executor.h"
#include "worker/worker_main.h"

#define RESTART_S				5
#define MAINTENANCE_INTERVAL_MS	60000
#define MILESTONE_INTERVAL_MS	1000
/* One part in so many of the time goes into looking who is due. */
#define DUE_SHARE				20

static volatile sig_atomic_t told_to_end = false;
static bool connected = false;

static int	poll_interval_ms(const Interval *interval);
static void end_for_good(int code, Datum arg);
static void note_and_die(SIGNAL_ARGS);
static bool upkeep(bool moved);
static bool is_due(void);

PG_FUNCTION_INFO_V1(ee_sql_launch_event_worker);

/*
 * launch_event_worker(role oid, poll_interval interval) RETURNS boolean: false
 * where the library is preloaded.
 */
Datum
ee_sql_launch_event_worker(PG_FUNCTION_ARGS)
{
	EeWorkerStart start = {0};
	char		name[BGW_MAXLEN];

	start.dbid = MyDatabaseId;
	start.roleid = PG_GETARG_OID(0);
	start.poll_interval_ms = poll_interval_ms(PG_GETARG_INTERVAL_P(1));
	PreventCommandDuringRecovery("start_event_worker()");
	if (!has_privs_of_role(GetUserId(), start.roleid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must have the privileges of role \"%s\" to start a worker for it",
						GetUserNameFromId(start.roleid, false))));
	if (ee_shared_available())
		PG_RETURN_BOOL(false);
	snprintf(name, sizeof(name), "event_engine worker for role %u",
			 start.roleid);
	if (!ee_worker_start_for_long("ee_event_worker_main",
								  "event_engine worker", name, &start,
								  RESTART_S))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker slot is free for event_engine"),
				 errhint("Increase max_worker_processes.")));
	PG_RETURN_BOOL(true);
}

static int
poll_interval_ms(const Interval *interval)
{
	int64		ms = interval->time / 1000 +
		interval->day * INT64CONST(24) * 3600 * 1000;

	if (interval->month != 0 || ms < 10 || ms > 3600 * 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("poll_interval must be from 10 ms to 1 hour")));
	return (int) ms;
}

void
ee_event_worker_main(Datum arg)
{
	static EeExecutorAlone alone = {.upkeep = upkeep};
	EeWorkerStart start;

	/* the first is called last */
	on_proc_exit(end_for_good, (Datum) 0);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, note_and_die);
	BackgroundWorkerUnblockSignals();
	ee_worker_read_start(&start);
	ee_worker_connect(start.dbid, start.roleid, "event_engine worker");
	connected = true;
	ee_worker_await_version(NULL);
	alone.poll_interval_ms = start.poll_interval_ms;
	ee_executor_run_alone(start.roleid, &alone);
}

/*
 * The server starts again whatever ends with another code than 0.  It is not
 * to do so when somebody has ended us, nor when the database or the role is
 * no more.
 */
static void
end_for_good(int code, Datum arg)
{
	if (code != 0 && (told_to_end || !connected))
		proc_exit(0);
}

static void
note_and_die(SIGNAL_ARGS)
{
	told_to_end = true;
	die(postgres_signal_arg);
}

/* What the router does where there is one. */
static bool
upkeep(bool moved)
{
	static TimestampTz maintained_at = 0;
	static TimestampTz milestone_at = 0;
	static bool dirty = false;
	TimestampTz now = GetCurrentTimestamp();

	dirty |= moved;
	if (dirty &&
		ee_clock_exceeds(milestone_at, now, MILESTONE_INTERVAL_MS))
	{
		ee_worker_begin();
		ee_milestone_store();
		ee_worker_commit();
		milestone_at = now;
		dirty = false;
	}
	if (ee_clock_exceeds(maintained_at, now,
								   MAINTENANCE_INTERVAL_MS))
	{
		ee_maintenance_run(&ee_worker_unit);
		maintained_at = now;
	}
	return is_due();
}

/*
 * Sessions start workflows and hand events back, and cannot tell us: look who
 * is due, for a small part of the time.
 */
static bool
is_due(void)
{
	static TimestampTz next_look = 0;
	TimestampTz began = GetCurrentTimestamp();
	EeRoleDue  *due;
	int			n;
	bool		result = false;

	if (began < next_look)
		return false;
	ee_worker_begin();
	due = ee_maintenance_roles_due(&n);
	for (int i = 0; i < n; i++)
		result |= due[i].roleid == GetUserId() && due[i].due <= began;
	ee_worker_commit();
	next_look = began + DUE_SHARE * (GetCurrentTimestamp() - began);
	return result;
}
