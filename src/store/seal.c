/*
 * seal.c
 *	  Sensitive values are stored encrypted: sealed.
 *
 * A sealed value is a string in its place:
 *
 *		sealed:1:<base64 of: id of the key, nonce, encrypted JSON text, tag>
 *
 * What is encrypted is the value as JSON in UTF-8, so that it comes back as it
 * was, whatever its type, and in a database of another encoding.  Its label,
 * without which it cannot be opened, is the event's id, pattern and tenant and
 * the value's path: nobody can move it to another event or place and have it
 * opened there, or say that it is of another tenant.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "ground/compat.h"
#include "ground/errors.h"
#include "ground/secret_box.h"
#include "registry/registry_cache.h"
#include "store/metadata_tag.h"
#include "store/seal.h"
#include "store/subject_key.h"

#define PREFIX_LEN		(sizeof(EE_SEAL_PREFIX) - 1)

/* where in an event */
typedef struct Place
{
	const struct Place *outer;
	const char *name;			/* NULL: an item of an array */
	uint32		len;
	uint32		index;
} Place;

typedef struct Sealing
{
	EeSealedEvent event;
	EeSubjectKey key;
} Sealing;

typedef struct Opening
{
	const EeSealedEvent *event;
	bool		insist;
	bool		changed;
} Opening;

static char *subject_of(const EeEvent *event, const EeSensitive *sensitive,
						int *len);
static char *scalar_text(const JsonbValue *value, int *len);
pg_noreturn static void no_subject(const EeEvent *event,
								   const EeSensitive *sensitive,
								   const char *why);
static JsonbValue *seal_container(Sealing *sealing, JsonbContainer *container,
								  const Place *outer, List *paths, int depth,
								  JsonbParseState **state);
static void seal_child(Sealing *sealing, JsonbValue *value,
					   const Place *place, List *paths, int depth,
					   JsonbParseState **state, JsonbIteratorToken token);
static void seal_value(Sealing *sealing, JsonbValue *value,
					   const Place *place);
static JsonbValue *open_container(Opening *opening, JsonbContainer *container,
								  const Place *outer,
								  JsonbParseState **state);
static bool open_value(Opening *opening, JsonbValue *value,
					   const Place *place);
static void check_key_is_here(const Opening *opening, const Place *place);
static List *paths_at(const EeSensitive *sensitive, const Place *place,
					  int *depth, bool *whole);
static uint8 *label_of(const EeSealedEvent *event, const Place *place,
					   Size *len);
static void append_utf8(StringInfo text, const char *value, int len);
static void append_pointer(StringInfo text, const Place *place);

/* ------------------------------------------------------------------ sealing */

Jsonb *
ee_seal_payload(const EeEvent *event, const EeSensitive *sensitive)
{
	Jsonb	   *payload =
		DatumGetJsonbP(EE_EVENT_VALUE(event, EE_EVENT_PAYLOAD));
	text	   *pattern =
		DatumGetTextPP(EE_EVENT_VALUE(event, EE_EVENT_PATTERN));
	JsonbParseState *state = NULL;
	JsonbValue *sealed;
	Sealing		sealing = {0};
	EeSealedEvent *sealed_event = &sealing.event;
	char	   *subject;
	int			len;

	if (JB_ROOT_IS_SCALAR(payload))
		return payload;
	sealed_event->id = DatumGetUUIDP(EE_EVENT_VALUE(event, EE_EVENT_ID));
	sealed_event->pattern = VARDATA_ANY(pattern);
	sealed_event->pattern_len = VARSIZE_ANY_EXHDR(pattern);
	sealed_event->tenant =
		ee_metadata_tag(DatumGetJsonbP(EE_EVENT_VALUE(event,
													  EE_EVENT_METADATA)),
						EE_TAG_TENANT, &sealed_event->tenant_len);
	subject = subject_of(event, sensitive, &len);
	ee_subject_key_get(&sealing.key, subject, len);
	sealed = seal_container(&sealing, &payload->root, NULL, sensitive->paths,
							0, &state);
	ee_secret_box_forget(&sealing.key, sizeof(sealing.key));
	return JsonbValueToJsonb(sealed);
}

