/*
 * partition_empty.h
 *	  Taking events out of partitions that take no more, for retention.
 */
#ifndef EE_PARTITION_EMPTY_H
#define EE_PARTITION_EMPTY_H

#include "postgres.h"

/*
 * Lock a partition against everybody until the end of the transaction; false
 * when somebody uses it.  Waits for nobody in the queue of the lock.
 */
extern bool ee_partition_lock(Oid relid);

/* All of it; the caller has it locked. */
extern void ee_partition_empty(Oid relid);

/*
 * All but the events for which the condition (SQL, over e.<column>) does not
 * hold: those are written anew.  The caller has it locked.
 */
extern void ee_partition_thin(Oid relid, const char *condition);

/*
 * DELETE from a partition that publishers may be using; returns how many were
 * deleted.
 */
extern uint64 ee_partition_delete(Oid relid, const char *condition);

/*
 * Drop partitions that retention has emptied, as soon as nobody uses the log
 * at all, and tell how many.  Never waits in the queue of a lock, and does
 * nothing in a transaction block, where others would wait for its end.
 */
extern int	ee_partition_drop_emptied(void);

#endif							/* EE_PARTITION_EMPTY_H */
