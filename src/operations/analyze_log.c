/*
 * analyze_log.c
 *	  Statistics of the log as a whole, for the planner.
 *
 * Autovacuum looks after each partition and never after their parent, so a
 * query over several of them would be planned with nothing to go by.  ANALYZE
 * of the parent would also read each partition by itself again; this does not.
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "storage/lmgr.h"
#include "utils/timestamp.h"

#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "operations/analyze_log.h"
#include "operations/maintenance_log.h"

static bool is_due(Oid parent);
static void analyze(Oid parent);

void
ee_analyze_log_run(const EeUnit *unit)
{
	Oid			parent;

	unit->begin();
	parent = ee_extension_relid(EE_REL_EVENTS);
	/* whoever has the lock attaches a partition */
	if (ee_maintenance_alone() && is_due(parent) &&
		ConditionalLockRelationOid(parent, ShareUpdateExclusiveLock))
		analyze(parent);
	unit->commit();
}

/* The sequence is asked instead of the log, which has very many locks. */
static bool
is_due(Oid parent)
{
	static EePlan due =
		EE_PLAN("SELECT FROM (SELECT GREATEST(pg_catalog.pg_stat_get_last_analyze_time($1), "
				"pg_catalog.pg_stat_get_last_autoanalyze_time($1)) AS at) l "
				"WHERE (SELECT q.is_called FROM event_engine.event_seq q) AND (l.at IS NULL "
				"OR l.at < pg_catalog.clock_timestamp() - '1 day'::pg_catalog.interval "
				"OR l.at < (SELECT pg_catalog.max(GREATEST(p.sealed_at, p.emptied_at)) "
				"FROM event_engine.event_partitions p))", "oid");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = ObjectIdGetDatum(parent);
	bool		is;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	is = ee_plan_execute(&due, &value, NULL, false, 1) > 0;
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return is;
}

static void
analyze(Oid parent)
{
	VacuumParams params;
	EeIdentity	saved;

	memset(&params, 0, sizeof(params));
	params.options = VACOPT_ANALYZE;
	params.log_min_duration = -1;
	ee_identity_engine(&saved);
	analyze_rel(parent, NULL, &params, NIL, true, NULL);
	ee_maintenance_log("analyze", "events", EE_MAINTAINED_DONE, -1, -1, NULL);
	ee_identity_restore(&saved);
}
