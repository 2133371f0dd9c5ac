/*
 * append.c
 *	  Put received events into the log.
 *
 * Rows go straight into the partition and its indexes, as COPY does it: no
 * plan, no tuple routing, and no trigger, since the rows have passed receive
 * already.  Where somebody has put an INSERT trigger of their own on the
 * log, the rows go the way of INSERT instead, so that it fires.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "ground/debug_point.h"
#include "ground/extension.h"
#include "ground/insert.h"
#include "ground/shared.h"
#include "ground/shared_counter.h"
#include "store/append.h"
#include "store/log_state.h"
#include "store/metadata.h"
#include "store/partition.h"

/* Rows handed to the table at once. */
#define APPEND_CHUNK	1000

void		(*ee_append_hook) (EeEvent *events, int n) = NULL;

/* seq of the row that append_with_triggers() is handing over, or 0 */
static int64 inserting = 0;

static void append_run(EePartition *partition, EeEvent *events, int n);
static void append_with_triggers(EePartition *partition, EeEvent *events,
								 int n);
static void fill_slot(TupleTableSlot *slot, const EeEvent *event);

void
ee_append_position(EeEvent *event)
{
	/*
	 * The xid comes before the seq: a reader who sees a seq handed out can
	 * then tell whose it may be.  See log_position.c.
	 */
	EE_EVENT_VALUE(event, EE_EVENT_XID) =
		FullTransactionIdGetDatum(GetTopFullTransactionId());
	EE_EVENT_VALUE(event, EE_EVENT_SEQ) =
		Int64GetDatum(ee_log_state_next_seq());
	EE_EVENT_IS_NULL(event, EE_EVENT_XID) = false;
	EE_EVENT_IS_NULL(event, EE_EVENT_SEQ) = false;
}

/* Once, so that nobody else's row passes for it. */
bool
ee_append_own_row(int64 seq)
{
	if (inserting == 0 || seq != inserting)
		return false;
	inserting = 0;
	return true;
}

void
ee_append_events(EeEvent *events, int n)
{
	int			begin = 0;

	PreventCommandIfReadOnly("publish_event()");
	PreventCommandIfParallelMode("publish_event()");
	ee_log_state_adopt();
	while (begin < n)
	{
		TimestampTz at = DatumGetTimestampTz(EE_EVENT_VALUE(&events[begin],
															EE_EVENT_CREATED_AT));
		TimestampTz moved = at;
		EePartition *partition = ee_partition_for_append(&moved);
		int			end = begin;

		/* a run that fits into this partition */
		while (end < n && end - begin < APPEND_CHUNK)
		{
			EeEvent    *event = &events[end];

			at = DatumGetTimestampTz(EE_EVENT_VALUE(event,
													EE_EVENT_CREATED_AT));
			if (at < moved)
				at = moved;		/* out of a sealed partition */
			if (!partition->is_default && at >= partition->upper)
				break;
			EE_EVENT_VALUE(event, EE_EVENT_CREATED_AT) =
				TimestampTzGetDatum(at);
			end++;
		}
		for (int i = begin; i < end; i++)
			ee_append_position(&events[i]);
		if (partition->foreign_triggers)
			append_with_triggers(partition, events + begin, end - begin);
		else
		{
			append_run(partition, events + begin, end - begin);
			if (ee_append_hook != NULL)
				ee_append_hook(events + begin, end - begin);
		}
		begin = end;
		CHECK_FOR_INTERRUPTS();
	}
	ee_append_note(events, n);
}

/* By runs of the same pattern, source and priority. */
void
ee_append_note(const EeEvent *events, int n)
{
	int			begin = 0;

	while (begin < n)
	{
		Datum		pattern = EE_EVENT_VALUE(&events[begin], EE_EVENT_PATTERN);
		Datum		source = EE_EVENT_VALUE(&events[begin], EE_EVENT_SOURCE);
		Datum		priority = EE_EVENT_VALUE(&events[begin],
											  EE_EVENT_PRIORITY);
		text	   *name = DatumGetTextPP(pattern);
		int			type_len;
		const char *type = ee_metadata_source_type(DatumGetJsonbP(source),
												   &type_len);
		int			end = begin + 1;

		while (end < n &&
			   EE_EVENT_VALUE(&events[end], EE_EVENT_PATTERN) == pattern &&
			   EE_EVENT_VALUE(&events[end], EE_EVENT_SOURCE) == source &&
			   EE_EVENT_VALUE(&events[end], EE_EVENT_PRIORITY) == priority)
			end++;
		ee_shared_note_published(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
								 ee_extension_priority_of(DatumGetObjectId(priority)));
		ee_shared_counter_note(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
							   type, type_len, EE_OUTCOME_PUBLISHED,
							   end - begin);
		begin = end;
	}
}

static void
append_run(EePartition *partition, EeEvent *events, int n)
{
	Relation	rel = table_open(partition->relid, NoLock);
	TupleTableSlot **slots = palloc(sizeof(TupleTableSlot *) * n);

	for (int i = 0; i < n; i++)
	{
		slots[i] = ee_insert_slot(rel, n);
		fill_slot(slots[i], &events[i]);
	}
	ee_insert_rows(rel, slots, n);
	ee_debug_point("store_after_append");
	for (int i = 0; i < n; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	pfree(slots);
	table_close(rel, NoLock);
}

static void
fill_slot(TupleTableSlot *slot, const EeEvent *event)
{
	ExecClearTuple(slot);
	memcpy(slot->tts_values, event->values, sizeof(event->values));
	memcpy(slot->tts_isnull, event->nulls, sizeof(event->nulls));
	ExecStoreVirtualTuple(slot);
}

/*
 * As the server's own INSERT does it, yet asking for no rights on the table:
 * triggers and all run as the publisher, who need not be trusted by those
 * that the log belongs to.
 */
static void
append_with_triggers(EePartition *partition, EeEvent *events, int n)
{
	Relation	rel = table_open(partition->relid, NoLock);
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *target = makeNode(ResultRelInfo);
	TupleTableSlot *slot = table_slot_create(rel, &estate->es_tupleTable);
	int64		outer = inserting;

	InitResultRelInfo(target, rel, 0, NULL, 0);
	ExecOpenIndices(target, false);
	AfterTriggerBeginQuery();
	PG_TRY();
	{
		for (int i = 0; i < n; i++)
		{
			inserting = DatumGetInt64(EE_EVENT_VALUE(&events[i],
													 EE_EVENT_SEQ));
			ResetPerTupleExprContext(estate);
			fill_slot(slot, &events[i]);
			ExecSimpleRelationInsert(target, estate, slot);
		}
	}
	PG_FINALLY();
	{
		/* a trigger may have published, and so may we be in one */
		inserting = outer;
	}
	PG_END_TRY();
	AfterTriggerEndQuery(estate);
	ExecCloseIndices(target);
	ExecResetTupleTable(estate->es_tupleTable, false);
	ExecCloseResultRelations(estate);
	FreeExecutorState(estate);
	table_close(rel, NoLock);
}
