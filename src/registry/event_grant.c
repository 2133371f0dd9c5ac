/*
 * event_grant.c
 *	  Which events a role may publish, subscribe to and read.
 *
 * The rows of event_engine.event_grants allow, and nothing forbids: a role
 * may do what any row says of any role whose privileges it has.  The rows are
 * read whole at first use and again after a change; what they come to for a
 * role and a pattern is worked out once and remembered.
 *
 * Roles change in the server's catalogs: invalidate.c counts that as a change
 * of the table.
 *
 * Leaves it to each way in and out to ask, and to say what is refused.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "ground/identity.h"
#include "ground/pattern_trie.h"
#include "registry/event_grant.h"
#include "registry/registry_row.h"

#define MAX_REMEMBERED	4096

/* columns, as in sql/13_registry_grants_state.sql */
typedef enum GrantAttr
{
	GRANT_GRANTEE = 1,
	GRANT_PRIVILEGE,
	GRANT_PATTERN,
	GRANT_MATCH,
	GRANT_TENANT
} GrantAttr;

typedef struct Grant
{
	Oid			grantee;
	EePrivilege privilege;
	EePattern	pattern;
	char	   *tenant;			/* NULL: every one */
} Grant;

typedef struct AskedKey
{
	Oid			role;
	EePrivilege privilege;
	int			len;
	const char *pattern;
} AskedKey;

/* What has been asked, and what came of it. */
typedef struct Asked
{
	AskedKey	key;
	uint32		hash;
	char		status;
	EeGranted  *granted;
} Asked;

static inline uint32 key_hash(AskedKey key);
static inline bool key_equal(AskedKey a, AskedKey b);

#define SH_PREFIX			asked
#define SH_ELEMENT_TYPE		Asked
#define SH_KEY_TYPE			AskedKey
#define SH_KEY				key
#define SH_HASH_KEY(tb, k)	key_hash(k)
#define SH_EQUAL(tb, a, b)	key_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, e)	((e)->hash)
#define SH_SCOPE			static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct GrantCache
{
	MemoryContext context;
	uint64		generation;
	Oid			owner;			/* of the extension */
	int			n_grants;
	Grant	   *grants;
	EePatternTrie *trie;		/* payload: position among the grants */
	bool		has_regex;
	asked_hash *asked;
} GrantCache;

static EeGranted *work_out(GrantCache *known, AskedKey key);
static void add_grant(EeGranted *granted, const Grant *grant, Oid role);
static GrantCache *current(void);
static GrantCache *build(uint64 generation);
static void read_grants(GrantCache *result);
static bool read_grant(Grant *grant, EeRowScan *scan, HeapTuple tuple);

PG_FUNCTION_INFO_V1(ee_sql_check_grant_match);

static const char *const privilege_labels[EE_N_PRIVILEGES] = {
	[EE_PRIVILEGE_PUBLISH] = "publish",
	[EE_PRIVILEGE_SUBSCRIBE] = "subscribe",
	[EE_PRIVILEGE_READ] = "read",
	[EE_PRIVILEGE_UNSEAL] = "unseal",
};

static GrantCache *cache = NULL;

const EeGranted ee_event_grant_unasked = {.all = true};

static inline uint32
key_hash(AskedKey key)
{
	uint32		hash = hash_bytes((const unsigned char *) key.pattern, key.len);

	return hash_combine(hash, murmurhash32(key.role * EE_N_PRIVILEGES +
										   key.privilege));
}

static inline bool
key_equal(AskedKey a, AskedKey b)
{
	return a.role == b.role && a.privilege == b.privilege && a.len == b.len &&
		memcmp(a.pattern, b.pattern, a.len) == 0;
}

const EeGranted *
ee_event_grant_lookup(Oid role, EePrivilege privilege, const char *pattern,
					  int len)
{
	AskedKey	key = {role, privilege, len, pattern};
	GrantCache *known;
	Asked	   *asked;

	if (unlikely(!ee_extension_has(EE_REL_EVENT_GRANTS)))
		return &ee_event_grant_unasked;
	known = current();
	asked = asked_lookup(known->asked, key);
	if (likely(asked != NULL))
		return asked->granted;
	return work_out(known, key);
}

bool
ee_event_grant_any(Oid role, EePrivilege privilege)
{
	GrantCache *known;

	if (unlikely(!ee_extension_has(EE_REL_EVENT_GRANTS)))
		return true;
	known = current();
	if (has_privs_of_role(role, known->owner))
		return true;
	for (int i = 0; i < known->n_grants; i++)
		if (known->grants[i].privilege == privilege &&
			has_privs_of_role(role, known->grants[i].grantee))
			return true;
	return false;
}

bool
ee_event_grant_includes(const EeGranted *granted, const char *tenant, int len)
{
	if (granted->all)
		return true;
	if (tenant == NULL)
		return false;
	for (int i = 0; i < granted->n_tenants; i++)
		if (strlen(granted->tenants[i]) == len &&
			memcmp(granted->tenants[i], tenant, len) == 0)
			return true;
	return false;
}

char *
ee_event_grant_tenants(const EeGranted *granted)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < granted->n_tenants; i++)
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "",
						 granted->tenants[i]);
	return list.data;
}

