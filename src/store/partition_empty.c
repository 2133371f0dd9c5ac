/*
 * partition_empty.c
 *	  Taking events out of partitions that take no more, for retention.
 *
 * Detaching a partition, or dropping it, locks the log against everybody; and
 * DETACH CONCURRENTLY is refused while there is a default partition.  So
 * events leave by TRUNCATE, which locks their own partition only: publishers
 * have nothing to do with it any more.  The empty table goes at a moment when
 * nobody has a lock on the log; that moment is looked for, not waited for in
 * the queue, where publishers would line up behind us.
 *
 * Where some events stay, they are put aside, the table is truncated, and they
 * are written as frozen: a snapshot that is older than this transaction sees
 * them as before.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "ground/debug_point.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "store/partition_empty.h"
#include "store/partition_upkeep.h"

/* How often, and with what pause, to try for a lock. */
#define PARTITION_TRIES		50
#define PARENT_TRIES		500
#define TRY_PAUSE_USECS		1000
/* Dropped at once, with the log locked. */
#define DROP_MAX			20
/* Events put aside at a time. */
#define FETCH_ROWS			1000

static bool lock_when_free(Oid relid, int tries);
static bool used_here(Oid relid);
static int	without_triggers(void);
static void execute(const char *sql);
static Tuplestorestate *put_aside(Oid relid, const char *condition);
static void put_back(Oid relid, Tuplestorestate *kept);
static char *qualified_name(Oid relid);
static int	drop_emptied(void);

bool
ee_partition_lock(Oid relid)
{
	if (!lock_when_free(relid, PARTITION_TRIES))
		return false;
	/* gone while we looked? */
	return get_rel_name(relid) != NULL && !used_here(relid);
}

/* By a query of this session, as SELECT run_maintenance() FROM events does. */
static bool
used_here(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	bool		used = rel->rd_refcnt > 1 || AfterTriggerPendingOnRel(relid);

	table_close(rel, NoLock);
	return used;
}

