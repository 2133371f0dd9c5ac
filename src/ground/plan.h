/*
 * plan.h
 *	  Statements of our own, planned once a session, under a pinned path.
 *
 *		static EePlan lease_plan = EE_PLAN("SELECT ... WHERE id = $1", "uuid");
 *
 *		EePlanFrame frame;
 *
 *		ee_plan_begin(&frame);
 *		ee_plan_execute(&lease_plan, values, NULL, true, 0);
 *		... SPI_processed, ee_plan_value(row, column, &isnull) ...
 *		ee_plan_end(&frame);
 *
 * Between begin and end the search path is pg_catalog, pg_temp whatever the
 * session has; it is put back at the end, or when the (sub)transaction
 * aborts.  Frames nest like calls do.
 */
#ifndef EE_PLAN_H
#define EE_PLAN_H

#include "postgres.h"

#include "executor/spi.h"

#define EE_PLAN_MAX_ARGS	20

/*
 * A statement and the names of its parameters' types, as a string constant
 * each; types of ours are spelt with their schema.
 */
typedef struct EePlan
{
	const char *sql;
	const char *types[EE_PLAN_MAX_ARGS + 1];	/* ends with NULL */
	SPIPlanPtr	plan;			/* NULL: not yet prepared */
	Oid			extension;		/* for which it was prepared */
} EePlan;

#define EE_PLAN(sql_, ...) \
	{.sql = (sql_), .types = {__VA_ARGS__}}

typedef struct EePlanFrame
{
	MemoryContext caller;		/* where results belong that outlive it */
	int			nest_level;		/* of settings; 0 when the path was right */
} EePlanFrame;

/*
 * Connect to SPI and pin the path.  CurrentMemoryContext becomes SPI's, which
 * ee_plan_end() throws away.
 */
extern void ee_plan_begin(EePlanFrame *frame);
extern void ee_plan_end(EePlanFrame *frame);

/*
 * Within a frame: plan what is run next as if tables were long.  Ours are
 * emptied by TRUNCATE now and then, and a plan made right afterwards, for a
 * table of one page, would read the whole of it ever after.
 */
extern void ee_plan_by_index(EePlanFrame *frame);

/*
 * Run within a frame; nulls may be NULL when none is.  Returns the number of
 * rows; the rows are in SPI_tuptable.  With read_only the active snapshot is
 * used as it is, else a new one.  limit 0 is no limit.  Any unexpected answer
 * of SPI is raised as an error.
 */
extern uint64 ee_plan_execute(EePlan *plan, Datum *values, const char *nulls,
							  bool read_only, long limit);

/* A value of what it found: rows from 0, columns from 1. */
static inline Datum
ee_plan_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

#endif							/* EE_PLAN_H */
