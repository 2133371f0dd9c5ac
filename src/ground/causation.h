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

/* The event being handled, a composite datum; 0: none. */
extern Datum ee_causation_event;

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
