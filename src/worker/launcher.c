/*
 * launcher.c
 *	  One a server: sees to it that each database with the extension has a
 *	  router.
 *
 * It is connected to no database, so it cannot see which have the extension:
 * it starts a router, which looks, and ends when there is none.  After that
 * the database is left alone until somebody creates the extension there
 * (which is told through shared memory), or for a long while.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ground/clock.h"
#include "ground/config.h"
#include "ground/shared.h"
#include "ground/shared_counter.h"
#include "ground/shared_subscription.h"
#include "worker/launcher.h"
#include "worker/worker_main.h"

/* How long to wait before looking again where there was no extension ... */
#define ABSENT_INTERVAL_MS	300000
/* ... and between two starts of one that failed. */
#define START_INTERVAL_MS	5000

typedef struct Seen
{
	Oid			dbid;			/* hash key */
	TimestampTz started_at;
	bool		present;		/* in the latest list of databases */
} Seen;

static HTAB *seen = NULL;
static bool warned_slots = false;

static List *list_databases(MemoryContext context);
static void visit(Oid dbid);
static int	router_room(void);
static int	count_routers(void);
static void warn_no_room(void);
static void forget_dropped(void);

void
ee_launcher_main(Datum arg)
{
	HASHCTL		info = {.keysize = sizeof(Oid), .entrysize = sizeof(Seen)};
	MemoryContext round_context;

	ee_worker_signals();
	ee_shared_launcher_attach();
	ee_worker_connect(InvalidOid, InvalidOid, "event_engine launcher");
	seen = hash_create("event_engine databases", 64, &info,
					   HASH_ELEM | HASH_BLOBS);
	round_context = AllocSetContextCreate(TopMemoryContext,
										  "event_engine launcher round",
										  ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		ListCell   *lc;

		(void) ee_shared_take_launcher_request();
		if (ee_config_delivery_enabled)
		{
			foreach(lc, list_databases(round_context))
				visit(lfirst_oid(lc));
			forget_dropped();
		}
		MemoryContextReset(round_context);
		pgstat_report_activity(STATE_IDLE, NULL);
		ee_worker_wait(ee_config_worker_launch_interval, EE_WAIT_LAUNCHER);
	}
}

/* Those one can connect to and that are no templates. */
static List *
list_databases(MemoryContext context)
{
	List	   *result = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!database->datallowconn || database->datistemplate)
			continue;
		old = MemoryContextSwitchTo(context);
		result = lappend_oid(result, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	return result;
}

static void
visit(Oid dbid)
{
	TimestampTz now = GetCurrentTimestamp();
	EeWorkerStart start;
	char		name[BGW_MAXLEN];
	EeDatabaseSlot *slot;
	bool		found;
	bool		running;
	bool		requested = false;
	bool		failed = false;
	Seen	   *entry = hash_search(seen, &dbid, HASH_ENTER, &found);

	entry->present = true;
	if (!found)
		entry->started_at = 0;
	for (int i = 0; i < EE_MAX_DATABASES; i++)
	{
		EeDatabaseSlot *database = ee_shared_database(i);

		if (pg_atomic_read_u32(&database->dbid) == dbid)
		{
			if (database->state == EE_SLOT_RUNNING)
				return;
			requested = database->requested;
			failed = database->failed;
		}
	}
	if (!requested &&
		!ee_clock_exceeds(entry->started_at, now,
									failed ? START_INTERVAL_MS :
									ABSENT_INTERVAL_MS))
		return;

	if (count_routers() >= router_room())
	{
		warn_no_room();
		return;
	}
	slot = ee_shared_reserve_router(dbid, &running);
	if (slot == NULL)
	{
		if (!running)
			warn_no_room();
		return;
	}
	start.index = ee_shared_router_index(slot);
	start.generation = slot->generation;
	start.dbid = dbid;
	start.roleid = InvalidOid;
	start.member = 0;
	entry->started_at = now;
	snprintf(name, sizeof(name), "event_engine router for database %u",
			 dbid);
	if (!ee_worker_start("ee_router_main", "event_engine router",
						 name,
						 &start))
	{
		ee_shared_unreserve_router(slot, start.generation);
		entry->started_at = 0;
		if (!warned_slots)
			ereport(WARNING,
					(errmsg("no background worker slot is free for event_engine"),
					 errhint("Increase max_worker_processes.")));
		warned_slots = true;
	}
	else
		warned_slots = false;
}

/*
 * How many databases may have a router.  A router stays for as long as the
 * extension does, so routers alone could take all places that the server has
 * for background workers, and nobody would deliver: a third of them is left
 * to executors, who take turns.  Two are ours and that of the server's
 * logical replication.
 */
static int
router_room(void)
{
	int			places = max_worker_processes - 2;

	return Min(Max(places - Max(places / 3, 1), 1), EE_MAX_DATABASES);
}

static int
count_routers(void)
{
	int			n = 0;

	for (int i = 0; i < EE_MAX_DATABASES; i++)
	{
		EeDatabaseSlot *slot = ee_shared_database(i);

		if (OidIsValid(pg_atomic_read_u32(&slot->dbid)) &&
			slot->state != EE_SLOT_FREE)
			n++;
	}
	return n;
}

static void
warn_no_room(void)
{
	int			room = router_room();

	if (warned_slots)
		return;
	warned_slots = true;
	ereport(WARNING,
			(errmsg("event_engine has workers for %d databases, and no room for another",
					room),
			 errdetail("Other databases get theirs when one of these is dropped, or the extension in it."),
			 room < EE_MAX_DATABASES ?
			 errhint("Increase max_worker_processes: two thirds of it are for databases, the others for executors.") :
			 errhint("event_engine.process_batch() and run_maintenance() do the work elsewhere.")));
}

/* Databases that are gone, here and among the slots. */
static void
forget_dropped(void)
{
	HASH_SEQ_STATUS scan;
	Seen	   *entry;

	for (int i = 0; i < EE_MAX_DATABASES; i++)
	{
		EeDatabaseSlot *slot = ee_shared_database(i);
		Oid			dbid = pg_atomic_read_u32(&slot->dbid);

		entry = OidIsValid(dbid) ?
			hash_search(seen, &dbid, HASH_FIND, NULL) : NULL;
		if (OidIsValid(dbid) && (entry == NULL || !entry->present))
			ee_shared_free_database(slot, dbid);
	}

	hash_seq_init(&scan, seen);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (!entry->present)
		{
			ee_shared_subscription_forget(entry->dbid);
			ee_shared_counter_forget(entry->dbid);
			hash_search(seen, &entry->dbid, HASH_REMOVE, NULL);
		}
		else
			entry->present = false;
	}
}