static EeGranted *
work_out(GrantCache *known, AskedKey key)
{
	MemoryContext old = MemoryContextSwitchTo(known->context);
	EeGranted  *granted = palloc0(sizeof(EeGranted));
	char	   *pattern;
	bool		found;

	granted->all = has_privs_of_role(key.role, known->owner);
	if (!granted->all)
	{
		int			n;
		const int  *positions = ee_pattern_trie_lookup(known->trie,
													   key.pattern, key.len,
													   &n);

		granted->tenants = palloc(sizeof(char *) * Max(known->n_grants, 1));
		for (int i = 0; i < n; i++)
		{
			const Grant *grant = &known->grants[positions[i]];

			if (grant->privilege == key.privilege)
				add_grant(granted, grant, key.role);
		}
		for (int i = 0; known->has_regex && i < known->n_grants; i++)
		{
			const Grant *grant = &known->grants[i];

			if (grant->privilege == key.privilege &&
				grant->pattern.kind == EE_PATTERN_REGEX &&
				ee_pattern_regex_matches(&grant->pattern, key.pattern,
										 key.len))
				add_grant(granted, grant, key.role);
		}
	}
	if (granted->all)
		granted->n_tenants = 0;
	else
		qsort(granted->tenants, granted->n_tenants, sizeof(char *),
			  pg_qsort_strcmp);

	/* entered last: a regular expression may be interrupted */
	pattern = palloc(Max(key.len, 1));
	memcpy(pattern, key.pattern, key.len);
	key.pattern = pattern;
	asked_insert(known->asked, key, &found)->granted = granted;
	MemoryContextSwitchTo(old);
	return granted;
}

static void
add_grant(EeGranted *granted, const Grant *grant, Oid role)
{
	if (granted->all || !has_privs_of_role(role, grant->grantee))
		return;
	if (grant->tenant == NULL)
		granted->all = true;
	else if (!ee_event_grant_includes(granted, grant->tenant,
									  strlen(grant->tenant)))
		granted->tenants[granted->n_tenants++] = grant->tenant;
}

/*
 * Whoever is using an old one may go on until the transaction ends.  Listens
 * for changes, as a transaction that has all its locks hears of none.
 */
static GrantCache *
current(void)
{
	uint64		generation;
	GrantCache *built;

	AcceptInvalidationMessages();
	generation = ee_invalidate_watch(EE_REL_EVENT_GRANTS);
	if (likely(cache != NULL && cache->generation == generation &&
			   cache->asked->members < MAX_REMEMBERED))
		return cache;
	built = build(generation);
	if (cache != NULL)
		MemoryContextSetParent(cache->context, TopTransactionContext);
	cache = built;
	return cache;
}

/* In a context that becomes permanent only when all went well. */
static GrantCache *
build(uint64 generation)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_engine grants",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	GrantCache *result = palloc0(sizeof(GrantCache));

	result->context = context;
	result->generation = generation;
	result->owner = ee_identity_engine_role();
	result->trie = ee_pattern_trie_create();
	result->asked = asked_create(context, 64, NULL);
	read_grants(result);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, CacheMemoryContext);
	return result;
}

static void
read_grants(GrantCache *result)
{
	EeRowScan	scan;
	HeapTuple	tuple;
	int			room = 16;

	result->grants = palloc(sizeof(Grant) * room);
	ee_registry_row_begin(&scan, EE_REL_EVENT_GRANTS, NULL, 0, NULL, NULL);
	while (HeapTupleIsValid(tuple = ee_registry_row_next(&scan)))
	{
		Grant	   *grant;

		CHECK_FOR_INTERRUPTS();
		if (result->n_grants == room)
		{
			room *= 2;
			result->grants = repalloc_huge(result->grants,
										   sizeof(Grant) * room);
		}
		grant = &result->grants[result->n_grants];
		if (!read_grant(grant, &scan, tuple))
			continue;
		if (grant->pattern.kind == EE_PATTERN_REGEX)
			result->has_regex = true;
		else
			ee_pattern_trie_add(result->trie, &grant->pattern,
								result->n_grants);
		result->n_grants++;
	}
	ee_registry_row_end(&scan);
}

/* False: a privilege that is asked for elsewhere. */
static bool
read_grant(Grant *grant, EeRowScan *scan, HeapTuple tuple)
{
	char	   *label;
	Jsonb	   *match;
	Datum		value;
	bool		isnull;

	value = ee_registry_row_get(scan, tuple, GRANT_PRIVILEGE, &isnull);
	label = TextDatumGetCString(value);
	for (grant->privilege = 0; grant->privilege < EE_N_PRIVILEGES;
		 grant->privilege++)
		if (strcmp(label, privilege_labels[grant->privilege]) == 0)
			break;
	if (grant->privilege == EE_N_PRIVILEGES)
		return false;
	value = ee_registry_row_get(scan, tuple, GRANT_GRANTEE, &isnull);
	grant->grantee = DatumGetObjectId(value);
	value = ee_registry_row_get(scan, tuple, GRANT_MATCH, &isnull);
	match = DatumGetJsonbP(value);
	ee_pattern_compile(&grant->pattern, &match->root, 0);
	value = ee_registry_row_get(scan, tuple, GRANT_TENANT, &isnull);
	grant->tenant = isnull ? NULL : TextDatumGetCString(value);
	return true;
}

/* check_grant_match(match): true, or an error that says what is wrong */
Datum
ee_sql_check_grant_match(PG_FUNCTION_ARGS)
{
	EePattern	pattern;

	ee_pattern_compile(&pattern, &PG_GETARG_JSONB_P(0)->root, 0);
	PG_RETURN_BOOL(true);
}
