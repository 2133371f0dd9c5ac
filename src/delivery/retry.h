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

/* A row of event_engine.deliveries that is due. */
typedef struct EeDue
{
	int64		seq;
	int			attempts;
	Datum		event;			/* composite */
} EeDue;

/* Wait before the attempt after so many; random within the jitter. */
extern int64 ee_retry_delay_ms(const EeSubscription *subscription,
							   int attempts);

/*
 * Write down that an attempt failed: a later one, or, when there have been
 * enough, a dead letter.  attempts counts this one; 1 is the first, which
 * has no row yet.  Counts in the cursor.
 */
extern void ee_retry_failed(EeDelivery *delivery, EeCursor *cursor,
							Datum event, int64 seq, int attempts,
							const ErrorData *error);

/*
 * Write down that a filter raised an error.  It would do so again, and a
 * handler must not be given what it may not have asked for: a dead letter at
 * once.  Counts in the cursor.
 */
extern void ee_retry_unmatched(EeDelivery *delivery, EeCursor *cursor,
							   Datum event, const ErrorData *error);

/* Write down that an event is not due yet. */
extern void ee_retry_delay(EeDelivery *delivery, Datum event, int64 seq,
						   TimestampTz until);

/* The next row due, locked, in CurrentMemoryContext; false when none is. */
extern bool ee_retry_next(EeDelivery *delivery, EeDue *due);

/* That row, due or not. */
extern bool ee_retry_get(EeDelivery *delivery, int64 seq, EeDue *due);

/* Count an attempt before it is made; it is due again if it never ends. */
extern void ee_retry_count(EeDelivery *delivery, const EeDue *due,
						   const ErrorData *error);
extern void ee_retry_succeeded(EeDelivery *delivery, const EeDue *due);

/* When the next row is due; DT_NOEND when there is none. */
extern TimestampTz ee_retry_next_due(int32 number);

#endif							/* EE_RETRY_H */
