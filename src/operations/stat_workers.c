/*
 * stat_workers.c
 *	  The processes of event_engine, as shared memory has them.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ground/shared.h"

#define WORKER_SLOTS_COLS	11

static void put_launcher(ReturnSetInfo *result);
static void put_routers(ReturnSetInfo *result);
static void put_executors(ReturnSetInfo *result);
static const char *state_name(EeSlotState state, bool busy);

PG_FUNCTION_INFO_V1(ee_sql_worker_slots);

/*
 * worker_slots() RETURNS SETOF record (kind, slot, dbid, roleid, pid, state,
 * started_at, events, batches, failures, busy_since): the slots in use; none
 * where the library was not preloaded.
 */
Datum
ee_sql_worker_slots(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	if (!ee_shared_available())
		return (Datum) 0;
	put_launcher(result);
	put_routers(result);
	put_executors(result);
	return (Datum) 0;
}

static void
put_launcher(ReturnSetInfo *result)
{
	Datum		values[WORKER_SLOTS_COLS] = {0};
	bool		nulls[WORKER_SLOTS_COLS];
	int			pid = ee_shared_launcher_pid();

	if (pid == 0)
		return;
	memset(nulls, true, sizeof(nulls));
	values[0] = CStringGetTextDatum("launcher");
	values[4] = Int32GetDatum(pid);
	values[5] = CStringGetTextDatum("running");
	nulls[0] = nulls[4] = nulls[5] = false;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* The lock is not held while rows are put: they may go to disk. */
static void
put_routers(ReturnSetInfo *result)
{
	for (int i = 0; i < EE_MAX_DATABASES; i++)
	{
		EeDatabaseSlot *slot = ee_shared_database(i);
		Datum		values[WORKER_SLOTS_COLS] = {0};
		bool		nulls[WORKER_SLOTS_COLS];
		Oid			dbid;
		EeSlotState state;
		int			pid;
		TimestampTz started_at;

		ee_shared_lock(false);
		dbid = pg_atomic_read_u32(&slot->dbid);
		state = slot->waits ? EE_SLOT_STARTING : slot->state;
		pid = slot->pid;
		started_at = slot->started_at;
		ee_shared_unlock();
		if (!OidIsValid(dbid) || state == EE_SLOT_FREE)
			continue;

		memset(nulls, true, sizeof(nulls));
		values[0] = CStringGetTextDatum("router");
		values[1] = Int32GetDatum(i);
		values[2] = ObjectIdGetDatum(dbid);
		values[4] = Int32GetDatum(pid);
		values[5] = CStringGetTextDatum(state_name(state, false));
		values[6] = TimestampTzGetDatum(started_at);
		nulls[0] = nulls[1] = nulls[2] = nulls[5] = nulls[6] = false;
		nulls[4] = state != EE_SLOT_RUNNING;
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
}

static void
put_executors(ReturnSetInfo *result)
{
	for (int i = 0; i < ee_shared_n_workers(); i++)
	{
		EeWorkerSlot *slot = ee_shared_worker(i);
		Datum		values[WORKER_SLOTS_COLS] = {0};
		bool		nulls[WORKER_SLOTS_COLS] = {0};
		TimestampTz busy_since;
		Oid			dbid;
		EeSlotState state;

		ee_shared_lock(false);
		dbid = pg_atomic_read_u32(&slot->dbid);
		state = slot->state;
		busy_since = (TimestampTz) pg_atomic_read_u64(&slot->busy_since);
		values[3] = ObjectIdGetDatum(slot->roleid);
		values[4] = Int32GetDatum(slot->pid);
		values[6] = TimestampTzGetDatum(slot->started_at);
		values[7] = Int64GetDatum(pg_atomic_read_u64(&slot->events));
		values[8] = Int64GetDatum(pg_atomic_read_u64(&slot->batches));
		values[9] = Int64GetDatum(pg_atomic_read_u64(&slot->failures));
		ee_shared_unlock();
		if (!OidIsValid(dbid) || state == EE_SLOT_FREE)
			continue;

		values[0] = CStringGetTextDatum("executor");
		values[1] = Int32GetDatum(i);
		values[2] = ObjectIdGetDatum(dbid);
		values[5] = CStringGetTextDatum(state_name(state, busy_since != 0));
		values[10] = TimestampTzGetDatum(busy_since);
		nulls[4] = state != EE_SLOT_RUNNING;
		nulls[10] = busy_since == 0;
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
}

static const char *
state_name(EeSlotState state, bool busy)
{
	if (state == EE_SLOT_STARTING)
		return "starting";
	return busy ? "busy" : "running";
}
