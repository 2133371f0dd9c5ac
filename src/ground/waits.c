/*
 * waits.c
 *	  Names of what our processes wait for, in pg_stat_activity.
 */
#include "postgres.h"

#include "ground/waits.h"

uint32
ee_waits_event(EeWait wait)
{
	static const char *const names[EE_N_WAITS] = {
		"EventEngineLauncher",
		"EventEngineRouter",
		"EventEngineExecutor",
		"EventEngineHold",
		"EventEngineReceive",
		"EventEngineTest",
		"EventEnginePublish",
		"EventEngineDrain"
	};
	static uint32 events[EE_N_WAITS];

	if (events[wait] == 0)
		events[wait] = ee_wait_event_new(names[wait]);
	return events[wait];
}
