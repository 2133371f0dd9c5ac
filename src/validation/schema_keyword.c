/*
 * schema_keyword.c
 *	  What each keyword adds to the node of its schema.
 *
 * A function for each keyword, found through a table; its head cites the
 * section that it follows (Core and Validation of 2020-12 unless another
 * draft is named).  Keywords that depend on a sibling look at the sibling in
 * the schema, so that the order of keywords is of no matter.
 */
#include "postgres.h"

#include "ground/errors.h"
#include "utils/memutils.h"

#include "validation/schema_keyword.h"
#include "validation/schema_number.h"

typedef void (*Handler) (EeDraft *draft, const char *keyword, EeValue value);

#define EXPECTED_BYTES	200		/* of a keyword's value in reports */

static void problem(EeDraft *draft, const char *keyword, const char *what);
static bool sibling(EeDraft *draft, const char *name, EeValue *value);
static const EePath *path_of(EeDraft *draft, const char *keyword);
static bool is_schema(EeDraft *draft, const char *keyword, EeValue value);
static EeEdge make_edge(EeDraft *draft, EeValue value, const EePath *path);
static EeEdge no_edge(void);
static EeName copy_name(EeDraft *draft, const char *data, uint32 len);
static bool limit(EeDraft *draft, const char *keyword, EeValue value,
				  uint32 *result);
static EeNumberRules *number_rules(EeDraft *draft);
static EeStringRules *string_rules(EeDraft *draft);
static EeArrayRules *array_rules(EeDraft *draft);
static EeObjectRules *object_rules(EeDraft *draft);
static void add_bound(EeDraft *draft, EeBoundKind kind, const char *keyword,
					  EeValue value);
static EeGroup *add_group(EeDraft *draft, EeGroupKind kind,
						  const char *keyword, int nedges);
static EeProperty *add_property(EeDraft *draft, const char *name, uint32 len);
static EeName *read_names(EeDraft *draft, const char *keyword, EeValue value,
						  int *n);
static EeDependency *add_dependencies(EeDraft *draft, int n);
static EeEnum *make_enum(EeDraft *draft, EeValue list);
static EeValue shallow_copy(EeDraft *draft, EeValue value);
static int	compare_names(const void *a, const void *b);
static int	compare_properties(const void *a, const void *b);

/* ------------------------------------------------------------------------
 * References
 * ------------------------------------------------------------------------ */

/* $ref  [Core, 8.2.3.1; draft 7, 8.3] */
static void
compile_ref(EeDraft *draft, const char *keyword, EeValue value)
{
	EePlace    *target;

	if (value.type != EE_IS_STRING)
	{
		problem(draft, keyword, "must be a string");
		return;
	}
	target = ee_schema_ref_resolve(draft->compile->refs, draft->place,
								   pnstrdup(value.data, value.len), keyword);
	if (target != NULL)
		add_group(draft, EE_GROUP_REF, keyword, 1)->edges[0].node =
			ee_schema_compile_place(draft->compile, target);
}

/*
 * $dynamicRef  [Core, 8.2.3.2] and $recursiveRef  [Core 2019-09, 8.2.4.2.1]:
 * where the first resource on the way here has a dynamic anchor of the same
 * name, there; provided that the plain target is such an anchor itself.
 */
static void
compile_dynamic_ref(EeDraft *draft, const char *keyword, EeValue value)
{
	EeCompile  *compile = draft->compile;
	bool		recursive = strcmp(keyword, "$recursiveRef") == 0;
	EePlace    *target;
	EeGroup    *group;
	const char *fragment;
	ListCell   *lc;

	if (value.type != EE_IS_STRING)
	{
		problem(draft, keyword, "must be a string");
		return;
	}
	target = ee_schema_ref_resolve(compile->refs, draft->place,
								   pnstrdup(value.data, value.len), keyword);
	if (target == NULL)
		return;
	fragment = memchr(value.data, '#', value.len);
	if (target->dynamic_anchor == NULL ||
		(!recursive &&
		 (fragment == NULL ||
		  value.data + value.len - fragment - 1 != strlen(target->dynamic_anchor) ||
		  memcmp(fragment + 1, target->dynamic_anchor,
				 strlen(target->dynamic_anchor)) != 0)))
	{
		add_group(draft, EE_GROUP_REF, keyword, 1)->edges[0].node =
			ee_schema_compile_place(compile, target);
		return;
	}
	compile->dynamic = true;
	group = add_group(draft, EE_GROUP_DYNAMIC_REF, keyword, 1);
	group->edges[0].node = ee_schema_compile_place(compile, target);
	foreach(lc, compile->anchors)
	{
		if (strcmp(lfirst(lc), target->dynamic_anchor) == 0)
			break;
		group->anchor++;
	}
	if (group->anchor == list_length(compile->anchors))
		compile->anchors = lappend(compile->anchors,
								   unconstify(char *, target->dynamic_anchor));
}

/* ------------------------------------------------------------------------
 * Any type
 * ------------------------------------------------------------------------ */

