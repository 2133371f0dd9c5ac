/*
 * envelope.h
 *	  The event, as a struct and as the JSON envelope of the specification.
 */
#ifndef EE_ENVELOPE_H
#define EE_ENVELOPE_H

#include "postgres.h"

#include "access/transam.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
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

/* What events are found, kept apart or put in order by, in characters. */
#define EE_EVENT_NAME_MAX	255

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
 * Members of the envelope, in the order in which jsonb keeps its keys: by
 * length, then bytewise.
 */
typedef enum EeEnvelopeField
{
	EE_ENVELOPE_ID,
	EE_ENVELOPE_SEQ,
	EE_ENVELOPE_SOURCE,
	EE_ENVELOPE_EVENT_ID,
	EE_ENVELOPE_PATTERN,
	EE_ENVELOPE_PAYLOAD,
	EE_ENVELOPE_VERSION,
	EE_ENVELOPE_METADATA,
	EE_ENVELOPE_PRIORITY,
	EE_ENVELOPE_CREATED_AT,
	EE_ENVELOPE_CREATED_BY,
	EE_ENVELOPE_DELIVER_AT,
	EE_ENVELOPE_TIMESTAMP,
	EE_ENVELOPE_PARTITION_KEY,
	EE_ENVELOPE_AGGREGATE_TYPE,
	EE_ENVELOPE_AGGREGATE_VERSION
} EeEnvelopeField;

#define EE_ENVELOPE_NFIELDS	(EE_ENVELOPE_AGGREGATE_VERSION + 1)

/*
 * The envelope {eventId, pattern, version, source, timestamp, payload,
 * metadata, ...} of an event, in CurrentMemoryContext.
 */
extern Jsonb *ee_envelope_to_jsonb(const EeEvent *event);

/* The member of that name (EeEnvelopeField), or -1. */
extern int	ee_envelope_field_by_name(const char *name, int len);

/* And its name. */
extern const char *ee_envelope_field_name(EeEnvelopeField field);

/* The names of all members, for hints: "a, b, c". */
extern char *ee_envelope_field_names(void);

/*
 * The value of one member, without an envelope: false when it is absent.
 * What had to be detoasted or formatted is in CurrentMemoryContext.
 */
extern bool ee_envelope_value(const EeEvent *event, EeEnvelopeField field,
							  JsonbValue *value);

/*
 * Take a value of type event_engine.event apart.  The struct points into the
 * datum, detoasted into CurrentMemoryContext where it had to be.
 */
extern void ee_envelope_deform(Datum event, EeEvent *result);

/* The same with a row of event_engine.events, or such a value in a slot. */
extern void ee_envelope_from_slot(TupleTableSlot *slot, EeEvent *result);

/* Into a virtual slot of that type, which points into the datum likewise. */
extern TupleTableSlot *ee_envelope_new_slot(void);
extern TupleTableSlot *ee_envelope_slot(TupleTableSlot *slot, Datum event);

/* And put one together, palloc'd, with nothing toasted outside of it. */
extern Datum ee_envelope_form(EeEvent *event);

#endif							/* EE_ENVELOPE_H */
