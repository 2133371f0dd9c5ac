/*
 * trigger.c
 *	  Events that start workflows, and events that cancel them.
 *
 * The dispatcher of a role reads the events of all patterns that its triggers
 * name.  Which of them a trigger wants is found out while the batch is read;
 * what it does then, in SQL (64_workflow_trigger_api.sql), is done when it is
 * known how far the cursor will move: so each event fires each trigger
 * exactly once.  Where an instance that is to be cancelled is locked by
 * somebody else, or another lane fires triggers of the workflow, that is
 * written down and done later (workflow_postponed_triggers): who waited for
 * others with instances of his own locked might wait for ever.
 *
 * Nothing here raises an error because of what a trigger says: its paths are
 * asked silently, and what they cannot tell is written down as a failure.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"

#include "delivery/handler.h"
#include "ground/causation.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "routing/match.h"
#include "workflow/trigger.h"

/* That were postponed, at once. */
#define POSTPONED_MAX	100

typedef struct EventTrigger
{
	pg_uuid_t	id;
	int32		number;
	bool		cancels;
	EeMatcher  *matcher;		/* of its pattern alone */
	Datum		condition;		/* jsonpath, of START; 0: none */
	Datum		since;			/* pg_snapshot */
	int64		since_seq;
} EventTrigger;

typedef struct Firing
{
	pg_uuid_t	trigger;
	Datum		event;
	int64		seq;
} Firing;

static void load(void);
static bool wants(const EventTrigger *trigger, const char *pattern, int len,
				  EeEvent *event, Jsonb **envelope);
static bool is_new(const EventTrigger *trigger, EeEvent *event);
static bool may_hold(const EventTrigger *trigger, Jsonb *envelope);

/* the triggers of all dispatchers, by priority, and when they were read */
static List *known = NIL;
static MemoryContext known_context = NULL;
static uint64 known_generation = 0;

bool
ee_trigger_begin(EeTriggers *triggers, int32 number)
{
	ListCell   *lc;

	triggers->list = triggers->noted = NIL;
	triggers->postponed = false;
	triggers->context = CurrentMemoryContext;
	if (known_generation == 0 ||
		known_generation !=
		ee_invalidate_generation(EE_REL_WORKFLOW_EVENT_TRIGGERS))
		load();
	if (!ee_invalidate_settled(EE_REL_WORKFLOW_EVENT_TRIGGERS))
		return false;
	foreach(lc, known)
		if (((EventTrigger *) lfirst(lc))->number == number)
			triggers->list = lappend(triggers->list, lfirst(lc));
	return true;
}

static void
load(void)
{
	static EePlan all =
		EE_PLAN("SELECT t.id, t.number, "
				"event_engine.subscription_match(ARRAY[t.event_pattern::text], NULL), "
				"CASE t.trigger_type WHEN 'START' THEN t.event_condition::jsonpath END, "
				"t.since, t.since_seq, t.trigger_type = 'CANCEL' "
				"FROM event_engine.workflow_event_triggers AS t WHERE t.enabled "
				"ORDER BY t.priority, t.created_at, t.id");
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "event_engine triggers",
												  ALLOCSET_DEFAULT_SIZES);
	List	   *list = NIL;
	uint64		generation;
	EePlanFrame frame;
	EeIdentity	saved;

	generation = ee_invalidate_watch(EE_REL_WORKFLOW_EVENT_TRIGGERS);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	/* as of now, whatever the isolation level */
	PushActiveSnapshot(GetLatestSnapshot());
	ee_plan_execute(&all, NULL, NULL, true, 0);
	PopActiveSnapshot();
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(context);
		EventTrigger *trigger = palloc0(sizeof(EventTrigger));
		Datum		value;
		bool		isnull;

		trigger->id = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 1, &isnull));
		trigger->number = DatumGetInt32(SPI_getbinval(tuple, desc, 2,
													  &isnull));
		trigger->matcher =
			ee_match_compile(DatumGetJsonbP(SPI_getbinval(tuple, desc, 3,
														  &isnull)),
							 NULL, NULL);
		value = SPI_getbinval(tuple, desc, 4, &isnull);
		if (!isnull)
			trigger->condition =
				PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
		value = SPI_getbinval(tuple, desc, 5, &isnull);
		trigger->since = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
		trigger->since_seq = DatumGetInt64(SPI_getbinval(tuple, desc, 6,
														 &isnull));
		trigger->cancels = DatumGetBool(SPI_getbinval(tuple, desc, 7,
													  &isnull));
		list = lappend(list, trigger);
		MemoryContextSwitchTo(old);
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	if (known_context != NULL)
		MemoryContextDelete(known_context);
	known_context = context;
	known = list;
	known_generation = generation;
}

