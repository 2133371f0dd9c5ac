/*
 * key_file.c
 *	  The key that keys are encrypted with, in a file apart.
 *
 * The file lies outside of the data directory, so that a copy of that, or of
 * the disk that it is on, holds nothing that can be read.  It has a key a
 * line, 64 hexadecimal digits each: the first one wraps, all of them unwrap,
 * so that another can take its place.  It is read whenever a key is wrapped
 * or unwrapped, which is once for each key and session: what it says now
 * counts, and its keys stay in no process.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "port.h"
#include "storage/fd.h"

#include "ground/config.h"
#include "ground/errors.h"
#include "store/key_file.h"

/* the first byte of a stored key */
#define KEY_PLAIN		1
#define KEY_WRAPPED		2

#define MAX_FILE_KEYS	16
#define MAX_FILE_BYTES	4096

typedef struct FileKeys
{
	int			n;
	uint8		keys[MAX_FILE_KEYS][EE_SECRET_KEY_BYTES];
} FileKeys;

static void read_file(FileKeys *keys);
static void parse(FileKeys *keys, char *content, int len);
static bool beside_the_data(const char *path);

int
ee_key_file_wrap(uint8 *stored, const uint8 *key, const pg_uuid_t *id)
{
	FileKeys	keys;

	if (ee_config_store_key_file == NULL ||
		ee_config_store_key_file[0] == '\0')
	{
		stored[0] = KEY_PLAIN;
		memcpy(stored + 1, key, EE_SECRET_KEY_BYTES);
		return 1 + EE_SECRET_KEY_BYTES;
	}
	read_file(&keys);
	stored[0] = KEY_WRAPPED;
	ee_secret_box_seal(stored + 1, key, EE_SECRET_KEY_BYTES, id->data,
					   UUID_LEN, keys.keys[0]);
	ee_secret_box_forget(&keys, sizeof(keys));
	return 1 + EE_SECRET_KEY_BYTES + EE_SECRET_BOX_OVERHEAD;
}

void
ee_key_file_unwrap(uint8 *key, const uint8 *stored, int len,
				   const pg_uuid_t *id)
{
	FileKeys	keys;
	bool		fits = false;

	if (len == 1 + EE_SECRET_KEY_BYTES && stored[0] == KEY_PLAIN)
	{
		memcpy(key, stored + 1, EE_SECRET_KEY_BYTES);
		return;
	}
	if (len != EE_STORED_KEY_BYTES || stored[0] != KEY_WRAPPED)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a key of event_engine.event_subject_keys is damaged")));
	if (ee_config_store_key_file == NULL ||
		ee_config_store_key_file[0] == '\0')
		ereport(ERROR,
				(errcode(EE_ERRCODE_KEY_FILE),
				 errmsg("keys of subjects are wrapped, and event_engine.store_key_file names no file"),
				 errhint("Set it to the file that was used when they were made.")));
	read_file(&keys);
	for (int i = 0; i < keys.n && !fits; i++)
		fits = ee_secret_box_open(key, stored + 1, len - 1, id->data,
								  UUID_LEN, keys.keys[i]);
	ee_secret_box_forget(&keys, sizeof(keys));
	if (!fits)
		ereport(ERROR,
				(errcode(EE_ERRCODE_KEY_FILE),
				 errmsg("no key in file \"%s\" fits a key of a subject",
						ee_config_store_key_file),
				 errhint("Add the line that was in event_engine.store_key_file when the key was made.")));
}

static void
read_file(FileKeys *keys)
{
	const char *path = ee_config_store_key_file;
	char		content[MAX_FILE_BYTES];
	struct stat st;
	int			fd;
	int			len;

	if (!is_absolute_path(path) || beside_the_data(path))
		ereport(ERROR,
				(errcode(EE_ERRCODE_KEY_FILE),
				 errmsg("key file \"%s\" must have an absolute path outside of the data directory",
						path),
				 errhint("Whoever has a copy of the data must not have the key with it.")));
	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0 || fstat(fd, &st) != 0)
		ereport(ERROR,
				(errcode(EE_ERRCODE_KEY_FILE),
				 errmsg("could not open key file \"%s\": %m", path),
				 errhint("It is the file that event_engine.store_key_file names.")));
	if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IRWXO | S_IWGRP | S_IXGRP)))
		ereport(ERROR,
				(errcode(EE_ERRCODE_KEY_FILE),
				 errmsg("key file \"%s\" must be a file that others cannot read",
						path),
				 errhint("Its permissions should be u=rw (0600), or u=rw,g=r (0640) where root owns it.")));
	len = read(fd, content, sizeof(content));
	if (len < 0)
		ereport(ERROR,
				(errcode(EE_ERRCODE_KEY_FILE),
				 errmsg("could not read key file \"%s\": %m", path)));
	CloseTransientFile(fd);
	parse(keys, content, len);
	ee_secret_box_forget(content, sizeof(content));
	if (keys->n == 0)
		ereport(ERROR,
				(errcode(EE_ERRCODE_KEY_FILE),
				 errmsg("key file \"%s\" is not valid", path),
				 errdetail("It must have lines of 64 hexadecimal digits, %d at most.",
						   MAX_FILE_KEYS),
				 errhint("Make one by: openssl rand -hex 32.")));
}

/* No key at all where a line is none. */
static void
parse(FileKeys *keys, char *content, int len)
{
	char	   *at = content;
	char	   *end = content + len;

	keys->n = 0;
	while (at < end)
	{
		char	   *eol = memchr(at, '\n', end - at);
		int			line;

		if (eol == NULL)
			eol = end;
		line = eol - at;
		if (line > 0 && at[line - 1] == '\r')
			line--;
		if (line > 0)
		{
			if (keys->n == MAX_FILE_KEYS ||
				!ee_secret_box_key_from_hex(keys->keys[keys->n], at, line))
			{
				keys->n = 0;
				return;
			}
			keys->n++;
		}
		at = eol + 1;
	}
}

static bool
beside_the_data(const char *path)
{
	char		clean[MAXPGPATH];

	strlcpy(clean, path, sizeof(clean));
	canonicalize_path(clean);
	return path_is_prefix_of_path(DataDir, clean);
}
