/*
 * late.h
 *	  Waits that come to light after an event of theirs fell due.
 */
#ifndef EE_LATE_H
#define EE_LATE_H

#include "postgres.h"

#include "store/log_position.h"
#include "workflow/resume.h"

typedef struct EeLate EeLate;

/*
 * The event has been matched with the waits that are visible at the position:
 * keep it for those of transactions that are open there, if any are.
 */
extern void ee_late_keep(EeDelivery *delivery, int64 seq, Datum event,
						 const EeLogPosition *position);

/*
 * Add to the list what such events end by now; NULL: there are none.  Their
 * instances are not locked.
 */
extern EeLate *ee_late_find(EeDelivery *delivery, EeResumeList *list);

/* So many of the list's steps have been taken. */
extern void ee_late_end(EeDelivery *delivery, EeLate *late, int done);

#endif							/* EE_LATE_H */
