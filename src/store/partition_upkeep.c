/*
 * partition_upkeep.c
 *	  Making partitions of the log before they are needed, and sealing those
 *	  whose time is over.
 *
 * A partition is made apart and then attached, which publishers do not
 * notice: ATTACH conflicts with other DDL only, and with writers of the
 * default partition.  A publisher who finds none makes one itself if nobody
 * is in the way and it will commit at once, and else appends to the default
 * partition; the next upkeep makes one that begins behind its events.
 *
 * Sealing takes SHARE lock on a partition for which no publisher can still
 * hold its lock, writes down its range of seq, and from then on readers that
 * are past it need not open it.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ground/config.h"
#include "ground/debug_point.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "store/partition.h"
#include "store/partition_upkeep.h"

/* The clocks of publishers that are about to lock may be behind ours. */
#define SEAL_DELAY_USECS	(10 * USECS_PER_SEC)

static bool can_attach(Oid parent);
static void period_bounds(TimestampTz at, TimestampTz *lower,
						  TimestampTz *upper);
static TimestampTz month_start(int year, int month);
static TimestampTz after_default(TimestampTz lower, TimestampTz upper);
static char *partition_name(TimestampTz lower);
static char *free_name(TimestampTz lower);
static void create_partition(TimestampTz lower, TimestampTz upper);
static void create_gin_indexes(const char *partition);
static void seal(Oid relid);
static void execute(const char *sql);
static char *utc_literal(TimestampTz at);

/*
 * False when it would have to wait, or the default partition holds later
 * events.
 *
 * INSERT and COPY choose the partition of a row by what they know once they
 * have their lock on the parent, and are refused by the default partition
 * where another has come for the row meanwhile.  So they are kept out while
 * one is attached that their rows may belong to; publish_event() and the like
 * look again, and take a lock on the parent that does not conflict.
 */
bool
ee_partition_make(TimestampTz at)
{
	Oid			parent = ee_extension_relid(EE_REL_EVENTS);
	Oid			default_relid;
	TimestampTz lower;
	TimestampTz upper;
	TimestampTz gap_lower;
	TimestampTz gap_upper;
	EeIdentity	saved;
	EePlanFrame frame;

	if (!can_attach(parent))
		return false;
	period_bounds(at, &lower, &upper);
	if (!ConditionalLockRelationOid(parent,
									lower <= GetCurrentTimestamp() + EE_CLOCK_TOLERANCE_USECS ?
									ShareRowExclusiveLock :
									ShareUpdateExclusiveLock))
		return false;
	if (ee_partition_exists_for(at))
		return true;

	ee_partition_gap(at, &gap_lower, &gap_upper, &default_relid);
	if (OidIsValid(default_relid) &&
		!ConditionalLockRelationOid(default_relid, AccessExclusiveLock))
		return false;

	lower = Max(lower, gap_lower);
	upper = Min(upper, gap_upper);

	/* whose path it is matters: these statements have the engine's rights */
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (OidIsValid(default_relid))
		lower = after_default(lower, upper);
	if (lower <= at && lower < upper)
		create_partition(lower, upper);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return ee_partition_exists_for(at);
}

/*
 * ATTACH refuses a table that a query of this session is reading, which
 * SELECT publish_event(...) FROM events does.
 */
static bool
can_attach(Oid parent)
{
	Relation	rel = table_open(parent, AccessShareLock);
	bool		free = rel->rd_refcnt == 1 && !AfterTriggerPendingOnRel(parent);

	table_close(rel, NoLock);
	return free;
}

/*
 * From now to the end of the last period ahead, without a gap: where the
 * length of a period was changed, those that exist may end within one.
 */
int
ee_partition_make_ahead(void)
{
	TimestampTz at = GetCurrentTimestamp();
	TimestampTz until = at;
	int			made = 0;

	for (int i = 0; i <= ee_config_store_partitions_ahead; i++)
	{
		TimestampTz lower;

		period_bounds(until, &lower, &until);
	}
	while (at < until)
	{
		if (!ee_partition_exists_for(at))
		{
			if (!ee_partition_make(at))
				break;
			made++;
		}
		at = ee_partition_end(at);
	}
	return made;
}

int
ee_partition_seal_due(void)
{
	int			n;
	int			sealed = 0;
	Oid		   *relids =
		ee_partition_due_for_sealing(GetCurrentTimestamp() - SEAL_DELAY_USECS,
									 &n);

	for (int i = 0; i < n; i++)
	{
		if (!ConditionalLockRelationOid(relids[i], ShareLock))
			continue;			/* somebody has yet to commit into it */
		seal(relids[i]);
		sealed++;
	}
	return sealed;
}

/* ------------------------------------------------------------------ bounds */

static void
period_bounds(TimestampTz at, TimestampTz *lower, TimestampTz *upper)
{
	int64		length = USECS_PER_HOUR;
	int64		offset = 0;
	int64		rest;

	switch ((EePartitionPeriod) ee_config_store_partition_period)
	{
		case EE_PERIOD_MONTH:
			{
				struct pg_tm tm;
				fsec_t		fsec;

				if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
					elog(ERROR, "timestamp out of range");
				*lower = month_start(tm.tm_year, tm.tm_mon);
				*upper = tm.tm_mon == 12 ? month_start(tm.tm_year + 1, 1) :
					month_start(tm.tm_year, tm.tm_mon + 1);
				return;
			}
		case EE_PERIOD_WEEK:
			length = 7 * USECS_PER_DAY;
			offset = 2 * USECS_PER_DAY; /* 2000-01-03 was a Monday */
			break;
		case EE_PERIOD_DAY:
			length = USECS_PER_DAY;
			break;
		case EE_PERIOD_HOUR:
			break;
	}
	rest = (at - offset) % length;
	if (rest < 0)
		rest += length;
	*lower = at - rest;
	*upper = *lower + length;
}

