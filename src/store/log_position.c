/*
 * log_position.c
 *	  A position in the log: what was visible at one moment.
 *
 * Transactions commit in another order than they took their sequence
 * numbers, so no reader may say "I have all up to seq 1000".  It can say "I
 * have all that this snapshot sees", as PgQ's ticks do.  Between two
 * snapshots A and B lie
 *
 *	- the events above A's highest seq and not above B's, that B sees: one
 *	  range of the index on seq;
 *	- the late ones: those not above A's highest seq whose transaction was in
 *	  progress in A and is finished in B: a look-up on (xid, seq) for each
 *	  such transaction.
 *
 * Neither grows with the length of the history, nor with how long some
 * transaction stays open.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "ground/compat.h"
#include "store/log_position.h"
#include "store/log_state.h"

/*
 * The server's pg_snapshot, as xid8funcs.c stores it; an on-disk format, so
 * it does not change.
 */
typedef struct PgSnapshot
{
	int32		vl_len_;
	uint32		nxip;
	uint64		xmin;
	uint64		xmax;
	uint64		xip[FLEXIBLE_ARRAY_MEMBER];
} PgSnapshot;

static bool in_progress(const EeLogPosition *position, uint64 xid);

/*
 * The position of the active snapshot, in CurrentMemoryContext.
 *
 * The snapshot must have been taken before: then whatever it sees took its
 * seq before, and seq, read here, is not below it.  What it does not see and
 * has a seq not above must have had its xid (receiving an event assigns the
 * xid before the seq) before we read the next xid below.  The snapshot's own
 * xmax is the xid after the latest one completed, and transactions above it
 * may be running: they are entered as in progress, up to the next xid.  Our
 * own xid is never in our own snapshot: it is entered too, so that nobody
 * delivers what this transaction has published and may yet roll back.
 */
EeLogPosition *
ee_log_position_current(void)
{
	EeLogPosition *position = palloc(sizeof(EeLogPosition));
	PgSnapshot *snapshot;
	uint64		own;
	uint64		next;
	bool		own_entered;
	int			n = 0;

	Assert(ActiveSnapshotSet());
	snapshot = (PgSnapshot *)
		DatumGetPointer(DirectFunctionCall1(pg_current_snapshot, (Datum) 0));
	position->seq = ee_log_state_last_seq();
	position->base_seq = ee_log_state_base_seq();
	next = U64FromFullTransactionId(ReadNextFullTransactionId());
	next = Max(next, snapshot->xmax);
	own = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
	own_entered = own == 0 || own >= snapshot->xmax;

	position->xip = palloc(sizeof(uint64) *
						   (snapshot->nxip + 1 + (next - snapshot->xmax)));
	for (uint32 i = 0; i < snapshot->nxip; i++)
	{
		if (!own_entered && own < snapshot->xip[i])
		{
			position->xip[n++] = own;
			own_entered = true;
		}
		position->xip[n++] = snapshot->xip[i];
	}
	if (!own_entered)
		position->xip[n++] = own;
	for (uint64 xid = snapshot->xmax; xid < next; xid++)
		position->xip[n++] = xid;
	position->nxip = n;
	position->xmax = next;
	position->xmin = n > 0 ? position->xip[0] : next;
	pfree(snapshot);
	return position;
}

/* Was this (committed) event visible then? */
bool
ee_log_position_sees(const EeLogPosition *position, int64 seq, uint64 xid)
{
	if (seq <= position->base_seq)
		return true;
	if (xid < position->xmin)
		return true;
	if (xid >= position->xmax)
		return false;
	return !in_progress(position, xid);
}

/* Has it left this (committed) event behind? */
bool
ee_log_cursor_passed(const EeLogCursor *cursor, int64 seq, uint64 xid)
{
	return ee_log_position_sees(&cursor->low, seq, xid) ||
		(cursor->in_range && seq <= cursor->seq &&
		 ee_log_position_sees(&cursor->high, seq, xid));
}

