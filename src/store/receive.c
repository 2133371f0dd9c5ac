/*
 * receive.c
 *	  From what a publisher gave to an event that can be stored: every way
 *	  in passes here.
 *
 * Normalises, identifies, stamps, enriches and validates.  Promises that all
 * that is wrong is said at once.  Leaves deduplication to event_keys.c, and
 * the position in the log to append.c.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ground/causation.h"
#include "ground/config.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/shared_counter.h"
#include "ground/uuid7.h"
#include "registry/event_grant.h"
#include "registry/event_rule.h"
#include "registry/registry_cache.h"
#include "registry/sensitive.h"
#include "store/engine_event.h"
#include "store/metadata.h"
#include "store/metadata_tag.h"
#include "store/receive.h"
#include "store/seal.h"
#include "validation/schema_eval.h"
#include "validation/schema_report.h"

static void receive_source(EeEvent *event, const EeReceived *received,
						   const EeDefinition *definition,
						   List **violations);
static void receive_payload(EeEvent *event, const EeReceived *received,
							const EeDefinition *definition,
							List **violations);
static void receive_rules(EeEvent *event, const EeDefinition *definition,
						  List **violations);
static void count_refused(const EeEvent *event);
static const EeGranted *check_right(const EeReceived *received,
									EeDefinition *definition);
static Oid	publisher_of(const EeReceived *received);
static Jsonb *complete_tenant(Jsonb *metadata, const EeGranted *granted);
static void check_tenant(const EeReceived *received, const EeGranted *granted,
						 Jsonb *metadata);
static void check_status(EeDefinition *definition);
static void check_reserved(const EeReceived *received,
						   const EeDefinition *definition);
static void set_name(EeEvent *event, EeEventAttr attr, char *value,
					 const char *path, List **violations);
static void set_text(EeEvent *event, EeEventAttr attr, Datum value);
static Datum current_role(void);

void
ee_receive_event(EeEvent *event, const EeReceived *received,
				 TimestampTz created_at, List **violations)
{
	EeDefinition *definition;
	const EeGranted *granted;
	Jsonb	   *metadata = received->metadata;
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	int			before = list_length(*violations);
	Jsonb	   *sealed = NULL;	/* before the rules, which see it as it is */

	memset(event->nulls, true, sizeof(event->nulls));

	/*
	 * A transaction that is open for long takes locks that it has already,
	 * and is told of nothing by that: neither of a right taken back, nor of
	 * what is sensitive from now on.
	 */
	AcceptInvalidationMessages();
	definition = ee_registry_cache_lookup(received->pattern,
										  received->pattern_len,
										  received->version);
	granted = check_right(received, definition);
	check_status(definition);
	check_reserved(received, definition);

	ee_uuid7_generate(id, created_at);
	set_text(event, EE_EVENT_ID, UUIDPGetDatum(id));
	set_text(event, EE_EVENT_PATTERN, definition->pattern_text);
	set_text(event, EE_EVENT_VERSION, definition->version_text);
	set_text(event, EE_EVENT_CREATED_AT, TimestampTzGetDatum(created_at));
	set_text(event, EE_EVENT_TIMESTAMP,
			 TimestampTzGetDatum(received->has_timestamp ?
								 received->timestamp : created_at));
	set_text(event, EE_EVENT_CREATED_BY, current_role());
	set_text(event, EE_EVENT_PRIORITY,
			 ObjectIdGetDatum(ee_extension_priority(received->priority ?
													received->priority :
													"normal")));
	set_name(event, EE_EVENT_EVENT_ID, received->event_id, "/eventId",
			 violations);
	set_name(event, EE_EVENT_PARTITION_KEY, received->partition_key,
			 "/partitionKey", violations);
	set_name(event, EE_EVENT_AGGREGATE_TYPE, received->aggregate_type,
			 "/aggregateType", violations);
	if (received->has_aggregate_version)
		set_text(event, EE_EVENT_AGGREGATE_VERSION,
				 Int64GetDatum(received->aggregate_version));
	if (received->has_deliver_at)
		set_text(event, EE_EVENT_DELIVER_AT,
				 TimestampTzGetDatum(received->deliver_at));

	receive_source(event, received, definition, violations);
	if (unlikely(granted != NULL))
		metadata = complete_tenant(metadata, granted);
	metadata = ee_metadata_complete(metadata, id, violations);
	set_text(event, EE_EVENT_METADATA, JsonbPGetDatum(metadata));
	if (unlikely(granted != NULL) && list_length(*violations) == before)
		check_tenant(received, granted, metadata);
	receive_payload(event, received, definition, violations);
	if (unlikely(definition->sensitive != NULL) &&
		list_length(*violations) == before)
		sealed = ee_seal_payload(event, definition->sensitive);
	if (unlikely(definition->rules != NIL) && ee_config_validation_enabled &&
		received->right != EE_RIGHT_OF_ENGINE)
		receive_rules(event, definition, violations);
	if (unlikely(sealed != NULL))
		set_text(event, EE_EVENT_PAYLOAD, JsonbPGetDatum(sealed));
	if (unlikely(list_length(*violations) > before))
		count_refused(event);
}

