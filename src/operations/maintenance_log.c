/*
 * maintenance_log.c
 *	  What upkeep has done, and what it could not do, told to people.
 */
#include "postgres.h"

#include "storage/lmgr.h"
#include "utils/builtins.h"

#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "operations/maintenance_log.h"

static void tell(const char *task, const char *object, EeMaintained outcome,
				 int64 events, const char *detail);

void
ee_maintenance_log(const char *task, const char *object,
				   EeMaintained outcome, int64 events, int64 bytes,
				   const char *detail)
{
	static const char *const names[] = {"done", "forced", "held", "locked",
	"failed"};
	static EePlan insert =
		EE_PLAN("INSERT INTO event_engine.event_maintenance "
				"(task, object, outcome, events, bytes, detail) "
				"SELECT $1, $2, $3, $4, $5, $6 WHERE $3 IN ('done', 'forced') "
				"OR NOT EXISTS (SELECT FROM event_engine.event_maintenance m "
				"WHERE m.at > pg_catalog.clock_timestamp() - '1 hour'::pg_catalog.interval "
				"AND m.task = $1 AND m.object = $2 AND m.outcome = $3 "
				"AND m.detail IS NOT DISTINCT FROM $6)",
				"text", "text", "text", "int8", "int8", "text");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[6];
	char		nulls[] = "      ";

	values[0] = CStringGetTextDatum(task);
	values[1] = CStringGetTextDatum(object);
	values[2] = CStringGetTextDatum(names[outcome]);
	values[3] = Int64GetDatum(events);
	values[4] = Int64GetDatum(bytes);
	values[5] = CStringGetTextDatum(detail ? detail : "");
	nulls[3] = events < 0 ? 'n' : ' ';
	nulls[4] = bytes < 0 ? 'n' : ' ';
	nulls[5] = detail == NULL ? 'n' : ' ';
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(&insert, values, nulls, false, 0) > 0)
		tell(task, object, outcome, events, detail);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

bool
ee_maintenance_alone(void)
{
	return ConditionalLockRelationOid(ee_extension_relid(EE_REL_EVENT_RETENTION),
									  ShareUpdateExclusiveLock);
}

static void
tell(const char *task, const char *object, EeMaintained outcome,
	 int64 events, const char *detail)
{
	if (strcmp(task, "drop") == 0)
		ereport(LOG,
				(errmsg("dropped %s of the log", detail)));
	if (strcmp(task, "expire") != 0)
		return;
	switch (outcome)
	{
		case EE_MAINTAINED_DONE:
			ereport(LOG,
					(errmsg("%lld expired events have left partition \"%s\"",
							(long long) events, object)));
			break;
		case EE_MAINTAINED_FORCED:
			ereport(LOG,
					(errmsg("%lld expired events have left partition \"%s\" though they had yet to be read",
							(long long) events, object),
					 errdetail("By %s.", detail),
					 errhint("They were older than event_engine.operations_retention_limit, or a person has forced it.")));
			break;
		case EE_MAINTAINED_HELD:
			ereport(LOG,
					(errmsg("expired events of partition \"%s\" have yet to be read",
							object),
					 errdetail("By %s.", detail)));
			break;
		case EE_MAINTAINED_LOCKED:
			ereport(LOG,
					(errmsg("expired events of partition \"%s\" stay until nobody uses it",
							object),
					 errdetail_internal("%s", detail)));
			break;
		case EE_MAINTAINED_FAILED:
			ereport(LOG,
					(errmsg("expired events of partition \"%s\" could not go",
							object),
					 errdetail_internal("%s", detail)));
			break;
	}
}
