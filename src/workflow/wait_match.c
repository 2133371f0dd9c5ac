/*
 * wait_match.c
 *	  Which waits does an event end?
 *
 * The waits are found by the keys that the event has, which is a few look-ups
 * in an index however many waits there are, and each that is found is asked:
 * was the event to be seen when it was registered?  Does its condition hold?
 *
 * Nobody can say which of two waits of one instance an event is meant for, so
 * it ends one of them, the first that was registered.  Nor does it resume an
 * instance that it has resumed before, which only a wait that looks into the
 * past could be asked to do.
 *
 * An event that was published with a deliver_at ahead comes to pass then: that
 * a wait could see it in the log before does not matter.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "delivery/handler.h"
#include "ground/compat.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/path_predicate.h"
#include "ground/plan.h"
#include "ground/subtransaction.h"
#include "routing/filter.h"
#include "store/log_position.h"
#include "store/log_state.h"
#include "workflow/dispatch.h"
#include "workflow/wait.h"
#include "workflow/wait_match.h"

/* A wait that has been matched (seq 0), or an instance with an event. */
typedef struct FoundKey
{
	pg_uuid_t	id;
	int64		seq;
} FoundKey;

typedef struct Found
{
	FoundKey	key;
	int			item;			/* in the list */
} Found;

/* The event that is being asked about. */
typedef struct Event
{
	TupleTableSlot *slot;
	EeEvent		event;
	EeFilterView view;
	int64		seq;
	uint64		xid;
	TimestampTz created_at;
	TimestampTz deliver_at;		/* DT_NOBEGIN: at once */
	Datum		datum;			/* made when a wait wants it; 0: not yet */
	int64		previous;
	bool		of_past;
} Event;

struct EeWaitMatch
{
	EeDelivery *delivery;
	EeWaitIndex *index;
	EeWaitFilter *filter;		/* NULL: none */
	Snapshot	snapshot;
	EeResumeList *list;
	MemoryContext context;		/* of all this */
	MemoryContext scratch;		/* of one event */
	Relation	waits;
	Relation	key_index;
	IndexScanDesc scan;
	TupleTableSlot *slot;		/* of workflow_waits */
	HTAB	   *found;			/* NULL: nothing yet */
};

/* A condition that is asked in a subtransaction. */
typedef struct Question
{
	TupleTableSlot *wait;
	Event	   *event;
	bool		holds;
} Question;

static bool next_wait(EeWaitMatch *match);
static bool is_before(const pg_uuid_t *id, const pg_uuid_t *other);
static void look_at(EeWaitMatch *match, TupleTableSlot *slot, Event *event);
static bool take(EeWaitMatch *match, TupleTableSlot *wait, Event *event);
static bool is_wanted(EeWaitMatch *match, TupleTableSlot *wait, Event *event);
static bool is_new(TupleTableSlot *wait, const Event *event);
static bool condition_holds(EeWaitMatch *match, TupleTableSlot *wait,
							Event *event);
static void tell_error(TupleTableSlot *wait, const Event *event,
					   const ErrorData *error);
static void ask(void *arg);
static bool path_holds(TupleTableSlot *wait, const char *path,
					   Jsonb *envelope);
static const EePathPredicate *predicate_of(const char *path);
static bool has_resumed(TupleTableSlot *wait, const Event *event);
static Found *find(EeWaitMatch *match, const pg_uuid_t *id, int64 seq,
				   HASHACTION action);
static EeResume *add_item(EeResumeList *list, Event *event);
static pg_uuid_t *uuid_of(TupleTableSlot *wait, EeWaitAttr attr);
static Datum value_of(TupleTableSlot *wait, EeWaitAttr attr, bool *isnull);

