/*
 * clock_watch.c
 *	  Has the system's clock been set?  Upkeep writes it down, so that people
 *	  find out why events have the times that they have.
 */
#include "postgres.h"

#include <time.h>

#include "utils/timestamp.h"

#include "operations/clock_watch.h"
#include "operations/maintenance_log.h"

/* What NTP corrects by itself is less. */
#define JUMP_US		(10 * USECS_PER_SEC)

/* Counts on while the machine sleeps, where there is such a clock. */
#ifdef CLOCK_MONOTONIC
#define STEADY_CLOCK	CLOCK_MONOTONIC
#else
#define STEADY_CLOCK	CLOCK_MONOTONIC
#endif

void
ee_clock_watch(const EeUnit *unit)
{
	static TimestampTz last_time = 0;
	static int64 last_steady = 0;
	TimestampTz now = GetCurrentTimestamp();
	struct timespec steady;
	int64		steady_us;
	int64		jump;

	if (clock_gettime(STEADY_CLOCK, &steady) != 0)
		return;
	steady_us = steady.tv_sec * INT64CONST(1000000) + steady.tv_nsec / 1000;
	jump = last_time == 0 ? 0 :
		(now - last_time) - (steady_us - last_steady);
	last_time = now;
	last_steady = steady_us;
	if (jump > -JUMP_US && jump < JUMP_US)
		return;
	unit->begin();
	ee_maintenance_log("clock", "system clock", EE_MAINTAINED_DONE, -1, -1,
					   psprintf("it went %s by " INT64_FORMAT " s",
								jump > 0 ? "ahead" : "back",
								(jump > 0 ? jump : -jump) / USECS_PER_SEC));
	unit->commit();
}
