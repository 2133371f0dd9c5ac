/*
 * filter_sensitive.c
 *	  What of a filter looks at sensitive values, which are stored encrypted.
 *
 * Filters see events as they are stored.  A comparison with a value that is
 * sealed there is never what its author means: equality never holds, and
 * "not equal" always does.  Whether it exists may be asked.
 *
 * A path counts where it leads to, or below, something sensitive by the names
 * of members.  Array accessors are of no account on either side, as SQL/JSON
 * path unwraps arrays by itself; what a wildcard of members may lead to, or
 * what is behind more than members and array accessors, does not count.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"

#include "registry/registry_cache.h"
#include "registry/sensitive.h"
#include "routing/filter_sensitive.h"

typedef struct Search
{
	const EeSensitive *sensitive;
	List	   *terms;			/* of char * */
} Search;

static void search_filter(Search *search, const EeFilter *filter);
static void search_predicate(Search *search, JsonPathItem *item,
							 List *current);
static void search_both(Search *search, JsonPathItem *item, List *current,
						void (*side) (Search *, JsonPathItem *, List *));
static void search_operand(Search *search, JsonPathItem *item, List *current);
static List *search_path(Search *search, JsonPathItem *item, List *current);
static EeSensitiveStep *member_step(const char *name, int len);
static void check_steps(Search *search, List *steps);
static bool leads_there(const EeSensitivePath *path, List *steps);
static bool is_item(const EeSensitiveStep *step);
static char *text_of(List *steps);

PG_FUNCTION_INFO_V1(ee_sql_sensitive_terms);

/*
 * sensitive_terms(pattern text, filter text, filters jsonb) RETURNS text[];
 * null where there are none
 */
Datum
ee_sql_sensitive_terms(PG_FUNCTION_ARGS)
{
	text	   *pattern = PG_GETARG_TEXT_PP(0);
	JsonPath   *predicate = NULL;
	EeFilter   *filter = NULL;
	List	   *terms;
	Datum	   *texts;
	ListCell   *lc;

	if (!PG_ARGISNULL(1))
	{
		char	   *path = text_to_cstring(PG_GETARG_TEXT_PP(1));

		predicate =
			DatumGetJsonPathP(DirectFunctionCall1(jsonpath_in,
												  CStringGetDatum(path)));
	}
	if (!PG_ARGISNULL(2))
		filter = ee_filter_compile(&PG_GETARG_JSONB_P(2)->root);
	terms = ee_filter_sensitive_terms(VARDATA_ANY(pattern),
									  VARSIZE_ANY_EXHDR(pattern), predicate,
									  filter);
	if (terms == NIL)
		PG_RETURN_NULL();
	texts = palloc(sizeof(Datum) * list_length(terms));
	foreach(lc, terms)
		texts[foreach_current_index(lc)] = CStringGetTextDatum(lfirst(lc));
	PG_RETURN_ARRAYTYPE_P(construct_array(texts, list_length(terms), TEXTOID,
										  -1, false, TYPALIGN_INT));
}

List *
ee_filter_sensitive_terms(const char *pattern, int len,
						  JsonPath *predicate, const EeFilter *filter)
{
	EeDefinition *definition = ee_registry_cache_find(pattern, len);
	Search		search = {0};

	if (definition == NULL || likely(definition->sensitive == NULL))
		return NIL;
	search.sensitive = definition->sensitive;
	if (predicate != NULL)
	{
		JsonPathItem root;

		jspInit(&root, predicate);
		search_predicate(&search, &root, NIL);
	}
	if (filter != NULL)
		search_filter(&search, filter);
	return search.terms;
}

static void
search_filter(Search *search, const EeFilter *filter)
{
	for (int i = 0; i < ee_filter_length(filter); i++)
	{
		const EeFilterField *field = ee_filter_compared(filter, i);
		List	   *steps = NIL;
		ListCell   *lc;

		if (field == NULL)
			continue;
		foreach(lc, ee_filter_field_keys(field))
			steps = lappend(steps, member_step(lfirst(lc),
											   strlen(lfirst(lc))));
		check_steps(search, steps);
	}
}

/* current are the steps that lead to @ */
static void
search_predicate(Search *search, JsonPathItem *item, List *current)
{
	JsonPathItem arg;

	check_stack_depth();
	switch (item->type)
	{
		case jpiAnd:
		case jpiOr:
			search_both(search, item, current, search_predicate);
			break;
		case jpiNot:
		case jpiIsUnknown:
			jspGetArg(item, &arg);
			search_predicate(search, &arg, current);
			break;
		case jpiExists:
			jspGetArg(item, &arg);
			(void) search_path(search, &arg, current);
			break;
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiStartsWith:
			search_both(search, item, current, search_operand);
			break;
		case jpiLikeRegex:
			jspInitByBuffer(&arg, item->base, item->content.like_regex.expr);
			search_operand(search, &arg, current);
			break;
		default:
			break;
	}
}

