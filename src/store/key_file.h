/*
 * key_file.h
 *	  The key that keys are encrypted with, in a file apart.
 */
#ifndef EE_KEY_FILE_H
#define EE_KEY_FILE_H

#include "postgres.h"

#include "utils/uuid.h"

#include "ground/secret_box.h"

/* The longest form in which a key is stored. */
#define EE_STORED_KEY_BYTES	(1 + EE_SECRET_KEY_BYTES + EE_SECRET_BOX_OVERHEAD)

/*
 * A key as it is stored: wrapped by the first key of the file that
 * event_engine.store_key_file names, plain when it names none.  Returns the
 * length.  Raises KEY_FILE when the file cannot be used.
 */
extern int	ee_key_file_wrap(uint8 *stored, const uint8 *key,
							 const pg_uuid_t *id);

/* Back from there; raises KEY_FILE when no key of the file fits. */
extern void ee_key_file_unwrap(uint8 *key, const uint8 *stored, int len,
							   const pg_uuid_t *id);

#endif							/* EE_KEY_FILE_H */
