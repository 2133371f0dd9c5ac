/*
 * delayed.h
 *	  Events that were not due when the dispatcher read them.
 */
#ifndef EE_DELAYED_H
#define EE_DELAYED_H

#include "postgres.h"

#include "workflow/dispatch.h"
#include "workflow/resume.h"

/* Those of a round. */
typedef struct EeDelayed EeDelayed;

/*
 * Take those that are due, and put the steps that they end the waits of into
 * the list.  NULL: there are none.  *more: there may be more of them.
 */
extern EeDelayed *ee_delayed_find(EeDelivery *delivery, EeResumeList *list,
								  bool *more);

/*
 * The first so many of the list have been dealt with: fire the triggers of
 * the events that are over by that, and forget these.  Returns how many.
 */
extern int	ee_delayed_end(EeDelivery *delivery, EeDelayed *delayed,
						   int done);

#endif							/* EE_DELAYED_H */
