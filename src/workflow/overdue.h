/*
 * overdue.h
 *	  Time-outs, against the events that had arrived when they are fired.
 */
#ifndef EE_OVERDUE_H
#define EE_OVERDUE_H

#include "postgres.h"

#include "delivery/batch.h"
#include "workflow/resume.h"

/*
 * What is over by the clock and has its instances locked goes to the list of
 * what is to be done, behind the events that have arrived for the same
 * instances; or waits for a later round.
 */
extern void ee_overdue_add(EeDelivery *delivery, const EeResumeList *over,
						   EeResumeList *list);

/*
 * Instances that wait for events are overdue only up to here: all that had
 * arrived then has been read by this lane, and the others are not too far
 * behind.
 */
extern TimestampTz ee_overdue_read_at(EeDelivery *delivery);

#endif							/* EE_OVERDUE_H */
