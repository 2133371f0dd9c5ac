/*
 * broken.h
 *	  Subscriptions that cannot be delivered until a person has mended them.
 */
#ifndef EE_BROKEN_H
#define EE_BROKEN_H

#include "postgres.h"

#include "routing/subscription.h"

/* Say so in its row, with the reason, and in the log. */
extern void ee_broken_mark(const EeSubscription *subscription,
						   const char *reason);

/* Why its owner cannot have a process, or NULL. */
extern const char *ee_broken_owner(const EeSubscription *subscription);

#endif							/* EE_BROKEN_H */
