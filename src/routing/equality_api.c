/*
 * equality_api.c
 *	  The equality terms of conditions and the keys of events as SQL
 *	  functions.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "ground/errors.h"
#include "routing/equality.h"

static List *terms_of_arguments(FunctionCallInfo fcinfo, int first);

static const EePathWords words = {
	EE_ERRCODE_INVALID_FILTER, "filter", "A condition", "workflow"
};

PG_FUNCTION_INFO_V1(ee_sql_equality_terms);
PG_FUNCTION_INFO_V1(ee_sql_equality_key);
PG_FUNCTION_INFO_V1(ee_sql_event_equality_keys);

/* equality_terms(condition, filters, vars): path, value, whether chosen */
Datum
ee_sql_equality_terms(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *terms = terms_of_arguments(fcinfo, 0);
	EeEqualityTerm *chosen = ee_equality_choose(terms);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, terms)
	{
		EeEqualityTerm *term = lfirst(lc);
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = CStringGetTextDatum(term->path->text);
		values[1] = JsonbPGetDatum(JsonbValueToJsonb(&term->value));
		values[2] = BoolGetDatum(term == chosen);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}

/* equality_key(pattern, condition, filters, vars): that of the chosen term */
Datum
ee_sql_equality_key(PG_FUNCTION_ARGS)
{
	text	   *pattern;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pattern = PG_GETARG_TEXT_PP(0);
	PG_RETURN_INT64((int64) ee_equality_key(VARDATA_ANY(pattern),
											VARSIZE_ANY_EXHDR(pattern),
											ee_equality_choose(terms_of_arguments(fcinfo, 1))));
}

/* event_equality_keys(event, pattern, path) */
Datum
ee_sql_event_equality_keys(PG_FUNCTION_ARGS)
{
	text	   *pattern = PG_GETARG_TEXT_PP(1);
	EeEqualityPath *path;
	EeFilterView view;
	EeEvent		event;
	uint64	   *keys;
	Datum	   *datums;
	int			n;

	path = ee_equality_path_parse(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	ee_envelope_deform(PG_GETARG_DATUM(0), &event);
	ee_filter_field_view(&view, &event);
	keys = ee_equality_event_keys(VARDATA_ANY(pattern),
								  VARSIZE_ANY_EXHDR(pattern), path, &view, &n);
	datums = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
		datums[i] = Int64GetDatum((int64) keys[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(datums, n, INT8OID, sizeof(int64),
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Of (condition, filters, vars), the arguments from the first on. */
static List *
terms_of_arguments(FunctionCallInfo fcinfo, int first)
{
	List	   *terms = NIL;

	if (!PG_ARGISNULL(first))
		terms = ee_equality_of_path(ee_path_predicate_compile(text_to_cstring(PG_GETARG_TEXT_PP(first)),
															  &words),
									PG_ARGISNULL(first + 2) ? NULL :
									PG_GETARG_JSONB_P(first + 2));
	if (!PG_ARGISNULL(first + 1))
		terms = list_concat(terms,
							ee_equality_of_filter(ee_filter_compile(&PG_GETARG_JSONB_P(first + 1)->root)));
	return terms;
}
