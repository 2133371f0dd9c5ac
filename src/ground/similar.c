/*
 * similar.c
 *	  Which of the names known is the one that was meant?
 *
 * The nearest by edits of a character: left out, put in, replaced, or two
 * swapped (Damerau and Levenshtein's distance, no part edited twice).  A third
 * of a name may be wrong, and at most MAX_EDITS characters; upper and lower
 * case of ASCII are the same.  Of names equally near the first offered is
 * taken.
 */
#include "postgres.h"

#include "ground/similar.h"

#define MAX_EDITS	3

static int	decode(pg_wchar *out, const char *name, uint32 len);
static int	distance(const pg_wchar *a, int alen, const pg_wchar *b, int blen,
					 int most);

/* name: what was written; what is like it is offered next. */
void
ee_similar_begin(EeSimilar *similar, const char *name, uint32 len)
{
	similar->best = NULL;
	similar->best_len = 0;
	similar->len = decode(similar->name, name, len);
	similar->edits = Min(MAX_EDITS, similar->len / 3);
}

/* The characters of a name, in lower case; -1 if they are too many. */
static int
decode(pg_wchar *out, const char *name, uint32 len)
{
	int			n;
	int			i;

	for (n = 0; n < len && n < EE_SIMILAR_CHARS; n++)
	{
		if (IS_HIGHBIT_SET(name[n]))
			break;
		out[n] = name[n];
	}
	if (n < len)
	{
		if (len > EE_SIMILAR_CHARS * pg_database_encoding_max_length() ||
			pg_mbstrlen_with_len(name, len) > EE_SIMILAR_CHARS)
			return -1;
		n = pg_mb2wchar_with_len(name, out, len);
	}
	for (i = 0; i < n; i++)
	{
		if (out[i] >= 'A' && out[i] <= 'Z')
			out[i] += 'a' - 'A';
	}
	return n;
}

/* A name that is known; it must live as long as the search. */
void
ee_similar_offer(EeSimilar *similar, const char *name, uint32 len)
{
	int			most = similar->edits - (similar->best != NULL);
	int			max_bytes = pg_database_encoding_max_length();
	pg_wchar	other[EE_SIMILAR_CHARS + 1];
	int			other_len;
	int			edits;

	/* most names differ too much in length */
	if (similar->len < 0 || most < 0 ||
		(int64) len < similar->len - most ||
		(int64) len > (int64) (similar->len + most) * max_bytes)
		return;
	other_len = decode(other, name, len);
	if (other_len < 0 || abs(other_len - similar->len) > most)
		return;
	edits = distance(similar->name, similar->len, other, other_len, most);
	if (edits <= most)
	{
		similar->best = name;
		similar->best_len = len;
		similar->edits = edits;
	}
}

/*
 * Edits from a to b; more than most if they are more.  What lies further than
 * most from the diagonal need not be looked at.
 */
static int
distance(const pg_wchar *a, int alen, const pg_wchar *b, int blen, int most)
{
	int			rows[3][EE_SIMILAR_CHARS + 2];
	int		   *before = rows[0];	/* of the character before the last */
	int		   *last = rows[1];
	int		   *row = rows[2];
	int			i,
				j;

	for (j = 0; j <= blen + 1; j++)
		last[j] = before[j] = j;
	for (i = 1; i <= alen; i++)
	{
		int			from = Max(1, i - most);
		int			to = Min(blen, i + most);
		int			least = from == 1 ? i : most + 1;
		int		   *free_row = before;

		row[from - 1] = least;
		for (j = from; j <= to; j++)
		{
			int			d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = Min(d, Min(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
				a[i - 2] == b[j - 1])
				d = Min(d, before[j - 2] + 1);
			row[j] = d;
			least = Min(least, d);
		}
		row[to + 1] = most + 1;
		if (least > most)
			return least;
		before = last;
		last = row;
		row = free_row;
	}
	return last[blen];
}
