/*
 * stat_definitions.c
 *	  What became of the events of a pattern, as shared memory has it.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ground/shared_counter.h"

#define PATTERN_COUNTERS_COLS	(2 + 2 * EE_N_OUTCOMES)

PG_FUNCTION_INFO_V1(ee_sql_pattern_counters);

/*
 * pattern_counters(pattern) RETURNS SETOF record (source_type, published_at,
 * published, refused, delivered, failed, dead, and the rates of these per
 * second): a row for each kind of source that there were events of; none
 * where the library was not preloaded.
 */
Datum
ee_sql_pattern_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	text	   *pattern = PG_GETARG_TEXT_PP(0);
	EePatternCounters *counters;

	InitMaterializedSRF(fcinfo, 0);
	counters = ee_shared_counter_find(VARDATA_ANY(pattern),
									  VARSIZE_ANY_EXHDR(pattern));
	if (counters == NULL)
		return (Datum) 0;
	for (int i = 0; i < EE_N_SOURCE_KINDS; i++)
	{
		Datum		values[PATTERN_COUNTERS_COLS];
		bool		nulls[PATTERN_COUNTERS_COLS] = {0};
		uint64		published_at = pg_atomic_read_u64(&counters->published_at);
		bool		any = false;

		values[0] = CStringGetTextDatum(ee_shared_counter_source_kind(i));
		values[1] = TimestampTzGetDatum((TimestampTz) published_at);
		nulls[1] = published_at == 0;
		for (int j = 0; j < EE_N_OUTCOMES; j++)
		{
			uint64		n = pg_atomic_read_u64(&counters->counts[i][j]);

			values[2 + j] = Int64GetDatum(n);
			values[2 + EE_N_OUTCOMES + j] =
				Float8GetDatum(ee_rate_get(&counters->rates[i][j]));
			any |= n > 0;
		}
		if (any)
			tuplestore_putvalues(result->setResult, result->setDesc, values,
								 nulls);
	}
	return (Datum) 0;
}