/* type  [Validation, 6.1.1] */
static void
compile_type(EeDraft *draft, const char *keyword, EeValue value)
{
	static const struct
	{
		const char *name;
		uint16		types;
	}			known[] =
	{
		{"null", EE_IS_NULL},
		{"boolean", EE_IS_BOOLEAN},
		{"object", EE_IS_OBJECT},
		{"array", EE_IS_ARRAY},
		{"number", EE_IS_NUMBER | EE_IS_INTEGER},
		{"string", EE_IS_STRING},
		{"integer", EE_IS_INTEGER},
	};
	uint16		types = 0;
	uint32		n = 1;
	uint32		i;
	EeWalk		walk = {0};

	if (value.type == EE_IS_ARRAY)
	{
		n = EE_VALUE_COUNT(value);
		ee_walk_array(&walk, value);
	}
	for (; n > 0; n--)
	{
		EeValue		name = value;

		if (value.type == EE_IS_ARRAY)
			name = ee_walk_element(&walk);
		for (i = 0; i < lengthof(known); i++)
		{
			if (name.type == EE_IS_STRING &&
				strlen(known[i].name) == name.len &&
				memcmp(known[i].name, name.data, name.len) == 0)
				break;
		}
		if (i == lengthof(known))
		{
			problem(draft, keyword, "must be the name of a type, or an array of them");
			return;
		}
		types |= known[i].types;
	}
	draft->node.types = types;
	if (draft->place->resource->dialect == EE_DIALECT_DRAFT4)
		draft->node.flags |= EE_NODE_STRICT_INTEGER;
}

/* enum  [Validation, 6.1.2] */
static void
compile_enum(EeDraft *draft, const char *keyword, EeValue value)
{
	if (value.type != EE_IS_ARRAY)
		problem(draft, keyword, "must be an array");
	else
		draft->node.enumeration = make_enum(draft, value);
}

/* const  [Validation, 6.1.3] */
static void
compile_const(EeDraft *draft, const char *keyword, EeValue value)
{
	draft->node.constant = make_enum(draft, value);
	if (value.type == EE_IS_ARRAY)
	{
		EeEnum	   *constant = ee_schema_alloc(draft->compile, sizeof(EeEnum));

		/* make_enum takes an array for a list: wrap it by hand */
		constant->types = EE_IS_ARRAY;
		constant->nothers = 1;
		constant->others = ee_schema_alloc(draft->compile, sizeof(EeValue));
		constant->others[0] = shallow_copy(draft, value);
		constant->hashes = ee_schema_alloc(draft->compile, sizeof(uint32));
		constant->hashes[0] = ee_value_hash(value);
		constant->text = draft->node.constant->text;
		draft->node.constant = constant;
	}
}

/* The set of the elements of an array, or of one value. */
static EeEnum *
make_enum(EeDraft *draft, EeValue list)
{
	EeCompile  *compile = draft->compile;
	EeEnum	   *result = ee_schema_alloc(compile, sizeof(EeEnum));
	uint32		n = list.type == EE_IS_ARRAY ? EE_VALUE_COUNT(list) : 1;
	EeWalk		walk = {0};
	uint32		i,
				j;
	char	   *text;

	if (list.type == EE_IS_ARRAY)
		ee_walk_array(&walk, list);
	result->strings = ee_schema_alloc(compile, n * sizeof(EeName));
	for (i = 0; i < n; i++)
	{
		EeValue		value = list;

		if (list.type == EE_IS_ARRAY)
			value = ee_walk_element(&walk);
		result->types |= value.type;
		if (value.type == EE_IS_STRING)
			result->strings[result->nstrings++] =
				copy_name(draft, value.data, value.len);
		else if (value.type & (EE_IS_NUMBER | EE_IS_ARRAY | EE_IS_OBJECT))
		{
			uint32		hash = ee_value_hash(value);

			if (result->others == NULL)
			{
				result->others = ee_schema_alloc(compile, n * sizeof(EeValue));
				result->hashes = ee_schema_alloc(compile, n * sizeof(uint32));
			}
			/* kept sorted by hash; most lists are short or all strings */
			for (j = result->nothers; j > 0 && result->hashes[j - 1] > hash; j--)
			{
				result->others[j] = result->others[j - 1];
				result->hashes[j] = result->hashes[j - 1];
			}
			result->others[j] = shallow_copy(draft, value);
			result->hashes[j] = hash;
			result->nothers++;
		}
	}
	qsort(result->strings, result->nstrings, sizeof(EeName), compare_names);
	text = ee_value_text(list, EXPECTED_BYTES);
	result->text = copy_name(draft, text, strlen(text)).data;
	return result;
}

/* A copy in the program's memory. */
static EeValue
shallow_copy(EeDraft *draft, EeValue value)
{
	MemoryContext old = MemoryContextSwitchTo(draft->compile->context);

	value = ee_value_copy(value);
	MemoryContextSwitchTo(old);
	return value;
}

/* ------------------------------------------------------------------------
 * Numbers
 * ------------------------------------------------------------------------ */

/* multipleOf  [Validation, 6.2.1] */
static void
compile_multiple_of(EeDraft *draft, const char *keyword, EeValue value)
{
	int64		floor;
	bool		whole;

	if (value.type != EE_IS_NUMBER ||
		(ee_schema_number_floor(EE_VALUE_NUMERIC(value), &floor, &whole) &&
		 (floor < 0 || (floor == 0 && whole))))
		problem(draft, keyword, "must be a number above 0");
	else
		add_bound(draft, EE_BOUND_MULTIPLE_OF, keyword, value);
}

