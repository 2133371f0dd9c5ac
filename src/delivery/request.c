/*
 * request.c
 *	  A request, as those who reply to it and those who wait need it.
 *
 * What the two sides say to each other beside the payload is in the metadata:
 * causationId of a reply is the request's id, and tags hold the rest.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "delivery/request.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "store/metadata_tag.h"

#define REPLY_SUFFIX ".reply"

static char *text_of(EeEvent *event, EeEventAttr attr);

void
ee_request_of_event(EeRequest *request, EeEvent *event)
{
	Oid			priority =
	DatumGetObjectId(EE_EVENT_VALUE(event, EE_EVENT_PRIORITY));
	const char *reply_to;
	int			len;

	request->id = *DatumGetUUIDP(EE_EVENT_VALUE(event, EE_EVENT_ID));
	request->pattern = text_of(event, EE_EVENT_PATTERN);
	request->metadata =
		DatumGetJsonbPCopy(EE_EVENT_VALUE(event, EE_EVENT_METADATA));
	request->partition_key = text_of(event, EE_EVENT_PARTITION_KEY);
	request->priority =
		pstrdup(ee_extension_priority_label(ee_extension_priority_of(priority)));
	request->created_by = text_of(event, EE_EVENT_CREATED_BY);
	request->created_at =
		DatumGetTimestampTz(EE_EVENT_VALUE(event, EE_EVENT_CREATED_AT));
	reply_to = ee_metadata_tag(request->metadata, EE_TAG_REPLY_TO, &len);
	request->reply_pattern = reply_to != NULL ? pnstrdup(reply_to, len) :
		psprintf("%s" REPLY_SUFFIX, request->pattern);
}

static char *
text_of(EeEvent *event, EeEventAttr attr)
{
	return EE_EVENT_IS_NULL(event, attr) ? NULL :
		TextDatumGetCString(EE_EVENT_VALUE(event, attr));
}

void
ee_request_load(EeRequest *request, const pg_uuid_t *id)
{
	static EePlan get =
		EE_PLAN("SELECT e::event_engine.event FROM event_engine.get_event($1) AS e",
				"uuid");
	Datum		value = UUIDPGetDatum(id);
	EePlanFrame frame;
	EeIdentity	saved;
	EeEvent		event;
	MemoryContext old;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(&get, &value, NULL, false, 1) == 0)
		ereport(ERROR,
				(errcode(EE_ERRCODE_UNKNOWN_EVENT),
				 errmsg("unknown event %s",
						DatumGetCString(DirectFunctionCall1(uuid_out, value))),
				 errdetail("It is not there, or not committed."),
				 errhint("A request is named by its id, which publish_event() returns and a handler is given.")));
	old = MemoryContextSwitchTo(frame.caller);
	ee_envelope_deform(ee_plan_value(0, 1, &isnull), &event);
	ee_request_of_event(request, &event);
	MemoryContextSwitchTo(old);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

void
ee_request_reply_name(const pg_uuid_t *id, char *name)
{
	char		digits[EE_UUID_TEXT_LEN];

	ee_uuid7_to_text(id, digits);
	snprintf(name, EE_REPLY_NAME_LEN, "reply:%.*s", EE_UUID_TEXT_LEN, digits);
}
