/*
 * schema_check.c
 *	  The assertions that need no subschema, shared by the boolean evaluation
 *	  and the report.
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "ground/compat.h"

#include "validation/schema_check.h"

/* beyond, a set of strings is searched by halves */
#define LINEAR_STRINGS	6

static bool enum_has_string(const EeEnum *set, EeValue v);
static bool enum_has_other(const EeEnum *set, EeValue v);
static bool decode_base64(const char *text, uint32 len, char **bytes,
						  int *nbytes);
static bool is_json(char *text, int len);

/*
 * multipleOf, maximum, exclusiveMaximum, minimum, exclusiveMinimum
 * [Validation 2020-12, 6.2].  With an integer as bound, the number's floor
 * and whether it is whole decide.
 */
bool
ee_schema_check_bound(const EeNumberForm *form, const EeBound *bound)
{
	int			cmp;

	if (form->small && bound->whole)
	{
		switch (bound->kind)
		{
			case EE_BOUND_MINIMUM:
				return form->floor >= bound->integer;
			case EE_BOUND_EXCLUSIVE_MINIMUM:
				return form->floor > bound->integer ||
					(form->floor == bound->integer && !form->whole);
			case EE_BOUND_MAXIMUM:
				return form->floor < bound->integer ||
					(form->floor == bound->integer && form->whole);
			case EE_BOUND_EXCLUSIVE_MAXIMUM:
				return form->floor < bound->integer;
			case EE_BOUND_MULTIPLE_OF:
				return form->whole && form->floor % bound->integer == 0;
		}
	}
	if (bound->kind == EE_BOUND_MULTIPLE_OF)
		return ee_schema_number_is_multiple(form->num, bound->value);
	cmp = ee_schema_number_compare(form->num, bound->value);
	switch (bound->kind)
	{
		case EE_BOUND_MINIMUM:
			return cmp >= 0;
		case EE_BOUND_EXCLUSIVE_MINIMUM:
			return cmp > 0;
		case EE_BOUND_MAXIMUM:
			return cmp <= 0;
		default:
			return cmp < 0;
	}
}

/* enum, const  [Validation 2020-12, 6.1.2, 6.1.3] */
bool
ee_schema_check_enum(const EeEnum *set, EeValue v)
{
	if (!(set->types & v.type))
		return false;
	switch (v.type)
	{
		case EE_IS_STRING:
			return enum_has_string(set, v);
		case EE_IS_NUMBER:
		case EE_IS_ARRAY:
		case EE_IS_OBJECT:
			return enum_has_other(set, v);
		default:
			return true;
	}
}

static bool
enum_has_string(const EeEnum *set, EeValue v)
{
	int			low = 0,
				high = set->nstrings;

	if (high <= LINEAR_STRINGS)
	{
		for (; low < high; low++)
		{
			if (set->strings[low].len == v.len &&
				memcmp(set->strings[low].data, v.data, v.len) == 0)
				return true;
		}
		return false;
	}
	while (low < high)
	{
		int			mid = (low + high) / 2;
		int			cmp = ee_name_compare(set->strings[mid].data,
										  set->strings[mid].len,
										  v.data, v.len);

		if (cmp == 0)
			return true;
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

static bool
enum_has_other(const EeEnum *set, EeValue v)
{
	uint32		hash;
	int			low = 0,
				high = set->nothers;

	if (high == 1)
		return ee_value_equal(set->others[0].value, v);
	hash = ee_value_hash(v);
	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (set->others[mid].hash < hash)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < set->nothers && set->others[low].hash == hash; low++)
	{
		if (ee_value_equal(set->others[low].value, v))
			return true;
	}
	return false;
}

/*
 * contentEncoding, contentMediaType  [Validation 2020-12, 8.3, 8.4]: base64
 * and application/json are understood, all else is left alone.
 */
bool
ee_schema_check_content(const EeStringRules *rules, EeValue v)
{
	bool		encoded = rules->content_encoding != NULL &&
		pg_strcasecmp(rules->content_encoding, "base64") == 0;
	bool		json = rules->content_media_type != NULL &&
		pg_strcasecmp(rules->content_media_type, "application/json") == 0;
	char	   *bytes = NULL;
	int			nbytes = v.len;
	bool		valid;

	if (encoded)
	{
		if (!decode_base64(v.data, v.len, json ? &bytes : NULL, &nbytes))
			return false;
	}
	else if (rules->content_encoding != NULL)
		return true;
	if (!json)
		return true;
	if (bytes == NULL)
		bytes = pnstrdup(v.data, v.len);
	valid = is_json(bytes, nbytes);
	pfree(bytes);
	return valid;
}

/* RFC 4648, section 4; *bytes (where wanted) is palloc'd, ended by a NUL. */
static bool
decode_base64(const char *text, uint32 len, char **bytes, int *nbytes)
{
	static const char alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32		padding = 0;
	uint32		i;
	uint32		word = 0;
	char	   *out;

	if (len % 4 != 0)
		return false;
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	for (i = 0; i < len - padding; i++)
	{
		if (text[i] == '\0' || strchr(alphabet, text[i]) == NULL)
			return false;
	}
	if (bytes == NULL)
		return true;
	out = *bytes = palloc(len / 4 * 3 + 1);
	for (i = 0; i < len; i++)
	{
		word = word << 6 |
			(text[i] == '=' ? 0 : strchr(alphabet, text[i]) - alphabet);
		if (i % 4 == 3)
		{
			*out++ = (char) (word >> 16);
			*out++ = (char) (word >> 8);
			*out++ = (char) word;
		}
	}
	out -= padding;
	*out = '\0';
	*nbytes = out - *bytes;
	return true;
}

static bool
is_json(char *text, int len)
{
	JsonLexContext *lex;

	if (!pg_verifymbstr(text, len, true))
		return false;
	lex = EE_MAKE_JSON_LEX_CONTEXT(text, len, GetDatabaseEncoding(), false);
	return pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS;
}
