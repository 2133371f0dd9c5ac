/*
 * fuzz_mutate.c
 *	  Changes texts of JSON so that they mostly remain JSON.
 *
 * An input is a letter and lines of JSON (see fuzz_schema.c).  Values and
 * members are found by looking at brackets and quotes alone; one of them is
 * replaced, copied, removed or wrapped, by a value from elsewhere in the input
 * or by one from the tables below.
 */
#include "postgres.h"

#include "fuzz.h"

#define MAX_SPANS	2000
#define MAX_PIECE	2000

extern size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* a value, or a key with its quotes */
typedef struct Span
{
	size_t		begin;
	size_t		end;
	bool		key;
} Span;

typedef struct Text
{
	const unsigned char *data;
	size_t		size;
	int			nspans;
	Span		spans[MAX_SPANS];
} Text;

static const char *const keywords[] = {
	"$anchor", "$defs", "$dynamicAnchor", "$dynamicRef", "$id",
	"$recursiveAnchor", "$recursiveRef", "$ref", "$schema", "$vocabulary",
	"additionalItems", "additionalProperties", "allOf", "anyOf", "const",
	"contains", "contentEncoding", "contentMediaType", "contentSchema",
	"definitions", "dependencies", "dependentRequired", "dependentSchemas",
	"else", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "id",
	"if", "items", "maxContains", "maxItems", "maxLength", "maxProperties",
	"maximum", "minContains", "minItems", "minLength", "minProperties",
	"minimum", "multipleOf", "not", "oneOf", "pattern", "patternProperties",
	"prefixItems", "properties", "propertyDependencies", "propertyNames",
	"required", "then", "type", "unevaluatedItems", "unevaluatedProperties",
	"uniqueItems", "a", "b", "foo", "bar", ""
};

static const char *const values[] = {
	"null", "true", "false", "0", "1", "-1", "2", "3", "1.0", "0.5", "-0",
	"1e400", "1e-400", "9223372036854775807", "9223372036854775808",
	"-9223372036854775808", "4294967295", "4294967296", "0.1", "1e15",
	"\"\"", "\"a\"", "\"foo\"", "\"bar\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"",
	"\"/\"", "\"~0~1\"", "\"#\"", "\"#/\"", "\"#a\"", "\"#/$defs/a\"",
	"\"#/properties/a\"", "\"#/items\"", "\"#/definitions/a\"", "\"#/allOf/0\"",
	"\"http://x/2\"", "\"http://x/2#/$defs/a\"", "\"http://x/\"", "\"x\"",
	"\"%25\"", "\"urn:x\"",
	"\"http://json-schema.org/draft-04/schema#\"",
	"\"http://json-schema.org/draft-06/schema#\"",
	"\"http://json-schema.org/draft-07/schema#\"",
	"\"https://json-schema.org/draft/2019-09/schema\"",
	"\"https://json-schema.org/draft/2020-12/schema\"",
	"\"https://json-schema.org/v1\"",
	"\"array\"", "\"boolean\"", "\"integer\"", "\"null\"", "\"number\"",
	"\"object\"", "\"string\"", "[\"integer\",\"string\"]",
	"\"date-time\"", "\"date\"", "\"time\"", "\"duration\"", "\"email\"",
	"\"idn-email\"", "\"hostname\"", "\"idn-hostname\"", "\"ipv4\"",
	"\"ipv6\"", "\"uri\"", "\"uri-reference\"", "\"iri\"",
	"\"iri-reference\"", "\"uri-template\"", "\"json-pointer\"",
	"\"relative-json-pointer\"", "\"regex\"", "\"uuid\"",
	"\"base64\"", "\"application/json\"", "\"eyJhIjoxfQ==\"",
	"\"^a\"", "\"^(a|b)*$\"", "\"\\\\p{L}\"", "\"(?=a)b\"", "\"(a)\\\\1\"",
	"\"^[^x]{2,3}$\"", "\".\"", "\"^.*$\"", "\"[\"",
	"\"2020-02-29T23:59:60Z\"", "\"12:00:00Z\"", "\"a@b.c\"", "\"::1\"",
	"\"127.0.0.1\"", "\"P1Y\"",
	"{}", "[]", "[[]]", "[{}]", "[true]", "[false]", "[1]", "[1,1.0]",
	"[\"a\",\"b\"]", "{\"a\":1}", "{\"a\":{}}", "{\"a\":true}", "{\"a\":false}",
	"{\"foo\":1,\"bar\":\"x\"}", "{\"a\":[\"b\"]}", "{\"a\":{\"b\":{}}}",
	"{\"$ref\":\"#\"}", "{\"$ref\":\"#/$defs/a\"}", "{\"$dynamicRef\":\"#a\"}",
	"{\"$recursiveRef\":\"#\"}", "{\"type\":\"string\"}",
	"{\"type\":\"integer\"}", "{\"type\":\"object\"}", "{\"not\":{}}",
	"{\"const\":1}", "{\"enum\":[1,\"a\",null]}", "{\"minimum\":1}",
	"{\"items\":{\"$ref\":\"#\"}}", "{\"properties\":{\"a\":{\"$ref\":\"#\"}}}",
	"{\"required\":[\"a\"]}", "{\"additionalProperties\":false}",
	"{\"unevaluatedProperties\":false}", "{\"unevaluatedItems\":false}",
	"{\"$dynamicAnchor\":\"a\"}", "{\"$anchor\":\"a\"}", "{\"$id\":\"b\"}",
	"{\"oneOf\":[{\"type\":\"string\"},{\"const\":1}]}",
	"{\"if\":{\"required\":[\"a\"]},\"then\":false}",
	"{\"contains\":{\"const\":1},\"minContains\":2}"
};

