/*
 * secret_box.h
 *	  Encryption with a secret key: all that we ask of libsodium.
 */
#ifndef EE_SECRET_BOX_H
#define EE_SECRET_BOX_H

#include "postgres.h"

#define EE_SECRET_KEY_BYTES		32
#define EE_SECRET_NONCE_BYTES	24
#define EE_SECRET_TAG_BYTES		16

/* What a box is longer than its content. */
#define EE_SECRET_BOX_OVERHEAD	(EE_SECRET_NONCE_BYTES + EE_SECRET_TAG_BYTES)

extern void ee_secret_box_random(void *bytes, Size n);

/*
 * Put content into box, which has room for EE_SECRET_BOX_OVERHEAD bytes more;
 * label is what must be said again to open it.
 */
extern void ee_secret_box_seal(uint8 *box, const uint8 *content, Size n,
							   const uint8 *label, Size label_len,
							   const uint8 *key);

/*
 * The other way; content has room for n - EE_SECRET_BOX_OVERHEAD bytes.
 * False when box, label or key is another one.
 */
extern bool ee_secret_box_open(uint8 *content, const uint8 *box, Size n,
							   const uint8 *label, Size label_len,
							   const uint8 *key);

/* Overwrite what is of no more use; no compiler leaves it out. */
extern void ee_secret_box_forget(void *bytes, Size n);

/* Base64 without padding, palloc'd; and back, false when it is none. */
extern char *ee_secret_box_to_text(const uint8 *bytes, Size n,
								   const char *prefix);
extern bool ee_secret_box_from_text(uint8 *bytes, Size room, const char *text,
									Size len, Size *n);

/* 64 hexadecimal digits; false when they are none. */
extern bool ee_secret_box_key_from_hex(uint8 *key, const char *hex, Size len);

#endif							/* EE_SECRET_BOX_H */
