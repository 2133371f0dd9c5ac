/*
 * append.c
 *	  Put received events into the log.
 *
 * Rows go straight into the partition and its indexes, as COPY does it: no
 * plan, no tuple routing, and no trigger, since the rows have passed receive
 * already.  Where somebody has put an INSERT trigger of their own on the
 * log, the rows go through INSERT instead, so that it fires.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/insert.h"
#include "ground/plan.h"
#include "ground/shared.h"
#include "store/append.h"
#include "store/log_state.h"
#include "store/partition.h"

/* Rows handed to the table at once. */
#define APPEND_CHUNK	1000

static bool inserting = false;

static void append_run(EePartition *partition, EeEvent *events, int n);
static void append_by_insert(EeEvent *events, int n);
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

bool
ee_append_in_progress(void)
{
	return inserting;
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
			append_by_insert(events + begin, end - begin);
		else
			append_run(partition, events + begin, end - begin);
		begin = end;
		CHECK_FOR_INTERRUPTS();
	}
	for (int i = 0; i < n; i++)
	{
		text	   *pattern =
			DatumGetTextPP(EE_EVENT_VALUE(&events[i], EE_EVENT_PATTERN));

		ee_shared_note_published(VARDATA_ANY(pattern),
								 VARSIZE_ANY_EXHDR(pattern));
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

static void
append_by_insert(EeEvent *events, int n)
{
	static EePlan insert = EE_PLAN("INSERT INTO event_engine.events VALUES "
								   "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
								   "$11, $12, $13, $14, $15, $16, $17)",
								   "uuid", "varchar", "varchar", "varchar",
								   "jsonb", "timestamptz", "jsonb", "jsonb",
								   "timestamptz", "varchar", "varchar", "int8",
								   "event_engine.event_priority", "text",
								   "timestamptz", "int8", "xid8");
	EePlanFrame frame;
	EeIdentity	saved;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	PG_TRY();
	{
		inserting = true;
		for (int i = 0; i < n; i++)
		{
			char		nulls[EE_EVENT_NATTS];

			for (int a = 0; a < EE_EVENT_NATTS; a++)
				nulls[a] = events[i].nulls[a] ? 'n' : ' ';
			ee_plan_execute(&insert, events[i].values, nulls, false, 0);
		}
	}
	PG_FINALLY();
	{
		inserting = false;
	}
	PG_END_TRY();
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}
