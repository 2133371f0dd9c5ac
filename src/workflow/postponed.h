/*
 * postponed.h
 *	  Events whose instance somebody else has locked.
 */
#ifndef EE_POSTPONED_H
#define EE_POSTPONED_H

#include "postgres.h"

#include "workflow/resume.h"

/* Until it is looked whether what is locked is free. */
#define EE_POSTPONED_USECS	(10 * INT64CONST(1000))

/* Write one down; again does no harm. */
extern void ee_postponed_add(EeDelivery *delivery, const EeResume *item);

/* Those whose instance is free by now, and is locked thereby. */
extern void ee_postponed_find(EeDelivery *delivery, EeResumeList *list);

/* It has been dealt with. */
extern void ee_postponed_remove(EeDelivery *delivery, const EeResume *item);

/* Are there any? */
extern bool ee_postponed_any(EeDelivery *delivery);

#endif							/* EE_POSTPONED_H */
