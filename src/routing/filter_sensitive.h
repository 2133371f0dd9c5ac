/*
 * filter_sensitive.h
 *	  What of a filter looks at sensitive values, which are stored encrypted.
 */
#ifndef EE_FILTER_SENSITIVE_H
#define EE_FILTER_SENSITIVE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonpath.h"

#include "routing/filter.h"

/*
 * The paths by which a condition (each part may be NULL) looks at values that
 * are sensitive in the current version of the pattern's definition, as text:
 * a List of char *, each once.  NIL too where there is no such definition.
 */
extern List *ee_filter_sensitive_terms(const char *pattern, int len,
									   JsonPath *predicate,
									   const EeFilter *filter);

#endif							/* EE_FILTER_SENSITIVE_H */
