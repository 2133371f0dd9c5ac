/*
 * schema_number.c
 *	  Numbers by value: exact through numeric, and quick for those that an
 *	  int64 can hold.
 *
 * The server keeps the layout of numeric to numeric.c, yet it is the format
 * on disk and hence as stable as anything: 9.1 to 18 share it.  It is read
 * here so that counters and cents, which is what events are full of, cost no
 * call.  Whatever is unusual goes to the server's own functions.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "ground/compat.h"
#include "validation/schema_number.h"

/* the on-disk numeric: a header of one or two uint16, digits of base 10000 */
#define NUM_SIGN_MASK		0xC000
#define NUM_NEG				0x4000
#define NUM_SHORT			0x8000
#define NUM_SPECIAL			0xC000
#define NUM_DSCALE_MASK		0x3FFF
#define NUM_SHORT_SIGN		0x2000
#define NUM_SHORT_DSCALE(h) (((h) & 0x1F80) >> 7)
#define NUM_SHORT_WEIGHT_SIGN 0x0040
#define NUM_SHORT_WEIGHT_MASK 0x003F
#define NUM_BASE			10000

typedef struct Digits
{
	bool		negative;
	int			weight;			/* of the first digit, power of base */
	int			scale;			/* decimal digits after the point */
	int			ndigits;
	const int16 *digits;
} Digits;

static bool read_digits(Numeric num, Digits *d);
static bool read_scaled(const Digits *d, int scale, int64 *value);

/*
 * Takes a numeric apart; false for NaN, infinities and packed headers, which
 * jsonb does not hold.
 */
static bool
read_digits(Numeric num, Digits *d)
{
	const char *p = (const char *) num;
	int			size = VARSIZE_ANY(p);
	uint16		header;

	if (VARATT_IS_1B(p))
		return false;
	p += VARHDRSZ;
	size -= VARHDRSZ;
	header = *(const uint16 *) p;
	if ((header & NUM_SIGN_MASK) == NUM_SPECIAL)
		return false;
	if (header & NUM_SHORT)
	{
		d->negative = (header & NUM_SHORT_SIGN) != 0;
		d->scale = NUM_SHORT_DSCALE(header);
		d->weight = header & NUM_SHORT_WEIGHT_MASK;
		if (header & NUM_SHORT_WEIGHT_SIGN)
			d->weight |= ~NUM_SHORT_WEIGHT_MASK;
		p += sizeof(uint16);
		size -= sizeof(uint16);
	}
	else
	{
		d->negative = (header & NUM_SIGN_MASK) == NUM_NEG;
		d->scale = header & NUM_DSCALE_MASK;
		d->weight = *(const int16 *) (p + sizeof(uint16));
		p += 2 * sizeof(uint16);
		size -= 2 * sizeof(uint16);
	}
	d->digits = (const int16 *) p;
	d->ndigits = size / sizeof(int16);
	return true;
}

/* Is it an integer by value?  Digits carry no trailing zeroes. */
bool
ee_schema_number_is_integer(Numeric num)
{
	Digits		d;

	return read_digits(num, &d) && d.ndigits <= d.weight + 1;
}

/* How many digits stand behind the point, as it was written. */
int
ee_schema_number_scale(Numeric num)
{
	Digits		d;

	return read_digits(num, &d) ? d.scale : 0;
}

/*
 * The greatest integer not above num, where it has at most 16 digits.  A
 * comparison with an integer can be decided from it and *whole.
 */
bool
ee_schema_number_floor(Numeric num, int64 *floor, bool *whole)
{
	Digits		d;
	int64		value = 0;
	int			i;

	if (!read_digits(num, &d) || d.weight > 3)
		return false;
	for (i = 0; i <= d.weight; i++)
		value = value * NUM_BASE + (i < d.ndigits ? d.digits[i] : 0);
	*whole = d.ndigits <= d.weight + 1;
	if (d.negative)
		value = *whole ? -value : -value - 1;
	*floor = value;
	return true;
}

int
ee_schema_number_compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp,
											 NumericGetDatum(a),
											 NumericGetDatum(b)));
}

/*
 * Is num a multiple of divisor (which is above zero)?  Both are scaled to
 * integers where that fits; else the server divides.
 */
bool
ee_schema_number_is_multiple(Numeric num, Numeric divisor)
{
	Digits		a,
				b;
	int64		x,
				y;
	Numeric		rest;
	bool		result;

	if (read_digits(num, &a) && read_digits(divisor, &b))
	{
		int			scale = Max(a.scale, b.scale);

		if (read_scaled(&a, scale, &x) && read_scaled(&b, scale, &y) && y > 0)
			return x % y == 0;
	}
	rest = DatumGetNumeric(DirectFunctionCall2(numeric_mod,
											   NumericGetDatum(num),
											   NumericGetDatum(divisor)));
	result = read_digits(rest, &a) && a.ndigits == 0;
	pfree(rest);
	return result;
}

/* |d| * 10^scale as an int64, where it fits and is exact. */
static bool
read_scaled(const Digits *d, int scale, int64 *value)
{
	int			exponent = (d->weight + 1 - d->ndigits) * 4 + scale;
	int64		v = 0;
	int			i;

	if (d->ndigits > 4 || exponent < -3 || exponent > 18)
		return false;
	for (i = 0; i < d->ndigits; i++)
		v = v * NUM_BASE + d->digits[i];
	for (; exponent < 0; exponent++)
	{
		if (v % 10 != 0)
			return false;
		v /= 10;
	}
	for (; exponent > 0; exponent--)
	{
		if (v > PG_INT64_MAX / 10)
			return false;
		v *= 10;
	}
	*value = v;
	return true;
}

/* The same for numbers that are equal, however they are written. */
uint32
ee_schema_number_hash(Numeric num)
{
	return DatumGetUInt32(DirectFunctionCall1(hash_numeric,
											  NumericGetDatum(num)));
}
