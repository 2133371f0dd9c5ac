/*
 * wait.c
 *	  Waits: what an instance is resumed by.
 *
 * A wait carries the position in the log at which it was registered and
 * matches what that position does not see.  So it does not matter whether
 * the event or the wait comes first, as long as neither saw the other.
 *
 * The condition is compiled here, where whoever wrote it is told what is wrong
 * with it, and again by whoever matches.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "ground/compat.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/insert.h"
#include "ground/jsonb_push.h"
#include "ground/row.h"
#include "ground/uuid7.h"
#include "routing/equality.h"
#include "routing/filter_sensitive.h"
#include "store/log_position.h"
#include "workflow/wait.h"
#include "workflow/wait_key.h"

#define MAX_PATTERN_LENGTH	255
#define MAX_NAME_LENGTH		255

const EePathWords ee_wait_words = {
	EE_ERRCODE_INVALID_WAIT, "condition", "The condition of a wait", "workflow"
};

static void check_sensitive(const EeWaitSpec *spec,
							const EePathPredicate *condition,
							const EeFilter *filter);
static void set_condition(const EeInstance *instance, const EeWaitSpec *spec,
						  Datum *values, bool *nulls);
static void set_position(Datum *values, bool *nulls);
static Jsonb *variables_of(const EeInstance *instance, const char *condition);
static void push_member(JsonbParseState **state, const char *key,
						const EeInstance *instance, EeInstanceAttr attr);
static void set(Datum *values, bool *nulls, EeWaitAttr attr, Datum value);

const char *
ee_wait_name(const EeWaitSpec *spec)
{
	if (spec->name != NULL)
		return spec->name;
	return spec->pattern != NULL ? spec->pattern : "sleep";
}

void
ee_wait_register(const EeInstance *instance, const EeWaitSpec *spec,
				 pg_uuid_t *id)
{
	/* before the time is taken: see late.c */
	FullTransactionId xid = GetTopFullTransactionId();
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[EE_WAIT_NATTS];
	bool		nulls[EE_WAIT_NATTS];
	const char *name = ee_wait_name(spec);

	memset(values, 0, sizeof(values));
	memset(nulls, true, sizeof(nulls));
	if (spec->pattern == NULL && spec->timeout_at == DT_NOEND)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_WAIT),
				 errmsg("wait \"%s\" waits for nothing", name),
				 errhint("Give it a pattern of events, or a time.")));

	if (spec->name != NULL &&
		(name[0] == '\0' || pg_mbstrlen(name) > MAX_NAME_LENGTH))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_WAIT),
				 errmsg("name of a wait must have 1 to %d characters",
						MAX_NAME_LENGTH)));

	ee_uuid7_generate(id, now);
	set(values, nulls, EE_WAIT_ID, UUIDPGetDatum(id));
	set(values, nulls, EE_WAIT_INSTANCE_ID, UUIDPGetDatum(&instance->id));
	set(values, nulls, EE_WAIT_NUMBER,
		EE_INSTANCE_VALUE(instance, EE_INSTANCE_NUMBER));
	set(values, nulls, EE_WAIT_NAME, CStringGetTextDatum(name));
	set(values, nulls, EE_WAIT_XID, FullTransactionIdGetDatum(xid));
	set(values, nulls, EE_WAIT_CREATED_AT, TimestampTzGetDatum(now));
	if (spec->timeout_at != DT_NOEND)
		set(values, nulls, EE_WAIT_TIMEOUT_AT,
			TimestampTzGetDatum(spec->timeout_at));
	if (spec->has_since)
		set(values, nulls, EE_WAIT_SINCE, TimestampTzGetDatum(spec->since));
	if (spec->pattern != NULL)
	{
		set_condition(instance, spec, values, nulls);
		set_position(values, nulls);
	}
	ee_insert_values(ee_extension_relid(EE_REL_WORKFLOW_WAITS), values, nulls);
}

/*
 * It would never be over.  A wildcard is taken as it is: what it will stand
 * for nobody knows.
 */
static void
check_sensitive(const EeWaitSpec *spec, const EePathPredicate *condition,
				const EeFilter *filter)
{
	List	   *terms = ee_filter_sensitive_terms(spec->pattern,
												  strlen(spec->pattern),
												  condition == NULL ? NULL :
												  ee_path_predicate_path(condition),
												  filter);

	if (terms != NIL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_WAIT),
				 errmsg("condition of wait \"%s\" looks at sensitive data, which is stored encrypted",
						ee_wait_name(spec)),
				 errdetail("It looks at %s of event \"%s\".",
						   (char *) linitial(terms), spec->pattern),
				 errhint("Use what may be known, or look at the value in the next step.")));
}

