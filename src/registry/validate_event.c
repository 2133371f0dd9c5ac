/*
 * validate_event.c
 *	  SQL function validate_event(): a dry run of what publishing checks.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "ground/errors.h"
#include "registry/event_rule.h"
#include "registry/registry_cache.h"
#include "validation/schema_report.h"
#include "validation/schema_rows.h"

#define MAX_VIOLATIONS	1000

PG_FUNCTION_INFO_V1(ee_sql_validate_event);

Datum
ee_sql_validate_event(PG_FUNCTION_ARGS)
{
	EeDefinition *definition;
	text	   *pattern;
	Jsonb	   *payload;
	List	   *violations = NIL;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null",
						PG_ARGISNULL(0) ? "pattern" : "payload")));
	pattern = PG_GETARG_TEXT_PP(0);
	payload = PG_GETARG_JSONB_P(1);

	definition = ee_registry_cache_lookup(VARDATA_ANY(pattern),
										  VARSIZE_ANY_EXHDR(pattern),
										  PG_ARGISNULL(2) ? NULL :
										  text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (definition->schema != NULL)
		violations = ee_schema_report(definition->schema, payload,
									  MAX_VIOLATIONS);
	ee_event_rule_check_payload(definition->rules, definition->pattern_text,
								definition->version_text, payload,
								&violations);
	return ee_schema_rows(fcinfo, violations);
}
