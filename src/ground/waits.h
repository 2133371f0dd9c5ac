/*
 * waits.h
 *	  Names of what our processes wait for, in pg_stat_activity.
 */
#ifndef EE_WAITS_H
#define EE_WAITS_H

#include "postgres.h"

#include "utils/wait_event.h"

#include "ground/compat.h"

typedef enum EeWait
{
	EE_WAIT_LAUNCHER,
	EE_WAIT_ROUTER,
	EE_WAIT_EXECUTOR,
	EE_WAIT_HOLD,
	EE_WAIT_AWAIT,
	EE_WAIT_TEST,
	EE_WAIT_PUBLISH,
	EE_WAIT_DRAIN,
	EE_N_WAITS
} EeWait;

extern uint32 ee_waits_event(EeWait wait);

#endif							/* EE_WAITS_H */
