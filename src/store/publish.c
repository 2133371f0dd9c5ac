/*
 * publish.c
 *	  The SQL faces of publishing: publish_event, publish_events, and the
 *	  trigger behind INSERT and COPY into events.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "ground/compat.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/shared.h"
#include "registry/registry_cache.h"
#include "store/admission.h"
#include "store/append.h"
#include "store/event_keys.h"
#include "store/metadata.h"
#include "store/partition.h"
#include "store/publish.h"
#include "store/log_state.h"
#include "store/receive.h"

static char *text_arg(FunctionCallInfo fcinfo, int n);
static const char *priority_label(Oid priority);
static void read_envelope(EeReceived *received, const JsonbValue *envelope,
						  List **violations);
static void read_member(EeReceived *received, const char *name,
						JsonbValue *value, List **violations);
static void keep_definition(EeEvent *event);
static void prefix_violations(List *violations, int from, int index);
static TimestampTz parse_timestamp(const char *path, const JsonbValue *value,
								   List **violations);
static void read_row(EeReceived *received, EeEvent *row, Relation rel);

PG_FUNCTION_INFO_V1(ee_sql_publish_event);
PG_FUNCTION_INFO_V1(ee_sql_publish_events);
PG_FUNCTION_INFO_V1(ee_sql_receive_row);
PG_FUNCTION_INFO_V1(ee_sql_refuse_change);

/*
 * publish_event(pattern, payload, metadata, source, event_id, timestamp,
 *				 version, partition_key, aggregate_type, aggregate_version,
 *				 priority, deliver_at) RETURNS uuid
 */
Datum
ee_sql_publish_event(PG_FUNCTION_ARGS)
{
	EeReceived	received;
	EeEvent		event;
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	text	   *pattern;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_EVENT),
				 errmsg("pattern and payload of an event must not be null"),
				 errhint("An event without content has the payload '{}'.")));
	memset(&received, 0, sizeof(received));
	pattern = PG_GETARG_TEXT_PP(0);
	received.pattern = VARDATA_ANY(pattern);
	received.pattern_len = VARSIZE_ANY_EXHDR(pattern);
	received.payload = PG_GETARG_JSONB_P(1);
	received.metadata = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	received.source = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	received.event_id = text_arg(fcinfo, 4);
	if (!PG_ARGISNULL(5))
	{
		received.has_timestamp = true;
		received.timestamp = PG_GETARG_TIMESTAMPTZ(5);
	}
	received.version = text_arg(fcinfo, 6);
	received.partition_key = text_arg(fcinfo, 7);
	received.aggregate_type = text_arg(fcinfo, 8);
	if (!PG_ARGISNULL(9))
	{
		received.has_aggregate_version = true;
		received.aggregate_version = PG_GETARG_INT64(9);
	}
	if (!PG_ARGISNULL(10))
		received.priority =
			unconstify(char *, priority_label(PG_GETARG_OID(10)));
	if (!PG_ARGISNULL(11))
	{
		received.has_deliver_at = true;
		received.deliver_at = PG_GETARG_TIMESTAMPTZ(11);
	}

	(void) ee_publish_event(&received, &event, id);
	PG_RETURN_UUID_P(id);
}

bool
ee_publish_event(const EeReceived *received, EeEvent *event, pg_uuid_t *id)
{
	List	   *violations = NIL;

	ee_receive_event(event, received, GetCurrentTimestamp(), &violations);
	if (violations != NIL)
		ee_receive_raise(violations, pnstrdup(received->pattern,
											  received->pattern_len));
	ee_admission_ask(event, 1);
	if (!ee_event_keys_claim(event, id))
		return false;
	ee_append_events(event, 1);
	*id = *DatumGetUUIDP(EE_EVENT_VALUE(event, EE_EVENT_ID));
	return true;
}

static char *
text_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static const char *
priority_label(Oid priority)
{
	return ee_extension_priority_label(ee_extension_priority_of(priority));
}

/*
 * publish_events(events jsonb) RETURNS SETOF uuid: an array of envelopes.
 * All of them are stored, in their order, or none.
 */
