/*
 * receive.h
 *	  From what a publisher gave to an event that can be stored.
 */
#ifndef EE_RECEIVE_H
#define EE_RECEIVE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "ground/envelope.h"

/* Whose right to publish counts. */
typedef enum EeReceivedRight
{
	EE_RIGHT_OF_CALLER,			/* the current user's */
	EE_RIGHT_OF,				/* that of the role "publisher" */
	EE_RIGHT_NOT_ASKED,			/* nobody's: the event follows from another */
	EE_RIGHT_OF_ENGINE			/* nobody's: the event tells of the engine, so
								 * that rules and the limit of payloads, which
								 * are for others, do not count */
} EeReceivedRight;

/* What a publisher may say of an event; NULL or 0 where it does not. */
typedef struct EeReceived
{
	char	   *pattern;
	int			pattern_len;
	Jsonb	   *payload;
	Jsonb	   *metadata;
	Jsonb	   *source;
	char	   *event_id;
	char	   *version;
	char	   *partition_key;
	char	   *aggregate_type;
	bool		has_aggregate_version;
	int64		aggregate_version;
	bool		has_timestamp;
	TimestampTz timestamp;
	bool		has_deliver_at;
	TimestampTz deliver_at;
	char	   *priority;		/* label */
	EeReceivedRight right;
	Oid			publisher;		/* of EE_RIGHT_OF */
} EeReceived;

/*
 * Check, normalise and complete an event; all but seq and xid.  Violations
 * are appended to *violations (List of EeViolation), each with path_prefix
 * in front; the event is good when none was added.
 * Values point into the input and into CurrentMemoryContext.
 */
extern void ee_receive_event(EeEvent *event, const EeReceived *received,
							 TimestampTz created_at, List **violations);

/* Raise what was found; does nothing with an empty list. */
extern void ee_receive_raise(List *violations, const char *pattern);

#endif							/* EE_RECEIVE_H */
