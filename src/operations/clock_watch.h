/*
 * clock_watch.h
 *	  Has the system's clock been set?
 */
#ifndef EE_CLOCK_WATCH_H
#define EE_CLOCK_WATCH_H

#include "postgres.h"

#include "delivery/round.h"

/* Since this process has asked last; written to event_maintenance. */
extern void ee_clock_watch(const EeUnit *unit);

#endif							/* EE_CLOCK_WATCH_H */