/* maximum  [Validation, 6.2.2; draft 4, 5.1.2 with exclusiveMaximum] */
static void
compile_maximum(EeDraft *draft, const char *keyword, EeValue value)
{
	EeValue		exclusive;

	add_bound(draft,
			  draft->place->resource->dialect == EE_DIALECT_DRAFT4 &&
			  sibling(draft, "exclusiveMaximum", &exclusive) &&
			  exclusive.type == EE_IS_TRUE ?
			  EE_BOUND_EXCLUSIVE_MAXIMUM : EE_BOUND_MAXIMUM, keyword, value);
}

/* exclusiveMaximum  [Validation, 6.2.3; draft 4, 5.1.2: a boolean] */
static void
compile_exclusive_maximum(EeDraft *draft, const char *keyword, EeValue value)
{
	if (draft->place->resource->dialect != EE_DIALECT_DRAFT4)
		add_bound(draft, EE_BOUND_EXCLUSIVE_MAXIMUM, keyword, value);
	else if (!(value.type & EE_IS_BOOLEAN))
		problem(draft, keyword, "must be a boolean in draft 4");
}

/* minimum  [Validation, 6.2.4; draft 4, 5.1.3 with exclusiveMinimum] */
static void
compile_minimum(EeDraft *draft, const char *keyword, EeValue value)
{
	EeValue		exclusive;

	add_bound(draft,
			  draft->place->resource->dialect == EE_DIALECT_DRAFT4 &&
			  sibling(draft, "exclusiveMinimum", &exclusive) &&
			  exclusive.type == EE_IS_TRUE ?
			  EE_BOUND_EXCLUSIVE_MINIMUM : EE_BOUND_MINIMUM, keyword, value);
}

/* exclusiveMinimum  [Validation, 6.2.5; draft 4, 5.1.3: a boolean] */
static void
compile_exclusive_minimum(EeDraft *draft, const char *keyword, EeValue value)
{
	if (draft->place->resource->dialect != EE_DIALECT_DRAFT4)
		add_bound(draft, EE_BOUND_EXCLUSIVE_MINIMUM, keyword, value);
	else if (!(value.type & EE_IS_BOOLEAN))
		problem(draft, keyword, "must be a boolean in draft 4");
}

static void
add_bound(EeDraft *draft, EeBoundKind kind, const char *keyword,
		  EeValue value)
{
	EeNumberRules *rules;
	EeBound    *bound;

	if (value.type != EE_IS_NUMBER)
	{
		problem(draft, keyword, "must be a number");
		return;
	}
	rules = number_rules(draft);
	bound = &rules->bounds[rules->nbounds++];
	bound->kind = kind;
	bound->keyword = keyword;
	if (!ee_schema_number_floor(EE_VALUE_NUMERIC(value), &bound->integer,
								&bound->whole))
		bound->whole = false;
	bound->value = EE_VALUE_NUMERIC(shallow_copy(draft, value));
}

/* ------------------------------------------------------------------------
 * Strings
 * ------------------------------------------------------------------------ */

/* maxLength  [Validation, 6.3.1] */
static void
compile_max_length(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (limit(draft, keyword, value, &n))
		string_rules(draft)->max_length = n;
}

/* minLength  [Validation, 6.3.2] */
static void
compile_min_length(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (limit(draft, keyword, value, &n))
		string_rules(draft)->min_length = n;
}

/* pattern  [Validation, 6.3.3] */
static void
compile_pattern(EeDraft *draft, const char *keyword, EeValue value)
{
	MemoryContext old;
	char	   *wrong = NULL;
	EeRegex    *regex;

	if (value.type != EE_IS_STRING)
	{
		problem(draft, keyword, "must be a string");
		return;
	}
	old = MemoryContextSwitchTo(draft->compile->context);
	regex = ee_schema_regex_compile(value.data, value.len, &wrong);
	MemoryContextSwitchTo(old);
	if (regex == NULL)
		problem(draft, keyword, psprintf("is not a regular expression: %s", wrong));
	else
		string_rules(draft)->pattern = regex;
}

/*
 * format  [Validation, 7.2]: an assertion where the caller wants that or the
 * dialect's vocabulary says so, else an annotation.  What is not known is not
 * asserted  [7.2.3].
 */
static void
compile_format(EeDraft *draft, const char *keyword, EeValue value)
{
	const EeResource *resource = draft->place->resource;
	EeFormatCheck check;

	if (value.type != EE_IS_STRING)
	{
		problem(draft, keyword, "must be a string");
		return;
	}
	if (!draft->compile->options->assert_formats &&
		resource->dialect >= EE_DIALECT_2019_09 &&
		(resource->vocabularies == EE_VOCAB_ALL ||
		 !(resource->vocabularies & EE_VOCAB_FORMAT_ASSERTION)))
		return;
	check = ee_schema_format(value.data, value.len, resource->dialect);
	if (check != NULL)
	{
		string_rules(draft)->format = check;
		string_rules(draft)->format_name =
			copy_name(draft, value.data, value.len).data;
	}
}

/* contentEncoding  [draft 7, 8.3]; annotations from 2019-09 on */
static void
compile_content_encoding(EeDraft *draft, const char *keyword, EeValue value)
{
	if (value.type != EE_IS_STRING)
		problem(draft, keyword, "must be a string");
	else if (draft->place->resource->dialect == EE_DIALECT_DRAFT7)
		string_rules(draft)->content_encoding =
			copy_name(draft, value.data, value.len).data;
}

