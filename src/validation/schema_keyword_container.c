/*
 * schema_keyword_container.c
 *	  Keywords about arrays and objects.
 *
 * A function for each keyword, found through a table; its head cites the
 * section that it follows (Core and Validation of 2020-12 unless another
 * draft is named).
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "validation/schema_draft.h"



/* maxItems  [Validation, 6.4.1] */
static void
compile_max_items(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (ee_schema_draft_limit(draft, keyword, value, &n))
		ee_schema_draft_array(draft)->max_items = n;
}

/* minItems  [Validation, 6.4.2] */
static void
compile_min_items(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (ee_schema_draft_limit(draft, keyword, value, &n))
		ee_schema_draft_array(draft)->min_items = n;
}

/* uniqueItems  [Validation, 6.4.3] */
static void
compile_unique_items(EeDraft *draft, const char *keyword, EeValue value)
{
	if (!(value.type & EE_IS_BOOLEAN))
		ee_schema_draft_problem(draft, keyword, "must be a boolean");
	else if (value.type == EE_IS_TRUE)
		ee_schema_draft_array(draft)->unique = true;
}

/* items  [Core, 10.3.1.2; before 2020-12 an array too: draft 7, 6.4.1] */
static void
compile_items(EeDraft *draft, const char *keyword, EeValue value)
{
	EeArrayRules *rules = ee_schema_draft_array(draft);
	const EePath *path = ee_schema_draft_path(draft, keyword);
	EeWalk		walk = {0};
	int			i;

	if (value.type != EE_IS_ARRAY ||
		draft->place->resource->dialect >= EE_DIALECT_2020_12)
	{
		if (ee_schema_draft_is_schema(draft, keyword, value))
			rules->rest = ee_schema_draft_edge(draft, value, path);
		return;
	}
	rules->tuple = true;
	rules->nprefix = EE_VALUE_COUNT(value);
	rules->prefix = ee_schema_alloc(draft->compile,
									rules->nprefix * sizeof(EeEdge));
	ee_walk_array(&walk, value);
	for (i = 0; i < rules->nprefix; i++)
		rules->prefix[i] = ee_schema_draft_edge(draft, ee_walk_element(&walk),
									 ee_schema_path_index(path, i));
}

/* additionalItems  [draft 7, 6.4.2]: only beside an array of items */
static void
compile_additional_items(EeDraft *draft, const char *keyword, EeValue value)
{
	EeValue		items;

	if (ee_schema_draft_is_schema(draft, keyword, value) &&
		ee_schema_draft_sibling(draft, "items", &items) && items.type ==
		EE_IS_ARRAY)
		ee_schema_draft_array(draft)->rest = ee_schema_draft_child(draft,
																   keyword,
																   value);
}

/* prefixItems  [Core, 10.3.1.1] */
static void
compile_prefix_items(EeDraft *draft, const char *keyword, EeValue value)
{
	EeArrayRules *rules = ee_schema_draft_array(draft);
	const EePath *path = ee_schema_draft_path(draft, keyword);
	EeWalk		walk = {0};
	int			i;

	if (value.type != EE_IS_ARRAY)
	{
		ee_schema_draft_problem(draft, keyword, "must be an array of schemas");
		return;
	}
	rules->nprefix = EE_VALUE_COUNT(value);
	rules->prefix = ee_schema_alloc(draft->compile,
									rules->nprefix * sizeof(EeEdge));
	ee_walk_array(&walk, value);
	for (i = 0; i < rules->nprefix; i++)
		rules->prefix[i] = ee_schema_draft_edge(draft, ee_walk_element(&walk),
									 ee_schema_path_index(path, i));
}

/* contains  [Core, 10.3.1.3] */
static void
compile_contains(EeDraft *draft, const char *keyword, EeValue value)
{
	EeArrayRules *rules = ee_schema_draft_array(draft);

	if (!ee_schema_draft_is_schema(draft, keyword, value))
		return;
	rules->contains = ee_schema_draft_child(draft, keyword, value);
	rules->contains_evaluates =
		draft->place->resource->dialect >= EE_DIALECT_2020_12;
}