EeWaitMatch *
ee_wait_match_begin(EeDelivery *delivery, EeWaitIndex *index,
					EeWaitFilter *filter, Snapshot snapshot,
					EeResumeList *list)
{
	EeWaitMatch *match = palloc0(sizeof(EeWaitMatch));

	match->context = CurrentMemoryContext;
	match->delivery = delivery;
	match->index = index;
	match->filter = filter;
	match->snapshot = snapshot;
	match->list = list;
	match->scratch = AllocSetContextCreate(CurrentMemoryContext,
										   "event_engine matching",
										   ALLOCSET_DEFAULT_SIZES);
	match->waits = table_open(ee_extension_relid(EE_REL_WORKFLOW_WAITS),
							  AccessShareLock);
	match->key_index =
		index_open(ee_extension_relid(EE_REL_WORKFLOW_WAITS_KEY_IDX),
				   AccessShareLock);
	if (filter != NULL)
		ee_wait_filter_prepare(filter, match->waits, match->key_index,
							   delivery->subscription->number,
							   delivery->context);
	match->slot = table_slot_create(match->waits, NULL);
	match->scan = ee_index_beginscan(match->waits, match->key_index, snapshot,
									 2, 0);
	return match;
}

void
ee_wait_match_end(EeWaitMatch *match)
{
	index_endscan(match->scan);
	ExecDropSingleTupleTableSlot(match->slot);
	index_close(match->key_index, AccessShareLock);
	table_close(match->waits, AccessShareLock);
	if (match->found != NULL)
		hash_destroy(match->found);
	MemoryContextDelete(match->scratch);
}

bool
ee_wait_match_event(EeWaitMatch *match, TupleTableSlot *slot, int64 previous)
{
	MemoryContext old = MemoryContextSwitchTo(match->scratch);
	Event		event;
	ScanKeyData keys[2];
	text	   *name;
	int64	   *wanted;
	int			n;
	bool		complete = true;

	look_at(match, slot, &event);
	event.previous = previous;
	event.of_past = false;
	name = DatumGetTextPP(EE_EVENT_VALUE(&event.event, EE_EVENT_PATTERN));
	wanted = ee_wait_index_keys(match->index, VARDATA_ANY(name),
								VARSIZE_ANY_EXHDR(name), &event.view, &n);
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(match->delivery->subscription->number));
	for (int i = 0; i < n && complete; i++)
	{
		if (match->filter != NULL &&
			ee_wait_filter_lacks(match->filter, wanted[i]))
			continue;
		ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ,
					Int64GetDatum(wanted[i]));
		index_rescan(match->scan, keys, 2, NULL, 0);
		while (complete && next_wait(match))
		{
			CHECK_FOR_INTERRUPTS();
			complete = take(match, match->slot, &event);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(match->scratch);
	return complete;
}

/* What the scan allocates it keeps for the next event. */
static bool
next_wait(EeWaitMatch *match)
{
	MemoryContext old = MemoryContextSwitchTo(match->context);
	bool		found = index_getnext_slot(match->scan, ForwardScanDirection,
										   match->slot);

	MemoryContextSwitchTo(old);
	return found;
}