/* contentMediaType  [draft 7, 8.4]; annotations from 2019-09 on */
static void
compile_content_media_type(EeDraft *draft, const char *keyword, EeValue value)
{
	if (value.type != EE_IS_STRING)
		problem(draft, keyword, "must be a string");
	else if (draft->place->resource->dialect == EE_DIALECT_DRAFT7)
		string_rules(draft)->content_media_type =
			copy_name(draft, value.data, value.len).data;
}

/* ------------------------------------------------------------------------
 * Arrays
 * ------------------------------------------------------------------------ */

/* maxItems  [Validation, 6.4.1] */
static void
compile_max_items(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (limit(draft, keyword, value, &n))
		array_rules(draft)->max_items = n;
}

/* minItems  [Validation, 6.4.2] */
static void
compile_min_items(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (limit(draft, keyword, value, &n))
		array_rules(draft)->min_items = n;
}

/* uniqueItems  [Validation, 6.4.3] */
static void
compile_unique_items(EeDraft *draft, const char *keyword, EeValue value)
{
	if (!(value.type & EE_IS_BOOLEAN))
		problem(draft, keyword, "must be a boolean");
	else if (value.type == EE_IS_TRUE)
		array_rules(draft)->unique = true;
}

/* items  [Core, 10.3.1.2; before 2020-12 an array too: draft 7, 6.4.1] */
static void
compile_items(EeDraft *draft, const char *keyword, EeValue value)
{
	EeArrayRules *rules = array_rules(draft);
	const EePath *path = path_of(draft, keyword);
	EeWalk		walk = {0};
	int			i;

	if (value.type != EE_IS_ARRAY ||
		draft->place->resource->dialect == EE_DIALECT_2020_12)
	{
		if (is_schema(draft, keyword, value))
			rules->rest = make_edge(draft, value, path);
		return;
	}
	rules->tuple = true;
	rules->nprefix = EE_VALUE_COUNT(value);
	rules->prefix = ee_schema_alloc(draft->compile,
									rules->nprefix * sizeof(EeEdge));
	ee_walk_array(&walk, value);
	for (i = 0; i < rules->nprefix; i++)
		rules->prefix[i] = make_edge(draft, ee_walk_element(&walk),
									 ee_schema_path_index(path, i));
}

/* additionalItems  [draft 7, 6.4.2]: only beside an array of items */
static void
compile_additional_items(EeDraft *draft, const char *keyword, EeValue value)
{
	EeValue		items;

	if (is_schema(draft, keyword, value) &&
		sibling(draft, "items", &items) && items.type == EE_IS_ARRAY)
		array_rules(draft)->rest = make_edge(draft, value,
											 path_of(draft, keyword));
}

/* prefixItems  [Core, 10.3.1.1] */
static void
compile_prefix_items(EeDraft *draft, const char *keyword, EeValue value)
{
	EeArrayRules *rules = array_rules(draft);
	const EePath *path = path_of(draft, keyword);
	EeWalk		walk = {0};
	int			i;

	if (value.type != EE_IS_ARRAY)
	{
		problem(draft, keyword, "must be an array of schemas");
		return;
	}
	rules->nprefix = EE_VALUE_COUNT(value);
	rules->prefix = ee_schema_alloc(draft->compile,
									rules->nprefix * sizeof(EeEdge));
	ee_walk_array(&walk, value);
	for (i = 0; i < rules->nprefix; i++)
		rules->prefix[i] = make_edge(draft, ee_walk_element(&walk),
									 ee_schema_path_index(path, i));
}

/* contains  [Core, 10.3.1.3] */
static void
compile_contains(EeDraft *draft, const char *keyword, EeValue value)
{
	EeArrayRules *rules = array_rules(draft);

	if (!is_schema(draft, keyword, value))
		return;
	rules->contains = make_edge(draft, value, path_of(draft, keyword));
	rules->contains_evaluates =
		draft->place->resource->dialect == EE_DIALECT_2020_12;
}

/* minContains  [Validation, 6.4.5] */
static void
compile_min_contains(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (limit(draft, keyword, value, &n))
		array_rules(draft)->min_contains = n;
}

/* maxContains  [Validation, 6.4.4] */
static void
compile_max_contains(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (limit(draft, keyword, value, &n))
		array_rules(draft)->max_contains = n;
}

/* unevaluatedItems  [Core, 11.2] */
static void
compile_unevaluated_items(EeDraft *draft, const char *keyword, EeValue value)
{
	if (!is_schema(draft, keyword, value))
		return;
	array_rules(draft)->unevaluated = make_edge(draft, value,
												path_of(draft, keyword));
	draft->node.flags |= EE_NODE_UNEVALUATED;
}

/* ------------------------------------------------------------------------
 * Objects
 * ------------------------------------------------------------------------ */

/* maxProperties  [Validation, 6.5.1] */
static void
compile_max_properties(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (limit(draft, keyword, value, &n))
		object_rules(draft)->max_properties = n;
}

/* minProperties  [Validation, 6.5.2] */
static void
compile_min_properties(EeDraft *draft, const char *keyword, EeValue value)
{
	uint32		n;

	if (limit(draft, keyword, value, &n))
		object_rules(draft)->min_properties = n;
}

