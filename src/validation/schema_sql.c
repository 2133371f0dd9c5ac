/*
 * schema_sql.c
 *	  The general functions of JSON Schema, as SQL calls them.
 *
 * They are immutable: what they see is their arguments and the metaschemas
 * that are built in.  A call site keeps the program of its schema, so that
 * with a constant schema nothing but the instance is looked at.
 */
#include "postgres.h"

#include "fmgr.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "ground/errors.h"
#include "validation/schema_cache.h"
#include "validation/schema_eval.h"
#include "validation/schema_metaschema.h"
#include "validation/schema_output.h"
#include "validation/schema_report.h"
#include "validation/schema_rows.h"
#include "validation/schema_unknown.h"
#include "validation/schema_value.h"

PG_FUNCTION_INFO_V1(ee_sql_jsonschema_is_valid);
PG_FUNCTION_INFO_V1(ee_sql_jsonschema_is_valid_with);
PG_FUNCTION_INFO_V1(ee_sql_jsonschema_errors);
PG_FUNCTION_INFO_V1(ee_sql_jsonschema_errors_with);
PG_FUNCTION_INFO_V1(ee_sql_jsonschema_check);
PG_FUNCTION_INFO_V1(ee_sql_jsonschema_output);

/* schemas up to here are remembered as they came */
#define MAX_STORED	(64 * 1024)

#define MAX_CHECKED 1000		/* violations of a metaschema */

/* what a call site remembers */
typedef struct CallSite
{
	EeCachedSchema *cached;
	bool		constant;		/* schema and dialect never change */
	EeDialect	dialect;
	struct varlena *stored;		/* the schema as it came, if it was small */
	MemoryContext context;
	MemoryContextCallback release;
} CallSite;

static const EeSchema *program_of_call(FunctionCallInfo fcinfo, int nth,
									   bool described);
static bool is_constant(FmgrInfo *flinfo, int n);
static bool is_stored(const CallSite *site, Datum schema, EeDialect dialect);
static void store(CallSite *site, Datum schema, EeDialect dialect);
static void release_site(void *arg);
static EeDialect dialect_argument(FunctionCallInfo fcinfo, int n);
static EeSchema *compile_with(FunctionCallInfo fcinfo);
static Jsonb *resolve_in_object(const char *uri, void *arg);
static List *without_repetition(List *violations);

/* jsonschema_is_valid(schema, instance, dialect) */
Datum
ee_sql_jsonschema_is_valid(PG_FUNCTION_ARGS)
{
	const EeSchema *program;
	Jsonb	   *instance;
	bool		valid;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	program = program_of_call(fcinfo, 2, false);
	instance = PG_GETARG_JSONB_P(1);
	valid = ee_schema_eval(program, instance);
	PG_FREE_IF_COPY(instance, 1);
	PG_RETURN_BOOL(valid);
}

/*
 * The program for argument 0 in the dialect of the nth, remembered in
 * fn_extra; described: for an output.
 */
static const EeSchema *
program_of_call(FunctionCallInfo fcinfo, int nth, bool described)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	CallSite   *site = flinfo->fn_extra;
	EeDialect	dialect;
	Jsonb	   *schema;
	EeCachedSchema *cached;

	if (site != NULL && site->constant)
		return ee_schema_cache_program(site->cached);
	dialect = dialect_argument(fcinfo, nth);
	if (site != NULL && is_stored(site, PG_GETARG_DATUM(0), dialect))
		return ee_schema_cache_program(site->cached);
	schema = PG_GETARG_JSONB_P(0);
	if (site == NULL)
	{
		cached = ee_schema_cache_get(schema, dialect, described);
		site = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(CallSite));
		site->constant = is_constant(flinfo, 0) && is_constant(flinfo, nth);
		site->cached = cached;
		site->context = flinfo->fn_mcxt;
		ee_schema_cache_pin(cached);
		site->release.func = release_site;
		site->release.arg = site;
		MemoryContextRegisterResetCallback(flinfo->fn_mcxt, &site->release);
		flinfo->fn_extra = site;
	}
	else if (!ee_schema_cache_is(site->cached, schema, dialect))
	{
		cached = ee_schema_cache_get(schema, dialect, described);
		ee_schema_cache_pin(cached);
		ee_schema_cache_unpin(site->cached);
		site->cached = cached;
	}
	if (!site->constant)
		store(site, PG_GETARG_DATUM(0), dialect);
	PG_FREE_IF_COPY(schema, 0);
	return ee_schema_cache_program(site->cached);
}

