/*
 * fuzz_regex.c
 *	  The target "regex": patterns of ECMA-262.
 *
 * An input is a pattern and a line to match.  The source is included for its
 * statics: what our automaton answers, the server's engine has to answer, too.
 */
#include "../../src/validation/schema_regex.c"

#include "fuzz.h"

typedef struct Case
{
	const char *pattern;
	uint32		pattern_len;
	const char *text;
	uint32		text_len;
	EeRegex    *regex;
	bool		matches;
	bool		by_engine;
	bool		engine_knows;
} Case;

static void step_compile(void *arg);
static void step_match(void *arg);
static void step_engine(void *arg);

void
ee_fuzz_regex(const char *data, size_t size)
{
	const char *end = memchr(data, '\n', size);
	Case		c = {0};
	int			code;
	bool		valid;

	if (!pg_verifymbstr(data, size, true))
		return;
	c.pattern = data;
	c.pattern_len = end != NULL ? end - data : size;
	c.text = end != NULL ? end + 1 : "";
	c.text_len = end != NULL ? size - c.pattern_len - 1 : 0;
	/* copies, so that a step too far is seen */
	c.pattern = memcpy(palloc(c.pattern_len), c.pattern, c.pattern_len);
	c.text = memcpy(palloc(c.text_len), c.text, c.text_len);

	code = ee_fuzz_try(step_compile, &c);
	if (code != 0)
		return;
	valid = ee_schema_regex_is_valid(c.pattern, c.pattern_len);
	if (c.regex == NULL)
		return;
	if (!valid)
		ee_fuzz_finding("compiles, but is no pattern to the format");
	if (ee_fuzz_try(step_match, &c) != 0 || c.regex->automaton == NULL)
		return;
	if (ee_fuzz_try(step_engine, &c) == 0 && c.engine_knows &&
		c.by_engine != c.matches)
		ee_fuzz_finding("automaton says %d, the server's engine %d",
						c.matches, c.by_engine);
}

static void
step_compile(void *arg)
{
	Case	   *c = arg;
	char	   *problem = NULL;

	c->regex = ee_schema_regex_compile(c->pattern, c->pattern_len, &problem);
	if (c->regex == NULL && problem == NULL)
		ee_fuzz_finding("refused without a reason");
	if (c->regex != NULL &&
		strncmp(ee_schema_regex_source(c->regex), c->pattern,
				c->pattern_len) != 0)
		ee_fuzz_finding("the source is another");
}

static void
step_match(void *arg)
{
	Case	   *c = arg;

	c->matches = ee_schema_regex_match(c->regex, c->text, c->text_len);
}

/* Once more, by the server's engine. */
static void
step_engine(void *arg)
{
	Case	   *c = arg;
	EeRegexTree tree;
	EeRegex		by_engine = {c->regex->source};
	StringInfoData buf;
	pg_wchar   *wide;
	int			nchars;
	char	   *problem;

	wide = widen(c->pattern, c->pattern_len, &nchars);
	if (!ee_schema_regex_parse(wide, nchars, &tree, &problem))
		ee_fuzz_finding("compiled, but cannot be parsed again");
	initStringInfo(&buf);
	write_node(&buf, &tree, tree.root);
	wide = widen(buf.data, buf.len, &nchars);
	/* it knows less, and gives up earlier */
	if (pg_regcomp(&by_engine.engine, wide, nchars, REG_ADVANCED | REG_NOSUB,
				   C_COLLATION_OID) != REG_OKAY)
		return;
	PG_TRY();
	{
		c->by_engine = ee_schema_regex_match(&by_engine, c->text, c->text_len);
		c->engine_knows = true;
	}
	PG_FINALLY();
	{
		pg_regfree(&by_engine.engine);
	}
	PG_END_TRY();
}
