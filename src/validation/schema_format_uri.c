/*
 * schema_format_uri.c
 *	  URIs, IRIs and URI templates, as formats.
 *
 * A table says for each ASCII character in which parts of a URI it may stand
 * (RFC 3986, appendix A); an IRI allows besides what is beyond ASCII
 * (RFC 3987, 2.2).
 */
#include "postgres.h"

#include "validation/schema_format_uri.h"

/* where a character may stand */
#define SCHEME	0x01
#define USER	0x02			/* userinfo */
#define HOST	0x04			/* reg-name */
#define PATH	0x08
#define QUERY	0x10			/* and fragment */
#define HEX		0x20
#define NAME	0x40			/* of a variable in a template */
#define LITERAL 0x80			/* in a template */

#define UNRESERVED	(USER | HOST | PATH | QUERY | LITERAL)
#define SUB_DELIMS	(USER | HOST | PATH | QUERY | LITERAL)

static uint8 classes[128];

static void fill_classes(void);
static bool parse(const char *s, uint32 len, bool international,
				  bool relative);
static bool authority(const char *p, const char *end, bool international);
static const char *run(const char *p, const char *end, int class,
					   bool international);
static bool expression(const char *p, const char *end);

static void
fill_classes(void)
{
	const char *p;
	int			c;

	for (c = 'a'; c <= 'z'; c++)
		classes[c] = classes[c - 32] = SCHEME | NAME | UNRESERVED |
			(c <= 'f' ? HEX : 0);
	for (c = '0'; c <= '9'; c++)
		classes[c] = SCHEME | NAME | UNRESERVED | HEX;
	for (p = "-._~"; *p; p++)
		classes[(int) *p] = UNRESERVED;
	for (p = "!$&'()*+,;="; *p; p++)
		classes[(int) *p] |= SUB_DELIMS;
	for (p = "+-."; *p; p++)
		classes[(int) *p] |= SCHEME;
	classes['_'] |= NAME;
	classes[':'] |= USER | PATH | QUERY | LITERAL;
	classes['@'] |= PATH | QUERY | LITERAL;
	classes['/'] |= PATH | QUERY | LITERAL;
	classes['?'] |= QUERY | LITERAL;
	classes['#'] |= LITERAL;
	classes['['] |= LITERAL;
	classes[']'] |= LITERAL;
}

/* uri  [RFC 3986, 3] */
bool
ee_format_uri(const char *s, uint32 len)
{
	return parse(s, len, false, false);
}

/* uri-reference  [RFC 3986, 4.1] */
bool
ee_format_uri_reference(const char *s, uint32 len)
{
	return parse(s, len, false, true);
}

/* iri  [RFC 3987, 2.2] */
bool
ee_format_iri(const char *s, uint32 len)
{
	return parse(s, len, true, false);
}

/* iri-reference  [RFC 3987, 2.2] */
bool
ee_format_iri_reference(const char *s, uint32 len)
{
	return parse(s, len, true, true);
}

static bool
parse(const char *s, uint32 len, bool international, bool relative)
{
	const char *p = s;
	const char *end = s + len;
	const char *scheme;

	if (classes['a'] == 0)
		fill_classes();
	scheme = run(s, end, SCHEME, false);
	if (scheme < end && *scheme == ':' && scheme > s &&
		(*s | 32) - 'a' < 26U)
		p = scheme + 1;
	else if (!relative)
		return false;
	if (end - p >= 2 && p[0] == '/' && p[1] == '/')
	{
		const char *host = p + 2;

		for (p = host; p < end && *p != '/' && *p != '?' && *p != '#';)
			p++;
		if (!authority(host, p, international))
			return false;
	}
	else if (p == s)
	{
		/* path-noscheme: no colon in its first segment */
		const char *q;

		for (q = p; q < end && *q != '/' && *q != '?' && *q != '#'; q++)
		{
			if (*q == ':')
				return false;
		}
	}
	p = run(p, end, PATH, international);
	if (p < end && *p == '?')
		p = run(p + 1, end, QUERY, international);
	if (p < end && *p == '#')
		p = run(p + 1, end, QUERY, international);
	return p == end;
}

/* [ userinfo "@" ] host [ ":" port ] */
static bool
authority(const char *p, const char *end, bool international)
{
	const char *at;
	const char *q;

	for (at = end; at > p && at[-1] != '@';)
		at--;
	if (at > p)
	{
		if (run(p, at - 1, USER, international) != at - 1)
			return false;
		p = at;
	}
	if (p < end && *p == '[')
	{
		for (q = p + 1; q < end && *q != ']';)
			q++;
		if (q == end)
			return false;
		if (q - p > 1 && (p[1] | 32) == 'v')
		{
			/* IPvFuture: "v" hex "." anything */
			const char *dot = p + 2;

			while (dot < q && (unsigned char) *dot < 128 &&
				   (classes[(int) *dot] & HEX))
				dot++;
			if (dot == p + 2 || dot + 1 >= q || *dot != '.' ||
				memchr(p, '%', q - p) != NULL ||
				run(dot + 1, q, USER, false) != q)
				return false;
		}
		else if (!ee_format_ipv6(p + 1, q - p - 1))
			return false;
		p = q + 1;
	}
	else
		p = run(p, end, HOST, international);
	if (p < end && *p == ':')
	{
		for (p++; p < end && *p >= '0' && *p <= '9';)
			p++;
	}
	return p == end;
}

/* passes over characters of a class and over percent-encoded octets */
static const char *
run(const char *p, const char *end, int class, bool international)
{
	for (; p < end; p++)
	{
		unsigned char c = *p;

		if (c >= 128)
		{
			if (!international)
				break;
		}
		else if (c == '%' && class != SCHEME)
		{
			if (end - p < 3 || (p[1] & 0x80) || (p[2] & 0x80) ||
				!(classes[(int) p[1]] & HEX) || !(classes[(int) p[2]] & HEX))
				break;
			p += 2;
		}
		else if (!(classes[c] & class))
			break;
	}
	return p;
}

/* uri-template  [RFC 6570, 2] */
bool
ee_format_uri_template(const char *s, uint32 len)
{
	const char *p = s;
	const char *end = s + len;

	if (classes['a'] == 0)
		fill_classes();
	while ((p = run(p, end, LITERAL, true)) < end)
	{
		const char *close;

		if (*p != '{' || (close = memchr(p, '}', end - p)) == NULL ||
			!expression(p + 1, close))
			return false;
		p = close + 1;
	}
	return true;
}

/* what stands between braces: operator, variables with modifiers */
static bool
expression(const char *p, const char *end)
{
	if (p < end && strchr("+#./;?&=,!@|", *p) != NULL && *p != '\0')
		p++;
	for (;;)
	{
		const char *begin = p;

		while (p < end)
		{
			const char *q = run(p, end, NAME, false);

			if (q < end && *q == '.' && q > p && q + 1 < end)
				q++;
			if (q == p)
				break;
			p = q;
		}
		if (p == begin || p[-1] == '.')
			return false;
		if (p < end && *p == '*')
			p++;
		else if (p < end && *p == ':')
		{
			const char *digits = ++p;

			while (p < end && *p >= '0' && *p <= '9' && p - digits < 4)
				p++;
			if (p == digits || *digits == '0')
				return false;
		}
		if (p == end)
			return true;
		if (*p++ != ',')
			return false;
	}
}
