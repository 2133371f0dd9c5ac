/*
 * cursor.h
 *	  Where a subscription stands in the log, and its totals.
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
} EeCursor;

/*
 * Nobody else moves the cursor of a subscription while this is held, which
 * is until the end of the transaction.  With nowait false is returned rather
 * than waiting.
 */
extern bool ee_cursor_lock(int32 number, bool nowait);

/* Read as of now, in CurrentMemoryContext; needs the lock to stay true. */
extern EeCursor *ee_cursor_load(int32 number);

/* Store as the next move, in the transaction of its effects. */
extern void ee_cursor_store(int32 number, EeCursor *cursor);

extern EeCursor *ee_cursor_copy(const EeCursor *cursor);

/* The first cursor of a subscription. */
extern void ee_cursor_create(int32 number, const EeLogPosition *position);

/* Gather the moves and empty their table; false when that would wait. */
extern bool ee_cursor_gather(void);

#endif							/* EE_CURSOR_H */
