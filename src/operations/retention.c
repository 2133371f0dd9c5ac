/*
 * retention.c
 *	  Events leave the log when they have come of age.
 *
 * Partitions are sealed, so what is in one is known, and when the first of it
 * expires is written down beside it (event_partitions.expires_at).  One that
 * has expired
 *
 *	- stays while somebody has yet to read of it (need.c), unless it is older
 *	  than event_engine.operations_retention_limit;
 *	- is archived, if its rules say so, in the same transaction;
 *	- is emptied, or thinned out where some of its patterns are kept longer
 *	  (partition_empty.c), and dropped when it is empty.
 *
 * A partition that cannot go now is left to the next round.  What goes wrong
 * with one, such as an archive that is gone, is no matter of the others.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "delivery/need.h"
#include "ground/config.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "operations/maintenance_log.h"
#include "operations/retention.h"
#include "store/partition_empty.h"

#define EVENT_COLUMNS \
	"id, event_id, pattern, version, source, \"timestamp\", payload, " \
	"metadata, created_at, partition_key, aggregate_type, " \
	"aggregate_version, priority, created_by, deliver_at, seq, xid"

/* What has come of a partition, and why not more. */
typedef enum Outcome
{
	EXPIRED,
	HELD,						/* why: who needs it */
	LOCKED						/* why: who uses it */
} Outcome;

/* A partition as event_partitions has it. */
typedef struct Candidate
{
	Oid			relid;
	char	   *name;
	TimestampTz upper;			/* DT_NOEND: the default partition */
	int64		max_seq;		/* 0: no events */
} Candidate;

/* What of a partition goes, to one archive. */
typedef struct Leaving
{
	Oid			archive_table;	/* InvalidOid: none */
	bool		archive_file;
	char	   *condition;
} Leaving;

static void reckon(void);
static Oid	next_due(Oid after);
static void expire_safely(Oid relid);
static char *describe_error(const ErrorData *error);
static void expire_aged(Oid relid);
static Outcome expire(const Candidate *partition, bool everything,
					  bool force, char **why);
static bool read_candidate(Oid relid, Candidate *partition);
static int	read_leaving(Oid relid, bool everything, Leaving **leaving);
static char *any_condition(const Leaving *leaving, int n);
static bool all_leave(Oid relid);
static int64 query_int64(const char *sql);
static int64 count_events(Oid relid, const char *condition);
static int64 max_seq_of(Oid relid, const char *condition);
static char *user_of(Oid relid);
static void archive(const Candidate *partition, const Leaving *leaving);
static void archive_to_file(const Candidate *partition,
							const Leaving *leaving, const char *source);
static char *file_name_of(const char *name);
static int64 relation_size(Oid relid);
static void reckon_one(Oid relid);
static Datum single_value(bool *isnull);

PG_FUNCTION_INFO_V1(ee_sql_partition_needed_by);
PG_FUNCTION_INFO_V1(ee_sql_expire_partition);

void
ee_retention_run(const EeUnit *unit)
{
	Oid			relid = InvalidOid;

	unit->begin();
	if (ee_maintenance_alone())
		reckon();
	unit->commit();
	do
	{
		unit->begin();
		relid = ee_maintenance_alone() ? next_due(relid) : InvalidOid;
		if (OidIsValid(relid))
			expire_safely(relid);
		unit->commit();
	} while (OidIsValid(relid));
}

void
ee_retention_drop(const EeUnit *unit)
{
	int			dropped = 0;

	unit->begin();
	if (ee_maintenance_alone())
		dropped = ee_partition_drop_emptied();
	if (dropped > 0)
		ee_maintenance_log("drop", "event_engine.events", EE_MAINTAINED_DONE,
						   -1, -1, psprintf("%d empty partition(s)", dropped));
	unit->commit();
}

