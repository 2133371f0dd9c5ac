/*
 * right_watch.h
 *	  Has what owners of subscriptions may subscribe to changed?
 */
#ifndef EE_RIGHT_WATCH_H
#define EE_RIGHT_WATCH_H

#include "postgres.h"

/* From now on changes of this role's rights count.  Needs a transaction. */
extern void ee_right_watch_follow(Oid role);

/* Has something changed that nobody has looked into?  Cheap. */
extern bool ee_right_watch_pending(void);

/*
 * Moves when a role that is followed may subscribe to something else, may log
 * in or may not any more, or is gone; that counts as a change of the
 * subscriptions, too.  Never 0.  Needs a transaction.
 */
extern uint64 ee_right_watch_generation(void);

#endif							/* EE_RIGHT_WATCH_H */
