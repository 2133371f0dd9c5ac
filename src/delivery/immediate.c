/*
 * immediate.c
 *	  Call handlers in the transaction that publishes.
 *
 * A subscription with the option immediate has no place in the log: whoever
 * publishes calls its handler, right after the event is stored, and an error
 * of the handler, or of its filter, is the publisher's.  What comes while it
 * is paused or broken, and what is not due yet, is written to deliveries, for
 * the workers.
 *
 * With event_engine.delivery_immediate a session does the same for all other
 * handlers.  As these find the event in the log once it is committed, such a
 * transaction must not commit.
 *
 * A publisher without either pays for a comparison.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "delivery/handler.h"
#include "delivery/idempotency.h"
#include "delivery/immediate.h"
#include "delivery/lane.h"
#include "delivery/retry.h"
#include "delivery/round.h"
#include "ground/causation.h"
#include "ground/config.h"
#include "ground/errors.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"
#include "ground/shared.h"
#include "routing/routing_cache.h"
#include "store/append.h"

static bool wanted(void);
static bool any_immediate(void);
static void deliver_events(EeEvent *events, int n);
static void deliver_event(EeEvent *event);
static void deliver_to(const EeSubscription *subscription,
					   EeEvent *event);
static void leave_to_workers(const EeSubscription *subscription,
							 EeEvent *event, TimestampTz due);
static void call_handler(void *arg);
static bool is_own_session(Oid owner);
static void tell_subscription(void *arg);
static void note_uncommittable(void);
static void refuse_commit(XactEvent event, void *arg);
static void follow_savepoint(SubXactEvent event, SubTransactionId mine,
							 SubTransactionId parent, void *arg);

/* are there subscriptions with the option, and of which count of changes? */
static bool immediate_exists = false;
static uint64 immediate_generation = 0;

/*
 * Nesting level of the transaction in which a handler was called that will
 * be called again after the commit; 0: none.
 */
static int	uncommittable_level = 0;

PG_FUNCTION_INFO_V1(ee_sql_delivers_immediately);
PG_FUNCTION_INFO_V1(ee_sql_deliver_row);

void
ee_immediate_init(void)
{
	ee_append_hook = deliver_events;
	RegisterXactCallback(refuse_commit, NULL);
	RegisterSubXactCallback(follow_savepoint, NULL);
}

/* ---------------------------------------------------------- being published */

/* delivers_immediately() RETURNS boolean: of use to the trigger below only. */
Datum
ee_sql_delivers_immediately(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(wanted());
}

/*
 * Row trigger AFTER INSERT on events.  Rows that somebody restores are not
 * of this transaction.
 */
Datum
ee_sql_deliver_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	EeEvent		event;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("deliver_row must be fired AFTER INSERT FOR EACH ROW")));
	heap_deform_tuple(trigger->tg_trigtuple,
					  RelationGetDescr(trigger->tg_relation),
					  event.values, event.nulls);
	if (FullTransactionIdEquals(DatumGetFullTransactionId(EE_EVENT_VALUE(&event, EE_EVENT_XID)),
								GetTopFullTransactionIdIfAny()))
		deliver_events(&event, 1);
	return PointerGetDatum(NULL);
}

static bool
wanted(void)
{
	return ee_config_delivery_immediate || any_immediate();
}

static bool
any_immediate(void)
{
	static EePlan any =
		EE_PLAN("SELECT FROM event_engine.subscriptions "
				"WHERE options @> '{\"immediate\": true}' LIMIT 1");
	EePlanFrame frame;
	EeIdentity	saved;
	uint64		generation;
	bool		found;

	if (immediate_generation != 0 &&
		immediate_generation == ee_invalidate_generation(EE_REL_SUBSCRIPTIONS))
		return immediate_exists;

	generation = ee_invalidate_watch(EE_REL_SUBSCRIPTIONS);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	/* as of now, whatever the isolation level */
	PushActiveSnapshot(GetLatestSnapshot());
	found = ee_plan_execute(&any, NULL, NULL, true, 1) > 0;
	PopActiveSnapshot();
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	immediate_exists = found;
	immediate_generation = generation;
	return found;
}

