/*
 * analyze_log.h
 *	  Statistics of the log as a whole, for the planner.
 */
#ifndef EE_ANALYZE_LOG_H
#define EE_ANALYZE_LOG_H

#include "postgres.h"

#include "delivery/unit.h"

/* Once a day, and when a partition was sealed or has left. */
extern void ee_analyze_log_run(const EeUnit *unit);

#endif							/* EE_ANALYZE_LOG_H */
