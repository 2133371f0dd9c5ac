/*
 * metadata.c
 *	  The specification's shapes of source and metadata:
 *
 *		source		{"type": workflow|task|integration|external, "id", "name"}
 *		metadata	{"correlationId", "causationId", "traceId", "userId",
 *					 "context": {"type": client|user|global, "id"},
 *					 "tags": {...}, "hops"}
 *
 * Other members are refused: what is free goes into tags.
 *
 * Who publishes from within a handler passes on the correlation of the event
 * that is being handled, names it as cause, and counts a hop: a loop of
 * handlers that feed one another ends at the hop limit.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "ground/causation.h"
#include "ground/config.h"
#include "ground/envelope.h"
#include "ground/errors.h"
#include "ground/jsonb_push.h"
#include "ground/uuid7.h"
#include "store/metadata.h"
#include "store/metadata_tag.h"

#define KEY_CORRELATION "correlationId"
#define KEY_CAUSATION	"causationId"
#define KEY_HOPS		"hops"

#define EXPECTED_NAME	"string of 1 to 255 characters"

static char *source_types[] = {"workflow", "task", "integration", "external"};
static char *context_types[] = {"client", "user", "global"};

/* what a member may be */
typedef enum MemberKind
{
	MEMBER_TEXT,
	MEMBER_SCALAR,				/* text or number */
	MEMBER_NAME,				/* text that indexes keep */
	MEMBER_TAGS,
	MEMBER_COUNT,				/* a whole number, not negative */
	MEMBER_SOURCE_TYPE,
	MEMBER_CONTEXT_TYPE,
	MEMBER_CONTEXT
} MemberKind;

typedef struct Member
{
	const char *name;
	MemberKind	kind;
	bool		required;
} Member;

static const Member source_members[] = {
	{"type", MEMBER_SOURCE_TYPE, true},
	{"id", MEMBER_TEXT, true},
	{"name", MEMBER_TEXT, false},
	{NULL}
};

static const Member metadata_members[] = {
	{KEY_CORRELATION, MEMBER_NAME, false},
	{KEY_CAUSATION, MEMBER_NAME, false},
	{"traceId", MEMBER_TEXT, false},
	{"userId", MEMBER_SCALAR, false},
	{"context", MEMBER_CONTEXT, false},
	{"tags", MEMBER_TAGS, false},
	{KEY_HOPS, MEMBER_COUNT, false},
	{NULL}
};

static const Member context_members[] = {
	{"type", MEMBER_CONTEXT_TYPE, true},
	{"id", MEMBER_TEXT, false},
	{NULL}
};

/* What an event inherits. */
typedef struct Cause
{
	const pg_uuid_t *event;		/* NULL: by the causationId in metadata */
	Jsonb	   *metadata;		/* whose correlation it is */
	int			hops;			/* of the event that inherits; 0: not told */
} Cause;

static Jsonb *only_correlation(const pg_uuid_t *id);
static Jsonb *complete(Jsonb *given, const pg_uuid_t *id,
					   const Cause *cause);
static void check_hops(int hops);
static void check_members(JsonbContainer *object, const Member *members,
						  const char *path, List **violations);
static void check_member(const JsonbValue *value, const Member *member,
						 const char *path, List **violations);
static void check_tenant(JsonbContainer *tags, const char *path,
						 List **violations);
static bool is_name(const JsonbValue *value);
static bool is_count(const JsonbValue *value);
static bool is_among(const JsonbValue *value, char **names, int n);
static int	hops_of(Jsonb *metadata);
static const char *kind_of(const JsonbValue *value);

Jsonb *
ee_metadata_complete(Jsonb *given, const pg_uuid_t *id, List **violations)
{
	int			before = list_length(*violations);
	Cause		cause = {0};

	if (given != NULL && JB_ROOT_COUNT(given) == 0 && JB_ROOT_IS_OBJECT(given))
		given = NULL;
	if (given == NULL && !ee_causation_active() &&
		ee_causation_context == NULL)
		return only_correlation(id);
	if (given != NULL)
	{
		check_members(&given->root, metadata_members, "/metadata", violations);
		if (list_length(*violations) != before)
			return given;
	}
	if (ee_causation_active())
	{
		EeEvent		causing;

		ee_envelope_deform(ee_causation_event, &causing);
		cause.event = DatumGetUUIDP(EE_EVENT_VALUE(&causing, EE_EVENT_ID));
		cause.metadata = DatumGetJsonbP(EE_EVENT_VALUE(&causing,
													   EE_EVENT_METADATA));
		cause.hops = hops_of(cause.metadata) + 1;
	}
	if (ee_causation_context != NULL)
	{
		/* a workflow goes on for as long as it likes; starting one counts */
		cause.metadata = ee_causation_context;
		cause.hops = hops_of(ee_causation_context);
	}
	else
		check_hops(cause.hops);
	return complete(given, id, cause.metadata != NULL ? &cause : NULL);
}