/* Now, since the transaction will hardly commit. */
static void
count_refused(const EeEvent *event)
{
	text	   *pattern =
		DatumGetTextPP(EE_EVENT_VALUE(event, EE_EVENT_PATTERN));
	int			len = 0;
	const char *type =
		ee_metadata_source_type(DatumGetJsonbP(EE_EVENT_VALUE(event,
															  EE_EVENT_SOURCE)),
								&len);

	ee_shared_counter_add(VARDATA_ANY(pattern), VARSIZE_ANY_EXHDR(pattern),
						  type, len, EE_OUTCOME_REFUSED);
}

/*
 * A rule may change definitions, and so end the life of what the event has
 * of this one: that is copied.
 */
static void
receive_rules(EeEvent *event, const EeDefinition *definition,
			  List **violations)
{
	set_text(event, EE_EVENT_PATTERN,
			 datumCopy(definition->pattern_text, false, -1));
	set_text(event, EE_EVENT_VERSION,
			 datumCopy(definition->version_text, false, -1));
	ee_event_rule_check(definition->rules, event, definition->pattern,
						violations);
}

static void
set_text(EeEvent *event, EeEventAttr attr, Datum value)
{
	EE_EVENT_VALUE(event, attr) = value;
	EE_EVENT_IS_NULL(event, attr) = false;
}

/* A varchar(255) that may not be empty. */
static void
set_name(EeEvent *event, EeEventAttr attr, char *value, const char *path,
		 List **violations)
{
	int			len;

	if (value == NULL)
		return;
	len = pg_mbstrlen(value);
	if (len == 0 || len > EE_EVENT_NAME_MAX)
		*violations = lappend(*violations,
							  ee_metadata_violation(path, "length",
													"must have 1 to 255 characters",
													"1 to 255 characters",
													psprintf("%d characters",
															 len)));
	else
		set_text(event, attr, CStringGetTextDatum(value));
}

/*
 * May the publisher publish this?  NULL: for every tenant; that is remembered
 * with the definition, and costs two comparisons the next time.
 */
static const EeGranted *
check_right(const EeReceived *received, EeDefinition *definition)
{
	Oid			publisher = publisher_of(received);
	uint64		generation = ee_event_grant_generation();
	const EeGranted *granted;

	if (received->right >= EE_RIGHT_NOT_ASKED ||
		likely(definition->publisher == publisher &&
			   definition->publisher_generation == generation))
		return NULL;
	granted = ee_event_grant_lookup(publisher, EE_PRIVILEGE_PUBLISH,
									definition->pattern,
									strlen(definition->pattern));
	if (!granted->all && granted->n_tenants == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not publish event \"%s\"",
						GetUserNameFromId(publisher, false),
						definition->pattern),
				 errhint("The right is granted with CALL event_engine.grant_publish(%s, %s); EXECUTE or INSERT alone do not give it.",
						 quote_literal_cstr(definition->pattern),
						 quote_literal_cstr(GetUserNameFromId(publisher,
															  false)))));
	if (!granted->all)
		return granted;
	if (granted == &ee_event_grant_unasked)
		return NULL;
	definition->publisher = publisher;
	/* of before the look: a change that was heard of meanwhile counts again */
	definition->publisher_generation = generation;
	return NULL;
}

