/*
 * causation.h
 *	  Because of which event is this backend publishing?
 *
 * Set by delivery around a handler, read when an event is received: what a
 * handler publishes carries the correlation of the event that it handles.
 */
#ifndef EE_CAUSATION_H
#define EE_CAUSATION_H

#include "postgres.h"

#include "utils/jsonb.h"

/* The event being handled, a composite datum; 0: none. */
extern Datum ee_causation_event;

/*
 * Within a step of a workflow: correlationId, causationId and hops of the
 * instance, and the source of what it publishes; NULL: in none.
 */
extern Jsonb *ee_causation_context;
extern Jsonb *ee_causation_source;

static inline void
ee_causation_set_context(Jsonb *metadata, Jsonb *source)
{
	ee_causation_context = metadata;
	ee_causation_source = source;
}

static inline void
ee_causation_set(Datum event)
{
	ee_causation_event = event;
}

static inline void
ee_causation_clear(void)
{
	ee_causation_event = (Datum) 0;
}

static inline bool
ee_causation_active(void)
{
	return ee_causation_event != (Datum) 0;
}

#endif							/* EE_CAUSATION_H */
