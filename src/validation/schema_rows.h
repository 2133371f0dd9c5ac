/*
 * schema_rows.h
 *	  A report as the rows of a SQL function.
 */
#ifndef EE_SCHEMA_ROWS_H
#define EE_SCHEMA_ROWS_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"

extern Datum ee_schema_rows(FunctionCallInfo fcinfo, const List *violations);

#endif							/* EE_SCHEMA_ROWS_H */