Datum
ee_sql_publish_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Jsonb	   *input = PG_GETARG_JSONB_P(0);
	JsonbIterator *iterator;
	JsonbValue	element;
	EeEvent    *events;
	Datum	   *ids;
	List	   *violations = NIL;
	int			n_elements;
	int			n = 0;
	int			n_events = 0;

	if (!JB_ROOT_IS_ARRAY(input) || JB_ROOT_IS_SCALAR(input))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_EVENT),
				 errmsg("publish_events takes an array of events"),
				 errhint("Each is an object like {\"pattern\": \"invoice.created\", \"payload\": {}}.")));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	n_elements = JB_ROOT_COUNT(input);
	events = MemoryContextAllocHuge(CurrentMemoryContext,
									sizeof(EeEvent) * Max(n_elements, 1));
	ids = palloc(sizeof(Datum) * Max(n_elements, 1));
	iterator = JsonbIteratorInit(&input->root);
	(void) JsonbIteratorNext(&iterator, &element, true);
	while (JsonbIteratorNext(&iterator, &element, true) == WJB_ELEM)
	{
		EeReceived	received;
		EeEvent    *event = &events[n_events];
		int			before = list_length(violations);
		pg_uuid_t  *first = palloc(sizeof(pg_uuid_t));

		CHECK_FOR_INTERRUPTS();
		memset(&received, 0, sizeof(received));
		read_envelope(&received, &element, &violations);
		if (received.pattern != NULL && received.payload != NULL)
			ee_receive_event(event, &received, GetCurrentTimestamp(),
							 &violations);
		if (list_length(violations) > before)
			prefix_violations(violations, before, n);
		else if (violations == NIL)
		{
			keep_definition(event);
			if (ee_event_keys_claim(event, first))
			{
				ids[n] = EE_EVENT_VALUE(event, EE_EVENT_ID);
				n_events++;
			}
			else
				ids[n] = UUIDPGetDatum(first);
		}
		n++;
	}
	ee_receive_raise(violations, NULL);
	ee_admission_ask(events, n_events);
	ee_append_events(events, n_events);
	for (int i = 0; i < n; i++)
	{
		bool		isnull = false;

		tuplestore_putvalues(result->setResult, result->setDesc, &ids[i],
							 &isnull);
	}
	return (Datum) 0;
}

/*
 * What an event has of its definition is gone when that is looked up anew,
 * for a later one of the same call.
 */
static void
keep_definition(EeEvent *event)
{
	EE_EVENT_VALUE(event, EE_EVENT_PATTERN) =
		datumCopy(EE_EVENT_VALUE(event, EE_EVENT_PATTERN), false, -1);
	EE_EVENT_VALUE(event, EE_EVENT_VERSION) =
		datumCopy(EE_EVENT_VALUE(event, EE_EVENT_VERSION), false, -1);
}

/* Say which of the events is meant. */
static void
prefix_violations(List *violations, int from, int index)
{
	for (int i = from; i < list_length(violations); i++)
	{
		EeViolation *violation = list_nth(violations, i);

		violation->instance_path = psprintf("/%d%s", index,
											violation->instance_path);
	}
}

static void
read_envelope(EeReceived *received, const JsonbValue *envelope,
			  List **violations)
{
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	value;

	if (envelope->type != jbvBinary ||
		!JsonContainerIsObject(envelope->val.binary.data))
	{
		*violations = lappend(*violations,
							  ee_metadata_violation("", "type",
													"is not an object",
													"object", NULL));
		return;
	}
	iterator = JsonbIteratorInit(envelope->val.binary.data);
	(void) JsonbIteratorNext(&iterator, &value, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(key.val.string.val,
									pg_mbcliplen(key.val.string.val,
												 key.val.string.len,
												 NAMEDATALEN));

		(void) JsonbIteratorNext(&iterator, &value, true);
		if (value.type != jbvNull)
			read_member(received, name, &value, violations);
	}
	if (received->pattern == NULL || received->payload == NULL)
		*violations = lappend(*violations,
							  ee_metadata_violation("", "required",
													received->pattern == NULL ?
													"lacks \"pattern\"" :
													"lacks \"payload\"",
													NULL, NULL));
}

