/*
 * hand_out.h
 *	  Give the events of a batch to whoever is to have them.
 */
#ifndef EE_HAND_OUT_H
#define EE_HAND_OUT_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "delivery/batch.h"
#include "delivery/unit.h"

/* What is known of a batch, also when it fails. */
typedef struct EeProgress
{
	EeRound		round;
	bool		in_batch;		/* it is known which event is to blame */
	bool		at_end;			/* of the lane's epoch, see epoch.h */
	bool		committing;		/* the handler has done its work */
	int			handled;		/* events before that one */
	TimestampTz began;			/* with that one */
	EeCursor   *next;			/* where the cursor will stand */
} EeProgress;

/* At most limit events, as the owner of the subscription. */
extern void ee_hand_out(EeDelivery *delivery, const EeUnit *unit,
						EeBatch *batch, int limit, EeProgress *progress);

/* Not due yet: then it is written down, and out of the way. */
extern bool ee_hand_out_put_off(EeDelivery *delivery, TupleTableSlot *slot);

#endif							/* EE_HAND_OUT_H */
