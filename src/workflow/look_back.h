/*
 * look_back.h
 *	  Waits that can be seen only now, and events that the lane has passed.
 */
#ifndef EE_LOOK_BACK_H
#define EE_LOOK_BACK_H

#include "postgres.h"

#include "workflow/dispatch.h"
#include "workflow/wait_match.h"

/*
 * Match the waits that have become visible since the lane looked last with
 * the events that it has read before and that they do not know.  *arrived:
 * how many there were.  False: the list is full, and there may be more.
 */
extern bool ee_look_back(EeDelivery *delivery, EeDispatch *dispatch,
						 EeWaitMatch *match, Snapshot snapshot,
						 int64 *arrived);

#endif							/* EE_LOOK_BACK_H */