static void
reckon(void)
{
	static EePlan all = EE_PLAN("SELECT event_engine.reckon_expiry()");
	/* tables that somebody has dropped by hand */
	static EePlan gone =
		EE_PLAN("DELETE FROM event_engine.event_partitions p "
				"WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c "
				"WHERE c.oid = p.relid)");
	EePlanFrame frame;
	EeIdentity	saved;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&gone, NULL, NULL, false, 0);
	ee_plan_execute(&all, NULL, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

/*
 * One after the other in order of OID, since a unit keeps nothing for the
 * next; the default partition among them where it has any events.
 */
static Oid
next_due(Oid after)
{
	static EePlan due =
		EE_PLAN("SELECT d.relid FROM ("
				"SELECT p.relid::pg_catalog.oid FROM event_engine.event_partitions p "
				"JOIN pg_catalog.pg_inherits i ON i.inhrelid = p.relid "
				"WHERE i.inhparent = 'event_engine.events'::pg_catalog.regclass "
				"AND p.sealed_at IS NOT NULL AND p.emptied_at IS NULL "
				"AND p.expires_at <= pg_catalog.clock_timestamp() "
				"UNION ALL SELECT 'event_engine.events_default'::pg_catalog.regclass::pg_catalog.oid "
				"WHERE EXISTS (SELECT FROM event_engine.events_default)) d (relid) "
				"WHERE d.relid > $1 ORDER BY d.relid LIMIT 1", "oid");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = ObjectIdGetDatum(after);
	Oid			relid = InvalidOid;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(&due, &value, NULL, false, 1) > 0)
		relid = DatumGetObjectId(single_value(&isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return relid;
}

static Datum
single_value(bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						 isnull);
}

/* A filter that raises, or a full disk, does not end the round. */
static void
expire_safely(Oid relid)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	EeIdentity	saved;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		ee_identity_engine(&saved);
		expire_aged(relid);
		ee_identity_restore(&saved);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		/* somebody wants us to stop */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			ReThrowError(error);
		if (get_rel_name(relid) != NULL)
			ee_maintenance_log("expire", get_rel_name(relid),
							   EE_MAINTAINED_FAILED, -1, -1,
							   describe_error(error));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
}

/* With the innermost context, which says whose filter it was. */
static char *
describe_error(const ErrorData *error)
{
	int			len = error->context ? strcspn(error->context, "\n") : 0;

	return len == 0 ? error->message :
		psprintf("%s (%.*s)", error->message, len, error->context);
}

static void
expire_aged(Oid relid)
{
	int			limit = ee_config_operations_retention_limit;
	Candidate	partition;
	Outcome		outcome;
	char	   *why;
	bool		force;

	if (!read_candidate(relid, &partition))
		return;
	force = limit > 0 &&
		TimestampDifferenceExceeds(partition.upper, GetCurrentTimestamp(), 0) &&
		GetCurrentTimestamp() - partition.upper > limit * USECS_PER_SEC;
	outcome = expire(&partition, false, force, &why);
	if (outcome != EXPIRED)
		ee_maintenance_log("expire", partition.name, outcome == HELD ?
						   EE_MAINTAINED_HELD : EE_MAINTAINED_LOCKED, -1, -1,
						   why);
}

/* why is set where the outcome is not EXPIRED. */
static Outcome
expire(const Candidate *partition, bool everything, bool force, char **why)
{
	Oid			relid = partition->relid;
	bool		is_default = partition->upper == DT_NOEND;
	Leaving    *leaving;
	int			n = read_leaving(relid, everything, &leaving);
	bool		all = everything || (!is_default && all_leave(relid));
	char	   *condition = any_condition(leaving, n);
	int64		max_seq = partition->max_seq;
	int64		size = relation_size(relid);
	int64		events = 0;

	if (n == 0 && !all)
	{
		if (!is_default)
			reckon_one(relid);
		return EXPIRED;
	}
	if (is_default)
		max_seq = max_seq_of(relid, condition);
	*why = max_seq > 0 ? ee_need_of(max_seq, partition->upper) : NULL;
	if (*why != NULL && !force)
		return HELD;
	if (!is_default && !ee_partition_lock(relid))
	{
		*why = user_of(relid);
		return LOCKED;
	}
	if (n > 0)
		events = count_events(relid, all ? "true" : condition);
	for (int i = 0; i < n; i++)
		archive(partition, &leaving[i]);
	if (is_default)
		events = ee_partition_delete(relid, condition);
	else if (all)
		ee_partition_empty(relid);
	else
	{
		ee_partition_thin(relid, condition);
		reckon_one(relid);
	}
	if (events > 0)
		ee_maintenance_log("expire", partition->name,
						   *why ? EE_MAINTAINED_FORCED : EE_MAINTAINED_DONE,
						   events, Max(size - relation_size(relid), 0), *why);
	return EXPIRED;
}

