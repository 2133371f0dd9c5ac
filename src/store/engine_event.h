/*
 * engine_event.h
 *	  Events that the engine itself publishes: system.config.changed, ...
 */
#ifndef EE_ENGINE_EVENT_H
#define EE_ENGINE_EVENT_H

#include "postgres.h"

#include "utils/jsonb.h"

/* The event_id of their definitions is this and the pattern. */
#define EE_ENGINE_EVENT_PREFIX	"event_engine."
#define EE_ENGINE_EVENT_SYSTEM	EE_ENGINE_EVENT_PREFIX "system."

/* Has somebody asked for events of this pattern?  Needs a transaction. */
extern bool ee_engine_event_wanted(const char *pattern);

/*
 * Publish one, in this transaction, whoever is at work: neither rights nor
 * limits of publishers are asked for.  What is not valid is told and left
 * out.  partition_key and metadata may be NULL.
 */
extern void ee_engine_event_publish(const char *pattern, Jsonb *payload,
									const char *partition_key,
									Jsonb *metadata);

#endif							/* EE_ENGINE_EVENT_H */