/*
 * Is the argument written as a constant?  A parameter will not do: PL/pgSQL
 * keeps a call site while its variables change.
 */
static bool
is_constant(FmgrInfo *flinfo, int n)
{
	Node	   *expr = flinfo->fn_expr;

	return expr != NULL && IsA(expr, FuncExpr) &&
		IsA(list_nth(((FuncExpr *) expr)->args, n), Const);
}

/*
 * Is the schema the very bytes that came last?  A compressed one need not be
 * expanded then.  What is stored elsewhere cannot be told by its pointer.
 */
static bool
is_stored(const CallSite *site, Datum schema, EeDialect dialect)
{
	struct varlena *datum = (struct varlena *) DatumGetPointer(schema);

	return site->stored != NULL && site->dialect == dialect &&
		!VARATT_IS_EXTERNAL(datum) &&
		VARSIZE_ANY(datum) == VARSIZE_ANY(site->stored) &&
		memcmp(datum, site->stored, VARSIZE_ANY(datum)) == 0;
}

static void
store(CallSite *site, Datum schema, EeDialect dialect)
{
	struct varlena *datum = (struct varlena *) DatumGetPointer(schema);

	if (site->stored != NULL)
		pfree(site->stored);
	site->stored = NULL;
	site->dialect = dialect;
	if (VARATT_IS_EXTERNAL(datum) || VARSIZE_ANY(datum) > MAX_STORED)
		return;
	site->stored = MemoryContextAlloc(site->context, VARSIZE_ANY(datum));
	memcpy(site->stored, datum, VARSIZE_ANY(datum));
}

static void
release_site(void *arg)
{
	ee_schema_cache_unpin(((CallSite *) arg)->cached);
}

/* The dialect that an argument names; 2020-12 if it is null. */
static EeDialect
dialect_argument(FunctionCallInfo fcinfo, int n)
{
	EeDialect	dialect = EE_DIALECT_2020_12;
	char	   *name;

	if (PG_ARGISNULL(n))
		return dialect;
	name = text_to_cstring(PG_GETARG_TEXT_PP(n));
	if (!ee_schema_dialect_of_name(name, &dialect))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown dialect of JSON Schema: \"%s\"", name),
						errhint("Dialects are draft4, draft6, draft7, 2019-09, 2020-12, v1.")));
	pfree(name);
	return dialect;
}

/* jsonschema_is_valid_with(schema, instance, documents, dialect) */
Datum
ee_sql_jsonschema_is_valid_with(PG_FUNCTION_ARGS)
{
	EeSchema   *program;
	bool		valid;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	program = compile_with(fcinfo);
	valid = ee_schema_eval(program, PG_GETARG_JSONB_P(1));
	ee_schema_free(program);
	PG_RETURN_BOOL(valid);
}

/* Compiles argument 0 with the documents of argument 2. */
static EeSchema *
compile_with(FunctionCallInfo fcinfo)
{
	EeSchemaOptions options = {dialect_argument(fcinfo, 3)};
	Jsonb	   *documents;

	if (!PG_ARGISNULL(2))
	{
		documents = PG_GETARG_JSONB_P(2);
		if (!JB_ROOT_IS_OBJECT(documents))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("documents must be an object of schemas by URI")));
		options.resolve = resolve_in_object;
		options.resolve_arg = documents;
	}
	return ee_schema_compile(PG_GETARG_JSONB_P(0), &options);
}

