/*
 * schema_keyword_scalar.c
 *	  Keywords about a value itself: its type, what it equals, numbers,
 *	  strings.
 *
 * A function for each keyword, found through a table; its head cites the
 * section that it follows (Core and Validation of 2020-12 unless another
 * draft is named).
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "validation/schema_draft.h"
#include "validation/schema_number.h"

#define EXPECTED_BYTES	200		/* of a keyword's value in reports */

static EeEnum *make_enum(EeDraft *draft, EeValue list);
static int	compare_names(const void *a, const void *b);
static int	compare_hashed(const void *a, const void *b);
static void add_bound(EeDraft *draft, EeBoundKind kind, const char *keyword,
					  EeValue value);

/* type  [Validation, 6.1.1] */
static void
compile_type(EeDraft *draft, const char *keyword, EeValue value)
{
	static const struct
	{
		const char *name;
		uint16		types;
	}			known[] =
	{
		{"null", EE_IS_NULL},
		{"boolean", EE_IS_BOOLEAN},
		{"object", EE_IS_OBJECT},
		{"array", EE_IS_ARRAY},
		{"number", EE_IS_NUMBER | EE_IS_INTEGER},
		{"string", EE_IS_STRING},
		{"integer", EE_IS_INTEGER},
	};
	uint16		types = 0;
	uint32		n = 1;
	uint32		i;
	EeWalk		walk = {0};

	if (value.type == EE_IS_ARRAY)
	{
		n = EE_VALUE_COUNT(value);
		ee_walk_array(&walk, value);
	}
	for (; n > 0; n--)
	{
		EeValue		name = value;

		if (value.type == EE_IS_ARRAY)
			name = ee_walk_element(&walk);
		for (i = 0; i < lengthof(known); i++)
		{
			if (name.type == EE_IS_STRING &&
				strlen(known[i].name) == name.len &&
				memcmp(known[i].name, name.data, name.len) == 0)
				break;
		}
		if (i == lengthof(known))
		{
			ee_schema_draft_problem(draft, keyword,
									"must be the name of a type, or an array of them");
			return;
		}
		types |= known[i].types;
	}
	draft->node.types = types;
	if (draft->place->resource->dialect == EE_DIALECT_DRAFT4)
		draft->node.flags |= EE_NODE_STRICT_INTEGER;
}

/* enum  [Validation, 6.1.2] */
static void
compile_enum(EeDraft *draft, const char *keyword, EeValue value)
{
	if (value.type != EE_IS_ARRAY)
		ee_schema_draft_problem(draft, keyword, "must be an array");
	else
		draft->node.enumeration = make_enum(draft, value);
}

/* const  [Validation, 6.1.3] */
static void
compile_const(EeDraft *draft, const char *keyword, EeValue value)
{
	draft->node.constant = make_enum(draft, value);
	if (value.type == EE_IS_ARRAY)
	{
		EeEnum	   *constant = ee_schema_alloc(draft->compile,
											   sizeof(EeEnum));

		/* make_enum takes an array for a list: wrap it by hand */
		constant->types = EE_IS_ARRAY;
		constant->nothers = 1;
		constant->others = ee_schema_alloc(draft->compile, sizeof(EeHashed));
		constant->others[0].value = ee_schema_draft_value(draft, value);
		constant->text = draft->node.constant->text;
		draft->node.constant = constant;
	}
}

/* The set of the elements of an array, or of one value. */
static EeEnum *
make_enum(EeDraft *draft, EeValue list)
{
	EeCompile  *compile = draft->compile;
	EeEnum	   *result = ee_schema_alloc(compile, sizeof(EeEnum));
	uint32		n = list.type == EE_IS_ARRAY ? EE_VALUE_COUNT(list) : 1;
	EeWalk		walk = {0};
	uint32		i;
	char	   *text;

	if (list.type == EE_IS_ARRAY)
		ee_walk_array(&walk, list);
	result->strings = ee_schema_alloc(compile, n * sizeof(EeName));
	for (i = 0; i < n; i++)
	{
		EeValue		value = list;

		if (list.type == EE_IS_ARRAY)
			value = ee_walk_element(&walk);
		result->types |= value.type;
		if (value.type == EE_IS_STRING)
			result->strings[result->nstrings++] =
				ee_schema_draft_name(draft, value.data, value.len);
		else if (value.type & (EE_IS_NUMBER | EE_IS_ARRAY | EE_IS_OBJECT))
		{
			EeHashed   *other;

			if (result->others == NULL)
				result->others = ee_schema_alloc(compile,
												 n * sizeof(EeHashed));
			other = &result->others[result->nothers++];
			other->hash = ee_value_hash(value);
			other->value = ee_schema_draft_value(draft, value);
		}
	}
	qsort(result->strings, result->nstrings, sizeof(EeName), compare_names);
	qsort(result->others, result->nothers, sizeof(EeHashed), compare_hashed);
	text = ee_value_text(list, EXPECTED_BYTES);
	result->text = ee_schema_draft_name(draft, text, strlen(text)).data;
	return result;
}

