/*
 * fuzz_schema.c
 *	  The target "schema": compiler, evaluation, report, check, cache,
 *	  compatibility.
 *
 * An input is a letter and up to three lines: a schema, an instance, another
 * schema, which the first may refer to as http://x/2.  The letter says the
 * dialect and whether formats and content are asserted.  What has to agree:
 *
 *	  - compiling the same schema again, and the cache before and after it has
 *		let the schema go, give the same verdict;
 *	  - the report, as list and as tree, and the output formats are empty just
 *		where the verdict is yes;
 *	  - a schema compiles just where the check finds no problem in compiling;
 *	  - a schema is compatible with itself, and what is said to be compatible
 *		accepts the instance where the other did.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "ground/config.h"
#include "ground/errors.h"

#include "validation/schema_cache.h"
#include "validation/schema_compat.h"
#include "validation/schema_eval.h"
#include "validation/schema_metaschema.h"
#include "validation/schema_output.h"
#include "validation/schema_report.h"
#include "validation/schema_unknown.h"
#include "validation/schema_value.h"

#include "fuzz.h"

typedef struct Case
{
	Jsonb	   *schema;
	Jsonb	   *instance;
	Jsonb	   *other;
	EeSchemaOptions options;

	/* what the steps found */
	EeSchema   *program;
	EeSchema   *again;
	EeSchema   *other_program;
	List	   *problems;
	bool		valid;
	bool		verdict;		/* of the step that ran last */
	EeOutputFormat format;
	EeCompatDirection direction;
	List	   *breaks;
	const EeSchema *from;
	const EeSchema *to;
} Case;

static void check_programs(Case *c);
static void check_verdicts(Case *c);
static void check_cache(Case *c);
static void check_compatibility(Case *c);
static Jsonb *resolve(const char *uri, void *arg);
static void step_compile(void *arg);
static void step_compile_again(void *arg);
static void step_compile_other(void *arg);
static void step_problems(void *arg);
static void step_check(void *arg);
static void step_eval(void *arg);
static void step_eval_again(void *arg);
static void step_report(void *arg);
static void step_tree(void *arg);
static void step_output(void *arg);
static void step_cached(void *arg);
static void step_evict(void *arg);
static void step_compat(void *arg);
static bool output_is_valid(Jsonb *output);

void
ee_fuzz_schema(const char *data, size_t size)
{
	Case		c = {0};
	const char *line[3] = {"true", "null", "true"};
	size_t		len[3] = {4, 4, 4};
	size_t		begin = 1;
	int			i;

	if (size < 2)
		return;
	for (i = 0; i < 3 && begin < size; i++)
	{
		const char *end = memchr(data + begin, '\n', size - begin);

		line[i] = data + begin;
		len[i] = end != NULL ? end - line[i] : size - begin;
		begin += len[i] + 1;
	}
	ee_fuzz_fill(0x7E);
	c.schema = ee_fuzz_jsonb(line[0], len[0]);
	c.instance = ee_fuzz_jsonb(line[1], len[1]);
	c.other = ee_fuzz_jsonb(line[2], len[2]);
	if (c.schema == NULL)
		return;
	c.options.dialect = (data[0] & 7) % (EE_DIALECT_V1 + 1);
	c.options.assert_formats = (data[0] & 8) != 0;
	c.options.content = (data[0] & 64) != 0 ? EE_CONTENT_ASSERTS :
		EE_CONTENT_BY_DIALECT;
	c.options.resolve = resolve;
	c.options.resolve_arg = c.other;
	check_programs(&c);
	if (c.program == NULL || c.instance == NULL)
		return;
	check_verdicts(&c);
	check_compatibility(&c);
	check_cache(&c);
}

static void
check_programs(Case *c)
{
	int			code = ee_fuzz_try(step_compile, c);
	int			code2;

	ee_fuzz_try(step_check, c);
	code2 = ee_fuzz_try(step_problems, c);
	if (code == 0 && code2 == 0 && c->problems != NIL)
		ee_fuzz_finding("a schema with problems compiles");
	if (code2 == 0 && c->problems == NIL &&
		(code == EE_ERRCODE_INVALID_SCHEMA ||
		 code == EE_ERRCODE_UNRESOLVED_REF))
		ee_fuzz_finding("a schema without problems does not compile");
	ee_fuzz_fill(0x01);
	ee_fuzz_try(step_compile_again, c);
}

static void
check_verdicts(Case *c)
{
	int			i;

	if (ee_fuzz_try(step_eval, c) != 0)
		return;
	if (c->again != NULL && ee_fuzz_try(step_eval_again, c) == 0 &&
		c->verdict != c->valid)
		ee_fuzz_finding("compiled again, the verdict is another");
	if (ee_fuzz_try(step_report, c) == 0 && c->verdict != c->valid)
		ee_fuzz_finding("valid: %d, but the report says %d", c->valid,
						c->verdict);
	if (ee_fuzz_try(step_tree, c) == 0 && c->verdict != c->valid)
		ee_fuzz_finding("valid: %d, but the tree says %d", c->valid,
						c->verdict);
	/* the second program knows what an output tells */
	for (i = EE_OUTPUT_FLAG; c->again != NULL && i <= EE_OUTPUT_DETAILED; i++)
	{
		c->format = i;
		if (ee_fuzz_try(step_output, c) == 0 && c->verdict != c->valid)
			ee_fuzz_finding("valid: %d, but output %d says %d", c->valid, i,
							c->verdict);
	}
}

