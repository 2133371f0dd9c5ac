/*
 * partition.c
 *	  What this backend knows of the partitions of the log.
 *
 * The partition descriptor of the parent is the truth; event_partitions adds
 * which of them are sealed.  Both are read when something changed, which
 * the relation cache tells.
 *
 * Making and sealing partitions is in partition_upkeep.c.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ground/envelope.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/invalidate.h"
#include "store/partition.h"
#include "store/partition_upkeep.h"

static MemoryContext cache_context = NULL;
static EePartition *partitions = NULL;
static int	n_partitions = 0;
static Oid	parent_relid = InvalidOid;
static Oid	state_relid = InvalidOid;
static bool cache_valid = false;
static bool invalidated = false;	/* while reading */

static void refresh(void);
static void read_bounds(void);
static void read_sealed(void);
static void relcache_callback(Datum arg, Oid relid);
static EePartition *find_by_time(TimestampTz at);
static EePartition *find_by_relid(Oid relid);
static EePartition *find_default(void);
static TimestampTz sealed_until(void);
static EePartition **add_unannounced(EePartition **found, int *n);
static bool is_log_index(Relation index, bool partial, int nkeys, int attr1,
						 int attr2);

EePartition *
ee_partition_for_append(TimestampTz *created_at)
{
	bool		tried = false;

	/* see ee_partition_make() */
	LockRelationOid(ee_extension_relid(EE_REL_EVENTS), RowShareLock);
	for (;;)
	{
		EePartition *partition;
		Oid			relid;

		refresh();
		partition = find_by_time(*created_at);
		if (partition != NULL && partition->sealed)
		{
			/* the clock went back behind a partition that was closed */
			*created_at = sealed_until();
			continue;
		}

		/*
		 * A partition that is attached keeps everybody from the default
		 * partition until we commit, and in a transaction block nobody knows
		 * when that will be.
		 */
		if (partition == NULL && !tried && !IsTransactionBlock())
		{
			tried = true;
			if (ee_partition_make(*created_at))
				continue;
		}
		if (partition == NULL)
			partition = find_default();
		if (partition == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CHECK_VIOLATION),
					 errmsg("no partition of table event_engine.events takes an event of %s",
							timestamptz_to_str(*created_at)),
					 errhint("Run SELECT event_engine.run_maintenance().")));
		relid = partition->relid;
		LockRelationOid(relid, RowExclusiveLock);
		/*
		 * Sealed or dropped while we waited for the lock?  Or was that the
		 * default partition, and a proper one has been attached meanwhile?
		 */
		if (!cache_valid)
		{
			refresh();
			partition = find_by_relid(relid);
			if (partition == NULL || partition->sealed ||
				(partition->is_default && find_by_time(*created_at) != NULL))
				continue;
		}
		ee_partition_indexes(partition);
		return partition;
	}
}

EePartition **
ee_partition_candidates(int64 low, int64 high, int *n)
{
	EePartition **found;

	refresh();
	found = palloc(sizeof(EePartition *) * Max(n_partitions, 1));
	*n = 0;
	for (int i = 0; i < n_partitions; i++)
	{
		EePartition *partition = &partitions[i];

		if (partition->sealed &&
			(partition->max_seq <= low || partition->min_seq > high))
			continue;
		found[(*n)++] = partition;
	}
	if (!ee_invalidate_settled(EE_REL_EVENT_PARTITIONS))
		found = add_unannounced(found, n);
	else if (!cache_valid)
	{
		pfree(found);
		return ee_partition_candidates(low, high, n);
	}
	return found;
}

/*
 * Partitions that are there and of which we have not been told.  A publisher
 * who made one for his event may have just committed it with the event.
 */
static EePartition **
add_unannounced(EePartition **found, int *n)
{
	List	   *children;
	ListCell   *lc;

	InvalidateCatalogSnapshot();
	children = find_inheritance_children(parent_relid, NoLock);
	found = repalloc(found, sizeof(EePartition *) *
					 (*n + list_length(children) + 1));
	foreach(lc, children)
	{
		if (find_by_relid(lfirst_oid(lc)) == NULL)
		{
			found[*n] = palloc0(sizeof(EePartition));
			found[(*n)++]->relid = lfirst_oid(lc);
		}
	}
	list_free(children);
	return found;
}

bool
ee_partition_accepts(Oid relid, TimestampTz created_at)
{
	EePartition *partition;

	refresh();
	partition = find_by_relid(relid);
	return partition != NULL && !partition->sealed &&
		(partition->is_default ||
		 (created_at >= partition->lower && created_at < partition->upper));
}

