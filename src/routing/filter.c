/*
 * filter.c
 *	  The list form of a filter: terms of field, operator and value, all of
 *	  which must hold.
 *
 * Values are compared as jsonb compares them: numbers by value, strings by
 * their bytes (so that ISO 8601 times in one zone compare as times), and
 * values of different types are neither equal nor one before the other.
 *
 * A field that is not there holds for nothing but {"operator": "exists",
 * "value": false}, not_equals and not_in: these two are the exact negations
 * of equals and in.
 *
 * Pure: knows no tables.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "ground/errors.h"
#include "ground/option.h"
#include "routing/filter.h"

#define EXCERPT_LENGTH	120

typedef enum FilterOperator
{
	OP_EQUALS,
	OP_NOT_EQUALS,
	OP_CONTAINS,
	OP_GT,
	OP_GTE,
	OP_LT,
	OP_LTE,
	OP_IN,
	OP_NOT_IN,
	OP_EXISTS,
	OP_PREFIX,
	OP_SUFFIX
} FilterOperator;

typedef struct OperatorName
{
	const char *name;
	FilterOperator operator;
} OperatorName;

typedef struct FilterTerm
{
	FilterOperator operator;
	const char *operator_name;	/* as given */
	char	   *path;			/* as given */
	EeFilterField *field;
	JsonbValue	value;
} FilterTerm;

struct EeFilter
{
	int			n_terms;
	FilterTerm	terms[FLEXIBLE_ARRAY_MEMBER];
};

static void compile_term(FilterTerm *term, JsonbValue *object, int index);
static void check_members(JsonbContainer *object, int index);
static void compile_field(FilterTerm *term, JsonbContainer *object, int index);
static void compile_operator(FilterTerm *term, JsonbContainer *object,
							 int index);
static void compile_value(FilterTerm *term, JsonbContainer *object, int index);
static bool term_holds(const FilterTerm *term, bool found, JsonbValue *value);
static bool value_in(JsonbValue *list, JsonbValue *value);
static bool contains(JsonbValue *outer, JsonbValue *inner);
static bool ends_match(const FilterTerm *term, JsonbValue *value);
static bool ordered(const FilterTerm *term, JsonbValue *value);
static bool equal_values(JsonbValue *a, JsonbValue *b);
static void explain(const FilterTerm *term, int index, bool found,
					JsonbValue *value, StringInfo why);
static void append_value(StringInfo buf, JsonbValue *value);
static bool is_array(const JsonbValue *value);
static JsonbValue *member(JsonbContainer *object, const char *name,
						  JsonbValue *value);

/* The first of each operator is its name, the others are accepted. */
static const OperatorName operator_names[] = {
	{"equals", OP_EQUALS},
	{"not_equals", OP_NOT_EQUALS},
	{"contains", OP_CONTAINS},
	{"gt", OP_GT},
	{"gte", OP_GTE},
	{"lt", OP_LT},
	{"lte", OP_LTE},
	{"in", OP_IN},
	{"not_in", OP_NOT_IN},
	{"exists", OP_EXISTS},
	{"prefix", OP_PREFIX},
	{"suffix", OP_SUFFIX},
	{"eq", OP_EQUALS},
	{"==", OP_EQUALS},
	{"=", OP_EQUALS},
	{"ne", OP_NOT_EQUALS},
	{"!=", OP_NOT_EQUALS},
	{"<>", OP_NOT_EQUALS},
	{"notEquals", OP_NOT_EQUALS},
	{">", OP_GT},
	{">=", OP_GTE},
	{"<", OP_LT},
	{"<=", OP_LTE},
	{"nin", OP_NOT_IN},
	{"notIn", OP_NOT_IN},
	{"anything-but", OP_NOT_IN},
	{"startsWith", OP_PREFIX},
	{"starts_with", OP_PREFIX},
	{"endsWith", OP_SUFFIX},
	{"ends_with", OP_SUFFIX},
};

#define OPERATOR_HINT \
	"An operator is one of equals, not_equals, contains, gt, gte, lt, lte, " \
	"in, not_in, exists, prefix, suffix."

