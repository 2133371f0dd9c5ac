/*
 * instance.c
 *	  An instance of a workflow as its row says, and how the row is changed.
 *
 * Whoever changes an instance, its waits or its history holds the lock of its
 * row: event, time-out, cancellation and the functions that people call
 * compete for that, and whoever comes second finds what the first has made.
 *
 *		running -> waiting | running | completed | failed | cancelled
 *		waiting -> running | waiting | cancelled | timed_out
 *		failed -> running (resumed by a person)
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/insert.h"
#include "ground/row.h"
#include "workflow/instance.h"
#include "workflow/saga.h"

#define MAX_STEP_LENGTH	255

static const char *const status_names[] = {
	[EE_INSTANCE_RUNNING] = "running",
	[EE_INSTANCE_WAITING] = "waiting",
	[EE_INSTANCE_COMPENSATING] = "compensating",
	[EE_INSTANCE_COMPLETED] = "completed",
	[EE_INSTANCE_FAILED] = "failed",
	[EE_INSTANCE_CANCELLED] = "cancelled",
	[EE_INSTANCE_TIMED_OUT] = "timed_out",
};

static EeInstanceStatus status_of(const char *name);

EeInstance *
ee_instance_lock(const pg_uuid_t *id)
{
	Relation	rel = table_open(ee_extension_relid(EE_REL_WORKFLOW_INSTANCES),
								 RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	EeInstance *instance = NULL;
	char	   *status;

	if (ee_row_lock(rel, ee_extension_relid(EE_REL_WORKFLOW_INSTANCES_PKEY),
					id, slot))
	{
		bool		should_free;
		HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, true, &should_free);

		/* the values point into a copy that lives as long as the struct */
		if (!should_free)
			tuple = heap_copytuple(tuple);
		instance = palloc(sizeof(EeInstance));
		heap_deform_tuple(tuple, RelationGetDescr(rel), instance->values,
						  instance->nulls);
		instance->id = *id;
		instance->tid = slot->tts_tid;
		status = TextDatumGetCString(EE_INSTANCE_VALUE(instance,
													   EE_INSTANCE_STATUS));
		instance->status = status_of(status);
		pfree(status);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return instance;
}

static EeInstanceStatus
status_of(const char *name)
{
	for (int i = 0; i < lengthof(status_names); i++)
		if (strcmp(status_names[i], name) == 0)
			return i;
	elog(ERROR, "unknown status of a workflow \"%s\"", name);
}

const char *
ee_instance_status_name(EeInstanceStatus status)
{
	return status_names[status];
}

void
ee_instance_set(EeInstance *instance, EeInstanceAttr attr, Datum value)
{
	instance->values[attr - 1] = value;
	instance->nulls[attr - 1] = false;
}

void
ee_instance_set_null(EeInstance *instance, EeInstanceAttr attr)
{
	instance->values[attr - 1] = (Datum) 0;
	instance->nulls[attr - 1] = true;
}

void
ee_instance_set_status(EeInstance *instance, EeInstanceStatus status)
{
	instance->status = status;
	ee_instance_set(instance, EE_INSTANCE_STATUS,
					CStringGetTextDatum(status_names[status]));
}

void
ee_instance_set_step(EeInstance *instance, const char *name)
{
	if (name[0] == '\0' || pg_mbstrlen(name) > MAX_STEP_LENGTH)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_ANSWER),
				 errmsg("name of a step must have 1 to %d characters",
						MAX_STEP_LENGTH)));
	ee_instance_set(instance, EE_INSTANCE_STEP, CStringGetTextDatum(name));
}