/* A string or a number, as ->> would give it. */
static char *
subject_of(const EeEvent *event, const EeSensitive *sensitive, int *len)
{
	JsonbValue	value;
	char	   *subject;

	if (!ee_envelope_value(event, sensitive->subject_member, &value))
		no_subject(event, sensitive, "It is not there.");
	for (int i = 0; i < sensitive->subject.n_steps; i++)
	{
		const EeSensitiveStep *step = &sensitive->subject.steps[i];
		JsonbValue *below = NULL;

		if (value.type == jbvBinary && step->kind == EE_STEP_MEMBER &&
			JsonContainerIsObject(value.val.binary.data))
			below = getKeyJsonValueFromContainer(value.val.binary.data,
												 step->name, step->len, NULL);
		else if (value.type == jbvBinary && step->kind == EE_STEP_ITEM &&
				 JsonContainerIsArray(value.val.binary.data))
			below = getIthJsonbValueFromContainer(value.val.binary.data,
												  step->index);
		if (below == NULL)
			no_subject(event, sensitive, "It is not there.");
		value = *below;
	}
	subject = scalar_text(&value, len);
	if (subject == NULL)
		no_subject(event, sensitive, "It must be a string or a number.");
	if (*len == 0 || pg_mbstrlen_with_len(subject, *len) > EE_SUBJECT_MAX)
		no_subject(event, sensitive, "It must have 1 to 255 characters.");
	return subject;
}

/* NULL where it is neither. */
static char *
scalar_text(const JsonbValue *value, int *len)
{
	char	   *number;

	if (value->type == jbvString)
	{
		*len = value->val.string.len;
		return value->val.string.val;
	}
	if (value->type != jbvNumeric)
		return NULL;
	number = DatumGetCString(DirectFunctionCall1(numeric_out,
												 NumericGetDatum(value->val.numeric)));
	*len = strlen(number);
	return number;
}

static void
no_subject(const EeEvent *event, const EeSensitive *sensitive,
		   const char *why)
{
	ereport(ERROR,
			(errcode(EE_ERRCODE_NO_SUBJECT),
			 errmsg("event \"%s\" does not say whom its sensitive data is about",
					TextDatumGetCString(EE_EVENT_VALUE(event,
													   EE_EVENT_PATTERN))),
			 errdetail("The definition expects that at %s. %s",
					   sensitive->subject_text, why),
			 errhint("Have the schema require it, so that it is never forgotten.")));
}

/* depth: of the container, whose paths have come so far. */
static JsonbValue *
seal_container(Sealing *sealing, JsonbContainer *container,
			   const Place *outer, List *paths, int depth,
			   JsonbParseState **state)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	Place		place = {outer, NULL, 0, 0};

	check_stack_depth();
	token = JsonbIteratorNext(&it, &value, true);
	(void) pushJsonbValue(state, token, NULL);
	if (token == WJB_BEGIN_ARRAY)
	{
		for (; JsonbIteratorNext(&it, &value, true) == WJB_ELEM; place.index++)
			seal_child(sealing, &value, &place, paths, depth, state,
					   WJB_ELEM);
		return pushJsonbValue(state, WJB_END_ARRAY, NULL);
	}
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		place.name = value.val.string.val;
		place.len = value.val.string.len;
		(void) pushJsonbValue(state, WJB_KEY, &value);
		(void) JsonbIteratorNext(&it, &value, true);
		seal_child(sealing, &value, &place, paths, depth, state, WJB_VALUE);
	}
	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static void
seal_child(Sealing *sealing, JsonbValue *value, const Place *place,
		   List *paths, int depth, JsonbParseState **state,
		   JsonbIteratorToken token)
{
	bool		whole;
	List	   *below = ee_sensitive_below(paths, depth, place->name,
										   place->len, place->index, &whole);

	if (whole)
		seal_value(sealing, value, place);
	else if (below != NIL && value->type == jbvBinary)
	{
		(void) seal_container(sealing, value->val.binary.data, place, below,
							  depth + 1, state);
		return;
	}
	(void) pushJsonbValue(state, token, value);
}

