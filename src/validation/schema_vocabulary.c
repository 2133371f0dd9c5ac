/*
 * schema_vocabulary.c
 *	  Which keywords there are, in which dialect and vocabulary, and where
 *	  they hold subschemas.
 *
 * What differs between the drafts is in this table and nowhere else, unless a
 * keyword of one name has two meanings (items, exclusiveMinimum).
 */
#include "postgres.h"

#include "validation/schema_vocabulary.h"

#define D4		(1 << EE_DIALECT_DRAFT4)
#define D6		(1 << EE_DIALECT_DRAFT6)
#define D7		(1 << EE_DIALECT_DRAFT7)
#define D19		(1 << EE_DIALECT_2019_09)
#define D20		(1 << EE_DIALECT_2020_12)
#define V1		(1 << EE_DIALECT_V1)
#define FROM_20 (D20 | V1)
#define FROM_19 (D19 | FROM_20)
#define FROM_7	(D7 | FROM_19)
#define FROM_6	(D6 | FROM_7)
#define ALL		(D4 | FROM_6)
#define TO_7	(D4 | D6 | D7)

#define CORE	EE_VOCAB_CORE
#define APPLICATOR EE_VOCAB_APPLICATOR
#define UNEVALUATED EE_VOCAB_UNEVALUATED
#define VALIDATION EE_VOCAB_VALIDATION
#define FORMAT	(EE_VOCAB_FORMAT | EE_VOCAB_FORMAT_ASSERTION)
#define CONTENT EE_VOCAB_CONTENT

