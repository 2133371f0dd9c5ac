/*
 * path_predicate.h
 *	  A condition on an event as SQL/JSON path predicate over the envelope.
 */
#ifndef EE_PATH_PREDICATE_H
#define EE_PATH_PREDICATE_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/jsonpath.h"

typedef struct EePathPredicate EePathPredicate;

/* What errors call it. */
typedef struct EePathWords
{
	int			sqlstate;
	const char *noun;			/* "filter" */
	const char *subject;		/* "The filter of a subscription" */
	const char *variable;		/* that may be used, or NULL */
} EePathWords;

/* Compile into CurrentMemoryContext; raises what is wrong with it. */
extern EePathPredicate *ee_path_predicate_compile(const char *path,
												  const EePathWords *words);

/* Does the predicate hold?  Unknown counts as no; may raise an error. */
extern bool ee_path_predicate_match(const EePathPredicate *predicate,
									Jsonb *envelope);

/* The same for one with a variable: vars is an object that has it. */
extern bool ee_path_predicate_match_with(const EePathPredicate *predicate,
										 Jsonb *envelope, Jsonb *vars);

/* Does it look at none but these members of the envelope? */
extern bool ee_path_predicate_only(const EePathPredicate *predicate,
								   const char *const *members, int n);

/* The path as given. */
extern const char *ee_path_predicate_text(const EePathPredicate *predicate);

/* And as the server has it. */
extern JsonPath *ee_path_predicate_path(const EePathPredicate *predicate);

#endif							/* EE_PATH_PREDICATE_H */
