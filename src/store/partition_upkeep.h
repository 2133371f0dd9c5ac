/*
 * partition_upkeep.h
 *	  Making and sealing partitions; shared with partition.c.
 */
#ifndef EE_PARTITION_UPKEEP_H
#define EE_PARTITION_UPKEEP_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Make the partition for this moment; false when that would wait. */
extern bool ee_partition_make(TimestampTz at);

/* From partition.c */
extern void ee_partition_gap(TimestampTz at, TimestampTz *lower,
							 TimestampTz *upper, Oid *default_relid);
extern bool ee_partition_exists_for(TimestampTz at);

/* Where the partition of a moment ends; DT_NOEND when there is none. */
extern TimestampTz ee_partition_end(TimestampTz at);
extern Oid *ee_partition_due_for_sealing(TimestampTz before, int *n);

#endif							/* EE_PARTITION_UPKEEP_H */
