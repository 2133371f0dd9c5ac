/*
 * envelope.c
 *	  The event as the JSON envelope of the specification.
 *
 * Promises that an envelope does not depend on settings of the session:
 * times are in UTC with microseconds, 2026-01-02T03:04:05.678901Z, so that
 * they also sort as text.  Members that are null are absent.
 *
 * An envelope is laid out by hand in the format that jsonb has on disk,
 * because pushJsonbValue() would take payload, metadata and source apart
 * only to put them together again; here each is one copy of bytes.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "ground/envelope.h"
#include "ground/extension.h"

typedef struct EnvelopeMember
{
	const char *name;
	EeEventAttr attr;
} EnvelopeMember;

static void deform_row(HeapTupleHeader row, EeEvent *result);
static JEntry append_value(StringInfo buf, const JsonbValue *value);
static void pad_to_int(StringInfo buf);
static void text_value(Datum text, JsonbValue *value);
static void string_value(char *string, JsonbValue *value);
static void jsonb_value(Datum jsonb, JsonbValue *value);
static void int_value(int64 number, JsonbValue *value);
static char *format_timestamp(TimestampTz time);

/* in the order of EeEnvelopeField */
static const EnvelopeMember members[EE_ENVELOPE_NFIELDS] = {
	[EE_ENVELOPE_ID] = {"id", EE_EVENT_ID},
	[EE_ENVELOPE_SEQ] = {"seq", EE_EVENT_SEQ},
	[EE_ENVELOPE_SOURCE] = {"source", EE_EVENT_SOURCE},
	[EE_ENVELOPE_EVENT_ID] = {"eventId", EE_EVENT_EVENT_ID},
	[EE_ENVELOPE_PATTERN] = {"pattern", EE_EVENT_PATTERN},
	[EE_ENVELOPE_PAYLOAD] = {"payload", EE_EVENT_PAYLOAD},
	[EE_ENVELOPE_VERSION] = {"version", EE_EVENT_VERSION},
	[EE_ENVELOPE_METADATA] = {"metadata", EE_EVENT_METADATA},
	[EE_ENVELOPE_PRIORITY] = {"priority", EE_EVENT_PRIORITY},
	[EE_ENVELOPE_CREATED_AT] = {"createdAt", EE_EVENT_CREATED_AT},
	[EE_ENVELOPE_CREATED_BY] = {"createdBy", EE_EVENT_CREATED_BY},
	[EE_ENVELOPE_DELIVER_AT] = {"deliverAt", EE_EVENT_DELIVER_AT},
	[EE_ENVELOPE_TIMESTAMP] = {"timestamp", EE_EVENT_TIMESTAMP},
	[EE_ENVELOPE_PARTITION_KEY] = {"partitionKey", EE_EVENT_PARTITION_KEY},
	[EE_ENVELOPE_AGGREGATE_TYPE] = {"aggregateType", EE_EVENT_AGGREGATE_TYPE},
	[EE_ENVELOPE_AGGREGATE_VERSION] =
	{"aggregateVersion", EE_EVENT_AGGREGATE_VERSION},
};

PG_FUNCTION_INFO_V1(ee_sql_event_envelope);

Datum
ee_sql_event_envelope(PG_FUNCTION_ARGS)
{
	EeEvent		event;

	ee_envelope_deform(PG_GETARG_DATUM(0), &event);
	PG_RETURN_JSONB_P(ee_envelope_to_jsonb(&event));
}

void
ee_envelope_deform(Datum event, EeEvent *result)
{
	deform_row(DatumGetHeapTupleHeader(event), result);
}

void
ee_envelope_from_slot(TupleTableSlot *slot, EeEvent *result)
{
	slot_getallattrs(slot);
	memcpy(result->values, slot->tts_values, sizeof(result->values));
	memcpy(result->nulls, slot->tts_isnull, sizeof(result->nulls));
}

TupleTableSlot *
ee_envelope_new_slot(void)
{
	TypeCacheEntry *type = lookup_type_cache(ee_extension_event_type(),
											 TYPECACHE_TUPDESC);

	Assert(type->tupDesc->natts == EE_EVENT_NATTS);
	return MakeSingleTupleTableSlot(type->tupDesc, &TTSOpsVirtual);
}

