/*
 * option.c
 *	  Options as a jsonb object: what one of them says.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "ground/option.h"

static bool find(Jsonb *options, const char *name, enum jbvType type,
				 JsonbValue *found);

double
ee_option_number(Jsonb *options, const char *name, double value)
{
	JsonbValue	found;

	if (!find(options, name, jbvNumeric, &found))
		return value;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8,
											  NumericGetDatum(found.val.numeric)));
}

bool
ee_option_bool(Jsonb *options, const char *name, bool value)
{
	JsonbValue	found;

	return find(options, name, jbvBool, &found) ? found.val.boolean : value;
}

char *
ee_option_text(Jsonb *options, const char *name)
{
	JsonbValue	found;

	if (!find(options, name, jbvString, &found))
		return NULL;
	return pnstrdup(found.val.string.val, found.val.string.len);
}

bool
ee_option_text_is(Jsonb *options, const char *name, const char *value)
{
	char	   *given = ee_option_text(options, name);

	return given != NULL && strcmp(given, value) == 0;
}

char *
ee_option_unknown(JsonbContainer *object, const char *const *names)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *name;
		int			i = 0;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		while (names[i] != NULL && strcmp(names[i], name) != 0)
			i++;
		if (names[i] == NULL)
			return name;
		pfree(name);
	}
	return NULL;
}

static bool
find(Jsonb *options, const char *name, enum jbvType type, JsonbValue *found)
{
	return JB_ROOT_IS_OBJECT(options) &&
		getKeyJsonValueFromContainer(&options->root, name, strlen(name),
									 found) != NULL &&
		found->type == type;
}
