/*
 * wait_index.h
 *	  By which keys the waits are found that an event may end.
 */
#ifndef EE_WAIT_INDEX_H
#define EE_WAIT_INDEX_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "routing/filter_field.h"

typedef struct EeWaitIndex EeWaitIndex;

/*
 * What the waits of a dispatcher have their keys of, as the active snapshot
 * sees it.  before is ee_wait_index_watch() of before that snapshot was taken;
 * known is what was returned last, and is given back if it is still right.
 * Lives in a context of its own below parent.
 */
extern EeWaitIndex *ee_wait_index_read(EeWaitIndex *known, int32 number,
									   uint64 before, MemoryContext parent);
extern uint64 ee_wait_index_watch(void);

/* The patterns of waits: a list of char *. */
extern List *ee_wait_index_patterns(const EeWaitIndex *index);

/* Was it read when this was asked for first?  Once true, for one reading. */
extern bool ee_wait_index_is_new(EeWaitIndex *index);

/*
 * The keys of all waits that may want an event of this name, an array of *n
 * in CurrentMemoryContext.
 */
extern int64 *ee_wait_index_keys(EeWaitIndex *index, const char *name,
								 int len, EeFilterView *view, int *n);

#endif							/* EE_WAIT_INDEX_H */