/* required  [Validation, 6.5.3] */
static void
compile_required(EeDraft *draft, const char *keyword, EeValue value)
{
	EeName	   *names;
	int			n,
				i;

	names = read_names(draft, keyword, value, &n);
	for (i = 0; i < n; i++)
		add_property(draft, names[i].data, names[i].len)->required = true;
}

/* properties  [Core, 10.3.2.1] */
static void
compile_properties(EeDraft *draft, const char *keyword, EeValue value)
{
	const EePath *path = path_of(draft, keyword);
	EeWalk		walk = {0};
	uint32		n;

	if (value.type != EE_IS_OBJECT)
	{
		problem(draft, keyword, "must be an object of schemas");
		return;
	}
	ee_walk_object(&walk, value);
	for (n = EE_VALUE_COUNT(value); n > 0; n--)
	{
		uint32		len;
		const char *name = ee_walk_key(&walk, &len);
		EeProperty *property = add_property(draft, name, len);

		property->declared = true;
		property->edge = make_edge(draft, ee_walk_value(&walk),
								   ee_schema_path_key(path, name, len));
	}
	object_rules(draft);
}

/* patternProperties  [Core, 10.3.2.2] */
static void
compile_pattern_properties(EeDraft *draft, const char *keyword, EeValue value)
{
	EeObjectRules *rules = object_rules(draft);
	const EePath *path = path_of(draft, keyword);
	EeWalk		walk = {0};
	uint32		n;

	if (value.type != EE_IS_OBJECT)
	{
		problem(draft, keyword, "must be an object of schemas");
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

		MemoryContextSwitchTo(old);
		if (regex == NULL)
		{
			problem(draft, keyword,
					psprintf("has a name that is not a regular expression: %s",
							 wrong));
			continue;
		}
		rules->patterns[rules->npatterns].regex = regex;
		rules->patterns[rules->npatterns++].edge =
			make_edge(draft, child, ee_schema_path_key(path, source, len));
	}
}

/* additionalProperties  [Core, 10.3.2.3] */
static void
compile_additional_properties(EeDraft *draft, const char *keyword,
							  EeValue value)
{
	if (is_schema(draft, keyword, value))
		object_rules(draft)->additional = make_edge(draft, value,
													path_of(draft, keyword));
}

/* propertyNames  [Core, 10.3.2.4] */
static void
compile_property_names(EeDraft *draft, const char *keyword, EeValue value)
{
	if (is_schema(draft, keyword, value))
		object_rules(draft)->names = make_edge(draft, value,
											   path_of(draft, keyword));
}