static const EeKeywordInfo keywords[] = {
	/* core */
	{"$schema", EE_KW_SCHEMA, ALL, CORE, EE_SHAPE_PLAIN},
	{"id", EE_KW_ID, D4, CORE, EE_SHAPE_PLAIN},
	{"$id", EE_KW_ID, FROM_6, CORE, EE_SHAPE_PLAIN},
	{"$ref", EE_KW_REF, ALL, CORE, EE_SHAPE_PLAIN},
	{"$anchor", EE_KW_ANCHOR, FROM_19, CORE, EE_SHAPE_PLAIN},
	{"$recursiveRef", EE_KW_RECURSIVE_REF, D19, CORE, EE_SHAPE_PLAIN},
	{"$recursiveAnchor", EE_KW_RECURSIVE_ANCHOR, D19, CORE, EE_SHAPE_PLAIN},
	{"$dynamicRef", EE_KW_DYNAMIC_REF, FROM_20, CORE, EE_SHAPE_PLAIN},
	{"$dynamicAnchor", EE_KW_DYNAMIC_ANCHOR, FROM_20, CORE, EE_SHAPE_PLAIN},
	{"$vocabulary", EE_KW_VOCABULARY, FROM_19, CORE, EE_SHAPE_PLAIN},
	{"$defs", EE_KW_DEFS, FROM_19, CORE, EE_SHAPE_MAP},
	{"definitions", EE_KW_DEFINITIONS, ALL, CORE, EE_SHAPE_MAP},

	/* applicators */
	{"properties", EE_KW_PROPERTIES, ALL, APPLICATOR, EE_SHAPE_MAP},
	{"patternProperties", EE_KW_PATTERN_PROPERTIES,
		ALL, APPLICATOR, EE_SHAPE_MAP},
	{"additionalProperties", EE_KW_ADDITIONAL_PROPERTIES,
		ALL, APPLICATOR, EE_SHAPE_SCHEMA},
	{"propertyNames", EE_KW_PROPERTY_NAMES,
		FROM_6, APPLICATOR, EE_SHAPE_SCHEMA},
	{"items", EE_KW_ITEMS, TO_7 | D19, APPLICATOR, EE_SHAPE_SCHEMA_OR_ARRAY},
	{"items", EE_KW_ITEMS, FROM_20, APPLICATOR, EE_SHAPE_SCHEMA},
	{"additionalItems", EE_KW_ADDITIONAL_ITEMS,
		TO_7 | D19, APPLICATOR, EE_SHAPE_SCHEMA},
	{"prefixItems", EE_KW_PREFIX_ITEMS, FROM_20, APPLICATOR, EE_SHAPE_ARRAY},
	{"contains", EE_KW_CONTAINS, FROM_6, APPLICATOR, EE_SHAPE_SCHEMA},
	{"allOf", EE_KW_ALL_OF, ALL, APPLICATOR, EE_SHAPE_ARRAY},
	{"anyOf", EE_KW_ANY_OF, ALL, APPLICATOR, EE_SHAPE_ARRAY},
	{"oneOf", EE_KW_ONE_OF, ALL, APPLICATOR, EE_SHAPE_ARRAY},
	{"not", EE_KW_NOT, ALL, APPLICATOR, EE_SHAPE_SCHEMA},
	{"if", EE_KW_IF, FROM_7, APPLICATOR, EE_SHAPE_SCHEMA},
	{"then", EE_KW_THEN, FROM_7, APPLICATOR, EE_SHAPE_SCHEMA},
	{"else", EE_KW_ELSE, FROM_7, APPLICATOR, EE_SHAPE_SCHEMA},
	{"dependencies", EE_KW_DEPENDENCIES,
		ALL, APPLICATOR, EE_SHAPE_MAP_OR_NAMES},
	{"dependentSchemas", EE_KW_DEPENDENT_SCHEMAS,
		FROM_19, APPLICATOR, EE_SHAPE_MAP},
	{"propertyDependencies", EE_KW_PROPERTY_DEPENDENCIES,
		V1, APPLICATOR, EE_SHAPE_MAP_OF_MAPS},
	{"unevaluatedItems", EE_KW_UNEVALUATED_ITEMS,
		FROM_19, UNEVALUATED, EE_SHAPE_SCHEMA},
	{"unevaluatedProperties", EE_KW_UNEVALUATED_PROPERTIES,
		FROM_19, UNEVALUATED, EE_SHAPE_SCHEMA},

	/* validation */
	{"type", EE_KW_TYPE, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"enum", EE_KW_ENUM, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"const", EE_KW_CONST, FROM_6, VALIDATION, EE_SHAPE_PLAIN},
	{"required", EE_KW_REQUIRED, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"dependentRequired", EE_KW_DEPENDENT_REQUIRED,
		FROM_19, VALIDATION, EE_SHAPE_PLAIN},
	{"minProperties", EE_KW_MIN_PROPERTIES, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"maxProperties", EE_KW_MAX_PROPERTIES, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"minItems", EE_KW_MIN_ITEMS, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"maxItems", EE_KW_MAX_ITEMS, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"uniqueItems", EE_KW_UNIQUE_ITEMS, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"minContains", EE_KW_MIN_CONTAINS, FROM_19, VALIDATION, EE_SHAPE_PLAIN},
	{"maxContains", EE_KW_MAX_CONTAINS, FROM_19, VALIDATION, EE_SHAPE_PLAIN},
	{"minLength", EE_KW_MIN_LENGTH, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"maxLength", EE_KW_MAX_LENGTH, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"pattern", EE_KW_PATTERN, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"minimum", EE_KW_MINIMUM, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"maximum", EE_KW_MAXIMUM, ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"exclusiveMinimum", EE_KW_EXCLUSIVE_MINIMUM,
		ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"exclusiveMaximum", EE_KW_EXCLUSIVE_MAXIMUM,
		ALL, VALIDATION, EE_SHAPE_PLAIN},
	{"multipleOf", EE_KW_MULTIPLE_OF, ALL, VALIDATION, EE_SHAPE_PLAIN},

	/* format and content */
	{"format", EE_KW_FORMAT, ALL, FORMAT, EE_SHAPE_PLAIN},
	{"contentEncoding", EE_KW_CONTENT_ENCODING,
		FROM_7, CONTENT, EE_SHAPE_PLAIN},
	{"contentMediaType", EE_KW_CONTENT_MEDIA_TYPE,
		FROM_7, CONTENT, EE_SHAPE_PLAIN},
	{"contentSchema", EE_KW_CONTENT_SCHEMA, FROM_19, CONTENT, EE_SHAPE_SCHEMA},
};

static const struct
{
	const char *name;			/* as SQL functions take it */
	const char *uri;			/* of the metaschema, without empty fragment */
}			dialects[] =
{
	[EE_DIALECT_DRAFT4] = {"draft4", "http://json-schema.org/draft-04/schema"},
	[EE_DIALECT_DRAFT6] = {"draft6", "http://json-schema.org/draft-06/schema"},
	[EE_DIALECT_DRAFT7] = {"draft7", "http://json-schema.org/draft-07/schema"},
	[EE_DIALECT_2019_09] = {"2019-09",
	"https://json-schema.org/draft/2019-09/schema"},
	[EE_DIALECT_2020_12] = {"2020-12",
	"https://json-schema.org/draft/2020-12/schema"},
	[EE_DIALECT_V1] = {"v1", "https://json-schema.org/v1"},
};

