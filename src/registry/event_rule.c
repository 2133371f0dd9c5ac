/*
 * event_rule.c
 *	  Business rules of a definition: what a schema cannot say.
 *
 * A rule is a path predicate over the envelope, or a function that runs as
 * the rule's owner: restricted, under a pinned search path, its settings
 * undone.  There is no subtransaction: more than a few of them in one
 * transaction slow the whole server.  Hence an error in a function ends the
 * statement like any other, with its own SQLSTATE, so that a serialization
 * failure stays one.
 *
 * A definition without rules costs nothing: its list is empty.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "ground/compat.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/path_predicate.h"
#include "registry/event_rule.h"
#include "registry/registry_row.h"
#include "validation/schema_report.h"

#define PINNED_PATH "pg_catalog, pg_temp"

typedef struct EeRule
{
	char	   *name;
	int			sort_order;
	EePathPredicate *path;		/* NULL: a function */
	bool		payload_only;	/* the path looks at nothing else */
	char	   *signature;
	Oid			function;		/* InvalidOid: to be looked up */
	Oid			owner;
	char	   *message;		/* NULL: none given */
	bool		enabled;
	EeRowIdentity row;
} EeRule;

/* what an error in a rule's function is told with */
typedef struct RuleContext
{
	const EeRule *rule;
	const char *pattern;
	List	   *violations;
} RuleContext;

static EeRule *read_rule(EeRowScan *scan, HeapTuple tuple);
static char *text_of(EeRowScan *scan, HeapTuple tuple, AttrNumber attr);
static int	compare_rules(const ListCell *a, const ListCell *b);
static EeRule *copy_rule(const EeRule *rule);
static void add_violation(const EeRule *rule, const char *message,
						  List **violations);
static Datum event_datum(const EeEvent *event);
static void call_function(EeRule *rule, Datum event, const char *pattern,
						  List **violations);
static Oid	find_function(EeRule *rule);
static void rule_error_callback(void *arg);

PG_FUNCTION_INFO_V1(ee_sql_check_rule_path);

static const EePathWords words = {
	EE_ERRCODE_INVALID_DEFINITION, "rule", "A rule"
};

/* check_rule_path(path): true, or an error that says what is wrong */
Datum
ee_sql_check_rule_path(PG_FUNCTION_ARGS)
{
	(void) ee_path_predicate_compile(text_to_cstring(PG_GETARG_TEXT_PP(0)),
									 &words);
	PG_RETURN_BOOL(true);
}

List *
ee_event_rule_load(const pg_uuid_t *definition)
{
	AttrNumber	attr = EE_RULE_DEFINITION_ID;
	Datum		value = UUIDPGetDatum(definition);
	EeRowScan	scan;
	HeapTuple	tuple;
	List	   *rules = NIL;

	ee_registry_row_begin(&scan, EE_REL_EVENT_RULES, "event_rules_pkey", 1,
						  &attr, &value);
	while (HeapTupleIsValid(tuple = ee_registry_row_next(&scan)))
		rules = lappend(rules, read_rule(&scan, tuple));
	ee_registry_row_end(&scan);
	list_sort(rules, compare_rules);
	return rules;
}

static EeRule *
read_rule(EeRowScan *scan, HeapTuple tuple)
{
	static const char *const members[] = {"payload", "pattern", "version"};
	EeRule	   *rule = palloc0(sizeof(EeRule));
	char	   *path = text_of(scan, tuple, EE_RULE_PATH);
	bool		isnull;

	rule->name = text_of(scan, tuple, EE_RULE_NAME);
	rule->sort_order =
		DatumGetInt32(ee_registry_row_get(scan, tuple, EE_RULE_SORT_ORDER,
										  &isnull));
	rule->signature = text_of(scan, tuple, EE_RULE_FUNCTION);
	rule->owner = DatumGetObjectId(ee_registry_row_get(scan, tuple,
													   EE_RULE_OWNER, &isnull));
	rule->message = text_of(scan, tuple, EE_RULE_MESSAGE);
	rule->enabled = DatumGetBool(ee_registry_row_get(scan, tuple,
													 EE_RULE_ENABLED, &isnull));
	rule->row = ee_registry_row_identity(tuple);
	if (path != NULL)
	{
		rule->path = ee_path_predicate_compile(path, &words);
		rule->payload_only = ee_path_predicate_only(rule->path, members,
													lengthof(members));
	}
	return rule;
}

