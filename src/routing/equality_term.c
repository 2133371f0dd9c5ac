/*
 * equality_term.c
 *	  What a condition on events demands to be equal to a value.
 *
 * A term is found where the condition cannot hold without it: in a
 * conjunction, down to the conditions on the items of a path,
 * exists($.payload.items[*] ? (@.sku == "a")), but not in a disjunction or
 * under a negation.  A path ends being one where something else than members,
 * array accessors and conditions begins; what follows says nothing.
 *
 * Pure: knows no tables.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "ground/errors.h"
#include "routing/equality.h"

typedef struct TermSearch
{
	Jsonb	   *vars;			/* or NULL */
	List	   *terms;
} TermSearch;

static void search_predicate(TermSearch *search, JsonPathItem *item,
							 List *current);
static void search_equal(TermSearch *search, JsonPathItem *left,
						 JsonPathItem *right, List *current);
static bool operand_value(TermSearch *search, JsonPathItem *item,
						  EeEqualityTerm *term);
static bool variable_value(TermSearch *search, JsonPathItem *item,
						   JsonbValue *value);
static List *search_path(TermSearch *search, JsonPathItem *item,
						 List *current);
static EeEqualityPath *path_of_keys(List *keys);

List *
ee_equality_of_path(const EePathPredicate *condition, Jsonb *vars)
{
	TermSearch	search = {vars, NIL};
	JsonPathItem root;

	jspInit(&root, ee_path_predicate_path(condition));
	search_predicate(&search, &root, NIL);
	return search.terms;
}

List *
ee_equality_of_filter(const EeFilter *filter)
{
	List	   *terms = NIL;

	for (int i = 0; i < ee_filter_length(filter); i++)
	{
		EeEqualityTerm *term;
		const EeFilterField *field;
		JsonbValue	value;

		if (!ee_filter_equality(filter, i, &field, &value))
			continue;
		term = palloc0(sizeof(EeEqualityTerm));
		term->path = path_of_keys(ee_filter_field_keys(field));
		term->value = value;
		terms = lappend(terms, term);
	}
	return terms;
}

EeEqualityPath *
ee_equality_path_parse(const char *text)
{
	TermSearch	search = {NULL, NIL};
	JsonPathItem root;
	List	   *keys;

	jspInit(&root,
			DatumGetJsonPathP(DirectFunctionCall1(jsonpath_in,
												  CStringGetDatum(text))));
	keys = search_path(&search, &root, NIL);
	if (keys == NIL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_FILTER),
				 errmsg("\"%s\" is not a path of members", text)));
	return path_of_keys(keys);
}

/*
 * What must be equal for a predicate to be true.  current are the keys that
 * lead to @.
 */
static void
search_predicate(TermSearch *search, JsonPathItem *item, List *current)
{
	JsonPathItem left;
	JsonPathItem right;

	check_stack_depth();
	/* of its outcome something else is made */
	if (jspHasNext(item))
		return;

	switch (item->type)
	{
		case jpiAnd:
			jspGetLeftArg(item, &left);
			jspGetRightArg(item, &right);
			search_predicate(search, &left, current);
			search_predicate(search, &right, current);
			break;
		case jpiEqual:
			jspGetLeftArg(item, &left);
			jspGetRightArg(item, &right);
			search_equal(search, &left, &right, current);
			break;
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiStartsWith:
			/* none of them holds where one side yields no item */
			jspGetLeftArg(item, &left);
			jspGetRightArg(item, &right);
			(void) search_path(search, &left, current);
			(void) search_path(search, &right, current);
			break;
		case jpiLikeRegex:
			jspInitByBuffer(&left, item->base, item->content.like_regex.expr);
			(void) search_path(search, &left, current);
			break;
		case jpiExists:
			jspGetArg(item, &left);
			(void) search_path(search, &left, current);
			break;
		default:
			break;
	}
}

