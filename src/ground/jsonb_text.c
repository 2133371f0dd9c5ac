/*
 * jsonb_text.c
 *	  Jsonb as text, the same as its output function makes, in a fraction of
 *	  the time.
 *
 * That function takes an iterator through the value, looks at each byte of
 * each string, and makes a string of its own for each number.  Here the
 * entries of a container are read in their order, so that offsets add up by
 * themselves; strings are copied eight bytes at a time as long as there is
 * nothing to escape in them; and numbers are written where they belong.
 *
 * The format of a number on disk: src/backend/utils/adt/numeric.c,
 * NumericShort.  The other formats are left to numeric_out().
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"

#include "ground/jsonb_text.h"

/* Each byte of a word; a byte of it that is zero, that is below a space. */
#define EACH(byte)			(UINT64CONST(0x0101010101010101) * (byte))
#define HAS_ZERO(word)		(((word) - EACH(0x01)) & ~(word) & EACH(0x80))
#define HAS_CONTROL(word)	(((word) - EACH(' ')) & ~(word) & EACH(0x80))
#define WORD				((int) sizeof(uint64))

/* The longest of what stands for one character. */
#define ESCAPE_LEN			6

/* A number in the short format: its header, then digits to the base 10000. */
#define SHORT_FORMAT		0x8000
#define FORMAT_MASK			0xC000
#define NEGATIVE			0x2000
#define SCALE(header)		(((header) & 0x1F80) >> 7)
#define WEIGHT(header)		((int) ((header) & 0x3F) - (int) ((header) & 0x40))
#define DIGIT_LEN			4

/* Where the text is written. */
typedef struct Writer
{
	StringInfo	buf;
	char	   *at;
	char	   *end;
} Writer;

static void put_container(Writer *w, JsonbContainer *container);
static void put_array(Writer *w, JsonbContainer *array);
static void put_object(Writer *w, JsonbContainer *object);
static uint32 put_entry(Writer *w, JEntry entry, char *data, uint32 offset);
static void put_string(Writer *w, const char *chars, int len);
static void put_escaped(Writer *w, unsigned char c);
static void put_numeric(Writer *w, Numeric number);
static bool put_short_numeric(Writer *w, Numeric number);
static inline int digit_at(const int16 *digits, int n, int i);
static inline char *put_digit(char *at, int digit, bool whole);
static inline void put(Writer *w, const char *chars, int len);
static inline void reserve(Writer *w, int len);
static pg_noinline void grow(Writer *w, int len);

PG_FUNCTION_INFO_V1(ee_sql_jsonb_to_json);

/* jsonb_to_json(value jsonb) RETURNS json */
Datum
ee_sql_jsonb_to_json(PG_FUNCTION_ARGS)
{
	Jsonb	   *value = PG_GETARG_JSONB_P(0);
	StringInfoData out;

	initStringInfo(&out);
	enlargeStringInfo(&out, VARSIZE(value) + VARSIZE(value) / 4);
	out.len = VARHDRSZ;
	ee_jsonb_text_append(&out, &value->root);
	SET_VARSIZE(out.data, out.len);
	PG_RETURN_DATUM(PointerGetDatum(out.data));
}

void
ee_jsonb_text_append(StringInfo out, JsonbContainer *container)
{
	Writer		w = {out, out->data + out->len, out->data + out->maxlen - 1};

	put_container(&w, container);
	*w.at = '\0';
	out->len = w.at - out->data;
}

/* -------------------------------------------------------------- containers */

static void
put_container(Writer *w, JsonbContainer *container)
{
	check_stack_depth();
	if (JsonContainerIsObject(container))
		put_object(w, container);
	else
		put_array(w, container);
}

/* A value that is neither array nor object is kept as an array of it. */
static void
put_array(Writer *w, JsonbContainer *array)
{
	int			n = JsonContainerSize(array);
	char	   *data = (char *) &array->children[n];
	bool		scalar = JsonContainerIsScalar(array);
	uint32		offset = 0;

	if (!scalar)
		put(w, "[", 1);
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			put(w, ", ", 2);
		offset = put_entry(w, array->children[i], data, offset);
	}
	if (!scalar)
		put(w, "]", 1);
}

/* All keys come first, then all values. */
static void
put_object(Writer *w, JsonbContainer *object)
{
	int			n = JsonContainerSize(object);
	char	   *data = (char *) &object->children[2 * n];
	uint32		key = 0;
	uint32		value = n > 0 ? getJsonbOffset(object, n) : 0;

	put(w, "{", 1);
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			put(w, ", ", 2);
		key = put_entry(w, object->children[i], data, key);
		put(w, ": ", 2);
		value = put_entry(w, object->children[n + i], data, value);
	}
	put(w, "}", 1);
}

