/*
 * reply.c
 *	  Reply to a request.
 *
 * The first reply is published under an event_id that follows from the
 * request.  Whoever comes second waits at the unique key of the publishers'
 * identifiers: when the first commits, his is a late one; when it rolls back,
 * his is the first.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "delivery/reply.h"
#include "ground/errors.h"
#include "ground/shared.h"
#include "store/event_right.h"
#include "store/metadata.h"
#include "store/metadata_tag.h"
#include "store/publish.h"

static void check_replier(const EeRequest *request);

PG_FUNCTION_INFO_V1(ee_sql_reply_event);

/* reply_event(request_id, payload, metadata, source, version) RETURNS uuid */
Datum
ee_sql_reply_event(PG_FUNCTION_ARGS)
{
	EeRequest	request;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_EVENT),
				 errmsg("request_id and payload of a reply must not be null"),
				 errhint("A reply without content has the payload '{}'.")));
	ee_request_load(&request, PG_GETARG_UUID_P(0));
	check_replier(&request);
	PG_RETURN_UUID_P(ee_reply_publish(&request, PG_GETARG_JSONB_P(1),
									  PG_ARGISNULL(2) ? NULL :
									  PG_GETARG_JSONB_P(2),
									  PG_ARGISNULL(3) ? NULL :
									  PG_GETARG_JSONB_P(3),
									  PG_ARGISNULL(4) ? NULL :
									  text_to_cstring(PG_GETARG_TEXT_PP(4))));
}

/*
 * Who has been asked, and so may subscribe to the request, may reply; who may
 * publish such replies anyway, as well.
 */
static void
check_replier(const EeRequest *request)
{
	if (!ee_event_right(GetUserId(), EE_PRIVILEGE_SUBSCRIBE,
						request->pattern, strlen(request->pattern),
						request->metadata) &&
		!ee_event_right(GetUserId(), EE_PRIVILEGE_PUBLISH,
						request->reply_pattern,
						strlen(request->reply_pattern),
						request->metadata))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not reply to this request",
						GetUserNameFromId(GetUserId(), false)),
				 errhint("Whoever may subscribe to requests may reply to them; see event_engine.grant_subscribe().")));
}

/* The reply belongs to whom the request belongs to. */
pg_uuid_t *
ee_reply_publish(const EeRequest *request, Jsonb *payload, Jsonb *metadata,
				 Jsonb *source, char *version)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	EeReceived	received = {0};
	EeEvent		event;
	char		name[EE_REPLY_NAME_LEN];
	int			len;
	const char *tenant = ee_metadata_tag(request->metadata, EE_TAG_TENANT,
										 &len);

	ee_request_reply_name(&request->id, name);
	metadata = ee_metadata_caused_by(metadata, &request->id,
									 request->metadata);
	metadata = tenant == NULL ?
		ee_metadata_drop_tag(metadata, EE_TAG_TENANT) :
		ee_metadata_set_tag(metadata, EE_TAG_TENANT, pnstrdup(tenant, len));
	received.right = EE_RIGHT_NOT_ASKED;
	received.pattern = request->reply_pattern;
	received.pattern_len = strlen(request->reply_pattern);
	received.payload = payload;
	received.metadata = ee_metadata_set_tag(metadata, EE_TAG_REPLY, "first");
	received.source = source;
	received.version = version;
	received.event_id = name;
	received.partition_key = request->partition_key;
	received.priority = request->priority;
	if (!ee_publish_event(&received, &event, id))
	{
		received.event_id = NULL;
		received.metadata = ee_metadata_set_tag(metadata, EE_TAG_REPLY, "late");
		(void) ee_publish_event(&received, &event, id);
	}
	ee_shared_note_request(&request->id);
	return id;
}
