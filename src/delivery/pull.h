/*
 * pull.h
 *	  Events for clients that pull.
 */
#ifndef EE_PULL_H
#define EE_PULL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "utils/uuid.h"

#include "delivery/lane.h"
#include "ground/envelope.h"
#include "routing/subscription.h"

/*
 * Clients read the lanes of one index, one client at a time: whoever has the
 * lock of this one has them all.
 */
#define EE_PULL_LANE	ee_lane_number(0, 0, EE_PRIORITY_NORMAL)

/* Columns of received_event: two, then those of an event up to its seq. */
#define EE_RECEIVED_NATTS	(2 + EE_EVENT_SEQ)

/* What a call of receive_events() gives, all under one receipt. */
typedef struct EeReceipt
{
	pg_uuid_t	id;
	ReturnSetInfo *result;
	bool		wanted[EE_RECEIVED_NATTS];	/* columns looked at */
	int			max;			/* events wanted */
	int			n;				/* given so far */
	/* those that were handed out before */
	HeapTuple  *again;
	int			n_again;
	/* those that are read from the log, to be leased */
	int64	   *seqs;
	int			n_allocated;
	TimestampTz first_at;		/* span of their created_at */
	TimestampTz last_at;
} EeReceipt;

/*
 * The subscription of kind pull that the current role may pull from; raises
 * what is in the way.  Good until the transaction ends.
 */
extern EeSubscription *ee_pull_subscription(text *subscriber);

/* Give an event of the log. */
extern void ee_pull_give(EeReceipt *receipt, TupleTableSlot *slot);

/* Take back what was given after the first n. */
extern void ee_pull_take_back(EeReceipt *receipt, int n);

/* pull_log.c */
extern void ee_pull_log(EeReceipt *receipt, int32 number);

#endif							/* EE_PULL_H */
