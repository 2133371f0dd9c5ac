/*
 * maintenance.c
 *	  The regular upkeep: partitions ahead of time, sealing, gathering
 *	  cursors, forgetting what is of no more use, retention.
 *
 * Each step takes the locks that it can have at once and leaves the rest to
 * the next round; nothing here makes a publisher wait.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "delivery/cursor.h"
#include "delivery/lease.h"
#include "ground/identity.h"
#include "ground/library_version.h"
#include "ground/plan.h"
#include "ground/shared.h"
#include "operations/analyze_log.h"
#include "operations/clock_watch.h"
#include "operations/forget.h"
#include "operations/maintenance.h"
#include "operations/retention.h"
#include "operations/role_grants.h"
#include "registry/registry_cache.h"
#include "store/partition.h"
#include "store/subject_key_scrub.h"

PG_FUNCTION_INFO_V1(ee_sql_run_maintenance);
PG_FUNCTION_INFO_V1(ee_sql_wake_workers);
PG_FUNCTION_INFO_V1(ee_sql_library_version);

static void
no_unit(void)
{
	CommandCounterIncrement();
}

/* run_maintenance() RETURNS void: the same in the caller's transaction. */
Datum
ee_sql_run_maintenance(PG_FUNCTION_ARGS)
{
	static const EeUnit in_transaction = {no_unit, no_unit, no_unit, true};

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("run_maintenance needs a transaction of isolation level READ COMMITTED")));
	ee_maintenance_run(&in_transaction);
	PG_RETURN_VOID();
}

void
ee_maintenance_run(const EeUnit *unit)
{
	/*
	 * Without a definition nobody can publish: partitions made now would only
	 * be in the way of those that a dump brings.
	 */
	unit->begin();
	if (ee_registry_cache_patterns() != NIL)
		(void) ee_partition_make_ahead();
	unit->commit();

	unit->begin();
	(void) ee_partition_seal_due();
	unit->commit();

	unit->begin();
	(void) ee_cursor_gather();
	unit->commit();

	unit->begin();
	ee_lease_gather();
	unit->commit();

	unit->begin();
	ee_subject_key_scrub_due();
	unit->commit();

	ee_clock_watch(unit);
	ee_forget_run(unit);
	ee_role_grants_sweep(unit);
	ee_retention_run(unit);
	ee_analyze_log_run(unit);
	/* locks the log, so nothing comes after it */
	ee_retention_drop(unit);
}

EeRoleDue *
ee_maintenance_roles_due(int *n)
{
	static EePlan due =
		EE_PLAN("SELECT s.owner::pg_catalog.oid, pg_catalog.min(d.at) "
				"FROM event_engine.subscriptions s CROSS JOIN LATERAL ("
				"(SELECT f.next_attempt_at AS at FROM event_engine.deliveries f "
				"WHERE f.subscription_number::pg_catalog.int8 = s.number "
				"AND f.status IN ('retry', 'delayed', 'released') "
				"AND f.next_attempt_at < 'infinity' "
				"ORDER BY f.next_attempt_at LIMIT 1) "
				"UNION ALL SELECT r.created_at FROM event_engine.event_replays r "
				"WHERE r.subscription_number = s.number AND r.status = 'running' "
				"UNION ALL SELECT event_engine.dispatcher_due(s.number) "
				"WHERE s.kind = 'workflow') d "
				"WHERE s.kind IN ('handler', 'workflow') AND d.at IS NOT NULL "
				"GROUP BY s.owner");
	MemoryContext caller = CurrentMemoryContext;
	EePlanFrame frame;
	EeIdentity	saved;
	EeRoleDue  *roles;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	*n = (int) ee_plan_execute(&due, NULL, NULL, false, 0);
	roles = MemoryContextAlloc(caller, sizeof(EeRoleDue) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;

		roles[i].roleid = DatumGetObjectId(ee_plan_value(i, 1, &isnull));
		roles[i].due = DatumGetTimestampTz(ee_plan_value(i, 2, &isnull));
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return roles;
}

/* wake_workers() RETURNS void */
Datum
ee_sql_wake_workers(PG_FUNCTION_ARGS)
{
	ee_shared_note_changed();
	PG_RETURN_VOID();
}

/* library_version() RETURNS text */
Datum
ee_sql_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(ee_library_version));
}
