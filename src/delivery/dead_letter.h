/*
 * dead_letter.h
 *	  Deliveries given up.
 */
#ifndef EE_DEAD_LETTER_H
#define EE_DEAD_LETTER_H

#include "postgres.h"

#include "utils/elog.h"
#include "utils/jsonb.h"

/*
 * {"sqlstate", "detail", "hint", "context", "attempt", "durationMs"} of an
 * error: that attempt failed with it, after so long (negative: unknown).
 */
extern Jsonb *ee_dead_letter_details(const ErrorData *error, int attempt,
									 int64 duration_ms);

/* Keep a composite event that a subscriber could not digest. */
extern void ee_dead_letter_insert(const char *subscriber, Datum event,
								  int attempts, const ErrorData *error,
								  int64 duration_ms);

#endif							/* EE_DEAD_LETTER_H */
