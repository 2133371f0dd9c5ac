/*
 * schema_rows.c
 *	  A report as the rows of a SQL function that returns SETOF
 *	  event_engine.validation_error.
 *
 * The descriptor is the one that the caller expects: to look up what the
 * function returns would take longer than to find the violations.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "validation/schema_report.h"
#include "validation/schema_rows.h"

#define COLUMNS		6			/* of type validation_error */

static void begin_rows(FunctionCallInfo fcinfo);
static void put_row(ReturnSetInfo *rsinfo, const EeViolation *violation);

/* What the function returns; where nothing is wrong no place is made. */
Datum
ee_schema_rows(FunctionCallInfo fcinfo, const List *violations)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	if (violations == NIL && rsinfo != NULL && IsA(rsinfo, ReturnSetInfo) &&
		(rsinfo->allowedModes & SFRM_ValuePerCall))
	{
		rsinfo->isDone = ExprEndResult;
		PG_RETURN_NULL();
	}
	begin_rows(fcinfo);
	foreach(lc, violations)
		put_row(rsinfo, lfirst(lc));
	return (Datum) 0;
}

static void
begin_rows(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		!(rsinfo->allowedModes & SFRM_Materialize) ||
		rsinfo->expectedDesc == NULL ||
		rsinfo->expectedDesc->natts != COLUMNS)
	{
		InitMaterializedSRF(fcinfo, 0);
		return;
	}
	rsinfo->returnMode = SFRM_Materialize;
	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	rsinfo->setResult =
		tuplestore_begin_heap(rsinfo->allowedModes & SFRM_Materialize_Random,
							  false, work_mem);
	MemoryContextSwitchTo(old);
}

static void
put_row(ReturnSetInfo *rsinfo, const EeViolation *violation)
{
	const char *texts[COLUMNS] = {violation->instance_path,
		violation->keyword_path, violation->keyword, violation->message,
	violation->expected, violation->found};
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS];
	int			i;

	for (i = 0; i < COLUMNS; i++)
	{
		nulls[i] = texts[i] == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(texts[i]);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc ?
						 rsinfo->setDesc : rsinfo->expectedDesc, values,
						 nulls);
}
