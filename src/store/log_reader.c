/*
 * log_reader.c
 *	  Read what lies between two positions of the log, in order.
 *
 * A range is read from streams, each an index scan that gives events in
 * ascending seq; the reader merges them.  There is a stream for each
 * partition (and pattern, if restricted) over what is new, and one for each
 * partition and late transaction.  Late events stand below the lower
 * position's seq and all others above, so the late streams come first and the
 * others are opened when they are used up.
 *
 * Nothing is gathered: memory is one slot a stream.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_collation.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "ground/compat.h"
#include "ground/envelope.h"
#include "store/log_reader.h"
#include "store/partition.h"

typedef struct Stream
{
	Relation	heap;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	int64		seq;			/* of the event in slot */
} Stream;

struct EeLogReader
{
	const EeLogCursor *cursor;
	Datum	   *patterns;
	int			n_patterns;
	EePriority	class;			/* normal: of all */
	Snapshot	snapshot;
	MemoryContext context;
	bool		late_done;		/* the late streams are used up */
	Stream	   *streams;
	int			n_streams;
	int			n_allocated;
	binaryheap *heap;			/* of streams with an event; NULL when one */
	Stream	   *current;		/* whose event was given last */
	const int64 *seqs;			/* the events wanted, NULL: of the cursor */
	int			n_seqs;			/* left */
};

static void open_late(EeLogReader *reader);
static void open_new(EeLogReader *reader);
static void class_key(ScanKey key, EePriority class);
static void close_stream(Stream *stream);
static void close_streams(EeLogReader *reader);
static TupleTableSlot *next_event(EeLogReader *reader);
static TupleTableSlot *next_of_list(EeLogReader *reader);
static void add_stream(EeLogReader *reader, Relation heap, Oid index_relid,
					   ScanKey keys, int n_keys);
static bool advance(EeLogReader *reader, Stream *stream);
static void build_heap(EeLogReader *reader);
static int	compare_streams(Datum a, Datum b, void *arg);
static Relation open_partition(EePartition *partition);

EeLogReader *
ee_log_reader_begin(const EeLogCursor *cursor, Datum *patterns,
					int n_patterns, EePriority class, Snapshot snapshot)
{
	EeLogReader *reader = palloc0(sizeof(EeLogReader));

	Assert(cursor->in_range);
	reader->cursor = cursor;
	reader->patterns = patterns;
	reader->n_patterns = n_patterns;
	reader->class = class;
	reader->snapshot = snapshot;
	reader->context = CurrentMemoryContext;
	if (cursor->seq < cursor->low.seq && cursor->low.nxip > 0)
		open_late(reader);
	else
	{
		reader->late_done = true;
		open_new(reader);
	}
	return reader;
}

EeLogReader *
ee_log_reader_begin_events(const int64 *seqs, int n, Snapshot snapshot)
{
	EeLogReader *reader = palloc0(sizeof(EeLogReader));

	reader->snapshot = snapshot;
	reader->context = CurrentMemoryContext;
	reader->seqs = seqs;
	reader->n_seqs = n;
	return reader;
}

TupleTableSlot *
ee_log_reader_next(EeLogReader *reader)
{
	MemoryContext old = MemoryContextSwitchTo(reader->context);
	TupleTableSlot *slot = reader->seqs != NULL ? next_of_list(reader) :
		next_event(reader);

	MemoryContextSwitchTo(old);
	return slot;
}

static TupleTableSlot *
next_event(EeLogReader *reader)
{
	const EeLogCursor *cursor = reader->cursor;

	for (;;)
	{
		Stream	   *stream = reader->current;
		bool		isnull;
		uint64		xid;

		CHECK_FOR_INTERRUPTS();

		/* move on the stream that gave the last event */
		if (stream != NULL)
		{
			if (advance(reader, stream))
			{
				if (reader->heap != NULL)
					binaryheap_replace_first(reader->heap,
											 PointerGetDatum(stream));
			}
			else if (reader->heap != NULL)
				(void) binaryheap_remove_first(reader->heap);
			else
				reader->n_streams = 0;
			reader->current = NULL;
		}

		if (reader->heap != NULL && !binaryheap_empty(reader->heap))
			stream = (Stream *)
				DatumGetPointer(binaryheap_first(reader->heap));
		else if (reader->heap == NULL && reader->n_streams == 1)
			stream = &reader->streams[0];
		else if (!reader->late_done)
		{
			close_streams(reader);
			reader->late_done = true;
			open_new(reader);
			continue;
		}
		else
			return NULL;

		reader->current = stream;
		xid = U64FromFullTransactionId(DatumGetFullTransactionId(slot_getattr(stream->slot,
																			  EE_EVENT_XID, &isnull)));
		if (ee_log_position_sees(&cursor->high, stream->seq, xid))
			return stream->slot;
	}
}

