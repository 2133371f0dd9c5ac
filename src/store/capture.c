/*
 * capture.c
 *	  Changes of ordinary tables, published as events.
 *
 * A row trigger, because it is the one thing that fires whatever the way:
 * statement triggers with transition tables see nothing of rows written
 * straight into a partition, into a child table or by a replication worker.
 * The event passes the same receive step as any other and is appended in the
 * same transaction; an event that is not valid refuses the change.
 *
 * The trigger runs as whoever writes to the table, who needs no right to
 * publish: the table's owner has decided, and it is the owner's right that
 * counts.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "common/md5.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "ground/jsonb_push.h"
#include "store/admission.h"
#include "store/append.h"
#include "store/capture_table.h"
#include "store/receive.h"

/* Of a partition key that would be too long a digest is taken. */
#define KEY_DIGEST_LEN	32

static EeCaptureOperation operation_of(const TriggerData *trigger);
static List *changed_columns(const EeCaptureTable *table,
							 TupleTableSlot *before, TupleTableSlot *after);
static bool same_value(const EeCaptureColumn *column, Datum a, Datum b);
static Jsonb *make_payload(const EeCaptureTable *table,
						   TupleTableSlot *before, TupleTableSlot *after,
						   List *changed);
static void push_columns(JsonbParseState **state, const char *key,
						 const EeCaptureColumn *columns, int n,
						 TupleTableSlot *row);
static void column_value(const EeCaptureColumn *column, TupleTableSlot *row,
						 JsonbValue *value);
static char *partition_key(const EeCaptureTable *table, TupleTableSlot *row);
static void publish(const EeCaptureTable *table, EeCaptureOperation operation,
					Jsonb *payload, char *key);
static void tell_table(void *arg);

PG_FUNCTION_INFO_V1(ee_sql_capture_row);

/* Trigger on captured tables; its argument is described in capture_table.c. */
Datum
ee_sql_capture_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	EeCaptureOperation operation;
	const EeCaptureTable *table;
	TupleTableSlot *before = NULL;
	TupleTableSlot *after = NULL;
	List	   *changed = NIL;
	ErrorContextCallback context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ==
		TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("capture_row must be fired AFTER INSERT, UPDATE or DELETE for each row, or AFTER TRUNCATE")));

	operation = operation_of(trigger);
	table = ee_capture_table_lookup(trigger);
	context.callback = tell_table;
	context.arg = unconstify(EeCaptureTable *, table);
	context.previous = error_context_stack;
	error_context_stack = &context;

	switch (operation)
	{
		case EE_CAPTURE_INSERTED:
			after = trigger->tg_trigslot;
			break;
		case EE_CAPTURE_DELETED:
			before = trigger->tg_trigslot;
			break;
		case EE_CAPTURE_UPDATED:
			before = trigger->tg_trigslot;
			after = trigger->tg_newslot;
			changed = changed_columns(table, before, after);
			break;
		case EE_CAPTURE_TRUNCATED:
			break;
	}
	if (operation != EE_CAPTURE_UPDATED || changed != NIL)
		publish(table, operation,
				make_payload(table, before, after, changed),
				operation == EE_CAPTURE_TRUNCATED ? NULL :
				partition_key(table, after != NULL ? after : before));

	error_context_stack = context.previous;
	return PointerGetDatum(NULL);
}

static EeCaptureOperation
operation_of(const TriggerData *trigger)
{
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		return EE_CAPTURE_INSERTED;
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return EE_CAPTURE_UPDATED;
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		return EE_CAPTURE_DELETED;
	return EE_CAPTURE_TRUNCATED;
}

static void
tell_table(void *arg)
{
	errcontext("capturing changes of table \"%s\"",
			   ((EeCaptureTable *) arg)->name);
}

static List *
changed_columns(const EeCaptureTable *table, TupleTableSlot *before,
				TupleTableSlot *after)
{
	List	   *changed = NIL;

	for (int i = 0; i < table->n_columns; i++)
	{
		EeCaptureColumn *column = &table->columns[i];
		bool		null_before;
		bool		null_after;
		Datum		a = slot_getattr(before, column->attnum, &null_before);
		Datum		b = slot_getattr(after, column->attnum, &null_after);

		if (null_before != null_after ||
			(!null_before && !same_value(column, a, b)))
			changed = lappend(changed, column->name);
	}
	return changed;
}

/*
 * By image.  An UPDATE that leaves a toasted value alone keeps its pointer,
 * so such a value need not be fetched to see that it is the same.
 */
static bool
same_value(const EeCaptureColumn *column, Datum a, Datum b)
{
	if (column->typlen == -1 &&
		VARATT_IS_EXTERNAL(DatumGetPointer(a)) &&
		VARATT_IS_EXTERNAL(DatumGetPointer(b)) &&
		VARSIZE_EXTERNAL(DatumGetPointer(a)) ==
		VARSIZE_EXTERNAL(DatumGetPointer(b)) &&
		memcmp(DatumGetPointer(a), DatumGetPointer(b),
			   VARSIZE_EXTERNAL(DatumGetPointer(a))) == 0)
		return true;
	return datum_image_eq(a, b, column->byval, column->typlen);
}

