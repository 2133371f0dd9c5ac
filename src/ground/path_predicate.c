/*
 * path_predicate.c
 *	  A condition on an event as SQL/JSON path predicate over the envelope,
 *	  such as $.payload.amount > 1000 && $.source.type == "integration".
 *
 * It means what jsonb_path_match() means, errors included; a predicate whose
 * outcome is unknown does not hold.  SQL/JSON path is the sandbox: nothing a
 * user writes is ever part of a statement.
 *
 * Pure: knows no tables.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/jsonpath.h"

#include "ground/errors.h"
#include "ground/path_predicate.h"

#define MAX_PATH_LENGTH	4096

struct EePathPredicate
{
	char	   *text;
	JsonPath   *path;
};

/* what an error callback needs to know */
typedef struct PathError
{
	const char *text;
	const EePathWords *words;
} PathError;

static JsonPath *parse_path(const char *text, const EePathWords *words);
static void path_error_callback(void *arg);
static void check_predicate(const char *text, JsonPath *path,
							const EePathWords *words);
static void check_variables(const char *text, JsonPath *path,
							const EePathWords *words);
static void try_empty(const EePathPredicate *filter,
					  const EePathWords *words);
static Jsonb *no_vars(void);
static Jsonb *empty_vars(const EePathWords *words);

EePathPredicate *
ee_path_predicate_compile(const char *text, const EePathWords *words)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch;
	EePathPredicate *filter = palloc(sizeof(EePathPredicate));
	JsonPath   *path;

	if (strlen(text) > MAX_PATH_LENGTH)
		ereport(ERROR,
				(errcode(words->sqlstate),
				 errmsg("%s path is longer than %d bytes", words->noun,
						MAX_PATH_LENGTH)));

	/* there may be very many of them: keep no more than is needed */
	scratch = AllocSetContextCreate(context, "event_engine path",
									ALLOCSET_SMALL_SIZES);
	filter->text = pstrdup(text);
	MemoryContextSwitchTo(scratch);
	path = parse_path(text, words);
	filter->path = MemoryContextAlloc(context, VARSIZE(path));
	memcpy(filter->path, path, VARSIZE(path));

	check_predicate(text, filter->path, words);
	check_variables(text, filter->path, words);
	try_empty(filter, words);
	MemoryContextSwitchTo(context);
	MemoryContextDelete(scratch);

	return filter;
}

const char *
ee_path_predicate_text(const EePathPredicate *filter)
{
	return filter->text;
}

JsonPath *
ee_path_predicate_path(const EePathPredicate *filter)
{
	return filter->path;
}

/*
 * In the printed form of a path, $ outside of a string is the event, and
 * what follows the member that is looked at.
 */
bool
ee_path_predicate_only(const EePathPredicate *filter,
					   const char *const *members, int n)
{
	char	   *printed;
	char	   *at;
	bool		quoted = false;
	bool		only = true;
	int			i;

	printed = DatumGetCString(DirectFunctionCall1(jsonpath_out,
												  PointerGetDatum(filter->path)));
	for (at = printed; *at != '\0' && only; at++)
	{
		if (quoted && *at == '\\' && at[1] != '\0')
			at++;
		else if (*at == '"')
			quoted = !quoted;
		else if (!quoted && *at == '$')
		{
			for (i = 0; i < n; i++)
			{
				char	   *member = psprintf(".\"%s\"", members[i]);

				if (strncmp(at + 1, member, strlen(member)) == 0)
					break;
			}
			only = i < n;
		}
	}
	pfree(printed);
	return only;
}

static JsonPath *
parse_path(const char *text, const EePathWords *words)
{
	PathError	error = {text, words};
	ErrorContextCallback context;
	Datum		path;

	context.callback = path_error_callback;
	context.arg = &error;
	context.previous = error_context_stack;
	error_context_stack = &context;

	path = DirectFunctionCall1(jsonpath_in, CStringGetDatum(text));

	error_context_stack = context.previous;
	return DatumGetJsonPathP(path);
}

/* What the parser complains about is what the user wrote. */
static void
path_error_callback(void *arg)
{
	PathError  *error = arg;
	int			code = geterrcode();

	if (ERRCODE_TO_CATEGORY(code) == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR) ||
		ERRCODE_TO_CATEGORY(code) == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION))
		errcode(error->words->sqlstate);
	errcontext("%s path \"%s\"", error->words->noun, error->text);
}