static void
deliver_events(EeEvent *events, int n)
{
	MemoryContext context;
	MemoryContext old;

	if (!wanted())
		return;
	/* handlers that publish call handlers */
	check_stack_depth();
	/* the handlers see the events */
	CommandCounterIncrement();
	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_engine immediate delivery",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		deliver_event(&events[i]);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
deliver_event(EeEvent *event)
{
	ListCell   *lc;

	foreach(lc, ee_routing_cache_candidates(event))
	{
		EeSubscription *subscription = lfirst(lc);

		if (subscription->kind == EE_SUBSCRIPTION_HANDLER &&
			(subscription->immediate || ee_config_delivery_immediate))
			deliver_to(subscription, event);
	}
}

static void
deliver_to(const EeSubscription *subscription, EeEvent *event)
{
	bool		delayed = !EE_EVENT_IS_NULL(event, EE_EVENT_DELIVER_AT) &&
		DatumGetTimestampTz(EE_EVENT_VALUE(event, EE_EVENT_DELIVER_AT)) >
		GetCurrentTimestamp();
	ErrorContextCallback context;

	context.callback = tell_subscription;
	context.arg = subscription->subscriber;
	context.previous = error_context_stack;
	error_context_stack = &context;
	if (ee_match_event(subscription->matcher, event))
	{
		if (!delayed && subscription->status == EE_SUBSCRIPTION_ACTIVE &&
			!ee_match_orphaned(subscription->matcher))
		{
			if (!subscription->immediate)
				note_uncommittable();
			(void) ee_immediate_call(subscription, ee_envelope_form(event));
		}
		/* what the workers read from the log is theirs anyway */
		else if (subscription->immediate)
			leave_to_workers(subscription, event,
							 delayed ?
							 DatumGetTimestampTz(EE_EVENT_VALUE(event, EE_EVENT_DELIVER_AT)) :
							 GetCurrentTimestamp());
	}
	error_context_stack = context.previous;
}

static void
leave_to_workers(const EeSubscription *subscription, EeEvent *event,
				 TimestampTz due)
{
	EeDelivery *delivery = ee_round_delivery(subscription, 0, 0,
											 CurrentMemoryContext);

	ee_retry_delay(delivery, ee_envelope_form(event),
				   DatumGetInt64(EE_EVENT_VALUE(event, EE_EVENT_SEQ)), due);
	/* an executor that runs keeps the time of what it has written itself */
	ee_shared_note_changed();
	MemoryContextDelete(delivery->context);
	/* nobody else looks into the deliveries of others */
	ee_shared_note_changed();
}

static void
tell_subscription(void *arg)
{
	errcontext("immediate delivery to subscription \"%s\"", (char *) arg);
}

/* ----------------------------------------------------------------- the call */

typedef struct HandlerCall
{
	const EeSubscription *subscription;
	Datum		event;
} HandlerCall;

bool
ee_immediate_call(const EeSubscription *subscription, Datum event)
{
	HandlerCall call = {subscription, event};
	EeEvent		deformed;

	ee_envelope_deform(event, &deformed);
	if (!ee_idempotency_claim(subscription, event,
							  DatumGetInt64(EE_EVENT_VALUE(&deformed,
														   EE_EVENT_SEQ))))
		return false;
	ee_immediate_as_owner(subscription->owner, call_handler, &call);
	return true;
}

static void
call_handler(void *arg)
{
	HandlerCall *call = arg;
	EeHandlerName unknown = {.context = CurrentMemoryContext};
	EeHandler	handler;

	ee_handler_prepare(&handler, call->subscription->handler, &unknown);
	ee_handler_call(&handler, call->event);
}

/*
 * Somebody else's handler runs as its owner, restricted, so that it can leave
 * nothing behind that would run as us, and with its owner's search path, so
 * that ours cannot make it call what it does not mean.  In the owner's own
 * session it runs as any function of his.
 */
void
ee_immediate_as_owner(Oid owner, void (*body) (void *arg), void *arg)
{
	bool		running = ee_handler_running();
	Datum		causing = ee_causation_event;
	EeIdentity	saved;

	if (is_own_session(owner))
	{
		GetUserIdAndSecContext(&saved.userid, &saved.sec_context);
		saved.guc_level = NewGUCNestLevel();
	}
	else
	{
		ee_identity_handler(&saved, owner);
		ee_identity_search_path(owner);
	}
	PG_TRY();
	{
		body(arg);
	}
	PG_FINALLY();
	{
		/* the error may be caught, and an outer handler go on */
		ee_handler_resume(running, causing);
	}
	PG_END_TRY();
	ee_identity_restore(&saved);
}

/* Whoever has used SET SESSION AUTHORIZATION may go back, and so may a handler. */
static bool
is_own_session(Oid owner)
{
	Oid			userid;
	int			sec_context;

	GetUserIdAndSecContext(&userid, &sec_context);
	return userid == owner && GetSessionUserId() == owner &&
		GetAuthenticatedUserId() == owner && sec_context == 0;
}

/* --------------------------------------------------- what must not commit */

static void
note_uncommittable(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (uncommittable_level == 0 || level < uncommittable_level)
		uncommittable_level = level;
}

static void
refuse_commit(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		uncommittable_level = 0;
	else if ((event == XACT_EVENT_PRE_COMMIT ||
			  event == XACT_EVENT_PRE_PREPARE) && uncommittable_level > 0)
		ereport(ERROR,
				(errcode(EE_ERRCODE_IMMEDIATE_COMMIT),
				 errmsg("a transaction that has delivered under event_engine.delivery_immediate cannot commit"),
				 errdetail("Workers would deliver its events again."),
				 errhint("Roll the test back; or turn the setting off, commit, and CALL event_engine.run_pending().")));
}

static void
follow_savepoint(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (uncommittable_level < level)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		uncommittable_level = 0;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		uncommittable_level = level - 1;
}