static Jsonb *
resolve_in_object(const char *uri, void *arg)
{
	EeValue		documents = ee_value_root((Jsonb *) arg);
	EeValue		found;
	JsonbValue	value;

	if (!ee_value_get(documents, uri, strlen(uri), &found))
		return NULL;
	if (found.type & (EE_IS_OBJECT | EE_IS_ARRAY))
	{
		value.type = jbvBinary;
		value.val.binary.data = unconstify(JsonbContainer *,
										   EE_VALUE_CONTAINER(found));
		value.val.binary.len = found.len;
	}
	else if (found.type & EE_IS_BOOLEAN)
	{
		value.type = jbvBool;
		value.val.boolean = found.type == EE_IS_TRUE;
	}
	else
		return NULL;
	return JsonbValueToJsonb(&value);
}

/* jsonschema_errors(schema, instance, dialect) */
Datum
ee_sql_jsonschema_errors(PG_FUNCTION_ARGS)
{
	List	   *violations = NIL;
	const EeSchema *program;

	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1))
	{
		program = program_of_call(fcinfo, 2, false);
		violations = ee_schema_report(program, PG_GETARG_JSONB_P(1), 0);
	}
	return ee_schema_rows(fcinfo, violations);
}

/* jsonschema_errors_with(schema, instance, documents, dialect) */
Datum
ee_sql_jsonschema_errors_with(PG_FUNCTION_ARGS)
{
	List	   *violations = NIL;

	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1))
		violations = ee_schema_report(compile_with(fcinfo),
									  PG_GETARG_JSONB_P(1), 0);
	return ee_schema_rows(fcinfo, violations);
}

/*
 * jsonschema_check(schema, dialect, strict): against the metaschema; where
 * that has nothing to say, what the compiler finds; then what is not known.
 */
Datum
ee_sql_jsonschema_check(PG_FUNCTION_ARGS)
{
	EeSchemaOptions options = {0};
	List	   *violations = NIL;
	Jsonb	   *schema;
	Jsonb	   *metaschema;
	EeDialect	dialect;
	EeCachedSchema *cached;
	bool		strict;

	if (!PG_ARGISNULL(0))
	{
		strict = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
		schema = PG_GETARG_JSONB_P(0);
		options.dialect = dialect_argument(fcinfo, 1);
		dialect = ee_schema_dialect_of(schema, options.dialect);
		metaschema = ee_schema_metaschema(ee_schema_dialect_uri(dialect));
		cached = ee_schema_cache_get(metaschema, dialect, false);
		violations = ee_schema_report(ee_schema_cache_program(cached),
									  schema, MAX_CHECKED);
		violations = without_repetition(violations);
		if (violations == NIL)
			violations = ee_schema_compile_problems(schema, &options);
		/* the metaschema of v1 allows no other keywords */
		if (dialect != EE_DIALECT_V1 || (strict && violations == NIL))
			violations = list_concat(violations,
									 ee_schema_unknown(schema, dialect,
													   strict));
	}
	return ee_schema_rows(fcinfo, violations);
}

/* The vocabularies of a metaschema all say some things; once is enough. */
static List *
without_repetition(List *violations)
{
	List	   *result = NIL;
	ListCell   *lc,
			   *lc2;

	foreach(lc, violations)
	{
		const EeViolation *violation = lfirst(lc);

		foreach(lc2, result)
		{
			const EeViolation *other = lfirst(lc2);

			if (strcmp(violation->instance_path, other->instance_path) == 0 &&
				strcmp(violation->message, other->message) == 0)
				break;
		}
		if (lc2 == NULL)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/* jsonschema_output(schema, instance, format, dialect) */
Datum
ee_sql_jsonschema_output(PG_FUNCTION_ARGS)
{
	EeOutputFormat format = EE_OUTPUT_BASIC;
	const EeSchema *program;
	char	   *name;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(2))
	{
		name = text_to_cstring(PG_GETARG_TEXT_PP(2));
		if (!ee_schema_output_format(name, &format))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown output format of JSON Schema: \"%s\"",
							name),
					 errhint("Formats are flag, basic, detailed.")));
	}
	program = program_of_call(fcinfo, 3, true);
	PG_RETURN_JSONB_P(ee_schema_output(program, PG_GETARG_JSONB_P(1),
									   format));
}
