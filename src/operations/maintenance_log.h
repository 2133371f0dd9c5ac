/*
 * maintenance_log.h
 *	  What upkeep has done, and what it could not do, told to people.
 */
#ifndef EE_MAINTENANCE_LOG_H
#define EE_MAINTENANCE_LOG_H

#include "postgres.h"

typedef enum EeMaintained
{
	EE_MAINTAINED_DONE,
	EE_MAINTAINED_FORCED,		/* though somebody had yet to read them */
	EE_MAINTAINED_HELD,
	EE_MAINTAINED_LOCKED,
	EE_MAINTAINED_FAILED
} EeMaintained;

/*
 * A row of event_maintenance, and a line of the server's log.  What could not
 * be done is told at most once an hour for the same reason.  events and bytes
 * below 0 are not known; detail may be NULL.
 */
extern void ee_maintenance_log(const char *task, const char *object,
							   EeMaintained outcome, int64 events,
							   int64 bytes, const char *detail);

/*
 * Nobody else takes rows or partitions out until the end of the transaction;
 * false when somebody does, who would be waited for row by row.
 */
extern bool ee_maintenance_alone(void);

#endif							/* EE_MAINTENANCE_LOG_H */