Jsonb *
ee_metadata_caused_by(Jsonb *given, const pg_uuid_t *cause_id,
					  Jsonb *cause_metadata)
{
	static const char *const told[] = {KEY_CORRELATION, KEY_CAUSATION};
	Cause		cause = {cause_id, cause_metadata, hops_of(cause_metadata) + 1};

	if (given != NULL && !JB_ROOT_IS_OBJECT(given))
		return given;
	for (int i = 0; given != NULL && i < lengthof(told); i++)
		given = DatumGetJsonbP(DirectFunctionCall2(jsonb_delete,
												   JsonbPGetDatum(given),
												   CStringGetTextDatum(told[i])));
	check_hops(cause.hops);
	return complete(given, cause_id, &cause);
}

static void
check_hops(int hops)
{
	if (hops > ee_config_store_hop_limit)
		ereport(ERROR,
				(errcode(EE_ERRCODE_HOP_LIMIT),
				 errmsg("an event may be the cause of a cause of ... at most %d times over",
						ee_config_store_hop_limit),
				 errdetail("Handlers publish because of one another in a loop."),
				 errhint("Break the loop, or raise event_engine.store_hop_limit.")));
}

/*
 * {"correlationId": "<id>"}: made once, then only the digits change.
 */
static Jsonb *
only_correlation(const pg_uuid_t *id)
{
	static Jsonb *template = NULL;
	Jsonb	   *result;

	if (template == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		JsonbParseState *state = NULL;
		char		digits[EE_UUID_TEXT_LEN];

		memset(digits, '0', sizeof(digits));
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		ee_jsonb_push_chars(&state, KEY_CORRELATION, digits, sizeof(digits));
		template = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT,
													NULL));
		MemoryContextSwitchTo(old);
	}
	result = palloc(VARSIZE(template));
	memcpy(result, template, VARSIZE(template));
	/* the one value stands at the end */
	ee_uuid7_to_text(id, (char *) result + VARSIZE(result) - EE_UUID_TEXT_LEN);
	return result;
}

