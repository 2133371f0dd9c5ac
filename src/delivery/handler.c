/*
 * handler.c
 *	  Call the SQL function that a subscription names.
 *
 * Leaves transactions, rights and what to do about an error to its callers.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/typcache.h"

#include "delivery/handler.h"
#include "ground/causation.h"
#include "ground/compat.h"
#include "ground/envelope.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "store/unseal.h"

static volatile sig_atomic_t timed_out = false;
static uint64 names_generation = 1;
static bool running = false;

static Oid	lookup(const char *signature, EeHandlerName *known);
static Oid	resolve(const char *signature);
static void names_changed(Datum arg, int cacheid, uint32 hash);
static void check_rights(Oid oid, const char *signature);
static Datum invoke(EeHandler *handler, Datum argument, bool *isnull);
static void timeout_handler(void);
static TimeoutId timeout_id(void);

void
ee_handler_prepare(EeHandler *handler, const char *signature,
				   EeHandlerName *known)
{
	Oid			oid = lookup(signature, known);
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	Form_pg_proc proc;
	Oid			argument = InvalidOid;

	if (!HeapTupleIsValid(tuple))
	{
		/* dropped since, which nobody has told us yet */
		known->generation = 0;
		oid = lookup(signature, known);
		tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	}
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", oid);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	if (proc->pronargs == 1 && proc->prokind == PROKIND_FUNCTION &&
		!proc->proretset)
		argument = proc->proargtypes.values[0];
	ReleaseSysCache(tuple);

	if (argument == ee_extension_event_type())
		handler->kind = EE_HANDLER_EVENT;
	else if (argument == ee_extension_event_array_type())
		handler->kind = EE_HANDLER_EVENTS;
	else if (argument == JSONBOID)
		handler->kind = EE_HANDLER_ENVELOPE;
	else
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_HANDLER),
				 errmsg("function %s cannot be a handler", signature),
				 errhint("A handler is a function with one argument of type event_engine.event, event_engine.event[] or jsonb.")));
	check_rights(oid, signature);
	fmgr_info(oid, &handler->function);
}

static void
check_rights(Oid oid, const char *signature)
{
	if (ee_proc_aclcheck(oid, GetUserId()) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not execute handler %s",
						GetUserNameFromId(GetUserId(), false), signature),
				 errhint("Grant EXECUTE on it.")));
}

Oid
ee_handler_find(const char *signature, EeHandlerName *known)
{
	Oid			oid = lookup(signature, known);

	if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(oid)))
	{
		/* dropped since, which nobody has told us yet */
		known->generation = 0;
		oid = lookup(signature, known);
	}
	check_rights(oid, signature);
	return oid;
}

/*
 * A signature is parsed, and its names looked for along the search path, only
 * when something has changed that could make it mean another function.
 */
static Oid
lookup(const char *signature, EeHandlerName *known)
{
	static const int catalogs[] = {PROCOID, TYPEOID, NAMESPACEOID, AUTHOID,
	AUTHMEMMEMROLE};
	static bool registered = false;
	uint64		generation;
	Oid			oid;

	if (!registered)
	{
		for (int i = 0; i < lengthof(catalogs); i++)
			CacheRegisterSyscacheCallback(catalogs[i], names_changed,
										  (Datum) 0);
		registered = true;
	}
	if (known->generation == names_generation &&
		known->role == GetUserId() &&
		strcmp(known->search_path, namespace_search_path) == 0)
		return known->oid;

	/* taken first: what changes during the look-up is looked up again */
	generation = names_generation;
	oid = resolve(signature);
	known->generation = 0;
	if (known->search_path != NULL)
		pfree(known->search_path);
	known->search_path = MemoryContextStrdup(known->context,
											 namespace_search_path);
	known->oid = oid;
	known->role = GetUserId();
	known->generation = generation;
	return oid;
}

static void
names_changed(Datum arg, int cacheid, uint32 hash)
{
	names_generation++;
}

static Oid
resolve(const char *signature)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		oid;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = CStringGetTextDatum(signature);
	fcinfo->args[0].isnull = false;
	oid = to_regprocedure(fcinfo);
	if (fcinfo->isnull)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_HANDLER),
				 errmsg("handler %s does not exist", signature),
				 errhint("Create it again, or change the subscription with event_engine.update_subscription().")));
	return DatumGetObjectId(oid);
}