/* {"key": {}, "new": {}, "old": {}, "changed": []}, what there is of them */
static Jsonb *
make_payload(const EeCaptureTable *table, TupleTableSlot *before,
			 TupleTableSlot *after, List *changed)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (before != NULL || after != NULL)
		push_columns(&state, "key", table->keys, table->n_keys,
					 after != NULL ? after : before);
	if (after != NULL)
		push_columns(&state, "new", table->columns, table->n_columns, after);
	if (before != NULL)
		push_columns(&state, "old", table->columns, table->n_columns, before);
	if (changed != NIL)
	{
		ListCell   *lc;

		ee_jsonb_push_key(&state, "changed");
		(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		foreach(lc, changed)
		{
			JsonbValue	name;

			name.type = jbvString;
			name.val.string.val = lfirst(lc);
			name.val.string.len = strlen(lfirst(lc));
			(void) pushJsonbValue(&state, WJB_ELEM, &name);
		}
		(void) pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
push_columns(JsonbParseState **state, const char *key,
			 const EeCaptureColumn *columns, int n, TupleTableSlot *row)
{
	ee_jsonb_push_key(state, key);
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		JsonbValue	value;

		column_value(&columns[i], row, &value);
		ee_jsonb_push_key(state, columns[i].name);
		(void) pushJsonbValue(state, WJB_VALUE, &value);
	}
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* As to_jsonb() has it. */
static void
column_value(const EeCaptureColumn *column, TupleTableSlot *row,
			 JsonbValue *value)
{
	bool		isnull;
	Datum		datum = slot_getattr(row, column->attnum, &isnull);
	Jsonb	   *jsonb;

	if (isnull)
	{
		value->type = jbvNull;
		return;
	}
	switch (column->kind)
	{
		case EE_CAPTURE_BOOL:
			value->type = jbvBool;
			value->val.boolean = DatumGetBool(datum);
			return;
		case EE_CAPTURE_INT2:
			value->type = jbvNumeric;
			value->val.numeric = int64_to_numeric(DatumGetInt16(datum));
			return;
		case EE_CAPTURE_INT4:
			value->type = jbvNumeric;
			value->val.numeric = int64_to_numeric(DatumGetInt32(datum));
			return;
		case EE_CAPTURE_INT8:
			value->type = jbvNumeric;
			value->val.numeric = int64_to_numeric(DatumGetInt64(datum));
			return;
		case EE_CAPTURE_TEXT:
			value->type = jbvString;
			value->val.string.val = TextDatumGetCString(datum);
			value->val.string.len = strlen(value->val.string.val);
			return;
		case EE_CAPTURE_JSONB:
			jsonb = DatumGetJsonbP(datum);
			break;
		default:
			jsonb = DatumGetJsonbP(FunctionCall1(unconstify(FmgrInfo *, &column->to_jsonb),
												 datum));
			break;
	}
	if (!JB_ROOT_IS_SCALAR(jsonb) ||
		!JsonbExtractScalar(&jsonb->root, value))
		JsonbToJsonbValue(jsonb, value);
}

/*
 * The key's values joined by colons: of the new row, so that what follows an
 * update of the key stays behind it.  Independent of settings like DateStyle,
 * since it is made from the JSON form.
 */
static char *
partition_key(const EeCaptureTable *table, TupleTableSlot *row)
{
	StringInfoData key;

	initStringInfo(&key);
	for (int i = 0; i < table->n_keys; i++)
	{
		JsonbValue	value;

		if (i > 0)
			appendStringInfoChar(&key, ':');
		column_value(&table->keys[i], row, &value);
		switch (value.type)
		{
			case jbvNull:
				break;
			case jbvBool:
				appendStringInfoString(&key,
									   value.val.boolean ? "true" : "false");
				break;
			case jbvNumeric:
				appendStringInfoString(&key,
									   DatumGetCString(DirectFunctionCall1(numeric_out,
																		   NumericGetDatum(value.val.numeric))));
				break;
			case jbvString:
				appendBinaryStringInfo(&key, value.val.string.val,
									   value.val.string.len);
				break;
			default:
				{
					Jsonb	   *jsonb = JsonbValueToJsonb(&value);

					appendStringInfoString(&key,
										   JsonbToCString(NULL, &jsonb->root,
														  VARSIZE(jsonb)));
				}
				break;
		}
	}
	if (key.len == 0)
		return NULL;
	if (pg_mbstrlen_with_len(key.data, key.len) > EE_EVENT_NAME_MAX)
	{
		char		digest[KEY_DIGEST_LEN + 1];
		const char *error = NULL;

		if (!pg_md5_hash(key.data, key.len, digest, &error))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not compute a digest of the key: %s",
							error)));
		return pstrdup(digest);
	}
	return key.data;
}

static void
publish(const EeCaptureTable *table, EeCaptureOperation operation,
		Jsonb *payload, char *key)
{
	EeReceived	received;
	EeEvent		event;
	List	   *violations = NIL;

	memset(&received, 0, sizeof(received));
	received.pattern = table->patterns[operation];
	received.pattern_len = strlen(received.pattern);
	received.payload = payload;
	received.source = table->source;
	received.partition_key = key;
	received.aggregate_type = table->name;
	received.right = EE_RIGHT_OF;
	received.publisher = table->owner;

	ee_receive_event(&event, &received, GetCurrentTimestamp(), &violations);
	ee_receive_raise(violations, received.pattern);
	ee_admission_ask(&event, 1);
	ee_append_events(&event, 1);
}