EeFilter *
ee_filter_compile(const JsonbContainer *list)
{
	EeFilter   *filter;
	int			n;
	int			i;

	if (!JsonContainerIsArray(list) || JsonContainerIsScalar(list))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_FILTER),
				 errmsg("invalid filter"),
				 errdetail("A filter list is an array of objects with field, "
						   "operator and value.")));

	n = JsonContainerSize(list);
	filter = palloc0(offsetof(EeFilter, terms) + sizeof(FilterTerm) * n);
	filter->n_terms = n;
	for (i = 0; i < n; i++)
	{
		JsonbValue *object;
		JsonbValue	copy;

		object = getIthJsonbValueFromContainer(unconstify(JsonbContainer *,
														  list), i);
		if (object->type != jbvBinary ||
			!JsonContainerIsObject(object->val.binary.data))
			ereport(ERROR,
					(errcode(EE_ERRCODE_INVALID_FILTER),
					 errmsg("invalid filter at index %d", i),
					 errdetail("A filter term is an object with field, operator and value.")));

		/* the term's strings and numbers stay in our own copy of the object */
		copy = *object;
		copy.val.binary.data = palloc(object->val.binary.len);
		memcpy(copy.val.binary.data, object->val.binary.data,
			   object->val.binary.len);
		compile_term(&filter->terms[i], &copy, i);
		pfree(object);
	}
	return filter;
}

bool
ee_filter_match(const EeFilter *filter, EeFilterView *view, StringInfo why)
{
	JsonbValue	value;
	int			i;

	for (i = 0; i < filter->n_terms; i++)
	{
		const FilterTerm *term = &filter->terms[i];
		bool		found = ee_filter_field_fetch(term->field, view, &value);

		if (!term_holds(term, found, &value))
		{
			if (why != NULL)
				explain(term, i, found, &value, why);
			return false;
		}
	}
	return true;
}

int
ee_filter_length(const EeFilter *filter)
{
	return filter->n_terms;
}

bool
ee_filter_equality(const EeFilter *filter, int i,
				   const EeFilterField **field, JsonbValue *value)
{
	const FilterTerm *term = &filter->terms[i];

	if (term->operator != OP_EQUALS || !IsAJsonbScalar(&term->value))
		return false;
	*field = term->field;
	*value = term->value;
	return true;
}

const EeFilterField *
ee_filter_compared(const EeFilter *filter, int i)
{
	return filter->terms[i].operator == OP_EXISTS ? NULL :
		filter->terms[i].field;
}

static void
compile_term(FilterTerm *term, JsonbValue *object, int index)
{
	check_members(object->val.binary.data, index);
	compile_field(term, object->val.binary.data, index);
	compile_operator(term, object->val.binary.data, index);
	compile_value(term, object->val.binary.data, index);
}

static void
check_members(JsonbContainer *object, int index)
{
	static const char *const names[] = {"field", "operator", "value", NULL};
	char	   *unknown = ee_option_unknown(object, names);

	if (unknown != NULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_FILTER),
				 errmsg("invalid filter at index %d", index),
				 errdetail("Unknown member \"%s\".", unknown),
				 errhint("A filter term has the members field, operator and value.")));
}

static void
compile_field(FilterTerm *term, JsonbContainer *object, int index)
{
	JsonbValue	value;
	char	   *why;

	if (member(object, "field", &value) == NULL || value.type != jbvString)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_FILTER),
				 errmsg("invalid filter at index %d", index),
				 errdetail("Member \"field\" is missing or not a string.")));

	term->path = pnstrdup(value.val.string.val, value.val.string.len);
	term->field = ee_filter_field_parse(value.val.string.val,
										value.val.string.len, &why);
	if (term->field == NULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_FILTER),
				 errmsg("invalid filter at index %d: field \"%s\"",
						index, term->path),
				 errdetail("%s", why)));
}