/* multipleOf  [Validation, 6.2.1] */
static void
compile_multiple_of(EeDraft *draft, const char *keyword, EeValue value)
{
	int64		floor;
	bool		whole;

	if (value.type != EE_IS_NUMBER ||
		(ee_schema_number_floor(EE_VALUE_NUMERIC(value), &floor, &whole) &&
		 (floor < 0 || (floor == 0 && whole))))
		ee_schema_draft_problem(draft, keyword, "must be a number above 0");
	else
		add_bound(draft, EE_BOUND_MULTIPLE_OF, keyword, value);
}

/* maximum  [Validation, 6.2.2; draft 4, 5.1.2 with exclusiveMaximum] */
static void
compile_maximum(EeDraft *draft, const char *keyword, EeValue value)
{
	EeValue		exclusive;

	add_bound(draft,
			  draft->place->resource->dialect == EE_DIALECT_DRAFT4 &&
			  ee_schema_draft_sibling(draft, "exclusiveMaximum", &exclusive) &&
			  exclusive.type == EE_IS_TRUE ?
			  EE_BOUND_EXCLUSIVE_MAXIMUM : EE_BOUND_MAXIMUM, keyword, value);
}

/* exclusiveMaximum  [Validation, 6.2.3; draft 4, 5.1.2: a boolean] */
static void
compile_exclusive_maximum(EeDraft *draft, const char *keyword, EeValue value)
{
	if (draft->place->resource->dialect != EE_DIALECT_DRAFT4)
		add_bound(draft, EE_BOUND_EXCLUSIVE_MAXIMUM, keyword, value);
	else if (!(value.type & EE_IS_BOOLEAN))
		ee_schema_draft_problem(draft, keyword,
								"must be a boolean in draft 4");
}

/* minimum  [Validation, 6.2.4; draft 4, 5.1.3 with exclusiveMinimum] */
static void
compile_minimum(EeDraft *draft, const char *keyword, EeValue value)
{
	EeValue		exclusive;

	add_bound(draft,
			  draft->place->resource->dialect == EE_DIALECT_DRAFT4 &&
			  ee_schema_draft_sibling(draft, "exclusiveMinimum", &exclusive) &&
			  exclusive.type == EE_IS_TRUE ?
			  EE_BOUND_EXCLUSIVE_MINIMUM : EE_BOUND_MINIMUM, keyword, value);
}

/* exclusiveMinimum  [Validation, 6.2.5; draft 4, 5.1.3: a boolean] */
static void
compile_exclusive_minimum(EeDraft *draft, const char *keyword, EeValue value)
{
	if (draft->place->resource->dialect != EE_DIALECT_DRAFT4)
		add_bound(draft, EE_BOUND_EXCLUSIVE_MINIMUM, keyword, value);
	else if (!(value.type & EE_IS_BOOLEAN))
		ee_schema_draft_problem(draft, keyword,
								"must be a boolean in draft 4");
}

static void
add_bound(EeDraft *draft, EeBoundKind kind, const char *keyword, EeValue value)
{
	EeNumberRules *rules;
	EeBound    *bound;

	if (value.type != EE_IS_NUMBER)
	{
		ee_schema_draft_problem(draft, keyword, "must be a number");
		return;
	}
	rules = ee_schema_draft_number(draft);
	bound = &rules->bounds[rules->nbounds++];
	bound->kind = kind;
	bound->keyword = keyword;
	if (!ee_schema_number_floor(EE_VALUE_NUMERIC(value), &bound->integer,
								&bound->whole))
		bound->whole = false;
	bound->value = EE_VALUE_NUMERIC(ee_schema_draft_value(draft, value));
}

/* maxLength  [Validation, 6.3.1] */
static void
compile_max_length(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (ee_schema_draft_limit(draft, keyword, value, &n))
		ee_schema_draft_string(draft)->max_length = n;
}

/* minLength  [Validation, 6.3.2] */
static void
compile_min_length(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (ee_schema_draft_limit(draft, keyword, value, &n))
		ee_schema_draft_string(draft)->min_length = n;
}

