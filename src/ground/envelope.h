/*
 * envelope.h
 *	  The event, as a struct and as the JSON envelope of the specification.
 */
#ifndef EE_ENVELOPE_H
#define EE_ENVELOPE_H

#include "postgres.h"

#include "access/transam.h"
#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/*
 * Attribute numbers of event_engine.events, which are those of the composite
 * type event_engine.event as well.
 */
typedef enum EeEventAttr
{
	EE_EVENT_ID = 1,
	EE_EVENT_EVENT_ID,
	EE_EVENT_PATTERN,
	EE_EVENT_VERSION,
	EE_EVENT_SOURCE,
	EE_EVENT_TIMESTAMP,
	EE_EVENT_PAYLOAD,
	EE_EVENT_METADATA,
	EE_EVENT_CREATED_AT,
	EE_EVENT_PARTITION_KEY,
	EE_EVENT_AGGREGATE_TYPE,
	EE_EVENT_AGGREGATE_VERSION,
	EE_EVENT_PRIORITY,
	EE_EVENT_CREATED_BY,
	EE_EVENT_DELIVER_AT,
	EE_EVENT_SEQ,
	EE_EVENT_XID,
} EeEventAttr;

#define EE_EVENT_NATTS	EE_EVENT_XID

/*
 * An event, deformed.  Values are as a tuple slot gives them: they may be
 * toasted, and belong to whoever filled the struct.  Index with EE_EVENT_x - 1.
 */
typedef struct EeEvent
{
	Datum		values[EE_EVENT_NATTS];
	bool		nulls[EE_EVENT_NATTS];
} EeEvent;

#define EE_EVENT_VALUE(ev, attr)	((ev)->values[(attr) - 1])
#define EE_EVENT_IS_NULL(ev, attr)	((ev)->nulls[(attr) - 1])

/*
 * The envelope {eventId, pattern, version, source, timestamp, payload,
 * metadata, ...} of an event, in CurrentMemoryContext.
 */
extern Jsonb *ee_envelope_to_jsonb(const EeEvent *event);

#endif							/* EE_ENVELOPE_H */
