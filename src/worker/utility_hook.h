/*
 * utility_hook.h
 *	  Step aside for statements on whole databases.
 */
#ifndef EE_UTILITY_HOOK_H
#define EE_UTILITY_HOOK_H

#include "postgres.h"

extern void ee_utility_hook_init(void);

#endif							/* EE_UTILITY_HOOK_H */