static void
seal_value(Sealing *sealing, JsonbValue *value, const Place *place)
{
	Jsonb	   *jsonb = JsonbValueToJsonb(value);
	char	   *json = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
	char	   *utf8 = pg_server_to_any(json, strlen(json), PG_UTF8);
	Size		len = strlen(utf8);
	Size		n = UUID_LEN + EE_SECRET_BOX_OVERHEAD + len;
	uint8	   *bytes = palloc(n);
	Size		label_len;
	uint8	   *label = label_of(&sealing->event, place, &label_len);

	memcpy(bytes, sealing->key.id.data, UUID_LEN);
	ee_secret_box_seal(bytes + UUID_LEN, (uint8 *) utf8, len, label,
					   label_len, sealing->key.key);
	value->type = jbvString;
	value->val.string.val = ee_secret_box_to_text(bytes, n, EE_SEAL_PREFIX);
	value->val.string.len = strlen(value->val.string.val);
	pfree(label);
	pfree(bytes);
	if (utf8 != json)
		pfree(utf8);
	pfree(json);
	pfree(jsonb);
}

/* Unambiguous: ids have one length, patterns and names of tenants no NUL. */
static uint8 *
label_of(const EeSealedEvent *event, const Place *place, Size *len)
{
	StringInfoData label;

	initStringInfo(&label);
	appendBinaryStringInfo(&label, (const char *) event->id->data, UUID_LEN);
	appendBinaryStringInfo(&label, event->pattern, event->pattern_len);
	appendStringInfoChar(&label, '\0');
	if (event->tenant != NULL)
		append_utf8(&label, event->tenant, event->tenant_len);
	appendStringInfoChar(&label, '\0');
	append_pointer(&label, place);
	*len = label.len;
	return (uint8 *) label.data;
}

static void
append_utf8(StringInfo text, const char *value, int len)
{
	char	   *utf8 = pg_server_to_any(pnstrdup(value, len), len, PG_UTF8);

	appendStringInfoString(text, utf8);
}

/* As a JSON pointer in UTF-8 (RFC 6901). */
static void
append_pointer(StringInfo text, const Place *place)
{
	char	   *utf8;

	if (place == NULL)
		return;
	append_pointer(text, place->outer);
	appendStringInfoChar(text, '/');
	if (place->name == NULL)
	{
		appendStringInfo(text, "%u", place->index);
		return;
	}
	utf8 = pg_server_to_any(pnstrdup(place->name, place->len), place->len,
							PG_UTF8);
	for (; *utf8 != '\0'; utf8++)
	{
		if (*utf8 == '~' || *utf8 == '/')
			appendStringInfoString(text, *utf8 == '~' ? "~0" : "~1");
		else
			appendStringInfoChar(text, *utf8);
	}
}

/* ------------------------------------------------------------------ opening */

/* By the prefix's last character, which most payloads do not have at all. */
bool
ee_seal_mentions(const Jsonb *jsonb)
{
	const char *at = VARDATA(jsonb);
	const char *end = at + VARSIZE(jsonb) - VARHDRSZ;

	for (at += PREFIX_LEN - 1; at < end; at++)
	{
		at = memchr(at, EE_SEAL_PREFIX[PREFIX_LEN - 1], end - at);
		if (at == NULL)
			return false;
		if (memcmp(at + 1 - PREFIX_LEN, EE_SEAL_PREFIX, PREFIX_LEN) == 0)
			return true;
	}
	return false;
}

Jsonb *
ee_seal_open_payload(Jsonb *payload, const EeSealedEvent *event, bool insist)
{
	JsonbParseState *state = NULL;
	Opening		opening = {event, insist, false};
	JsonbValue *opened;

	if (JB_ROOT_IS_SCALAR(payload) || !ee_seal_mentions(payload))
		return payload;
	opened = open_container(&opening, &payload->root, NULL, &state);
	return opening.changed ? JsonbValueToJsonb(opened) : payload;
}

static JsonbValue *
open_container(Opening *opening, JsonbContainer *container,
			   const Place *outer, JsonbParseState **state)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbIteratorToken end;
	JsonbValue	value;
	Place		place = {outer, NULL, 0, 0};

	check_stack_depth();
	token = JsonbIteratorNext(&it, &value, true);
	end = token == WJB_BEGIN_ARRAY ? WJB_END_ARRAY : WJB_END_OBJECT;
	(void) pushJsonbValue(state, token, NULL);
	while ((token = JsonbIteratorNext(&it, &value, true)) != end)
	{
		if (token == WJB_KEY)
		{
			place.name = value.val.string.val;
			place.len = value.val.string.len;
			(void) pushJsonbValue(state, WJB_KEY, &value);
			continue;
		}
		if (value.type == jbvBinary)
			(void) open_container(opening, value.val.binary.data, &place,
								  state);
		else
		{
			if (value.type == jbvString)
				opening->changed |= open_value(opening, &value, &place);
			(void) pushJsonbValue(state, token, &value);
		}
		place.index++;
	}
	return pushJsonbValue(state, end, NULL);
}

