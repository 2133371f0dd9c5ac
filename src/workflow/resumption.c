/*
 * resumption.c
 *	  Why a step is taken, and how an instance keeps that in mind while the step
 *	  is due.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/builtins.h"
#include "utils/typcache.h"

#include "ground/envelope.h"
#include "ground/extension.h"
#include "ground/jsonb_push.h"
#include "ground/uuid7.h"
#include "store/unseal.h"
#include "workflow/resumption.h"

/* The columns of type event_engine.workflow_resumption. */
#define RESUMPTION_NATTS	5

static const char *const kind_names[] = {
	[EE_RESUMED_BY_START] = "start",
	[EE_RESUMED_BY_EVENT] = "event",
	[EE_RESUMED_BY_TIMEOUT] = "timeout",
	[EE_RESUMED_BY_SLEEP] = "sleep",
	[EE_RESUMED_BY_STEP] = "step",
	[EE_RESUMED_BY_CHILD] = "child",
	[EE_RESUMED_BY_SIGNAL] = "signal",
	[EE_RESUMED_BY_COMPENSATION] = "compensation",
};

static EeWaitRow *find(List *waits, const pg_uuid_t *id);
static bool has_event(Jsonb *matched, Datum event);
static Jsonb *with_event(Jsonb *matched, const char *name, Datum event);
static char *text_member(Jsonb *object, const char *name);

const char *
ee_resumption_kind_name(EeResumptionKind kind)
{
	return kind_names[kind];
}

EeConsumed
ee_resumption_consume(EeInstance *instance, EeResumption *resumption)
{
	int			needed = DatumGetInt32(EE_INSTANCE_VALUE(instance,
														 EE_INSTANCE_WAIT_NEEDED));
	Jsonb	   *matched = ee_instance_jsonb(instance, EE_INSTANCE_MATCHED);
	List	   *waits;
	EeWaitRow  *wait;

	if (instance->status != EE_INSTANCE_WAITING)
		return EE_CONSUMED_GONE;
	waits = ee_wait_list(&instance->id);
	wait = find(waits, &resumption->wait);
	if (wait == NULL)
		return EE_CONSUMED_GONE;
	/* an event counts once, for whichever of them */
	if (resumption->kind == EE_RESUMED_BY_EVENT && matched != NULL &&
		has_event(matched, resumption->event))
		return EE_CONSUMED_GONE;

	resumption->wait_name = wait->name;
	if (resumption->kind != EE_RESUMED_BY_EVENT)
		resumption->kind = wait->sleeps ? EE_RESUMED_BY_SLEEP :
			EE_RESUMED_BY_TIMEOUT;
	else if (needed > 1 || matched != NULL)
		matched = with_event(matched, wait->name, resumption->event);
	if (resumption->kind == EE_RESUMED_BY_EVENT && needed > 1)
	{
		ee_wait_remove(list_make1(wait));
		ee_instance_set(instance, EE_INSTANCE_MATCHED,
						JsonbPGetDatum(matched));
		ee_instance_set(instance, EE_INSTANCE_WAIT_NEEDED,
						Int32GetDatum(needed - 1));
		return EE_CONSUMED_PARTLY;
	}
	ee_wait_remove(waits);
	resumption->events = matched;
	ee_instance_set_null(instance, EE_INSTANCE_MATCHED);
	ee_instance_set(instance, EE_INSTANCE_WAIT_NEEDED, Int32GetDatum(0));
	return EE_CONSUMED_ALL;
}

static EeWaitRow *
find(List *waits, const pg_uuid_t *id)
{
	ListCell   *lc;

	foreach(lc, waits)
	{
		EeWaitRow  *wait = lfirst(lc);

		if (memcmp(&wait->id, id, sizeof(pg_uuid_t)) == 0)
			return wait;
	}
	return NULL;
}

static bool
has_event(Jsonb *matched, Datum event)
{
	char		id[EE_UUID_TEXT_LEN + 1];
	JsonbIterator *it = JsonbIteratorInit(&matched->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	EeEvent		deformed;

	ee_envelope_deform(event, &deformed);
	ee_uuid7_to_text(DatumGetUUIDP(EE_EVENT_VALUE(&deformed, EE_EVENT_ID)),
					 id);
	id[EE_UUID_TEXT_LEN] = '\0';
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *other = NULL;

		if (token == WJB_VALUE && value.type == jbvBinary)
			other = text_member(JsonbValueToJsonb(&value), "id");
		if (other != NULL && strcmp(other, id) == 0)
			return true;
	}
	return false;
}