static Oid
publisher_of(const EeReceived *received)
{
	return received->right == EE_RIGHT_OF ? received->publisher :
		GetUserId();
}

/* Who publishes for one tenant need not say so. */
static Jsonb *
complete_tenant(Jsonb *metadata, const EeGranted *granted)
{
	int			len;

	if (granted->n_tenants != 1 ||
		(metadata != NULL &&
		 ee_metadata_tag(metadata, EE_TAG_TENANT, &len) != NULL))
		return metadata;
	return ee_metadata_set_tag(metadata, EE_TAG_TENANT, granted->tenants[0]);
}

static void
check_tenant(const EeReceived *received, const EeGranted *granted,
			 Jsonb *metadata)
{
	int			len = 0;
	const char *tenant = ee_metadata_tag(metadata, EE_TAG_TENANT, &len);
	char	   *role;

	if (ee_event_grant_includes(granted, tenant, len))
		return;
	role = GetUserNameFromId(publisher_of(received), false);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 tenant == NULL ?
			 errmsg("role \"%s\" may not publish event \"%.*s\" without a tenant",
					role, received->pattern_len, received->pattern) :
			 errmsg("role \"%s\" may not publish event \"%.*s\" of tenant \"%.*s\"",
					role, received->pattern_len, received->pattern,
					len, tenant),
			 errdetail("It may for %s.", ee_event_grant_tenants(granted)),
			 errhint("The tenant of an event is the text metadata.tags.tenant.")));
}

static void
check_status(EeDefinition *definition)
{
	if (definition->status == EE_DEFINITION_DRAFT &&
		!ee_config_registry_allow_draft)
		ereport(ERROR,
				(errcode(EE_ERRCODE_DEFINITION_STATUS),
				 errmsg("event definition \"%s\" is a draft",
						definition->event_id),
				 errhint("Activate it with event_engine.update_event_definition(%s, status => 'active'), or set event_engine.registry_allow_draft.",
						 quote_literal_cstr(definition->event_id))));
	if (definition->status == EE_DEFINITION_DEPRECATED && !definition->warned)
	{
		definition->warned = true;
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("event definition \"%s\" is deprecated",
						definition->event_id)));
	}
}

/* What tells of the engine can be trusted: nobody else publishes it. */
static void
check_reserved(const EeReceived *received, const EeDefinition *definition)
{
	if (unlikely(strncmp(definition->event_id, EE_ENGINE_EVENT_SYSTEM,
						 strlen(EE_ENGINE_EVENT_SYSTEM)) == 0) &&
		received->right != EE_RIGHT_OF_ENGINE)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("event \"%s\" is published by event_engine itself",
						definition->pattern)));
}

static void
receive_source(EeEvent *event, const EeReceived *received,
			   const EeDefinition *definition, List **violations)
{
	int			before = list_length(*violations);
	Jsonb	   *source = received->source;
	const char *type;
	int			len;

	if (source == NULL)
		source = ee_causation_source != NULL ? ee_causation_source :
			ee_metadata_default_source();
	else
		ee_metadata_check_source(source, violations);
	set_text(event, EE_EVENT_SOURCE, JsonbPGetDatum(source));

	if (definition->n_source_types == 0 ||
		list_length(*violations) != before)
		return;
	type = ee_metadata_source_type(source, &len);
	for (int i = 0; i < definition->n_source_types; i++)
		if (strlen(definition->source_types[i]) == len &&
			memcmp(definition->source_types[i], type, len) == 0)
			return;
	*violations = lappend(*violations,
						  ee_metadata_violation("/source/type", "source_types",
												"is not among the definition's source types",
												ee_metadata_list(definition->source_types,
																 definition->n_source_types),
												pnstrdup(type, len)));
}

