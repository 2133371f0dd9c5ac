/*
 * subscription.c
 *	  Subscriptions as their rows say, ready for use.
 *
 * Reads event_engine.subscriptions without asking for privileges: callers
 * act for the engine, and show nothing of it to those who may not see it.
 * Options that a row does not have, because it was written by an older
 * version, get their default here.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ground/extension.h"
#include "ground/option.h"
#include "routing/subscription.h"

/* The columns of event_engine.subscriptions. */
typedef enum SubscriptionAttr
{
	ATTR_ID = 1,
	ATTR_NUMBER,
	ATTR_SUBSCRIBER,
	ATTR_OWNER,
	ATTR_KIND,
	ATTR_PATTERNS,
	ATTR_MATCH,
	ATTR_FILTER_PATH,
	ATTR_FILTERS,
	ATTR_HANDLER,
	ATTR_CHANNEL,
	ATTR_OPTIONS,
	ATTR_STATUS,
	ATTR_STATUS_REASON,
	ATTR_CREATED_AT,
	ATTR_UPDATED_AT,
	ATTR_EPOCH,
	ATTR_EPOCHS
} SubscriptionAttr;

static int	compare_numbers(const ListCell *a, const ListCell *b);
static EeSubscription *from_tuple(HeapTuple tuple, TupleDesc desc,
								  MemoryContext scratch);
static Datum required(HeapTuple tuple, TupleDesc desc, SubscriptionAttr attr);
static char *optional_text(HeapTuple tuple, TupleDesc desc,
						   SubscriptionAttr attr);
static EeSubscriptionKind kind_of(const char *kind);
static EeSubscriptionStatus status_of(const char *status);
static void fill_epoch(EeSubscription *subscription, Jsonb *epochs);
static void fill_options(EeSubscription *subscription, Jsonb *options);
static void fill_limits(EeSubscription *subscription, Jsonb *options);

List *
ee_subscription_load_all(Oid owner)
{
	List	   *result = NIL;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "event_engine subscription row",
												  ALLOCSET_SMALL_SIZES);
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;
	ScanKeyData key[1];
	int			nkeys = 0;

	relation = table_open(ee_extension_relid(EE_REL_SUBSCRIPTIONS),
						  AccessShareLock);
	if (OidIsValid(owner))
		ScanKeyInit(&key[nkeys++], ATTR_OWNER, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(owner));

	scan = table_beginscan(relation, GetActiveSnapshot(), nkeys, key);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		result = lappend(result,
						 from_tuple(tuple, RelationGetDescr(relation),
									scratch));
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	MemoryContextDelete(scratch);

	list_sort(result, compare_numbers);
	return result;
}

static int
compare_numbers(const ListCell *a, const ListCell *b)
{
	int32		first = ((EeSubscription *) lfirst(a))->number;
	int32		second = ((EeSubscription *) lfirst(b))->number;

	return first < second ? -1 : first > second;
}

/* The row is taken apart in a context that goes away. */
static EeSubscription *
from_tuple(HeapTuple tuple, TupleDesc desc, MemoryContext scratch)
{
	MemoryContext context = CurrentMemoryContext;
	EeSubscription *result = palloc0(sizeof(EeSubscription));
	Jsonb	   *match;
	char	   *filter_path;
	Jsonb	   *filters = NULL;
	Datum		value;
	bool		isnull;

	result->subscriber = TextDatumGetCString(required(tuple, desc,
													  ATTR_SUBSCRIBER));
	result->handler = optional_text(tuple, desc, ATTR_HANDLER);
	result->channel = optional_text(tuple, desc, ATTR_CHANNEL);

	MemoryContextSwitchTo(scratch);
	result->version.xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	result->version.block = ItemPointerGetBlockNumber(&tuple->t_self);
	result->version.offset = ItemPointerGetOffsetNumber(&tuple->t_self);
	result->number = DatumGetInt32(required(tuple, desc, ATTR_NUMBER));
	result->id = *DatumGetUUIDP(required(tuple, desc, ATTR_ID));
	result->owner = DatumGetObjectId(required(tuple, desc, ATTR_OWNER));
	result->kind = kind_of(TextDatumGetCString(required(tuple, desc,
														ATTR_KIND)));
	result->status = status_of(TextDatumGetCString(required(tuple, desc,
															ATTR_STATUS)));
	match = DatumGetJsonbP(required(tuple, desc, ATTR_MATCH));
	filter_path = optional_text(tuple, desc, ATTR_FILTER_PATH);
	value = heap_getattr(tuple, ATTR_FILTERS, desc, &isnull);
	if (!isnull)
		filters = DatumGetJsonbP(value);
	fill_options(result, DatumGetJsonbP(required(tuple, desc, ATTR_OPTIONS)));
	result->epoch = DatumGetInt32(required(tuple, desc, ATTR_EPOCH));
	fill_epoch(result, DatumGetJsonbP(required(tuple, desc, ATTR_EPOCHS)));

	MemoryContextSwitchTo(context);
	if (result->idempotency_key != NULL)
		result->idempotency_key = pstrdup(result->idempotency_key);
	result->matcher = ee_match_compile(match, filter_path, filters);
	ee_match_restrict(result->matcher, result->owner);
	MemoryContextReset(scratch);
	return result;
}