/* minContains  [Validation, 6.4.5] */
static void
compile_min_contains(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (ee_schema_draft_limit(draft, keyword, value, &n))
		ee_schema_draft_array(draft)->min_contains = n;
}

/* maxContains  [Validation, 6.4.4] */
static void
compile_max_contains(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (ee_schema_draft_limit(draft, keyword, value, &n))
		ee_schema_draft_array(draft)->max_contains = n;
}

/* unevaluatedItems  [Core, 11.2] */
static void
compile_unevaluated_items(EeDraft *draft, const char *keyword, EeValue value)
{
	if (!ee_schema_draft_is_schema(draft, keyword, value))
		return;
	ee_schema_draft_array(draft)->unevaluated = ee_schema_draft_child(draft,
																	  keyword,
																	  value);
	draft->node.flags |= EE_NODE_UNEVALUATED;
}

/* maxProperties  [Validation, 6.5.1] */
static void
compile_max_properties(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (ee_schema_draft_limit(draft, keyword, value, &n))
		ee_schema_draft_object(draft)->max_properties = n;
}

/* minProperties  [Validation, 6.5.2] */
static void
compile_min_properties(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (ee_schema_draft_limit(draft, keyword, value, &n))
		ee_schema_draft_object(draft)->min_properties = n;
}

/* required  [Validation, 6.5.3] */
static void
compile_required(EeDraft *draft, const char *keyword, EeValue value)
{
	EeName	   *names;
	int			n,
				i;

	names = ee_schema_draft_names(draft, keyword, value, &n);
	for (i = 0; i < n; i++)
		ee_schema_draft_property(draft, names[i].data,
								 names[i].len)->required = true;
}

/* properties  [Core, 10.3.2.1] */
static void
compile_properties(EeDraft *draft, const char *keyword, EeValue value)
{
	const EePath *path = ee_schema_draft_path(draft, keyword);
	EeWalk		walk = {0};
	uint32		n;

	if (value.type != EE_IS_OBJECT)
	{
		ee_schema_draft_problem(draft, keyword,
								"must be an object of schemas");
		return;
	}
	ee_walk_object(&walk, value);
	for (n = EE_VALUE_COUNT(value); n > 0; n--)
	{
		uint32		len;
		const char *name = ee_walk_key(&walk, &len);
		EeProperty *property = ee_schema_draft_property(draft, name, len);

		property->declared = true;
		property->edge = ee_schema_draft_edge(draft, ee_walk_value(&walk),
								   ee_schema_path_key(path, name, len));
	}
	ee_schema_draft_object(draft);
}

/* patternProperties  [Core, 10.3.2.2] */
static void
compile_pattern_properties(EeDraft *draft, const char *keyword, EeValue value)
{
	EeObjectRules *rules = ee_schema_draft_object(draft);
	const EePath *path = ee_schema_draft_path(draft, keyword);
	EeWalk		walk = {0};
	uint32		n;

	if (value.type != EE_IS_OBJECT)
	{
		ee_schema_draft_problem(draft, keyword,
								"must be an object of schemas");
		return;
	}
	n = EE_VALUE_COUNT(value);
	rules->patterns = ee_schema_alloc(draft->compile,
									  n * sizeof(EePatternProperty));
	ee_walk_object(&walk, value);
	for (; n > 0; n--)
	{
		uint32		len;
		const char *source = ee_walk_key(&walk, &len);
		EeValue		child = ee_walk_value(&walk);
		char	   *wrong = NULL;
		MemoryContext old = MemoryContextSwitchTo(draft->compile->context);
		EeRegex    *regex = ee_schema_regex_compile(source, len, &wrong);
		EePatternProperty *pattern;

		MemoryContextSwitchTo(old);
		if (regex == NULL)
		{
			ee_schema_draft_problem(draft, keyword,
					psprintf("has a name that is not a regular expression: %s",
							 wrong));
			continue;
		}
		pattern = &rules->patterns[rules->npatterns++];
		pattern->regex = regex;
		pattern->edge = ee_schema_draft_edge(draft, child,
											 ee_schema_path_key(path, source,
																len));
	}
}

