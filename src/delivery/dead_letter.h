/*
 * dead_letter.h
 *	  Deliveries given up.
 */
#ifndef EE_DEAD_LETTER_H
#define EE_DEAD_LETTER_H

#include "postgres.h"

#include "utils/elog.h"
#include "utils/jsonb.h"

/* {"sqlstate", "detail", "hint", "context"} of an error. */
extern Jsonb *ee_dead_letter_details(const ErrorData *error);

/* Keep a composite event that a subscriber could not digest. */
extern void ee_dead_letter_insert(const char *subscriber, Datum event,
								  int attempts, const ErrorData *error);

#endif							/* EE_DEAD_LETTER_H */
