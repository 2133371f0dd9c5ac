/*
 * subject_key.c
 *	  The keys that sensitive data is encrypted with, some for each subject.
 *
 * A key is made when a subject is first published about, in the publisher's
 * transaction.  Nobody waits for that: who does not see the key that another
 * is making makes one as well, and a value names its key by id.  So a
 * subject may have several, all of which are erased together.
 *
 * Erasing must not miss a key that is being made.  Makers hold a lock on the
 * subject (on one of LOCKS that it falls on) to the end of their transaction,
 * shared among them; erase_subject() takes it alone, before it looks.
 *
 * Sessions keep keys that they have used, in two small tables without
 * chains.  They are worth as long as the table was not announced to have
 * changed, which an erasure does and making a key does not; and a key made
 * by this session as long as the transaction that made it has not been
 * rolled back.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/transam.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ground/extension.h"
#include "ground/insert.h"
#include "ground/invalidate.h"
#include "registry/registry_row.h"
#include "store/key_file.h"
#include "store/subject_key.h"

#define SLOTS		512			/* of each table of known keys */
#define LOCKS		256

typedef struct KnownKey
{
	EeSubjectKey key;
	char	   *subject;		/* NULL: the slot is free; not in by_id */
	bool		used;
	bool		erased;
	TransactionId maker;		/* who has yet to commit, or invalid */
} KnownKey;

typedef struct KnownKeys
{
	KnownKey	by_subject[SLOTS];
	KnownKey	by_id[SLOTS];
} KnownKeys;

static KnownKey *slot_of_subject(const char *subject, int len);
static KnownKey *slot_of_id(const pg_uuid_t *id);
static void refresh(void);
static bool still_made(KnownKey *known);
static void forget(KnownKey *known);
static void remember_subject(const char *subject, int len,
							 const EeSubjectKey *key, TransactionId maker);
static void remember_id(const EeSubjectKey *key, bool erased,
						TransactionId maker);
static bool look_up_subject(EeSubjectKey *key, const char *subject, int len,
							TransactionId *maker);
static bool unwrap(EeRowScan *scan, HeapTuple tuple, EeSubjectKey *key);
static TransactionId maker_of(HeapTuple tuple);
static void make(EeSubjectKey *key, const char *subject, int len);
static void lock_subject(const char *subject, int len, LOCKMODE mode);

PG_FUNCTION_INFO_V1(ee_sql_lock_subject);
PG_FUNCTION_INFO_V1(ee_sql_wrap_subject_key);

static KnownKeys *known_keys = NULL;
static uint64 known_generation = 0;

void
ee_subject_key_get(EeSubjectKey *key, const char *subject, int len)
{
	TransactionId maker;
	KnownKey   *known;

	/* an erasure that is over is not to be missed for want of listening */
	AcceptInvalidationMessages();
	refresh();
	known = slot_of_subject(subject, len);
	if (known->subject != NULL && strlen(known->subject) == len &&
		memcmp(known->subject, subject, len) == 0 && still_made(known))
	{
		*key = known->key;
		return;
	}
	if (!look_up_subject(key, subject, len, &maker))
	{
		lock_subject(subject, len, ShareLock);
		make(key, subject, len);
		maker = GetCurrentTransactionId();
	}
	remember_subject(subject, len, key, maker);
}

