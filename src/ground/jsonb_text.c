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
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

/* The same in each byte of a word; the highest bit of bytes below that. */
#define EACH(byte)			(UINT64CONST(0x0101010101010101) * (byte))
#define BELOW(word, byte)	(((word) - EACH(byte)) & ~(word) & EACH(0x80))
#define TO_ESCAPE(word) \
	(BELOW(word, ' ') | BELOW((word) ^ EACH('"'), 1) | \
	 BELOW((word) ^ EACH('\\'), 1))
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

/*
 * Where the text is written.  What puts something there is given the place
 * and gives the next.
 */
typedef struct Writer
{
	StringInfo	buf;
	char	   *end;			/* of the room in it */
	const char *limit;			/* of the value, to read whole words in */
} Writer;

static char *put_container(Writer *w, char *at, JsonbContainer *container);
static char *put_array(Writer *w, char *at, JsonbContainer *array);
static char *put_object(Writer *w, char *at, JsonbContainer *object);
static inline char *put_entry(Writer *w, char *at, JEntry entry, char *data,
							  uint32 offset, uint32 end);
static inline uint32 end_of(JEntry entry, uint32 offset);
static inline char *put_string(Writer *w, char *at, const char *chars,
							   int len);
static inline bool copy_plain(char *to, const char *from, int len);
static pg_noinline char *put_escaping(Writer *w, char *at, const char *chars,
									  const char *end);
static char *put_escaped(char *at, unsigned char c);
static pg_noinline char *put_numeric(Writer *w, char *at, Numeric number);
static char *put_short_numeric(Writer *w, char *at, Numeric number);
static inline int digit_at(const int16 *digits, int n, int i);
static inline char *put_digit(char *at, int digit, bool whole);
static inline char *put(Writer *w, char *at, const char *chars, int len);
static inline char *reserve(Writer *w, char *at, int len);
static pg_noinline char *grow(Writer *w, char *at, int len);

PG_FUNCTION_INFO_V1(ee_sql_jsonb_to_json);

/* jsonb_to_json(value jsonb) RETURNS json */
Datum
ee_sql_jsonb_to_json(PG_FUNCTION_ARGS)
{
	Jsonb	   *value = PG_GETARG_JSONB_P(0);
	StringInfoData out;
	Writer		w = {&out};
	char	   *at;

	initStringInfo(&out);
	w.limit = (char *) value + VARSIZE(value);
	at = grow(&w, out.data + VARHDRSZ, VARSIZE(value) + VARSIZE(value) / 4);
	at = put_container(&w, at, &value->root);
	SET_VARSIZE(out.data, at - out.data);
	PG_RETURN_DATUM(PointerGetDatum(out.data));
}

/* -------------------------------------------------------------- containers */

static char *
put_container(Writer *w, char *at, JsonbContainer *container)
{
	check_stack_depth();
	return JsonContainerIsObject(container) ? put_object(w, at, container) :
		put_array(w, at, container);
}

/* A value that is neither array nor object is kept as an array of it. */
static char *
put_array(Writer *w, char *at, JsonbContainer *array)
{
	int			n = JsonContainerSize(array);
	char	   *data = (char *) &array->children[n];
	bool		scalar = JsonContainerIsScalar(array);
	uint32		offset = 0;

	if (!scalar)
		at = put(w, at, "[", 1);
	for (int i = 0; i < n; i++)
	{
		uint32		end = end_of(array->children[i], offset);

		if (i > 0)
			at = put(w, at, ", ", 2);
		at = put_entry(w, at, array->children[i], data, offset, end);
		offset = end;
	}
	return scalar ? at : put(w, at, "]", 1);
}

/* All keys come first, then all values. */
static char *
put_object(Writer *w, char *at, JsonbContainer *object)
{
	int			n = JsonContainerSize(object);
	JEntry	   *entries = object->children;
	char	   *data = (char *) &entries[2 * n];
	uint32		key = 0;
	uint32		value = n > 0 ? getJsonbOffset(object, n) : 0;

	at = put(w, at, "{", 1);
	for (int i = 0; i < n; i++)
	{
		uint32		key_end = end_of(entries[i], key);
		uint32		value_end = end_of(entries[n + i], value);

		if (i > 0)
			at = put(w, at, ", ", 2);
		at = put_string(w, at, data + key, key_end - key);
		at = put(w, at, ": ", 2);
		at = put_entry(w, at, entries[n + i], data, value, value_end);
		key = key_end;
		value = value_end;
	}
	return put(w, at, "}", 1);
}

