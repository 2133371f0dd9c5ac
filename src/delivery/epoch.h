/*
 * epoch.h
 *	  Change by which rule events are assigned to lanes, while they flow.
 */
#ifndef EE_EPOCH_H
#define EE_EPOCH_H

#include "postgres.h"

#include "delivery/batch.h"
#include "delivery/unit.h"

/*
 * Where the lane ends, in a unit that has its lock; NULL where its epoch goes
 * on.  Lives as long as the delivery.
 */
extern const EeLogPosition *ee_epoch_end(EeDelivery *delivery);

/*
 * The lane has come to its end: if all of its epoch have, the next epoch
 * begins, and the outcome is STALE.  LOCKED: others are not there yet.
 */
extern EeRoundOutcome ee_epoch_close(EeDelivery *delivery,
									 const EeUnit *unit);

#endif							/* EE_EPOCH_H */
