/*
 * jsonb_push.c
 *	  An object of jsonb, made member by member.
 */
#include "postgres.h"

#include "utils/numeric.h"

#include "ground/jsonb_push.h"

void
ee_jsonb_push_begin(JsonbParseState **state)
{
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
}

Jsonb *
ee_jsonb_push_end(JsonbParseState **state)
{
	return JsonbValueToJsonb(pushJsonbValue(state, WJB_END_OBJECT, NULL));
}

void
ee_jsonb_push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &value);
}

void
ee_jsonb_push_text(JsonbParseState **state, const char *key, const char *text)
{
	if (text != NULL)
		ee_jsonb_push_chars(state, key, text, strlen(text));
}

void
ee_jsonb_push_chars(JsonbParseState **state, const char *key,
					const char *chars, int len)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, chars);
	value.val.string.len = len;
	ee_jsonb_push_key(state, key);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

void
ee_jsonb_push_number(JsonbParseState **state, const char *key, int64 number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	ee_jsonb_push_key(state, key);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

void
ee_jsonb_push_jsonb(JsonbParseState **state, const char *key, Jsonb *jsonb)
{
	JsonbValue	value;

	if (jsonb == NULL)
		return;
	JsonbToJsonbValue(jsonb, &value);
	ee_jsonb_push_key(state, key);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}