/* cause NULL: without one. */
static Jsonb *
complete(Jsonb *given, const pg_uuid_t *id, const Cause *cause)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	char		digits[EE_UUID_TEXT_LEN];
	bool		has_correlation = false;
	bool		has_causation = false;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (given != NULL)
	{
		JsonbValue	key;

		iterator = JsonbIteratorInit(&given->root);
		(void) JsonbIteratorNext(&iterator, &value, true);
		while ((token = JsonbIteratorNext(&iterator, &key, true)) == WJB_KEY)
		{
			(void) JsonbIteratorNext(&iterator, &value, true);
			if (key.val.string.len == strlen(KEY_CORRELATION) &&
				memcmp(key.val.string.val, KEY_CORRELATION, key.val.string.len) == 0)
				has_correlation = true;
			if (key.val.string.len == strlen(KEY_CAUSATION) &&
				memcmp(key.val.string.val, KEY_CAUSATION, key.val.string.len) == 0)
				has_causation = true;
			if (cause != NULL &&
				key.val.string.len == strlen(KEY_HOPS) &&
				memcmp(key.val.string.val, KEY_HOPS, key.val.string.len) == 0)
				continue;		/* counted, not claimed */
			pushJsonbValue(&state, WJB_KEY, &key);
			pushJsonbValue(&state, WJB_VALUE, &value);
		}
	}
	if (!has_correlation)
	{
		JsonbValue	inherited;

		if (cause != NULL &&
			getKeyJsonValueFromContainer(&cause->metadata->root,
										 KEY_CORRELATION,
										 strlen(KEY_CORRELATION),
										 &inherited) != NULL)
			ee_jsonb_push_chars(&state, KEY_CORRELATION,
								inherited.val.string.val,
								inherited.val.string.len);
		else
		{
			ee_uuid7_to_text(id, digits);
			ee_jsonb_push_chars(&state, KEY_CORRELATION, digits,
								EE_UUID_TEXT_LEN);
		}
	}
	if (cause != NULL && !has_causation)
	{
		JsonbValue	inherited;

		if (cause->event != NULL)
		{
			ee_uuid7_to_text(cause->event, digits);
			ee_jsonb_push_chars(&state, KEY_CAUSATION, digits,
								EE_UUID_TEXT_LEN);
		}
		else if (getKeyJsonValueFromContainer(&cause->metadata->root,
											  KEY_CAUSATION,
											  strlen(KEY_CAUSATION),
											  &inherited) != NULL)
			ee_jsonb_push_chars(&state, KEY_CAUSATION,
								inherited.val.string.val,
								inherited.val.string.len);
	}
	if (cause != NULL && cause->hops > 0)
	{
		value.type = jbvString;
		value.val.string.val = KEY_HOPS;
		value.val.string.len = strlen(KEY_HOPS);
		pushJsonbValue(&state, WJB_KEY, &value);
		value.type = jbvNumeric;
		value.val.numeric = int64_to_numeric(cause->hops);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static int
hops_of(Jsonb *metadata)
{
	JsonbValue	value;
	bool		failed = false;
	int			hops;

	if (getKeyJsonValueFromContainer(&metadata->root, KEY_HOPS,
									 strlen(KEY_HOPS), &value) == NULL ||
		value.type != jbvNumeric)
		return 0;
	hops = numeric_int4_opt_error(value.val.numeric, &failed);
	return failed ? ee_config_store_hop_limit : hops;
}

/* ------------------------------------------------------------------ shapes */

void
ee_metadata_check_source(Jsonb *source, List **violations)
{
	check_members(&source->root, source_members, "/source", violations);
}

static void
check_members(JsonbContainer *object, const Member *members, const char *path,
			  List **violations)
{
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	value;

	if (!JsonContainerIsObject(object))
	{
		*violations = lappend(*violations,
							  ee_metadata_violation(path, "type",
													"is not an object",
													"object",
													JsonContainerIsScalar(object) ?
													"scalar" : "array"));
		return;
	}
	iterator = JsonbIteratorInit(object);
	(void) JsonbIteratorNext(&iterator, &value, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		const Member *member = members;
		char	   *name = pnstrdup(key.val.string.val, key.val.string.len);
		char	   *member_path = psprintf("%s/%s", path, name);

		(void) JsonbIteratorNext(&iterator, &value, true);
		while (member->name != NULL && strcmp(member->name, name) != 0)
			member++;
		if (member->name != NULL)
			check_member(&value, member, member_path, violations);
		else
		{
			StringInfoData known;

			initStringInfo(&known);
			for (member = members; member->name != NULL; member++)
				appendStringInfo(&known, "%s%s", known.len > 0 ? ", " : "",
								 member->name);
			*violations = lappend(*violations,
								  ee_metadata_violation(member_path,
														"additionalProperties",
														members == metadata_members ?
														"is not known here; free members go into tags" :
														"is not known here",
														known.data, NULL));
		}
	}
	for (const Member *member = members; member->name != NULL; member++)
		if (member->required &&
			getKeyJsonValueFromContainer(object, member->name,
										 strlen(member->name), &value) == NULL)
			*violations = lappend(*violations,
								  ee_metadata_violation(path, "required",
														psprintf("lacks \"%s\"", member->name),
														NULL, NULL));
}

static void
check_member(const JsonbValue *value, const Member *member, const char *path,
			 List **violations)
{
	bool		is_text = value->type == jbvString && value->val.string.len > 0;
	bool		good = false;
	char	   *expected = NULL;

	switch (member->kind)
	{
		case MEMBER_TEXT:
			good = is_text;
			expected = "string, not empty";
			break;
		case MEMBER_SCALAR:
			good = is_text || value->type == jbvNumeric;
			expected = "string or number";
			break;
		case MEMBER_NAME:
			good = is_name(value);
			expected = EXPECTED_NAME;
			break;
		case MEMBER_TAGS:
			good = value->type == jbvBinary &&
				JsonContainerIsObject(value->val.binary.data);
			if (good)
				check_tenant(value->val.binary.data, path, violations);
			expected = "object";
			break;
		case MEMBER_COUNT:
			good = is_count(value);
			expected = "whole number, not negative";
			break;
		case MEMBER_SOURCE_TYPE:
			good = is_among(value, source_types, lengthof(source_types));
			expected = ee_metadata_list(source_types, lengthof(source_types));
			break;
		case MEMBER_CONTEXT_TYPE:
			good = is_among(value, context_types, lengthof(context_types));
			expected = ee_metadata_list(context_types,
										lengthof(context_types));
			break;
		case MEMBER_CONTEXT:
			if (value->type == jbvBinary)
			{
				check_members(value->val.binary.data, context_members, path,
							  violations);
				return;
			}
			expected = "object";
			break;
	}
	if (!good)
		*violations = lappend(*violations,
							  ee_metadata_violation(path, "type",
													"has a wrong value",
													expected,
													kind_of(value)));
}

/* Other tags may be anything. */
static void
check_tenant(JsonbContainer *tags, const char *path, List **violations)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(tags, EE_TAG_TENANT,
									 strlen(EE_TAG_TENANT), &value) != NULL &&
		value.type == jbvString && !is_name(&value))
		*violations = lappend(*violations,
							  ee_metadata_violation(psprintf("%s/%s", path,
															 EE_TAG_TENANT),
													"type",
													"has a wrong value",
													EXPECTED_NAME,
													kind_of(&value)));
}

