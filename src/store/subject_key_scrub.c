/*
 * subject_key_scrub.c
 *	  Overwrite what erased keys have left in their table.
 *
 * An erasure writes a new version of the row, and the old one, with the key
 * in it, stays in its page until VACUUM takes it away; its bytes stay longer,
 * in what is free space then.  Here both are overwritten: the keys of
 * versions that are over, whether or not somebody's snapshot would still see
 * them (nobody reads keys by an old snapshot), and the free space of the
 * page.  The page goes to the WAL as a whole, for standbys to have it alike.
 *
 * What the WAL of before, and copies of the data directory, still hold is
 * beyond us: docs/sensitive-data.md says so.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xloginsert.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/rel.h"

#include "ground/compat.h"
#include "ground/extension.h"
#include "ground/invalidate.h"
#include "ground/secret_box.h"
#include "store/subject_key.h"
#include "store/subject_key_scrub.h"

static int	scrub_page(Relation rel, Buffer buffer);
static bool find_key(Relation rel, Buffer buffer, OffsetNumber offset,
					 char **bytes, int *len);
static bool is_over(HeapTupleHeader tuple);
static bool all_zero(const char *bytes, int n);

PG_FUNCTION_INFO_V1(ee_sql_scrub_subject_keys);

/* an erasure that the latest pass saw was not committed yet */
static bool some_are_pending = false;

/* scrub_subject_keys() RETURNS bigint: how many keys were overwritten. */
Datum
ee_sql_scrub_subject_keys(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("scrub_subject_keys()");
	PG_RETURN_INT64(ee_subject_key_scrub());
}

void
ee_subject_key_scrub_due(void)
{
	static uint64 scrubbed = 0;
	uint64		generation;

	if (!ee_extension_has(EE_REL_EVENT_SUBJECT_KEYS))
		return;
	generation = ee_invalidate_watch(EE_REL_EVENT_SUBJECT_KEYS);
	if (generation == scrubbed)
		return;
	(void) ee_subject_key_scrub();
	if (!some_are_pending)
		scrubbed = generation;
}

int64
ee_subject_key_scrub(void)
{
	Relation	rel = table_open(ee_extension_relid(EE_REL_EVENT_SUBJECT_KEYS),
								 RowExclusiveLock);
	BlockNumber n = RelationGetNumberOfBlocks(rel);
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_VACUUM);
	int64		scrubbed = 0;

	some_are_pending = false;
	for (BlockNumber block = 0; block < n; block++)
	{
		Buffer		buffer = ReadBufferExtended(rel, MAIN_FORKNUM, block,
												RBM_NORMAL, strategy);

		CHECK_FOR_INTERRUPTS();
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		scrubbed += scrub_page(rel, buffer);
		UnlockReleaseBuffer(buffer);
	}
	FreeAccessStrategy(strategy);
	table_close(rel, NoLock);
	return scrubbed;
}

/* Leaves a page alone that has nothing to hide. */
static int
scrub_page(Relation rel, Buffer buffer)
{
	Page		page = BufferGetPage(buffer);
	PageHeader	header = (PageHeader) page;
	OffsetNumber last;
	char	   *keys[MaxHeapTuplesPerPage];
	int			lens[MaxHeapTuplesPerPage];
	int			n = 0;
	bool		free_space;

	if (PageIsNew(page))
		return 0;
	last = PageGetMaxOffsetNumber(page);
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
		if (find_key(rel, buffer, offset, &keys[n], &lens[n]))
			n++;
	free_space = !all_zero((char *) page + header->pd_lower,
						   header->pd_upper - header->pd_lower);
	if (n == 0 && !free_space)
		return 0;

	START_CRIT_SECTION();
	for (int i = 0; i < n; i++)
		ee_secret_box_forget(keys[i], lens[i]);
	memset((char *) page + header->pd_lower, 0,
		   header->pd_upper - header->pd_lower);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(rel))
		(void) log_newpage_buffer(buffer, false);
	END_CRIT_SECTION();
	return n;
}

/* The key in a version of a row that is over, unless it is overwritten. */
static bool
find_key(Relation rel, Buffer buffer, OffsetNumber offset, char **bytes,
		 int *len)
{
	Page		page = BufferGetPage(buffer);
	ItemId		item = PageGetItemId(page, offset);
	HeapTupleData tuple;
	bool		isnull;
	Datum		key;

	if (!ItemIdHasStorage(item) || ItemIdGetLength(item) == 0)
		return false;
	tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple.t_len = ItemIdGetLength(item);
	tuple.t_tableOid = RelationGetRelid(rel);
	ItemPointerSet(&tuple.t_self, BufferGetBlockNumber(buffer), offset);
	if (!is_over(tuple.t_data))
		return false;
	key = heap_getattr(&tuple, EE_SUBJECT_KEY_KEY, RelationGetDescr(rel),
					   &isnull);
	if (isnull)
		return false;
	/* stored as it is: neither compressed nor elsewhere */
	*bytes = VARDATA_ANY(DatumGetPointer(key));
	*len = VARSIZE_ANY_EXHDR(DatumGetPointer(key));
	return !all_zero(*bytes, *len);
}

/* Deleted or replaced, for good; or never there, as it was rolled back. */
static bool
is_over(HeapTupleHeader tuple)
{
	TransactionId xmin = HeapTupleHeaderGetRawXmin(tuple);
	TransactionId xmax;

	if (!HeapTupleHeaderXminCommitted(tuple))
	{
		if (TransactionIdIsCurrentTransactionId(xmin) ||
			TransactionIdIsInProgress(xmin))
			return false;
		if (!TransactionIdDidCommit(xmin))
			return true;
	}
	if ((tuple->t_infomask & HEAP_XMAX_INVALID) ||
		HEAP_XMAX_IS_LOCKED_ONLY(tuple->t_infomask))
		return false;
	xmax = HeapTupleHeaderGetUpdateXid(tuple);
	if (TransactionIdIsCurrentTransactionId(xmax) ||
		TransactionIdIsInProgress(xmax))
	{
		some_are_pending = true;
		return false;
	}
	return TransactionIdDidCommit(xmax);
}

static bool
all_zero(const char *bytes, int n)
{
	for (int i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}