static void
read_member(EeReceived *received, const char *name, JsonbValue *value,
			List **violations)
{
	struct
	{
		const char *name;
		char	  **to;
	}			texts[] = {
		{"eventId", &received->event_id},
		{"version", &received->version},
		{"partitionKey", &received->partition_key},
		{"aggregateType", &received->aggregate_type},
		{"priority", &received->priority}
	};
	const char *path = psprintf("/%s", name);
	const char *expected = "string";

	if (strcmp(name, "payload") == 0)
	{
		received->payload = JsonbValueToJsonb(value);
		return;
	}
	if (strcmp(name, "metadata") == 0)
	{
		received->metadata = JsonbValueToJsonb(value);
		return;
	}
	if (strcmp(name, "source") == 0)
	{
		received->source = JsonbValueToJsonb(value);
		return;
	}
	if (strcmp(name, "pattern") == 0 && value->type == jbvString)
	{
		received->pattern = value->val.string.val;
		received->pattern_len = value->val.string.len;
		return;
	}
	if (strcmp(name, "timestamp") == 0)
	{
		received->timestamp = parse_timestamp(path, value, violations);
		received->has_timestamp = true;
		return;
	}
	if (strcmp(name, "deliverAt") == 0)
	{
		received->deliver_at = parse_timestamp(path, value, violations);
		received->has_deliver_at = true;
		return;
	}
	if (strcmp(name, "aggregateVersion") == 0)
	{
		if (value->type == jbvNumeric)
		{
			received->has_aggregate_version = true;
			received->aggregate_version =
				DatumGetInt64(DirectFunctionCall1(numeric_int8,
												  NumericGetDatum(value->val.numeric)));
			return;
		}
		expected = "number";
	}
	for (int i = 0; i < lengthof(texts); i++)
		if (strcmp(name, texts[i].name) == 0 && value->type == jbvString)
		{
			*texts[i].to = pnstrdup(value->val.string.val,
									value->val.string.len);
			return;
		}
		else if (strcmp(name, texts[i].name) == 0)
			break;
		else if (i == lengthof(texts) - 1 && strcmp(name, "pattern") != 0 &&
				 strcmp(name, "aggregateVersion") != 0)
		{
			*violations = lappend(*violations,
								  ee_metadata_violation(path,
														"additionalProperties",
														"is not a member of an event",
														"pattern, payload, metadata, source, eventId, timestamp, version, partitionKey, aggregateType, aggregateVersion, priority, deliverAt",
														NULL));
			return;
		}
	*violations = lappend(*violations,
						  ee_metadata_violation(path, "type",
												"has a wrong type", expected,
												NULL));
}

static TimestampTz
parse_timestamp(const char *path, const JsonbValue *value, List **violations)
{
	if (value->type != jbvString)
	{
		*violations = lappend(*violations,
							  ee_metadata_violation(path, "type",
													"has a wrong type",
													"ISO 8601 time", NULL));
		return 0;
	}
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												   CStringGetDatum(pnstrdup(value->val.string.val,
																			value->val.string.len)),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
}

/* ---------------------------------------------------------- INSERT and COPY */

/*
 * Row trigger BEFORE INSERT on events: the same receive step.  A duplicate
 * is left out.  Rows that bring seq and xid come from a dump: they are taken
 * as they are, from superusers only.
 */
Datum
ee_sql_receive_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Relation	rel;
	EeReceived	received;
	EeEvent		row;
	List	   *violations = NIL;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz created_at;
	pg_uuid_t	first;
	text	   *pattern;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("receive_row must be fired BEFORE INSERT FOR EACH ROW")));
	rel = trigger->tg_relation;
	heap_deform_tuple(trigger->tg_trigtuple, RelationGetDescr(rel),
					  row.values, row.nulls);
	if (!EE_EVENT_IS_NULL(&row, EE_EVENT_SEQ) &&
		ee_append_own_row(DatumGetInt64(EE_EVENT_VALUE(&row, EE_EVENT_SEQ))))
		return PointerGetDatum(trigger->tg_trigtuple);
	if (IsLogicalWorker())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("events of another server cannot be replicated into event_engine.events"),
				 errdetail("Their positions and transaction ids belong to the log of that server."),
				 errhint("Replicate into a table of another database, or publish them again; see docs/replication.md.")));
	if (!EE_EVENT_IS_NULL(&row, EE_EVENT_SEQ) ||
		!EE_EVENT_IS_NULL(&row, EE_EVENT_XID))
	{
		if (superuser() && !EE_EVENT_IS_NULL(&row, EE_EVENT_SEQ) &&
			!EE_EVENT_IS_NULL(&row, EE_EVENT_XID) &&
			!EE_EVENT_IS_NULL(&row, EE_EVENT_ID))
		{
			ee_log_state_restored(DatumGetInt64(EE_EVENT_VALUE(&row,
															   EE_EVENT_SEQ)));
			return PointerGetDatum(trigger->tg_trigtuple);
		}
		ereport(ERROR,
				(errcode(EE_ERRCODE_ASSIGNED_COLUMN),
				 errmsg("columns seq and xid of event_engine.events are assigned"),
				 errhint("Leave them out. Only a restore by a superuser brings id, seq and xid along.")));
	}
	read_row(&received, &row, rel);
	created_at = DatumGetTimestampTz(EE_EVENT_VALUE(&row, EE_EVENT_CREATED_AT));
	if (created_at > now + EE_CLOCK_TOLERANCE_USECS ||
		created_at < now - EE_CLOCK_TOLERANCE_USECS)
		ereport(ERROR,
				(errcode(EE_ERRCODE_ASSIGNED_COLUMN),
				 errmsg("column created_at of event_engine.events is assigned"),
				 errhint("Leave it out; when something happened goes into column \"timestamp\".")));

	ee_receive_event(&row, &received, created_at, &violations);
	pattern = DatumGetTextPP(EE_EVENT_VALUE(&row, EE_EVENT_PATTERN));
	if (violations != NIL)
		ee_receive_raise(violations, text_to_cstring(pattern));
	ee_admission_ask(&row, 1);
	if (!ee_event_keys_claim(&row, &first))
		return PointerGetDatum(NULL);
	if (!ee_partition_accepts(RelationGetRelid(rel), created_at))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("partition \"%s\" takes no more events",
						RelationGetRelationName(rel)),
				 errhint("The clock has gone back; try again later, or use publish_event.")));
	ee_log_state_adopt();
	ee_append_position(&row);
	ee_append_note(&row, 1);
	return PointerGetDatum(heap_form_tuple(RelationGetDescr(rel), row.values,
										   row.nulls));
}

