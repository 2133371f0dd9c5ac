/*
 * schema_report_scalar.c
 *	  What a report says of types, constants, numbers and strings.
 */
#include "postgres.h"

#include "validation/schema_check.h"
#include "validation/schema_suggest.h"
#include "validation/schema_violation.h"

static void report_length(EeReport *r, const EeStringRules *rules,
						  const EeHere *here);
static void report_content(EeReport *r, const EeStringRules *rules,
						   const EeHere *here);

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
	EeViolation *violation = ee_schema_violation_add(r, here, "type");
	uint16		types = node->types;
	const char *expected = "";
	int			i;

	if (violation == NULL)
		return;
	if (types & EE_IS_NUMBER)
		types &= ~EE_IS_INTEGER;
	for (i = 0; i < lengthof(names); i++)
	{
		if (types & names[i].types)
			expected = *expected == '\0' ? names[i].name :
				ee_schema_violation_words(expected, " or ", names[i].name,
										  NULL);
	}
	violation->expected = expected;
	violation->found = ee_value_type_name(here->v);
	violation->message = ee_schema_violation_words("must be of type ",
												   expected, NULL);
}

/* enum, const  [Validation 2020-12, 6.1.2, 6.1.3] */
void
ee_schema_report_enum(EeReport *r, const EeEnum *set, const char *keyword,
					  const EeHere *here)
{
	EeViolation *violation = ee_schema_violation_add(r, here, keyword);

	if (violation == NULL)
		return;
	violation->expected = pstrdup(set->text);
	violation->found = ee_schema_violation_found(here->v);
	if (strcmp(keyword, "const") == 0)
		violation->message = "must be the given value";
	else
		violation->message =
			ee_schema_violation_words("must be one of the listed values",
									  ee_schema_suggest_value(r, set, here->v),
									  NULL);
}

/* [Validation 2020-12, 6.2] */
void
ee_schema_report_number(EeReport *r, const EeNumberRules *rules,
						const EeHere *here)
{
	static const char *const texts[] = {
		[EE_BOUND_MINIMUM] = "at least ",
		[EE_BOUND_EXCLUSIVE_MINIMUM] = "greater than ",
		[EE_BOUND_MAXIMUM] = "at most ",
		[EE_BOUND_EXCLUSIVE_MAXIMUM] = "less than ",
		[EE_BOUND_MULTIPLE_OF] = "a multiple of ",
	};
	EeNumberForm form;
	int			i;

	ee_schema_check_form(&form, here->v);
	for (i = 0; i < rules->nbounds; i++)
	{
		const EeBound *bound = &rules->bounds[i];
		EeValue		limit = {(const char *) bound->value, 0, EE_IS_NUMBER};
		EeViolation *violation;

		if (ee_schema_check_bound(&form, bound) ||
			(violation = ee_schema_violation_add(r, here,
												 bound->keyword)) == NULL)
			continue;
		violation->expected =
			ee_schema_violation_words(texts[bound->kind],
									  ee_schema_violation_found(limit), NULL);
		violation->found = ee_schema_violation_found(here->v);
		violation->message =
			ee_schema_violation_words("must be ", violation->expected, NULL);
	}
}

/* pattern, format  [Validation 2020-12, 6.3.3, 7.3] */
void
ee_schema_report_string(EeReport *r, const EeStringRules *rules,
						const EeHere *here)
{
	EeValue		v = here->v;
	EeViolation *violation;

	if (!ee_schema_check_length(rules, v))
		report_length(r, rules, here);
	if (rules->pattern != NULL &&
		!ee_schema_regex_match(rules->pattern, v.data, v.len) &&
		(violation = ee_schema_violation_add(r, here, "pattern")) != NULL)
	{
		violation->expected = pstrdup(ee_schema_regex_source(rules->pattern));
		violation->found = ee_schema_violation_found(v);
		violation->message = "must match the pattern";
	}
	if (rules->format != NULL && !rules->format(v.data, v.len) &&
		(violation = ee_schema_violation_add(r, here, "format")) != NULL)
	{
		violation->expected = pstrdup(rules->format_name);
		violation->found = ee_schema_violation_found(v);
		violation->message = ee_schema_violation_words("must be a valid ",
													   rules->format_name,
													   NULL);
	}
	if ((rules->content_encoding || rules->content_media_type) &&
		!ee_schema_check_content(rules, v))
		report_content(r, rules, here);
}

/* minLength, maxLength  [Validation 2020-12, 6.3.1, 6.3.2] */
static void
report_length(EeReport *r, const EeStringRules *rules, const EeHere *here)
{
	uint32		n = ee_schema_check_characters(here->v);
	bool		below = n < rules->min_length;
	EeViolation *violation;

	violation = ee_schema_violation_add(r, here,
										below ? "minLength" : "maxLength");
	if (violation == NULL)
		return;
	violation->expected =
		ee_schema_violation_count(below ? "at least " : "at most ",
								  below ? rules->min_length :
								  rules->max_length,
								  " character", " characters");
	violation->found = ee_schema_violation_count("", n, " character",
												 " characters");
	violation->message = ee_schema_violation_words("must have ",
												   violation->expected, NULL);
}

/* contentEncoding, contentMediaType  [Validation draft 7, 8.3, 8.4] */
static void
report_content(EeReport *r, const EeStringRules *rules, const EeHere *here)
{
	EeStringRules encoding = *rules;
	EeViolation *violation;
	bool		encoded;

	encoding.content_media_type = NULL;
	encoded = ee_schema_check_content(&encoding, here->v);
	violation = ee_schema_violation_add(r, here, encoded ?
										"contentMediaType" :
										"contentEncoding");
	if (violation == NULL)
		return;
	violation->expected = pstrdup(encoded ? rules->content_media_type :
								  rules->content_encoding);
	violation->found = ee_schema_violation_found(here->v);
	violation->message = ee_schema_violation_words("must be valid ",
												   violation->expected, NULL);
}