/* The pattern, the condition, and the key that follows from both. */
static void
set_condition(const EeInstance *instance, const EeWaitSpec *spec,
			  Datum *values, bool *nulls)
{
	EeEqualityTerm *term;
	EePathPredicate *condition = NULL;
	EeFilter   *filter = NULL;
	List	   *terms = NIL;
	Jsonb	   *variables = NULL;
	int			len = strlen(spec->pattern);

	if (len == 0 || len > MAX_PATTERN_LENGTH)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("a pattern has 1 to %d bytes", MAX_PATTERN_LENGTH)));
	set(values, nulls, EE_WAIT_PATTERN, CStringGetTextDatum(spec->pattern));
	if (spec->filter_path != NULL)
	{
		condition = ee_path_predicate_compile(spec->filter_path,
											  &ee_wait_words);
		variables = variables_of(instance, spec->filter_path);
		terms = ee_equality_of_path(condition, variables);
		set(values, nulls, EE_WAIT_FILTER_PATH,
			CStringGetTextDatum(spec->filter_path));
		if (variables != NULL)
			set(values, nulls, EE_WAIT_VARIABLES, JsonbPGetDatum(variables));
	}
	if (spec->filters != NULL)
	{
		filter = ee_filter_compile(&spec->filters->root);
		terms = list_concat(terms, ee_equality_of_filter(filter));
		set(values, nulls, EE_WAIT_FILTERS, JsonbPGetDatum(spec->filters));
	}
	if (condition != NULL || filter != NULL)
		check_sensitive(spec, condition, filter);
	term = ee_equality_choose(terms);
	ee_wait_key_cover(DatumGetInt32(EE_INSTANCE_VALUE(instance,
													  EE_INSTANCE_NUMBER)),
					  spec->pattern, term == NULL ? "" : term->path->text);
	set(values, nulls, EE_WAIT_KEY,
		Int64GetDatum((int64) ee_equality_key(spec->pattern, len, term)));
}

/*
 * What a condition sees as $workflow: NULL where it does not look at it.  The
 * input and the state can be large: they are kept only for those who may ask
 * for them.
 */
static Jsonb *
variables_of(const EeInstance *instance, const char *condition)
{
	JsonbParseState *state = NULL;
	bool		all;
	char		id[EE_UUID_TEXT_LEN];

	if (strstr(condition, "workflow") == NULL || strchr(condition, '$') == NULL)
		return NULL;
	/* anything but plain members: who knows what it comes to */
	all = strchr(condition, '\\') != NULL || strstr(condition, "keyvalue") != NULL ||
		strstr(condition, "*") != NULL;
	ee_uuid7_to_text(&instance->id, id);
	ee_jsonb_push_begin(&state);
	ee_jsonb_push_key(&state, "workflow");
	ee_jsonb_push_begin(&state);
	ee_jsonb_push_chars(&state, "id", id, EE_UUID_TEXT_LEN);
	push_member(&state, "workflow", instance, EE_INSTANCE_WORKFLOW);
	push_member(&state, "version", instance, EE_INSTANCE_VERSION);
	push_member(&state, "correlationKey", instance,
				EE_INSTANCE_CORRELATION_KEY);
	if (all || strstr(condition, "input") != NULL)
		push_member(&state, "input", instance, EE_INSTANCE_INPUT);
	if (all || strstr(condition, "state") != NULL)
		push_member(&state, "state", instance, EE_INSTANCE_STATE);
	(void) pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return ee_jsonb_push_end(&state);
}

static void
push_member(JsonbParseState **state, const char *key,
			const EeInstance *instance, EeInstanceAttr attr)
{
	if (EE_INSTANCE_IS_NULL(instance, attr))
		return;
	if (attr == EE_INSTANCE_INPUT || attr == EE_INSTANCE_STATE)
		ee_jsonb_push_jsonb(state, key, ee_instance_jsonb(instance, attr));
	else
		ee_jsonb_push_text(state, key, ee_instance_text(instance, attr));
}

/* As of now, or as a REPEATABLE READ transaction sees it. */
static void
set_position(Datum *values, bool *nulls)
{
	EeLogPosition *position;

	PushActiveSnapshot(IsolationUsesXactSnapshot() ?
					   GetTransactionSnapshot() : GetLatestSnapshot());
	position = ee_log_position_current();
	PopActiveSnapshot();
	set(values, nulls, EE_WAIT_SNAPSHOT, ee_log_position_snapshot(position));
	set(values, nulls, EE_WAIT_SEQ, Int64GetDatum(position->seq));
	set(values, nulls, EE_WAIT_BASE_SEQ, Int64GetDatum(position->base_seq));
}

static void
set(Datum *values, bool *nulls, EeWaitAttr attr, Datum value)
{
	values[attr - 1] = value;
	nulls[attr - 1] = false;
}

/* ------------------------------------------------------------- of instances */

/*
 * Whoever adds or removes waits of an instance has it locked, so that what
 * has been committed by now and what we have done ourselves is all there is.
 */
List *
ee_wait_list(const pg_uuid_t *instance)
{
	Relation	rel = table_open(ee_extension_relid(EE_REL_WORKFLOW_WAITS),
								 RowExclusiveLock);
	Relation	index = index_open(ee_extension_relid(EE_REL_WORKFLOW_WAITS_INSTANCE_IDX),
								   AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	IndexScanDesc scan;
	ScanKeyData key;
	List	   *result = NIL;
	bool		isnull;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(instance));
	scan = ee_index_beginscan(rel, index, SnapshotSelf, 1, 0);
	index_rescan(scan, &key, 1, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		EeWaitRow  *wait = palloc(sizeof(EeWaitRow));

		wait->id = *DatumGetUUIDP(slot_getattr(slot, EE_WAIT_ID, &isnull));
		wait->name = TextDatumGetCString(slot_getattr(slot, EE_WAIT_NAME,
													  &isnull));
		wait->sleeps = slot_attisnull(slot, EE_WAIT_PATTERN);
		wait->tid = slot->tts_tid;
		result = lappend(result, wait);
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	table_close(rel, NoLock);
	return result;
}

void
ee_wait_remove(List *waits)
{
	Relation	rel;
	ListCell   *lc;

	if (waits == NIL)
		return;
	rel = table_open(ee_extension_relid(EE_REL_WORKFLOW_WAITS),
					 RowExclusiveLock);
	foreach(lc, waits)
		ee_row_delete(rel, &((EeWaitRow *) lfirst(lc))->tid);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}