/* False when it is gone, or takes events. */
static bool
read_candidate(Oid relid, Candidate *partition)
{
	static EePlan sealed =
		EE_PLAN("SELECT p.upper, p.max_seq FROM event_engine.event_partitions p "
				"JOIN pg_catalog.pg_inherits i ON i.inhrelid = p.relid "
				"WHERE p.relid = $1::pg_catalog.regclass AND p.sealed_at IS NOT NULL "
				"AND i.inhparent = 'event_engine.events'::pg_catalog.regclass",
				"oid");
	EePlanFrame frame;
	Datum		value = ObjectIdGetDatum(relid);
	bool		found;
	bool		isnull;

	partition->relid = relid;
	partition->name = get_rel_name(relid);
	partition->upper = DT_NOEND;
	partition->max_seq = 0;
	if (partition->name == NULL)
		return false;
	if (strcmp(partition->name, "events_default") == 0)
		return true;
	ee_plan_begin(&frame);
	found = ee_plan_execute(&sealed, &value, NULL, false, 1) > 0;
	if (found)
	{
		partition->upper = DatumGetTimestampTz(single_value(&isnull));
		partition->max_seq = DatumGetInt64(ee_plan_value(0, 2, &isnull));
		if (isnull)
			partition->max_seq = 0;
	}
	ee_plan_end(&frame);
	return found;
}

static int
read_leaving(Oid relid, bool everything, Leaving **leaving)
{
	static EePlan expired =
		EE_PLAN("SELECT e.archive_table::pg_catalog.oid, e.archive_file, e.condition "
				"FROM event_engine.partition_expired($1::pg_catalog.regclass, $2) e",
				"oid", "bool");
	MemoryContext caller = CurrentMemoryContext;
	EePlanFrame frame;
	Datum		values[] = {ObjectIdGetDatum(relid), BoolGetDatum(everything)};
	int			n;

	ee_plan_begin(&frame);
	n = (int) ee_plan_execute(&expired, values, NULL, false, 0);
	*leaving = MemoryContextAlloc(caller, sizeof(Leaving) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Datum		table = SPI_getbinval(tuple, desc, 1, &isnull);

		(*leaving)[i].archive_table = isnull ? InvalidOid :
			DatumGetObjectId(table);
		(*leaving)[i].archive_file =
			DatumGetBool(SPI_getbinval(tuple, desc, 2, &isnull));
		(*leaving)[i].condition =
			MemoryContextStrdup(caller, SPI_getvalue(tuple, desc, 3));
	}
	ee_plan_end(&frame);
	return n;
}

static char *
any_condition(const Leaving *leaving, int n)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? " OR " : "",
						 leaving[i].condition);
	return buf.data;
}

/* Are there none in it whose time is not over? */
static bool
all_leave(Oid relid)
{
	static EePlan kept =
		EE_PLAN("SELECT FROM event_engine.partition_expiry($1::pg_catalog.regclass) e "
				"WHERE e.expires_at > pg_catalog.clock_timestamp()", "oid");
	EePlanFrame frame;
	Datum		value = ObjectIdGetDatum(relid);
	bool		all;

	ee_plan_begin(&frame);
	all = ee_plan_execute(&kept, &value, NULL, false, 1) == 0;
	ee_plan_end(&frame);
	return all;
}

