/*
 * schema_breaks.c
 *	  SQL functions schema_compatibility() and schema_breaks(): what a change
 *	  of a schema breaks.
 *
 * Schemas are compiled with the documents that are registered now; which
 * versions are compared is said by sql/11_registry_compatibility_api.sql.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#include "registry/event_definition.h"
#include "registry/schema_document.h"
#include "registry/sensitive.h"
#include "validation/schema_compat.h"

static void parse_mode(text *mode, EeDefinitionOptions *parsed);
static void compare(FunctionCallInfo fcinfo, EeSchema *old_schema,
					EeSchema *new_schema, const EeDefinitionOptions *mode);
static EeSchema *compile(FunctionCallInfo fcinfo, int n,
						 const EeDefinitionOptions *options);
static void options_argument(FunctionCallInfo fcinfo, int n,
							 EeDefinitionOptions *options);
static List *sensitive_paths(FunctionCallInfo fcinfo, int n,
							 const EeDefinitionOptions *options);
static void compare_sensitive(FunctionCallInfo fcinfo, List *old_paths,
							  List *new_paths,
							  const EeDefinitionOptions *mode);
static void put_breaks(ReturnSetInfo *result, List *breaks);

PG_FUNCTION_INFO_V1(ee_sql_schema_compatibility);
PG_FUNCTION_INFO_V1(ee_sql_schema_breaks);

/* schema_compatibility(old, new, mode, dialect) */
Datum
ee_sql_schema_compatibility(PG_FUNCTION_ARGS)
{
	EeDefinitionOptions options = {0};
	EeDefinitionOptions mode = {0};
	EeDialect	dialect;

	InitMaterializedSRF(fcinfo, 0);
	parse_mode(PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2), &mode);
	if (!PG_ARGISNULL(3))
	{
		options.dialect = text_to_cstring(PG_GETARG_TEXT_PP(3));
		if (!ee_schema_dialect_of_name(options.dialect, &dialect))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown dialect of JSON Schema: \"%s\"",
							options.dialect),
					 errhint("Dialects are draft4, draft6, draft7, 2019-09, 2020-12, v1.")));
	}
	compare(fcinfo, compile(fcinfo, 0, &options),
			compile(fcinfo, 1, &options), &mode);
	compare_sensitive(fcinfo, sensitive_paths(fcinfo, 0, &options),
					  sensitive_paths(fcinfo, 1, &options), &mode);
	return (Datum) 0;
}

/* schema_breaks(old, old_options, new, new_options, mode) */
Datum
ee_sql_schema_breaks(PG_FUNCTION_ARGS)
{
	EeDefinitionOptions old_options = {0};
	EeDefinitionOptions new_options = {0};
	EeDefinitionOptions mode = {0};

	InitMaterializedSRF(fcinfo, 0);
	parse_mode(PG_ARGISNULL(4) ? NULL : PG_GETARG_TEXT_PP(4), &mode);
	options_argument(fcinfo, 1, &old_options);
	options_argument(fcinfo, 3, &new_options);
	compare(fcinfo, compile(fcinfo, 0, &old_options),
			compile(fcinfo, 2, &new_options), &mode);
	compare_sensitive(fcinfo, sensitive_paths(fcinfo, 0, &old_options),
					  sensitive_paths(fcinfo, 2, &new_options), &mode);
	return (Datum) 0;
}

static void
parse_mode(text *mode, EeDefinitionOptions *parsed)
{
	char	   *word = mode == NULL ? "none" : text_to_cstring(mode);

	if (!ee_event_definition_parse_compatibility(word, parsed))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown kind of compatibility \"%s\"", word),
				 errhint(EE_COMPATIBILITY_HINT)));
}

static void
options_argument(FunctionCallInfo fcinfo, int n, EeDefinitionOptions *options)
{
	if (!PG_ARGISNULL(n))
		ee_event_definition_parse_options(PG_GETARG_JSONB_P(n), options);
}

/* No schema is one that accepts everything. */
static EeSchema *
compile(FunctionCallInfo fcinfo, int n, const EeDefinitionOptions *options)
{
	List	   *uses;
	Jsonb	   *source;

	if (PG_ARGISNULL(n))
		source = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
													CStringGetDatum("true")));
	else
		source = PG_GETARG_JSONB_P(n);
	return ee_schema_document_compile(source, options, &uses);
}

static void
compare(FunctionCallInfo fcinfo, EeSchema *old_schema, EeSchema *new_schema,
		const EeDefinitionOptions *mode)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	if (mode->backward)
		put_breaks(result, ee_schema_compat(old_schema, new_schema,
											EE_COMPAT_BACKWARD));
	if (mode->forward)
		put_breaks(result, ee_schema_compat(old_schema, new_schema,
											EE_COMPAT_FORWARD));
	ee_schema_free(old_schema);
	ee_schema_free(new_schema);
}

static List *
sensitive_paths(FunctionCallInfo fcinfo, int n,
				const EeDefinitionOptions *options)
{
	return ee_sensitive_paths(PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n),
							  options);
}

/*
 * What is not sensitive any more breaks a promise, whatever the kind of
 * compatibility.
 */
static void
compare_sensitive(FunctionCallInfo fcinfo, List *old_paths, List *new_paths,
				  const EeDefinitionOptions *mode)
{
	List	   *breaks = NIL;
	ListCell   *lc;

	if (!mode->backward && !mode->forward)
		return;
	foreach(lc, old_paths)
	{
		EeSensitivePath *path = lfirst(lc);
		EeSchemaBreak *found;
		bool		covered = false;
		ListCell   *other;

		foreach(other, new_paths)
			covered = covered || ee_sensitive_covers(lfirst(other), path);
		if (covered)
			continue;
		found = palloc0(sizeof(EeSchemaBreak));
		found->path = pstrdup("");
		found->keyword = pstrdup(EE_SENSITIVE_KEYWORD);
		found->old_text = ee_sensitive_path_text(path);
		found->direction = mode->backward ? EE_COMPAT_BACKWARD :
			EE_COMPAT_FORWARD;
		found->why = pstrdup("is not sensitive any more, and would be stored readable");
		breaks = lappend(breaks, found);
	}
	put_breaks((ReturnSetInfo *) fcinfo->resultinfo, breaks);
}

static void
put_breaks(ReturnSetInfo *result, List *breaks)
{
	ListCell   *lc;

	foreach(lc, breaks)
	{
		const EeSchemaBreak *found = lfirst(lc);
		const char *texts[] = {found->path, found->keyword, found->old_text,
			found->new_text,
			found->direction == EE_COMPAT_BACKWARD ? "backward" : "forward",
		found->why};
		Datum		values[lengthof(texts)];
		bool		nulls[lengthof(texts)];
		int			i;

		for (i = 0; i < lengthof(texts); i++)
		{
			nulls[i] = texts[i] == NULL;
			values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(texts[i]);
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
}
