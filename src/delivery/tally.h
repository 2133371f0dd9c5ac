/*
 * tally.h
 *	  Count what became of deliveries, for the statistics.
 */
#ifndef EE_TALLY_H
#define EE_TALLY_H

#include "postgres.h"

#include "executor/tuptable.h"

#include "ground/shared_counter.h"
#include "routing/subscription.h"

/*
 * One event of the log, or of deliveries, had this outcome.  Counts when the
 * transaction commits.
 */
extern void ee_tally_slot(const EeSubscription *subscription,
						  TupleTableSlot *slot, EeOutcome outcome);
extern void ee_tally_event(const EeSubscription *subscription, Datum event,
						   EeOutcome outcome);

#endif							/* EE_TALLY_H */
