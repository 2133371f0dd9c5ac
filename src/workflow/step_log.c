/*
 * step_log.c
 *	  The history of an instance: what it has done, and why.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ground/envelope.h"
#include "ground/extension.h"
#include "ground/insert.h"
#include "workflow/life_cycle.h"
#include "workflow/step_log.h"

/* The columns of event_engine.workflow_steps. */
typedef enum StepAttr
{
	ATTR_INSTANCE_ID = 1,
	ATTR_STEP_NUMBER,
	ATTR_ATTEMPT,
	ATTR_STEP,
	ATTR_RESUMED_BY,
	ATTR_WAIT_NAME,
	ATTR_EVENT_ID,
	ATTR_EVENT_SEQ,
	ATTR_RESULT,
	ATTR_ERROR_MESSAGE,
	ATTR_DETAILS,
	ATTR_STARTED_AT,
	ATTR_FINISHED_AT
} StepAttr;

#define STEP_NATTS	ATTR_FINISHED_AT

typedef struct StepRow
{
	Datum		values[STEP_NATTS];
	bool		nulls[STEP_NATTS];
} StepRow;

static void set(StepRow *row, StepAttr attr, Datum value);
static void set_text(StepRow *row, StepAttr attr, const char *text);

void
ee_step_log_add(const EeInstance *instance, const EeStepRecord *record)
{
	StepRow		row;
	EeEvent		event;

	memset(row.values, 0, sizeof(row.values));
	memset(row.nulls, true, sizeof(row.nulls));
	set(&row, ATTR_INSTANCE_ID, UUIDPGetDatum(&instance->id));
	set(&row, ATTR_STEP_NUMBER, Int32GetDatum(record->number));
	set(&row, ATTR_ATTEMPT, Int32GetDatum(record->attempt));
	set_text(&row, ATTR_STEP, record->step);
	set_text(&row, ATTR_RESUMED_BY, record->resumed_by);
	set_text(&row, ATTR_WAIT_NAME, record->wait_name);
	set_text(&row, ATTR_RESULT, record->result);
	set_text(&row, ATTR_ERROR_MESSAGE, record->error_message);
	if (record->event != (Datum) 0)
	{
		ee_envelope_deform(record->event, &event);
		set(&row, ATTR_EVENT_ID, EE_EVENT_VALUE(&event, EE_EVENT_ID));
		set(&row, ATTR_EVENT_SEQ, EE_EVENT_VALUE(&event, EE_EVENT_SEQ));
	}
	if (record->details != NULL)
		set(&row, ATTR_DETAILS, JsonbPGetDatum(record->details));
	set(&row, ATTR_STARTED_AT, TimestampTzGetDatum(record->started_at));
	set(&row, ATTR_FINISHED_AT, TimestampTzGetDatum(GetCurrentTimestamp()));
	ee_insert_values(ee_extension_relid(EE_REL_WORKFLOW_STEPS), row.values,
					 row.nulls);
	ee_life_cycle_step(instance, record);
}

static void
set(StepRow *row, StepAttr attr, Datum value)
{
	row->values[attr - 1] = value;
	row->nulls[attr - 1] = false;
}

static void
set_text(StepRow *row, StepAttr attr, const char *text)
{
	if (text != NULL)
		set(row, attr, CStringGetTextDatum(text));
}