EeKeyState
ee_subject_key_find(EeSubjectKey *key, const pg_uuid_t *id)
{
	AttrNumber	attr = EE_SUBJECT_KEY_ID;
	Datum		value = UUIDPGetDatum(id);
	EeKeyState	state = EE_KEY_UNKNOWN;
	TransactionId maker = InvalidTransactionId;
	KnownKey   *known;
	EeRowScan	scan;
	HeapTuple	tuple;

	if (!ee_extension_has(EE_REL_EVENT_SUBJECT_KEYS))
		return EE_KEY_UNKNOWN;
	/* of an erasure, as above */
	AcceptInvalidationMessages();
	refresh();
	known = slot_of_id(id);
	if (known->used &&
		memcmp(&known->key.id, id, sizeof(pg_uuid_t)) == 0 &&
		still_made(known))
	{
		*key = known->key;
		return known->erased ? EE_KEY_ERASED : EE_KEY_HERE;
	}
	memset(key, 0, sizeof(*key));
	key->id = *id;
	ee_registry_row_begin(&scan, EE_REL_EVENT_SUBJECT_KEYS,
						  "event_subject_keys_pkey", 1, &attr, &value);
	tuple = ee_registry_row_next(&scan);
	if (HeapTupleIsValid(tuple))
	{
		state = unwrap(&scan, tuple, key) ? EE_KEY_HERE : EE_KEY_ERASED;
		maker = maker_of(tuple);
	}
	ee_registry_row_end(&scan);
	if (state != EE_KEY_UNKNOWN)
		remember_id(key, state == EE_KEY_ERASED, maker);
	return state;
}

/* ------------------------------------------------------------ what is known */

/* All that was known is forgotten when somebody has been erased. */
static void
refresh(void)
{
	uint64		generation = ee_invalidate_watch(EE_REL_EVENT_SUBJECT_KEYS) +
		ee_invalidate_objects_generation();

	if (known_keys == NULL)
		known_keys = MemoryContextAllocZero(TopMemoryContext,
											sizeof(KnownKeys));
	if (generation == known_generation)
		return;
	for (int i = 0; i < SLOTS; i++)
	{
		forget(&known_keys->by_subject[i]);
		forget(&known_keys->by_id[i]);
	}
	known_generation = generation;
}

static KnownKey *
slot_of_subject(const char *subject, int len)
{
	return &known_keys->by_subject[hash_bytes((const unsigned char *) subject,
											  len) % SLOTS];
}

static KnownKey *
slot_of_id(const pg_uuid_t *id)
{
	return &known_keys->by_id[hash_bytes(id->data, UUID_LEN) % SLOTS];
}

/* Was it not rolled back, if this session made it? */
static bool
still_made(KnownKey *known)
{
	if (!TransactionIdIsValid(known->maker) ||
		TransactionIdIsCurrentTransactionId(known->maker))
		return true;
	if (TransactionIdDidCommit(known->maker))
	{
		known->maker = InvalidTransactionId;
		return true;
	}
	forget(known);
	return false;
}

static void
forget(KnownKey *known)
{
	char	   *subject = known->subject;

	ee_secret_box_forget(known, sizeof(*known));
	if (subject != NULL)
		pfree(subject);
}

static void
remember_subject(const char *subject, int len, const EeSubjectKey *key,
				 TransactionId maker)
{
	KnownKey   *known = slot_of_subject(subject, len);
	char	   *copy = MemoryContextAlloc(TopMemoryContext, len + 1);

	memcpy(copy, subject, len);
	copy[len] = '\0';
	forget(known);
	known->key = *key;
	known->subject = copy;
	known->used = true;
	known->maker = maker;
}

static void
remember_id(const EeSubjectKey *key, bool erased, TransactionId maker)
{
	KnownKey   *known = slot_of_id(&key->id);

	forget(known);
	known->key = *key;
	known->used = true;
	known->erased = erased;
	known->maker = maker;
}

/* ----------------------------------------------------------------- in rows */

/* Any that is not erased: the index has no others. */
static bool
look_up_subject(EeSubjectKey *key, const char *subject, int len,
				TransactionId *maker)
{
	AttrNumber	attr = EE_SUBJECT_KEY_SUBJECT;
	Datum		value = PointerGetDatum(cstring_to_text_with_len(subject, len));
	EeRowScan	scan;
	HeapTuple	tuple;
	bool		found = false;

	ee_registry_row_begin(&scan, EE_REL_EVENT_SUBJECT_KEYS,
						  "event_subject_keys_subject_idx", 1, &attr, &value);
	while (!found && HeapTupleIsValid(tuple = ee_registry_row_next(&scan)))
	{
		found = unwrap(&scan, tuple, key);
		*maker = maker_of(tuple);
	}
	ee_registry_row_end(&scan);
	return found;
}