static void
compile_operator(FilterTerm *term, JsonbContainer *object, int index)
{
	JsonbValue	value;
	char	   *name;
	int			i;

	if (member(object, "operator", &value) == NULL ||
		value.type != jbvString)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_FILTER),
				 errmsg("invalid filter at index %d", index),
				 errdetail("Member \"operator\" is missing or not a string."),
				 errhint(OPERATOR_HINT)));

	name = pnstrdup(value.val.string.val, value.val.string.len);
	for (i = 0; i < lengthof(operator_names); i++)
	{
		if (strcmp(name, operator_names[i].name) == 0)
		{
			term->operator = operator_names[i].operator;
			term->operator_name = operator_names[i].name;
			pfree(name);
			return;
		}
	}
	ereport(ERROR,
			(errcode(EE_ERRCODE_INVALID_FILTER),
			 errmsg("invalid filter at index %d", index),
			 errdetail("Unknown operator \"%s\".", name),
			 errhint(OPERATOR_HINT)));
}

static void
compile_value(FilterTerm *term, JsonbContainer *object, int index)
{
	const char *expected = NULL;
	bool		given = member(object, "value", &term->value) != NULL;

	if (!given && term->operator == OP_EXISTS)
	{
		term->value.type = jbvBool;
		term->value.val.boolean = true;
		return;
	}
	if (!given)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_FILTER),
				 errmsg("invalid filter at index %d", index),
				 errdetail("Member \"value\" is missing.")));

	switch (term->operator)
	{
		case OP_EQUALS:
		case OP_NOT_EQUALS:
		case OP_CONTAINS:
			break;
		case OP_GT:
		case OP_GTE:
		case OP_LT:
		case OP_LTE:
			if (term->value.type != jbvNumeric &&
				term->value.type != jbvString)
				expected = "a number or a string";
			break;
		case OP_IN:
			if (!is_array(&term->value))
				expected = "an array";
			break;
		case OP_NOT_IN:
			/* "anything-but" takes a single value as well */
			if (!is_array(&term->value) &&
				strcmp(term->operator_name, "anything-but") == 0)
				term->operator = OP_NOT_EQUALS;
			else if (!is_array(&term->value))
				expected = "an array";
			break;
		case OP_EXISTS:
			if (term->value.type != jbvBool)
				expected = "true or false";
			break;
		case OP_PREFIX:
		case OP_SUFFIX:
			if (term->value.type != jbvString)
				expected = "a string";
			break;
	}
	if (expected != NULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_FILTER),
				 errmsg("invalid filter at index %d", index),
				 errdetail("The value of operator \"%s\" must be %s.",
						   term->operator_name, expected)));
}

static bool
term_holds(const FilterTerm *term, bool found, JsonbValue *value)
{
	JsonbValue *expected = unconstify(JsonbValue *, &term->value);

	if (!found)
		return term->operator == OP_NOT_EQUALS ||
			term->operator == OP_NOT_IN ||
			(term->operator == OP_EXISTS && !expected->val.boolean);

	switch (term->operator)
	{
		case OP_EQUALS:
			return equal_values(value, expected);
		case OP_NOT_EQUALS:
			return !equal_values(value, expected);
		case OP_CONTAINS:
			return contains(value, expected);
		case OP_IN:
			return value_in(expected, value);
		case OP_NOT_IN:
			return !value_in(expected, value);
		case OP_EXISTS:
			return expected->val.boolean;
		case OP_PREFIX:
		case OP_SUFFIX:
			return ends_match(term, value);
		case OP_GT:
		case OP_GTE:
		case OP_LT:
		case OP_LTE:
			return ordered(term, value);
	}
	return false;				/* keep the compiler quiet */
}

static bool
value_in(JsonbValue *list, JsonbValue *value)
{
	JsonbContainer *array = list->val.binary.data;
	int			n = JsonContainerSize(array);
	int			i;

	for (i = 0; i < n; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);
		bool		equal = equal_values(element, value);

		pfree(element);
		if (equal)
			return true;
	}
	return false;
}