bool
ee_log_position_equal(const EeLogPosition *a, const EeLogPosition *b)
{
	return a->seq == b->seq && a->base_seq == b->base_seq &&
		a->xmin == b->xmin && a->xmax == b->xmax && a->nxip == b->nxip &&
		memcmp(a->xip, b->xip, sizeof(uint64) * a->nxip) == 0;
}

/*
 * Does a see all that b sees?  Of two positions that were taken at the same
 * moment by two processes it may be that neither does.
 */
bool
ee_log_position_includes(const EeLogPosition *a, const EeLogPosition *b)
{
	uint64		beyond = 0;		/* of those a does not reach, unseen by b */

	if (a->base_seq != b->base_seq)
		return false;
	for (int i = 0; i < a->nxip; i++)
		if (ee_log_position_sees(b, PG_INT64_MAX, a->xip[i]))
			return false;
	if (b->xmax <= a->xmax)
		return true;
	for (int i = 0; i < b->nxip; i++)
		if (b->xip[i] >= a->xmax)
			beyond++;
	return beyond == b->xmax - a->xmax;
}

void
ee_log_cursor_copy(EeLogCursor *to, const EeLogCursor *from)
{
	*to = *from;
	ee_log_position_copy(&to->low, &from->low);
	if (from->in_range)
		ee_log_position_copy(&to->high, &from->high);
}

static bool
in_progress(const EeLogPosition *position, uint64 xid)
{
	int			low = 0;
	int			high = position->nxip - 1;

	while (low <= high)
	{
		int			middle = low + (high - low) / 2;

		if (position->xip[middle] == xid)
			return true;
		if (position->xip[middle] < xid)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return false;
}

/*
 * The transactions in progress at low and finished at high, ascending, in
 * CurrentMemoryContext.  Where high belongs to a later cluster than low, the
 * xids of low are labels, and all of them are finished.
 */
uint64 *
ee_log_position_late(const EeLogPosition *low, const EeLogPosition *high,
					 int *n)
{
	uint64	   *late = palloc(sizeof(uint64) * Max(low->nxip, 1));

	*n = 0;
	for (int i = 0; i < low->nxip; i++)
		if (high->base_seq > low->base_seq ||
			ee_log_position_sees(high, PG_INT64_MAX, low->xip[i]))
			late[(*n)++] = low->xip[i];
	return late;
}

void
ee_log_position_copy(EeLogPosition *to, const EeLogPosition *from)
{
	uint64	   *xip = palloc(sizeof(uint64) * Max(from->nxip, 1));

	if (from->nxip > 0)
		memcpy(xip, from->xip, sizeof(uint64) * from->nxip);
	*to = *from;
	to->xip = xip;
}

/* As the server's type pg_snapshot, to store. */
Datum
ee_log_position_snapshot(const EeLogPosition *position)
{
	Size		size = offsetof(PgSnapshot, xip) +
		sizeof(uint64) * position->nxip;
	PgSnapshot *snapshot = palloc0(size);

	SET_VARSIZE(snapshot, size);
	snapshot->nxip = position->nxip;
	snapshot->xmin = position->xmin;
	snapshot->xmax = position->xmax;
	if (position->nxip > 0)
		memcpy(snapshot->xip, position->xip,
			   sizeof(uint64) * position->nxip);
	return PointerGetDatum(snapshot);
}

/* And back; copies, so the datum may go away. */
void
ee_log_position_set_snapshot(EeLogPosition *position, Datum datum)
{
	PgSnapshot *snapshot = (PgSnapshot *) PG_DETOAST_DATUM(datum);

	position->xmin = snapshot->xmin;
	position->xmax = snapshot->xmax;
	position->nxip = snapshot->nxip;
	position->xip = palloc(sizeof(uint64) * Max(position->nxip, 1));
	if (position->nxip > 0)
		memcpy(position->xip, snapshot->xip,
			   sizeof(uint64) * position->nxip);
}
