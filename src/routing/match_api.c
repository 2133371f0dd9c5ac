/*
 * match_api.c
 *	  Matching as SQL functions: to check a definition, to try one on events,
 *	  and to explain whom an event reaches.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "ground/errors.h"
#include "ground/jsonb_push.h"
#include "routing/match.h"
#include "routing/routing_cache.h"
#include "routing/subscription.h"

/* A matcher kept from call to call, and what it was compiled from. */
typedef struct KeptMatcher
{
	MemoryContext context;
	EeMatcher  *matcher;
	struct varlena *definition[3];	/* match, filter_path, filters */
} KeptMatcher;

static EeMatcher *compile_arguments(FunctionCallInfo fcinfo, int first);
static EeMatcher *kept_matcher(FunctionCallInfo fcinfo, int first);
static bool same_definition(const KeptMatcher *kept, FunctionCallInfo fcinfo,
							int first);
static void get_event(Datum datum, EeEvent *event);

PG_FUNCTION_INFO_V1(ee_sql_check_match);
PG_FUNCTION_INFO_V1(ee_sql_event_matches);
PG_FUNCTION_INFO_V1(ee_sql_explain_match);
PG_FUNCTION_INFO_V1(ee_sql_pattern_subscribers);
PG_FUNCTION_INFO_V1(ee_sql_event_subscribers);
PG_FUNCTION_INFO_V1(ee_sql_has_subscribed);

/* check_match(match, filter_path, filters): true, or raises what is wrong */
Datum
ee_sql_check_match(PG_FUNCTION_ARGS)
{
	(void) compile_arguments(fcinfo, 0);
	PG_RETURN_BOOL(true);
}

/* event_matches(event, match, filter_path, filters) */
Datum
ee_sql_event_matches(PG_FUNCTION_ARGS)
{
	EeEvent		event;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	get_event(PG_GETARG_DATUM(0), &event);
	PG_RETURN_BOOL(ee_match_event(kept_matcher(fcinfo, 1), &event));
}

/* explain_match(event): a row for each subscription */
Datum
ee_sql_explain_match(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	EeEvent		event;
	StringInfoData reason;
	ListCell   *cell;

	get_event(PG_GETARG_DATUM(0), &event);
	InitMaterializedSRF(fcinfo, 0);
	initStringInfo(&reason);

	foreach(cell, ee_routing_cache_all())
	{
		EeSubscription *subscription = lfirst(cell);
		Datum		values[3];
		bool		nulls[3] = {false, false, false};
		bool		matches;

		CHECK_FOR_INTERRUPTS();
		resetStringInfo(&reason);
		matches = ee_match_explain(subscription->matcher, &event, &reason);
		if (matches && subscription->status == EE_SUBSCRIPTION_PAUSED)
			appendStringInfoString(&reason,
								   "; paused, will be delivered once resumed");
		else if (matches && subscription->status == EE_SUBSCRIPTION_BROKEN)
			appendStringInfoString(&reason,
								   "; broken, will be delivered once repaired and resumed");

		values[0] = CStringGetTextDatum(subscription->subscriber);
		values[1] = BoolGetDatum(matches);
		values[2] = CStringGetTextDatum(reason.data);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}

/* pattern_subscribers(pattern): by the name alone */
Datum
ee_sql_pattern_subscribers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	text	   *pattern = PG_GETARG_TEXT_PP(0);
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	foreach(cell, ee_routing_cache_lookup(VARDATA_ANY(pattern),
										  VARSIZE_ANY_EXHDR(pattern)))
	{
		EeSubscription *subscription = lfirst(cell);
		Datum		value = CStringGetTextDatum(subscription->subscriber);
		bool		isnull = false;

		if (!ee_match_pattern(subscription->matcher, VARDATA_ANY(pattern),
							  VARSIZE_ANY_EXHDR(pattern)))
			continue;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value,
							 &isnull);
	}
	return (Datum) 0;
}

/* event_subscribers(event): whom it reaches */
Datum
ee_sql_event_subscribers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	EeEvent		event;
	ListCell   *cell;

	get_event(PG_GETARG_DATUM(0), &event);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	foreach(cell, ee_routing_cache_candidates(&event))
	{
		EeSubscription *subscription = lfirst(cell);
		Datum		value = CStringGetTextDatum(subscription->subscriber);
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		if (ee_match_event(subscription->matcher, &event))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value,
								 &isnull);
	}
	return (Datum) 0;
}

