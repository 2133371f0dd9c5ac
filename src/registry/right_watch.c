/*
 * right_watch.c
 *	  Has what owners of subscriptions may subscribe to changed?
 *
 * The server tells of each role that is made, altered, granted or dropped
 * anywhere in the cluster, and not whom that concerns.  Reading very many
 * subscriptions anew for each is too much; so what such a change comes to is
 * worked out for each of the few roles that own some, and only where that is
 * another than before the subscriptions have changed.
 *
 * Whether an event may be had is not asked here: a matcher asks anew after
 * any change (match.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/syscache.h"

#include "registry/event_grant.h"
#include "registry/right_watch.h"

typedef struct Followed
{
	Oid			role;			/* hash key */
	uint64		rights;
} Followed;

static uint64 rights_of(Oid role, bool *exists);

static HTAB *followed = NULL;
static uint64 generation = 1;
/* of the grants, up to which all is known */
static uint64 looked_at = 0;

void
ee_right_watch_follow(Oid role)
{
	Followed   *entry;
	uint64		rights;
	bool		exists;

	if (followed == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(Oid),
			.entrysize = sizeof(Followed)
		};

		followed = hash_create("event_engine owners", 16, &info,
							   HASH_ELEM | HASH_BLOBS);
	}
	if (hash_search(followed, &role, HASH_FIND, NULL) != NULL)
		return;
	/* first, as it may raise an error */
	rights = rights_of(role, &exists);
	entry = hash_search(followed, &role, HASH_ENTER, NULL);
	entry->rights = rights;
}

bool
ee_right_watch_pending(void)
{
	return followed != NULL && looked_at != ee_event_grant_generation();
}

/* What changes while it looks is pending afterwards. */
uint64
ee_right_watch_generation(void)
{
	uint64		now = ee_event_grant_generation();
	HASH_SEQ_STATUS scan;
	Followed   *entry;
	bool		changed = false;

	if (followed == NULL || looked_at == now)
		return generation;
	hash_seq_init(&scan, followed);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		bool		exists;
		uint64		rights = rights_of(entry->role, &exists);

		changed |= rights != entry->rights;
		entry->rights = rights;
		if (!exists)
			hash_search(followed, &entry->role, HASH_REMOVE, NULL);
	}
	looked_at = now;
	if (changed)
	{
		generation++;
		ee_invalidate_count(EE_REL_SUBSCRIPTIONS);
	}
	return generation;
}

static uint64
rights_of(Oid role, bool *exists)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool		can_login;

	*exists = HeapTupleIsValid(tuple);
	if (!*exists)
		return 0;
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	return hash_combine64(1 + can_login,
						  ee_event_grant_digest(role, EE_PRIVILEGE_SUBSCRIBE));
}
