/*
 * worker_main.c
 *	  What our processes have in common.
 *
 *		launcher	one a server: sees to it that each database with the
 *					extension has a router
 *		router		one a database: starts executors, keeps time, does the
 *					upkeep; runs no user code
 *		executor	one a role with subscriptions: delivers, as that role
 *
 * A process ends at any error that is not that of a handler; who started it
 * starts it again, and waits longer each time.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ground/compat.h"
#include "ground/config.h"
#include "ground/extension.h"
#include "ground/library_version.h"
#include "ground/shared.h"
#include "worker/worker_main.h"

#define STATISTICS_INTERVAL_MS	1000

static void note_and_die(SIGNAL_ARGS);
static void override(const char *name, const char *value);
static bool lock_extension(void);
static bool version_fits(void);

static bool awaits_version = false;

const EeUnit ee_worker_unit = {
	ee_worker_begin, ee_worker_commit, ee_worker_abort, false
};

void
ee_worker_register_launcher(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "event_engine",
			sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "ee_launcher_main",
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_type, "event_engine launcher",
			sizeof(worker.bgw_type));
	strlcpy(worker.bgw_name, "event_engine launcher",
			sizeof(worker.bgw_name));
	RegisterBackgroundWorker(&worker);
}

bool
ee_worker_start(const char *function, const char *type, const char *name,
				const EeWorkerStart *start)
{
	return ee_worker_start_for_long(function, type, name, start,
									BGW_NEVER_RESTART);
}

bool
ee_worker_start_for_long(const char *function, const char *type,
						 const char *name, const EeWorkerStart *start,
						 int restart_s)
{
	BackgroundWorker worker;

	StaticAssertStmt(sizeof(EeWorkerStart) <= BGW_EXTRALEN,
					 "what a worker is told must fit into bgw_extra");
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = restart_s;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, "event_engine",
			sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function,
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_type, type, sizeof(worker.bgw_type));
	strlcpy(worker.bgw_name, name, sizeof(worker.bgw_name));
	memcpy(worker.bgw_extra, start, sizeof(*start));
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

void
ee_worker_read_start(EeWorkerStart *start)
{
	memcpy(start, MyBgworkerEntry->bgw_extra, sizeof(*start));
}

void
ee_worker_signals(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, note_and_die);
	BackgroundWorkerUnblockSignals();
}

/* Who is terminated on purpose has not failed. */
static void
note_and_die(SIGNAL_ARGS)
{
	ee_shared_note_terminated();
	die(postgres_signal_arg);
}

static void
override(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * roleid InvalidOid is the bootstrap superuser: then names are looked up in
 * pg_catalog alone.  A handler's owner has the search path of a session of
 * his own, since his functions were written for that; our own statements pin
 * theirs.
 *
 * What workers run is short and runs often, and a plan that is kept is
 * compiled anew each time: tables that were never analyzed, as after a restore,
 * look dear enough for it.  ALTER ROLE and ALTER DATABASE may say otherwise.
 */
void
ee_worker_connect(Oid dbid, Oid roleid, const char *name)
{
	SetConfigOption("jit", "off", PGC_USERSET, PGC_S_ARGV);
	if (OidIsValid(dbid))
		BackgroundWorkerInitializeConnectionByOid(dbid, roleid,
												  EE_BYPASS_ROLE_LOGIN_CHECK);
	else
		BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	if (!OidIsValid(roleid))
		override("search_path", "pg_catalog, pg_temp");
	override("application_name", name);
	override("statement_timeout", "0");
	override("lock_timeout", "0");
	override("idle_in_transaction_session_timeout", "0");
#ifdef EE_HAVE_TRANSACTION_TIMEOUT
	override("transaction_timeout", "0");
#endif
	override("default_transaction_isolation", "read committed");
	override("default_transaction_read_only", "off");
	override("default_transaction_deferrable", "off");
}

void
ee_worker_wait(long timeout_ms, EeWait what)
{
	static TimestampTz flushed_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	/* what a commit left unsaid, or autovacuum would not hear of it */
	if (TimestampDifferenceExceeds(flushed_at, now, STATISTICS_INTERVAL_MS))
	{
		pgstat_report_stat(true);
		flushed_at = now;
	}
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 timeout_ms, ee_waits_event(what));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	ee_worker_reload();
}

