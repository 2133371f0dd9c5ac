/*
 * sparse_place.h
 *	  Where the tables say that the lanes of very many subscriptions stand.
 */
#ifndef EE_SPARSE_PLACE_H
#define EE_SPARSE_PLACE_H

#include "postgres.h"

#include "ground/extension.h"
#include "store/log_position.h"

/* A lane of class so-and-so, of the running epoch, of index 0. */
typedef struct EeSparsePlace
{
	int32		number;			/* of the subscription */
	int64		move;			/* number of the latest one stored */
	EeLogPosition low;			/* it has had all that this sees */
} EeSparsePlace;

/* Of all subscriptions of a role, in CurrentMemoryContext. */
extern EeSparsePlace *ee_sparse_place_read(Oid owner, EePriority class,
										   int *n);

/* Where a look begins that is to serve these; the array is sorted. */
extern const EeLogPosition *ee_sparse_place_first(const EeLogPosition **places,
												  int n);

/* The numbers of subscriptions that have rows in deliveries. */
extern int *ee_sparse_place_busy(int *n);

#endif							/* EE_SPARSE_PLACE_H */