/* Result: where the next one begins. */
static uint32
put_entry(Writer *w, JEntry entry, char *data, uint32 offset)
{
	uint32		end = JBE_HAS_OFF(entry) ? JBE_OFFLENFLD(entry) :
		offset + JBE_OFFLENFLD(entry);

	if (JBE_ISSTRING(entry))
		put_string(w, data + offset, end - offset);
	else if (JBE_ISNUMERIC(entry))
		put_numeric(w, (Numeric) (data + INTALIGN(offset)));
	else if (JBE_ISBOOL_TRUE(entry))
		put(w, "true", 4);
	else if (JBE_ISBOOL_FALSE(entry))
		put(w, "false", 5);
	else if (JBE_ISNULL(entry))
		put(w, "null", 4);
	else
		put_container(w, (JsonbContainer *) (data + INTALIGN(offset)));
	return end;
}

/* ----------------------------------------------------------------- strings */

/* Words are written whole, and what is too much of the last is overwritten. */
static void
put_string(Writer *w, const char *chars, int len)
{
	const char *end = chars + len;

	reserve(w, len + 2 + ESCAPE_LEN + WORD);
	*w->at++ = '"';
	while (chars < end)
	{
		unsigned char c;

		if (end - chars >= WORD)
		{
			uint64		word;

			memcpy(&word, chars, WORD);
			if (!(HAS_CONTROL(word) || HAS_ZERO(word ^ EACH('"')) ||
				  HAS_ZERO(word ^ EACH('\\'))))
			{
				memcpy(w->at, &word, WORD);
				w->at += WORD;
				chars += WORD;
				continue;
			}
		}
		c = (unsigned char) *chars++;
		if (c >= ' ' && c != '"' && c != '\\')
			*w->at++ = c;
		else
		{
			put_escaped(w, c);
			reserve(w, end - chars + 1 + ESCAPE_LEN + WORD);
		}
	}
	*w->at++ = '"';
}

static void
put_escaped(Writer *w, unsigned char c)
{
	static const char letters[' '] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
	};
	static const char hex[] = "0123456789abcdef";

	*w->at++ = '\\';
	if (c >= ' ')
		*w->at++ = c;
	else if (letters[c] != '\0')
		*w->at++ = letters[c];
	else
	{
		memcpy(w->at, "u00", 3);
		w->at[3] = hex[c >> 4];
		w->at[4] = hex[c & 0x0f];
		w->at += 5;
	}
}

/* ----------------------------------------------------------------- numbers */

static void
put_numeric(Writer *w, Numeric number)
{
	char	   *digits;

	if (put_short_numeric(w, number))
		return;
	digits = DatumGetCString(DirectFunctionCall1(numeric_out,
												 NumericGetDatum(number)));
	put(w, digits, strlen(digits));
	pfree(digits);
}

static bool
put_short_numeric(Writer *w, Numeric number)
{
	const char *data = VARDATA_ANY(number);
	const int16 *digits;
	int			n = (int) (VARSIZE_ANY_EXHDR(number) - sizeof(uint16)) /
		(int) sizeof(int16);
	uint16		header;
	int			i = 0;
	int			scale;
	int			weight;
	char	   *at;

	memcpy(&header, data, sizeof(header));
	if ((header & FORMAT_MASK) != SHORT_FORMAT)
		return false;
	digits = (const int16 *) (data + sizeof(header));
	scale = SCALE(header);
	weight = WEIGHT(header);
	reserve(w, Max(weight + 1, 1) * DIGIT_LEN + scale + DIGIT_LEN + 2);
	at = w->at;
	if (header & NEGATIVE)
		*at++ = '-';
	if (weight < 0)
	{
		*at++ = '0';
		i = weight + 1;
	}
	else
		for (; i <= weight; i++)
			at = put_digit(at, digit_at(digits, n, i), i > 0);
	if (scale > 0)
	{
		char	   *point = at;

		*at++ = '.';
		for (int places = 0; places < scale; places += DIGIT_LEN)
			at = put_digit(at, digit_at(digits, n, i++), true);
		at = point + 1 + scale;
	}
	w->at = at;
	return true;
}

/* What is not stored is zero. */
static inline int
digit_at(const int16 *digits, int n, int i)
{
	return i >= 0 && i < n ? digits[i] : 0;
}

/* To the base 10000; whole: with its leading zeros. */
static inline char *
put_digit(char *at, int digit, bool whole)
{
	if (whole || digit >= 1000)
		*at++ = '0' + digit / 1000;
	if (whole || digit >= 100)
		*at++ = '0' + digit / 100 % 10;
	if (whole || digit >= 10)
		*at++ = '0' + digit / 10 % 10;
	*at++ = '0' + digit % 10;
	return at;
}

/* ------------------------------------------------------------------- space */

static inline void
put(Writer *w, const char *chars, int len)
{
	reserve(w, len);
	memcpy(w->at, chars, len);
	w->at += len;
}

static inline void
reserve(Writer *w, int len)
{
	if (w->end - w->at < len)
		grow(w, len);
}

static pg_noinline void
grow(Writer *w, int len)
{
	w->buf->len = w->at - w->buf->data;
	enlargeStringInfo(w->buf, len);
	w->at = w->buf->data + w->buf->len;
	w->end = w->buf->data + w->buf->maxlen - 1;
}