/* A part of a string, an element of an array, members of an object. */
static bool
contains(JsonbValue *outer, JsonbValue *inner)
{
	JsonbIterator *outer_it;
	JsonbIterator *inner_it;
	JsonbContainer *container;

	if (outer->type == jbvString && inner->type == jbvString)
		return inner->val.string.len == 0 ||
			memmem(outer->val.string.val, outer->val.string.len,
				   inner->val.string.val, inner->val.string.len) != NULL;

	if (outer->type != jbvBinary)
		return false;
	container = outer->val.binary.data;

	if (is_array(outer) && inner->type != jbvBinary)
		return findJsonbValueFromContainer(container, JB_FARRAY,
										   inner) != NULL;
	if (is_array(outer) && !is_array(inner))
		return value_in(outer, inner);
	if (inner->type != jbvBinary || is_array(outer) != is_array(inner))
		return false;

	outer_it = JsonbIteratorInit(container);
	inner_it = JsonbIteratorInit(inner->val.binary.data);
	return JsonbDeepContains(&outer_it, &inner_it);
}

static bool
ends_match(const FilterTerm *term, JsonbValue *value)
{
	int			len = term->value.val.string.len;
	const char *start;

	if (value->type != jbvString || value->val.string.len < len)
		return false;
	start = value->val.string.val;
	if (term->operator == OP_SUFFIX)
		start += value->val.string.len - len;
	return memcmp(start, term->value.val.string.val, len) == 0;
}

static bool
ordered(const FilterTerm *term, JsonbValue *value)
{
	const JsonbValue *expected = &term->value;
	int			order;

	if (value->type != expected->type)
		return false;

	if (value->type == jbvNumeric)
		order = DatumGetInt32(DirectFunctionCall2(numeric_cmp,
												  NumericGetDatum(value->val.numeric),
												  NumericGetDatum(expected->val.numeric)));
	else
	{
		int			a = value->val.string.len;
		int			b = expected->val.string.len;

		order = memcmp(value->val.string.val, expected->val.string.val,
					   Min(a, b));
		if (order == 0)
			order = a - b;
	}

	switch (term->operator)
	{
		case OP_GT:
			return order > 0;
		case OP_GTE:
			return order >= 0;
		case OP_LT:
			return order < 0;
		default:
			return order <= 0;
	}
}

static bool
equal_values(JsonbValue *a, JsonbValue *b)
{
	if (a->type != b->type)
		return false;

	switch (a->type)
	{
		case jbvNull:
			return true;
		case jbvBool:
			return a->val.boolean == b->val.boolean;
		case jbvString:
			return a->val.string.len == b->val.string.len &&
				memcmp(a->val.string.val, b->val.string.val,
					   a->val.string.len) == 0;
		case jbvNumeric:
			return DatumGetBool(DirectFunctionCall2(numeric_eq,
													NumericGetDatum(a->val.numeric),
													NumericGetDatum(b->val.numeric)));
		case jbvBinary:
			return compareJsonbContainers(a->val.binary.data,
										  b->val.binary.data) == 0;
		default:
			elog(ERROR, "unexpected jsonb value of type %d", a->type);
			return false;		/* keep the compiler quiet */
	}
}

static void
explain(const FilterTerm *term, int index, bool found, JsonbValue *value,
		StringInfo why)
{
	JsonbValue	expected = term->value;

	appendStringInfo(why, "filter %d does not hold: %s %s ", index,
					 term->path, term->operator_name);
	append_value(why, &expected);
	appendStringInfoString(why, ", found ");
	if (found)
		append_value(why, value);
	else
		appendStringInfoString(why, "nothing");
}

static void
append_value(StringInfo buf, JsonbValue *value)
{
	Jsonb	   *jsonb;
	char	   *text;
	int			len;

	if (value->type == jbvBinary)
		text = JsonbToCString(NULL, value->val.binary.data,
							  value->val.binary.len);
	else
	{
		jsonb = JsonbValueToJsonb(value);
		text = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
	}

	len = strlen(text);
	if (len > EXCERPT_LENGTH)
		appendStringInfo(buf, "%.*s...",
						 pg_mbcliplen(text, len, EXCERPT_LENGTH), text);
	else
		appendStringInfoString(buf, text);
}

static bool
is_array(const JsonbValue *value)
{
	return value->type == jbvBinary &&
		JsonContainerIsArray(value->val.binary.data);
}

static JsonbValue *
member(JsonbContainer *object, const char *name, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(object, name, strlen(name), value);
}
