/*
 * query.c
 *	  Ask, and wait for the reply.
 *
 * A request is an event like any other.  Whoever asks commits it, since
 * nobody could reply to it otherwise, and then waits for the event that is
 * the first reply (reply.c), holding nothing (client_wait.c).  A reply wakes
 * the one who waits for it, not all who wait for replies of that pattern.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "delivery/client_wait.h"
#include "delivery/request.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "ground/shared.h"
#include "ground/subtransaction.h"
#include "registry/registry_cache.h"
#include "routing/routing_cache.h"
#include "store/metadata_tag.h"
#include "store/publish.h"
#include "store/unseal.h"

/* A reply is not looked for in partitions that end before the request. */
#define CLOCK_TOLERANCE_USECS	USECS_PER_MINUTE

/* Arguments of query_event(). */
enum
{
	ARG_PATTERN,
	ARG_PAYLOAD,
	ARG_TIMEOUT,
	ARG_METADATA,
	ARG_SOURCE,
	ARG_EVENT_ID,
	ARG_PARTITION_KEY,
	ARG_PRIORITY,
	ARG_REPLY_PATTERN,
	ARG_RAISE_TIMEOUT
};

typedef struct Asking
{
	pg_uuid_t	request;
	TimestampTz since;
	MemoryContext caller;		/* what is found goes there */
	MemoryContext per_look;
	Jsonb	   *reply;			/* NULL: none */
	pg_uuid_t	reply_id;
	Datum		reply_pattern;
	Datum		reply_version;
	Datum		reply_metadata;
	int64		reply_seq;
} Asking;

/* Does anybody want this event? */
typedef struct Wanted
{
	EeEvent    *event;
	List	   *subscriptions;	/* those that go by its pattern */
	bool		result;
} Wanted;

static void publish_request(FunctionCallInfo fcinfo, TimestampTz end,
							EeRequest *request);
static char *text_arg(FunctionCallInfo fcinfo, int n);
static void require_responder(EeEvent *event);
static void ask_matchers(void *arg);
static void require_asker(const EeRequest *request);
static void await_reply(Asking *asking, TimestampTz end);
static bool look(void *arg, TimestampTz *next_look);
static void raise_timeout(const EeRequest *request, TimestampTz begin,
						  TimestampTz end);
static Datum answer(FunctionCallInfo fcinfo, const Asking *asking);

PG_FUNCTION_INFO_V1(ee_sql_query_event);
PG_FUNCTION_INFO_V1(ee_sql_await_reply);

/*
 * query_event(pattern, payload, timeout, metadata, source, event_id,
 *			   partition_key, priority, reply_pattern, raise_timeout,
 *			   INOUT reply, INOUT reply_id, INOUT request_id)
 */
Datum
ee_sql_query_event(PG_FUNCTION_ARGS)
{
	TimestampTz begin = GetCurrentTimestamp();
	Asking		asking = {0};
	EeRequest	request;
	TimestampTz end;

	ee_client_wait_check(fcinfo, "query_event",
						 "CALL it by itself, with the driver's autocommit on; or publish the request in your transaction, and CALL await_reply() after the commit.");
	if (PG_ARGISNULL(ARG_PATTERN) || PG_ARGISNULL(ARG_PAYLOAD))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_EVENT),
				 errmsg("pattern and payload of a request must not be null"),
				 errhint("A request without content has the payload '{}'.")));
	end = ee_client_wait_end(fcinfo, ARG_TIMEOUT, "timeout");
	asking.caller = CurrentMemoryContext;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	MemoryContextSwitchTo(asking.caller);
	publish_request(fcinfo, end, &request);
	asking.request = request.id;
	asking.since = request.created_at - CLOCK_TOLERANCE_USECS;
	SPI_commit();
	await_reply(&asking, end);
	SPI_finish();
	if (asking.reply == NULL && !PG_ARGISNULL(ARG_RAISE_TIMEOUT) &&
		PG_GETARG_BOOL(ARG_RAISE_TIMEOUT))
		raise_timeout(&request, begin, end);
	return answer(fcinfo, &asking);
}

/*
 * await_reply(request_id, timeout, raise_timeout, INOUT reply, INOUT reply_id)
 */
