/*
 * fuzz_format.c
 *	  The target "format": every format on every text.
 *
 * What has to agree: the narrower of two formats accepts nothing that the
 * wider refuses, and the answer is the same twice.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "validation/schema_format.h"
#include "validation/schema_uri.h"
#include "validation/schema_vocabulary.h"

#include "fuzz.h"

static const char *const names[] = {
	"date-time", "date", "time", "duration", "email", "idn-email", "hostname",
	"idn-hostname", "host-name", "ipv4", "ip-address", "ipv6", "uri",
	"uri-reference", "iri", "iri-reference", "uri-template", "json-pointer",
	"relative-json-pointer", "regex", "uuid", "color"
};

static const struct
{
	const char *narrow;
	const char *wide;
}			pairs[] = {
	{"uri", "uri-reference"}, {"uri", "iri"}, {"iri", "iri-reference"},
	{"uri-reference", "iri-reference"}, {"email", "idn-email"},
	{"ipv4", "hostname"}, {"uuid", "regex"},
};

typedef struct Case
{
	const char *text;
	uint32		len;
	bool		valid[EE_DIALECT_V1 + 1][lengthof(names)];
	bool		again;
	int			dialect;
	int			format;
} Case;

static void step_format(void *arg);
static void step_uri(void *arg);
static int	index_of(const char *name);

void
ee_fuzz_format(const char *data, size_t size)
{
	Case		c = {0};
	int			i;

	if (memchr(data, '\0', size) != NULL ||
		!pg_verifymbstr(data, size, true))
		return;
	c.len = size;
	c.text = memcpy(palloc(size), data, size);
	for (c.dialect = 0; c.dialect <= EE_DIALECT_V1; c.dialect++)
	{
		for (c.format = 0; c.format < lengthof(names); c.format++)
		{
			c.again = false;
			ee_fuzz_fill(0x7E);
			if (ee_fuzz_try(step_format, &c) != 0)
				return;
			c.again = true;
			ee_fuzz_fill(0x01);
			if (ee_fuzz_try(step_format, &c) != 0)
				return;
		}
		for (i = 0; i < lengthof(pairs); i++)
		{
			int			narrow = index_of(pairs[i].narrow);
			int			wide = index_of(pairs[i].wide);

			if (ee_schema_format(names[wide], strlen(names[wide]),
								 c.dialect) != NULL &&
				c.valid[c.dialect][narrow] && !c.valid[c.dialect][wide])
				ee_fuzz_finding("%s, but not %s, in dialect %d",
								names[narrow], names[wide], c.dialect);
		}
	}
	ee_fuzz_try(step_uri, &c);
}

static void
step_format(void *arg)
{
	Case	   *c = arg;
	EeFormatCheck check = ee_schema_format(names[c->format],
										   strlen(names[c->format]),
										   c->dialect);
	bool		valid = check != NULL && check(c->text, c->len);

	if (c->again && valid != c->valid[c->dialect][c->format])
		ee_fuzz_finding("another answer the second time: %s",
						names[c->format]);
	c->valid[c->dialect][c->format] = valid;
}

/* References are taken apart whatever they are. */
static void
step_uri(void *arg)
{
	Case	   *c = arg;
	char	   *text = pnstrdup(c->text, c->len);
	const char *fragment;
	char	   *resolved = ee_schema_uri_resolve("http://a/b/c/d?q#f", text);
	StringInfoData buf;

	(void) ee_schema_uri_resolve(text, "../x#y");
	(void) ee_schema_uri_resolve(text, text);
	(void) ee_schema_uri_split(resolved, &fragment);
	(void) ee_schema_uri_decode(text);
	initStringInfo(&buf);
	ee_schema_uri_append_fragment(&buf, text);
	if (strcmp(ee_schema_uri_decode(buf.data), text) != 0)
		ee_fuzz_finding("encoded as \"%s\"", buf.data);
}

static int
index_of(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(names); i++)
	{
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return 0;
}
