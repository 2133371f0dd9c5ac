/*
 * log_watch.h
 *	  Has anything been committed to the log of which nobody told?
 */
#ifndef EE_LOG_WATCH_H
#define EE_LOG_WATCH_H

#include "postgres.h"

/*
 * Has a transaction that was in progress at the last call, and had published,
 * committed since?  That is COMMIT PREPARED.  In a transaction of its own.
 */
extern bool ee_log_watch_late(void);

/* The same, or has anything been published at all? */
extern bool ee_log_watch_any(void);

#endif							/* EE_LOG_WATCH_H */
