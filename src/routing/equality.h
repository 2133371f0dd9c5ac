/*
 * equality.h
 *	  What a condition on events demands to be equal to a value, as a key by
 *	  which the conditions that an event may fulfil are looked up.
 *
 *		term = ee_equality_choose(ee_equality_terms(...));
 *		key = ee_equality_key(pattern, len, term);			of a condition
 *
 *		keys = ee_equality_event_keys(pattern, len, term->path, view, &n);
 *
 * Where the condition holds for an event, its key is among those that the
 * event has for the pattern and the path of the condition's term.  The
 * reverse is not so: whoever is found by a key is asked.
 */
#ifndef EE_EQUALITY_H
#define EE_EQUALITY_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "ground/path_predicate.h"
#include "routing/filter.h"

/* Members below the event, whatever arrays lie in between. */
typedef struct EeEqualityPath
{
	char	   *text;			/* canonical: $."payload"."customer" */
	int			member;			/* EeEnvelopeField, or -1: no such */
	int			n_keys;			/* below it */
	char	  **keys;
} EeEqualityPath;

typedef struct EeEqualityTerm
{
	EeEqualityPath *path;
	JsonbValue	value;			/* a scalar */
	bool		of_variable;	/* the value came from a variable */
} EeEqualityTerm;

/*
 * All terms that must hold for the condition to hold (List of EeEqualityTerm
 * *), in the order of the condition.  vars holds the variables of a path and
 * may be NULL.  The terms point into what they are made of.
 */
extern List *ee_equality_of_path(const EePathPredicate *condition,
								 Jsonb *vars);
extern List *ee_equality_of_filter(const EeFilter *filter);

/* The one that looks most selective; NULL when there is none. */
extern EeEqualityTerm *ee_equality_choose(List *terms);

/* From its text; raises INVALID_FILTER. */
extern EeEqualityPath *ee_equality_path_parse(const char *text);

/*
 * The key of a condition on events of a pattern, which is any text that the
 * two sides agree on; term NULL: for those that have none.
 */
extern uint64 ee_equality_key(const char *pattern, int len,
							  const EeEqualityTerm *term);

/*
 * The keys that an event has for a pattern and a path: ascending, each once,
 * in CurrentMemoryContext.  *n is 0 where the path leads to no scalar.
 */
extern uint64 *ee_equality_event_keys(const char *pattern, int len,
									  const EeEqualityPath *path,
									  EeFilterView *view, int *n);

#endif							/* EE_EQUALITY_H */
