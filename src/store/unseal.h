/*
 * unseal.h
 *	  Show sealed values to roles that may see them.
 */
#ifndef EE_UNSEAL_H
#define EE_UNSEAL_H

#include "postgres.h"

#include "utils/jsonb.h"

/* May the current role see what is sealed?  Cheap when asked again. */
extern bool ee_unseal_may(void);

/*
 * An event (composite) as the current role may see it: the same datum where
 * nothing is sealed in it or the role may not.  With insist a key that is not
 * here is an error.
 */
extern Datum ee_unseal_event(Datum event, bool insist);

/* The same for an envelope, and for an object whose members are envelopes. */
extern Jsonb *ee_unseal_envelopes(Jsonb *envelopes);

/* And for the payload of an event, of which only this is known. */
extern Datum ee_unseal_payload(Datum payload, Datum id, Datum pattern,
							   Datum version, Datum metadata);

#endif							/* EE_UNSEAL_H */
