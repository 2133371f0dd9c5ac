/*
 * debug_point.h
 *	  Named places where a test can make a process stop, fail or die.
 *
 * A build with DEBUG=1 reads the setting event_engine.debug_point:
 * "name:error", "name:fatal", "name:terminate" (SIGTERM to itself), "name:kill"
 * (SIGKILL) or "name:wait" (until the advisory lock 7823 can be had).  With
 * "@n" behind it that happens when the process comes there for the nth time.
 * Elsewhere a point is nothing at all.
 */
#ifndef EE_DEBUG_POINT_H
#define EE_DEBUG_POINT_H

#include "postgres.h"

#ifdef EE_DEBUG
extern void ee_debug_point(const char *name);
extern void ee_debug_point_init(void);
#else
#define ee_debug_point(name)	((void) 0)
#define ee_debug_point_init()	((void) 0)
#endif

#endif							/* EE_DEBUG_POINT_H */