static bool
is_name(const JsonbValue *value)
{
	return value->type == jbvString && value->val.string.len > 0 &&
		pg_mbstrlen_with_len(value->val.string.val,
							 value->val.string.len) <= EE_EVENT_NAME_MAX;
}

/* Converting to an integer rounds, hence the comparison. */
static bool
is_count(const JsonbValue *value)
{
	bool		failed = false;
	int32		count;

	if (value->type != jbvNumeric)
		return false;
	count = numeric_int4_opt_error(value->val.numeric, &failed);
	return !failed && count >= 0 &&
		DatumGetBool(DirectFunctionCall2(numeric_eq,
										 NumericGetDatum(value->val.numeric),
										 NumericGetDatum(int64_to_numeric(count))));
}

static bool
is_among(const JsonbValue *value, char **names, int n)
{
	if (value->type != jbvString)
		return false;
	for (int i = 0; i < n; i++)
		if (strlen(names[i]) == value->val.string.len &&
			memcmp(names[i], value->val.string.val,
				   value->val.string.len) == 0)
			return true;
	return false;
}

static const char *
kind_of(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvBool:
			return "boolean";
		case jbvNumeric:
			return "number";
		case jbvString:
			return psprintf("\"%.*s\"",
							pg_mbcliplen(value->val.string.val,
										 value->val.string.len, 60),
							value->val.string.val);
		default:
			return JsonContainerIsArray(value->val.binary.data) ?
				"array" : "object";
	}
}

Jsonb *
ee_metadata_default_source(void)
{
	static Oid	role = InvalidOid;
	static Jsonb *source = NULL;
	Jsonb	   *result;

	if (source == NULL || role != GetUserId())
	{
		JsonbParseState *state = NULL;
		char	   *name = GetUserNameFromId(GetUserId(), false);

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		ee_jsonb_push_text(&state, "type", "external");
		ee_jsonb_push_text(&state, "id", name);
		result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT,
												  NULL));
		role = InvalidOid;
		if (source != NULL)
			pfree(source);
		source = NULL;
		source = MemoryContextAlloc(TopMemoryContext, VARSIZE(result));
		memcpy(source, result, VARSIZE(result));
		role = GetUserId();
		return result;
	}
	/* a copy: publishing may lead to publishing by another role */
	result = palloc(VARSIZE(source));
	memcpy(result, source, VARSIZE(source));
	return result;
}

const char *
ee_metadata_source_type(Jsonb *source, int *len)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(&source->root, "type", strlen("type"),
									 &value) == NULL ||
		value.type != jbvString)
	{
		*len = 0;
		return "";
	}
	*len = value.val.string.len;
	return value.val.string.val;
}

EeViolation *
ee_metadata_violation(const char *path, const char *keyword,
					  const char *message, const char *expected,
					  const char *found)
{
	EeViolation *violation = palloc0(sizeof(EeViolation));

	violation->instance_path = pstrdup(path);
	violation->keyword = pstrdup(keyword);
	violation->message = pstrdup(message);
	violation->expected = expected ? pstrdup(expected) : NULL;
	violation->found = found ? pstrdup(found) : NULL;
	return violation;
}

char *
ee_metadata_list(char **names, int n)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", names[i]);
	return list.data;
}
