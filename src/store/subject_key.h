/*
 * subject_key.h
 *	  The keys that sensitive data is encrypted with, some for each subject.
 */
#ifndef EE_SUBJECT_KEY_H
#define EE_SUBJECT_KEY_H

#include "postgres.h"

#include "utils/uuid.h"

#include "ground/secret_box.h"

#define EE_SUBJECT_MAX	255		/* characters */

/* columns, as in sql/33_store_sensitive_state.sql */
typedef enum EeSubjectKeyAttr
{
	EE_SUBJECT_KEY_ID = 1,
	EE_SUBJECT_KEY_SUBJECT,
	EE_SUBJECT_KEY_KEY,
	EE_SUBJECT_KEY_CREATED_AT,
	EE_SUBJECT_KEY_ERASED_AT
} EeSubjectKeyAttr;

#define EE_SUBJECT_KEY_NATTS	EE_SUBJECT_KEY_ERASED_AT

typedef struct EeSubjectKey
{
	pg_uuid_t	id;
	uint8		key[EE_SECRET_KEY_BYTES];
} EeSubjectKey;

typedef enum EeKeyState
{
	EE_KEY_HERE,
	EE_KEY_ERASED,
	EE_KEY_UNKNOWN				/* never made here, nor imported */
} EeKeyState;

/*
 * A key to encrypt with, made in this transaction where there is none.  The
 * caller forgets it with ee_secret_box_forget().
 */
extern void ee_subject_key_get(EeSubjectKey *key, const char *subject,
							   int len);

/* The key of an id, to decrypt with. */
extern EeKeyState ee_subject_key_find(EeSubjectKey *key, const pg_uuid_t *id);

#endif							/* EE_SUBJECT_KEY_H */