Datum
ee_sql_await_reply(PG_FUNCTION_ARGS)
{
	TimestampTz begin = GetCurrentTimestamp();
	Asking		asking = {0};
	EeRequest	request;
	TimestampTz end;

	ee_client_wait_check(fcinfo, "await_reply",
						 "CALL it by itself, with the driver's autocommit on.");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("request_id must not be null")));
	end = ee_client_wait_end(fcinfo, 1, "timeout");
	asking.caller = CurrentMemoryContext;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(asking.caller);
	ee_request_load(&request, PG_GETARG_UUID_P(0));
	require_asker(&request);
	PopActiveSnapshot();
	asking.request = request.id;
	asking.since = request.created_at - CLOCK_TOLERANCE_USECS;
	await_reply(&asking, end);
	SPI_finish();
	if (asking.reply == NULL && !PG_ARGISNULL(2) && PG_GETARG_BOOL(2))
		raise_timeout(&request, begin, end);
	return answer(fcinfo, &asking);
}

/* ----------------------------------------------------------------- request */

static void
publish_request(FunctionCallInfo fcinfo, TimestampTz end, EeRequest *request)
{
	EeReceived	received = {0};
	EeEvent		event;
	pg_uuid_t	id;
	Jsonb	   *metadata = PG_ARGISNULL(ARG_METADATA) ? NULL :
	PG_GETARG_JSONB_P(ARG_METADATA);
	text	   *pattern = PG_GETARG_TEXT_PP(ARG_PATTERN);
	const int	utc = 0;
	char		reply_by[MAXDATELEN + 1];

	PushActiveSnapshot(GetTransactionSnapshot());
	JsonEncodeDateTime(reply_by, TimestampTzGetDatum(end), TIMESTAMPTZOID,
					   &utc);
	metadata = ee_metadata_set_tag(metadata, EE_TAG_REPLY_BY, reply_by);
	received.pattern = VARDATA_ANY(pattern);
	received.pattern_len = VARSIZE_ANY_EXHDR(pattern);
	received.payload = PG_GETARG_JSONB_P(ARG_PAYLOAD);
	received.metadata = ee_metadata_set_tag(metadata, EE_TAG_REPLY_TO,
											text_arg(fcinfo,
													 ARG_REPLY_PATTERN));
	received.source = PG_ARGISNULL(ARG_SOURCE) ? NULL :
		PG_GETARG_JSONB_P(ARG_SOURCE);
	received.event_id = text_arg(fcinfo, ARG_EVENT_ID);
	received.partition_key = text_arg(fcinfo, ARG_PARTITION_KEY);
	if (!PG_ARGISNULL(ARG_PRIORITY))
		received.priority =
			unconstify(char *,
					   ee_extension_priority_label(ee_extension_priority_of(PG_GETARG_OID(ARG_PRIORITY))));
	if (ee_publish_event(&received, &event, &id))
	{
		require_responder(&event);
		ee_request_of_event(request, &event);
	}
	else
		ee_request_load(request, &id);
	/* nobody could reply under a pattern that nobody has registered */
	(void) ee_registry_cache_lookup(request->reply_pattern,
									strlen(request->reply_pattern), NULL);
	PopActiveSnapshot();
}

static char *
text_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/*
 * Nobody can reply to what reaches nobody: better to say so than to wait.  A
 * filter that raises an error does not tell.
 */
static void
require_responder(EeEvent *event)
{
	text	   *pattern = DatumGetTextPP(EE_EVENT_VALUE(event,
														EE_EVENT_PATTERN));
	char	   *name = text_to_cstring(pattern);
	Wanted		wanted = {.event = event};
	ListCell   *lc;

	wanted.subscriptions = ee_routing_cache_lookup(name, strlen(name));
	foreach(lc, wanted.subscriptions)
	{
		EeSubscription *subscription = lfirst(lc);

		if (ee_match_pattern(subscription->matcher, name, strlen(name)) &&
			!ee_match_needs_content(subscription->matcher))
			return;
	}
	if (wanted.subscriptions != NIL)
	{
		ErrorData  *error = ee_subtransaction_run(ask_matchers, &wanted);

		if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		if (error != NULL || wanted.result)
			return;
	}
	ereport(ERROR,
			(errcode(EE_ERRCODE_NO_RESPONDER),
			 errmsg("nobody replies to event \"%s\"", name),
			 errdetail("No subscription wants this event, so it has not been published."),
			 errhint("A replier subscribes to it; event_engine.match_event() tells why a subscription does not want an event.")));
}

static void
ask_matchers(void *arg)
{
	Wanted	   *wanted = arg;
	ListCell   *lc;

	foreach(lc, wanted->subscriptions)
	{
		EeSubscription *subscription = lfirst(lc);

		if (!wanted->result)
			wanted->result = ee_match_event(subscription->matcher,
											wanted->event);
	}
}