TupleTableSlot *
ee_envelope_slot(TupleTableSlot *slot, Datum event)
{
	EeEvent		deformed;

	ee_envelope_deform(event, &deformed);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, deformed.values, sizeof(deformed.values));
	memcpy(slot->tts_isnull, deformed.nulls, sizeof(deformed.nulls));
	return ExecStoreVirtualTuple(slot);
}

Datum
ee_envelope_form(EeEvent *event)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(ee_extension_event_type(), -1);
	HeapTuple	tuple = heap_form_tuple(desc, event->values, event->nulls);
	Datum		result = heap_copy_tuple_as_datum(tuple, desc);

	heap_freetuple(tuple);
	ReleaseTupleDesc(desc);
	return result;
}

/*
 * An object is a header, an entry for each key, an entry for each value,
 * then the keys, then the values, numbers and containers aligned.  Every
 * JB_OFFSET_STRIDE'th entry holds the offset of its end instead of a length.
 */
Jsonb *
ee_envelope_to_jsonb(const EeEvent *event)
{
	JsonbValue	values[EE_ENVELOPE_NFIELDS];
	int			present[EE_ENVELOPE_NFIELDS];
	int			n = 0;
	int			i;
	uint32		header;
	int			entries;
	uint32		total = 0;
	StringInfoData buf;
	Jsonb	   *result;

	for (i = 0; i < EE_ENVELOPE_NFIELDS; i++)
	{
		if (ee_envelope_value(event, (EeEnvelopeField) i, &values[n]))
			present[n++] = i;
	}

	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	header = n | JB_FOBJECT;
	appendBinaryStringInfo(&buf, (char *) &header, sizeof(header));
	entries = buf.len;
	appendStringInfoSpaces(&buf, sizeof(JEntry) * 2 * n);

	for (i = 0; i < 2 * n; i++)
	{
		JEntry		entry;

		if (i < n)
		{
			const char *name = members[present[i]].name;

			entry = JENTRY_ISSTRING | (JEntry) strlen(name);
			appendBinaryStringInfo(&buf, name, strlen(name));
		}
		else
			entry = append_value(&buf, &values[i - n]);

		total += JBE_OFFLENFLD(entry);
		if (total > JENTRY_OFFLENMASK)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("event is too large for an envelope"),
					 errdetail("The envelope would exceed the maximum of %d "
							   "bytes of a jsonb object.",
							   JENTRY_OFFLENMASK)));
		if (i % JB_OFFSET_STRIDE == 0)
			entry = (entry & JENTRY_TYPEMASK) | total | JENTRY_HAS_OFF;
		memcpy(buf.data + entries + sizeof(JEntry) * i, &entry,
			   sizeof(entry));
	}

	result = (Jsonb *) buf.data;
	SET_VARSIZE(result, buf.len);
	return result;
}

int
ee_envelope_field_by_name(const char *name, int len)
{
	int			i;

	for (i = 0; i < EE_ENVELOPE_NFIELDS; i++)
	{
		if (strlen(members[i].name) == len &&
			memcmp(members[i].name, name, len) == 0)
			return i;
	}
	return -1;
}

const char *
ee_envelope_field_name(EeEnvelopeField field)
{
	return members[field].name;
}

char *
ee_envelope_field_names(void)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < EE_ENVELOPE_NFIELDS; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "", members[i].name);
	return buf.data;
}

bool
ee_envelope_value(const EeEvent *event, EeEnvelopeField field,
				  JsonbValue *value)
{
	EeEventAttr attr = members[field].attr;
	Datum		datum = EE_EVENT_VALUE(event, attr);

	if (EE_EVENT_IS_NULL(event, attr))
	{
		/* where the publisher gave no identifier of its own, id serves */
		if (field == EE_ENVELOPE_EVENT_ID)
			return ee_envelope_value(event, EE_ENVELOPE_ID, value);
		return false;
	}

	switch (field)
	{
		case EE_ENVELOPE_ID:
			string_value(DatumGetCString(DirectFunctionCall1(uuid_out, datum)),
						 value);
			break;
		case EE_ENVELOPE_SOURCE:
		case EE_ENVELOPE_PAYLOAD:
		case EE_ENVELOPE_METADATA:
			jsonb_value(datum, value);
			break;
		case EE_ENVELOPE_EVENT_ID:
		case EE_ENVELOPE_PATTERN:
		case EE_ENVELOPE_VERSION:
		case EE_ENVELOPE_PARTITION_KEY:
		case EE_ENVELOPE_AGGREGATE_TYPE:
		case EE_ENVELOPE_CREATED_BY:
			text_value(datum, value);
			break;
		case EE_ENVELOPE_PRIORITY:
			string_value(DatumGetCString(DirectFunctionCall1(enum_out, datum)),
						 value);
			break;
		case EE_ENVELOPE_TIMESTAMP:
		case EE_ENVELOPE_CREATED_AT:
		case EE_ENVELOPE_DELIVER_AT:
			string_value(format_timestamp(DatumGetTimestampTz(datum)), value);
			break;
		case EE_ENVELOPE_SEQ:
		case EE_ENVELOPE_AGGREGATE_VERSION:
			int_value(DatumGetInt64(datum), value);
			break;
	}
	return true;
}

