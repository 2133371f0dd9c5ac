/*
 * equality_index.h
 *	  Many subscriptions that demand a value, and which of them may want an
 *	  event.
 *
 * The cost of a look-up depends on the event and on what it finds, not on
 * how many subscriptions there are.
 */
#ifndef EE_EQUALITY_INDEX_H
#define EE_EQUALITY_INDEX_H

#include "postgres.h"

#include "ground/envelope.h"
#include "routing/match.h"

typedef struct EeEqualityIndex EeEqualityIndex;

/* An empty one; it lives in CurrentMemoryContext. */
extern EeEqualityIndex *ee_equality_index_create(void);

/*
 * Add what a matcher wants.  False, and nothing is added, where it wants any
 * event that it could not be found for: one of its patterns is a regular
 * expression, or demands no value.
 */
extern bool ee_equality_index_add(EeEqualityIndex *index,
								  const EeMatcher *matcher, int payload);

/*
 * The payloads of all matchers that may want the event: ascending, each once;
 * *n of them, good until the next call.
 */
extern const int *ee_equality_index_lookup(EeEqualityIndex *index,
										   const EeEvent *event, int *n);

/* Could an event of this pattern be wanted by any? */
extern bool ee_equality_index_pattern(EeEqualityIndex *index,
									  const char *pattern, int len);

#endif							/* EE_EQUALITY_INDEX_H */
