/*
 * delete.c
 *	  Take rows straight out of a table of ours, found by its primary key: no
 *	  plan, no trigger, no rights asked.
 *
 * A plan would be kept, and one that is made while the table is small reads
 * all the rows of a subscription for an array of keys.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ground/compat.h"
#include "ground/delete.h"

void
ee_delete_rows(Oid relid, int32 number, const int64 *seqs, int n)
{
	Relation	rel = table_open(relid, RowExclusiveLock);
	Relation	index = index_open(ee_primary_key_index(rel),
								   RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot;
	IndexScanDesc scan;
	ScanKeyData keys[2];

	/* what this transaction has written so far is there to be deleted */
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = ee_index_beginscan(rel, index, snapshot, lengthof(keys), 0);
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(number));
	for (int i = 0; i < n; i++)
	{
		ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ,
					Int64GetDatum(seqs[i]));
		index_rescan(scan, keys, lengthof(keys), NULL, 0);
		if (index_getnext_slot(scan, ForwardScanDirection, slot))
			simple_table_tuple_delete(rel, &slot->tts_tid, snapshot);
	}
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	table_close(rel, NoLock);
}