static void
deform_row(HeapTupleHeader row, EeEvent *result)
{
	TupleDesc	desc;
	HeapTupleData tuple;

	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row),
								  HeapTupleHeaderGetTypMod(row));
	if (desc->natts != EE_EVENT_NATTS)
		elog(ERROR, "an event has %d columns, expected %d",
			 desc->natts, EE_EVENT_NATTS);

	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = row;
	heap_deform_tuple(&tuple, desc, result->values, result->nulls);
	ReleaseTupleDesc(desc);
}

/* Append a value; the entry holds its type and its length with padding. */
static JEntry
append_value(StringInfo buf, const JsonbValue *value)
{
	int			start = buf->len;
	JEntry		type;

	switch (value->type)
	{
		case jbvNull:
			type = JENTRY_ISNULL;
			break;
		case jbvBool:
			type = value->val.boolean ? JENTRY_ISBOOL_TRUE :
				JENTRY_ISBOOL_FALSE;
			break;
		case jbvString:
			type = JENTRY_ISSTRING;
			appendBinaryStringInfo(buf, value->val.string.val,
								   value->val.string.len);
			break;
		case jbvNumeric:
			type = JENTRY_ISNUMERIC;
			pad_to_int(buf);
			appendBinaryStringInfo(buf, (char *) value->val.numeric,
								   VARSIZE_ANY(value->val.numeric));
			break;
		case jbvBinary:
			type = JENTRY_ISCONTAINER;
			pad_to_int(buf);
			appendBinaryStringInfo(buf, (char *) value->val.binary.data,
								   value->val.binary.len);
			break;
		default:
			elog(ERROR, "unexpected jsonb value of type %d", value->type);
			type = JENTRY_ISNULL;	/* keep the compiler quiet */
	}
	return type | (JEntry) (buf->len - start);
}

static void
pad_to_int(StringInfo buf)
{
	int			padding = INTALIGN(buf->len) - buf->len;

	while (padding-- > 0)
		appendStringInfoChar(buf, '\0');
}

static void
text_value(Datum datum, JsonbValue *value)
{
	struct varlena *text = PG_DETOAST_DATUM_PACKED(datum);

	value->type = jbvString;
	value->val.string.val = VARDATA_ANY(text);
	value->val.string.len = VARSIZE_ANY_EXHDR(text);
}

static void
string_value(char *string, JsonbValue *value)
{
	value->type = jbvString;
	value->val.string.val = string;
	value->val.string.len = strlen(string);
}

static void
jsonb_value(Datum datum, JsonbValue *value)
{
	Jsonb	   *jsonb = DatumGetJsonbP(datum);

	if (JB_ROOT_IS_SCALAR(jsonb))
	{
		if (!JsonbExtractScalar(&jsonb->root, value))
			elog(ERROR, "a scalar jsonb has no value");
		return;
	}
	value->type = jbvBinary;
	value->val.binary.data = &jsonb->root;
	value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
}

static void
int_value(int64 number, JsonbValue *value)
{
	value->type = jbvNumeric;
	value->val.numeric = int64_to_numeric(number);
}

static char *
format_timestamp(TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (TIMESTAMP_IS_NOBEGIN(time))
		return pstrdup("-infinity");
	if (TIMESTAMP_IS_NOEND(time))
		return pstrdup("infinity");

	/* without a zone to convert to, the fields come out in UTC */
	if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));

	return psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ%s",
					tm.tm_year > 0 ? tm.tm_year : 1 - tm.tm_year,
					tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
					(int) fsec, tm.tm_year > 0 ? "" : " BC");
}
