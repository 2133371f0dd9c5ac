/*
 * schema_compat_scalar.c
 *	  Types, numbers and strings: does what is known imply the goal?
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"

#include "validation/schema_compat_state.h"
#include "validation/schema_number.h"

static bool whole_numbers(const EeKnown *known);
static bool strict_integers(const EeKnown *known);
static bool bound_implied(const EeKnown *known, const EeBound *goal);
static bool bound_implies(const EeBound *bound, const EeBound *goal,
						  bool integers);
static char *bound_text(const EeBound *bound);
static char *known_bound(const EeKnown *known, const EeBound *goal);
static const EeStringRules *string_rules(const EeKnown *known, int i);
static bool string_lengths(EeCompat *cx, const EeKnown *known,
						   const EeGoal *goal, const EeStringRules *rules);
static bool string_content(EeCompat *cx, const EeKnown *known,
						   const EeGoal *goal, const EeStringRules *rules);

/* type  [Validation, 6.1.1] */
bool
ee_compat_type(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeNode *node = ee_compat_node(goal);
	uint16		types = known->types;

	if ((types & EE_IS_NUMBER) && whole_numbers(known))
		types = (types & ~EE_IS_NUMBER) | EE_IS_INTEGER;
	if (types & EE_IS_NUMBER)
		types &= ~EE_IS_INTEGER;
	if ((types & ~node->types) == 0 &&
		((types & EE_IS_NUMBER) || !(types & EE_IS_INTEGER) ||
		 (node->types & EE_IS_NUMBER) ||
		 !(node->flags & EE_NODE_STRICT_INTEGER) || strict_integers(known)))
		return true;
	return ee_compat_break(cx, known, goal->path, "type",
						   ee_compat_types(known->types),
						   ee_compat_types(node->types),
						   psprintf("a value of type %s is no longer accepted",
									(types & ~node->types) != 0 ?
									ee_compat_types(types & ~node->types) :
									"integer, written with a fraction of zero,"));
}

static bool
whole_numbers(const EeKnown *known)
{
	int			i,
				j;

	for (i = 0; i < known->n; i++)
	{
		const EeNumberRules *rules =
			known->program->nodes[known->nodes[i]].number;

		for (j = 0; rules != NULL && j < rules->nbounds; j++)
		{
			if (rules->bounds[j].kind == EE_BOUND_MULTIPLE_OF &&
				rules->bounds[j].whole)
				return true;
		}
	}
	return false;
}

/* Draft 4: does none have a fraction, not even of zero? */
static bool
strict_integers(const EeKnown *known)
{
	int			i;

	for (i = 0; i < known->n; i++)
	{
		const EeNode *node = &known->program->nodes[known->nodes[i]];

		if ((node->flags & EE_NODE_STRICT_INTEGER) &&
			!(node->types & EE_IS_NUMBER))
			return true;
	}
	return false;
}

/* [Validation, 6.2] */
bool
ee_compat_number(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeNumberRules *rules = ee_compat_node(goal)->number;
	bool		holds = true;
	int			i;

	if (rules == NULL || !(known->types & (EE_IS_NUMBER | EE_IS_INTEGER)))
		return true;
	for (i = 0; i < rules->nbounds; i++)
	{
		const EeBound *bound = &rules->bounds[i];

		if (!bound_implied(known, bound))
			holds = ee_compat_break(cx, known, goal->path, bound->keyword,
									known_bound(known, bound),
									bound_text(bound),
									bound->kind == EE_BOUND_MULTIPLE_OF ?
									"numbers that are no such multiple were accepted" :
									"numbers beyond the bound were accepted");
	}
	return holds;
}

static bool
bound_implied(const EeKnown *known, const EeBound *goal)
{
	bool		integers = !(known->types & EE_IS_NUMBER) ||
	whole_numbers(known);
	int			i,
				j;

	if (goal->kind == EE_BOUND_MULTIPLE_OF && integers)
	{
		Numeric		one = int64_to_numeric(1);

		if (ee_schema_number_is_multiple(one, goal->value))
			return true;
	}
	for (i = 0; i < known->n; i++)
	{
		const EeNumberRules *rules =
			known->program->nodes[known->nodes[i]].number;

		for (j = 0; rules != NULL && j < rules->nbounds; j++)
		{
			if (bound_implies(&rules->bounds[j], goal, integers))
				return true;
		}
	}
	return false;
}

