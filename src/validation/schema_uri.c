/*
 * schema_uri.c
 *	  URI references: taken apart, resolved, decoded (RFC 3986).
 *
 * Results are palloc'd in CurrentMemoryContext.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "validation/schema_uri.h"

/* a part of a URI; data is NULL where the part is absent */
typedef struct Part
{
	const char *data;
	int			len;
} Part;

typedef struct Uri
{
	Part		scheme;
	Part		authority;
	Part		path;
	Part		query;
	Part		fragment;
} Uri;

static void parse_uri(const char *text, Uri *uri);
static void append_normal_path(StringInfo buf, const char *path, int len);
static int	hex_digit(char c);

/*
 * Resolves a reference against a base (RFC 3986, 5.2).  A base without scheme
 * is taken as it is, so that schemas without identifier can be told apart.
 */
char *
ee_schema_uri_resolve(const char *base, const char *ref)
{
	Uri			b,
				r;
	Part		authority;
	StringInfoData buf;

	parse_uri(ref, &r);
	parse_uri(base, &b);
	initStringInfo(&buf);
	if (r.scheme.data != NULL)
		b.scheme = r.scheme;
	if (b.scheme.data != NULL)
		appendStringInfo(&buf, "%.*s:", b.scheme.len, b.scheme.data);
	authority = r.scheme.data || r.authority.data ? r.authority : b.authority;
	if (authority.data != NULL)
		appendStringInfo(&buf, "//%.*s", authority.len, authority.data);
	if (r.scheme.data != NULL || r.authority.data != NULL ||
		(r.path.len > 0 && r.path.data[0] == '/'))
		append_normal_path(&buf, r.path.data, r.path.len);
	else if (r.path.len == 0)
	{
		appendBinaryStringInfo(&buf, b.path.data, b.path.len);
		if (r.query.data == NULL)
			r.query = b.query;
	}
	else
	{
		StringInfoData merged;
		int			keep = b.path.len;

		/* all of the base's path but what follows its last slash */
		while (keep > 0 && b.path.data[keep - 1] != '/')
			keep--;
		initStringInfo(&merged);
		if (b.path.len == 0 && b.authority.data != NULL)
			appendStringInfoChar(&merged, '/');
		appendBinaryStringInfo(&merged, b.path.data, keep);
		appendBinaryStringInfo(&merged, r.path.data, r.path.len);
		append_normal_path(&buf, merged.data, merged.len);
		pfree(merged.data);
	}
	if (r.query.data != NULL)
		appendStringInfo(&buf, "?%.*s", r.query.len, r.query.data);
	if (r.fragment.data != NULL)
		appendStringInfo(&buf, "#%.*s", r.fragment.len, r.fragment.data);
	return buf.data;
}

/* Splits into parts as the regular expression of RFC 3986, appendix B. */
static void
parse_uri(const char *text, Uri *uri)
{
	const char *p = text;
	size_t		n;

	memset(uri, 0, sizeof(Uri));
	n = strcspn(p, ":/?#");
	if (n > 0 && p[n] == ':')
	{
		uri->scheme.data = p;
		uri->scheme.len = n;
		p += n + 1;
	}
	if (p[0] == '/' && p[1] == '/')
	{
		p += 2;
		n = strcspn(p, "/?#");
		uri->authority.data = p;
		uri->authority.len = n;
		p += n;
	}
	n = strcspn(p, "?#");
	uri->path.data = p;
	uri->path.len = n;
	p += n;
	if (*p == '?')
	{
		n = strcspn(++p, "#");
		uri->query.data = p;
		uri->query.len = n;
		p += n;
	}
	if (*p == '#')
	{
		uri->fragment.data = p + 1;
		uri->fragment.len = strlen(p + 1);
	}
}

/* Appends a path without its segments "." and ".." (RFC 3986, 5.2.4). */
static void
append_normal_path(StringInfo buf, const char *path, int len)
{
	int			start = buf->len;
	const char *p = path;
	const char *end = path + len;

	while (p < end)
	{
		const char *slash = memchr(p, '/', end - p);
		const char *stop = slash ? slash + 1 : end;
		int			n = (slash ? slash : end) - p;

		if (n == 2 && p[0] == '.' && p[1] == '.')
		{
			/* take back the segment before */
			if (buf->len > start + 1 || (buf->len == start + 1 &&
										 buf->data[start] != '/'))
			{
				buf->len--;
				while (buf->len > start && buf->data[buf->len - 1] != '/')
					buf->len--;
				buf->data[buf->len] = '\0';
			}
		}
		else if (!(n == 1 && p[0] == '.'))
			appendBinaryStringInfo(buf, p, stop - p);
		p = stop;
	}
}

/*
 * The URI without its fragment; *fragment is what follows the '#', "" if
 * nothing does, and points into uri.
 */
char *
ee_schema_uri_split(const char *uri, const char **fragment)
{
	size_t		n = strcspn(uri, "#");

	*fragment = uri[n] == '#' ? uri + n + 1 : uri + n;
	return pnstrdup(uri, n);
}

/* Percent-decodes (RFC 3986, 2.1); a lone '%' stands for itself. */
char *
ee_schema_uri_decode(const char *text)
{
	char	   *result = palloc(strlen(text) + 1);
	char	   *out = result;

	while (*text)
	{
		int			high = text[0] == '%' ? hex_digit(text[1]) : -1;
		int			low = high >= 0 ? hex_digit(text[2]) : -1;

		if (low >= 0 && (high || low))
		{
			*out++ = (char) (high << 4 | low);
			text += 3;
		}
		else
			*out++ = *text++;
	}
	*out = '\0';
	return result;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Appends text as (part of) a fragment: what it must not hold is escaped. */
void
ee_schema_uri_append_fragment(StringInfo buf, const char *text)
{
	for (; *text != '\0'; text++)
	{
		unsigned char c = *text;

		if (c - '0' < 10U || (c | 32) - 'a' < 26U ||
			strchr("-._~!$&'()*+,;=:@/?", c) != NULL)
			appendStringInfoChar(buf, c);
		else
			appendStringInfo(buf, "%%%02X", c);
	}
}
