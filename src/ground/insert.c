/*
 * insert.c
 *	  Put rows straight into a table of ours and its indexes, as COPY does:
 *	  no plan, no trigger, no rights asked.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "utils/rel.h"

#include "ground/compat.h"
#include "ground/insert.h"

TupleTableSlot *
ee_insert_slot(Relation rel, int n)
{
	return MakeSingleTupleTableSlot(RelationGetDescr(rel),
									n == 1 ? &TTSOpsVirtual :
									table_slot_callbacks(rel));
}

void
ee_insert_rows(Relation rel, TupleTableSlot **slots, int n)
{
	CommandId	cid = GetCurrentCommandId(true);
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *target = makeNode(ResultRelInfo);
	MemoryContext old;

	InitResultRelInfo(target, rel, 0, NULL, 0);
	ExecOpenIndices(target, false);
	if (n == 1)
		table_tuple_insert(rel, slots[0], cid, 0, NULL);
	else
	{
		BulkInsertState bulk = GetBulkInsertState();

		table_multi_insert(rel, slots, n, cid, 0, bulk);
		FreeBulkInsertState(bulk);
	}
	if (target->ri_NumIndices > 0)
	{
		old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
		for (int i = 0; i < n; i++)
		{
			slots[i]->tts_tableOid = RelationGetRelid(rel);
			ResetPerTupleExprContext(estate);
			(void) ee_insert_index_tuples(target, slots[i], estate);
		}
		MemoryContextSwitchTo(old);
	}
	ExecCloseIndices(target);
	FreeExecutorState(estate);
	pfree(target);
}

void
ee_insert_values(Oid relid, Datum *values, bool *nulls)
{
	Relation	rel = table_open(relid, RowExclusiveLock);
	TupleTableSlot *slot = ee_insert_slot(rel, 1);
	int			natts = RelationGetDescr(rel)->natts;

	memcpy(slot->tts_values, values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, nulls, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	ee_insert_rows(rel, &slot, 1);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}