static TupleTableSlot *
next_of_list(EeLogReader *reader)
{
	while (reader->n_seqs > 0)
	{
		int64		seq = *reader->seqs++;
		int			n_partitions;
		EePartition **partitions;

		CHECK_FOR_INTERRUPTS();
		reader->n_seqs--;
		close_streams(reader);
		partitions = ee_partition_candidates(seq - 1, seq, &n_partitions);
		for (int p = 0; p < n_partitions && reader->n_streams == 0; p++)
		{
			Relation	heap = open_partition(partitions[p]);
			ScanKeyData key;

			if (heap == NULL)
				continue;
			ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ,
						Int64GetDatum(seq));
			add_stream(reader, heap, partitions[p]->seq_index, &key, 1);
			table_close(heap, NoLock);
		}
		pfree(partitions);
		if (reader->n_streams > 0)
			return reader->streams[0].slot;
	}
	return NULL;
}

void
ee_log_reader_end(EeLogReader *reader)
{
	close_streams(reader);
	pfree(reader);
}

/* ----------------------------------------------------------------- streams */

/*
 * Transactions that were in progress at low and are finished at high.  Events
 * that another cluster wrote may bear their xids, and were seen by low.
 */
static void
open_late(EeLogReader *reader)
{
	const EeLogCursor *cursor = reader->cursor;
	int64		after = Max(cursor->seq, cursor->low.base_seq);
	int			n_late;
	uint64	   *late = ee_log_position_late(&cursor->low, &cursor->high,
											&n_late);
	int			n_partitions;
	EePartition **partitions;

	if (n_late == 0 || after >= cursor->low.seq)
	{
		reader->late_done = true;
		open_new(reader);
		return;
	}
	partitions = ee_partition_candidates(after, cursor->low.seq,
										 &n_partitions);
	for (int p = 0; p < n_partitions; p++)
	{
		Relation	heap = open_partition(partitions[p]);

		if (heap == NULL)
			continue;
		for (int i = 0; i < n_late; i++)
		{
			ScanKeyData keys[3];

			ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_XID8EQ,
						FullTransactionIdGetDatum(FullTransactionIdFromU64(late[i])));
			ScanKeyInit(&keys[1], 2, BTGreaterStrategyNumber, F_INT8GT,
						Int64GetDatum(after));
			ScanKeyInit(&keys[2], 2, BTLessEqualStrategyNumber, F_INT8LE,
						Int64GetDatum(cursor->low.seq));
			add_stream(reader, heap,
					   reader->class == EE_PRIORITY_NORMAL ?
					   partitions[p]->xid_index :
					   partitions[p]->class_xid_index, keys, 3);
		}
		table_close(heap, NoLock);
	}
	pfree(late);
	pfree(partitions);
	build_heap(reader);
}

static void
open_new(EeLogReader *reader)
{
	const EeLogCursor *cursor = reader->cursor;
	int64		low = Max(cursor->seq, cursor->low.seq);
	int64		high = cursor->high.seq;
	int			n_partitions;
	EePartition **partitions;

	if (low >= high)
		return;
	partitions = ee_partition_candidates(low, high, &n_partitions);
	for (int p = 0; p < n_partitions; p++)
	{
		Relation	heap = open_partition(partitions[p]);
		ScanKeyData keys[3];

		if (heap == NULL)
			continue;
		if (reader->class != EE_PRIORITY_NORMAL)
		{
			class_key(&keys[0], reader->class);
			ScanKeyInit(&keys[1], 2, BTGreaterStrategyNumber, F_INT8GT,
						Int64GetDatum(low));
			ScanKeyInit(&keys[2], 2, BTLessEqualStrategyNumber, F_INT8LE,
						Int64GetDatum(high));
			add_stream(reader, heap, partitions[p]->class_index, keys, 3);
		}
		else if (reader->patterns == NULL)
		{
			ScanKeyInit(&keys[0], 1, BTGreaterStrategyNumber, F_INT8GT,
						Int64GetDatum(low));
			ScanKeyInit(&keys[1], 1, BTLessEqualStrategyNumber, F_INT8LE,
						Int64GetDatum(high));
			add_stream(reader, heap, partitions[p]->seq_index, keys, 2);
		}
		else
			for (int i = 0; i < reader->n_patterns; i++)
			{
				ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber,
									   InvalidOid, C_COLLATION_OID, F_TEXTEQ,
									   reader->patterns[i]);
				ScanKeyInit(&keys[1], 2, BTGreaterStrategyNumber, F_INT8GT,
							Int64GetDatum(low));
				ScanKeyInit(&keys[2], 2, BTLessEqualStrategyNumber, F_INT8LE,
							Int64GetDatum(high));
				add_stream(reader, heap, partitions[p]->pattern_index, keys,
						   3);
			}
		table_close(heap, NoLock);
	}
	pfree(partitions);
	build_heap(reader);
}

