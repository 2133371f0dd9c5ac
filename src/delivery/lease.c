/*
 * lease.c
 *	  Keep the tables of leases and counts short.
 *
 * A row of event_leases lives as long as a client works on its events, one of
 * delivery_counts until the log is read again.  As long as somebody holds a
 * snapshot open VACUUM cannot remove what is left of them, and whoever
 * receives would walk over more and more of it.  So now and then the few rows
 * that live are taken out, the table is emptied by TRUNCATE, and they are put
 * back.
 */
#include "postgres.h"

#include "access/table.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "delivery/lease.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"

/* A shorter table is not worth it. */
#define GATHER_BLOCKS	16

static void gather(Oid relid, EePlan *take, EePlan *empty, EePlan *put_back);
static bool is_long(Oid relid);

void
ee_lease_gather(void)
{
	/* leases of subscriptions that are gone stay behind */
	static EePlan take_leases =
		EE_PLAN("SELECT array_agg(l) FROM event_engine.event_leases l "
				"JOIN event_engine.subscriptions s ON s.number = l.subscription_number");
	static EePlan empty_leases =
		EE_PLAN("TRUNCATE event_engine.event_leases");
	static EePlan put_leases =
		EE_PLAN("INSERT INTO event_engine.event_leases SELECT * FROM unnest($1)",
				"event_engine.event_leases[]");
	static EePlan take_counts =
		EE_PLAN("SELECT array_agg(ROW(c.subscription_number, c.delivered, c.failed, "
				"c.dead)::event_engine.delivery_counts) "
				"FROM (SELECT c.subscription_number, sum(c.delivered)::pg_catalog.int8 AS delivered, "
				"sum(c.failed)::pg_catalog.int8 AS failed, sum(c.dead)::pg_catalog.int8 AS dead "
				"FROM event_engine.delivery_counts c "
				"JOIN event_engine.subscriptions s ON s.number = c.subscription_number "
				"GROUP BY 1) c");
	static EePlan empty_counts =
		EE_PLAN("TRUNCATE event_engine.delivery_counts");
	static EePlan put_counts =
		EE_PLAN("INSERT INTO event_engine.delivery_counts SELECT * FROM unnest($1)",
				"event_engine.delivery_counts[]");

	gather(ee_extension_relid(EE_REL_EVENT_LEASES), &take_leases,
		   &empty_leases, &put_leases);
	gather(ee_extension_relid(EE_REL_DELIVERY_COUNTS), &take_counts,
		   &empty_counts, &put_counts);
}

static void
gather(Oid relid, EePlan *take, EePlan *empty, EePlan *put_back)
{
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		rows;
	bool		isnull;

	if (!is_long(relid) ||
		!ConditionalLockRelationOid(relid, AccessExclusiveLock))
		return;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(take, NULL, NULL, false, 0);
	rows = ee_plan_value(0, 1, &isnull);
	ee_plan_execute(empty, NULL, NULL, false, 0);
	if (!isnull)
		ee_plan_execute(put_back, &rows, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

static bool
is_long(Oid relid)
{
	Relation	relation = table_open(relid, AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(relation);

	table_close(relation, AccessShareLock);
	return blocks > GATHER_BLOCKS;
}
