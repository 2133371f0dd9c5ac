/*
 * wanted_columns.h
 *	  Which columns of a set of rows the statement looks at.
 */
#ifndef EE_WANTED_COLUMNS_H
#define EE_WANTED_COLUMNS_H

#include "postgres.h"

#include "fmgr.h"

/*
 * For a function that returns a set of rows of n columns: wanted[i] tells
 * whether the statement that has called it looks at column i, from 0.  All
 * are wanted where that is not known.
 */
extern void ee_wanted_columns(FunctionCallInfo fcinfo, bool *wanted, int n);

#endif							/* EE_WANTED_COLUMNS_H */