static void
class_key(ScanKey key, EePriority class)
{
	ScanKeyInit(key, 1, BTEqualStrategyNumber, F_ENUM_EQ,
				ObjectIdGetDatum(ee_extension_priority_oid(class)));
}

/* NULL when it is gone or holds nothing yet. */
static Relation
open_partition(EePartition *partition)
{
	Relation	heap = try_table_open(partition->relid, AccessShareLock);

	if (heap == NULL)
		return NULL;
	if (RelationGetNumberOfBlocks(heap) == 0)
	{
		table_close(heap, AccessShareLock);
		return NULL;
	}
	ee_partition_indexes(partition);
	return heap;
}

/* Open a scan and keep it if it gives anything. */
static void
add_stream(EeLogReader *reader, Relation heap, Oid index_relid, ScanKey keys,
		   int n_keys)
{
	Stream	   *stream;

	if (reader->n_streams == reader->n_allocated)
	{
		int			more = Max(reader->n_allocated * 2, 4);

		/* streams are pointed to only once all of them are open */
		if (reader->streams == NULL)
			reader->streams = palloc(sizeof(Stream) * more);
		else
			reader->streams = repalloc(reader->streams,
									   sizeof(Stream) * more);
		reader->n_allocated = more;
	}
	stream = &reader->streams[reader->n_streams];
	/* a reference of its own, as streams end one by one */
	stream->heap = table_open(RelationGetRelid(heap), NoLock);
	stream->index = index_open(index_relid, AccessShareLock);
	stream->slot = table_slot_create(heap, NULL);
	stream->scan = ee_index_beginscan(stream->heap, stream->index,
									  reader->snapshot, n_keys, 0);
	index_rescan(stream->scan, keys, n_keys, NULL, 0);
	if (advance(reader, stream))
		reader->n_streams++;
}

/* The next event of a stream; at its end the stream is closed. */
static bool
advance(EeLogReader *reader, Stream *stream)
{
	bool		isnull;

	if (index_getnext_slot(stream->scan, ForwardScanDirection, stream->slot))
	{
		stream->seq = DatumGetInt64(slot_getattr(stream->slot, EE_EVENT_SEQ,
												 &isnull));
		return true;
	}
	close_stream(stream);
	return false;
}

static void
build_heap(EeLogReader *reader)
{
	if (reader->n_streams < 2)
		return;
	reader->heap = binaryheap_allocate(reader->n_streams, compare_streams,
									   NULL);
	for (int i = 0; i < reader->n_streams; i++)
		binaryheap_add_unordered(reader->heap,
								 PointerGetDatum(&reader->streams[i]));
	binaryheap_build(reader->heap);
}

/* The server's heap has its greatest on top: the lowest seq is the greatest. */
static int
compare_streams(Datum a, Datum b, void *arg)
{
	int64		seq_a = ((Stream *) DatumGetPointer(a))->seq;
	int64		seq_b = ((Stream *) DatumGetPointer(b))->seq;

	return seq_a < seq_b ? 1 : seq_a > seq_b ? -1 : 0;
}

static void
close_stream(Stream *stream)
{
	index_endscan(stream->scan);
	ExecDropSingleTupleTableSlot(stream->slot);
	index_close(stream->index, NoLock);
	table_close(stream->heap, NoLock);
	stream->scan = NULL;
}

static void
close_streams(EeLogReader *reader)
{
	for (int i = 0; i < reader->n_streams; i++)
		if (reader->streams[i].scan != NULL)
			close_stream(&reader->streams[i]);
	if (reader->heap != NULL)
		binaryheap_free(reader->heap);
	reader->heap = NULL;
	reader->n_streams = 0;
	reader->current = NULL;
}

/* ----------------------------------------------------------------- classes */

bool
ee_log_reader_any(EePriority class)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int			n_partitions;
	EePartition **partitions = ee_partition_candidates(0, PG_INT64_MAX,
													   &n_partitions);
	bool		found = false;

	for (int p = 0; p < n_partitions && !found; p++)
	{
		Relation	heap = open_partition(partitions[p]);
		Relation	index;
		IndexScanDesc scan;
		TupleTableSlot *slot;
		ScanKeyData key;

		if (heap == NULL)
			continue;
		class_key(&key, class);
		index = index_open(partitions[p]->class_index, AccessShareLock);
		slot = table_slot_create(heap, NULL);
		scan = ee_index_beginscan(heap, index, snapshot, 1, 0);
		index_rescan(scan, &key, 1, NULL, 0);
		found = index_getnext_slot(scan, ForwardScanDirection, slot);
		index_endscan(scan);
		ExecDropSingleTupleTableSlot(slot);
		index_close(index, NoLock);
		table_close(heap, NoLock);
	}
	pfree(partitions);
	UnregisterSnapshot(snapshot);
	return found;
}