/*
 * has_subscribed(subscriber text, number integer, pattern text,
 * metadata jsonb): is it the subscription, by name or number, of a role whose
 * privileges the caller has, and may that role have the event?
 */
Datum
ee_sql_has_subscribed(PG_FUNCTION_ARGS)
{
	char	   *name = PG_ARGISNULL(0) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(0));
	ListCell   *cell;

	if (PG_ARGISNULL(2))
		PG_RETURN_BOOL(false);
	foreach(cell, ee_routing_cache_all())
	{
		EeSubscription *subscription = lfirst(cell);

		if (name != NULL ? strcmp(subscription->subscriber, name) == 0 :
			!PG_ARGISNULL(1) && subscription->number == PG_GETARG_INT32(1))
		{
			EeEvent		event;
			JsonbParseState *state = NULL;

			if (!has_privs_of_role(GetUserId(), subscription->owner))
				break;
			ee_jsonb_push_begin(&state);
			memset(event.nulls, true, sizeof(event.nulls));
			EE_EVENT_VALUE(&event, EE_EVENT_PATTERN) = PG_GETARG_DATUM(2);
			EE_EVENT_IS_NULL(&event, EE_EVENT_PATTERN) = false;
			EE_EVENT_VALUE(&event, EE_EVENT_METADATA) = PG_ARGISNULL(3) ?
				JsonbPGetDatum(ee_jsonb_push_end(&state)) : PG_GETARG_DATUM(3);
			PG_RETURN_BOOL(ee_match_permits(subscription->matcher, &event));
		}
	}
	PG_RETURN_BOOL(false);
}

/* Compile (match, filter_path, filters), the arguments from the first on. */
static EeMatcher *
compile_arguments(FunctionCallInfo fcinfo, int first)
{
	Jsonb	   *match;

	if (PG_ARGISNULL(first))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("match must not be null")));
	match = PG_GETARG_JSONB_P(first);
	if (JB_ROOT_IS_ARRAY(match) && JB_ROOT_COUNT(match) == 0)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("nothing to match"),
				 errdetail("A match is an array of at least one object with type and value.")));
	return ee_match_compile(match,
							PG_ARGISNULL(first + 1) ? NULL :
							text_to_cstring(PG_GETARG_TEXT_PP(first + 1)),
							PG_ARGISNULL(first + 2) ? NULL :
							PG_GETARG_JSONB_P(first + 2));
}

/* The same, compiled anew only when they differ from the last call's. */
static EeMatcher *
kept_matcher(FunctionCallInfo fcinfo, int first)
{
	KeptMatcher *kept = (KeptMatcher *) fcinfo->flinfo->fn_extra;
	MemoryContext old;
	int			i;

	if (kept == NULL)
	{
		kept = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
									  sizeof(KeptMatcher));
		kept->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt,
											  "event_engine kept matcher",
											  ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = kept;
	}
	if (kept->matcher != NULL && same_definition(kept, fcinfo, first))
		return kept->matcher;

	kept->matcher = NULL;
	MemoryContextReset(kept->context);
	old = MemoryContextSwitchTo(kept->context);
	kept->matcher = compile_arguments(fcinfo, first);
	for (i = 0; i < 3; i++)
		kept->definition[i] = PG_ARGISNULL(first + i) ? NULL :
			PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(first + i));
	MemoryContextSwitchTo(old);
	return kept->matcher;
}

static bool
same_definition(const KeptMatcher *kept, FunctionCallInfo fcinfo, int first)
{
	int			i;

	for (i = 0; i < 3; i++)
	{
		struct varlena *now;

		if (PG_ARGISNULL(first + i) != (kept->definition[i] == NULL))
			return false;
		if (PG_ARGISNULL(first + i))
			continue;
		now = PG_DETOAST_DATUM(PG_GETARG_DATUM(first + i));
		if (VARSIZE(now) != VARSIZE(kept->definition[i]) ||
			memcmp(now, kept->definition[i], VARSIZE(now)) != 0)
			return false;
	}
	return true;
}

static void
get_event(Datum datum, EeEvent *event)
{
	ee_envelope_deform(datum, event);
	if (EE_EVENT_IS_NULL(event, EE_EVENT_PATTERN))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_EVENT),
				 errmsg("event has no pattern")));
}
