/*
 * delete.h
 *	  Take rows straight out of a table of ours.
 */
#ifndef EE_DELETE_H
#define EE_DELETE_H

#include "postgres.h"

/*
 * Those with these keys, of a table whose primary key is (integer, bigint).
 * One that is not there is left out; one that somebody else has changed
 * meanwhile is an error.
 */
extern void ee_delete_rows(Oid relid, int32 number, const int64 *seqs, int n);

#endif							/* EE_DELETE_H */
