/*
 * secret_box.c
 *	  Encryption with a secret key: all that we ask of libsodium.
 *
 * XChaCha20-Poly1305 as libsodium has it: authenticated, so that a box that
 * was changed, moved or is opened with another key is never taken for
 * something else; with nonces long enough to be drawn at random.
 */
#include "postgres.h"

#include <sodium.h>

#include "ground/secret_box.h"

/* what from_text and to_text agree on */
#define VARIANT		sodium_base64_VARIANT_ORIGINAL_NO_PADDING

StaticAssertDecl(EE_SECRET_KEY_BYTES ==
				 crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
				 "length of a key");
StaticAssertDecl(EE_SECRET_NONCE_BYTES ==
				 crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
				 "length of a nonce");
StaticAssertDecl(EE_SECRET_TAG_BYTES ==
				 crypto_aead_xchacha20poly1305_ietf_ABYTES,
				 "length of a tag");

static void require_sodium(void);

/* Chooses what suits this processor; needed once in a process. */
static void
require_sodium(void)
{
	static bool ready = false;

	if (ready)
		return;
	if (sodium_init() < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not initialise libsodium")));
	ready = true;
}

void
ee_secret_box_random(void *bytes, Size n)
{
	require_sodium();
	randombytes_buf(bytes, n);
}

void
ee_secret_box_seal(uint8 *box, const uint8 *content, Size n,
				   const uint8 *label, Size label_len, const uint8 *key)
{
	ee_secret_box_random(box, EE_SECRET_NONCE_BYTES);
	(void) crypto_aead_xchacha20poly1305_ietf_encrypt(box + EE_SECRET_NONCE_BYTES,
													  NULL, content, n,
													  label, label_len, NULL,
													  box, key);
}

bool
ee_secret_box_open(uint8 *content, const uint8 *box, Size n,
				   const uint8 *label, Size label_len, const uint8 *key)
{
	require_sodium();
	return n >= EE_SECRET_BOX_OVERHEAD &&
		crypto_aead_xchacha20poly1305_ietf_decrypt(content, NULL, NULL,
												   box + EE_SECRET_NONCE_BYTES,
												   n - EE_SECRET_NONCE_BYTES,
												   label, label_len, box,
												   key) == 0;
}

void
ee_secret_box_forget(void *bytes, Size n)
{
	sodium_memzero(bytes, n);
}

char *
ee_secret_box_to_text(const uint8 *bytes, Size n, const char *prefix)
{
	Size		begin = strlen(prefix);
	Size		room = sodium_base64_encoded_len(n, VARIANT);
	char	   *text = palloc(begin + room);

	memcpy(text, prefix, begin);
	(void) sodium_bin2base64(text + begin, room, bytes, n, VARIANT);
	return text;
}

bool
ee_secret_box_from_text(uint8 *bytes, Size room, const char *text, Size len,
						Size *n)
{
	return sodium_base642bin(bytes, room, text, len, NULL, n, NULL,
							 VARIANT) == 0;
}

bool
ee_secret_box_key_from_hex(uint8 *key, const char *hex, Size len)
{
	size_t		n;

	return len == 2 * EE_SECRET_KEY_BYTES &&
		sodium_hex2bin(key, EE_SECRET_KEY_BYTES, hex, len, NULL, &n,
					   NULL) == 0 && n == EE_SECRET_KEY_BYTES;
}