static char *
text_of(EeRowScan *scan, HeapTuple tuple, AttrNumber attr)
{
	bool		isnull;
	Datum		value = ee_registry_row_get(scan, tuple, attr, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static int
compare_rules(const ListCell *a, const ListCell *b)
{
	const EeRule *x = lfirst(a);
	const EeRule *y = lfirst(b);

	if (x->sort_order != y->sort_order)
		return x->sort_order < y->sort_order ? -1 : 1;
	return strcmp(x->name, y->name);
}

bool
ee_event_rule_unchanged(List *rules, const pg_uuid_t *definition)
{
	AttrNumber	attr = EE_RULE_DEFINITION_ID;
	Datum		value = UUIDPGetDatum(definition);
	EeRowScan	scan;
	HeapTuple	tuple;
	int			found = 0;
	bool		same = true;

	ee_registry_row_begin(&scan, EE_REL_EVENT_RULES, "event_rules_pkey", 1,
						  &attr, &value);
	while (same && HeapTupleIsValid(tuple = ee_registry_row_next(&scan)))
	{
		ListCell   *lc;

		same = false;
		foreach(lc, rules)
		{
			EeRule	   *rule = lfirst(lc);

			if (ee_registry_row_same(rule->row,
									 ee_registry_row_identity(tuple)))
				same = true;
		}
		found++;
	}
	ee_registry_row_end(&scan);
	return same && found == list_length(rules);
}

/*
 * Paths first, then functions: a function may publish or change definitions,
 * and so end the life of what is cached; what it takes to run them is copied.
 */
void
ee_event_rule_check(List *rules, const EeEvent *event, const char *pattern,
					List **violations)
{
	Jsonb	   *envelope = NULL;
	List	   *calls = NIL;
	Datum		datum;
	ListCell   *lc;

	foreach(lc, rules)
	{
		EeRule	   *rule = lfirst(lc);

		if (!rule->enabled)
			continue;
		if (rule->path == NULL)
		{
			(void) find_function(rule);
			calls = lappend(calls, copy_rule(rule));
			continue;
		}
		if (envelope == NULL)
			envelope = ee_envelope_to_jsonb(event);
		if (!ee_path_predicate_match(rule->path, envelope))
			add_violation(rule, NULL, violations);
	}
	if (calls == NIL)
		return;
	pattern = pstrdup(pattern);
	datum = event_datum(event);
	foreach(lc, calls)
	{
		CHECK_FOR_INTERRUPTS();
		call_function(lfirst(lc), datum, pattern, violations);
	}
}

static EeRule *
copy_rule(const EeRule *rule)
{
	EeRule	   *copy = palloc(sizeof(EeRule));

	*copy = *rule;
	copy->name = pstrdup(rule->name);
	copy->signature = pstrdup(rule->signature);
	copy->message = rule->message == NULL ? NULL : pstrdup(rule->message);
	return copy;
}

void
ee_event_rule_check_payload(List *rules, Datum pattern, Datum version,
							Jsonb *payload, List **violations)
{
	Jsonb	   *envelope = NULL;
	EeEvent		event;
	ListCell   *lc;

	foreach(lc, rules)
	{
		EeRule	   *rule = lfirst(lc);

		if (!rule->enabled || !rule->payload_only)
			continue;
		if (envelope == NULL)
		{
			memset(event.nulls, true, sizeof(event.nulls));
			/* an identifier stands in where there is none: not here */
			EE_EVENT_VALUE(&event, EE_EVENT_EVENT_ID) = pattern;
			EE_EVENT_IS_NULL(&event, EE_EVENT_EVENT_ID) = false;
			EE_EVENT_VALUE(&event, EE_EVENT_PATTERN) = pattern;
			EE_EVENT_IS_NULL(&event, EE_EVENT_PATTERN) = false;
			EE_EVENT_VALUE(&event, EE_EVENT_VERSION) = version;
			EE_EVENT_IS_NULL(&event, EE_EVENT_VERSION) = false;
			EE_EVENT_VALUE(&event, EE_EVENT_PAYLOAD) = JsonbPGetDatum(payload);
			EE_EVENT_IS_NULL(&event, EE_EVENT_PAYLOAD) = false;
			envelope = ee_envelope_to_jsonb(&event);
		}
		if (!ee_path_predicate_match(rule->path, envelope))
			add_violation(rule, NULL, violations);
	}
}

static void
add_violation(const EeRule *rule, const char *message, List **violations)
{
	EeViolation *violation = palloc0(sizeof(EeViolation));

	violation->instance_path = pstrdup("");
	violation->keyword_path = psprintf("/rules/%s", rule->name);
	violation->keyword = pstrdup("rule");
	if (message == NULL || message[0] == '\0')
		message = rule->message;
	violation->message = message != NULL ? pstrdup(message) :
		psprintf("rule \"%s\" does not hold", rule->name);
	if (rule->path != NULL)
		violation->expected = pstrdup(ee_path_predicate_text(rule->path));
	*violations = lappend(*violations, violation);
}

/* The event as the function sees it: seq and xid come later. */
static Datum
event_datum(const EeEvent *event)
{
	TypeCacheEntry *type = lookup_type_cache(ee_extension_event_type(),
											 TYPECACHE_TUPDESC);
	HeapTuple	tuple = heap_form_tuple(type->tupDesc,
										(Datum *) event->values,
										(bool *) event->nulls);

	return heap_copy_tuple_as_datum(tuple, type->tupDesc);
}

/* boolean: false is a violation; text: what is said is one. */
static void
call_function(EeRule *rule, Datum event, const char *pattern,
			  List **violations)
{
	LOCAL_FCINFO(fcinfo, 1);
	RuleContext told = {rule, pattern, *violations};
	ErrorContextCallback context;
	EeIdentity	saved;
	FmgrInfo	function;
	Datum		result;
	char	   *message = NULL;
	bool		holds = true;

	context.callback = rule_error_callback;
	context.arg = &told;
	context.previous = error_context_stack;
	error_context_stack = &context;

	ee_identity_handler(&saved, rule->owner);
	/* whoever publishes must not choose what names mean to the owner */
	(void) set_config_option("search_path", PINNED_PATH, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	fmgr_info(find_function(rule), &function);
	InitFunctionCallInfoData(*fcinfo, &function, 1, DEFAULT_COLLATION_OID,
							 NULL, NULL);
	fcinfo->args[0].value = event;
	fcinfo->args[0].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	if (!fcinfo->isnull && get_func_rettype(function.fn_oid) == BOOLOID)
		holds = DatumGetBool(result);
	else if (!fcinfo->isnull)
	{
		message = TextDatumGetCString(result);
		holds = false;
	}
	ee_identity_restore(&saved);

	error_context_stack = context.previous;
	if (!holds)
		add_violation(rule, message, violations);
}

/* By its signature, where it is not known or not there any more. */
static Oid
find_function(EeRule *rule)
{
	Oid			result;

	if (!OidIsValid(rule->function) ||
		!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(rule->function)))
	{
		LOCAL_FCINFO(fcinfo, 1);
		EeIdentity	saved;
		Datum		found;

		/* publishers need not see the schema that it is in */
		ee_identity_handler(&saved, rule->owner);
		InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
		fcinfo->args[0].value = CStringGetTextDatum(rule->signature);
		fcinfo->args[0].isnull = false;
		found = to_regprocedure(fcinfo);
		if (fcinfo->isnull)
			ereport(ERROR,
					(errcode(EE_ERRCODE_INVALID_DEFINITION),
					 errmsg("function %s of rule \"%s\" does not exist",
							rule->signature, rule->name),
					 errhint("Create it again, or remove the rule with event_engine.remove_event_rule().")));
		ee_identity_restore(&saved);
		rule->function = DatumGetObjectId(found);
	}
	result = get_func_rettype(rule->function);
	if (result != BOOLOID && result != TEXTOID)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_DEFINITION),
				 errmsg("function %s of rule \"%s\" returns neither boolean nor text",
						rule->signature, rule->name)));
	if (ee_proc_aclcheck(rule->function, rule->owner) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not execute function %s of rule \"%s\"",
						GetUserNameFromId(rule->owner, false),
						rule->signature, rule->name)));
	return rule->function;
}

/* Says which rule it was, and what was found wrong before. */
static void
rule_error_callback(void *arg)
{
	RuleContext *told = arg;
	ListCell   *lc;

	errcontext("rule \"%s\" of event pattern \"%s\"", told->rule->name,
			   told->pattern);
	foreach(lc, told->violations)
	{
		EeViolation *violation = lfirst(lc);

		errcontext("violation found before: %s%s%s", violation->instance_path,
				   violation->instance_path[0] != '\0' ? ": " : "",
				   violation->message);
	}
}
