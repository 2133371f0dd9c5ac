/*
 * wait_key.h
 *	  By which paths the keys of waits are made.
 */
#ifndef EE_WAIT_KEY_H
#define EE_WAIT_KEY_H

#include "postgres.h"

/*
 * See to it that whoever dispatches reads events of this pattern, and makes
 * their keys by this path ('': of the pattern alone).  Raises UNKNOWN_PATTERN
 * and INVALID_PATTERN.
 */
extern void ee_wait_key_cover(int32 number, const char *pattern,
							  const char *path);

#endif							/* EE_WAIT_KEY_H */
