/*
 * definition_version.c
 *	  Semantic versions as semver.org 2.0.0 has them.
 *
 * Promises the order given there: numbers by value, a pre-release before its
 * release, build metadata without influence.  Numbers may have any length.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "ground/compat.h"
#include "ground/errors.h"
#include "registry/definition_version.h"

/* what is left to read of a version */
typedef struct Reader
{
	const char *at;
	const char *end;
} Reader;

static void check_identifiers(const char *version, int len, Reader *reader,
							  bool numbers_count);
pg_noreturn static void invalid(const char *version, int len, const char *at);
static Reader next_part(Reader *reader, char separator);
static int	compare_numbers(Reader a, Reader b);
static int	compare_prereleases(Reader a, Reader b);
static bool all_digits(Reader part);
static Reader without_build(const char *version, int len);

PG_FUNCTION_INFO_V1(ee_sql_compare_versions);

Datum
ee_sql_compare_versions(PG_FUNCTION_ARGS)
{
	text	   *a = PG_GETARG_TEXT_PP(0);
	text	   *b = PG_GETARG_TEXT_PP(1);
	int			order;

	ee_definition_version_check(VARDATA_ANY(a), VARSIZE_ANY_EXHDR(a));
	ee_definition_version_check(VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
	order = ee_definition_version_compare(VARDATA_ANY(a), VARSIZE_ANY_EXHDR(a),
										  VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
	PG_RETURN_INT32(order < 0 ? -1 : order > 0 ? 1 : 0);
}

void
ee_definition_version_check(const char *version, int len)
{
	Reader		reader = {version, version + len};
	int			i;

	if (len == 0 || pg_mbstrlen_with_len(version, len) > EE_DEFINITION_VERSION_MAX)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_DEFINITION),
				 errmsg("a version must have 1 to %d characters",
						EE_DEFINITION_VERSION_MAX)));

	for (i = 0; i < 3; i++)
	{
		const char *start = reader.at;

		while (reader.at < reader.end && *reader.at >= '0' && *reader.at <= '9')
			reader.at++;
		if (reader.at == start)
			invalid(version, len, start);
		if (*start == '0' && reader.at > start + 1)
			invalid(version, len, start + 1);
		if (i < 2)
		{
			if (reader.at == reader.end || *reader.at != '.')
				invalid(version, len, reader.at);
			reader.at++;
		}
	}

	if (reader.at < reader.end && *reader.at == '-')
	{
		reader.at++;
		check_identifiers(version, len, &reader, true);
	}
	if (reader.at < reader.end && *reader.at == '+')
	{
		reader.at++;
		check_identifiers(version, len, &reader, false);
	}
	if (reader.at < reader.end)
		invalid(version, len, reader.at);
}

/* Identifiers between dots; where numbers count they have no leading zero. */
static void
check_identifiers(const char *version, int len, Reader *reader,
				  bool numbers_count)
{
	for (;;)
	{
		const char *start = reader->at;
		Reader		identifier;

		while (reader->at < reader->end &&
			   (isalnum((unsigned char) *reader->at) || *reader->at == '-') &&
			   !IS_HIGHBIT_SET(*reader->at))
			reader->at++;
		if (reader->at == start)
			invalid(version, len, start);

		identifier.at = start;
		identifier.end = reader->at;
		if (numbers_count && *start == '0' && reader->at > start + 1 &&
			all_digits(identifier))
			invalid(version, len, start + 1);

		if (reader->at == reader->end || *reader->at != '.')
			return;
		reader->at++;
	}
}

static void
invalid(const char *version, int len, const char *at)
{
	const char *hint = "A version is like 1.0.0, 2.1.0-beta.1 or 1.0.0+build.5.";

	if (at < version + len)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_DEFINITION),
				 errmsg("\"%.*s\" is not a semantic version", len, version),
				 errdetail("Character \"%.*s\" at position %d is wrong there.",
						   pg_mblen(at), at,
						   pg_mbstrlen_with_len(version, at - version) + 1),
				 errhint("%s", hint)));
	else
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_DEFINITION),
				 errmsg("\"%.*s\" is not a semantic version", len, version),
				 errdetail("It ends too early."),
				 errhint("%s", hint)));
}

int
ee_definition_version_compare(const char *a, int alen,
							  const char *b, int blen)
{
	Reader		ra = without_build(a, alen);
	Reader		rb = without_build(b, blen);
	Reader		core_a = next_part(&ra, '-');
	Reader		core_b = next_part(&rb, '-');
	int			i;

	for (i = 0; i < 3; i++)
	{
		int			order = compare_numbers(next_part(&core_a, '.'),
											next_part(&core_b, '.'));

		if (order != 0)
			return order;
	}

	return compare_prereleases(ra, rb);
}

static Reader
without_build(const char *version, int len)
{
	const char *plus = memchr(version, '+', len);
	Reader		reader = {version, plus != NULL ? plus : version + len};

	return reader;
}

/* What stands before the separator; the reader goes on behind it. */
static Reader
next_part(Reader *reader, char separator)
{
	Reader		part = *reader;
	const char *found = memchr(reader->at, separator, reader->end - reader->at);

	if (found != NULL)
	{
		part.end = found;
		reader->at = found + 1;
	}
	else
		reader->at = reader->end;

	return part;
}

/* There are no leading zeros, so the longer number is the greater one. */
static int
compare_numbers(Reader a, Reader b)
{
	ptrdiff_t	alen = a.end - a.at;
	ptrdiff_t	blen = b.end - b.at;

	if (alen != blen)
		return alen < blen ? -1 : 1;
	return memcmp(a.at, b.at, alen);
}

static int
compare_prereleases(Reader a, Reader b)
{
	/* a release comes after its pre-releases */
	if (a.at == a.end || b.at == b.end)
		return (a.at == a.end) - (b.at == b.end);

	while (a.at < a.end && b.at < b.end)
	{
		Reader		pa = next_part(&a, '.');
		Reader		pb = next_part(&b, '.');
		bool		na = all_digits(pa);
		bool		nb = all_digits(pb);
		int			order;

		if (na != nb)
			return na ? -1 : 1;
		if (na)
			order = compare_numbers(pa, pb);
		else
		{
			ptrdiff_t	alen = pa.end - pa.at;
			ptrdiff_t	blen = pb.end - pb.at;

			order = memcmp(pa.at, pb.at, Min(alen, blen));
			if (order == 0)
				order = (alen > blen) - (alen < blen);
		}
		if (order != 0)
			return order;
	}

	/* all the same so far: more identifiers come later */
	return (a.at < a.end) - (b.at < b.end);
}

static bool
all_digits(Reader part)
{
	for (; part.at < part.end; part.at++)
	{
		if (*part.at < '0' || *part.at > '9')
			return false;
	}
	return true;
}