static const char *const wraps[][2] = {
	{"[", "]"}, {"{\"a\":", "}"}, {"{\"not\":", "}"}, {"{\"allOf\":[", "]}"},
	{"{\"anyOf\":[", ",true]}"}, {"{\"oneOf\":[", ",false]}"},
	{"{\"items\":", "}"}, {"{\"properties\":{\"a\":", "}}"},
	{"{\"additionalProperties\":", "}"}, {"{\"$defs\":{\"a\":", "},\"$ref\":\"#/$defs/a\"}"},
	{"{\"if\":", ",\"then\":{\"$ref\":\"#\"}}"}, {"{\"contains\":", "}"},
	{"{\"unevaluatedProperties\":", "}"}, {"{\"propertyNames\":", "}"},
	{"{\"patternProperties\":{\"a\":", "}}"}, {"{\"prefixItems\":[", "]}"},
	{"{\"dependentSchemas\":{\"a\":", "}}"}, {"{\"$id\":\"http://x/\",\"allOf\":[", "]}"}
};

static Text one_text;
static Text other_text;
static uint64 random_state;

static uint32 roll(uint32 n);
static void find_spans(Text *text, const unsigned char *data, size_t size);
static size_t value_at(Text *text, size_t i);
static const Span *any_span(const Text *text, bool key);
static size_t replace(unsigned char *data, size_t size, size_t max_size,
					  size_t begin, size_t end, const char *with, size_t len);
static size_t random_piece(const Text *text, char *piece);
static size_t change(unsigned char *data, size_t size, size_t max_size);
static size_t change_inside(unsigned char *data, size_t size, size_t max_size,
							Span span);
static size_t remove_span(unsigned char *data, size_t size, Span span);

size_t
ee_fuzz_mutate_json(unsigned char *data, size_t size, size_t max_size,
					unsigned int seed)
{
	int			n;

	random_state = seed * UINT64CONST(0x9E3779B97F4A7C15) + 1;
	if (size < 2)
	{
		memcpy(data, "4{}\n{}", Min(6, max_size));
		size = Min(6, max_size);
	}
	if (roll(20) == 0)
		data[0] = "012345" "89:;<=" "pqrstu"[roll(18)];
	for (n = 1 + roll(3); n > 0; n--)
		size = change(data, size, max_size);
	return size;
}

/* A value of the other, in place of one of the first. */
size_t
ee_fuzz_cross_json(const unsigned char *one, size_t one_size,
				   const unsigned char *other, size_t other_size,
				   unsigned char *out, size_t max_size, unsigned int seed)
{
	const Span *to;
	const Span *from;
	size_t		size = Min(one_size, max_size);

	random_state = seed * UINT64CONST(0x9E3779B97F4A7C15) + 1;
	memcpy(out, one, size);
	find_spans(&one_text, out, size);
	find_spans(&other_text, other, other_size);
	to = any_span(&one_text, false);
	from = any_span(&other_text, false);
	if (to == NULL || from == NULL)
		return size;
	return replace(out, size, max_size, to->begin, to->end,
				   (const char *) other + from->begin,
				   from->end - from->begin);
}

static uint32
roll(uint32 n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 20) % n;
}

static void
find_spans(Text *text, const unsigned char *data, size_t size)
{
	size_t		i = 1;

	text->data = data;
	text->size = size;
	text->nspans = 0;
	while (i < size)
	{
		if (data[i] == '\n')
			i++;
		else
			i = value_at(text, i);
	}
}

/* Notes the value that begins here, and what is in it; returns its end. */
static size_t
value_at(Text *text, size_t i)
{
	const unsigned char *data = text->data;
	size_t		size = text->size;
	Span	   *span = NULL;
	bool		object;

	if (text->nspans < MAX_SPANS)
	{
		span = &text->spans[text->nspans++];
		span->begin = i;
		span->key = false;
	}
	if (data[i] == '"')
	{
		for (i++; i < size && data[i] != '"' && data[i] != '\n'; i++)
		{
			if (data[i] == '\\' && i + 1 < size)
				i++;
		}
		i = Min(i + 1, size);
	}
	else if ((data[i] == '{' || data[i] == '[') && text->nspans < MAX_SPANS)
	{
		object = data[i] == '{';
		for (i++; i < size && data[i] != '\n';)
		{
			if (data[i] == '}' || data[i] == ']')
			{
				i++;
				break;
			}
			if (data[i] == ',' || data[i] == ':' || data[i] == ' ')
				i++;
			else
			{
				int			n = text->nspans;

				i = value_at(text, i);
				if (object && i < size && data[i] == ':' &&
					n < text->nspans)
					text->spans[n].key = true;
			}
		}
	}
	else
	{
		for (i++; i < size && strchr(",:]} \n", data[i]) == NULL; i++)
			;
	}
	if (span != NULL)
		span->end = i;
	return i;
}

