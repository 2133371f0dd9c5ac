/*
 * schema_report_scalar.c
 *	  What a report says of types, numbers and strings.
 */
#include "postgres.h"

#include "validation/schema_check.h"
#include "validation/schema_violation.h"

/* type  [Validation 2020-12, 6.1.1] */
void
ee_schema_report_type(EeReport *r, const EeNode *node, const EeHere *here)
{
	static const struct
	{
		const char *name;
		uint16		types;
	}			names[] =
	{
		{"null", EE_IS_NULL},
		{"boolean", EE_IS_BOOLEAN},
		{"number", EE_IS_NUMBER},
		{"integer", EE_IS_INTEGER},
		{"string", EE_IS_STRING},
		{"array", EE_IS_ARRAY},
		{"object", EE_IS_OBJECT},
	};
	StringInfoData expected;
	uint16		types = node->types;
	int			i;

	if (types & EE_IS_NUMBER)
		types &= ~EE_IS_INTEGER;
	initStringInfo(&expected);
	for (i = 0; i < lengthof(names); i++)
	{
		if (types & names[i].types)
			appendStringInfo(&expected, "%s%s", expected.len ? " or " : "",
							 names[i].name);
	}
	ee_schema_violation_add(r, here, "type", expected.data,
							ee_value_type_name(here->v), "must be of type %s",
							expected.data);
}

/* [Validation 2020-12, 6.2] */
void
ee_schema_report_number(EeReport *r, const EeNumberRules *rules,
						const EeHere *here)
{
	static const char *const texts[] = {
		[EE_BOUND_MINIMUM] = "at least",
		[EE_BOUND_EXCLUSIVE_MINIMUM] = "greater than",
		[EE_BOUND_MAXIMUM] = "at most",
		[EE_BOUND_EXCLUSIVE_MAXIMUM] = "less than",
		[EE_BOUND_MULTIPLE_OF] = "a multiple of",
	};
	EeNumberForm form;
	int			i;

	ee_schema_check_form(&form, here->v);
	for (i = 0; i < rules->nbounds; i++)
	{
		const EeBound *bound = &rules->bounds[i];
		EeValue		limit = {(const char *) bound->value, 0, EE_IS_NUMBER};
		char	   *text;

		if (ee_schema_check_bound(&form, bound))
			continue;
		text = psprintf("%s %s", texts[bound->kind],
						ee_schema_violation_found(limit));
		ee_schema_violation_add(r, here, bound->keyword, text,
								ee_schema_violation_found(here->v),
								"must be %s", text);
	}
}

/* [Validation 2020-12, 6.3, 7.3; draft 7, 8] */
void
ee_schema_report_string(EeReport *r, const EeStringRules *rules,
						const EeHere *here)
{
	EeValue		v = here->v;

	if (!ee_schema_check_length(rules, v))
	{
		uint32		n = ee_schema_check_characters(v);
		bool		below = n < rules->min_length;
		char	   *text;

		text = ee_schema_violation_count(below ? "at least " : "at most ",
										 below ? rules->min_length :
										 rules->max_length,
										 "character", "characters");
		ee_schema_violation_add(r, here, below ? "minLength" : "maxLength",
								text, ee_schema_violation_count("", n,
																"character",
																"characters"),
								"must have %s", text);
	}
	if (rules->pattern != NULL &&
		!ee_schema_regex_match(rules->pattern, v.data, v.len))
		ee_schema_violation_add(r, here, "pattern",
								ee_schema_regex_source(rules->pattern),
								ee_schema_violation_found(v),
								"must match the pattern");
	if (rules->format != NULL && !rules->format(v.data, v.len))
		ee_schema_violation_add(r, here, "format", rules->format_name,
								ee_schema_violation_found(v),
								"must be a valid %s", rules->format_name);
	if ((rules->content_encoding || rules->content_media_type) &&
		!ee_schema_check_content(rules, v))
	{
		EeStringRules encoding = *rules;
		bool		encoded;

		encoding.content_media_type = NULL;
		encoded = ee_schema_check_content(&encoding, v);
		ee_schema_violation_add(r, here, encoded ? "contentMediaType" :
								"contentEncoding", encoded ?
								rules->content_media_type :
								rules->content_encoding,
								ee_schema_violation_found(v),
								"must be valid %s", encoded ?
								rules->content_media_type :
								rules->content_encoding);
	}
}
