/*
 * schema_charset.c
 *	  A set of characters, as ranges.
 */
#include "postgres.h"

#include "validation/schema_charset.h"

static int	compare_ranges(const void *a, const void *b);

EeCharSet *
ee_schema_charset_make(void)
{
	EeCharSet  *set = palloc(sizeof(EeCharSet));

	set->nranges = 0;
	set->max_ranges = 4;
	set->ranges = palloc(set->max_ranges * sizeof(EeCharRange));
	return set;
}

void
ee_schema_charset_add(EeCharSet *set, pg_wchar low, pg_wchar high)
{
	if (set->nranges == set->max_ranges)
	{
		set->max_ranges *= 2;
		set->ranges = repalloc(set->ranges,
							   set->max_ranges * sizeof(EeCharRange));
	}
	set->ranges[set->nranges].low = low;
	set->ranges[set->nranges++].high = high;
}

/* Sorts the ranges and joins those that meet. */
void
ee_schema_charset_normalise(EeCharSet *set)
{
	int			i,
				n = 0;

	qsort(set->ranges, set->nranges, sizeof(EeCharRange), compare_ranges);
	for (i = 0; i < set->nranges; i++)
	{
		/* no text holds the character 0 */
		if (set->ranges[i].high == 0)
			continue;
		set->ranges[i].low = Max(set->ranges[i].low, 1);
		if (n > 0 && set->ranges[i].low <= set->ranges[n - 1].high + 1)
			set->ranges[n - 1].high = Max(set->ranges[n - 1].high,
										  set->ranges[i].high);
		else
			set->ranges[n++] = set->ranges[i];
	}
	set->nranges = n;
}

/* The complement of a normal set; no text holds the character 0. */
void
ee_schema_charset_invert(EeCharSet *set)
{
	EeCharSet  *other = ee_schema_charset_make();
	pg_wchar	next = 1;
	pg_wchar	last;
	int			i;

	/* the server's wide characters of other encodings go beyond Unicode */
	last = GetDatabaseEncoding() == PG_UTF8 ? EE_MAX_CHAR : 0x7FFFFFFD;
	for (i = 0; i < set->nranges; i++)
	{
		if (set->ranges[i].low > next)
			ee_schema_charset_add(other, next, set->ranges[i].low - 1);
		next = set->ranges[i].high + 1;
	}
	if (next <= last)
		ee_schema_charset_add(other, next, last);
	*set = *other;
}

static int
compare_ranges(const void *a, const void *b)
{
	const EeCharRange *x = a;
	const EeCharRange *y = b;

	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return 0;
}
