/*
 * unseal.c
 *	  Show sealed values to roles that may see them.
 *
 * The log, leases, deliveries and dead letters have events as they are
 * stored; only what is handed to somebody passes here.  Whoever has been
 * granted to unseal events of a pattern and tenant is shown what is sealed in
 * them.  For roles with no such grant, and for events in which nothing is
 * sealed, nothing is looked up.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/uuid.h"

#include "ground/envelope.h"
#include "ground/jsonb_push.h"
#include "registry/event_grant.h"
#include "store/metadata_tag.h"
#include "store/seal.h"
#include "store/unseal.h"

static Jsonb *open_payload(Jsonb *payload, Datum id, Datum pattern,
						   Datum version, Datum metadata, bool insist);
static Jsonb *open_envelope(Jsonb *envelope, bool insist);
static bool text_member(Jsonb *object, const char *name, char **text);

PG_FUNCTION_INFO_V1(ee_sql_unseal_event);
PG_FUNCTION_INFO_V1(ee_sql_unseal_envelope);

bool
ee_unseal_may(void)
{
	static uint64 known_generation = 0;
	static Oid	known_role = InvalidOid;
	static bool known = false;

	/* also what was taken back since this transaction began */
	AcceptInvalidationMessages();
	if (unlikely(known_generation != ee_event_grant_generation() ||
				 known_role != GetUserId()))
	{
		/* taken first: what changes meanwhile is looked up again */
		uint64		generation = ee_event_grant_generation();

		known = ee_event_grant_any(GetUserId(), EE_PRIVILEGE_UNSEAL);
		known_role = GetUserId();
		known_generation = generation;
	}
	return known;
}

Datum
ee_unseal_event(Datum event, bool insist)
{
	EeEvent		deformed;
	Jsonb	   *payload;
	Jsonb	   *opened;

	if (!ee_unseal_may())
		return event;
	ee_envelope_deform(event, &deformed);
	if (EE_EVENT_IS_NULL(&deformed, EE_EVENT_PAYLOAD) ||
		EE_EVENT_IS_NULL(&deformed, EE_EVENT_ID) ||
		EE_EVENT_IS_NULL(&deformed, EE_EVENT_PATTERN))
		return event;
	payload = DatumGetJsonbP(EE_EVENT_VALUE(&deformed, EE_EVENT_PAYLOAD));
	if (likely(!ee_seal_mentions(payload)))
		return event;
	opened = open_payload(payload, EE_EVENT_VALUE(&deformed, EE_EVENT_ID),
						  EE_EVENT_VALUE(&deformed, EE_EVENT_PATTERN),
						  EE_EVENT_IS_NULL(&deformed, EE_EVENT_VERSION) ?
						  (Datum) 0 :
						  EE_EVENT_VALUE(&deformed, EE_EVENT_VERSION),
						  EE_EVENT_IS_NULL(&deformed, EE_EVENT_METADATA) ?
						  (Datum) 0 :
						  EE_EVENT_VALUE(&deformed, EE_EVENT_METADATA),
						  insist);
	if (opened == payload)
		return event;
	EE_EVENT_VALUE(&deformed, EE_EVENT_PAYLOAD) = JsonbPGetDatum(opened);
	return ee_envelope_form(&deformed);
}

Datum
ee_unseal_payload(Datum payload, Datum id, Datum pattern, Datum version,
				  Datum metadata)
{
	Jsonb	   *jsonb;

	if (!ee_unseal_may())
		return payload;
	jsonb = DatumGetJsonbP(payload);
	if (likely(!ee_seal_mentions(jsonb)))
		return payload;
	return JsonbPGetDatum(open_payload(jsonb, id, pattern, version, metadata,
									   true));
}