static TimestampTz
month_start(int year, int month)
{
	return (int64) (date2j(year, month, 1) - POSTGRES_EPOCH_JDATE) *
		USECS_PER_DAY;
}

/*
 * Events that had to go to the default partition stay there: the new one
 * begins behind them.  We have it locked, but may have a snapshot from before.
 */
static TimestampTz
after_default(TimestampTz lower, TimestampTz upper)
{
	bool		isnull;
	Datum		latest;

	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute(psprintf("SELECT max(created_at) FROM event_engine.events_default "
							 "WHERE created_at >= %s AND created_at < %s",
							 utc_literal(lower), utc_literal(upper)),
					true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read event_engine.events_default");
	PopActiveSnapshot();
	latest = ee_plan_value(0, 1, &isnull);
	return isnull ? lower : DatumGetTimestampTz(latest) + 1;
}

/* ---------------------------------------------------------------- creation */

static char *
utc_literal(TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "timestamp out of range");
	return psprintf("'%04d-%02d-%02d %02d:%02d:%02d.%06d+00'::pg_catalog.timestamptz",
					tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min,
					tm.tm_sec, fsec);
}

/* events_20260131, with the time of day where that is not midnight. */
static char *
partition_name(TimestampTz lower)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(lower, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "timestamp out of range");
	if (fsec != 0)
		return psprintf("events_%04d%02d%02d_%02d%02d%02d_%06d", tm.tm_year,
						tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min,
						tm.tm_sec, fsec);
	if (lower % USECS_PER_DAY != 0)
		return psprintf("events_%04d%02d%02d_%02d%02d%02d", tm.tm_year,
						tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min,
						tm.tm_sec);
	return psprintf("events_%04d%02d%02d", tm.tm_year, tm.tm_mon, tm.tm_mday);
}

/* The same with a number, where that name is taken by one that was detached. */
static char *
free_name(TimestampTz lower)
{
	Oid			schema =
		get_rel_namespace(ee_extension_relid(EE_REL_EVENTS));
	char	   *name = partition_name(lower);

	for (int i = 1; OidIsValid(get_relname_relid(name, schema)); i++)
		name = psprintf("%s_%d", partition_name(lower), i);
	return name;
}

static void
execute(const char *sql)
{
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute: %s", sql);
}

static void
create_partition(TimestampTz lower, TimestampTz upper)
{
	const char *name = quote_identifier(free_name(lower));

	execute(psprintf("CREATE TABLE event_engine.%s (LIKE event_engine.events_default "
					 "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE "
					 "INCLUDING INDEXES)",
					 name));
	execute(psprintf("CREATE TRIGGER event_engine_refuse_truncate BEFORE TRUNCATE "
					 "ON event_engine.%s EXECUTE FUNCTION event_engine.refuse_change()",
					 name));
	execute(psprintf("ALTER TABLE event_engine.events ATTACH PARTITION event_engine.%s "
					 "FOR VALUES FROM (%s) TO (%s)",
					 name, utc_literal(lower), utc_literal(upper)));
	if (ee_config_store_gin_indexes == EE_GIN_IMMEDIATE)
		create_gin_indexes(name);
	execute(psprintf("INSERT INTO event_engine.event_partitions (relid, lower, upper) "
					 "VALUES ('event_engine.%s', %s, %s)",
					 name, utc_literal(lower), utc_literal(upper)));
	ee_debug_point("partition_created");
	ee_invalidate_announce(EE_REL_EVENT_PARTITIONS);
	CommandCounterIncrement();
}

static void
create_gin_indexes(const char *partition)
{
	execute(psprintf("CREATE INDEX ON event_engine.%s USING gin (source jsonb_path_ops)",
					 partition));
	execute(psprintf("CREATE INDEX ON event_engine.%s USING gin (metadata jsonb_path_ops)",
					 partition));
}

/* ----------------------------------------------------------------- sealing */

static void
seal(Oid relid)
{
	const char *name = quote_identifier(get_rel_name(relid));
	EePlanFrame frame;
	EeIdentity	saved;
	bool		has_gin;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	/* one statement, one snapshot, taken after the lock */
	execute(psprintf("INSERT INTO event_engine.event_partitions AS p "
					 "(relid, sealed_at, min_seq, max_seq) "
					 "SELECT '%u'::pg_catalog.regclass, clock_timestamp(), min(seq), max(seq) "
					 "FROM event_engine.%s "
					 "ON CONFLICT (relid) DO UPDATE SET sealed_at = excluded.sealed_at, "
					 "min_seq = excluded.min_seq, max_seq = excluded.max_seq",
					 relid, name));
	execute(psprintf("SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
					 "JOIN pg_catalog.pg_am a ON a.oid = c.relam "
					 "WHERE i.indrelid = %u AND a.amname = 'gin'", relid));
	has_gin = SPI_processed > 0;
	if (ee_config_store_gin_indexes == EE_GIN_SEALED && !has_gin)
		create_gin_indexes(name);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	ee_debug_point("partition_sealed");
	ee_invalidate_announce(EE_REL_EVENT_PARTITIONS);
}