/* The keyword of that name, or NULL: unknown in the dialect, or left out. */
const EeKeywordInfo *
ee_schema_keyword(EeDialect dialect, uint32 vocabularies, const char *name,
				  uint32 len)
{
	int			i;

	for (i = 0; i < lengthof(keywords); i++)
	{
		const EeKeywordInfo *info = &keywords[i];

		if (len > 0 && info->name[0] == name[0] &&
			strncmp(info->name, name, len) == 0 && info->name[len] == '\0' &&
			(info->dialects & (1 << dialect)) &&
			(info->vocabulary & vocabularies))
			return info;
	}
	return NULL;
}

/* The name of a dialect's n-th keyword, NULL where there are no more. */
const char *
ee_schema_keyword_name(EeDialect dialect, int n)
{
	int			i;

	for (i = 0; i < lengthof(keywords); i++)
	{
		if ((keywords[i].dialects & (1 << dialect)) && n-- == 0)
			return keywords[i].name;
	}
	return NULL;
}

/*
 * The dialect that a metaschema's URI names; http and https are the same, an
 * empty fragment may follow.
 */
bool
ee_schema_dialect_of_uri(const char *uri, EeDialect *dialect)
{
	const char *rest = strstr(uri, "://");
	int			i;

	if (rest == NULL ||
		(strncmp(uri, "http:", 5) != 0 && strncmp(uri, "https:", 6) != 0))
		return false;
	for (i = 0; i < lengthof(dialects); i++)
	{
		const char *known = strstr(dialects[i].uri, "://");
		size_t		len = strlen(known);

		if (strncmp(rest, known, len) == 0 &&
			(rest[len] == '\0' || strcmp(rest + len, "#") == 0))
		{
			*dialect = (EeDialect) i;
			return true;
		}
	}
	return false;
}

/* The dialect of a short name such as draft7, or of a metaschema's URI. */
bool
ee_schema_dialect_of_name(const char *name, EeDialect *dialect)
{
	int			i;

	for (i = 0; i < lengthof(dialects); i++)
	{
		if (strcmp(name, dialects[i].name) == 0)
		{
			*dialect = (EeDialect) i;
			return true;
		}
	}
	return ee_schema_dialect_of_uri(name, dialect);
}

const char *
ee_schema_dialect_uri(EeDialect dialect)
{
	return dialects[dialect].uri;
}

const char *
ee_schema_dialect_name(EeDialect dialect)
{
	return dialects[dialect].name;
}

/* The bit of a vocabulary that $vocabulary names, 0 if it is unknown. */
uint32
ee_schema_vocabulary_of_uri(const char *uri, uint32 len)
{
	static const struct
	{
		const char *tail;
		uint32		bits;
	}			known[] =
	{
		{"2019-09/vocab/core", EE_VOCAB_CORE},
		{"2019-09/vocab/applicator",
		EE_VOCAB_APPLICATOR | EE_VOCAB_UNEVALUATED},
		{"2019-09/vocab/validation", EE_VOCAB_VALIDATION},
		{"2019-09/vocab/meta-data", EE_VOCAB_META_DATA},
		{"2019-09/vocab/format", EE_VOCAB_FORMAT},
		{"2019-09/vocab/content", EE_VOCAB_CONTENT},
		{"2020-12/vocab/core", EE_VOCAB_CORE},
		{"2020-12/vocab/applicator", EE_VOCAB_APPLICATOR},
		{"2020-12/vocab/unevaluated", EE_VOCAB_UNEVALUATED},
		{"2020-12/vocab/validation", EE_VOCAB_VALIDATION},
		{"2020-12/vocab/meta-data", EE_VOCAB_META_DATA},
		{"2020-12/vocab/format-annotation", EE_VOCAB_FORMAT},
		{"2020-12/vocab/format-assertion", EE_VOCAB_FORMAT_ASSERTION},
		{"2020-12/vocab/content", EE_VOCAB_CONTENT},
	};
	static const char base[] = "https://json-schema.org/draft/";
	size_t		skip = sizeof(base) - 1;
	int			i;

	if (len < skip || memcmp(uri, base, skip) != 0)
		return 0;
	for (i = 0; i < lengthof(known); i++)
	{
		if (strlen(known[i].tail) == len - skip &&
			memcmp(known[i].tail, uri + skip, len - skip) == 0)
			return known[i].bits;
	}
	return 0;
}
