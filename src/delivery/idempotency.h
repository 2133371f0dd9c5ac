/*
 * idempotency.h
 *	  Events that mean the same to a subscription are handled once.
 */
#ifndef EE_IDEMPOTENCY_H
#define EE_IDEMPOTENCY_H

#include "postgres.h"

#include "routing/subscription.h"

/*
 * Before a handler is called with an event, in the transaction of its effects:
 * false when another event with the same key has been handled within the
 * window.  Without the option, and for events without a key, true.
 */
extern bool ee_idempotency_claim(const EeSubscription *subscription,
								 Datum event, int64 seq);

/*
 * Before an event is handed to a client: has another with the same key been
 * acknowledged within the window?
 */
extern bool ee_idempotency_known(const EeSubscription *subscription,
								 Datum event, int64 seq);

#endif							/* EE_IDEMPOTENCY_H */
