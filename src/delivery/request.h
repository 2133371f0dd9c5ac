/*
 * request.h
 *	  A request, as those who reply to it and those who wait need it.
 */
#ifndef EE_REQUEST_H
#define EE_REQUEST_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "ground/envelope.h"
#include "ground/uuid7.h"

typedef struct EeRequest
{
	pg_uuid_t	id;
	char	   *pattern;
	char	   *reply_pattern;
	Jsonb	   *metadata;
	char	   *partition_key;	/* NULL: none */
	char	   *priority;		/* label */
	char	   *created_by;
	TimestampTz created_at;
} EeRequest;

/* event_id of the first reply, with its terminator. */
#define EE_REPLY_NAME_LEN (6 + EE_UUID_TEXT_LEN + 1)

/* Members of metadata.tags. */
#define EE_TAG_REPLY		"reply" /* of a reply: first or late */
#define EE_TAG_REPLY_BY		"replyBy"	/* of a request */
#define EE_TAG_REPLY_TO		"replyTo"	/* of a request: pattern */

extern void ee_request_of_event(EeRequest *request, EeEvent *event);

/* From the log, whoever asks; raises UNKNOWN_EVENT. */
extern void ee_request_load(EeRequest *request, const pg_uuid_t *id);

/* event_id of the first reply to it. */
extern void ee_request_reply_name(const pg_uuid_t *id, char *name);

#endif							/* EE_REQUEST_H */