static inline char *
put_entry(Writer *w, char *at, JEntry entry, char *data, uint32 offset,
		  uint32 end)
{
	if (JBE_ISSTRING(entry))
		return put_string(w, at, data + offset, end - offset);
	if (JBE_ISNUMERIC(entry))
		return put_numeric(w, at, (Numeric) (data + INTALIGN(offset)));
	if (JBE_ISBOOL_TRUE(entry))
		return put(w, at, "true", 4);
	if (JBE_ISBOOL_FALSE(entry))
		return put(w, at, "false", 5);
	if (JBE_ISNULL(entry))
		return put(w, at, "null", 4);
	return put_container(w, at, (JsonbContainer *) (data + INTALIGN(offset)));
}

static inline uint32
end_of(JEntry entry, uint32 offset)
{
	return JBE_HAS_OFF(entry) ? JBE_OFFLENFLD(entry) :
		offset + JBE_OFFLENFLD(entry);
}

/* ----------------------------------------------------------------- strings */

/* Words are copied whole, and what is too much of the last is overwritten. */
static inline char *
put_string(Writer *w, char *at, const char *chars, int len)
{
	const char *end = chars + len;

	at = reserve(w, at, len + 2 + WORD);
	*at++ = '"';
	if (w->limit - end >= WORD)
		while (chars < end && copy_plain(at, chars, Min(end - chars, WORD)))
		{
			at += Min(end - chars, WORD);
			chars += Min(end - chars, WORD);
		}
	if (chars < end)
		at = put_escaping(w, at, chars, end);
	*at++ = '"';
	return at;
}

/* Copies a word; true when there is nothing to escape in its first len bytes. */
static inline bool
copy_plain(char *to, const char *from, int len)
{
	static const unsigned char window[2 * WORD] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
	};
	uint64		word;
	uint64		mask;

	memcpy(&word, from, WORD);
	memcpy(&mask, window + WORD - len, WORD);
	memcpy(to, &word, WORD);
	return (TO_ESCAPE(word) & mask) == 0;
}

/* Where there is something to escape, or the value ends. */
static pg_noinline char *
put_escaping(Writer *w, char *at, const char *chars, const char *end)
{
	while (chars < end)
	{
		unsigned char c = (unsigned char) *chars;

		at = reserve(w, at, end - chars + 1 + ESCAPE_LEN);
		if (end - chars >= WORD && copy_plain(at, chars, WORD))
		{
			at += WORD;
			chars += WORD;
			continue;
		}
		if (c >= ' ' && c != '"' && c != '\\')
			*at++ = c;
		else
			at = put_escaped(at, c);
		chars++;
	}
	return at;
}

static char *
put_escaped(char *at, unsigned char c)
{
	static const char letters[' '] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
	};
	static const char hex[] = "0123456789abcdef";

	*at++ = '\\';
	if (c >= ' ')
		*at++ = c;
	else if (letters[c] != '\0')
		*at++ = letters[c];
	else
	{
		memcpy(at, "u00", 3);
		at[3] = hex[c >> 4];
		at[4] = hex[c & 0x0f];
		at += 5;
	}
	return at;
}

/* ----------------------------------------------------------------- numbers */

static pg_noinline char *
put_numeric(Writer *w, char *at, Numeric number)
{
	char	   *next = put_short_numeric(w, at, number);
	char	   *digits;

	if (next != NULL)
		return next;
	digits = DatumGetCString(DirectFunctionCall1(numeric_out,
												 NumericGetDatum(number)));
	at = put(w, at, digits, strlen(digits));
	pfree(digits);
	return at;
}

/* NULL when it is of another format. */
static char *
put_short_numeric(Writer *w, char *at, Numeric number)
{
	const char *data = VARDATA_ANY(number);
	const int16 *digits;
	int			n = (int) (VARSIZE_ANY_EXHDR(number) - sizeof(uint16)) /
		(int) sizeof(int16);
	uint16		header;
	int			i = 0;
	int			scale;
	int			weight;

	memcpy(&header, data, sizeof(header));
	if ((header & FORMAT_MASK) != SHORT_FORMAT)
		return NULL;
	digits = (const int16 *) (data + sizeof(header));
	scale = SCALE(header);
	weight = WEIGHT(header);
	at = reserve(w, at,
				 Max(weight + 1, 1) * DIGIT_LEN + scale + DIGIT_LEN + 2);
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
	return at;
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

static inline char *
put(Writer *w, char *at, const char *chars, int len)
{
	at = reserve(w, at, len);
	memcpy(at, chars, len);
	return at + len;
}

static inline char *
reserve(Writer *w, char *at, int len)
{
	return likely(w->end - at >= len) ? at : grow(w, at, len);
}

static pg_noinline char *
grow(Writer *w, char *at, int len)
{
	w->buf->len = at - w->buf->data;
	enlargeStringInfo(w->buf, len);
	w->end = w->buf->data + w->buf->maxlen - 1;
	return w->buf->data + w->buf->len;
}