bool
ee_wait_match_past(EeWaitMatch *match, TupleTableSlot *slot,
				   const EeWaitRef *refs, int n_refs)
{
	MemoryContext old = MemoryContextSwitchTo(match->scratch);
	Event		event;
	text	   *name;
	int64	   *wanted;
	int			n;
	bool		complete = true;

	look_at(match, slot, &event);
	event.previous = 0;
	event.of_past = true;
	if (event.deliver_at > GetCurrentTimestamp())
	{
		/* it has a row, and is still to come: delayed.c */
		MemoryContextSwitchTo(old);
		MemoryContextReset(match->scratch);
		return true;
	}
	name = DatumGetTextPP(EE_EVENT_VALUE(&event.event, EE_EVENT_PATTERN));
	wanted = ee_wait_index_keys(match->index, VARDATA_ANY(name),
								VARSIZE_ANY_EXHDR(name), &event.view, &n);
	for (int i = 0; i < n && complete; i++)
	{
		int			low = 0;
		int			high = n_refs;

		while (low < high)
		{
			int			middle = low + (high - low) / 2;

			if (refs[middle].key < wanted[i])
				low = middle + 1;
			else
				high = middle;
		}
		for (; low < n_refs && refs[low].key == wanted[i] && complete; low++)
		{
			ItemPointerData tid = refs[low].tid;

			CHECK_FOR_INTERRUPTS();
			if (table_tuple_fetch_row_version(match->waits, &tid,
											  match->snapshot, match->slot))
				complete = take(match, match->slot, &event);
		}
	}
	ExecClearTuple(match->slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(match->scratch);
	return complete;
}

/*
 * Events that were matched at different times, or by different lanes, may
 * have been meant for the same wait of a set.
 */
bool
ee_wait_match_other(EeDelivery *delivery, const pg_uuid_t *instance,
					Datum datum, pg_uuid_t *wait)
{
	EeDispatch *dispatch = delivery->dispatch;
	uint64		known = ee_wait_index_watch();
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = ee_envelope_new_slot();
	Relation	index;
	IndexScanDesc scan;
	ScanKeyData key;
	EeWaitMatch *match;
	Event		event;
	text	   *name;
	int64	   *wanted;
	int			n;
	bool		found = false;

	PushActiveSnapshot(snapshot);
	dispatch->index = ee_wait_index_read(dispatch->index,
										 delivery->subscription->number,
										 known, delivery->context);
	match = ee_wait_match_begin(delivery, dispatch->index, NULL, snapshot, NULL);
	look_at(match, ee_envelope_slot(slot, datum), &event);
	event.of_past = true;
	name = DatumGetTextPP(EE_EVENT_VALUE(&event.event, EE_EVENT_PATTERN));
	wanted = ee_wait_index_keys(match->index, VARDATA_ANY(name),
								VARSIZE_ANY_EXHDR(name), &event.view, &n);
	index = index_open(ee_extension_relid(EE_REL_WORKFLOW_WAITS_INSTANCE_IDX),
					   AccessShareLock);
	scan = ee_index_beginscan(match->waits, index, snapshot, 1, 0);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(instance));
	index_rescan(scan, &key, 1, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, match->slot))
	{
		const pg_uuid_t *id = uuid_of(match->slot, EE_WAIT_ID);
		bool		isnull;
		Datum		value = value_of(match->slot, EE_WAIT_KEY, &isnull);
		bool		of_event = false;

		for (int i = 0; i < n && !isnull; i++)
			of_event |= wanted[i] == DatumGetInt64(value);
		if (!of_event || (found && !is_before(id, wait)) ||
			!is_wanted(match, match->slot, &event))
			continue;
		*wait = *id;
		found = true;
	}
	index_endscan(scan);
	index_close(index, AccessShareLock);
	ee_wait_match_end(match);
	ExecDropSingleTupleTableSlot(slot);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	return found;
}

/* Ids are in the order of registration. */
static bool
is_before(const pg_uuid_t *id, const pg_uuid_t *other)
{
	return memcmp(id, other, sizeof(pg_uuid_t)) < 0;
}

static void
look_at(EeWaitMatch *match, TupleTableSlot *slot, Event *event)
{
	event->slot = slot;
	ee_envelope_from_slot(slot, &event->event);
	ee_filter_field_view(&event->view, &event->event);
	event->seq = DatumGetInt64(EE_EVENT_VALUE(&event->event, EE_EVENT_SEQ));
	event->xid = U64FromFullTransactionId(
		DatumGetFullTransactionId(EE_EVENT_VALUE(&event->event,
												 EE_EVENT_XID)));
	event->created_at =
		DatumGetTimestampTz(EE_EVENT_VALUE(&event->event,
										   EE_EVENT_CREATED_AT));
	event->deliver_at = DT_NOBEGIN;
	if (!EE_EVENT_IS_NULL(&event->event, EE_EVENT_DELIVER_AT))
		event->deliver_at =
			DatumGetTimestampTz(EE_EVENT_VALUE(&event->event,
											   EE_EVENT_DELIVER_AT));
	event->datum = (Datum) 0;
}

/* False: it is wanted, and there is no room for it. */
static bool
take(EeWaitMatch *match, TupleTableSlot *wait, Event *event)
{
	const pg_uuid_t *id = uuid_of(wait, EE_WAIT_ID);
	const pg_uuid_t *instance = uuid_of(wait, EE_WAIT_INSTANCE_ID);
	EeResume   *item;
	Found	   *found;

	/* what was found before is over */
	if (find(match, id, 0, HASH_FIND) != NULL ||
		!is_wanted(match, wait, event))
		return true;
	found = find(match, instance, event->seq, HASH_FIND);
	if (found != NULL)
	{
		item = &match->list->items[found->item];
		if (!is_before(id, &item->resumption.wait))
			return true;
		(void) find(match, &item->resumption.wait, 0, HASH_REMOVE);
	}
	else
	{
		if (match->list->n >= match->list->max)
			return false;
		found = find(match, instance, event->seq, HASH_ENTER);
		found->item = match->list->n;
		item = add_item(match->list, event);
		item->instance = *instance;
	}
	item->resumption.wait = *id;
	find(match, id, 0, HASH_ENTER)->item = found->item;
	return true;
}