static void
search_both(Search *search, JsonPathItem *item, List *current,
			void (*side) (Search *, JsonPathItem *, List *))
{
	JsonPathItem arg;

	jspGetLeftArg(item, &arg);
	side(search, &arg, current);
	jspGetRightArg(item, &arg);
	side(search, &arg, current);
}

/* What is compared, or calculated with. */
static void
search_operand(Search *search, JsonPathItem *item, List *current)
{
	JsonPathItem arg;

	check_stack_depth();
	switch (item->type)
	{
		case jpiAdd:
		case jpiSub:
		case jpiMul:
		case jpiDiv:
		case jpiMod:
			search_both(search, item, current, search_operand);
			break;
		case jpiPlus:
		case jpiMinus:
			jspGetArg(item, &arg);
			search_operand(search, &arg, current);
			break;
		case jpiRoot:
		case jpiCurrent:
			check_steps(search, search_path(search, item, current));
			break;
		default:
			break;
	}
}

/* The steps of a path as far as they can be told; searches its conditions. */
static List *
search_path(Search *search, JsonPathItem *item, List *current)
{
	JsonPathItem at = *item;
	JsonPathItem next;
	JsonPathItem condition;
	EeSensitiveStep *step;
	List	   *steps = item->type == jpiCurrent ? list_copy(current) : NIL;
	bool		told = true;
	char	   *name;
	int32		len;

	while (jspGetNext(&at, &next))
	{
		switch (next.type)
		{
			case jpiKey:
				name = jspGetString(&next, &len);
				if (told)
					steps = lappend(steps, member_step(name, len));
				break;
			case jpiAnyKey:
			case jpiAnyArray:
			case jpiIndexArray:
				step = palloc0(sizeof(EeSensitiveStep));
				step->kind = next.type == jpiAnyKey ? EE_STEP_ANY_MEMBER :
					EE_STEP_ANY_ITEM;
				if (told)
					steps = lappend(steps, step);
				break;
			case jpiFilter:
				jspGetArg(&next, &condition);
				search_predicate(search, &condition, steps);
				break;
			default:
				told = false;
				break;
		}
		at = next;
	}
	return steps;
}

static EeSensitiveStep *
member_step(const char *name, int len)
{
	EeSensitiveStep *step = palloc0(sizeof(EeSensitiveStep));

	step->kind = EE_STEP_MEMBER;
	step->name = pnstrdup(name, len);
	step->len = len;
	return step;
}

/* steps begin with the member of the event */
static void
check_steps(Search *search, List *steps)
{
	const EeSensitiveStep *first = steps == NIL ? NULL : linitial(steps);
	ListCell   *lc;
	ListCell   *known;
	char	   *text;

	if (first == NULL || first->kind != EE_STEP_MEMBER ||
		ee_envelope_field_by_name(first->name, first->len) !=
		(int) EE_ENVELOPE_PAYLOAD)
		return;
	foreach(lc, search->sensitive->paths)
		if (leads_there(lfirst(lc), steps))
			break;
	if (lc == NULL)
		return;
	text = text_of(steps);
	foreach(known, search->terms)
		if (strcmp(lfirst(known), text) == 0)
			return;
	search->terms = lappend(search->terms, text);
}

/* Do the steps behind the first one lead to, or below, the path? */
static bool
leads_there(const EeSensitivePath *path, List *steps)
{
	int			i = 0;
	int			j = 1;

	while (i < path->n_steps)
	{
		const EeSensitiveStep *to = &path->steps[i];
		const EeSensitiveStep *by = j < list_length(steps) ?
			list_nth(steps, j) : NULL;

		if (is_item(to))
			i++;
		else if (by == NULL)
			return false;
		else if (is_item(by))
			j++;
		else
		{
			if (to->kind == EE_STEP_MEMBER &&
				(by->kind != EE_STEP_MEMBER || by->len != to->len ||
				 memcmp(by->name, to->name, to->len) != 0))
				return false;
			i++;
			j++;
		}
	}
	return true;
}

static bool
is_item(const EeSensitiveStep *step)
{
	return step->kind == EE_STEP_ITEM || step->kind == EE_STEP_ANY_ITEM;
}

/* The steps behind the first one, which is the payload. */
static char *
text_of(List *steps)
{
	EeSensitivePath path = {0};
	ListCell   *lc;

	path.steps = palloc(sizeof(EeSensitiveStep) * list_length(steps));
	for_each_from(lc, steps, 1)
		path.steps[path.n_steps++] = *(EeSensitiveStep *) lfirst(lc);
	return ee_sensitive_path_text(&path);
}
