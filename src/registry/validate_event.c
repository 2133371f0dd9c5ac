/*
 * validate_event.c
 *	  SQL function validate_event(): a dry run of what publishing checks.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#include "ground/errors.h"
#include "registry/event_rule.h"
#include "registry/registry_cache.h"
#include "validation/schema_eval.h"
#include "validation/schema_report.h"

#define MAX_VIOLATIONS	1000

static void put_violation(ReturnSetInfo *result, EeViolation *violation);
static void put_text(const char *string, Datum *value, bool *isnull);

PG_FUNCTION_INFO_V1(ee_sql_validate_event);

Datum
ee_sql_validate_event(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EeDefinition *definition;
	text	   *pattern;
	Jsonb	   *payload;
	List	   *violations = NIL;
	ListCell   *lc;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null",
						PG_ARGISNULL(0) ? "pattern" : "payload")));
	pattern = PG_GETARG_TEXT_PP(0);
	payload = PG_GETARG_JSONB_P(1);

	InitMaterializedSRF(fcinfo, 0);

	definition = ee_registry_cache_lookup(VARDATA_ANY(pattern),
										  VARSIZE_ANY_EXHDR(pattern),
										  PG_ARGISNULL(2) ? NULL :
										  text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (definition->schema != NULL &&
		!ee_schema_eval(definition->schema, payload))
		violations = ee_schema_report(definition->schema, payload,
									  MAX_VIOLATIONS);
	ee_event_rule_check_payload(definition->rules, definition->pattern_text,
								definition->version_text, payload,
								&violations);
	foreach(lc, violations)
		put_violation(result, lfirst(lc));

	return (Datum) 0;
}

static void
put_violation(ReturnSetInfo *result, EeViolation *violation)
{
	Datum		values[6];
	bool		nulls[6];

	put_text(violation->instance_path, &values[0], &nulls[0]);
	put_text(violation->keyword_path, &values[1], &nulls[1]);
	put_text(violation->keyword, &values[2], &nulls[2]);
	put_text(violation->message, &values[3], &nulls[3]);
	put_text(violation->expected, &values[4], &nulls[4]);
	put_text(violation->found, &values[5], &nulls[5]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_text(const char *string, Datum *value, bool *isnull)
{
	*isnull = string == NULL;
	*value = *isnull ? (Datum) 0 : CStringGetTextDatum(string);
}
