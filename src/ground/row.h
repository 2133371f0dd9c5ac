/*
 * row.h
 *	  Find, change and remove single rows of tables of ours.
 */
#ifndef EE_ROW_H
#define EE_ROW_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

/*
 * Lock the row with this id, by the table's index on it, as of now and
 * whatever the snapshot says; waits for whoever has it.  False when there is
 * none.  The slot is one for this table.
 */
extern bool ee_row_lock(Relation rel, Oid index, const pg_uuid_t *id,
						TupleTableSlot *slot);

/*
 * Write a row, which this transaction has locked, and its indexes: no plan,
 * no trigger, no rights asked.
 */
extern void ee_row_update(Relation rel, ItemPointer tid,
						  TupleTableSlot *slot);
extern void ee_row_delete(Relation rel, ItemPointer tid);

#endif							/* EE_ROW_H */
