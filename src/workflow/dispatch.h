/*
 * dispatch.h
 *	  What the dispatcher of a role's workflows keeps of a lane, and how the
 *	  parts of a round share it.
 */
#ifndef EE_DISPATCH_H
#define EE_DISPATCH_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "delivery/batch.h"
#include "delivery/unit.h"
#include "store/log_position.h"
#include "utils/uuid.h"
#include "workflow/wait_filter.h"
#include "workflow/wait_index.h"

/* A step that failed at the commit: it is written down instead of taken. */
typedef struct EeCondemned
{
	pg_uuid_t	instance;
	ErrorData  *error;			/* NULL: none is */
	TimestampTz began;
} EeCondemned;

/* See overdue.c. */
typedef struct EeOtherLanes EeOtherLanes;

/* Of a lane, in the delivery's context. */
struct EeDispatch
{
	EeWaitIndex *index;			/* NULL: to be read */
	EeWaitFilter filter;		/* of the waits visible in the last batch */

	/*
	 * All waits visible here have been asked about all that the lane has
	 * read; NULL: not known, and the cursor's low position will do.
	 */
	EeLogPosition *seen;
	MemoryContext seen_context;

	TimestampTz read_at;		/* all that had arrived then has been read */
	int			unstored;		/* events examined since the cursor was stored */
	EeOtherLanes *others;		/* where they stood; NULL: to be read */
	TimestampTz hold_until;		/* no time-out before, they are too far behind */
	int			limit;			/* resumptions in the next unit; 0: as time allows */
	int64		met_seq;		/* up to here events may be met again */
	TimestampTz late_at;		/* when late.c is to look again */
	int64		late_usecs;
	EeCondemned condemned;
};

extern EeDispatch *ee_dispatch_of(EeDelivery *delivery);

/* When the library is loaded: subscriptions of kind workflow are ours. */
extern void ee_dispatch_init(void);

#endif							/* EE_DISPATCH_H */
