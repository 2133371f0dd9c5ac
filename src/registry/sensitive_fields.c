/*
 * sensitive_fields.c
 *	  SQL function sensitive_fields(): what is sensitive in events of a pattern.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "registry/registry_cache.h"
#include "registry/sensitive.h"

PG_FUNCTION_INFO_V1(ee_sql_sensitive_fields);

Datum
ee_sql_sensitive_fields(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EeDefinition *definition;
	text	   *pattern;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pattern must not be null")));
	pattern = PG_GETARG_TEXT_PP(0);
	InitMaterializedSRF(fcinfo, 0);
	definition = ee_registry_cache_lookup(VARDATA_ANY(pattern),
										  VARSIZE_ANY_EXHDR(pattern),
										  PG_ARGISNULL(1) ? NULL :
										  text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (definition->sensitive == NULL)
		return (Datum) 0;
	foreach(lc, definition->sensitive->paths)
	{
		Datum		values[] = {
			CStringGetTextDatum(ee_sensitive_path_text(lfirst(lc))),
			CStringGetTextDatum(definition->sensitive->subject_text)
		};
		bool		nulls[] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
