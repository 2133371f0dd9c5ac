/*
 * log_position.h
 *	  A position in the log: what was visible at one moment.
 */
#ifndef EE_LOG_POSITION_H
#define EE_LOG_POSITION_H

#include "postgres.h"

/*
 * seq is the highest sequence number handed out when the snapshot was
 * taken, or soon after.  An event seen by the position has a seq no higher.
 * One not seen with a seq no higher has its xid in xip: the snapshot is
 * widened for that, see ee_log_position_current().
 *
 * Events up to base_seq were written by another cluster; they are committed,
 * and their xid is a label only.
 */
typedef struct EeLogPosition
{
	int64		seq;
	int64		base_seq;
	uint64		xmin;			/* all below are finished */
	uint64		xmax;			/* none from here on had begun */
	int			nxip;
	uint64	   *xip;			/* in progress, ascending */
} EeLogPosition;

/*
 * All that was visible at low is consumed, and of what became visible from
 * low to high everything up to seq.  Without a range (in_range false) high
 * means nothing.
 */
typedef struct EeLogCursor
{
	EeLogPosition low;
	bool		in_range;
	EeLogPosition high;
	int64		seq;
} EeLogCursor;

extern EeLogPosition *ee_log_position_current(void);
extern bool ee_log_position_sees(const EeLogPosition *position, int64 seq,
								 uint64 xid);
extern bool ee_log_cursor_passed(const EeLogCursor *cursor, int64 seq,
								 uint64 xid);
extern bool ee_log_position_equal(const EeLogPosition *a,
								  const EeLogPosition *b);
extern bool ee_log_position_includes(const EeLogPosition *a,
									 const EeLogPosition *b);
extern void ee_log_cursor_copy(EeLogCursor *to, const EeLogCursor *from);
extern void ee_log_position_copy(EeLogPosition *to,
								 const EeLogPosition *from);
extern Datum ee_log_position_snapshot(const EeLogPosition *position);
extern void ee_log_position_set_snapshot(EeLogPosition *position,
										 Datum snapshot);
extern uint64 *ee_log_position_late(const EeLogPosition *low,
									const EeLogPosition *high, int *n);

#endif							/* EE_LOG_POSITION_H */
