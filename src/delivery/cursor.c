/*
 * cursor.c
 *	  Where a lane of a subscription stands in the log: kept so that moving it
 *	  leaves no bloat.
 *
 * A move is appended to subscription_cursor_moves in the transaction of the
 * batch's effects: both commit or neither.  Now and then the latest move of
 * each lane is gathered into subscription_cursors and the table of
 * moves emptied by TRUNCATE.  A snapshot held open for hours thus keeps no
 * dead version of a cursor alive, for there are none.
 *
 * A dump taken between the two statements of somebody's snapshot may miss the
 * latest moves: what is restored from it repeats some deliveries and loses
 * none.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "delivery/cursor.h"
#include "delivery/lane.h"
#include "ground/compat.h"
#include "ground/debug_point.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/insert.h"
#include "ground/invalidate.h"
#include "ground/lock_within.h"
#include "ground/plan.h"

#define CURSOR_COLUMNS \
	"move, low_snapshot, low_seq, low_base_seq, high_snapshot, high_seq, " \
	"high_base_seq, seq, delivered, failed, dead"
#define CURSOR_NATTS	14

/*
 * Parts of the lock on a subscription: the whole, which its lanes share, and
 * the lanes.  Above them are the executors of roles (EE_LOCK_MEMBERS).
 */
#define LOCK_SUBSCRIPTION	0
#define LOCK_LANES			1

/* How often, and with what pause, to try for the lock on the moves. */
#define GATHER_TRIES		50
#define GATHER_PAUSE_USECS	1000

static bool lock_moves(void);
static void release(int32 number, uint16 part, LOCKMODE mode);
static void subscription_tag(LOCKTAG *tag, int32 number, uint16 part);
static EeCursor *look_up(int32 number, int32 lane, bool latest);
static EeCursor *read_cursor(HeapTuple tuple, TupleDesc desc);
static void cursor_values(int32 number, int32 lane, const EeCursor *cursor,
						  Datum *values, bool *nulls);

static void
subscription_tag(LOCKTAG *tag, int32 number, uint16 part)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId,
					   ee_extension_relid(EE_REL_SUBSCRIPTIONS),
					   (uint32) number, part);
}

bool
ee_cursor_lock_lane(int32 number, int32 lane)
{
	return ee_cursor_lock_lane_within(number, lane, 0);
}

bool
ee_cursor_lock_lane_within(int32 number, int32 lane, int ms)
{
	LOCKTAG		tag;

	subscription_tag(&tag, number, LOCK_SUBSCRIPTION);
	if (!ee_lock_within(&tag, RowExclusiveLock, 0))
		return false;
	subscription_tag(&tag, number, LOCK_LANES + ee_lane_local(lane));
	return ee_lock_within(&tag, ExclusiveLock, ms);
}

bool
ee_cursor_holds(int32 number)
{
	LOCKTAG		tag;

	subscription_tag(&tag, number, LOCK_SUBSCRIPTION);
	return ee_lock_held_by_me(&tag, RowExclusiveLock);
}

void
ee_cursor_unlock(int32 number, int32 n_lanes)
{
	ResourceOwner caller = CurrentResourceOwner;

	/* where a subtransaction leaves them when it commits */
	CurrentResourceOwner = CurTransactionResourceOwner;
	for (int32 lane = 0; lane < n_lanes; lane++)
		release(number, LOCK_LANES + lane, ExclusiveLock);
	release(number, LOCK_SUBSCRIPTION, RowExclusiveLock);
	CurrentResourceOwner = caller;
}

static void
release(int32 number, uint16 part, LOCKMODE mode)
{
	LOCKTAG		tag;

	subscription_tag(&tag, number, part);
	while (ee_lock_held_by_me(&tag, mode))
		if (!LockRelease(&tag, mode, false))
			break;
}

bool
ee_cursor_is_locked(int32 number, int32 lane)
{
	LOCKTAG		tag;
	int			n;

	subscription_tag(&tag, number, LOCK_LANES + ee_lane_local(lane));
	(void) GetLockConflicts(&tag, ExclusiveLock, &n);
	return n > 0;
}