/* additionalProperties  [Core, 10.3.2.3] */
static void
compile_additional_properties(EeDraft *draft, const char *keyword,
							  EeValue value)
{
	if (ee_schema_draft_is_schema(draft, keyword, value))
		ee_schema_draft_object(draft)->additional =
			ee_schema_draft_child(draft, keyword, value);
}

/* propertyNames  [Core, 10.3.2.4] */
static void
compile_property_names(EeDraft *draft, const char *keyword, EeValue value)
{
	if (ee_schema_draft_is_schema(draft, keyword, value))
		ee_schema_draft_object(draft)->names = ee_schema_draft_child(draft,
																	 keyword,
																	 value);
}

/* dependencies  [draft 7, 6.5.7]; kept by later drafts for compatibility */
static void
compile_dependencies(EeDraft *draft, const char *keyword, EeValue value)
{
	const EePath *path = ee_schema_draft_path(draft, keyword);
	EeDependency *dependency;
	EeWalk		walk = {0};
	uint32		n;

	if (value.type != EE_IS_OBJECT)
	{
		ee_schema_draft_problem(draft, keyword, "must be an object");
		return;
	}
	n = EE_VALUE_COUNT(value);
	dependency = ee_schema_draft_dependencies(draft, n);
	ee_walk_object(&walk, value);
	for (; n > 0; n--, dependency++)
	{
		uint32		len;
		const char *name = ee_walk_key(&walk, &len);
		EeValue		needs = ee_walk_value(&walk);

		dependency->name = ee_schema_draft_name(draft, name, len);
		dependency->keyword = keyword;
		dependency->edge = ee_schema_draft_no_edge();
		if (needs.type == EE_IS_ARRAY)
			dependency->required = ee_schema_draft_names(draft, keyword, needs,
											  &dependency->nrequired);
		else
			dependency->edge = ee_schema_draft_edge(draft, needs,
										 ee_schema_path_key(path, name, len));
	}
}

/* dependentRequired  [Validation, 6.5.4] */
static void
compile_dependent_required(EeDraft *draft, const char *keyword, EeValue value)
{
	EeDependency *dependency;
	EeWalk		walk = {0};
	uint32		n;

	if (value.type != EE_IS_OBJECT)
	{
		ee_schema_draft_problem(draft, keyword, "must be an object");
		return;
	}
	n = EE_VALUE_COUNT(value);
	dependency = ee_schema_draft_dependencies(draft, n);
	ee_walk_object(&walk, value);
	for (; n > 0; n--, dependency++)
	{
		uint32		len;
		const char *name = ee_walk_key(&walk, &len);

		dependency->name = ee_schema_draft_name(draft, name, len);
		dependency->keyword = keyword;
		dependency->edge = ee_schema_draft_no_edge();
		dependency->required = ee_schema_draft_names(draft, keyword,
													 ee_walk_value(&walk),
													 &dependency->nrequired);
	}
}

/* dependentSchemas  [Core, 10.2.2.4] */
static void
compile_dependent_schemas(EeDraft *draft, const char *keyword, EeValue value)
{
	const EePath *path = ee_schema_draft_path(draft, keyword);
	EeDependency *dependency;
	EeWalk		walk = {0};
	uint32		n;

	if (value.type != EE_IS_OBJECT)
	{
		ee_schema_draft_problem(draft, keyword,
								"must be an object of schemas");
		return;
	}
	n = EE_VALUE_COUNT(value);
	dependency = ee_schema_draft_dependencies(draft, n);
	ee_walk_object(&walk, value);
	for (; n > 0; n--, dependency++)
	{
		uint32		len;
		const char *name = ee_walk_key(&walk, &len);

		dependency->name = ee_schema_draft_name(draft, name, len);
		dependency->keyword = keyword;
		dependency->edge = ee_schema_draft_edge(draft, ee_walk_value(&walk),
									 ee_schema_path_key(path, name, len));
	}
}

