/*
 * log_state.c
 *	  The sequence of the log, and which cluster its xids belong to.
 *
 * A dump restored elsewhere brings events whose xids come from the old
 * cluster's counter.  They are committed, so nobody needs to judge them; but
 * they must not be mistaken for transactions of the new one.  event_log_state
 * says up to which seq that is so.  The system identifier tells that we are
 * elsewhere: a standby, a base backup and point-in-time recovery keep it (and
 * the counter), pg_upgrade changes it (and keeps the counter; moving base_seq
 * then is needless and harmless, as nothing is in progress).
 *
 * A logical dump brings the row of the old cluster along.  It is not stored,
 * but makes ours one of nobody's (system identifier 0), and whoever first uses
 * the log adopts what has been restored by then.  If that is before all of it
 * has been, the events themselves tell, for they come with positions that have
 * never been handed out.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "store/log_state.h"

static bool state_valid = false;
static uint64 state_generation = 0;
static int64 state_base_seq = 0;

/* highest position that this transaction has restored, 0: none */
static int64 restored_seq = 0;

static bool read_state(int64 *base_seq);
static void adopt(void);
static void execute_update(const char *statement);
static void set_state(int64 base_seq);
static void xact_callback(XactEvent event, void *arg);
static void take_over(int64 seq);

int64
ee_log_state_next_seq(void)
{
	return nextval_internal(ee_extension_relid(EE_REL_EVENT_SEQ), false);
}

/*
 * Reads the sequence's one tuple in place: pg_sequence_last_value() would ask
 * for rights on the sequence that our callers need not have.
 */
int64
ee_log_state_last_seq(void)
{
	Relation	rel = table_open(ee_extension_relid(EE_REL_EVENT_SEQ),
								 AccessShareLock);
	Buffer		buffer = ReadBuffer(rel, 0);
	Page		page;
	HeapTupleHeader tuple;
	Form_pg_sequence_data data;
	int64		last;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	tuple = (HeapTupleHeader)
		PageGetItem(page, PageGetItemId(page, FirstOffsetNumber));
	data = (Form_pg_sequence_data) ((char *) tuple + tuple->t_hoff);
	last = data->is_called ? data->last_value : data->last_value - 1;
	UnlockReleaseBuffer(buffer);
	table_close(rel, AccessShareLock);
	return last;
}

int64
ee_log_state_base_seq(void)
{
	ee_log_state_adopt();
	return state_base_seq;
}

void
ee_log_state_adopt(void)
{
	uint64		generation =
		ee_invalidate_generation(EE_REL_EVENT_LOG_STATE);

	if (likely(state_valid && state_generation == generation))
		return;
	state_valid = false;
	state_generation = ee_invalidate_watch(EE_REL_EVENT_LOG_STATE);
	if (!read_state(&state_base_seq))
		adopt();
	state_valid = true;
}

/* False when the row is of another cluster. */
static bool
read_state(int64 *base_seq)
{
	Relation	rel = table_open(ee_extension_relid(EE_REL_EVENT_LOG_STATE),
								 AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	bool		mine;
	bool		isnull;

	if (!table_scan_getnextslot(scan, ForwardScanDirection, slot))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("table event_engine.event_log_state is empty"),
				 errhint("It holds one row; run CREATE EXTENSION again, or restore it from a dump.")));
	mine = DatumGetInt64(slot_getattr(slot, 2, &isnull)) ==
		(int64) GetSystemIdentifier();
	*base_seq = DatumGetInt64(slot_getattr(slot, 3, &isnull));
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return mine;
}

/*
 * The log came from another cluster: all handed out so far belongs to it.
 * The lock keeps two sessions from doing this, and is held to the end of the
 * transaction, so nobody takes a position in between.
 */
static void
adopt(void)
{
	int64		last;

	PreventCommandIfReadOnly("publishing after a restore");
	LockRelationOid(ee_extension_relid(EE_REL_EVENT_LOG_STATE),
					ShareRowExclusiveLock);
	if (read_state(&state_base_seq))
		return;
	last = ee_log_state_last_seq();
	set_state(last);
	state_base_seq = last;
	ereport(LOG,
			(errmsg("the event log comes from another cluster; events up to seq %lld are taken as committed",
					(long long) last)));
}

static void
set_state(int64 base_seq)
{
	execute_update(psprintf("UPDATE event_engine.event_log_state SET "
							"system_identifier = " INT64_FORMAT
							", base_seq = " INT64_FORMAT
							" WHERE system_identifier <> " INT64_FORMAT
							" OR base_seq < " INT64_FORMAT,
							(int64) GetSystemIdentifier(), base_seq,
							(int64) GetSystemIdentifier(), base_seq));
}

static void
execute_update(const char *statement)
{
	EePlanFrame frame;
	EeIdentity	saved;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (SPI_execute(statement, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not update event_engine.event_log_state");
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	ee_invalidate_announce(EE_REL_EVENT_LOG_STATE);
	/* so that it is forgotten here too when this is rolled back */
	CommandCounterIncrement();
}

/* -------------------------------------------------------- a logical restore */

/* Trigger of event_log_state: a dump brings another cluster's row. */
PG_FUNCTION_INFO_V1(ee_sql_restore_log_state);
Datum
ee_sql_restore_log_state(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(((TriggerData *) fcinfo->context)->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("restore_log_state must be fired BEFORE INSERT")));
	execute_update("UPDATE event_engine.event_log_state SET "
				   "system_identifier = 0");
	return PointerGetDatum(NULL);
}

void
ee_log_state_restored(int64 seq)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		registered = true;
	}
	restored_seq = Max(restored_seq, seq);
}

static void
xact_callback(XactEvent event, void *arg)
{
	int64		seq = restored_seq;

	if (seq == 0)
		return;
	restored_seq = 0;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		take_over(seq);
}

/*
 * The events of this transaction become visible with it, and by then nobody
 * may take their xids for those of this cluster, nor hand out their positions
 * again.  What was handed out here, as when a partition is loaded again, is
 * known.  A log that nobody has adopted yet needs no more than its positions.
 * The lock is for others that restore at the same time.
 */
static void
take_over(int64 seq)
{
	int64		base_seq;

	LockRelationOid(ee_extension_relid(EE_REL_EVENT_LOG_STATE),
					ShareRowExclusiveLock);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (seq > ee_log_state_last_seq())
	{
		DirectFunctionCall2(setval_oid,
							ObjectIdGetDatum(ee_extension_relid(EE_REL_EVENT_SEQ)),
							Int64GetDatum(seq));
		if (read_state(&base_seq))
			set_state(seq);
	}
	PopActiveSnapshot();
}