/* version and metadata: 0 where there is none */
static Jsonb *
open_payload(Jsonb *payload, Datum id, Datum pattern, Datum version,
			 Datum metadata, bool insist)
{
	text	   *name = DatumGetTextPP(pattern);
	EeSealedEvent event = {0};

	event.id = DatumGetUUIDP(id);
	event.pattern = VARDATA_ANY(name);
	event.pattern_len = VARSIZE_ANY_EXHDR(name);
	if (metadata != (Datum) 0)
		event.tenant = ee_metadata_tag(DatumGetJsonbP(metadata),
									   EE_TAG_TENANT, &event.tenant_len);
	if (version != (Datum) 0)
		event.version = TextDatumGetCString(version);
	if (!ee_event_grant_includes(ee_event_grant_lookup(GetUserId(),
													   EE_PRIVILEGE_UNSEAL,
													   event.pattern,
													   event.pattern_len),
								 event.tenant, event.tenant_len))
		return payload;
	return ee_seal_open_payload(payload, &event, insist);
}

/* ---------------------------------------------------------------- envelopes */

Jsonb *
ee_unseal_envelopes(Jsonb *envelopes)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (!ee_unseal_may() || !ee_seal_mentions(envelopes))
		return envelopes;
	it = JsonbIteratorInit(&envelopes->root);
	token = JsonbIteratorNext(&it, &value, true);
	if (token != WJB_BEGIN_OBJECT)
		return envelopes;
	(void) pushJsonbValue(&state, token, NULL);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_END_OBJECT)
	{
		if (token == WJB_VALUE && value.type == jbvBinary)
			JsonbToJsonbValue(open_envelope(JsonbValueToJsonb(&value), true),
							  &value);
		(void) pushJsonbValue(&state, token, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, token, NULL));
}

/* As it is where it lacks what an envelope has. */
static Jsonb *
open_envelope(Jsonb *envelope, bool insist)
{
	JsonbParseState *state = NULL;
	JsonbValue	payload;
	JsonbValue	metadata;
	char	   *id;
	char	   *pattern;
	char	   *version;
	Jsonb	   *before;
	Jsonb	   *after;

	if (!JB_ROOT_IS_OBJECT(envelope) ||
		!text_member(envelope, "id", &id) ||
		!text_member(envelope, "pattern", &pattern) ||
		getKeyJsonValueFromContainer(&envelope->root, "payload",
									 strlen("payload"), &payload) == NULL)
		return envelope;
	before = JsonbValueToJsonb(&payload);
	after = open_payload(before,
						 DirectFunctionCall1(uuid_in, CStringGetDatum(id)),
						 CStringGetTextDatum(pattern),
						 text_member(envelope, "version", &version) ?
						 CStringGetTextDatum(version) : (Datum) 0,
						 getKeyJsonValueFromContainer(&envelope->root,
													  "metadata",
													  strlen("metadata"),
													  &metadata) != NULL ?
						 JsonbPGetDatum(JsonbValueToJsonb(&metadata)) :
						 (Datum) 0, insist);
	if (after == before)
		return envelope;
	ee_jsonb_push_begin(&state);
	ee_jsonb_push_jsonb(&state, "payload", after);
	after = ee_jsonb_push_end(&state);
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat,
											  JsonbPGetDatum(envelope),
											  JsonbPGetDatum(after)));
}

static bool
text_member(Jsonb *object, const char *name, char **text)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(&object->root, name, strlen(name),
									 &value) == NULL ||
		value.type != jbvString)
		return false;
	*text = pnstrdup(value.val.string.val, value.val.string.len);
	return true;
}

/* --------------------------------------------------------------------- SQL */

/* unseal(event) */
Datum
ee_sql_unseal_event(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(ee_unseal_event(PG_GETARG_DATUM(0), false));
}

/* unseal(envelope) */
Datum
ee_sql_unseal_envelope(PG_FUNCTION_ARGS)
{
	Jsonb	   *envelope = PG_GETARG_JSONB_P(0);

	PG_RETURN_JSONB_P(ee_unseal_may() && ee_seal_mentions(envelope) ?
					  open_envelope(envelope, false) : envelope);
}