void
ee_trigger_note(EeTriggers *triggers, TupleTableSlot *slot,
				EeTriggerMoment moment)
{
	MemoryContext old;
	EeEvent		event;
	Jsonb	   *envelope = NULL;
	Datum		datum = (Datum) 0;
	text	   *pattern;
	ListCell   *lc;

	if (triggers->list == NIL)
		return;
	ee_envelope_from_slot(slot, &event);
	old = MemoryContextSwitchTo(triggers->context);
	pattern = DatumGetTextPP(EE_EVENT_VALUE(&event, EE_EVENT_PATTERN));
	foreach(lc, triggers->list)
	{
		EventTrigger *trigger = lfirst(lc);
		Firing	   *firing;

		if (moment == (trigger->cancels ? EE_TRIGGER_PUT_OFF : EE_TRIGGER_DUE))
			continue;
		if (!wants(trigger, VARDATA_ANY(pattern), VARSIZE_ANY_EXHDR(pattern),
				   &event, &envelope))
			continue;
		if (datum == (Datum) 0)
			datum = ee_handler_event_datum(slot);
		firing = palloc(sizeof(Firing));
		firing->trigger = trigger->id;
		firing->event = datum;
		firing->seq = DatumGetInt64(EE_EVENT_VALUE(&event, EE_EVENT_SEQ));
		triggers->noted = lappend(triggers->noted, firing);
	}
	if (envelope != NULL)
		pfree(envelope);
	MemoryContextSwitchTo(old);
}

static bool
wants(const EventTrigger *trigger, const char *pattern, int len, EeEvent *event,
	  Jsonb **envelope)
{
	if (!ee_match_pattern(trigger->matcher, pattern, len) ||
		!is_new(trigger, event))
		return false;
	if (trigger->condition == (Datum) 0)
		return true;
	if (*envelope == NULL)
		*envelope = ee_envelope_to_jsonb(event);
	return may_hold(trigger, *envelope);
}

/*
 * Not what was there when the trigger was created.  After a restore into
 * another cluster transaction ids mean nothing, and positions go on.
 */
static bool
is_new(const EventTrigger *trigger, EeEvent *event)
{
	if (DatumGetInt64(EE_EVENT_VALUE(event, EE_EVENT_SEQ)) >
		trigger->since_seq)
		return true;
	return !DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot,
											 EE_EVENT_VALUE(event,
															EE_EVENT_XID),
											 trigger->since));
}

/* False: it does not.  What it cannot tell is for fire_trigger() to say. */
static bool
may_hold(const EventTrigger *trigger, Jsonb *envelope)
{
	static Jsonb *nothing = NULL;
	LOCAL_FCINFO(fcinfo, 4);
	Datum		holds;

	if (nothing == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		nothing = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
													 CStringGetDatum("{}")));
		MemoryContextSwitchTo(old);
	}
	InitFunctionCallInfoData(*fcinfo, NULL, 4, DEFAULT_COLLATION_OID, NULL,
							 NULL);
	fcinfo->args[0].value = JsonbPGetDatum(envelope);
	fcinfo->args[1].value = trigger->condition;
	fcinfo->args[2].value = JsonbPGetDatum(nothing);
	fcinfo->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		fcinfo->args[i].isnull = false;
	holds = jsonb_path_match(fcinfo);
	return fcinfo->isnull || DatumGetBool(holds);
}

int
ee_trigger_fire(EeTriggers *triggers, int64 seq)
{
	static EePlan fire =
		EE_PLAN("SELECT event_engine.fire_trigger($1, $2) = 'postponed'",
				"uuid", "event_engine.event");
	Datum		outer = ee_causation_event;
	EePlanFrame frame;
	EeIdentity	saved;
	ListCell   *lc;
	int			n = 0;

	if (triggers->noted == NIL)
		return 0;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	foreach(lc, triggers->noted)
	{
		Firing	   *firing = lfirst(lc);
		Datum		values[2];
		bool		isnull;

		if (firing->seq > seq)
			break;
		CHECK_FOR_INTERRUPTS();
		values[0] = UUIDPGetDatum(&firing->trigger);
		values[1] = firing->event;
		/* an error ends the unit, which clears it (ee_handler_reset) */
		ee_causation_set(firing->event);
		ee_plan_execute(&fire, values, NULL, false, 1);
		ee_causation_set(outer);
		if (DatumGetBool(ee_plan_value(0, 1, &isnull)))
			triggers->postponed = true;
		SPI_freetuptable(SPI_tuptable);
		n++;
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}

int
ee_trigger_fire_postponed(int32 number, bool *left)
{
	static EePlan find =
		EE_PLAN("SELECT nr, event FROM event_engine.workflow_postponed_triggers "
				"WHERE number = $1 ORDER BY nr LIMIT $2", "int4", "int4");
	static EePlan fire =
		EE_PLAN("SELECT event_engine.fire_postponed_trigger($1)", "int8");
	Datum		outer = ee_causation_event;
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[2];
	SPITupleTable *rows;
	int			n;
	int			fired = 0;

	*left = false;
	if (!ee_extension_has(EE_REL_WORKFLOW_POSTPONED_TRIGGERS))
		return 0;
	values[0] = Int32GetDatum(number);
	values[1] = Int32GetDatum(POSTPONED_MAX);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	n = (int) ee_plan_execute(&find, values, NULL, false, 0);
	rows = SPI_tuptable;
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		nr = SPI_getbinval(rows->vals[i], rows->tupdesc, 1,
									   &isnull);

		CHECK_FOR_INTERRUPTS();
		ee_causation_set(SPI_getbinval(rows->vals[i], rows->tupdesc, 2,
									   &isnull));
		ee_plan_execute(&fire, &nr, NULL, false, 1);
		ee_causation_set(outer);
		if (DatumGetBool(ee_plan_value(0, 1, &isnull)))
			fired++;
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	*left = fired < n || n == POSTPONED_MAX;
	return fired;
}