static Datum
required(HeapTuple tuple, TupleDesc desc, SubscriptionAttr attr)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attr, desc, &isnull);

	if (isnull)
		elog(ERROR, "null in column \"%s\" of event_engine.subscriptions",
			 NameStr(TupleDescAttr(desc, attr - 1)->attname));
	return value;
}

static char *
optional_text(HeapTuple tuple, TupleDesc desc, SubscriptionAttr attr)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attr, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static EeSubscriptionKind
kind_of(const char *kind)
{
	if (strcmp(kind, "handler") == 0)
		return EE_SUBSCRIPTION_HANDLER;
	if (strcmp(kind, "pull") == 0)
		return EE_SUBSCRIPTION_PULL;
	if (strcmp(kind, "notify") == 0)
		return EE_SUBSCRIPTION_NOTIFY;
	if (strcmp(kind, "workflow") == 0)
		return EE_SUBSCRIPTION_WORKFLOW;
	elog(ERROR, "unknown kind \"%s\" of a subscription", kind);
	return EE_SUBSCRIPTION_PULL;	/* keep the compiler quiet */
}

static EeSubscriptionStatus
status_of(const char *status)
{
	if (strcmp(status, "active") == 0)
		return EE_SUBSCRIPTION_ACTIVE;
	if (strcmp(status, "paused") == 0)
		return EE_SUBSCRIPTION_PAUSED;
	if (strcmp(status, "broken") == 0)
		return EE_SUBSCRIPTION_BROKEN;
	elog(ERROR, "unknown status \"%s\" of a subscription", status);
	return EE_SUBSCRIPTION_BROKEN;	/* keep the compiler quiet */
}

/* The defaults are those of event_engine.subscription_options(). */
static void
fill_options(EeSubscription *subscription, Jsonb *options)
{
	subscription->batch_size =
		(int) ee_option_number(options, "batch_size", 5000);
	subscription->max_attempts =
		(int) ee_option_number(options, "max_attempts", 5);
	ee_backoff_read(&subscription->backoff, options);
	subscription->timeout_ms =
		(int) ee_option_number(options, "timeout_ms", 30000);
	subscription->processing_log =
		ee_option_bool(options, "processing_log", false);
	subscription->immediate = ee_option_bool(options, "immediate", false);
	subscription->ordered = ee_option_bool(options, "ordered", false);
	subscription->halts = ee_option_text_is(options, "on_dead_letter", "halt");
	subscription->idempotency_key = ee_option_text(options, "idempotency_key");
	subscription->idempotency_window_ms =
		ee_option_number(options, "idempotency_window_ms", 604800000);
	fill_limits(subscription, options);
}

static void
fill_limits(EeSubscription *subscription, Jsonb *options)
{
	EeRateLimit *rate = &subscription->rate;
	EeBreakerLimit *breaker = &subscription->breaker;

	rate->rate = ee_option_number(options, "rate_limit", 0);
	rate->burst = ee_option_number(options, "rate_burst",
								ee_rate_bucket_burst(rate->rate));
	subscription->backpressure = ee_option_bool(options, "backpressure", true);
	subscription->max_in_flight =
		(int) ee_option_number(options, "max_in_flight", 0);
	if (subscription->kind != EE_SUBSCRIPTION_HANDLER)
		return;
	breaker->threshold =
		(int) ee_option_number(options, "breaker_threshold", 5);
	breaker->window_ms =
		(int) ee_option_number(options, "breaker_window_ms", 60000);
	breaker->recovery_ms =
		(int) ee_option_number(options, "breaker_recovery_ms", 30000);
}

/* Of the running epoch, which is the first. */
static void
fill_epoch(EeSubscription *subscription, Jsonb *epochs)
{
	JsonbValue *first = getIthJsonbValueFromContainer(&epochs->root, 0);
	Jsonb	   *running;

	if (first == NULL || first->type != jbvBinary)
		elog(ERROR, "column epochs of subscription \"%s\" holds no epoch",
			 subscription->subscriber);
	running = JsonbValueToJsonb(first);
	subscription->n_epochs = JB_ROOT_COUNT(epochs);
	subscription->concurrency =
		(int) ee_option_number(running, "concurrency", 1);
	subscription->lanes_ordered = ee_option_bool(running, "ordered", false);
}