static const Span *
any_span(const Text *text, bool key)
{
	int			tries;

	for (tries = 0; tries < 8 && text->nspans > 0; tries++)
	{
		const Span *span = &text->spans[roll(text->nspans)];

		if (span->key == key)
			return span;
	}
	return NULL;
}

/* Returns the new size; the old one if there is no room. */
static size_t
replace(unsigned char *data, size_t size, size_t max_size, size_t begin,
		size_t end, const char *with, size_t len)
{
	if (size - (end - begin) + len > max_size)
		return size;
	memmove(data + begin + len, data + end, size - end);
	memcpy(data + begin, with, len);
	return size - (end - begin) + len;
}

/* A value from the tables or from the text itself. */
static size_t
random_piece(const Text *text, char *piece)
{
	const Span *span;

	if (roll(3) == 0)
	{
		span = any_span(text, false);
		if (span != NULL && span->end - span->begin <= MAX_PIECE)
		{
			memcpy(piece, text->data + span->begin, span->end - span->begin);
			return span->end - span->begin;
		}
	}
	return strlen(strcpy(piece, values[roll(lengthof(values))]));
}

static size_t
change(unsigned char *data, size_t size, size_t max_size)
{
	char		piece[2 * MAX_PIECE + 100];
	char		value[MAX_PIECE + 1];
	const Span *span;
	size_t		len;
	size_t		value_len;
	uint32		n;

	find_spans(&one_text, data, size);
	n = roll(10);
	span = any_span(&one_text, n == 0);
	if (span == NULL)
		return size;
	len = span->end - span->begin;
	switch (n)
	{
		case 0:					/* another key */
			len = sprintf(piece, "\"%s\"", keywords[roll(lengthof(keywords))]);
			return replace(data, size, max_size, span->begin, span->end,
						   piece, len);
		case 1:
		case 2:
		case 3:					/* another value */
			len = random_piece(&one_text, piece);
			return replace(data, size, max_size, span->begin, span->end,
						   piece, len);
		case 4:
		case 5:
		case 6:					/* one more member or element */
			value_len = random_piece(&one_text, value);
			value[value_len] = '\0';
			if (data[span->begin] == '{')
				len = sprintf(piece, "\"%s\":%s%s",
							  keywords[roll(lengthof(keywords))], value,
							  data[span->begin + 1] == '}' ? "" : ",");
			else if (data[span->begin] == '[')
				len = sprintf(piece, "%s%s", value,
							  data[span->begin + 1] == ']' ? "" : ",");
			else
				return change_inside(data, size, max_size, *span);
			return replace(data, size, max_size, span->begin + 1,
						   span->begin + 1, piece, len);
		case 7:					/* wrapped */
			if (len > MAX_PIECE)
				return size;
			n = roll(lengthof(wraps));
			len = sprintf(piece, "%s%.*s%s", wraps[n][0], (int) len,
						  data + span->begin, wraps[n][1]);
			return replace(data, size, max_size, span->begin, span->end,
						   piece, len);
		case 8:
			return remove_span(data, size, *span);
		default:
			return change_inside(data, size, max_size, *span);
	}
}

/* Strings and numbers, byte by byte. */
static size_t
change_inside(unsigned char *data, size_t size, size_t max_size, Span span)
{
	uint8_t		inside[MAX_PIECE + 64];
	size_t		len = span.end - span.begin;
	size_t		quote = data[span.begin] == '"';

	if (len > MAX_PIECE || data[span.begin] == '{' ||
		data[span.begin] == '[' || len < 2 * quote)
		return size;
	len -= 2 * quote;
	memcpy(inside, data + span.begin + quote, len);
	len = LLVMFuzzerMutate(inside, len, len + 32);
	return replace(data, size, max_size, span.begin + quote,
				   span.end - quote, (char *) inside, len);
}

/* With its key and a comma, where it has them. */
static size_t
remove_span(unsigned char *data, size_t size, Span span)
{
	size_t		begin = span.begin;
	size_t		end = span.end;

	if (begin > 1 && data[begin - 1] == ':')
	{
		for (begin -= 2; begin > 1 && data[begin - 1] != '{' &&
			 data[begin - 1] != ','; begin--)
			;
	}
	if (end < size && data[end] == ',')
		end++;
	else if (begin > 1 && data[begin - 1] == ',')
		begin--;
	memmove(data + begin, data + end, size - end);
	return size - (end - begin);
}
