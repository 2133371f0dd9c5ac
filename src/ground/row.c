/*
 * row.c
 *	  Find, change and remove single rows of tables of ours, as the worker of
 *	  a logical subscription does.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ground/compat.h"
#include "ground/row.h"

static bool find(Relation rel, Relation index, ScanKey key,
				 TupleTableSlot *slot, TransactionId *busy);
static bool lock(Relation rel, TupleTableSlot *slot);

bool
ee_row_lock(Relation rel, Oid index, const pg_uuid_t *id,
			TupleTableSlot *slot)
{
	Relation	by = index_open(index, RowExclusiveLock);
	ScanKeyData scan_key;
	TransactionId busy;
	bool		found;

	ScanKeyInit(&scan_key, 1, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(id));
	while ((found = find(rel, by, &scan_key, slot, &busy)))
	{
		if (TransactionIdIsValid(busy))
			XactLockTableWait(busy, NULL, NULL, XLTW_None);
		else if (lock(rel, slot))
			break;
		CHECK_FOR_INTERRUPTS();
	}
	index_close(by, NoLock);
	return found;
}

/* busy: who is changing the row, where somebody is. */
static bool
find(Relation rel, Relation index, ScanKey key, TupleTableSlot *slot,
	 TransactionId *busy)
{
	SnapshotData snapshot;
	IndexScanDesc scan;
	bool		found;

	InitDirtySnapshot(snapshot);
	scan = ee_index_beginscan(rel, index, &snapshot, 1, 0);
	index_rescan(scan, key, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	if (found)
	{
		ExecMaterializeSlot(slot);
		*busy = TransactionIdIsValid(snapshot.xmin) ? snapshot.xmin :
			snapshot.xmax;
	}
	index_endscan(scan);
	return found;
}

/* False when it is another version by now. */
static bool
lock(Relation rel, TupleTableSlot *slot)
{
	TM_FailureData failure;
	TM_Result	result;

	PushActiveSnapshot(GetLatestSnapshot());
	result = table_tuple_lock(rel, &slot->tts_tid, GetActiveSnapshot(), slot,
							  GetCurrentCommandId(false), LockTupleExclusive,
							  LockWaitBlock, 0, &failure);
	PopActiveSnapshot();
	switch (result)
	{
		case TM_Ok:
			return true;
		case TM_Updated:
		case TM_Deleted:
			return false;
		default:
			elog(ERROR, "could not lock row of \"%s\": %d",
				 RelationGetRelationName(rel), result);
	}
}

void
ee_row_update(Relation rel, ItemPointer tid, TupleTableSlot *slot)
{
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *target = makeNode(ResultRelInfo);
	MemoryContext old;

	InitResultRelInfo(target, rel, 0, NULL, 0);
	ExecOpenIndices(target, false);
	slot->tts_tableOid = RelationGetRelid(rel);
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	ee_update_tuple(rel, tid, slot, target, estate);
	MemoryContextSwitchTo(old);
	ExecCloseIndices(target);
	FreeExecutorState(estate);
	pfree(target);
	/* whoever looks at it next finds the new version */
	CommandCounterIncrement();
}

void
ee_row_delete(Relation rel, ItemPointer tid)
{
	simple_table_tuple_delete(rel, tid, InvalidSnapshot);
}