/* The envelope under the name of the wait, beside those that are there. */
static Jsonb *
with_event(Jsonb *matched, const char *name, Datum event)
{
	JsonbParseState *state = NULL;
	EeEvent		deformed;
	Jsonb	   *added;

	ee_envelope_deform(event, &deformed);
	ee_jsonb_push_begin(&state);
	ee_jsonb_push_jsonb(&state, name, ee_envelope_to_jsonb(&deformed));
	added = ee_jsonb_push_end(&state);
	if (matched == NULL)
		return added;
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat,
											  JsonbPGetDatum(matched),
											  JsonbPGetDatum(added)));
}

/* ------------------------------------------------------------------ in rows */

void
ee_resumption_keep(EeInstance *instance, const EeResumption *resumption)
{
	JsonbParseState *state = NULL;

	ee_jsonb_push_begin(&state);
	ee_jsonb_push_text(&state, "kind", kind_names[resumption->kind]);
	ee_jsonb_push_text(&state, "wait", resumption->wait_name);
	ee_jsonb_push_jsonb(&state, "events", resumption->events);
	ee_instance_set(instance, EE_INSTANCE_RESUMPTION,
					JsonbPGetDatum(ee_jsonb_push_end(&state)));
	if (resumption->event != (Datum) 0)
		ee_instance_set(instance, EE_INSTANCE_RESUMPTION_EVENT,
						resumption->event);
	else
		ee_instance_set_null(instance, EE_INSTANCE_RESUMPTION_EVENT);
}

/* Without one kept, it is the first step that is due. */
void
ee_resumption_kept(const EeInstance *instance, EeResumption *resumption)
{
	Jsonb	   *kept = ee_instance_jsonb(instance, EE_INSTANCE_RESUMPTION);
	JsonbValue *events;
	char	   *kind;

	memset(resumption, 0, sizeof(EeResumption));
	resumption->kind = EE_RESUMED_BY_START;
	if (kept == NULL)
		return;
	kind = text_member(kept, "kind");
	for (int i = 0; i < lengthof(kind_names); i++)
		if (kind != NULL && strcmp(kind_names[i], kind) == 0)
			resumption->kind = i;
	resumption->wait_name = text_member(kept, "wait");
	events = getKeyJsonValueFromContainer(&kept->root, "events",
										  strlen("events"), NULL);
	if (events != NULL)
		resumption->events = JsonbValueToJsonb(events);
	if (!EE_INSTANCE_IS_NULL(instance, EE_INSTANCE_RESUMPTION_EVENT))
		resumption->event =
			PointerGetDatum(DatumGetHeapTupleHeaderCopy(EE_INSTANCE_VALUE(instance,
																		  EE_INSTANCE_RESUMPTION_EVENT)));
}

static char *
text_member(Jsonb *object, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&object->root, name,
													 strlen(name), NULL);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

Datum
ee_resumption_datum(const EeResumption *resumption, int attempt)
{
	TupleDesc	desc = lookup_type_cache(ee_extension_workflow_resumption_type(),
										 TYPECACHE_TUPDESC)->tupDesc;
	Datum		values[RESUMPTION_NATTS];
	bool		nulls[RESUMPTION_NATTS] = {false};

	values[0] = CStringGetTextDatum(kind_names[resumption->kind]);
	nulls[1] = resumption->wait_name == NULL;
	values[1] = nulls[1] ? (Datum) 0 :
		CStringGetTextDatum(resumption->wait_name);
	nulls[2] = resumption->event == (Datum) 0;
	values[2] = nulls[2] ? (Datum) 0 :
		ee_unseal_event(resumption->event, true);
	nulls[3] = resumption->events == NULL;
	values[3] = nulls[3] ? (Datum) 0 :
		JsonbPGetDatum(ee_unseal_envelopes(resumption->events));
	values[4] = Int32GetDatum(attempt);
	return heap_copy_tuple_as_datum(heap_form_tuple(desc, values, nulls),
									desc);
}