static bool
bound_implies(const EeBound *bound, const EeBound *goal, bool integers)
{
	int			cmp = ee_schema_number_compare(bound->value, goal->value);
	/* x > 4 is x >= 5 where x is an integer */
	bool		step = integers && bound->whole && goal->whole;

	switch (goal->kind)
	{
		case EE_BOUND_MINIMUM:
			if (bound->kind == EE_BOUND_MINIMUM)
				return cmp >= 0;
			if (bound->kind == EE_BOUND_EXCLUSIVE_MINIMUM)
				return cmp >= 0 ||
					(step && bound->integer >= goal->integer - 1);
			return false;
		case EE_BOUND_EXCLUSIVE_MINIMUM:
			if (bound->kind == EE_BOUND_EXCLUSIVE_MINIMUM)
				return cmp >= 0;
			return bound->kind == EE_BOUND_MINIMUM && cmp > 0;
		case EE_BOUND_MAXIMUM:
			if (bound->kind == EE_BOUND_MAXIMUM)
				return cmp <= 0;
			if (bound->kind == EE_BOUND_EXCLUSIVE_MAXIMUM)
				return cmp <= 0 ||
					(step && bound->integer - 1 <= goal->integer);
			return false;
		case EE_BOUND_EXCLUSIVE_MAXIMUM:
			if (bound->kind == EE_BOUND_EXCLUSIVE_MAXIMUM)
				return cmp <= 0;
			return bound->kind == EE_BOUND_MAXIMUM && cmp < 0;
		case EE_BOUND_MULTIPLE_OF:
			return bound->kind == EE_BOUND_MULTIPLE_OF &&
				ee_schema_number_is_multiple(bound->value, goal->value);
	}
	return false;
}

static char *
bound_text(const EeBound *bound)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(bound->value)));
}

/* The bound of the same kind that is known, or NULL. */
static char *
known_bound(const EeKnown *known, const EeBound *goal)
{
	int			i,
				j;

	for (i = 0; i < known->n; i++)
	{
		const EeNumberRules *rules =
			known->program->nodes[known->nodes[i]].number;

		for (j = 0; rules != NULL && j < rules->nbounds; j++)
		{
			if (rules->bounds[j].kind == goal->kind)
				return bound_text(&rules->bounds[j]);
		}
	}
	return NULL;
}

/* [Validation, 6.3, 7, 8] */
bool
ee_compat_string(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeStringRules *rules = ee_compat_node(goal)->string;
	bool		holds;

	if (rules == NULL || !(known->types & EE_IS_STRING))
		return true;
	holds = string_lengths(cx, known, goal, rules);
	return string_content(cx, known, goal, rules) && holds;
}

static const EeStringRules *
string_rules(const EeKnown *known, int i)
{
	return known->program->nodes[known->nodes[i]].string;
}

static bool
string_lengths(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
			   const EeStringRules *rules)
{
	uint32		min = 0;
	uint32		max = EE_NO_LIMIT;
	bool		holds = true;
	int			i;

	for (i = 0; i < known->n; i++)
	{
		const EeStringRules *own = string_rules(known, i);

		if (own != NULL)
		{
			min = Max(min, own->min_length);
			max = Min(max, own->max_length);
		}
	}
	if (min < rules->min_length)
		holds = ee_compat_break(cx, known, goal->path, "minLength",
								ee_compat_limit(min, 0),
								ee_compat_limit(rules->min_length, 0),
								"shorter strings were accepted");
	if (max > rules->max_length)
		holds = ee_compat_break(cx, known, goal->path, "maxLength",
								ee_compat_limit(max, EE_NO_LIMIT),
								ee_compat_limit(rules->max_length, EE_NO_LIMIT),
								"longer strings were accepted");
	return holds;
}

/* Two expressions are compared by their text only. */
static bool
string_content(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
			   const EeStringRules *rules)
{
	const char *pattern = NULL;
	const char *format = NULL;
	bool		pattern_ok = rules->pattern == NULL;
	bool		format_ok = rules->format == NULL;
	bool		encoding_ok = rules->content_encoding == NULL &&
	rules->content_media_type == NULL;
	int			i;

	for (i = 0; i < known->n; i++)
	{
		const EeStringRules *own = string_rules(known, i);

		if (own == NULL)
			continue;
		if (own->pattern != NULL)
			pattern = ee_schema_regex_source(own->pattern);
		if (rules->pattern != NULL && own->pattern != NULL &&
			strcmp(pattern, ee_schema_regex_source(rules->pattern)) == 0)
			pattern_ok = true;
		if (own->format != NULL)
			format = own->format_name;
		if (rules->format != NULL && own->format == rules->format)
			format_ok = true;
		if (!encoding_ok &&
			strcmp(own->content_encoding ? own->content_encoding : "",
				   rules->content_encoding ? rules->content_encoding : "") == 0 &&
			strcmp(own->content_media_type ? own->content_media_type : "",
				   rules->content_media_type ? rules->content_media_type : "") == 0)
			encoding_ok = true;
	}
	if (!pattern_ok)
		(void) ee_compat_break(cx, known, goal->path, "pattern", pattern,
							   ee_schema_regex_source(rules->pattern),
							   pattern == NULL ?
							   "strings that do not match were accepted" :
							   "cannot prove that what matched one expression matches the other");
	if (!format_ok)
		(void) ee_compat_break(cx, known, goal->path, "format", format,
							   rules->format_name, format == NULL ?
							   "strings of other forms were accepted" :
							   "cannot prove that one format is part of the other");
	if (!encoding_ok)
		(void) ee_compat_break(cx, known, goal->path,
							   rules->content_encoding != NULL ?
							   "contentEncoding" : "contentMediaType", NULL,
							   rules->content_encoding != NULL ?
							   rules->content_encoding :
							   rules->content_media_type,
							   "strings with other content were accepted");
	return pattern_ok && format_ok && encoding_ok;
}
