/*
 * filter.h
 *	  The list form of a filter on the content of events:
 *	  [{"field": ..., "operator": ..., "value": ...}, ...]
 */
#ifndef EE_FILTER_H
#define EE_FILTER_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "routing/filter_field.h"

typedef struct EeFilter EeFilter;

/*
 * Compile into CurrentMemoryContext; raises INVALID_FILTER.  The container
 * is copied.
 */
extern EeFilter *ee_filter_compile(const JsonbContainer *list);

/*
 * Do all terms hold?  Where one does not and why is given, what was expected
 * and found is appended to it.
 */
extern bool ee_filter_match(const EeFilter *filter, EeFilterView *view,
							StringInfo why);

/*
 * What a term of index i demands to be equal to a value; false where it
 * demands nothing of the kind, or the value is not a scalar.
 */
extern bool ee_filter_equality(const EeFilter *filter, int i,
							   const EeFilterField **field,
							   JsonbValue *value);
extern int	ee_filter_length(const EeFilter *filter);

/* The field of term i; NULL where only its existence is asked for. */
extern const EeFilterField *ee_filter_compared(const EeFilter *filter, int i);

#endif							/* EE_FILTER_H */