/* The cache resolves nothing and has settings of its own. */
static void
check_cache(Case *c)
{
	bool		before;

	if (ee_fuzz_try(step_cached, c) != 0)
		return;
	before = c->verdict;
	if (ee_fuzz_try(step_cached, c) == 0 && c->verdict != before)
		ee_fuzz_finding("the cache changes the verdict");
	/* the metaschemas have to be compiled again after that: not each time */
	if (hash_bytes((unsigned char *) VARDATA(c->schema),
				   VARSIZE(c->schema) - VARHDRSZ) % 32 == 0 &&
		ee_fuzz_try(step_evict, c) == 0 &&
		ee_fuzz_try(step_cached, c) == 0 && c->verdict != before)
		ee_fuzz_finding("out of the cache and back, the verdict is another");
}

static void
check_compatibility(Case *c)
{
	bool		valid = c->valid;
	bool		other_valid;
	int			i;

	for (i = EE_COMPAT_BACKWARD; i <= EE_COMPAT_FORWARD; i++)
	{
		c->direction = i;
		c->from = c->program;
		c->to = c->again;
		if (c->again != NULL && ee_fuzz_try(step_compat, c) == 0 &&
			c->breaks != NIL)
			ee_fuzz_finding("not compatible with itself: %s %s",
							((EeSchemaBreak *) linitial(c->breaks))->path,
							((EeSchemaBreak *) linitial(c->breaks))->why);
	}
	if (c->other == NULL || ee_fuzz_try(step_compile_other, c) != 0)
		return;
	c->to = c->other_program;
	if (ee_fuzz_try(step_eval, c) != 0)
		return;
	valid = c->valid;
	c->again = c->other_program;
	if (ee_fuzz_try(step_eval_again, c) != 0)
		return;
	other_valid = c->verdict;
	for (i = EE_COMPAT_BACKWARD; i <= EE_COMPAT_FORWARD; i++)
	{
		c->direction = i;
		if (ee_fuzz_try(step_compat, c) == 0 && c->breaks == NIL &&
			(i == EE_COMPAT_BACKWARD ? valid && !other_valid :
			 other_valid && !valid))
			ee_fuzz_finding("compatible, but the instance is not (%d)", i);
	}
}

static Jsonb *
resolve(const char *uri, void *arg)
{
	return strcmp(uri, "http://x/2") == 0 ? (Jsonb *) arg : NULL;
}

static void
step_compile(void *arg)
{
	Case	   *c = arg;

	c->program = ee_schema_compile(c->schema, &c->options);
}

static void
step_compile_again(void *arg)
{
	Case	   *c = arg;
	EeSchemaOptions options = c->options;

	options.describe = true;
	c->again = ee_schema_compile(c->schema, &options);
}

static void
step_compile_other(void *arg)
{
	Case	   *c = arg;

	c->other_program = ee_schema_compile(c->other, &c->options);
}

static void
step_problems(void *arg)
{
	Case	   *c = arg;

	c->problems = ee_schema_compile_problems(c->schema, &c->options);
}

/* As jsonschema_check asks the metaschema. */
static void
step_check(void *arg)
{
	Case	   *c = arg;
	const char *uri = ee_schema_dialect_uri(c->options.dialect);
	EeCachedSchema *cached = ee_schema_cache_get(ee_schema_metaschema(uri),
												 c->options.dialect, false);

	ee_schema_report(ee_schema_cache_program(cached), c->schema, 0);
	ee_schema_unknown(c->schema, c->options.dialect, true);
}

static void
step_eval(void *arg)
{
	Case	   *c = arg;

	c->valid = ee_schema_eval(c->program, c->instance);
}

static void
step_eval_again(void *arg)
{
	Case	   *c = arg;

	c->verdict = ee_schema_eval(c->again, c->instance);
}

static void
step_report(void *arg)
{
	Case	   *c = arg;

	c->verdict = ee_schema_report(c->program, c->instance, 0) == NIL;
}

static void
step_tree(void *arg)
{
	Case	   *c = arg;

	c->verdict = ee_schema_report_tree(c->again != NULL ? c->again : c->program,
									   c->instance) == NIL;
}

static void
step_output(void *arg)
{
	Case	   *c = arg;

	c->verdict = output_is_valid(ee_schema_output(c->again, c->instance,
												  c->format));
}

static void
step_cached(void *arg)
{
	Case	   *c = arg;
	EeCachedSchema *cached = ee_schema_cache_get(c->schema,
												 c->options.dialect, true);

	ee_schema_cache_pin(cached);
	PG_TRY();
	{
		c->verdict = ee_schema_eval(ee_schema_cache_program(cached),
									c->instance);
	}
	PG_FINALLY();
	{
		ee_schema_cache_unpin(cached);
	}
	PG_END_TRY();
}

/* Whatever comes into a cache without room drives out all the others. */
static void
step_evict(void *arg)
{
	Case	   *c = arg;
	Jsonb	   *any = ee_fuzz_jsonb("true", 4);

	ee_config_validation_schema_cache = 0;
	ee_schema_cache_get(any, c->options.dialect, false);
	ee_config_validation_schema_cache = EE_FUZZ_CACHE;
}

static void
step_compat(void *arg)
{
	Case	   *c = arg;

	c->breaks = ee_schema_compat(c->from, c->to, c->direction);
}

static bool
output_is_valid(Jsonb *output)
{
	EeValue		valid;

	if (!ee_value_get(ee_value_root(output), "valid", 5, &valid))
		ee_fuzz_finding("output without a verdict");
	return valid.type == EE_IS_TRUE;
}