/* Only a predicate answers yes or no for every event. */
static void
check_predicate(const char *text, JsonPath *path, const EePathWords *words)
{
	JsonPathItem root;
	bool		predicate = false;

	jspInit(&root, path);
	switch (root.type)
	{
		case jpiAnd:
		case jpiOr:
		case jpiNot:
		case jpiIsUnknown:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiExists:
		case jpiStartsWith:
		case jpiLikeRegex:
			predicate = !jspHasNext(&root);
			break;
		default:
			break;
	}
	if (!predicate)
		ereport(ERROR,
				(errcode(words->sqlstate),
				 errmsg("%s path \"%s\" is not a predicate", words->noun, text),
				 errdetail("A %s path answers true or false for every "
						   "event; this one selects values.", words->noun),
				 errhint("Compare: $.payload.amount > 1000; or ask for "
						 "existence: exists($.payload.items[*] ? (@.price > "
						 "10)).")));
}

/*
 * An unknown variable would raise an error for each event that gets as far.
 * In the printed form of a path, $ and a quote outside of a string is one.
 */
static void
check_variables(const char *text, JsonPath *path, const EePathWords *words)
{
	char	   *allowed = words->variable == NULL ? NULL :
		psprintf("$\"%s\"", words->variable);
	char	   *printed;
	char	   *at;
	bool		quoted = false;

	printed = DatumGetCString(DirectFunctionCall1(jsonpath_out,
												  PointerGetDatum(path)));
	for (at = printed; *at != '\0'; at++)
	{
		if (quoted && *at == '\\' && at[1] != '\0')
			at++;
		else if (*at == '"')
			quoted = !quoted;
		else if (!quoted && *at == '$' && at[1] == '"' &&
				 (allowed == NULL ||
				  strncmp(at, allowed, strlen(allowed)) != 0))
			ereport(ERROR,
					(errcode(words->sqlstate),
					 errmsg("%s path \"%s\" uses a variable", words->noun, text),
					 allowed == NULL ?
					 errdetail("%s sees the event as $ and nothing else.",
							   words->subject) :
					 errdetail("%s sees the event as $ and $%s and nothing else.",
							   words->subject, words->variable)));
	}
	pfree(printed);
}

/* What raises an error on nothing would do so on every event. */
static void
try_empty(const EePathPredicate *filter, const EePathWords *words)
{
	PathError	error = {filter->text, words};
	ErrorContextCallback context;

	context.callback = path_error_callback;
	context.arg = &error;
	context.previous = error_context_stack;
	error_context_stack = &context;

	(void) ee_path_predicate_match_with(filter, no_vars(),
										empty_vars(words));

	error_context_stack = context.previous;
}

/* As jsonb_path_match(envelope, path, '{}', silent => false) = true. */
bool
ee_path_predicate_match(const EePathPredicate *filter, Jsonb *envelope)
{
	return ee_path_predicate_match_with(filter, envelope, no_vars());
}

bool
ee_path_predicate_match_with(const EePathPredicate *filter, Jsonb *envelope,
							 Jsonb *vars)
{
	LOCAL_FCINFO(fcinfo, 4);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(envelope);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(filter->path);
	fcinfo->args[1].isnull = false;
	fcinfo->args[2].value = JsonbPGetDatum(vars);
	fcinfo->args[2].isnull = false;
	fcinfo->args[3].value = BoolGetDatum(false);
	fcinfo->args[3].isnull = false;

	result = jsonb_path_match(fcinfo);
	return !fcinfo->isnull && DatumGetBool(result);
}

/* An empty object. */
static Jsonb *
no_vars(void)
{
	static Jsonb empty;

	SET_VARSIZE(&empty, VARHDRSZ + sizeof(uint32));
	empty.root.header = JB_FOBJECT;
	return &empty;
}

/* The variable that may be used, without members. */
static Jsonb *
empty_vars(const EePathWords *words)
{
	StringInfoData text;

	if (words->variable == NULL)
		return no_vars();
	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	escape_json(&text, words->variable);
	appendStringInfoString(&text, ": {}}");
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(text.data)));
}
