/*
 * retention.h
 *	  Events leave the log when they have come of age.
 */
#ifndef EE_RETENTION_H
#define EE_RETENTION_H

#include "postgres.h"

#include "delivery/unit.h"

/* A round of it, each partition in a unit of its own. */
extern void ee_retention_run(const EeUnit *unit);

/*
 * Partitions that are empty by now, in a unit of their own: the log is locked
 * to its end, so it is to be the last of a transaction.
 */
extern void ee_retention_drop(const EeUnit *unit);

#endif							/* EE_RETENTION_H */