/* Who published the request, or may read the log. */
static void
require_asker(const EeRequest *request)
{
	Oid			role = get_role_oid(request->created_by, true);

	if (OidIsValid(role) && has_privs_of_role(GetUserId(), role))
		return;
	if (pg_class_aclcheck(ee_extension_relid(EE_REL_EVENTS), GetUserId(),
						  ACL_SELECT) == ACLCHECK_OK)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for the reply to a request"),
			 errdetail("The request was published by role \"%s\".",
					   request->created_by)));
}

/* ------------------------------------------------------------------- reply */

/* Connected to SPI; in a transaction that is committed. */
static void
await_reply(Asking *asking, TimestampTz end)
{
	asking->per_look = AllocSetContextCreate(CurrentMemoryContext,
											 "event_engine look for a reply",
											 ALLOCSET_SMALL_SIZES);
	(void) ee_client_wait(look, asking, end);
}

/*
 * The first reply is the one published under its name.  A name may be used
 * again when its window is over: then the first is the one that came first.
 */
static bool
look(void *arg, TimestampTz *next_look)
{
	static EePlan find =
		EE_PLAN("SELECT e.id, e.payload, e.seq, e.pattern, e.version, e.metadata "
				"FROM event_engine.events AS e "
				"WHERE e.event_id = $1 AND e.created_at >= $2",
				"varchar", "timestamptz");
	Asking	   *asking = arg;
	MemoryContext old = MemoryContextSwitchTo(asking->per_look);
	EePatternSet interest = {0};
	char		name[EE_REPLY_NAME_LEN];
	Datum		values[2];
	EePlanFrame frame;
	EeIdentity	saved;

	ee_shared_request_add(&interest, &asking->request);
	ee_shared_waiter_store(&interest);

	ee_request_reply_name(&asking->request, name);
	values[0] = CStringGetTextDatum(name);
	values[1] = TimestampTzGetDatum(asking->since);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	(void) ee_plan_execute(&find, values, NULL, false, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		int64		seq = DatumGetInt64(SPI_getbinval(tuple, desc, 3,
													  &isnull));

		if (asking->reply != NULL && seq >= asking->reply_seq)
			continue;
		asking->reply_seq = seq;
		asking->reply_id = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 1,
														&isnull));
		MemoryContextSwitchTo(asking->caller);
		asking->reply = DatumGetJsonbPCopy(SPI_getbinval(tuple, desc, 2,
														 &isnull));
		asking->reply_pattern = datumCopy(SPI_getbinval(tuple, desc, 4,
														&isnull), false, -1);
		asking->reply_version = datumCopy(SPI_getbinval(tuple, desc, 5,
														&isnull), false, -1);
		asking->reply_metadata = datumCopy(SPI_getbinval(tuple, desc, 6,
														 &isnull), false, -1);
		MemoryContextSwitchTo(asking->per_look);
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	MemoryContextSwitchTo(old);
	MemoryContextReset(asking->per_look);
	return asking->reply != NULL;
}

static void
raise_timeout(const EeRequest *request, TimestampTz begin, TimestampTz end)
{
	char	   *id = DatumGetCString(DirectFunctionCall1(uuid_out,
														 UUIDPGetDatum(&request->id)));

	ereport(ERROR,
			(errcode(EE_ERRCODE_NO_REPLY),
			 errmsg("no reply to event \"%s\" within %.3f s",
					request->pattern, (end - begin) / 1000000.0),
			 errdetail("The request is event %s; a reply that comes later is kept.",
					   id),
			 errhint("CALL event_engine.await_reply('%s') to wait on; event_engine.event_deliveries('%s') tells where the request is.",
					 id, id)));
}

/* The INOUT arguments; await_reply() has no request_id among them. */
static Datum
answer(FunctionCallInfo fcinfo, const Asking *asking)
{
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	Assert(desc->natts <= lengthof(values));
	nulls[0] = nulls[1] = asking->reply == NULL;
	if (asking->reply != NULL)
	{
		values[0] = ee_unseal_payload(JsonbPGetDatum(asking->reply),
									  UUIDPGetDatum(&asking->reply_id),
									  asking->reply_pattern,
									  asking->reply_version,
									  asking->reply_metadata);
		values[1] = UUIDPGetDatum(&asking->reply_id);
	}
	values[2] = UUIDPGetDatum(&asking->request);
	return heap_copy_tuple_as_datum(heap_form_tuple(desc, values, nulls),
									desc);
}
