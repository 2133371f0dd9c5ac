/*
 * event_keys.h
 *	  Deduplication by the publisher's own identifier.
 */
#ifndef EE_EVENT_KEYS_H
#define EE_EVENT_KEYS_H

#include "postgres.h"

#include "ground/envelope.h"

/*
 * Claim the event_id of an event.  False: it was seen within the window,
 * and *first is the event stored then.  Waits for a transaction that is
 * publishing the same identifier.  True as well for an event without one.
 */
extern bool ee_event_keys_claim(const EeEvent *event, pg_uuid_t *first);

#endif							/* EE_EVENT_KEYS_H */