/* propertyDependencies  [v1, proposals]: by name and value of a property */
static void
compile_property_dependencies(EeDraft *draft, const char *keyword,
							  EeValue value)
{
	const EePath *path = ee_schema_draft_path(draft, keyword);
	EeDependency *dependency;
	EeWalk		walk = {0};
	uint32		total = 0;
	uint32		n;

	if (value.type != EE_IS_OBJECT)
	{
		ee_schema_draft_problem(draft, keyword, "must be an object");
		return;
	}
	ee_walk_object(&walk, value);
	for (n = EE_VALUE_COUNT(value); n > 0; n--)
	{
		uint32		len;
		EeValue		choices;

		(void) ee_walk_key(&walk, &len);
		choices = ee_walk_value(&walk);
		if (choices.type != EE_IS_OBJECT)
		{
			ee_schema_draft_problem(draft, keyword,
									"must hold objects of schemas");
			return;
		}
		total += EE_VALUE_COUNT(choices);
	}
	dependency = ee_schema_draft_dependencies(draft, total);
	ee_walk_object(&walk, value);
	for (n = EE_VALUE_COUNT(value); n > 0; n--)
	{
		uint32		len;
		const char *name = ee_walk_key(&walk, &len);
		EeValue		choices = ee_walk_value(&walk);
		const EePath *below = ee_schema_path_key(path, name, len);
		EeName		property = ee_schema_draft_name(draft, name, len);
		EeWalk		inner = {0};
		uint32		count;

		ee_walk_object(&inner, choices);
		for (count = EE_VALUE_COUNT(choices); count > 0; count--, dependency++)
		{
			const char *choice = ee_walk_key(&inner, &len);

			dependency->name = property;
			dependency->keyword = keyword;
			dependency->has_value = true;
			dependency->value = ee_schema_draft_name(draft, choice, len);
			dependency->edge =
				ee_schema_draft_edge(draft, ee_walk_value(&inner),
									 ee_schema_path_key(below, choice, len));
		}
	}
}

/* unevaluatedProperties  [Core, 11.3] */
static void
compile_unevaluated_properties(EeDraft *draft, const char *keyword,
							   EeValue value)
{
	if (!ee_schema_draft_is_schema(draft, keyword, value))
		return;
	ee_schema_draft_object(draft)->unevaluated = ee_schema_draft_child(draft,
																	   keyword,
																	   value);
	draft->node.flags |= EE_NODE_UNEVALUATED;
}

static const EeKeywordHandler handlers[EE_KW_COUNT] = {
	[EE_KW_ADDITIONAL_ITEMS] = compile_additional_items,
	[EE_KW_ADDITIONAL_PROPERTIES] = compile_additional_properties,
	[EE_KW_CONTAINS] = compile_contains,
	[EE_KW_DEPENDENCIES] = compile_dependencies,
	[EE_KW_DEPENDENT_REQUIRED] = compile_dependent_required,
	[EE_KW_DEPENDENT_SCHEMAS] = compile_dependent_schemas,
	[EE_KW_ITEMS] = compile_items,
	[EE_KW_MAX_CONTAINS] = compile_max_contains,
	[EE_KW_MAX_ITEMS] = compile_max_items,
	[EE_KW_MAX_PROPERTIES] = compile_max_properties,
	[EE_KW_MIN_CONTAINS] = compile_min_contains,
	[EE_KW_MIN_ITEMS] = compile_min_items,
	[EE_KW_MIN_PROPERTIES] = compile_min_properties,
	[EE_KW_PATTERN_PROPERTIES] = compile_pattern_properties,
	[EE_KW_PREFIX_ITEMS] = compile_prefix_items,
	[EE_KW_PROPERTIES] = compile_properties,
	[EE_KW_PROPERTY_DEPENDENCIES] = compile_property_dependencies,
	[EE_KW_PROPERTY_NAMES] = compile_property_names,
	[EE_KW_REQUIRED] = compile_required,
	[EE_KW_UNEVALUATED_ITEMS] = compile_unevaluated_items,
	[EE_KW_UNEVALUATED_PROPERTIES] = compile_unevaluated_properties,
	[EE_KW_UNIQUE_ITEMS] = compile_unique_items,
};

/* Compiles a keyword, if it is one of this file's. */
bool
ee_schema_keyword_container(EeDraft *draft, const EeKeywordInfo *info,
							EeValue value)
{
	if (handlers[info->keyword] == NULL)
		return false;
	handlers[info->keyword] (draft, info->name, value);
	return true;
}