static void
search_equal(TermSearch *search, JsonPathItem *left, JsonPathItem *right,
			 List *current)
{
	EeEqualityTerm *term = palloc0(sizeof(EeEqualityTerm));
	List	   *left_keys = search_path(search, left, current);
	List	   *right_keys = search_path(search, right, current);
	List	   *keys = NIL;

	if (left_keys != NIL && operand_value(search, right, term))
		keys = left_keys;
	else if (right_keys != NIL && operand_value(search, left, term))
		keys = right_keys;
	if (keys == NIL)
		return;
	term->path = path_of_keys(keys);
	search->terms = lappend(search->terms, term);
}

/* Is this side of a comparison known before there is an event? */
static bool
operand_value(TermSearch *search, JsonPathItem *item, EeEqualityTerm *term)
{
	JsonbValue *value = &term->value;
	int32		len;

	if (item->type == jpiVariable)
	{
		term->of_variable = true;
		return variable_value(search, item, value);
	}
	if (jspHasNext(item))
		return false;

	switch (item->type)
	{
		case jpiNull:
			value->type = jbvNull;
			return true;
		case jpiBool:
			value->type = jbvBool;
			value->val.boolean = jspGetBool(item);
			return true;
		case jpiNumeric:
			value->type = jbvNumeric;
			value->val.numeric = jspGetNumeric(item);
			return true;
		case jpiString:
			value->type = jbvString;
			value->val.string.val = jspGetString(item, &len);
			value->val.string.len = len;
			return true;
		default:
			return false;
	}
}

/*
 * The scalar that a variable, or its member, is.  An array could be equal in
 * several ways: that is none.
 */
static bool
variable_value(TermSearch *search, JsonPathItem *item, JsonbValue *value)
{
	JsonbContainer *container;
	JsonPathItem at = *item;
	JsonPathItem next;
	char	   *name;
	int32		len;

	if (search->vars == NULL || !JB_ROOT_IS_OBJECT(search->vars))
		return false;
	container = &search->vars->root;
	for (;;)
	{
		name = jspGetString(&at, &len);
		if (getKeyJsonValueFromContainer(container, name, len, value) == NULL)
			return false;
		if (!jspGetNext(&at, &next))
			return IsAJsonbScalar(value);
		if (next.type != jpiKey || value->type != jbvBinary ||
			!JsonContainerIsObject(value->val.binary.data))
			return false;
		container = value->val.binary.data;
		at = next;
	}
}

/*
 * The keys of a path; NIL when it is no chain of members.  The conditions on
 * the way are searched in any case: without them it yields nothing.
 */
static List *
search_path(TermSearch *search, JsonPathItem *item, List *current)
{
	JsonPathItem at = *item;
	JsonPathItem next;
	JsonPathItem condition;
	List	   *keys;
	char	   *key;
	int32		len;

	if (item->type == jpiRoot)
		keys = NIL;
	else if (item->type == jpiCurrent)
		keys = list_copy(current);
	else
		return NIL;

	while (jspGetNext(&at, &next))
	{
		switch (next.type)
		{
			case jpiKey:
				key = jspGetString(&next, &len);
				keys = lappend(keys, pnstrdup(key, len));
				break;
			case jpiAnyArray:
			case jpiIndexArray:
				break;
			case jpiFilter:
				jspGetArg(&next, &condition);
				search_predicate(search, &condition, keys);
				break;
			default:
				return NIL;
		}
		at = next;
	}
	return keys;
}

static EeEqualityPath *
path_of_keys(List *keys)
{
	EeEqualityPath *path = palloc(sizeof(EeEqualityPath));
	StringInfoData text;
	ListCell   *lc;
	int			n = 0;

	initStringInfo(&text);
	appendStringInfoChar(&text, '$');
	path->keys = palloc(sizeof(char *) * list_length(keys));
	foreach(lc, keys)
	{
		char	   *key = lfirst(lc);

		appendStringInfoChar(&text, '.');
		escape_json(&text, key);
		if (foreach_current_index(lc) > 0)
			path->keys[n++] = key;
	}
	path->member = ee_envelope_field_by_name(linitial(keys),
											 strlen(linitial(keys)));
	path->n_keys = n;
	path->text = text.data;
	return path;
}
