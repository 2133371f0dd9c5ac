/*
 * clock.h
 *	  Intervals by a clock that people set.
 */
#ifndef EE_CLOCK_H
#define EE_CLOCK_H

#include "postgres.h"

#include "utils/timestamp.h"

/*
 * Has so much time gone by?  Also where the clock went back meanwhile: what
 * is done in intervals would else stand still until it has caught up.
 */
static inline bool
ee_clock_exceeds(TimestampTz since, TimestampTz now, int ms)
{
	return now < since || TimestampDifferenceExceeds(since, now, ms);
}

#endif							/* EE_CLOCK_H */
