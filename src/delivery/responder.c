/*
 * responder.c
 *	  Ask a function for a reply, in the caller's transaction.
 *
 * Request and reply are published as those of query_event() are, so that they
 * are validated, kept and traced.  The function runs as the role that has
 * registered it, which is also who publishes the reply.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "delivery/handler.h"
#include "delivery/immediate.h"
#include "delivery/reply.h"
#include "ground/causation.h"
#include "ground/errors.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "store/event_right.h"
#include "store/publish.h"

typedef struct Responding
{
	char	   *pattern;
	char	   *function;		/* signature */
	Oid			owner;
	Datum		event;			/* the request, composite */
	EeRequest	request;
	Jsonb	   *reply;			/* NULL: none */
} Responding;

static void find_responder(Responding *responding);
static void check_right(const Responding *responding);
static void publish_request(FunctionCallInfo fcinfo, Responding *responding);
static void respond(void *arg);
static void tell_responder(void *arg);

PG_FUNCTION_INFO_V1(ee_sql_query_responder);

/*
 * query_responder(pattern, payload, metadata, source, partition_key)
 * RETURNS jsonb
 */
Datum
ee_sql_query_responder(PG_FUNCTION_ARGS)
{
	Responding	responding = {0};
	ErrorContextCallback context;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_EVENT),
				 errmsg("pattern and payload of a request must not be null"),
				 errhint("A request without content has the payload '{}'.")));
	/* a responder may ask another */
	check_stack_depth();
	responding.pattern = text_to_cstring(PG_GETARG_TEXT_PP(0));
	find_responder(&responding);
	publish_request(fcinfo, &responding);
	check_right(&responding);

	context.callback = tell_responder;
	context.arg = &responding;
	context.previous = error_context_stack;
	error_context_stack = &context;
	ee_immediate_as_owner(responding.owner, respond, &responding);
	error_context_stack = context.previous;
	if (responding.reply == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(responding.reply);
}

static void
find_responder(Responding *responding)
{
	static EePlan find =
		EE_PLAN("SELECT r.function, r.owner::oid FROM event_engine.event_responders AS r "
				"WHERE r.pattern = $1", "varchar");
	Datum		value = CStringGetTextDatum(responding->pattern);
	EePlanFrame frame;
	EeIdentity	saved;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (ee_plan_execute(&find, &value, NULL, false, 1) == 0)
		ereport(ERROR,
				(errcode(EE_ERRCODE_NO_RESPONDER),
				 errmsg("no responder for event \"%s\"", responding->pattern),
				 errhint("Register one with event_engine.register_query_responder(), or CALL event_engine.query_event() to ask whoever has subscribed.")));
	MemoryContextSwitchTo(frame.caller);
	responding->function = TextDatumGetCString(ee_plan_value(0, 1, &isnull));
	responding->owner = DatumGetObjectId(ee_plan_value(0, 2, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

static void
publish_request(FunctionCallInfo fcinfo, Responding *responding)
{
	EeReceived	received = {0};
	EeEvent		event;
	pg_uuid_t	id;

	received.pattern = responding->pattern;
	received.pattern_len = strlen(responding->pattern);
	received.payload = PG_GETARG_JSONB_P(1);
	received.metadata = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	received.source = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	received.partition_key = PG_ARGISNULL(4) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(4));
	(void) ee_publish_event(&received, &event, &id);
	ee_request_of_event(&responding->request, &event);
	responding->event = ee_envelope_form(&event);
	/* the responder sees the request */
	CommandCounterIncrement();
}

/* A responder sees the request, as a subscriber would. */
static void
check_right(const Responding *responding)
{
	const EeRequest *request = &responding->request;

	if (!ee_event_right(responding->owner, EE_PRIVILEGE_SUBSCRIBE,
						request->pattern, strlen(request->pattern),
						request->metadata))
		ereport(ERROR,
				(errcode(EE_ERRCODE_NO_RESPONDER),
				 errmsg("no responder for event \"%s\"", request->pattern),
				 errdetail("The owner of the one that is registered, role \"%s\", may not subscribe to this event.",
						   GetUserNameFromId(responding->owner, false)),
				 errhint("See event_engine.grant_subscribe().")));
}

/* As the responder's owner. */
static void
respond(void *arg)
{
	Responding *responding = arg;
	EeHandlerName unknown = {.context = CurrentMemoryContext};
	EeHandler	handler;
	Datum		reply;
	bool		isnull;

	ee_handler_prepare(&handler, responding->function, &unknown);
	if (handler.kind == EE_HANDLER_EVENTS ||
		get_func_rettype(handler.function.fn_oid) != JSONBOID)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_HANDLER),
				 errmsg("function %s cannot be a responder",
						responding->function),
				 errhint("A responder takes one argument, of type event_engine.event or jsonb, and returns jsonb.")));
	reply = ee_handler_ask(&handler, responding->event, &isnull);
	if (isnull)
		return;
	responding->reply = DatumGetJsonbPCopy(reply);
	ee_causation_set(responding->event);
	(void) ee_reply_publish(&responding->request, responding->reply, NULL,
							NULL, NULL);
}

static void
tell_responder(void *arg)
{
	Responding *responding = arg;

	errcontext("responder %s of event \"%s\"", responding->function,
			   responding->pattern);
}
