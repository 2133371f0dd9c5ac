/*
 * metric.c
 *	  Lines of the text exposition format of Prometheus, version 0.0.4
 *	  (https://prometheus.io/docs/instrumenting/exposition_formats/).
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"

static void append_labels(StringInfo line, ArrayType *labels);
static void append_escaped(StringInfo line, const text *value);

PG_FUNCTION_INFO_V1(ee_sql_metric_sample);

/*
 * metric_sample(name text, labels text[], value float8): a line; labels are
 * name, value, name, value, ...
 */
Datum
ee_sql_metric_sample(PG_FUNCTION_ARGS)
{
	StringInfoData line;
	float8		value;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	value = PG_GETARG_FLOAT8(2);
	initStringInfo(&line);
	appendStringInfoString(&line, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (!PG_ARGISNULL(1))
		append_labels(&line, PG_GETARG_ARRAYTYPE_P(1));
	if (isinf(value))
		appendStringInfoString(&line, value > 0 ? " +Inf\n" : " -Inf\n");
	else if (isnan(value))
		appendStringInfoString(&line, " NaN\n");
	else
		appendStringInfo(&line, " %s\n", float8out_internal(value));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(line.data, line.len));
}

static void
append_labels(StringInfo line, ArrayType *labels)
{
	Datum	   *texts;
	bool	   *nulls;
	int			n;

	deconstruct_array(labels, TEXTOID, -1, false, TYPALIGN_INT, &texts,
					  &nulls, &n);
	for (int i = 0; i + 1 < n; i += 2)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("name of a label must not be null")));
		appendStringInfoChar(line, i == 0 ? '{' : ',');
		appendStringInfoString(line, TextDatumGetCString(texts[i]));
		appendStringInfoString(line, "=\"");
		if (!nulls[i + 1])
			append_escaped(line, DatumGetTextPP(texts[i + 1]));
		appendStringInfoChar(line, '"');
	}
	if (n > 1)
		appendStringInfoChar(line, '}');
}

static void
append_escaped(StringInfo line, const text *value)
{
	const char *c = VARDATA_ANY(value);

	for (int i = 0; i < VARSIZE_ANY_EXHDR(value); i++)
	{
		if (c[i] == '\n')
			appendStringInfoString(line, "\\n");
		else
		{
			if (c[i] == '\\' || c[i] == '"')
				appendStringInfoChar(line, '\\');
			appendStringInfoChar(line, c[i]);
		}
	}
}
