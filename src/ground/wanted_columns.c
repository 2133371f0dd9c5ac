/*
 * wanted_columns.c
 *	  Which columns of a set of rows the statement looks at.
 *
 * A function in FROM makes its rows whole, whatever becomes of them.  What
 * the statement goes on with is written in the plan: the scan of the function
 * that holds our call, and the columns that its expressions name.  Where no
 * such scan is found, as in a select list, every column is wanted.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "nodes/plannodes.h"
#include "optimizer/optimizer.h"

#include "ground/wanted_columns.h"

static FunctionScan *scan_of_call(const EState *estate, const Node *call);
static FunctionScan *find_scan(Plan *plan, const Node *call);

void
ee_wanted_columns(FunctionCallInfo fcinfo, bool *wanted, int n)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	FunctionScan *scan = scan_of_call(result->econtext->ecxt_estate,
									  fcinfo->flinfo->fn_expr);
	Bitmapset  *used = NULL;

	if (scan != NULL)
	{
		pull_varattnos((Node *) scan->scan.plan.targetlist,
					   scan->scan.scanrelid, &used);
		pull_varattnos((Node *) scan->scan.plan.qual,
					   scan->scan.scanrelid, &used);
	}
	for (int i = 0; i < n; i++)
		wanted[i] = scan == NULL ||
			bms_is_member(InvalidAttrNumber -
						  FirstLowInvalidHeapAttributeNumber, used) ||
			bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, used);
	bms_free(used);
}

static FunctionScan *
scan_of_call(const EState *estate, const Node *call)
{
	FunctionScan *scan;
	ListCell   *lc;

	if (estate == NULL || estate->es_plannedstmt == NULL || call == NULL)
		return NULL;
	scan = find_scan(estate->es_plannedstmt->planTree, call);
	foreach(lc, estate->es_plannedstmt->subplans)
	{
		if (scan != NULL)
			break;
		scan = find_scan(lfirst(lc), call);
	}
	return scan;
}

/* Only of a function that stands alone: then its columns are the scan's. */
static FunctionScan *
find_scan(Plan *plan, const Node *call)
{
	FunctionScan *scan;

	if (plan == NULL)
		return NULL;
	check_stack_depth();
	if (IsA(plan, SubqueryScan))
		return find_scan(((SubqueryScan *) plan)->subplan, call);
	if (IsA(plan, FunctionScan))
	{
		scan = (FunctionScan *) plan;
		return list_length(scan->functions) == 1 &&
			((RangeTblFunction *) linitial(scan->functions))->funcexpr == call ?
			scan : NULL;
	}
	scan = find_scan(plan->lefttree, call);
	return scan != NULL ? scan : find_scan(plan->righttree, call);
}
