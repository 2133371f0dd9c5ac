/*
 * batch.h
 *	  Take the next events of a subscription from the log.
 *
 * A batch is a slice of a range of the log, read, filtered and handed out
 * one event at a time; at its end the cursor stands behind the last of them.
 */
#ifndef EE_BATCH_H
#define EE_BATCH_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/snapshot.h"

#include "delivery/cursor.h"
#include "delivery/handler.h"
#include "delivery/lane.h"
#include "ground/envelope.h"
#include "ground/shared.h"
#include "routing/subscription.h"
#include "store/log_reader.h"

/* The keys that are held up: see order.c. */
typedef struct EeOrder EeOrder;

/* What the workflow room keeps of a lane. */
typedef struct EeDispatch EeDispatch;

/* Events that somebody has found for it: see offer.h. */
typedef struct EeOffer EeOffer;

/* How often events fail: see group.c. */
typedef struct EeCaution
{
	double		distance;		/* events between failures; 0: none in sight */
	double		passed;			/* events since the latest one */
} EeCaution;

/* A place in the order of what is due. */
typedef struct EeDuePlace
{
	TimestampTz at;
	int64		seq;
} EeDuePlace;

/* A lane of a subscription and all that this process knows of it. */
typedef struct EeDelivery
{
	EeSubscription *subscription;
	EeLane		lane;
	EeLogPosition *end;			/* of its epoch, if known; see epoch.h */
	bool		at_end;			/* it has come there */
	struct EeDelivery *base;	/* of the class normal: does the retries */
	MemoryContext context;		/* of all below, and of the struct */
	Datum	   *patterns;		/* the registered ones it wants; NULL: all */
	int			n_patterns;		/* 0 with patterns: none */
	uint64		registry_generation;	/* of definitions, before patterns */
	uint64		rights_generation;	/* of grants, likewise */
	EePatternSet interest;
	EeHandlerName handler;
	EeCursor   *cursor;			/* NULL: to be loaded */
	MemoryContext cursor_context;
	uint64		generation;		/* of the subscriptions it was read under */
	uint64		cursors_generation; /* cursor was loaded under */
	int			member;			/* of the role's executors, whose lane it is */
	uint32		helped;			/* others' rounds for us, when we knew all */
	bool		borrowed;		/* it is another's, who may step in any time */
	int			limit;			/* events the next batch may take; 0: as set */
	bool		single_next;	/* and the one after it takes one */
	EeCaution	caution;		/* with new events */
	int64		examining;		/* seq looked at last, known after an error */
	int64		forced;			/* wanted, whatever the filters say */
	bool		matching;		/* it is being matched: an error is a filter's */
	bool		guarded;		/* attempts are committed before they are made */
	int			taken;			/* events taken from the log, guarded */
	bool		behind;			/* there may be more to read */
	TimestampTz next_due;		/* of its retries; DT_NOEND: none */
	EeDuePlace	due_after;		/* none of them is due up to it; see retry.c */
	TimestampTz searched_at;	/* when it was last looked whether that holds */
	EeCaution	again_caution;	/* with what is tried again */
	EeDispatch *dispatch;		/* of kind workflow; NULL: not yet */
	EeOrder    *order;			/* NULL: to be read, where it is ordered */
	int			again_limit;	/* how many may be tried at once; 0: as time allows */
	int			again_tried;	/* how many the latest round had time for */
	TimestampTz held_until;		/* by its limits: flow.h */
	int			slice_ms;		/* a batch may take, as others wait; 0: as set */
	bool		looking;		/* read only: nobody is told how far it has come */
	EeOffer    *offer;			/* NULL: it reads the log */
	int			sparse;			/* its place in worker/sparse.c; -1: none */
} EeDelivery;

typedef struct EeBatch
{
	EeDelivery *delivery;
	EeCursor   *next;			/* the cursor as it will be */
	EeLogReader *reader;		/* NULL: nothing to read */
	Snapshot	snapshot;
	EeEvent		event;			/* last given, where filters need it */
	bool		exhausted;		/* the range is read to its end */
	bool		last;			/* which is the end of its epoch, for the first time */
	bool		fresh;			/* its end was the present when the batch began */
	bool		offered;		/* it has what was offered to it */
	int			examined;
} EeBatch;

/*
 * Begin a batch in the current transaction; the caller holds the
 * subscription's lock.  All lives in CurrentMemoryContext, a short one.
 */
extern EeBatch *ee_batch_begin(EeDelivery *delivery);

/* The next wanted event, or NULL; the slot is valid until the next call. */
extern TupleTableSlot *ee_batch_next(EeBatch *batch);

/* Stop reading; the cursor will stand behind the last event given. */
extern void ee_batch_end(EeBatch *batch);

/*
 * Is there nothing behind the batch, going by what was visible when it began?
 * An older range may end where more has been published since.
 */
static inline bool
ee_batch_reached_end(const EeBatch *batch)
{
	return batch->exhausted && (batch->fresh || batch->offered);
}

/* After the commit: the cursor is what the batch made it. */
extern void ee_batch_committed(EeDelivery *delivery, const EeCursor *next);

#endif							/* EE_BATCH_H */
