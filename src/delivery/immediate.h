/*
 * immediate.h
 *	  Call handlers in the transaction that publishes.
 */
#ifndef EE_IMMEDIATE_H
#define EE_IMMEDIATE_H

#include "postgres.h"

#include "routing/subscription.h"

/* When the library is loaded: be told of what is published. */
extern void ee_immediate_init(void);

/*
 * Call the handler of a subscription with an event (composite), here and now,
 * as the subscription's owner.  What it raises is the caller's.  False: it was
 * not called, as it has handled another with the same idempotency key.
 */
extern bool ee_immediate_call(const EeSubscription *subscription,
							  Datum event);

/*
 * Run body(arg) as the owner of a handler, in whoever's session this is, as
 * what immediate delivery does.  An error leaves no trace.
 */
extern void ee_immediate_as_owner(Oid owner, void (*body) (void *arg),
								  void *arg);

#endif							/* EE_IMMEDIATE_H */
