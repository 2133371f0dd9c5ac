/*
 * invalidate.c
 *	  One callback for every cache of the library, flags out.
 *
 * Promises that a change of a watched relation of ours, of roles, of the
 * extension or of its schema is counted in each backend before that backend
 * can rely on what it remembers, and that the callbacks do nothing but count:
 * they run in the middle of anything, outside of transactions and in those
 * that failed.
 *
 * Leaves to each cache what to do about it, and when.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_namespace.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ground/errors.h"
#include "ground/invalidate.h"
#include "ground/shared.h"

static void announcement_tag(LOCKTAG *tag, Oid relid);
static void lock_announcement(Oid relid);
static void relation_changed(Datum arg, Oid relid);
static void rights_changed(void);
static void roles_changed(Datum arg, int cacheid, uint32 hash);
static void schema_changed(Datum arg, int cacheid, uint32 hash);

static uint64 generations[EE_N_RELATIONS];
static uint64 objects_generation = 1;
static uint32 schema_hash = 0;	/* 0: our schema has not been looked up */
static bool initialised = false;

PG_FUNCTION_INFO_V1(ee_sql_announce_change);

void
ee_invalidate_init(void)
{
	int			i;

	if (initialised)
		return;

	for (i = 0; i < EE_N_RELATIONS; i++)
		generations[i] = 1;
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, schema_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, roles_changed, (Datum) 0);
	initialised = true;
}

uint64
ee_invalidate_watch(EeRelation relation)
{
	(void) ee_extension_relid(relation);
	return generations[relation];
}

uint64
ee_invalidate_generation(EeRelation relation)
{
	if (unlikely(!initialised))
		ee_invalidate_init();
	return generations[relation];
}

uint64
ee_invalidate_objects_generation(void)
{
	return objects_generation;
}

void
ee_invalidate_announce(EeRelation relation)
{
	Oid			relid = ee_extension_relid(relation);

	lock_announcement(relid);
	CacheInvalidateRelcacheByRelid(relid);
}

/* As if our schema had changed, for which everybody looks out. */
void
ee_invalidate_announce_extension(void)
{
	Relation	relation = table_open(NamespaceRelationId, AccessShareLock);
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID,
										ObjectIdGetDatum(ee_extension_schema()));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "the extension has no schema");
	CacheInvalidateHeapTuple(relation, tuple, NULL);
	ReleaseSysCache(tuple);
	table_close(relation, AccessShareLock);
}

/*
 * Who announces holds the lock until the end of the transaction, which is
 * when all have been told.
 */
bool
ee_invalidate_settled(EeRelation relation)
{
	LOCKTAG		tag;

	if (RecoveryInProgress())
		return false;			/* where the lock cannot be had */
	announcement_tag(&tag, ee_extension_relid(relation));
	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	(void) LockRelease(&tag, ShareLock, false);
	AcceptInvalidationMessages();
	return true;
}

/* Waits for nothing but ee_invalidate_settled(), which holds it for no time. */
static void
lock_announcement(Oid relid)
{
	LOCKTAG		tag;

	announcement_tag(&tag, relid);
	(void) LockAcquire(&tag, RowExclusiveLock, false, false);
}

/* Other locks of ours on a relation's OID have another objsubid. */
static void
announcement_tag(LOCKTAG *tag, Oid relid)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, relid, 0, 2);
}

void
ee_invalidate_watch_schema(uint32 hash)
{
	schema_hash = hash;
}

/*
 * Trigger of the tables that are cached: whoever changes them, the registry's
 * functions, an administrator's UPDATE or a restore, every backend hears of
 * it when the change commits.
 */
Datum
ee_sql_announce_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("announce_change() must be called by an AFTER trigger")));

	lock_announcement(RelationGetRelid(trigger->tg_relation));
	CacheInvalidateRelcache(trigger->tg_relation);
	/* workers that sleep take no notice of an invalidation by itself */
	ee_shared_note_changed();

	return PointerGetDatum(NULL);
}

/*
 * A relation changed, or all of them did (InvalidOid).  A relation that was
 * never looked up is not known here, and nobody has read it.
 */
static void
relation_changed(Datum arg, Oid relid)
{
	int			i;

	for (i = 0; i < EE_N_RELATIONS; i++)
	{
		if (!OidIsValid(relid) || ee_extension_is_relation(relid, i))
			generations[i]++;
	}
	if (OidIsValid(relid) &&
		ee_extension_is_relation(relid, EE_REL_EVENT_GRANTS))
		rights_changed();
}

/* What a subscription may have is part of what is known of it. */
static void
rights_changed(void)
{
	generations[EE_REL_SUBSCRIPTIONS]++;
}

/* Who is a superuser, and who has whose privileges. */
static void
roles_changed(Datum arg, int cacheid, uint32 hash)
{
	generations[EE_REL_EVENT_GRANTS]++;
	rights_changed();
}

/* A schema changed; only ours is of interest, or a reset of all caches. */
static void
schema_changed(Datum arg, int cacheid, uint32 hash)
{
	if (hash == 0 || hash == schema_hash)
		objects_generation++;
}
