/*
 * shared_publisher.h
 *	  What all processes know together of publishers: the token bucket of
 *	  each role that is limited, and how full the queue of a database is.
 */
#ifndef EE_SHARED_PUBLISHER_H
#define EE_SHARED_PUBLISHER_H

#include "postgres.h"

#include "ground/rate_bucket.h"

/* How full the queue is: what is waiting for the slowest subscription. */
typedef enum EePressure
{
	EE_PRESSURE_NONE,
	EE_PRESSURE_HIGH,			/* above the high watermark */
	EE_PRESSURE_FULL			/* at the limit */
} EePressure;

/* Shared memory, for shared.c. */
extern Size ee_shared_publisher_size(void);
extern void ee_shared_publisher_startup(void *memory, bool found);

/*
 * The bucket of a role in this database, for this rate: what has flowed out at
 * another one says nothing.  Good until it is asked for again: one that is
 * full may be given to another role.
 */
extern EeRateBucket *ee_shared_publisher_bucket(Oid role, double rate);

/* Written by the router; NONE where there is none. */
extern void ee_shared_publisher_set_pressure(EePressure pressure,
											 int64 depth);
extern EePressure ee_shared_publisher_pressure(void);
extern int64 ee_shared_publisher_depth(void);

#endif							/* EE_SHARED_PUBLISHER_H */