void
ee_worker_reload(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/*
 * A library that is newer or older than the tables stands still until ALTER
 * EXTENSION UPDATE, or a restart, brings the two together.
 */
void
ee_worker_await_version(volatile bool *waits)
{
	bool		told = false;

	awaits_version = true;
	for (;;)
	{
		bool		fits;

		ee_worker_begin();
		fits = version_fits();
		if (!fits && !told)
			ereport(LOG,
					(errmsg("event_engine waits in database \"%s\": its library is version %s, the extension there %s",
							get_database_name(MyDatabaseId),
							ee_library_version, ee_extension_version()),
					 errdetail("Events can be published, and are delivered afterwards."),
					 errhint("Run ALTER EXTENSION event_engine UPDATE in that database; if its version is the higher one, install the library of that version and restart the server.")));
		if (fits && told)
			ereport(LOG,
					(errmsg("event_engine goes on in database \"%s\": the extension there is version %s now",
							get_database_name(MyDatabaseId),
							ee_extension_version())));
		told = !fits;
		ee_worker_commit();
		if (waits != NULL)
			*waits = !fits;
		if (fits)
			break;
		ee_worker_wait(ee_config_worker_launch_interval, EE_WAIT_ROUTER);
		/* the server starts it again, with the library of then */
		if (!ee_shared_available())
			proc_exit(1);
	}
	awaits_version = false;
}

void
ee_worker_begin(void)
{
	/* with work without end there is no wait that would notice */
	if (!PostmasterIsAlive())
		proc_exit(1);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!lock_extension())
	{
		ereport(LOG,
				(errmsg("%s ends: the extension is not in database \"%s\"",
						MyBgworkerEntry->bgw_type,
						get_database_name(MyDatabaseId))));
		proc_exit(0);
	}
	if (!awaits_version && !version_fits())
	{
		/* who starts us does so again, with another library or waiting */
		ereport(LOG,
				(errmsg("%s ends: its library is version %s, the extension in database \"%s\" %s now",
						MyBgworkerEntry->bgw_type, ee_library_version,
						get_database_name(MyDatabaseId),
						ee_extension_version())));
		proc_exit(1);
	}
	PushActiveSnapshot(GetTransactionSnapshot());
}

static bool
version_fits(void)
{
	return strcmp(ee_extension_version(), ee_library_version) == 0;
}

/*
 * Waits for a DROP or ALTER EXTENSION in progress, holding nothing else that
 * it could wait for.  False when the extension is not there.
 */
static bool
lock_extension(void)
{
	Oid			oid = ee_extension_oid();

	while (OidIsValid(oid))
	{
		Oid			locked = oid;

		LockDatabaseObject(ExtensionRelationId, oid, 0, AccessShareLock);
		AcceptInvalidationMessages();
		oid = ee_extension_oid();
		if (oid == locked)
			return true;
	}
	return false;
}

void
ee_worker_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
}

void
ee_worker_abort(void)
{
	AbortCurrentTransaction();
	/* a handler that failed keeps nothing either */
	LockReleaseSession(USER_LOCKMETHOD);
	pgstat_report_stat(false);
}

bool
ee_worker_is_free(EeRelation relation)
{
	LOCKTAG		tag;
	Oid			extension;
	bool		is_free = false;

	StartTransactionCommand();
	extension = ee_extension_oid();
	if (OidIsValid(extension))
	{
		SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension,
						   0);
		is_free = LockAcquire(&tag, AccessShareLock, false, true) !=
			LOCKACQUIRE_NOT_AVAIL &&
			ConditionalLockRelationOid(ee_extension_relid(relation),
									   RowExclusiveLock);
	}
	CommitTransactionCommand();
	return is_free;
}