static void
read_row(EeReceived *received, EeEvent *row, Relation rel)
{
	text	   *pattern;

	if (EE_EVENT_IS_NULL(row, EE_EVENT_PATTERN) ||
		EE_EVENT_IS_NULL(row, EE_EVENT_PAYLOAD))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_EVENT),
				 errmsg("pattern and payload of an event must not be null"),
				 errhint("An event without content has the payload '{}'.")));
	memset(received, 0, sizeof(*received));
	pattern = DatumGetTextPP(EE_EVENT_VALUE(row, EE_EVENT_PATTERN));
	received->pattern = VARDATA_ANY(pattern);
	received->pattern_len = VARSIZE_ANY_EXHDR(pattern);
	received->payload =
		DatumGetJsonbP(EE_EVENT_VALUE(row, EE_EVENT_PAYLOAD));
	if (!EE_EVENT_IS_NULL(row, EE_EVENT_METADATA))
		received->metadata =
			DatumGetJsonbP(EE_EVENT_VALUE(row, EE_EVENT_METADATA));
	if (!EE_EVENT_IS_NULL(row, EE_EVENT_SOURCE))
		received->source =
			DatumGetJsonbP(EE_EVENT_VALUE(row, EE_EVENT_SOURCE));
	if (!EE_EVENT_IS_NULL(row, EE_EVENT_EVENT_ID))
		received->event_id =
			TextDatumGetCString(EE_EVENT_VALUE(row, EE_EVENT_EVENT_ID));
	if (!EE_EVENT_IS_NULL(row, EE_EVENT_VERSION))
		received->version =
			TextDatumGetCString(EE_EVENT_VALUE(row, EE_EVENT_VERSION));
	if (!EE_EVENT_IS_NULL(row, EE_EVENT_PARTITION_KEY))
		received->partition_key =
			TextDatumGetCString(EE_EVENT_VALUE(row, EE_EVENT_PARTITION_KEY));
	if (!EE_EVENT_IS_NULL(row, EE_EVENT_AGGREGATE_TYPE))
		received->aggregate_type =
			TextDatumGetCString(EE_EVENT_VALUE(row, EE_EVENT_AGGREGATE_TYPE));
	received->has_aggregate_version =
		!EE_EVENT_IS_NULL(row, EE_EVENT_AGGREGATE_VERSION);
	received->aggregate_version =
		received->has_aggregate_version ?
		DatumGetInt64(EE_EVENT_VALUE(row, EE_EVENT_AGGREGATE_VERSION)) : 0;
	received->has_timestamp = !EE_EVENT_IS_NULL(row, EE_EVENT_TIMESTAMP);
	received->timestamp = received->has_timestamp ?
		DatumGetTimestampTz(EE_EVENT_VALUE(row, EE_EVENT_TIMESTAMP)) : 0;
	received->has_deliver_at = !EE_EVENT_IS_NULL(row, EE_EVENT_DELIVER_AT);
	received->deliver_at = received->has_deliver_at ?
		DatumGetTimestampTz(EE_EVENT_VALUE(row, EE_EVENT_DELIVER_AT)) : 0;
	if (!EE_EVENT_IS_NULL(row, EE_EVENT_PRIORITY))
		received->priority =
			unconstify(char *,
					   priority_label(DatumGetObjectId(EE_EVENT_VALUE(row, EE_EVENT_PRIORITY))));
}

/* Trigger on events: what is stored stays as it is. */
Datum
ee_sql_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const char *what = "changed";

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("refuse_change must be called as trigger")));
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		what = "deleted";
	else if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		what = "truncated";
	else if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		what = "updated";
	ereport(ERROR,
			(errcode(EE_ERRCODE_IMMUTABLE),
			 errmsg("events are immutable and cannot be %s", what),
			 errhint("Publish a correcting event. Old events leave with their partition, under retention.")));
}
