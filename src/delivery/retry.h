/*
 * retry.h
 *	  Deliveries that did not simply succeed.
 */
#ifndef EE_RETRY_H
#define EE_RETRY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/elog.h"

#include "delivery/batch.h"

/* An event that is to be handed out. */
typedef struct EeDue
{
	int64		seq;
	int			attempts;		/* made so far; 0 for a new one */
	TimestampTz at;				/* of a row of deliveries: since when */
	Datum		event;			/* composite */
	bool		released;		/* not to be handed out any more */
	text	   *key;			/* in whose order it has a place; or NULL */
	int			chain;			/* number of its head, see order.h */
	int			followers;		/* of a head */
	bool		ends;			/* nothing is behind the last of them */
} EeDue;

/*
 * The number of the attempt that is made now.  The last one is made again if
 * it was counted before and did not end (crash_guard.h), and counts once.
 */
extern int ee_retry_attempt(const EeSubscription *subscription,
							const EeDue *due);

/*
 * Write down that an attempt failed: a later one, or, when there have been
 * enough, a dead letter.  attempts counts this one, which took duration_ms.
 * Counts in the cursor.  True when it has a row in deliveries, and thus holds
 * up those behind it where the subscription is ordered.
 */
extern bool ee_retry_failed(EeDelivery *delivery, EeCursor *cursor,
							Datum event, int64 seq, int attempts,
							const ErrorData *error, int64 duration_ms);

/*
 * Write down that a filter raised an error.  It would do so again, and a
 * handler must not be given what it may not have asked for: a dead letter at
 * once.  Counts in the cursor.
 */
extern void ee_retry_unmatched(EeDelivery *delivery, EeCursor *cursor,
							   Datum event, const ErrorData *error);

/*
 * Write down that an event is not due yet.  That was its publisher's wish, so
 * it has no place in the order of its key, neither then nor later.
 */
extern void ee_retry_delay(EeDelivery *delivery, Datum event, int64 seq,
						   TimestampTz until);

/* Write down that an event is to be tried at once, in its place. */
extern void ee_retry_now(EeDelivery *delivery, Datum event, int64 seq);

/* A row is due then, written by this process in the present transaction. */
extern void ee_retry_note_due(EeDelivery *delivery, TimestampTz at);

/* Look for what is due from that place on, if it lies before the present one. */
extern void ee_retry_go_back(EeDelivery *delivery, EeDuePlace place);

/*
 * The rows due longest, at most max, locked, in CurrentMemoryContext; returns
 * how many.  What somebody else has locked is left out.  The caller moves
 * due_after to those that it deals with, and back if that is undone.
 */
extern int	ee_retry_due(EeDelivery *delivery, EeDue *due, int max);

/* That row, due or not. */
extern bool ee_retry_get(EeDelivery *delivery, int64 seq, EeDue *due);

/* Count an attempt before it is made; it is due again if it never ends. */
extern void ee_retry_count(EeDelivery *delivery, const EeDue *due,
						   const ErrorData *error);

/* Rows that are done with. */
extern void ee_retry_delete(EeDelivery *delivery, const int64 *seqs, int n);

/* When the next row is due; DT_NOEND when there is none. */
extern TimestampTz ee_retry_next_due(EeDelivery *delivery);

/* What is known of where to look for them holds no longer. */
extern void ee_retry_forget(EeDelivery *delivery);

#endif							/* EE_RETRY_H */
