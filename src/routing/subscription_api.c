/*
 * subscription_api.c
 *	  The faces of subscribe() and its kin.
 *
 * Nobody may write event_engine.subscriptions, because handlers run as the
 * owner that a row names.  The work is done by definer functions, and such a
 * function cannot tell on whose behalf it runs: the faces here can, and hand
 * it over as the first argument.  The definer functions are open to nobody;
 * what calls them from here needs no privilege.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#include "ground/compat.h"
#include "ground/debug_point.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "routing/subscription.h"

static FmgrInfo *definer_function(FmgrInfo *face);
static Oid	handler_by_name(const char *name);
static bool takes_event(Oid type);

PG_FUNCTION_INFO_V1(ee_sql_subscription_call);
PG_FUNCTION_INFO_V1(ee_sql_find_handler);

/*
 * Face of any function f(args): calls event_engine.f_as(caller, args), with
 * the role in whose name the statement runs.  A set is returned by f_as
 * straight to whoever asked.
 */
Datum
ee_sql_subscription_call(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	FmgrInfo   *definer = (FmgrInfo *) fcinfo->flinfo->fn_extra;
	volatile Datum result = (Datum) 0;
	Oid			before;
	int			i;

	if (XactReadOnly &&
		func_volatile(fcinfo->flinfo->fn_oid) == PROVOLATILE_VOLATILE)
		PreventCommandIfReadOnly(psprintf("%s()",
										  get_func_name(fcinfo->flinfo->fn_oid)));
	if (definer == NULL)
	{
		definer = definer_function(fcinfo->flinfo);
		fcinfo->flinfo->fn_extra = definer;
	}

	InitFunctionCallInfoData(*call, definer, PG_NARGS() + 1,
							 PG_GET_COLLATION(), NULL, fcinfo->resultinfo);
	call->args[0].value = ObjectIdGetDatum(GetUserId());
	call->args[0].isnull = false;
	for (i = 0; i < PG_NARGS(); i++)
		call->args[i + 1] = fcinfo->args[i];

	ee_debug_point("session_before_call");
	before = ee_identity_set_caller(GetUserId());
	PG_TRY();
	{
		result = FunctionCallInvoke(call);
	}
	PG_FINALLY();
	{
		(void) ee_identity_set_caller(before);
	}
	PG_END_TRY();
	ee_debug_point("session_after_call");
	fcinfo->isnull = call->isnull;
	return result;
}

/*
 * The function that a subscriber calls its handler: a name, as visible to
 * the caller, or a signature.
 */
Datum
ee_sql_find_handler(PG_FUNCTION_ARGS)
{
	char	   *handler = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (strchr(handler, '(') != NULL)
		PG_RETURN_DATUM(DirectFunctionCall1(regprocedurein,
											CStringGetDatum(handler)));
	PG_RETURN_OID(handler_by_name(handler));
}

static FmgrInfo *
definer_function(FmgrInfo *face)
{
	FmgrInfo   *definer;
	char	   *name = get_func_name(face->fn_oid);
	char	   *schema = get_namespace_name(get_func_namespace(face->fn_oid));
	Oid			oid;

	if (name == NULL || schema == NULL)
		elog(ERROR, "cache lookup failed for function %u", face->fn_oid);

	oid = LookupFuncName(list_make2(makeString(schema),
									makeString(psprintf("%s_as", name))),
						 -1, NULL, false);
	definer = MemoryContextAlloc(face->fn_mcxt, sizeof(FmgrInfo));
	fmgr_info_cxt(oid, definer, face->fn_mcxt);
	return definer;
}

static Oid
handler_by_name(const char *name)
{
	List	   *names = ee_qualified_name(name);
	FuncCandidateList candidates;
	FuncCandidateList candidate;
	Oid			found = InvalidOid;
	int			n_found = 0;

	candidates = FuncnameGetCandidates(names, 1, NIL, false, false, false,
									   true);
	for (candidate = candidates; candidate != NULL;
		 candidate = candidate->next)
	{
		if (candidate->nargs == 1 && takes_event(candidate->args[0]))
		{
			found = candidate->oid;
			n_found++;
		}
	}

	if (n_found == 1)
		return found;
	if (n_found > 1)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_HANDLER),
				 errmsg("handler \"%s\" is not unique", name),
				 errdetail("Several functions of that name take an event."),
				 errhint("Give the argument's type: "
						 "'%s(event_engine.event)', "
						 "'%s(event_engine.event[])' or '%s(jsonb)'.",
						 name, name, name)));

	if (FuncnameGetCandidates(names, -1, NIL, false, false, false,
							  true) == NULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_HANDLER),
				 errmsg("handler \"%s\" does not exist", name),
				 errhint("Create the function first, and name its schema "
						 "unless that is in the search path.")));
	ereport(ERROR,
			(errcode(EE_ERRCODE_INVALID_HANDLER),
			 errmsg("function \"%s\" cannot be a handler", name),
			 errdetail("A handler takes one argument, of type "
					   "event_engine.event, event_engine.event[] or jsonb.")));
	return InvalidOid;			/* keep the compiler quiet */
}

static bool
takes_event(Oid type)
{
	return type == JSONBOID || type == ee_extension_event_type() ||
		type == ee_extension_event_array_type();
}
