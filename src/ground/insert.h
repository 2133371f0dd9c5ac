/*
 * insert.h
 *	  Put rows straight into a table of ours and its indexes.
 */
#ifndef EE_INSERT_H
#define EE_INSERT_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/relcache.h"

/* A slot for a row, of which n are to be inserted together. */
extern TupleTableSlot *ee_insert_slot(Relation rel, int n);

/* The caller has the table open and locked, and fires no trigger. */
extern void ee_insert_rows(Relation rel, TupleTableSlot **slots, int n);

/* One row by its values. */
extern void ee_insert_values(Oid relid, Datum *values, bool *nulls);

#endif							/* EE_INSERT_H */
