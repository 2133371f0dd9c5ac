/*
 * publish.h
 *	  Publish an event from C.
 */
#ifndef EE_PUBLISH_H
#define EE_PUBLISH_H

#include "postgres.h"

#include "utils/uuid.h"

#include "store/receive.h"

/*
 * Validate, admit, deduplicate and store an event, in the name of the current
 * role; raises what publish_event() raises.  False: it was published before
 * under its event_id, and nothing is stored; *id is the id of the first one
 * then.
 */
extern bool ee_publish_event(const EeReceived *received, EeEvent *event,
							 pg_uuid_t *id);

#endif							/* EE_PUBLISH_H */
