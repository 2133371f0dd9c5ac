/*
 * replay.c
 *	  Deliver again what has been delivered.
 *
 * A replayed event says so in its metadata, "replayed": true, so the mark is
 * in the event, in the envelope, in what a client receives, and stays with
 * the event when it is retried or becomes a dead letter.  Publishers cannot
 * set it: metadata is closed.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/xid8.h"

#include "delivery/cursor.h"
#include "delivery/immediate.h"
#include "delivery/lane.h"
#include "delivery/replay.h"
#include "delivery/session.h"
#include "ground/envelope.h"
#include "ground/identity.h"
#include "routing/routing_cache.h"

#define KEY_REPLAYED	"replayed"

static bool passed(FunctionCallInfo fcinfo, bool latest);
static Jsonb *marked_metadata(Jsonb *metadata);

PG_FUNCTION_INFO_V1(ee_sql_passed_event);
PG_FUNCTION_INFO_V1(ee_sql_had_passed_event);
PG_FUNCTION_INFO_V1(ee_sql_call_handler);
PG_FUNCTION_INFO_V1(ee_sql_process_subscription);

Datum
ee_replay_mark(Datum event)
{
	EeEvent		deformed;
	Datum		metadata;

	ee_envelope_deform(event, &deformed);
	metadata = EE_EVENT_VALUE(&deformed, EE_EVENT_METADATA);
	EE_EVENT_VALUE(&deformed, EE_EVENT_METADATA) =
		JsonbPGetDatum(marked_metadata(DatumGetJsonbP(metadata)));
	return ee_envelope_form(&deformed);
}

static Jsonb *
marked_metadata(Jsonb *metadata)
{
	JsonbParseState *state = NULL;
	JsonbIterator *iterator = JsonbIteratorInit(&metadata->root);
	JsonbValue	key;
	JsonbValue	value;

	(void) JsonbIteratorNext(&iterator, &value, true);
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&iterator, &value, true);
		(void) pushJsonbValue(&state, WJB_KEY, &key);
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	key.type = jbvString;
	key.val.string.val = KEY_REPLAYED;
	key.val.string.len = strlen(KEY_REPLAYED);
	value.type = jbvBool;
	value.val.boolean = true;
	(void) pushJsonbValue(&state, WJB_KEY, &key);
	(void) pushJsonbValue(&state, WJB_VALUE, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * passed_event(number integer, event) RETURNS boolean.  Without the lock of
 * the subscription, so that it tells of a moment: of now, or of when the
 * statement began, as the other rows that this sees.
 */
Datum
ee_sql_passed_event(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(passed(fcinfo, true));
}

Datum
ee_sql_had_passed_event(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(passed(fcinfo, false));
}

static bool
passed(FunctionCallInfo fcinfo, bool latest)
{
	const EeSubscription *subscription =
		ee_routing_cache_by_number(PG_GETARG_INT32(0), false);
	EeEvent		event;
	EeCursor   *cursor;
	int32		lane;
	Datum		xid;

	ee_envelope_deform(PG_GETARG_DATUM(1), &event);
	lane = ee_lane_for(subscription, &event);
	cursor = latest ? ee_cursor_peek(subscription->number, lane) :
		ee_cursor_seen(subscription->number, lane);
	xid = EE_EVENT_VALUE(&event, EE_EVENT_XID);
	return ee_log_cursor_passed(&cursor->at,
								DatumGetInt64(EE_EVENT_VALUE(&event,
															 EE_EVENT_SEQ)),
								U64FromFullTransactionId(DatumGetFullTransactionId(xid)));
}

/* call_handler(number integer, event) RETURNS boolean: again, and marked. */
Datum
ee_sql_call_handler(PG_FUNCTION_ARGS)
{
	const EeSubscription *subscription =
		ee_routing_cache_by_number(PG_GETARG_INT32(0), false);

	PG_RETURN_BOOL(ee_immediate_call(subscription,
									 ee_replay_mark(PG_GETARG_DATUM(1))));
}

/*
 * process_subscription(number integer) RETURNS integer: deliver what waits,
 * with the search path that its owner has.
 */
Datum
ee_sql_process_subscription(PG_FUNCTION_ARGS)
{
	const EeSubscription *subscription =
		ee_routing_cache_by_number(PG_GETARG_INT32(0), false);
	char	   *subscriber = pstrdup(subscription->subscriber);
	int			nest_level = NewGUCNestLevel();
	int			done;

	ee_identity_search_path(subscription->owner);
	done = ee_session_process_batch(INT_MAX, subscriber);
	AtEOXact_GUC(false, nest_level);
	PG_RETURN_INT32(done);
}
