/*
 * crash_guard.h
 *	  What to do where a handler takes its process, or the server, down.
 *
 * A transaction that ends so leaves nothing behind, so the same batch would
 * be begun again for ever.  Each start of an executor is written down, and
 * the note taken back once it has been through all its subscriptions.  One
 * that finds the note of a predecessor which never got that far works
 * guarded: one event at a time, the attempt committed first, for the length of
 * a batch of each subscription.
 */
#ifndef EE_CRASH_GUARD_H
#define EE_CRASH_GUARD_H

#include "postgres.h"

#include "delivery/retry.h"
#include "delivery/unit.h"

/* Note a start; true: the latest one did not survive.  In a transaction. */
extern bool ee_crash_guard_start(Oid owner, int member);
extern void ee_crash_guard_survived(Oid owner, int member);

/*
 * Instead of a batch: put the next event among the deliveries that are due,
 * and move the cursor behind it.
 */
extern EeRound ee_crash_guard_take(EeDelivery *delivery, const EeUnit *unit);

/* Is that still to be done?  A batch's length of events is taken so. */
extern bool ee_crash_guard_takes(const EeDelivery *delivery);

/*
 * Count the attempt that comes next in a unit of its own.  False: nothing is
 * due, or it has been given up.
 */
extern bool ee_crash_guard_count(EeDelivery *delivery, const EeUnit *unit,
								 EeDue *due);

#endif							/* EE_CRASH_GUARD_H */