/* pattern  [Validation, 6.3.3] */
static void
compile_pattern(EeDraft *draft, const char *keyword, EeValue value)
{
	MemoryContext old;
	char	   *wrong = NULL;
	EeRegex    *regex;

	if (value.type != EE_IS_STRING)
	{
		ee_schema_draft_problem(draft, keyword, "must be a string");
		return;
	}
	old = MemoryContextSwitchTo(draft->compile->context);
	regex = ee_schema_regex_compile(value.data, value.len, &wrong);
	MemoryContextSwitchTo(old);
	if (regex == NULL)
		ee_schema_draft_problem(draft, keyword,
								psprintf("is not a regular expression: %s",
										 wrong));
	else
		ee_schema_draft_string(draft)->pattern = regex;
}

/*
 * format  [Validation, 7.2]: an assertion where the caller wants that, the
 * dialect (before 2019-09, v1) or its vocabulary says so, else an annotation.
 * What is not known is not asserted  [7.2.3].
 */
static void
compile_format(EeDraft *draft, const char *keyword, EeValue value)
{
	const EeResource *resource = draft->place->resource;
	EeFormatCheck check;

	if (value.type != EE_IS_STRING)
	{
		ee_schema_draft_problem(draft, keyword, "must be a string");
		return;
	}
	if (!draft->compile->options->assert_formats &&
		resource->dialect >= EE_DIALECT_2019_09 &&
		(resource->vocabularies == EE_VOCAB_ALL ?
		 resource->dialect != EE_DIALECT_V1 :
		 !(resource->vocabularies & EE_VOCAB_FORMAT_ASSERTION)))
		return;
	check = ee_schema_format(value.data, value.len, resource->dialect);
	if (check != NULL)
	{
		ee_schema_draft_string(draft)->format = check;
		ee_schema_draft_string(draft)->format_name =
			ee_schema_draft_name(draft, value.data, value.len).data;
	}
}

/*
 * contentEncoding, contentMediaType  [draft 7, 8]: assertions where the caller
 * wants that, or left it to the dialect and that is draft 7; annotations from
 * 2019-09 on  [Validation 2019-09, 8.2].
 */
static bool
content_is_asserted(const EeDraft *draft)
{
	EeContentMode mode = draft->compile->options->content;

	return mode == EE_CONTENT_ASSERTS ||
		(mode == EE_CONTENT_BY_DIALECT &&
		 draft->place->resource->dialect == EE_DIALECT_DRAFT7);
}

/* contentEncoding  [Validation 2020-12, 8.3] */
static void
compile_content_encoding(EeDraft *draft, const char *keyword, EeValue value)
{
	if (value.type != EE_IS_STRING)
		ee_schema_draft_problem(draft, keyword, "must be a string");
	else if (content_is_asserted(draft))
		ee_schema_draft_string(draft)->content_encoding =
			ee_schema_draft_name(draft, value.data, value.len).data;
}

/* contentMediaType  [Validation 2020-12, 8.4] */
static void
compile_content_media_type(EeDraft *draft, const char *keyword, EeValue value)
{
	if (value.type != EE_IS_STRING)
		ee_schema_draft_problem(draft, keyword, "must be a string");
	else if (content_is_asserted(draft))
		ee_schema_draft_string(draft)->content_media_type =
			ee_schema_draft_name(draft, value.data, value.len).data;
}

static int
compare_hashed(const void *a, const void *b)
{
	uint32		x = ((const EeHashed *) a)->hash;
	uint32		y = ((const EeHashed *) b)->hash;

	return x < y ? -1 : x > y;
}

static int
compare_names(const void *a, const void *b)
{
	const EeName *x = a;
	const EeName *y = b;

	return ee_name_compare(x->data, x->len, y->data, y->len);
}

static const EeKeywordHandler handlers[EE_KW_COUNT] = {
	[EE_KW_CONST] = compile_const,
	[EE_KW_CONTENT_ENCODING] = compile_content_encoding,
	[EE_KW_CONTENT_MEDIA_TYPE] = compile_content_media_type,
	[EE_KW_ENUM] = compile_enum,
	[EE_KW_EXCLUSIVE_MAXIMUM] = compile_exclusive_maximum,
	[EE_KW_EXCLUSIVE_MINIMUM] = compile_exclusive_minimum,
	[EE_KW_FORMAT] = compile_format,
	[EE_KW_MAX_LENGTH] = compile_max_length,
	[EE_KW_MAXIMUM] = compile_maximum,
	[EE_KW_MIN_LENGTH] = compile_min_length,
	[EE_KW_MINIMUM] = compile_minimum,
	[EE_KW_MULTIPLE_OF] = compile_multiple_of,
	[EE_KW_PATTERN] = compile_pattern,
	[EE_KW_TYPE] = compile_type,
};

/* Compiles a keyword, if it is one of this file's. */
bool
ee_schema_keyword_scalar(EeDraft *draft, const EeKeywordInfo *info,
						 EeValue value)
{
	if (handlers[info->keyword] == NULL)
		return false;
	handlers[info->keyword] (draft, info->name, value);
	return true;
}