void
ee_instance_store(EeInstance *instance)
{
	Relation	rel = table_open(ee_extension_relid(EE_REL_WORKFLOW_INSTANCES),
								 RowExclusiveLock);
	TupleTableSlot *slot = ee_insert_slot(rel, 1);

	ee_instance_set(instance, EE_INSTANCE_UPDATED_AT,
					TimestampTzGetDatum(GetCurrentTimestamp()));
	memcpy(slot->tts_values, instance->values, sizeof(instance->values));
	memcpy(slot->tts_isnull, instance->nulls, sizeof(instance->nulls));
	ExecStoreVirtualTuple(slot);
	ee_row_update(rel, &instance->tid, slot);
	instance->tid = slot->tts_tid;
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

/* A new one; the values are the caller's. */
void
ee_instance_insert(EeInstance *instance)
{
	ee_insert_values(ee_extension_relid(EE_REL_WORKFLOW_INSTANCES),
					 instance->values, instance->nulls);
	CommandCounterIncrement();
}

char *
ee_instance_text(const EeInstance *instance, EeInstanceAttr attr)
{
	if (EE_INSTANCE_IS_NULL(instance, attr))
		return NULL;
	return TextDatumGetCString(EE_INSTANCE_VALUE(instance, attr));
}

Jsonb *
ee_instance_jsonb(const EeInstance *instance, EeInstanceAttr attr)
{
	if (EE_INSTANCE_IS_NULL(instance, attr))
		return NULL;
	return DatumGetJsonbP(EE_INSTANCE_VALUE(instance, attr));
}

/* ------------------------------------------------------------ what becomes */

/* It is to be resumed by its waits. */
void
ee_instance_wait(EeInstance *instance, int needed)
{
	ee_instance_set_status(instance, EE_INSTANCE_WAITING);
	ee_instance_set(instance, EE_INSTANCE_WAIT_NEEDED, Int32GetDatum(needed));
	ee_instance_set_null(instance, EE_INSTANCE_MATCHED);
	ee_instance_forget_step(instance);
}

/* A step of it is due at that time. */
void
ee_instance_due(EeInstance *instance, TimestampTz at)
{
	ee_instance_set_status(instance, EE_INSTANCE_RUNNING);
	ee_instance_set(instance, EE_INSTANCE_NEXT_ATTEMPT_AT,
					TimestampTzGetDatum(at));
}

int
ee_instance_attempts(const EeInstance *instance)
{
	return DatumGetInt32(EE_INSTANCE_VALUE(instance, EE_INSTANCE_ATTEMPTS));
}

/* Nothing is due, and nothing has failed. */
void
ee_instance_forget_step(EeInstance *instance)
{
	ee_instance_set_null(instance, EE_INSTANCE_RESUMPTION);
	ee_instance_set_null(instance, EE_INSTANCE_RESUMPTION_EVENT);
	ee_instance_set_null(instance, EE_INSTANCE_NEXT_ATTEMPT_AT);
	ee_instance_set_null(instance, EE_INSTANCE_LAST_ERROR);
	ee_instance_set_null(instance, EE_INSTANCE_ERROR_DETAILS);
	ee_instance_set(instance, EE_INSTANCE_ATTEMPTS, Int32GetDatum(0));
}

/* It is over.  The caller removes its waits. */
void
ee_instance_end(EeInstance *instance, EeInstanceStatus status)
{
	Assert(status >= EE_INSTANCE_COMPLETED);
	if (status != EE_INSTANCE_COMPLETED &&
		instance->status != EE_INSTANCE_COMPENSATING &&
		ee_saga_begin(instance, status))
		return;
	ee_instance_set_status(instance, status);
	ee_instance_set_null(instance, EE_INSTANCE_NEXT_ATTEMPT_AT);
	ee_instance_set_null(instance, EE_INSTANCE_DEADLINE_AT);
	ee_instance_set_null(instance, EE_INSTANCE_MATCHED);
	ee_instance_set(instance, EE_INSTANCE_WAIT_NEEDED, Int32GetDatum(0));
	ee_instance_set(instance, EE_INSTANCE_FINISHED_AT,
					TimestampTzGetDatum(GetCurrentTimestamp()));
	if (status != EE_INSTANCE_COMPLETED)
		ee_saga_end_children(instance);
}
