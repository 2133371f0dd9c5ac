/*
 * session.h
 *	  Delivery in a session of somebody.
 */
#ifndef EE_SESSION_H
#define EE_SESSION_H

#include "postgres.h"

/*
 * Deliver in this transaction what is waiting, at most max events, to one
 * subscriber or (NULL) to all whose owner's rights the current role has.
 * Handlers search along the current path where their owner is the current
 * role, else as their owner would.  Returns how many were delivered.
 */
extern int	ee_session_process_batch(int max, const char *only);

#endif							/* EE_SESSION_H */
