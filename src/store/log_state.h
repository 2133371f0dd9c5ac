/*
 * log_state.h
 *	  The sequence of the log, and which cluster its xids belong to.
 */
#ifndef EE_LOG_STATE_H
#define EE_LOG_STATE_H

#include "postgres.h"

/* Take the next position; the caller's transaction has its xid already. */
extern int64 ee_log_state_next_seq(void);

/* The highest position handed out so far, 0 when none was. */
extern int64 ee_log_state_last_seq(void);

/* Events up to here were written by another cluster. */
extern int64 ee_log_state_base_seq(void);

/*
 * Make sure that the log belongs to this cluster; after a restore into
 * another one the first to call this moves base_seq.  Before the first
 * ee_log_state_next_seq() and ee_log_position_current() of a transaction.
 */
extern void ee_log_state_adopt(void);

/* An event came with its position, as a restore brings it. */
extern void ee_log_state_restored(int64 seq);

#endif							/* EE_LOG_STATE_H */