static bool
lock_when_free(Oid relid, int tries)
{
	for (int i = 0; i < tries; i++)
	{
		if (ConditionalLockRelationOid(relid, AccessExclusiveLock))
			return true;
		pg_usleep(TRY_PAUSE_USECS);
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/*
 * Triggers refuse to everybody what retention does.  Undone by AtEOXact_GUC()
 * with the level returned, or by an error.
 */
static int
without_triggers(void)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("session_replication_role", "replica",
							 PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
							 0, false);
	return level;
}

static void
execute(const char *sql)
{
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute: %s", sql);
}

static char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

void
ee_partition_empty(Oid relid)
{
	EePlanFrame frame;
	EeIdentity	saved;
	int			level;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	level = without_triggers();
	execute(psprintf("TRUNCATE %s", qualified_name(relid)));
	AtEOXact_GUC(true, level);
	execute(psprintf("UPDATE event_engine.event_partitions SET min_seq = NULL, "
					 "max_seq = NULL, expires_at = 'infinity', "
					 "emptied_at = pg_catalog.clock_timestamp() WHERE relid = %u",
					 relid));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	ee_debug_point("partition_emptied");
	ee_invalidate_announce(EE_REL_EVENT_PARTITIONS);
}

void
ee_partition_thin(Oid relid, const char *condition)
{
	EePlanFrame frame;
	EeIdentity	saved;
	Tuplestorestate *kept;
	int			level;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	kept = put_aside(relid, condition);
	level = without_triggers();
	execute(psprintf("TRUNCATE %s", qualified_name(relid)));
	AtEOXact_GUC(true, level);
	put_back(relid, kept);
	tuplestore_end(kept);
	execute(psprintf("REINDEX TABLE %s", qualified_name(relid)));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	ee_debug_point("partition_thinned");
}

/* Whole: what TOAST has of them goes with the table. */
static Tuplestorestate *
put_aside(Oid relid, const char *condition)
{
	Tuplestorestate *kept = tuplestore_begin_heap(false, false, work_mem);
	SPIPlanPtr	plan =
		SPI_prepare(psprintf("SELECT e.* FROM %s AS e WHERE NOT (%s)",
							 qualified_name(relid), condition), 0, NULL);
	Portal		cursor;

	if (plan == NULL)
		elog(ERROR, "could not read partition %u", relid);
	cursor = SPI_cursor_open(NULL, plan, NULL, NULL, false);
	for (;;)
	{
		SPI_cursor_fetch(cursor, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			HeapTuple	tuple = SPI_tuptable->vals[i];

			if (HeapTupleHasExternal(tuple))
			{
				tuple = toast_flatten_tuple(tuple, SPI_tuptable->tupdesc);
				tuplestore_puttuple(kept, tuple);
				heap_freetuple(tuple);
			}
			else
				tuplestore_puttuple(kept, tuple);
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(cursor);
	SPI_freeplan(plan);
	return kept;
}

/* The table is of this transaction: nobody sees it if that aborts. */
static void
put_back(Oid relid, Tuplestorestate *kept)
{
	Relation	rel = table_open(relid, NoLock);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsMinimalTuple);
	BulkInsertState bulk = GetBulkInsertState();
	CommandId	cid = GetCurrentCommandId(true);

	while (tuplestore_gettupleslot(kept, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		table_tuple_insert(rel, slot, cid,
						   TABLE_INSERT_FROZEN | TABLE_INSERT_SKIP_FSM, bulk);
	}
	FreeBulkInsertState(bulk);
	table_finish_bulk_insert(rel, TABLE_INSERT_FROZEN | TABLE_INSERT_SKIP_FSM);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

uint64
ee_partition_delete(Oid relid, const char *condition)
{
	EePlanFrame frame;
	EeIdentity	saved;
	uint64		deleted;
	int			level;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	level = without_triggers();
	execute(psprintf("DELETE FROM %s AS e WHERE %s", qualified_name(relid),
					 condition));
	deleted = SPI_processed;
	AtEOXact_GUC(true, level);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return deleted;
}

/* ---------------------------------------------------------------- dropping */

int
ee_partition_drop_emptied(void)
{
	static EePlan any =
		EE_PLAN("SELECT FROM event_engine.event_partitions p "
				"JOIN pg_catalog.pg_inherits i ON i.inhrelid = p.relid "
				"WHERE p.emptied_at IS NOT NULL AND i.inhparent = $1", "oid");
	EePlanFrame frame;
	EeIdentity	saved;
	Oid			parent = ee_extension_relid(EE_REL_EVENTS);
	Datum		value = ObjectIdGetDatum(parent);
	int			dropped = 0;

	if (IsTransactionBlock())
		return 0;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(&any, &value, NULL, false, 1) > 0 &&
		lock_when_free(parent, PARENT_TRIES))
		dropped = drop_emptied();
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return dropped;
}

static int
drop_emptied(void)
{
	static EePlan emptied =
		EE_PLAN("SELECT p.relid::pg_catalog.oid FROM event_engine.event_partitions p "
				"JOIN pg_catalog.pg_inherits i ON i.inhrelid = p.relid "
				"WHERE p.emptied_at IS NOT NULL AND i.inhparent = "
				"'event_engine.events'::pg_catalog.regclass ORDER BY p.upper");
	static EePlan forget =
		EE_PLAN("DELETE FROM event_engine.event_partitions "
				"WHERE relid = $1::pg_catalog.regclass", "oid");
	int			n = (int) ee_plan_execute(&emptied, NULL, NULL, false,
										  DROP_MAX);
	Oid		   *relids = palloc(sizeof(Oid) * Max(n, 1));
	int			dropped = 0;
	bool		isnull;
	TimestampTz unused;
	Oid			default_relid;

	/* whoever drops a partition locks the default one too */
	ee_partition_gap(GetCurrentTimestamp(), &unused, &unused, &default_relid);
	if (OidIsValid(default_relid) &&
		!ConditionalLockRelationOid(default_relid, AccessExclusiveLock))
		return 0;
	for (int i = 0; i < n; i++)
		relids[i] = DatumGetObjectId(ee_plan_value(i, 1, &isnull));
	for (int i = 0; i < n; i++)
	{
		Datum		value = ObjectIdGetDatum(relids[i]);

		if (!ConditionalLockRelationOid(relids[i], AccessExclusiveLock) ||
			used_here(relids[i]))
			continue;
		execute(psprintf("DROP TABLE %s", qualified_name(relids[i])));
		ee_plan_execute(&forget, &value, NULL, false, 0);
		dropped++;
	}
	if (dropped > 0)
		ee_invalidate_announce(EE_REL_EVENT_PARTITIONS);
	return dropped;
}
