/*
 * lock_within.h
 *	  Wait for a lock, but not for long.
 */
#ifndef EE_LOCK_WITHIN_H
#define EE_LOCK_WITHIN_H

#include "postgres.h"

#include "storage/lock.h"

/*
 * Take a lock that may be waited for so many milliseconds, 0: not at all;
 * false when that was not enough.
 */
extern bool ee_lock_within(const LOCKTAG *tag, LOCKMODE mode, int ms);

#endif							/* EE_LOCK_WITHIN_H */
