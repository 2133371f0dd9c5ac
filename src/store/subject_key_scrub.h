/*
 * subject_key_scrub.h
 *	  Overwrite what erased keys have left in their table.
 */
#ifndef EE_SUBJECT_KEY_SCRUB_H
#define EE_SUBJECT_KEY_SCRUB_H

#include "postgres.h"

/* How many keys were overwritten; what is not committed yet is left. */
extern int64 ee_subject_key_scrub(void);

/* The same if a key may have been erased since this process did it last. */
extern void ee_subject_key_scrub_due(void);

#endif							/* EE_SUBJECT_KEY_SCRUB_H */