static void
receive_payload(EeEvent *event, const EeReceived *received,
				const EeDefinition *definition, List **violations)
{
	Jsonb	   *payload = received->payload;
	ListCell   *lc;

	set_text(event, EE_EVENT_PAYLOAD, JsonbPGetDatum(payload));
	if (VARSIZE(payload) > (Size) ee_config_store_max_payload * 1024 &&
		received->right != EE_RIGHT_OF_ENGINE)
		ereport(ERROR,
				(errcode(EE_ERRCODE_PAYLOAD_TOO_LARGE),
				 errmsg("payload of %u bytes exceeds the limit of %d kB",
						(unsigned) VARSIZE(payload),
						ee_config_store_max_payload),
				 errhint("Store large data apart and publish a reference to it, or raise event_engine.store_max_payload.")));
	if (definition->schema == NULL || !ee_config_validation_enabled)
		return;
	if (likely(ee_schema_eval(definition->schema, payload)))
		return;
	foreach(lc, ee_schema_report(definition->schema, payload, 0))
	{
		EeViolation *violation = lfirst(lc);

		if (definition->sensitive != NULL)
			ee_sensitive_hide(definition->sensitive, violation);
		violation->instance_path = psprintf("/payload%s",
											violation->instance_path);
		*violations = lappend(*violations, violation);
	}
}

/* The name of the role that publishes, remembered while it stays the same. */
static Datum
current_role(void)
{
	static Oid	role = InvalidOid;
	static text *name = NULL;
	text	   *result;

	if (role != GetUserId() || name == NULL)
	{
		result = cstring_to_text(GetUserNameFromId(GetUserId(), false));
		role = InvalidOid;
		if (name != NULL)
			pfree(name);
		name = NULL;
		name = MemoryContextAlloc(TopMemoryContext, VARSIZE(result));
		memcpy(name, result, VARSIZE(result));
		role = GetUserId();
		return PointerGetDatum(result);
	}
	/* a copy: publishing may lead to publishing by another role */
	result = palloc(VARSIZE(name));
	memcpy(result, name, VARSIZE(name));
	return PointerGetDatum(result);
}

/* All that is wrong, in one error. */
void
ee_receive_raise(List *violations, const char *pattern)
{
	StringInfoData detail;
	bool		payload_only = true;
	ListCell   *lc;

	if (violations == NIL)
		return;
	initStringInfo(&detail);
	foreach(lc, violations)
	{
		EeViolation *violation = lfirst(lc);

		if (strstr(violation->instance_path, "/payload") == NULL)
			payload_only = false;
		if (detail.len > 0)
			appendStringInfoChar(&detail, '\n');
		appendStringInfo(&detail, "%s%s%s", violation->instance_path,
						 violation->instance_path[0] != '\0' ? ": " : "",
						 violation->message);
		if (violation->expected != NULL)
			appendStringInfo(&detail, ", expected %s", violation->expected);
		if (violation->found != NULL)
			appendStringInfo(&detail, ", found %s", violation->found);
		appendStringInfo(&detail, " (%s)",
						 violation->keyword_path != NULL ?
						 violation->keyword_path : violation->keyword);
	}
	ereport(ERROR,
			(errcode(payload_only ? EE_ERRCODE_INVALID_PAYLOAD :
					 EE_ERRCODE_INVALID_EVENT),
			 pattern != NULL ?
			 errmsg("event \"%s\" is not valid: %d violation(s)", pattern,
					list_length(violations)) :
			 errmsg("events are not valid: %d violation(s)",
					list_length(violations)),
			 errdetail("%s", detail.data),
			 errhint("event_engine.validate_event() checks a payload without publishing it.")));
}
