/*
 * filter_path.c
 *	  The SQL/JSON path form of a filter: a predicate over the envelope, such
 *	  as $.payload.amount > 1000 && $.source.type == "integration".
 *
 * It means what jsonb_path_match() means, errors included; a predicate whose
 * outcome is unknown does not hold.  SQL/JSON path is the sandbox: nothing a
 * subscriber writes is ever part of a statement.
 *
 * Pure: knows no tables.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonpath.h"

#include "ground/errors.h"
#include "routing/filter_path.h"

#define MAX_PATH_LENGTH	4096

struct EeFilterPath
{
	char	   *text;
	JsonPath   *path;
	Jsonb	   *no_vars;
};

static JsonPath *parse_path(const char *text);
static void path_error_callback(void *arg);
static void check_predicate(const char *text, JsonPath *path);
static void check_variables(const char *text, JsonPath *path);
static void try_empty(const EeFilterPath *filter);
static bool evaluate(const EeFilterPath *filter, Jsonb *envelope);
static Jsonb *empty_object(void);

EeFilterPath *
ee_filter_path_compile(const char *text)
{
	EeFilterPath *filter = palloc(sizeof(EeFilterPath));

	if (strlen(text) > MAX_PATH_LENGTH)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_FILTER),
				 errmsg("filter path is longer than %d bytes",
						MAX_PATH_LENGTH)));

	filter->text = pstrdup(text);
	filter->path = parse_path(text);
	filter->no_vars = empty_object();

	check_predicate(text, filter->path);
	check_variables(text, filter->path);
	try_empty(filter);

	return filter;
}

bool
ee_filter_path_match(const EeFilterPath *filter, EeFilterView *view)
{
	return evaluate(filter, ee_filter_field_envelope(view));
}

const char *
ee_filter_path_text(const EeFilterPath *filter)
{
	return filter->text;
}

static JsonPath *
parse_path(const char *text)
{
	ErrorContextCallback context;
	Datum		path;

	context.callback = path_error_callback;
	context.arg = unconstify(char *, text);
	context.previous = error_context_stack;
	error_context_stack = &context;

	path = DirectFunctionCall1(jsonpath_in, CStringGetDatum(text));

	error_context_stack = context.previous;
	return DatumGetJsonPathP(path);
}

/* What the parser complains about is the subscriber's filter. */
static void
path_error_callback(void *arg)
{
	int			code = geterrcode();

	if (ERRCODE_TO_CATEGORY(code) == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR) ||
		ERRCODE_TO_CATEGORY(code) == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION))
		errcode(EE_ERRCODE_INVALID_FILTER);
	errcontext("filter path \"%s\"", (char *) arg);
}

/* Only a predicate answers yes or no for every event. */
static void
check_predicate(const char *text, JsonPath *path)
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
				(errcode(EE_ERRCODE_INVALID_FILTER),
				 errmsg("filter path \"%s\" is not a predicate", text),
				 errdetail("A filter path answers true or false for every "
						   "event; this one selects values."),
				 errhint("Compare: $.payload.amount > 1000; or ask for "
						 "existence: exists($.payload.items[*] ? (@.price > "
						 "10)).")));
}

/*
 * An unknown variable would raise an error for each event that gets as far.
 * In the printed form of a path, $ and a quote outside of a string is one.
 */
static void
check_variables(const char *text, JsonPath *path)
{
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
		else if (!quoted && *at == '$' && at[1] == '"')
			ereport(ERROR,
					(errcode(EE_ERRCODE_INVALID_FILTER),
					 errmsg("filter path \"%s\" uses a variable", text),
					 errdetail("The filter of a subscription sees the event "
							   "as $ and nothing else.")));
	}
	pfree(printed);
}

/* What raises an error on nothing would do so on every event. */
static void
try_empty(const EeFilterPath *filter)
{
	ErrorContextCallback context;

	context.callback = path_error_callback;
	context.arg = filter->text;
	context.previous = error_context_stack;
	error_context_stack = &context;

	(void) evaluate(filter, filter->no_vars);

	error_context_stack = context.previous;
}

/* As jsonb_path_match(envelope, path, '{}', silent => false) = true. */
static bool
evaluate(const EeFilterPath *filter, Jsonb *envelope)
{
	LOCAL_FCINFO(fcinfo, 4);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(envelope);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(filter->path);
	fcinfo->args[1].isnull = false;
	fcinfo->args[2].value = JsonbPGetDatum(filter->no_vars);
	fcinfo->args[2].isnull = false;
	fcinfo->args[3].value = BoolGetDatum(false);
	fcinfo->args[3].isnull = false;

	result = jsonb_path_match(fcinfo);
	return !fcinfo->isnull && DatumGetBool(result);
}

static Jsonb *
empty_object(void)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum("{}")));
}