/*
 * The tuple as stored has the columns of event_engine.event in its order, so
 * a copy of it under that type is the composite value; toasted columns are
 * brought in, as a composite value must have them.
 */
Datum
ee_handler_event_datum(TupleTableSlot *slot)
{
	TypeCacheEntry *type = lookup_type_cache(ee_extension_event_type(),
											 TYPECACHE_TUPDESC);
	bool		should_free;
	HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
	Datum		event = heap_copy_tuple_as_datum(tuple, type->tupDesc);

	if (should_free)
		heap_freetuple(tuple);
	return event;
}

void
ee_handler_call(EeHandler *handler, Datum event)
{
	bool		isnull;

	if (handler->kind == EE_HANDLER_EVENTS)
		ee_handler_call_batch(handler, &event, 1);
	else
		(void) ee_handler_ask(handler, event, &isnull);
}

Datum
ee_handler_ask(EeHandler *handler, Datum event, bool *isnull)
{
	Datum		outer = ee_causation_event;
	Datum		argument;
	Datum		result;

	Assert(handler->kind != EE_HANDLER_EVENTS);
	ee_causation_set(event);
	argument = ee_unseal_event(event, true);
	if (handler->kind == EE_HANDLER_ENVELOPE)
	{
		EeEvent		deformed;

		ee_envelope_deform(argument, &deformed);
		argument = JsonbPGetDatum(ee_envelope_to_jsonb(&deformed));
	}
	result = invoke(handler, argument, isnull);
	ee_causation_set(outer);
	return result;
}

void
ee_handler_call_batch(EeHandler *handler, Datum *events, int n)
{
	Datum		outer = ee_causation_event;
	Datum	   *given = events;
	ArrayType  *array;
	bool		isnull;

	if (ee_unseal_may())
	{
		given = palloc(sizeof(Datum) * n);
		for (int i = 0; i < n; i++)
			given[i] = ee_unseal_event(events[i], true);
	}
	array = construct_array(given, n, ee_extension_event_type(), -1, false,
							TYPALIGN_DOUBLE);
	if (n == 1)
		ee_causation_set(events[0]);
	(void) invoke(handler, PointerGetDatum(array), &isnull);
	ee_causation_set(outer);
}

static Datum
invoke(EeHandler *handler, Datum argument, bool *isnull)
{
	Datum		result;

	*isnull = !ee_handler_invoke(&handler->function, &argument, 1,
								 ee_causation_event, &result);
	return result;
}

bool
ee_handler_invoke(FmgrInfo *function, Datum *arguments, int nargs,
				  Datum causing, Datum *result)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	Datum		outer_causing = ee_causation_event;
	bool		outer = running;

	InitFunctionCallInfoData(*fcinfo, function, nargs,
							 DEFAULT_COLLATION_OID, NULL, NULL);
	for (int i = 0; i < nargs; i++)
	{
		fcinfo->args[i].value = arguments[i];
		fcinfo->args[i].isnull = false;
	}
	ee_causation_set(causing);
	running = true;
	*result = FunctionCallInvoke(fcinfo);
	running = outer;
	ee_causation_set(outer_causing);
	/* the next call sees what this one has done */
	CommandCounterIncrement();
	return !fcinfo->isnull;
}

bool
ee_handler_running(void)
{
	return running;
}

void
ee_handler_resume(bool outer, Datum causing)
{
	running = outer;
	ee_causation_set(causing);
}

void
ee_handler_reset(void)
{
	running = false;
	ee_causation_clear();
	ee_causation_set_context(NULL, NULL);
	ee_handler_timeout_stop();
}

/* ---------------------------------------------------------------- timeouts */

static TimeoutId
timeout_id(void)
{
	static TimeoutId id = MAX_TIMEOUTS;

	if (id == MAX_TIMEOUTS)
		id = RegisterTimeout(USER_TIMEOUT, timeout_handler);
	return id;
}

/* Runs in a signal handler: cancels whatever the handler is doing. */
static void
timeout_handler(void)
{
	timed_out = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

void
ee_handler_timeout_start(int timeout_ms)
{
	timed_out = false;
	if (timeout_ms > 0)
		enable_timeout_after(timeout_id(), timeout_ms);
}

void
ee_handler_timeout_stop(void)
{
	disable_timeout(timeout_id(), false);
	/* a cancel that came too late must not hit the next one */
	if (timed_out)
		QueryCancelPending = false;
}

bool
ee_handler_timed_out(void)
{
	return timed_out;
}
