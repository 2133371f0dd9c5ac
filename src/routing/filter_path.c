/*
 * filter_path.c
 *	  The SQL/JSON path form of a filter: a predicate over the envelope, such
 *	  as $.payload.amount > 1000 && $.source.type == "integration".
 */
#include "postgres.h"

#include "ground/errors.h"
#include "ground/path_predicate.h"
#include "routing/filter_path.h"

static const EePathWords words = {
	EE_ERRCODE_INVALID_FILTER, "filter", "The filter of a subscription"
};

EeFilterPath *
ee_filter_path_compile(const char *text)
{
	return (EeFilterPath *) ee_path_predicate_compile(text, &words);
}

bool
ee_filter_path_match(const EeFilterPath *filter, EeFilterView *view)
{
	return ee_path_predicate_match((const EePathPredicate *) filter,
								   ee_filter_field_envelope(view));
}

const char *
ee_filter_path_text(const EeFilterPath *filter)
{
	return ee_path_predicate_text((const EePathPredicate *) filter);
}

const EePathPredicate *
ee_filter_path_predicate(const EeFilterPath *filter)
{
	return (const EePathPredicate *) filter;
}