static int64
query_int64(const char *sql)
{
	EePlanFrame frame;
	Datum		value;
	bool		isnull;

	ee_plan_begin(&frame);
	if (SPI_execute(sql, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", sql);
	value = single_value(&isnull);
	ee_plan_end(&frame);
	return isnull ? 0 : DatumGetInt64(value);
}

static int64
count_events(Oid relid, const char *condition)
{
	return query_int64(psprintf("SELECT count(*) FROM event_engine.%s AS e WHERE %s",
								quote_identifier(get_rel_name(relid)),
								condition));
}

static int64
max_seq_of(Oid relid, const char *condition)
{
	return query_int64(psprintf("SELECT max(e.seq) FROM event_engine.%s AS e WHERE %s",
								quote_identifier(get_rel_name(relid)),
								condition));
}

static int64
relation_size(Oid relid)
{
	return query_int64(psprintf("SELECT pg_catalog.pg_total_relation_size(%u)",
								relid));
}

/* Who has it locked, for people. */
static char *
user_of(Oid relid)
{
	static EePlan users =
		EE_PLAN("SELECT CASE WHEN l.pid IS NULL THEN 'a prepared transaction' "
				"ELSE pg_catalog.format('process %s (%s)', l.pid, a.backend_type) END "
				"OPERATOR(pg_catalog.||) ' uses it' "
				"FROM pg_catalog.pg_locks l "
				"LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
				"WHERE l.relation = $1 AND l.granted "
				"AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d "
				"WHERE d.datname = pg_catalog.current_database()) "
				"AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() "
				"ORDER BY a.xact_start LIMIT 1", "oid");
	MemoryContext caller = CurrentMemoryContext;
	EePlanFrame frame;
	Datum		value = ObjectIdGetDatum(relid);
	char	   *user = pstrdup("somebody uses it");

	ee_plan_begin(&frame);
	if (ee_plan_execute(&users, &value, NULL, false, 1) > 0)
		user = MemoryContextStrdup(caller,
								   SPI_getvalue(SPI_tuptable->vals[0],
												SPI_tuptable->tupdesc, 1));
	ee_plan_end(&frame);
	return user;
}

/* What is in it has changed; so has what expires next. */
static void
reckon_one(Oid relid)
{
	static EePlan unknown =
		EE_PLAN("UPDATE event_engine.event_partitions SET expiry_rules = NULL "
				"WHERE relid = $1::pg_catalog.regclass", "oid");
	static EePlan all = EE_PLAN("SELECT event_engine.reckon_expiry()");
	EePlanFrame frame;
	Datum		value = ObjectIdGetDatum(relid);

	ee_plan_begin(&frame);
	ee_plan_execute(&unknown, &value, NULL, false, 0);
	ee_plan_execute(&all, NULL, NULL, false, 0);
	ee_plan_end(&frame);
}

/* --------------------------------------------------------------- archiving */

static void
archive(const Candidate *partition, const Leaving *leaving)
{
	static EePlan check =
		EE_PLAN("SELECT event_engine.check_archive($1::pg_catalog.regclass)",
				"oid");
	char	   *source = psprintf("SELECT " EVENT_COLUMNS
								  " FROM event_engine.%s AS e WHERE %s ORDER BY seq",
								  quote_identifier(partition->name),
								  leaving->condition);
	EePlanFrame frame;

	ee_plan_begin(&frame);
	if (OidIsValid(leaving->archive_table))
	{
		Datum		value = ObjectIdGetDatum(leaving->archive_table);
		const char *name = get_rel_name(leaving->archive_table);

		if (name == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("the archive of events is gone"),
					 errhint("Say event_engine.set_retention() where else they are to go.")));
		ee_plan_execute(&check, &value, NULL, false, 0);
		if (SPI_execute(psprintf("INSERT INTO %s (" EVENT_COLUMNS ") %s",
								 quote_qualified_identifier(get_namespace_name(get_rel_namespace(leaving->archive_table)),
															name),
								 source), false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert into \"%s\"", name);
	}
	if (leaving->archive_file)
		archive_to_file(partition, leaving, source);
	ee_plan_end(&frame);
}

/*
 * Named for the database, the partition and the positions of its first and
 * last event: another attempt writes the same file again.  It is on disk when
 * this returns, under its name.  Whoever may rename the database must not
 * choose another directory by it.
 */
static void
archive_to_file(const Candidate *partition, const Leaving *leaving,
				const char *source)
{
	const char *directory = ee_config_operations_archive_directory;
	char	   *path;
	char	   *unfinished;

	if (directory == NULL || directory[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no directory for archives of events"),
				 errhint("Set event_engine.operations_archive_directory to one that the server may write to.")));
	path = psprintf("%s/%s.%s." INT64_FORMAT "-" INT64_FORMAT ".csv",
					directory, file_name_of(get_database_name(MyDatabaseId)),
					partition->name,
					query_int64(psprintf("SELECT min(e.seq) FROM event_engine.%s AS e WHERE %s",
										 quote_identifier(partition->name),
										 leaving->condition)),
					max_seq_of(partition->relid, leaving->condition));
	unfinished = psprintf("%s.unfinished", path);
	if (SPI_execute(psprintf("COPY (%s) TO %s WITH (FORMAT csv, HEADER)",
							 source, quote_literal_cstr(unfinished)),
					false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not write \"%s\"", unfinished);
	(void) durable_rename(unfinished, path, ERROR);
}

/* As in a URL: what is neither letter, digit, - nor _ by its bytes. */
static char *
file_name_of(const char *name)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	StringInfoData result;

	initStringInfo(&result);
	for (; *name != '\0'; name++)
	{
		if (strchr(plain, *name) != NULL)
			appendStringInfoChar(&result, *name);
		else
			appendStringInfo(&result, "%%%02X", (unsigned char) *name);
	}
	return result.data;
}

/* ------------------------------------------------------------------- faces */

/* partition_needed_by(partition regclass) RETURNS text */
Datum
ee_sql_partition_needed_by(PG_FUNCTION_ARGS)
{
	EeIdentity	saved;
	Candidate	partition;
	char	   *who = NULL;

	ee_identity_engine(&saved);
	if (read_candidate(PG_GETARG_OID(0), &partition))
	{
		if (partition.upper == DT_NOEND)
			partition.max_seq = max_seq_of(partition.relid, "true");
		if (partition.max_seq > 0)
			who = ee_need_of(partition.max_seq, partition.upper);
	}
	ee_identity_restore(&saved);
	if (who == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(who));
}

/* expire_partition(partition regclass, force boolean) RETURNS void */
Datum
ee_sql_expire_partition(PG_FUNCTION_ARGS)
{
	EeIdentity	saved;
	Candidate	partition;
	char	   *why = NULL;
	Outcome		outcome;

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("expire_partition needs a transaction of isolation level READ COMMITTED")));
	if (!ee_maintenance_alone())
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("upkeep is at work"),
				 errhint("Try again.")));
	ee_identity_engine(&saved);
	if (!read_candidate(PG_GETARG_OID(0), &partition) ||
		partition.upper == DT_NOEND)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("only a sealed partition of the log can expire"),
				 errhint("See event_engine.stat_retention.")));
	outcome = expire(&partition, true, PG_GETARG_BOOL(1), &why);
	ee_identity_restore(&saved);
	if (outcome == HELD)
		ereport(ERROR,
				(errcode(EE_ERRCODE_PARTITION_HELD),
				 errmsg("events of partition \"%s\" have yet to be read",
						partition.name),
				 errdetail("By %s.", why),
				 errhint("Deliver or unsubscribe first, or let them go all the same with force => true.")));
	if (outcome == LOCKED)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("partition \"%s\" is in use", partition.name),
				 errdetail("A %s.", why)));
	PG_RETURN_VOID();
}