/* Which of its indexes is which; the caller holds a lock on it. */
void
ee_partition_indexes(EePartition *partition)
{
	Relation	rel;
	List	   *indexes;
	ListCell   *lc;

	if (partition->indexes_known)
		return;
	rel = table_open(partition->relid, NoLock);
	if (RelationGetDescr(rel)->natts != EE_EVENT_NATTS)
		ereport(ERROR,
				(errcode(EE_ERRCODE_VERSION_MISMATCH),
				 errmsg("partition \"%s\" of event_engine.events has %d columns, expected %d",
						get_rel_name(partition->relid),
						RelationGetDescr(rel)->natts, EE_EVENT_NATTS),
				 errhint("Columns cannot be added to the log; free members of an event go into its payload, or into the tags of its metadata.")));
	partition->foreign_triggers = false;
	if (rel->trigdesc != NULL)
		for (int i = 0; i < rel->trigdesc->numtriggers; i++)
		{
			Trigger    *trigger = &rel->trigdesc->triggers[i];

			if (TRIGGER_FOR_INSERT(trigger->tgtype) &&
				!trigger->tgisinternal &&
				strncmp(trigger->tgname, "event_engine_", 13) != 0)
				partition->foreign_triggers = true;
		}
	indexes = RelationGetIndexList(rel);
	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (is_log_index(index, false, 1, EE_EVENT_SEQ, 0))
			partition->seq_index = RelationGetRelid(index);
		else if (is_log_index(index, false, 2, EE_EVENT_XID, EE_EVENT_SEQ))
			partition->xid_index = RelationGetRelid(index);
		else if (is_log_index(index, false, 2, EE_EVENT_PATTERN,
							  EE_EVENT_SEQ))
			partition->pattern_index = RelationGetRelid(index);
		else if (is_log_index(index, true, 2, EE_EVENT_PRIORITY,
							  EE_EVENT_SEQ))
			partition->class_index = RelationGetRelid(index);
		else if (is_log_index(index, true, 2, EE_EVENT_XID, EE_EVENT_SEQ))
			partition->class_xid_index = RelationGetRelid(index);
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	table_close(rel, NoLock);
	if (!OidIsValid(partition->seq_index) ||
		!OidIsValid(partition->xid_index) ||
		!OidIsValid(partition->pattern_index) ||
		!OidIsValid(partition->class_index) ||
		!OidIsValid(partition->class_xid_index))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("partition \"%s\" of event_engine.events lacks an index on (seq), (xid, seq), (pattern, seq), or (priority, seq) or (xid, seq) of events that are not normal",
						get_rel_name(partition->relid)),
				 errhint("Create the indexes of event_engine.events_default on it again.")));
	partition->indexes_known = true;
}

static bool
is_log_index(Relation index, bool partial, int nkeys, int attr1, int attr2)
{
	Form_pg_index form = index->rd_index;

	return index->rd_rel->relam == BTREE_AM_OID &&
		form->indisvalid && form->indisready &&
		form->indnkeyatts == nkeys &&
		form->indkey.values[0] == attr1 &&
		(nkeys == 1 || form->indkey.values[1] == attr2) &&
		(RelationGetIndexPredicate(index) != NIL) == partial;
}

/* ------------------------------------------------------------------ cache */

static void
relcache_callback(Datum arg, Oid relid)
{
	if (!cache_valid || relid == InvalidOid || relid == parent_relid ||
		relid == state_relid || find_by_relid(relid) != NULL)
	{
		invalidated = true;
		cache_valid = false;
	}
}

static void
refresh(void)
{
	static bool registered = false;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
		cache_context = AllocSetContextCreate(CacheMemoryContext,
											  "event_engine partitions",
											  ALLOCSET_SMALL_SIZES);
		registered = true;
	}
	AcceptInvalidationMessages();
	while (!cache_valid)
	{
		n_partitions = 0;
		MemoryContextReset(cache_context);
		parent_relid = ee_extension_relid(EE_REL_EVENTS);
		state_relid = ee_extension_relid(EE_REL_EVENT_PARTITIONS);
		/* whatever comes in while we read makes us read again */
		invalidated = false;
		read_bounds();
		read_sealed();
		cache_valid = !invalidated;
	}
}