void
ee_cursor_lock_all(int32 number)
{
	LOCKTAG		tag;

	subscription_tag(&tag, number, LOCK_SUBSCRIPTION);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

bool
ee_cursor_try_lock_all(int32 number)
{
	LOCKTAG		tag;

	subscription_tag(&tag, number, LOCK_SUBSCRIPTION);
	return LockAcquire(&tag, ExclusiveLock, false, true) !=
		LOCKACQUIRE_NOT_AVAIL;
}

EeCursor *
ee_cursor_load(int32 number, int32 lane)
{
	/* a snapshot from before the lock would show where it stood then */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("events are delivered in transactions of isolation level READ COMMITTED only")));
	return ee_cursor_peek(number, lane);
}

EeCursor *
ee_cursor_peek(int32 number, int32 lane)
{
	return look_up(number, lane, true);
}

EeCursor *
ee_cursor_seen(int32 number, int32 lane)
{
	return look_up(number, lane, false);
}

static EeCursor *
look_up(int32 number, int32 lane, bool latest)
{
	static EePlan latest_move =
		EE_PLAN("SELECT " CURSOR_COLUMNS
				" FROM event_engine.subscription_cursor_moves"
				" WHERE subscription_number = $1 AND lane = $2"
				" ORDER BY move DESC LIMIT 1",
				"int4", "int4");
	static EePlan gathered =
		EE_PLAN("SELECT " CURSOR_COLUMNS
				" FROM event_engine.subscription_cursors"
				" WHERE subscription_number = $1 AND lane = $2",
				"int4", "int4");
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	EePlanFrame frame;
	EeIdentity	saved;
	EeCursor   *cursor;
	Datum		values[2];
	bool		moved;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	values[0] = Int32GetDatum(number);
	values[1] = Int32GetDatum(lane);
	moved = ee_plan_execute(&latest_move, values, NULL, !latest, 1) > 0 ||
		ee_plan_execute(&gathered, values, NULL, !latest, 1) > 0;
	values[1] = Int32GetDatum(ee_lane_origin(ee_lane_epoch(lane)));
	if (!moved && ee_plan_execute(&gathered, values, NULL, !latest, 1) == 0)
		ereport(ERROR,
				(errcode(EE_ERRCODE_UNKNOWN_SUBSCRIPTION),
				 errmsg("subscription number %d has no cursor", number),
				 errhint("It has been removed, or was not made by event_engine.subscribe().")));
	old = MemoryContextSwitchTo(caller);
	cursor = read_cursor(SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	/* the origin's are the totals of epochs that are over */
	if (!moved)
		cursor->delivered = cursor->failed = cursor->dead = 0;
	MemoryContextSwitchTo(old);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return cursor;
}

static EeCursor *
read_cursor(HeapTuple tuple, TupleDesc desc)
{
	EeCursor   *cursor = palloc0(sizeof(EeCursor));
	Datum		values[CURSOR_NATTS];
	bool		nulls[CURSOR_NATTS];
	EeLogCursor *at = &cursor->at;

	heap_deform_tuple(tuple, desc, values, nulls);
	cursor->move = DatumGetInt64(values[0]);
	ee_log_position_set_snapshot(&at->low, values[1]);
	at->low.seq = DatumGetInt64(values[2]);
	at->low.base_seq = DatumGetInt64(values[3]);
	at->in_range = !nulls[4];
	if (at->in_range)
	{
		ee_log_position_set_snapshot(&at->high, values[4]);
		at->high.seq = DatumGetInt64(values[5]);
		at->high.base_seq = DatumGetInt64(values[6]);
	}
	at->seq = DatumGetInt64(values[7]);
	cursor->delivered = DatumGetInt64(values[8]);
	cursor->failed = DatumGetInt64(values[9]);
	cursor->dead = DatumGetInt64(values[10]);
	cursor->stored_seq = at->seq;
	return cursor;
}

static void
cursor_values(int32 number, int32 lane, const EeCursor *cursor,
			  Datum *values, bool *nulls)
{
	const EeLogCursor *at = &cursor->at;

	memset(nulls, false, sizeof(bool) * CURSOR_NATTS);
	values[0] = Int32GetDatum(number);
	values[1] = Int32GetDatum(lane);
	values[2] = Int64GetDatum(cursor->move);
	values[3] = ee_log_position_snapshot(&at->low);
	values[4] = Int64GetDatum(at->low.seq);
	values[5] = Int64GetDatum(at->low.base_seq);
	if (at->in_range)
	{
		values[6] = ee_log_position_snapshot(&at->high);
		values[7] = Int64GetDatum(at->high.seq);
		values[8] = Int64GetDatum(at->high.base_seq);
	}
	else
		nulls[6] = nulls[7] = nulls[8] = true;
	values[9] = Int64GetDatum(at->seq);
	values[10] = Int64GetDatum(cursor->delivered);
	values[11] = Int64GetDatum(cursor->failed);
	values[12] = Int64GetDatum(cursor->dead);
	values[13] = TimestampTzGetDatum(GetCurrentTimestamp());
}

void
ee_cursor_store(int32 number, int32 lane, EeCursor *cursor)
{
	Datum		values[CURSOR_NATTS];
	bool		nulls[CURSOR_NATTS];

	cursor->move++;
	cursor->stored_seq = cursor->at.seq;
	cursor_values(number, lane, cursor, values, nulls);
	ee_insert_values(ee_extension_relid(EE_REL_SUBSCRIPTION_CURSOR_MOVES),
					 values, nulls);
}

EeCursor *
ee_cursor_copy(const EeCursor *cursor)
{
	EeCursor   *copy = palloc(sizeof(EeCursor));

	*copy = *cursor;
	ee_log_position_copy(&copy->at.low, &cursor->at.low);
	if (cursor->at.in_range)
		ee_log_position_copy(&copy->at.high, &cursor->at.high);
	return copy;
}

void
ee_cursor_create(int32 number, int32 epoch, const EeLogPosition *position)
{
	EeCursor	cursor;
	Datum		values[CURSOR_NATTS];
	bool		nulls[CURSOR_NATTS];

	memset(&cursor, 0, sizeof(cursor));
	cursor.at.low = *position;
	cursor.at.seq = position->seq;
	cursor_values(number, ee_lane_origin(epoch), &cursor, values, nulls);
	ee_insert_values(ee_extension_relid(EE_REL_SUBSCRIPTION_CURSORS),
					 values, nulls);
	ee_invalidate_announce(EE_REL_SUBSCRIPTION_CURSORS);
}

/*
 * Waiting in the queue for the lock would stop all movers behind us for as
 * long as the slowest holds his; so look for a moment when nobody has it.
 */
static bool
lock_moves(void)
{
	Oid			moves = ee_extension_relid(EE_REL_SUBSCRIPTION_CURSOR_MOVES);

	for (int i = 0; i < GATHER_TRIES; i++)
	{
		if (ConditionalLockRelationOid(moves, AccessExclusiveLock))
			return true;
		pg_usleep(GATHER_PAUSE_USECS);
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/*
 * Needs its own transaction.  The lock keeps movers out, who hold theirs only
 * from the end of a batch to its commit.
 */
bool
ee_cursor_gather(void)
{
	static EePlan gather =
		EE_PLAN("INSERT INTO event_engine.subscription_cursors AS c "
				"(subscription_number, lane, " CURSOR_COLUMNS ", moved_at) "
				"SELECT DISTINCT ON (m.subscription_number, m.lane) "
				"m.subscription_number, m.lane, m.move, m.low_snapshot, m.low_seq, m.low_base_seq, m.high_snapshot, "
				"m.high_seq, m.high_base_seq, m.seq, m.delivered, m.failed, m.dead, m.moved_at "
				"FROM event_engine.subscription_cursor_moves m "
				"JOIN event_engine.subscriptions s ON s.number = m.subscription_number "
				"ORDER BY m.subscription_number, m.lane, m.move DESC "
				"ON CONFLICT (subscription_number, lane) DO UPDATE SET "
				"move = excluded.move, low_snapshot = excluded.low_snapshot, "
				"low_seq = excluded.low_seq, low_base_seq = excluded.low_base_seq, "
				"high_snapshot = excluded.high_snapshot, high_seq = excluded.high_seq, "
				"high_base_seq = excluded.high_base_seq, seq = excluded.seq, "
				"delivered = excluded.delivered, failed = excluded.failed, "
				"dead = excluded.dead, moved_at = excluded.moved_at");
	static EePlan empty =
		EE_PLAN("TRUNCATE event_engine.subscription_cursor_moves");
	EePlanFrame frame;
	EeIdentity	saved;

	if (!lock_moves())
		return false;
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&gather, NULL, NULL, false, 0);
	ee_debug_point("cursor_gathering");
	ee_plan_execute(&empty, NULL, NULL, false, 0);
	ee_debug_point("cursor_gathered");
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return true;
}