/* False when it is erased. */
static bool
unwrap(EeRowScan *scan, HeapTuple tuple, EeSubjectKey *key)
{
	bool		isnull;
	Datum		stored;
	bytea	   *bytes;

	stored = ee_registry_row_get(scan, tuple, EE_SUBJECT_KEY_KEY, &isnull);
	if (isnull)
		return false;
	key->id = *DatumGetUUIDP(ee_registry_row_get(scan, tuple,
												 EE_SUBJECT_KEY_ID, &isnull));
	bytes = DatumGetByteaPP(stored);
	ee_key_file_unwrap(key->key, (uint8 *) VARDATA_ANY(bytes),
					   VARSIZE_ANY_EXHDR(bytes), &key->id);
	return true;
}

/* Who wrote the row, if that may yet be rolled back. */
static TransactionId
maker_of(HeapTuple tuple)
{
	return HeapTupleHeaderXminCommitted(tuple->t_data) ? InvalidTransactionId :
		HeapTupleHeaderGetXmin(tuple->t_data);
}

static void
make(EeSubjectKey *key, const char *subject, int len)
{
	Datum		values[EE_SUBJECT_KEY_NATTS];
	bool		nulls[EE_SUBJECT_KEY_NATTS] = {false};
	bytea	   *stored = palloc0(VARHDRSZ + EE_STORED_KEY_BYTES);

	ee_secret_box_random(key, sizeof(*key));
	SET_VARSIZE(stored, VARHDRSZ +
				ee_key_file_wrap((uint8 *) VARDATA(stored), key->key,
								 &key->id));
	values[EE_SUBJECT_KEY_ID - 1] = UUIDPGetDatum(&key->id);
	values[EE_SUBJECT_KEY_SUBJECT - 1] =
		PointerGetDatum(cstring_to_text_with_len(subject, len));
	values[EE_SUBJECT_KEY_KEY - 1] = PointerGetDatum(stored);
	values[EE_SUBJECT_KEY_CREATED_AT - 1] =
		TimestampTzGetDatum(GetCurrentTimestamp());
	nulls[EE_SUBJECT_KEY_ERASED_AT - 1] = true;
	ee_insert_values(ee_extension_relid(EE_REL_EVENT_SUBJECT_KEYS), values,
					 nulls);
	CommandCounterIncrement();
	ee_secret_box_forget(stored, VARSIZE(stored));
}

/* Other locks of ours on a relation's OID have another objsubid or class. */
static void
lock_subject(const char *subject, int len, LOCKMODE mode)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId,
					   ee_extension_relid(EE_REL_EVENT_SUBJECT_KEYS),
					   hash_bytes((const unsigned char *) subject, len) % LOCKS,
					   3);
	(void) LockAcquire(&tag, mode, false, false);
}

/* lock_subject(subject): for whoever erases it. */
Datum
ee_sql_lock_subject(PG_FUNCTION_ARGS)
{
	text	   *subject = PG_GETARG_TEXT_PP(0);

	lock_subject(VARDATA_ANY(subject), VARSIZE_ANY_EXHDR(subject),
				 ExclusiveLock);
	PG_RETURN_VOID();
}

/* wrap_subject_key(id, key): as it would be stored now. */
Datum
ee_sql_wrap_subject_key(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = PG_GETARG_UUID_P(0);
	bytea	   *stored = PG_GETARG_BYTEA_PP(1);
	bytea	   *result = palloc0(VARHDRSZ + EE_STORED_KEY_BYTES);
	uint8		key[EE_SECRET_KEY_BYTES];

	ee_key_file_unwrap(key, (uint8 *) VARDATA_ANY(stored),
					   VARSIZE_ANY_EXHDR(stored), id);
	SET_VARSIZE(result, VARHDRSZ +
				ee_key_file_wrap((uint8 *) VARDATA(result), key, id));
	ee_secret_box_forget(key, sizeof(key));
	PG_RETURN_BYTEA_P(result);
}
