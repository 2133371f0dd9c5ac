/*
 * need.h
 *	  Who has yet to read events of the log up to a position?
 */
#ifndef EE_NEED_H
#define EE_NEED_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * Of events with a seq up to max_seq and an arrival before upper, to none of
 * which anything can be added: whoever has yet to read one, as a sentence for
 * people in CurrentMemoryContext; NULL when nobody has.  Raises what a filter
 * raises.
 */
extern char *ee_need_of(int64 max_seq, TimestampTz upper);

#endif							/* EE_NEED_H */
