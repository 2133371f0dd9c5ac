/*
 * offer.h
 *	  Events that a lane may want, found by somebody who looked for many.
 *
 * Where very many subscriptions wait for events that demand a value, an
 * executor reads the log once for all of them (worker/sparse.h) and offers
 * to each lane the events that it may want.  The lane reads these and no
 * others, and its cursor then stands where the look had come to.
 */
#ifndef EE_OFFER_H
#define EE_OFFER_H

#include "postgres.h"

#include "delivery/batch.h"

typedef struct EeOffer
{
	MemoryContext context;		/* of all of it */
	EeLogCursor from;			/* all that the lane wanted up to here it has */
	EeLogCursor to;				/* likewise, with what is offered */
	uint64		generation;		/* of cursors, under which that holds */
	int64	   *seqs;			/* in the order of the range */
	uint64	   *xids;
	int			n;
	int			allocated;
} EeOffer;

/* One for a delivery that has none, without events. */
extern EeOffer *ee_offer_create(EeDelivery *delivery, const EeLogCursor *from,
								const EeLogCursor *to, uint64 generation);
extern void ee_offer_add(EeOffer *offer, int64 seq, uint64 xid);
extern void ee_offer_drop(EeDelivery *delivery);

/*
 * Put the cursor at the beginning of what is left of the delivery's offer,
 * and say which events these are.  False where the cursor is not where the
 * offer took it to be: the log is to be read.
 */
extern bool ee_offer_take(EeDelivery *delivery, EeLogCursor *at,
						  int64 **seqs, int *n);

/* They have been read to the end: move the cursor. */
extern void ee_offer_taken(const EeDelivery *delivery, EeLogCursor *at);

#endif							/* EE_OFFER_H */
