/*
 * forget.c
 *	  Rows that are of no more use leave our tables: identifiers whose window
 *	  is over, milestones, settled dead letters, the log of finished deliveries,
 *	  workflows that are over.
 *
 * By some thousands a unit, as a long transaction would keep vacuum from the
 * rows of all others.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "ground/config.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "operations/forget.h"
#include "operations/maintenance_log.h"

#define ROWS_A_UNIT		10000
/* Each has some rows of history. */
#define WORKFLOWS_A_UNIT	1000
/* How long a milestone is of use, and a note of what upkeep has done. */
#define MILESTONE_DAYS	30
#define NOTE_DAYS		90

/* For $1 rows at most, of before $2. */
#define FORGET(table_, condition_) \
	EE_PLAN("DELETE FROM event_engine." table_ " WHERE ctid = ANY (ARRAY(" \
			"SELECT ctid FROM event_engine." table_ " WHERE " condition_ \
			" LIMIT $1))", "int4", "timestamptz")

typedef struct Forgettable
{
	const char *table;
	EePlan		plan;
	const int  *seconds;		/* kept so long, 0 for ever; NULL: $2 is now */
	int			days;			/* where seconds is NULL: kept so long */
	bool		told;			/* it is worth a note */
} Forgettable;

static uint64 forget(Forgettable *what, TimestampTz before);
static void forget_workflows(const EeUnit *unit);
static int64 forget_some_workflows(void);

void
ee_forget_run(const EeUnit *unit)
{
	static Forgettable all[] = {
		{"event_keys", FORGET("event_keys", "expires_at <= $2"), NULL, 0,
		false},
		{"delivery_keys", FORGET("delivery_keys", "expires_at <= $2"), NULL, 0,
		false},
		{"event_milestones", FORGET("event_milestones", "created_at < $2"),
		NULL, MILESTONE_DAYS, false},
		{"event_maintenance", FORGET("event_maintenance", "at < $2"), NULL,
		NOTE_DAYS, false},
		{"event_dead_letters",
			FORGET("event_dead_letters",
				   "status <> 'dead' AND status_changed_at < $2"),
		&ee_config_operations_dead_letter_retention, 0, true},
		{"event_processing_log",
			FORGET("event_processing_log", "finished_at < $2"),
		&ee_config_operations_log_retention, 0, true}
	};

	for (int i = 0; i < lengthof(all); i++)
	{
		Forgettable *what = &all[i];
		TimestampTz before = GetCurrentTimestamp();
		uint64		total = 0;
		uint64		n;

		if (what->seconds == NULL)
			before -= what->days * USECS_PER_DAY;
		else if (*what->seconds > 0)
			before -= *what->seconds * USECS_PER_SEC;
		else
			continue;
		do
		{
			unit->begin();
			n = ee_maintenance_alone() ? forget(what, before) : 0;
			total += n;
			if (n < ROWS_A_UNIT && total > 0 && what->told)
				ee_maintenance_log("forget", what->table, EE_MAINTAINED_DONE,
								   (int64) total, -1, NULL);
			unit->commit();
		} while (n == ROWS_A_UNIT);
	}
	forget_workflows(unit);
}

static uint64
forget(Forgettable *what, TimestampTz before)
{
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[] = {Int32GetDatum(ROWS_A_UNIT),
	TimestampTzGetDatum(before)};
	uint64		n;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	n = ee_plan_execute(&what->plan, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}

static void
forget_workflows(const EeUnit *unit)
{
	int64		total = 0;
	int64		n;

	do
	{
		unit->begin();
		n = ee_maintenance_alone() ? forget_some_workflows() : 0;
		total += n;
		if (n < WORKFLOWS_A_UNIT && total > 0)
			ee_maintenance_log("forget", "workflow_instances",
							   EE_MAINTAINED_DONE, total, -1, NULL);
		unit->commit();
	} while (n >= WORKFLOWS_A_UNIT);
}

static int64
forget_some_workflows(void)
{
	static EePlan forget =
		EE_PLAN("SELECT event_engine.forget_workflows("
				"pg_catalog.make_interval(secs => NULLIF($1, 0)), $2)",
				"int4", "int4");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[] = {Int32GetDatum(ee_config_workflow_retention),
	Int32GetDatum(WORKFLOWS_A_UNIT)};
	int64		n;
	bool		isnull;

	if (!ee_extension_is_at_least(EE_VERSION_NUMBER(0, 2, 0)))
		return 0;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	ee_plan_execute(&forget, values, NULL, false, 1);
	n = DatumGetInt64(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}
