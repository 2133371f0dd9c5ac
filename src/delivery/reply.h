/*
 * reply.h
 *	  Reply to a request.
 */
#ifndef EE_REPLY_H
#define EE_REPLY_H

#include "postgres.h"

#include "delivery/request.h"

/*
 * Publish a reply in the name of the current role: the first one, or a late
 * one.  Returns its id, palloc'd.
 */
extern pg_uuid_t *ee_reply_publish(const EeRequest *request, Jsonb *payload,
								   Jsonb *metadata, Jsonb *source,
								   char *version);

#endif							/* EE_REPLY_H */