static void
read_bounds(void)
{
	Relation	parent = table_open(parent_relid, AccessShareLock);
	PartitionDesc desc = RelationGetPartitionDesc(parent, true);
	PartitionBoundInfo bounds = desc->boundinfo;
	EePartition *read;
	int			n = 0;

	read = MemoryContextAllocZero(cache_context,
								  sizeof(EePartition) * Max(desc->nparts, 1));
	if (desc->nparts > 0)
	{
		for (int i = 0; i <= bounds->ndatums; i++)
		{
			EePartition *partition;

			if (bounds->indexes[i] < 0)
				continue;
			partition = &read[n++];
			partition->relid = desc->oids[bounds->indexes[i]];
			partition->lower = DT_NOBEGIN;
			partition->upper = DT_NOEND;
			if (i > 0 &&
				bounds->kind[i - 1][0] == PARTITION_RANGE_DATUM_VALUE)
				partition->lower =
					DatumGetTimestampTz(bounds->datums[i - 1][0]);
			if (i < bounds->ndatums &&
				bounds->kind[i][0] == PARTITION_RANGE_DATUM_VALUE)
				partition->upper = DatumGetTimestampTz(bounds->datums[i][0]);
		}
		if (bounds->default_index >= 0)
		{
			read[n].relid = desc->oids[bounds->default_index];
			read[n].is_default = true;
			n++;
		}
	}
	table_close(parent, AccessShareLock);
	partitions = read;
	n_partitions = n;
}

static void
read_sealed(void)
{
	Relation	rel = table_open(state_relid, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		EePartition *partition;
		bool		isnull;

		/* relid, lower, upper, created_at, sealed_at, min_seq, max_seq */
		slot_getallattrs(slot);
		partition = find_by_relid(DatumGetObjectId(slot->tts_values[0]));
		if (partition == NULL || slot->tts_isnull[4])
			continue;
		partition->sealed = true;
		isnull = slot->tts_isnull[5] || slot->tts_isnull[6];
		partition->min_seq = isnull ? 1 : DatumGetInt64(slot->tts_values[5]);
		partition->max_seq = isnull ? 0 : DatumGetInt64(slot->tts_values[6]);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
}

static EePartition *
find_by_time(TimestampTz at)
{
	/* the latest come last, and that is where publishers are */
	for (int i = n_partitions - 1; i >= 0; i--)
		if (!partitions[i].is_default &&
			at >= partitions[i].lower && at < partitions[i].upper)
			return &partitions[i];
	return NULL;
}

static EePartition *
find_by_relid(Oid relid)
{
	for (int i = 0; i < n_partitions; i++)
		if (partitions[i].relid == relid)
			return &partitions[i];
	return NULL;
}

static EePartition *
find_default(void)
{
	for (int i = 0; i < n_partitions; i++)
		if (partitions[i].is_default)
			return &partitions[i];
	return NULL;
}

static TimestampTz
sealed_until(void)
{
	TimestampTz until = DT_NOBEGIN;

	for (int i = 0; i < n_partitions; i++)
		if (partitions[i].sealed && partitions[i].upper > until)
			until = partitions[i].upper;
	return until;
}

/*
 * The gap around a moment for which there is no partition: between the
 * nearest bounds below and above.
 */
void
ee_partition_gap(TimestampTz at, TimestampTz *lower, TimestampTz *upper,
				 Oid *default_relid)
{
	refresh();
	*lower = DT_NOBEGIN;
	*upper = DT_NOEND;
	*default_relid = InvalidOid;
	for (int i = 0; i < n_partitions; i++)
	{
		EePartition *partition = &partitions[i];

		if (partition->is_default)
			*default_relid = partition->relid;
		else if (partition->upper <= at)
			*lower = Max(*lower, partition->upper);
		else if (partition->lower > at)
			*upper = Min(*upper, partition->lower);
	}
}

bool
ee_partition_exists_for(TimestampTz at)
{
	refresh();
	return find_by_time(at) != NULL;
}

TimestampTz
ee_partition_end(TimestampTz at)
{
	EePartition *partition;

	refresh();
	partition = find_by_time(at);
	return partition != NULL ? partition->upper : DT_NOEND;
}

/* Those whose time is over, not yet sealed; count in *n. */
Oid *
ee_partition_due_for_sealing(TimestampTz before, int *n)
{
	Oid		   *relids;

	refresh();
	relids = palloc(sizeof(Oid) * Max(n_partitions, 1));
	*n = 0;
	for (int i = 0; i < n_partitions; i++)
		if (!partitions[i].is_default && !partitions[i].sealed &&
			partitions[i].upper <= before)
			relids[(*n)++] = partitions[i].relid;
	return relids;
}
