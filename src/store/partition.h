/*
 * partition.h
 *	  The partitions of the log.
 */
#ifndef EE_PARTITION_H
#define EE_PARTITION_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* How far created_at of an INSERT may be from the clock. */
#define EE_CLOCK_TOLERANCE_USECS	(60 * USECS_PER_SEC)

typedef struct EePartition
{
	Oid			relid;
	TimestampTz lower;			/* inclusive; DT_NOBEGIN for none */
	TimestampTz upper;			/* exclusive; DT_NOEND for none */
	bool		is_default;
	bool		sealed;			/* takes no more events */
	int64		min_seq;		/* of a sealed one; max < min: empty */
	int64		max_seq;
	/* filled by ee_partition_indexes() */
	bool		indexes_known;
	bool		foreign_triggers;	/* somebody else's, fired by INSERT */
	Oid			seq_index;
	Oid			xid_index;
	Oid			pattern_index;
	Oid			class_index;	/* (priority, seq), of those not normal */
	Oid			class_xid_index;	/* (xid, seq), likewise */
} EePartition;

/*
 * The partition to append to, locked against sealing and dropping until the
 * end of the transaction.  Moves *created_at forward out of sealed ones.
 */
extern EePartition *ee_partition_for_append(TimestampTz *created_at);

/* Those that may hold events with low < seq <= high; count in *n. */
extern EePartition **ee_partition_candidates(int64 low, int64 high, int *n);

extern void ee_partition_indexes(EePartition *partition);

/* Is this table a partition that can take an event of this time? */
extern bool ee_partition_accepts(Oid relid, TimestampTz created_at);

/* Upkeep, each in a transaction of the caller; number of partitions made. */
extern int	ee_partition_make_ahead(void);
extern int	ee_partition_seal_due(void);

#endif							/* EE_PARTITION_H */
