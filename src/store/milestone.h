/*
 * milestone.h
 *	  Positions of the log by time.
 */
#ifndef EE_MILESTONE_H
#define EE_MILESTONE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "store/log_position.h"

/* Write down the position of the active snapshot. */
extern void ee_milestone_store(void);

/*
 * The latest that is not after a moment, in CurrentMemoryContext; before the
 * first event where there is none.  What arrived from then on, it does not see.
 */
extern void ee_milestone_position(TimestampTz at, EeLogPosition *position);

/* Have any of these transactions published? */
extern bool ee_milestone_published(uint64 *xids, int n);

#endif							/* EE_MILESTONE_H */
