/*
 * plan.c
 *	  Saved plans under a pinned search path.
 *
 * Promises that a statement means the same in every session: names and
 * operators resolve in pg_catalog alone, whatever search_path the caller has.
 * Pinning at the time of planning is not enough, since the server analyses a
 * saved statement again when the path has changed; so the path is pinned
 * while it runs.
 *
 * Leaves to the caller as whom the statement runs.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/guc.h"

#include "ground/compat.h"
#include "ground/extension.h"
#include "ground/plan.h"

#define PINNED_PATH "pg_catalog, pg_temp"

static SPIPlanPtr prepared(EePlan *plan);
static void check_frame(void);

void
ee_plan_begin(EePlanFrame *frame)
{
	frame->caller = CurrentMemoryContext;
	frame->nest_level = 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");

	/* our functions with SET search_path, and the workers, have it already */
	if (namespace_search_path == NULL ||
		strcmp(namespace_search_path, PINNED_PATH) != 0)
	{
		frame->nest_level = NewGUCNestLevel();
		(void) set_config_option("search_path", PINNED_PATH,
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
}

void
ee_plan_by_index(EePlanFrame *frame)
{
	static const char *const detours[] = {
		"enable_seqscan", "enable_bitmapscan", "enable_sort"
	};

	if (frame->nest_level == 0)
		frame->nest_level = NewGUCNestLevel();
	for (int i = 0; i < lengthof(detours); i++)
		(void) set_config_option(detours[i], "off", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
}

void
ee_plan_end(EePlanFrame *frame)
{
	if (frame->nest_level != 0)
		AtEOXact_GUC(true, frame->nest_level);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "could not disconnect from SPI");
	MemoryContextSwitchTo(frame->caller);
}

uint64
ee_plan_execute(EePlan *plan, Datum *values, const char *nulls,
				bool read_only, long limit)
{
	int			code;

	check_frame();
	code = SPI_execute_plan(prepared(plan), values, nulls, read_only, limit);
	if (code < 0)
		elog(ERROR, "could not run statement \"%s\": %s",
			 plan->sql, SPI_result_code_string(code));
	return SPI_processed;
}

/*
 * The plan, prepared now if this session has none for this extension.  The
 * server itself notices when tables change.  What it cannot notice is that
 * the type of a parameter has another OID after DROP and CREATE EXTENSION:
 * then the plan is made anew, and the old one left alone, for it may be
 * running further up the stack.
 */
static SPIPlanPtr
prepared(EePlan *plan)
{
	Oid			extension = ee_extension_oid();
	Oid			argtypes[EE_PLAN_MAX_ARGS];
	int			nargs;
	SPIPlanPtr	fresh;

	if (likely(plan->plan != NULL && plan->extension == extension))
		return plan->plan;

	for (nargs = 0; plan->types[nargs] != NULL; nargs++)
	{
		int32		typmod;

		Assert(nargs < EE_PLAN_MAX_ARGS);
		ee_parse_type(plan->types[nargs], &argtypes[nargs], &typmod);
	}

	fresh = SPI_prepare(plan->sql, nargs, argtypes);
	if (fresh == NULL)
		elog(ERROR, "could not prepare statement \"%s\": %s",
			 plan->sql, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(fresh) != 0)
		elog(ERROR, "could not keep plan of \"%s\"", plan->sql);

	plan->plan = fresh;
	plan->extension = extension;

	return fresh;
}

/* Without a frame the path would be the session's. */
static void
check_frame(void)
{
	if (namespace_search_path == NULL ||
		strcmp(namespace_search_path, PINNED_PATH) != 0)
		elog(ERROR, "plan used outside of a frame");
}