/* True when the value is another now. */
static bool
open_value(Opening *opening, JsonbValue *value, const Place *place)
{
	const char *text = value->val.string.val;
	int			len = value->val.string.len;
	EeSubjectKey key;
	pg_uuid_t	id;
	EeKeyState	state;
	uint8	   *bytes;
	uint8	   *label;
	uint8	   *content;
	Size		label_len;
	Size		n;
	Jsonb	   *jsonb;
	bool		fits;

	if (len <= PREFIX_LEN || memcmp(text, EE_SEAL_PREFIX, PREFIX_LEN) != 0)
		return false;
	bytes = palloc(len);
	if (!ee_secret_box_from_text(bytes, len, text + PREFIX_LEN,
								 len - PREFIX_LEN, &n) ||
		n < UUID_LEN + EE_SECRET_BOX_OVERHEAD)
		return false;
	memcpy(id.data, bytes, UUID_LEN);
	state = ee_subject_key_find(&key, &id);
	if (state == EE_KEY_ERASED)
	{
		value->type = jbvNull;
		return true;
	}
	if (state == EE_KEY_UNKNOWN)
	{
		if (opening->insist)
			check_key_is_here(opening, place);
		return false;
	}
	label = label_of(opening->event, place, &label_len);
	content = palloc(n - UUID_LEN - EE_SECRET_BOX_OVERHEAD + 1);
	fits = ee_secret_box_open(content, bytes + UUID_LEN, n - UUID_LEN, label,
							  label_len, key.key);
	ee_secret_box_forget(&key, sizeof(key));
	pfree(bytes);
	pfree(label);
	if (!fits)
		return false;
	n -= UUID_LEN + EE_SECRET_BOX_OVERHEAD;
	content[n] = '\0';
	jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											   CStringGetDatum(pg_any_to_server((char *) content,
																				n, PG_UTF8))));
	if (!JB_ROOT_IS_SCALAR(jsonb) ||
		!JsonbExtractScalar(&jsonb->root, value))
		JsonbToJsonbValue(jsonb, value);
	return true;
}

/*
 * Whoever is to have the value must not be given a string for it.  A string
 * that a publisher has made up is another matter: it does not stand where
 * something is sensitive.
 */
static void
check_key_is_here(const Opening *opening, const Place *place)
{
	EeDefinition *definition =
		ee_registry_cache_lookup(opening->event->pattern,
								 opening->event->pattern_len,
								 opening->event->version);
	bool		whole = false;
	int			depth;
	StringInfoData pointer;

	if (definition->sensitive == NULL)
		return;
	(void) paths_at(definition->sensitive, place, &depth, &whole);
	if (!whole)
		return;
	initStringInfo(&pointer);
	append_pointer(&pointer, place);
	ereport(ERROR,
			(errcode(EE_ERRCODE_SUBJECT_KEY),
			 errmsg("the key of %s of event %s is not here", pointer.data,
					DatumGetCString(DirectFunctionCall1(uuid_out,
														UUIDPGetDatum(opening->event->id)))),
			 errdetail("Keys are no part of a dump."),
			 errhint("Import them by event_engine.import_subject_keys(), and redrive what has become a dead letter.")));
}

/* The paths that lead to a place; depth of these. */
static List *
paths_at(const EeSensitive *sensitive, const Place *place, int *depth,
		 bool *whole)
{
	List	   *paths;

	if (place == NULL)
	{
		*depth = 0;
		return sensitive->paths;
	}
	paths = paths_at(sensitive, place->outer, depth, whole);
	if (*whole)
		return paths;
	paths = ee_sensitive_below(paths, *depth, place->name, place->len,
							   place->index, whole);
	(*depth)++;
	return paths;
}
