/*
 * cursor.h
 *	  Where a lane of a subscription stands in the log, and its totals.
 */
#ifndef EE_CURSOR_H
#define EE_CURSOR_H

#include "postgres.h"

#include "store/log_position.h"

typedef struct EeCursor
{
	EeLogCursor at;
	int64		move;			/* number of the last move stored */
	int64		delivered;
	int64		failed;
	int64		dead;
	int64		stored_seq;		/* at.seq as the table has it */
} EeCursor;

/*
 * Nobody else moves the cursor of the lane while this is held, which is until
 * the end of the transaction.  False when somebody holds it, or has the whole
 * subscription locked, or waits for that.
 */
extern bool ee_cursor_lock_lane(int32 number, int32 lane);

/* The same, and whoever holds the lane is waited for so many milliseconds. */
extern bool ee_cursor_lock_lane_within(int32 number, int32 lane, int ms);

/*
 * Does this transaction hold the lock of any lane?  Give back those of the
 * first lanes of the running epoch, where nothing was done under them.
 */
extern bool ee_cursor_holds(int32 number);
extern void ee_cursor_unlock(int32 number, int32 n_lanes);

/* Does another backend hold that lock?  Asked without taking it. */
extern bool ee_cursor_is_locked(int32 number, int32 lane);

/* Nobody moves any cursor of the subscription; waits for those who do. */
extern void ee_cursor_lock_all(int32 number);

/* The same, false when somebody does. */
extern bool ee_cursor_try_lock_all(int32 number);

/*
 * Read as of now, in CurrentMemoryContext; needs the lane's lock to stay
 * true.  A lane that has not moved yet stands at its epoch's origin.
 */
extern EeCursor *ee_cursor_load(int32 number, int32 lane);

/*
 * Without the lock, to tell of and not to deliver: as of now, or as the
 * snapshot in use sees it.
 */
extern EeCursor *ee_cursor_peek(int32 number, int32 lane);
extern EeCursor *ee_cursor_seen(int32 number, int32 lane);

/* Store as the next move, in the transaction of its effects. */
extern void ee_cursor_store(int32 number, int32 lane, EeCursor *cursor);

extern EeCursor *ee_cursor_copy(const EeCursor *cursor);

/* Where the lanes of an epoch begin. */
extern void ee_cursor_create(int32 number, int32 epoch,
							 const EeLogPosition *position);

/* Gather the moves and empty their table; false when that would wait. */
extern bool ee_cursor_gather(void);

#endif							/* EE_CURSOR_H */