static EeResume *
add_item(EeResumeList *list, Event *event)
{
	EeResume   *item = ee_resume_add(list);

	if (event->datum == (Datum) 0)
	{
		MemoryContext old = MemoryContextSwitchTo(list->context);

		event->datum = ee_handler_event_datum(event->slot);
		MemoryContextSwitchTo(old);
	}
	item->call = EE_RESUME_WAIT;
	item->resumption.kind = EE_RESUMED_BY_EVENT;
	item->resumption.event = event->datum;
	item->seq = event->seq;
	item->previous = event->previous;
	item->of_past = event->of_past;
	return item;
}

static Found *
find(EeWaitMatch *match, const pg_uuid_t *id, int64 seq, HASHACTION action)
{
	FoundKey	key;

	if (match->found == NULL)
	{
		HASHCTL		control;

		if (action != HASH_ENTER)
			return NULL;
		memset(&control, 0, sizeof(control));
		control.keysize = sizeof(FoundKey);
		control.entrysize = sizeof(Found);
		control.hcxt = match->list->context;
		match->found = hash_create("event_engine matched waits", 128,
								   &control,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	key.id = *id;
	key.seq = seq;
	return hash_search(match->found, &key, action, NULL);
}

/* --------------------------------------------------------------- is it wanted */

static bool
is_wanted(EeWaitMatch *match, TupleTableSlot *wait, Event *event)
{
	bool		isnull;
	bool		is_old = false;

	if (!is_new(wait, event))
	{
		Datum		since = value_of(wait, EE_WAIT_SINCE, &isnull);

		if (isnull || event->created_at < DatumGetTimestampTz(since))
			return false;
		is_old = true;
	}
	/*
	 * It may have been met before: when it was due, by looking back, or by a
	 * unit that had no time for all of its steps.
	 */
	if (event->of_past || event->deliver_at > event->created_at ||
		event->seq <= match->delivery->dispatch->met_seq)
		is_old = true;
	return condition_holds(match, wait, event) &&
		!(is_old && has_resumed(wait, event));
}

/*
 * Was the event not to be seen when the wait was registered, or not due?
 * Those of the transaction that registered it are in order of time.
 */
static bool
is_new(TupleTableSlot *wait, const Event *event)
{
	EeLogPosition position;
	bool		isnull;
	bool		seen;

	ee_log_position_set_snapshot(&position,
								 value_of(wait, EE_WAIT_SNAPSHOT, &isnull));
	position.seq = DatumGetInt64(value_of(wait, EE_WAIT_SEQ, &isnull));
	position.base_seq = DatumGetInt64(value_of(wait, EE_WAIT_BASE_SEQ,
											   &isnull));
	seen = event->seq <= ee_log_state_base_seq() ||
		position.base_seq == ee_log_state_base_seq() ?
		ee_log_position_sees(&position, event->seq, event->xid) : false;
	if (event->deliver_at > event->created_at &&
		event->deliver_at >
		DatumGetTimestampTz(value_of(wait, EE_WAIT_CREATED_AT, &isnull)))
		return true;
	if (seen)
		return false;
	if (event->xid ==
		U64FromFullTransactionId(DatumGetFullTransactionId(value_of(wait,
																	EE_WAIT_XID,
																	&isnull))))
		return event->created_at >=
			DatumGetTimestampTz(value_of(wait, EE_WAIT_CREATED_AT, &isnull));
	return true;
}

/*
 * A condition that raises an error says nothing of the event, as unknown
 * does.  No other wait is to suffer from it: the batch is rolled back once,
 * and for a while each condition is asked in a subtransaction.
 */
static bool
condition_holds(EeWaitMatch *match, TupleTableSlot *wait, Event *event)
{
	Question	question = {wait, event, false};
	ErrorData  *error;

	if (match->delivery->caution.distance == 0)
	{
		match->delivery->matching = true;
		ask(&question);
		match->delivery->matching = false;
		return question.holds;
	}
	error = ee_subtransaction_run(ask, &question);
	if (error == NULL)
		return question.holds;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	tell_error(wait, event, error);
	return false;
}

/* Once a second: a thousand waits may have that condition. */
static void
tell_error(TupleTableSlot *wait, const Event *event, const ErrorData *error)
{
	static TimestampTz told_at = 0;
	static uint64 left_out = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (now >= told_at && now - told_at < USECS_PER_SEC)
	{
		left_out++;
		return;
	}
	ereport(LOG,
			(errmsg("the condition of wait %s raised an error: %s",
					DatumGetCString(DirectFunctionCall1(uuid_out,
														UUIDPGetDatum(uuid_of(wait, EE_WAIT_ID)))),
					error->message),
			 errdetail("The event, at position " INT64_FORMAT " of the log, does not end it.  "
					   UINT64_FORMAT " further errors since the last one told.",
					   event->seq, left_out)));
	told_at = now;
	left_out = 0;
}

static void
ask(void *arg)
{
	Question   *question = arg;
	EeFilterView *view = &question->event->view;
	bool		isnull;
	Datum		value;

	question->holds = true;
	value = value_of(question->wait, EE_WAIT_FILTERS, &isnull);
	if (!isnull)
		question->holds =
			ee_filter_match(ee_filter_compile(&DatumGetJsonbP(value)->root),
							view, NULL);
	value = value_of(question->wait, EE_WAIT_FILTER_PATH, &isnull);
	if (!isnull && question->holds)
		question->holds = path_holds(question->wait,
									 TextDatumGetCString(value),
									 ee_filter_field_envelope(view));
}

static bool
path_holds(TupleTableSlot *wait, const char *path, Jsonb *envelope)
{
	const EePathPredicate *predicate = predicate_of(path);
	bool		isnull;
	Datum		variables = value_of(wait, EE_WAIT_VARIABLES, &isnull);

	return isnull ? ee_path_predicate_match(predicate, envelope) :
		ee_path_predicate_match_with(predicate, envelope,
									 DatumGetJsonbP(variables));
}

/*
 * The waits of a workflow have the same condition, as what they differ in are
 * its variables: the latest one is kept.
 */
static const EePathPredicate *
predicate_of(const char *path)
{
	static MemoryContext context = NULL;
	static const EePathPredicate *latest = NULL;
	MemoryContext old;

	if (latest != NULL && strcmp(ee_path_predicate_text(latest), path) == 0)
		return latest;
	latest = NULL;
	if (context == NULL)
		context = AllocSetContextCreate(CacheMemoryContext,
										"event_engine condition of waits",
										ALLOCSET_SMALL_SIZES);
	MemoryContextReset(context);
	old = MemoryContextSwitchTo(context);
	latest = ee_path_predicate_compile(path, &ee_wait_words);
	MemoryContextSwitchTo(old);
	return latest;
}

/* Has the instance been resumed by this event, or has it a place in its set? */
static bool
has_resumed(TupleTableSlot *wait, const Event *event)
{
	static EePlan resumed =
		EE_PLAN("SELECT FROM event_engine.workflow_steps "
				"WHERE instance_id = $1 AND event_id = $2 "
				"UNION ALL SELECT FROM event_engine.workflow_instances i, "
				"pg_catalog.jsonb_each(i.matched) m "
				"WHERE i.id = $1 AND m.value ->> 'id' = $2::pg_catalog.text "
				"LIMIT 1", "uuid", "uuid");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[2];
	bool		found;

	values[0] = UUIDPGetDatum(uuid_of(wait, EE_WAIT_INSTANCE_ID));
	values[1] = EE_EVENT_VALUE(&event->event, EE_EVENT_ID);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	found = ee_plan_execute(&resumed, values, NULL, false, 1) > 0;
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return found;
}

static pg_uuid_t *
uuid_of(TupleTableSlot *wait, EeWaitAttr attr)
{
	bool		isnull;

	return DatumGetUUIDP(value_of(wait, attr, &isnull));
}

static Datum
value_of(TupleTableSlot *wait, EeWaitAttr attr, bool *isnull)
{
	return slot_getattr(wait, attr, isnull);
}