/* dependencies  [draft 7, 6.5.7]; kept by later drafts for compatibility */
static void
compile_dependencies(EeDraft *draft, const char *keyword, EeValue value)
{
	const EePath *path = path_of(draft, keyword);
	EeDependency *dependency;
	EeWalk		walk = {0};
	uint32		n;

	if (value.type != EE_IS_OBJECT)
	{
		problem(draft, keyword, "must be an object");
		return;
	}
	n = EE_VALUE_COUNT(value);
	dependency = add_dependencies(draft, n);
	ee_walk_object(&walk, value);
	for (; n > 0; n--, dependency++)
	{
		uint32		len;
		const char *name = ee_walk_key(&walk, &len);
		EeValue		needs = ee_walk_value(&walk);

		dependency->name = copy_name(draft, name, len);
		dependency->keyword = keyword;
		dependency->edge = no_edge();
		if (needs.type == EE_IS_ARRAY)
			dependency->required = read_names(draft, keyword, needs,
											  &dependency->nrequired);
		else
			dependency->edge = make_edge(draft, needs,
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
		problem(draft, keyword, "must be an object");
		return;
	}
	n = EE_VALUE_COUNT(value);
	dependency = add_dependencies(draft, n);
	ee_walk_object(&walk, value);
	for (; n > 0; n--, dependency++)
	{
		uint32		len;
		const char *name = ee_walk_key(&walk, &len);

		dependency->name = copy_name(draft, name, len);
		dependency->keyword = keyword;
		dependency->edge = no_edge();
		dependency->required = read_names(draft, keyword, ee_walk_value(&walk),
										  &dependency->nrequired);
	}
}

/* dependentSchemas  [Core, 10.2.2.4] */
static void
compile_dependent_schemas(EeDraft *draft, const char *keyword, EeValue value)
{
	const EePath *path = path_of(draft, keyword);
	EeDependency *dependency;
	EeWalk		walk = {0};
	uint32		n;

	if (value.type != EE_IS_OBJECT)
	{
		problem(draft, keyword, "must be an object of schemas");
		return;
	}
	n = EE_VALUE_COUNT(value);
	dependency = add_dependencies(draft, n);
	ee_walk_object(&walk, value);
	for (; n > 0; n--, dependency++)
	{
		uint32		len;
		const char *name = ee_walk_key(&walk, &len);

		dependency->name = copy_name(draft, name, len);
		dependency->keyword = keyword;
		dependency->edge = make_edge(draft, ee_walk_value(&walk),
									 ee_schema_path_key(path, name, len));
	}
}

/* unevaluatedProperties  [Core, 11.3] */
static void
compile_unevaluated_properties(EeDraft *draft, const char *keyword,
							   EeValue value)
{
	if (!is_schema(draft, keyword, value))
		return;
	object_rules(draft)->unevaluated = make_edge(draft, value,
												 path_of(draft, keyword));
	draft->node.flags |= EE_NODE_UNEVALUATED;
}

/* ------------------------------------------------------------------------
 * In place
 * ------------------------------------------------------------------------ */

static void
compile_schemas(EeDraft *draft, EeGroupKind kind, const char *keyword,
				EeValue value)
{
	const EePath *path = path_of(draft, keyword);
	EeGroup    *group;
	EeWalk		walk = {0};
	int			i;

	if (value.type != EE_IS_ARRAY || EE_VALUE_COUNT(value) == 0)
	{
		problem(draft, keyword, "must be an array of at least one schema");
		return;
	}
	group = add_group(draft, kind, keyword, EE_VALUE_COUNT(value));
	ee_walk_array(&walk, value);
	for (i = 0; i < group->nedges; i++)
		group->edges[i] = make_edge(draft, ee_walk_element(&walk),
									ee_schema_path_index(path, i));
}

/* allOf  [Core, 10.2.1.1] */
static void
compile_all_of(EeDraft *draft, const char *keyword, EeValue value)
{
	compile_schemas(draft, EE_GROUP_ALL_OF, keyword, value);
}

/* anyOf  [Core, 10.2.1.2] */
static void
compile_any_of(EeDraft *draft, const char *keyword, EeValue value)
{
	compile_schemas(draft, EE_GROUP_ANY_OF, keyword, value);
}

/* oneOf  [Core, 10.2.1.3] */
static void
compile_one_of(EeDraft *draft, const char *keyword, EeValue value)
{
	compile_schemas(draft, EE_GROUP_ONE_OF, keyword, value);
}

/* not  [Core, 10.2.1.4] */
static void
compile_not(EeDraft *draft, const char *keyword, EeValue value)
{
	if (is_schema(draft, keyword, value))
		add_group(draft, EE_GROUP_NOT, keyword, 1)->edges[0] =
			make_edge(draft, value, path_of(draft, keyword));
}

/* if, with then and else  [Core, 10.2.2.1 to 10.2.2.3] */
static void
compile_if(EeDraft *draft, const char *keyword, EeValue value)
{
	static const char *const names[] = {"if", "then", "else"};
	EeGroup    *group;
	EeValue		branch;
	int			i;

	if (!is_schema(draft, keyword, value))
		return;
	group = add_group(draft, EE_GROUP_IF, keyword, 3);
	for (i = 0; i < 3; i++)
	{
		group->edges[i].node = EE_NODE_TRUE;
		if (sibling(draft, names[i], &branch))
			group->edges[i] = make_edge(draft, branch,
										path_of(draft, names[i]));
	}
}

/* then, else: compiled with if, void without it  [Core, 10.2.2.2, 10.2.2.3] */
static void
compile_branch(EeDraft *draft, const char *keyword, EeValue value)
{
	is_schema(draft, keyword, value);
}

/* ------------------------------------------------------------------------
 * The table, and what the functions share
 * ------------------------------------------------------------------------ */

static const Handler handlers[EE_KW_COUNT] = {
	[EE_KW_ADDITIONAL_ITEMS] = compile_additional_items,
	[EE_KW_ADDITIONAL_PROPERTIES] = compile_additional_properties,
	[EE_KW_ALL_OF] = compile_all_of,
	[EE_KW_ANY_OF] = compile_any_of,
	[EE_KW_CONST] = compile_const,
	[EE_KW_CONTAINS] = compile_contains,
	[EE_KW_CONTENT_ENCODING] = compile_content_encoding,
	[EE_KW_CONTENT_MEDIA_TYPE] = compile_content_media_type,
	[EE_KW_DEPENDENCIES] = compile_dependencies,
	[EE_KW_DEPENDENT_REQUIRED] = compile_dependent_required,
	[EE_KW_DEPENDENT_SCHEMAS] = compile_dependent_schemas,
	[EE_KW_DYNAMIC_REF] = compile_dynamic_ref,
	[EE_KW_ELSE] = compile_branch,
	[EE_KW_ENUM] = compile_enum,
	[EE_KW_EXCLUSIVE_MAXIMUM] = compile_exclusive_maximum,
	[EE_KW_EXCLUSIVE_MINIMUM] = compile_exclusive_minimum,
	[EE_KW_FORMAT] = compile_format,
	[EE_KW_IF] = compile_if,
	[EE_KW_ITEMS] = compile_items,
	[EE_KW_MAX_CONTAINS] = compile_max_contains,
	[EE_KW_MAX_ITEMS] = compile_max_items,
	[EE_KW_MAX_LENGTH] = compile_max_length,
	[EE_KW_MAX_PROPERTIES] = compile_max_properties,
	[EE_KW_MAXIMUM] = compile_maximum,
	[EE_KW_MIN_CONTAINS] = compile_min_contains,
	[EE_KW_MIN_ITEMS] = compile_min_items,
	[EE_KW_MIN_LENGTH] = compile_min_length,
	[EE_KW_MIN_PROPERTIES] = compile_min_properties,
	[EE_KW_MINIMUM] = compile_minimum,
	[EE_KW_MULTIPLE_OF] = compile_multiple_of,
	[EE_KW_NOT] = compile_not,
	[EE_KW_ONE_OF] = compile_one_of,
	[EE_KW_PATTERN] = compile_pattern,
	[EE_KW_PATTERN_PROPERTIES] = compile_pattern_properties,
	[EE_KW_PREFIX_ITEMS] = compile_prefix_items,
	[EE_KW_PROPERTIES] = compile_properties,
	[EE_KW_PROPERTY_NAMES] = compile_property_names,
	[EE_KW_RECURSIVE_REF] = compile_dynamic_ref,
	[EE_KW_REF] = compile_ref,
	[EE_KW_REQUIRED] = compile_required,
	[EE_KW_THEN] = compile_branch,
	[EE_KW_TYPE] = compile_type,
	[EE_KW_UNEVALUATED_ITEMS] = compile_unevaluated_items,
	[EE_KW_UNEVALUATED_PROPERTIES] = compile_unevaluated_properties,
	[EE_KW_UNIQUE_ITEMS] = compile_unique_items,
};

/* Adds what a keyword says; the others are for identification or people. */
void
ee_schema_keyword_compile(EeDraft *draft, const EeKeywordInfo *info,
						  EeValue value)
{
	if (handlers[info->keyword] != NULL)
		handlers[info->keyword] (draft, info->name, value);
}

/* Once all keywords were seen: puts the parts together. */
void
ee_schema_keyword_finish(EeDraft *draft)
{
	EeNode	   *node = &draft->node;
	EeObjectRules *object = draft->object;
	uint32		i,
				n;

	if (object != NULL)
	{
		qsort(object->properties, object->nproperties, sizeof(EeProperty),
			  compare_properties);

		/* a name from properties and from required is one property */
		for (i = n = 0; i < object->nproperties; i++)
		{
			EeProperty *property = &object->properties[i];
			EeProperty *last = n > 0 ? &object->properties[n - 1] : NULL;

			if (last != NULL &&
				ee_name_compare(last->name, last->len,
								property->name, property->len) == 0)
			{
				last->required |= property->required;
				if (property->declared)
				{
					last->declared = true;
					last->edge = property->edge;
				}
			}
			else
				object->properties[n++] = *property;
		}
		object->nproperties = n;
		for (i = 0; i < n; i++)
			object->nrequired += object->properties[i].required;
		if (n > 0)
		{
			EeProperty *final = ee_schema_alloc(draft->compile,
												n * sizeof(EeProperty));

			memcpy(final, object->properties, n * sizeof(EeProperty));
			object->properties = final;
			for (i = 0; i < n; i++)
				final[i].name = copy_name(draft, final[i].name,
										  final[i].len).data;
		}
	}
	node->number = draft->number;
	node->string = draft->string;
	node->array = draft->array;
	node->object = draft->object;
	node->groups = draft->groups;
	if (!node->number && !node->string && !node->array && !node->object &&
		!node->constant && !node->enumeration && node->ngroups == 0 &&
		((node->types & EE_IS_NUMBER) || !(node->types & EE_IS_INTEGER)))
		node->flags |= EE_NODE_LEAF;
}

static void
problem(EeDraft *draft, const char *keyword, const char *what)
{
	ee_schema_problem(draft->compile->problems, EE_ERRCODE_INVALID_SCHEMA,
					  draft->place->resource->document, draft->place->path,
					  keyword, "\"%s\" %s", keyword, what);
}

static bool
sibling(EeDraft *draft, const char *name, EeValue *value)
{
	return ee_value_get(draft->place->value, name, strlen(name), value);
}

static const EePath *
path_of(EeDraft *draft, const char *keyword)
{
	return ee_schema_path_key(draft->place->path, keyword, strlen(keyword));
}

static bool
is_schema(EeDraft *draft, const char *keyword, EeValue value)
{
	if (value.type & (EE_IS_OBJECT | EE_IS_BOOLEAN))
		return true;
	problem(draft, keyword, "must be a schema: an object or a boolean");
	return false;
}

/* The edge to a subschema at a path. */
static EeEdge
make_edge(EeDraft *draft, EeValue value, const EePath *path)
{
	EeEdge		edge = {EE_NODE_TRUE, EE_NODE_TRUE};

	if (!(value.type & (EE_IS_OBJECT | EE_IS_BOOLEAN)))
		ee_schema_problem(draft->compile->problems, EE_ERRCODE_INVALID_SCHEMA,
						  draft->place->resource->document, path, NULL,
						  "a schema must be an object or a boolean");
	else
		edge.node = ee_schema_compile_place(draft->compile,
											ee_schema_ref_child(draft->compile->refs,
																draft->place,
																value, path));
	return edge;
}

static EeEdge
no_edge(void)
{
	EeEdge		edge = {EE_NODE_NONE, EE_NODE_NONE};

	return edge;
}

/* A copy with a NUL after it. */
static EeName
copy_name(EeDraft *draft, const char *data, uint32 len)
{
	char	   *copy = ee_schema_alloc(draft->compile, len + 1);
	EeName		name = {copy, len};

	memcpy(copy, data, len);
	return name;
}

/* A non-negative integer by value; what is beyond all lengths is cut. */
static bool
limit(EeDraft *draft, const char *keyword, EeValue value, uint32 *result)
{
	int64		n;
	bool		whole;

	if (value.type != EE_IS_NUMBER ||
		!ee_schema_number_is_integer(EE_VALUE_NUMERIC(value)) ||
		(ee_schema_number_floor(EE_VALUE_NUMERIC(value), &n, &whole) && n < 0))
	{
		problem(draft, keyword, "must be an integer of at least 0");
		return false;
	}
	if (!ee_schema_number_floor(EE_VALUE_NUMERIC(value), &n, &whole))
		n = EE_NO_LIMIT;
	*result = Min(n, EE_NO_LIMIT);
	return true;
}

static EeNumberRules *
number_rules(EeDraft *draft)
{
	if (draft->number == NULL)
	{
		draft->number = ee_schema_alloc(draft->compile, sizeof(EeNumberRules));
		draft->number->bounds = ee_schema_alloc(draft->compile,
												5 * sizeof(EeBound));
	}
	return draft->number;
}

static EeStringRules *
string_rules(EeDraft *draft)
{
	if (draft->string == NULL)
	{
		draft->string = ee_schema_alloc(draft->compile, sizeof(EeStringRules));
		draft->string->max_length = EE_NO_LIMIT;
	}
	return draft->string;
}

static EeArrayRules *
array_rules(EeDraft *draft)
{
	if (draft->array == NULL)
	{
		draft->array = ee_schema_alloc(draft->compile, sizeof(EeArrayRules));
		draft->array->max_items = EE_NO_LIMIT;
		draft->array->max_contains = EE_NO_LIMIT;
		draft->array->min_contains = 1;
		draft->array->rest = no_edge();
		draft->array->contains = no_edge();
		draft->array->unevaluated = no_edge();
	}
	return draft->array;
}

static EeObjectRules *
object_rules(EeDraft *draft)
{
	if (draft->object == NULL)
	{
		draft->object = ee_schema_alloc(draft->compile, sizeof(EeObjectRules));
		draft->object->max_properties = EE_NO_LIMIT;
		draft->object->additional = no_edge();
		draft->object->names = no_edge();
		draft->object->unevaluated = no_edge();
	}
	return draft->object;
}

static EeGroup *
add_group(EeDraft *draft, EeGroupKind kind, const char *keyword, int nedges)
{
	EeGroup    *group;

	/* there is one of each kind at most, and two of references */
	if (draft->groups == NULL)
		draft->groups = ee_schema_alloc(draft->compile, 8 * sizeof(EeGroup));
	group = &draft->groups[draft->node.ngroups++];
	group->kind = kind;
	group->keyword = keyword;
	group->nedges = nedges;
	group->edges = ee_schema_alloc(draft->compile, nedges * sizeof(EeEdge));
	return group;
}

/* Collected in scratch memory until ee_schema_keyword_finish. */
static EeProperty *
add_property(EeDraft *draft, const char *name, uint32 len)
{
	EeObjectRules *rules = object_rules(draft);
	EeProperty *property;

	if (rules->nproperties == draft->max_properties)
	{
		draft->max_properties = Max(16, draft->max_properties * 2);
		if (rules->properties == NULL)
			rules->properties = palloc(draft->max_properties *
									   sizeof(EeProperty));
		else
			rules->properties = repalloc_huge(rules->properties,
											  draft->max_properties *
											  sizeof(EeProperty));
	}
	property = &rules->properties[rules->nproperties++];
	memset(property, 0, sizeof(EeProperty));
	property->name = name;
	property->len = len;
	property->edge.node = EE_NODE_TRUE;
	return property;
}

/* The strings of an array, copied into the program. */
static EeName *
read_names(EeDraft *draft, const char *keyword, EeValue value, int *n)
{
	EeName	   *names;
	EeWalk		walk = {0};
	uint32		i,
				count;

	*n = 0;
	if (value.type != EE_IS_ARRAY)
	{
		problem(draft, keyword, "must be an array of strings");
		return NULL;
	}
	count = EE_VALUE_COUNT(value);
	names = ee_schema_alloc(draft->compile, count * sizeof(EeName));
	ee_walk_array(&walk, value);
	for (i = 0; i < count; i++)
	{
		EeValue		name = ee_walk_element(&walk);

		if (name.type != EE_IS_STRING)
		{
			problem(draft, keyword, "must be an array of strings");
			return NULL;
		}
		names[i] = copy_name(draft, name.data, name.len);
	}
	*n = count;
	return names;
}

/* Room for n more dependencies. */
static EeDependency *
add_dependencies(EeDraft *draft, int n)
{
	EeObjectRules *rules = object_rules(draft);
	EeDependency *all = ee_schema_alloc(draft->compile,
										(rules->ndependencies + n) *
										sizeof(EeDependency));
	EeDependency *first = all + rules->ndependencies;

	if (rules->ndependencies > 0)
		memcpy(all, rules->dependencies,
			   rules->ndependencies * sizeof(EeDependency));
	rules->dependencies = all;
	rules->ndependencies += n;
	return first;
}

static int
compare_names(const void *a, const void *b)
{
	const EeName *x = a;
	const EeName *y = b;

	return ee_name_compare(x->data, x->len, y->data, y->len);
}

static int
compare_properties(const void *a, const void *b)
{
	const EeProperty *x = a;
	const EeProperty *y = b;

	return ee_name_compare(x->name, x->len, y->name, y->len);
}
