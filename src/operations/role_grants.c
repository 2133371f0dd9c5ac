/*
 * role_grants.c
 *	  Grants of roles that are no more.
 *
 * The server takes privileges on its own objects with DROP OWNED, and lets no
 * role be dropped that still has some.  What is granted on events goes with
 * them: at once where our library sees the statement (worker/utility_hook.c),
 * else with the next maintenance.  Grants are by OID, so nobody inherits them
 * meanwhile; left for ever they might be somebody else's, as OIDs come round.
 *
 * Who has subscriptions keeps the right to subscribe until the role is gone:
 * without it what they have not delivered would be passed over, and they are
 * to wait for whoever inherits them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "operations/maintenance_log.h"
#include "operations/role_grants.h"

static uint64 execute(EePlan *plan, Datum *values);

void
ee_role_grants_drop(List *roles)
{
	static EePlan drop =
		EE_PLAN("DELETE FROM event_engine.event_grants AS g "
				"WHERE g.grantee::pg_catalog.oid = ANY ($1) AND NOT "
				"(g.privilege = 'subscribe' AND EXISTS "
				"(SELECT FROM event_engine.subscriptions AS s "
				"WHERE s.owner = g.grantee))", "oid[]");
	Datum	   *oids = palloc(sizeof(Datum) * Max(list_length(roles), 1));
	Datum		value;
	ListCell   *lc;

	/* the statement may have dropped the extension */
	CommandCounterIncrement();
	if (roles == NIL || !OidIsValid(ee_extension_oid()) ||
		!ee_extension_has(EE_REL_EVENT_GRANTS))
		return;
	foreach(lc, roles)
		oids[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	value = PointerGetDatum(construct_array(oids, list_length(roles), OIDOID,
											sizeof(Oid), true,
											TYPALIGN_INT));
	(void) execute(&drop, &value);
}

void
ee_role_grants_sweep(const EeUnit *unit)
{
	static EePlan sweep =
		EE_PLAN("DELETE FROM event_engine.event_grants AS g WHERE NOT EXISTS "
				"(SELECT FROM pg_catalog.pg_roles AS r "
				"WHERE r.oid OPERATOR(pg_catalog.=) g.grantee)");
	/* a dump would give the number to whoever has it where it is restored */
	static EePlan granted_by =
		EE_PLAN("UPDATE event_engine.event_grants AS g SET granted_by = $1 "
				"WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r "
				"WHERE r.oid OPERATOR(pg_catalog.=) g.granted_by)", "oid");
	Datum		owner;
	uint64		n;

	unit->begin();
	if (ee_extension_has(EE_REL_EVENT_GRANTS) && ee_maintenance_alone())
	{
		n = execute(&sweep, NULL);
		if (n > 0)
			ee_maintenance_log("forget", "event_grants", EE_MAINTAINED_DONE,
							   (int64) n, -1, NULL);
		owner = ObjectIdGetDatum(ee_identity_engine_role());
		(void) execute(&granted_by, &owner);
	}
	unit->commit();
}

static uint64
execute(EePlan *plan, Datum *values)
{
	EePlanFrame frame;
	EeIdentity	saved;
	uint64		n;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	n = ee_plan_execute(plan, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}
