/*
 * filter_path.h
 *	  The SQL/JSON path form of a filter on the content of events.
 */
#ifndef EE_FILTER_PATH_H
#define EE_FILTER_PATH_H

#include "postgres.h"

#include "ground/path_predicate.h"
#include "routing/filter_field.h"

typedef struct EeFilterPath EeFilterPath;

/* Compile into CurrentMemoryContext; raises INVALID_FILTER. */
extern EeFilterPath *ee_filter_path_compile(const char *path);

/* Does the predicate hold?  Unknown counts as no; may raise an error. */
extern bool ee_filter_path_match(const EeFilterPath *filter,
								 EeFilterView *view);

/* The path as given. */
extern const char *ee_filter_path_text(const EeFilterPath *filter);

/* As what it is. */
extern const EePathPredicate *ee_filter_path_predicate(const EeFilterPath *filter);

#endif							/* EE_FILTER_PATH_H */
