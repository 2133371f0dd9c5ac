/*
 * schema_report_container.c
 *	  What a report says of arrays and objects, and the way to their children.
 */
#include "postgres.h"

#include "validation/schema_suggest.h"
#include "validation/schema_violation.h"

static void report_count(EeReport *r, const EeHere *here, const char *keyword,
						 const char *words, uint32 limit, uint32 n,
						 const char *one, const char *many);
static void report_item(EeReport *r, const EeEdge *edge, const EeHere *here,
						uint32 index, EeValue value, const char *keyword,
						int position);
static void report_item_refused(EeReport *r, const EeHere *here,
								uint32 index, EeValue value,
								const char *keyword);
static void report_unique(EeReport *r, const EeHere *here);
static void report_contains(EeReport *r, const EeArrayRules *rules,
							const EeHere *here, EeTrack *track);
static void report_required(EeReport *r, const EeObjectRules *rules,
							const EeHere *here);
static void report_missing(EeReport *r, const EeObjectRules *rules,
						   const EeHere *here, const EeProperty *property);
static bool report_property(EeReport *r, const EeNode *node,
							const EeHere *here, EeName key, EeValue value,
							const EeProperty *property);
static void report_property_refused(EeReport *r, const EeNode *node,
									const EeHere *here, const EePath *instance,
									EeName key, EeValue value,
									const char *keyword);
static void report_dependencies(EeReport *r, const EeObjectRules *rules,
								const EeHere *here, EeTrack *track);
static void report_dependency(EeReport *r, const EeDependency *dependency,
							  const EeHere *here);
static void report_child(EeReport *r, const EeEdge *edge, const EeHere *here,
						 const EePath *instance, EeValue value,
						 const char *keyword, const char *name, uint32 len);
static inline bool is_known_valid(EeReport *r, const EeEdge *edge,
								  EeValue value);
static void report_below(EeReport *r, const EeEdge *edge,
						 const EeHere *there);

/* [Core 2020-12, 10.3.1; Validation 2020-12, 6.4] */
void
ee_schema_report_array(EeReport *r, const EeArrayRules *rules,
					   const EeHere *here, EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(here->v);
	EeWalk		walk;
	uint32		i;

	if (n < rules->min_items)
		report_count(r, here, "minItems", "at least ", rules->min_items, n,
					 " item", " items");
	if (n > rules->max_items)
		report_count(r, here, "maxItems", "at most ", rules->max_items, n,
					 " item", " items");
	if (rules->unique)
		report_unique(r, here);
	ee_walk_array(&walk, here->v);
	for (i = 0; i < n && !ee_schema_report_full(r); i++)
	{
		EeValue		item = ee_walk_element(&walk);

		if (i < rules->nprefix)
			report_item(r, &rules->prefix[i], here, i, item,
						rules->tuple ? "items" : "prefixItems", i);
		else if (rules->rest.node != EE_NODE_NONE)
			report_item(r, &rules->rest, here, i, item,
						rules->tuple ? "additionalItems" : "items", -1);
		else
			break;
		if (track != NULL)
			ee_track_set(track, i);
	}
	if (rules->contains.node != EE_NODE_NONE)
		report_contains(r, rules, here, track);
}

/* Too few or too many children. */
static void
report_count(EeReport *r, const EeHere *here, const char *keyword,
			 const char *words, uint32 limit, uint32 n, const char *one,
			 const char *many)
{
	EeViolation *violation = ee_schema_violation_add(r, here, keyword);

	if (violation == NULL)
		return;
	violation->expected = ee_schema_violation_count(words, limit, one, many);
	violation->found = ee_schema_violation_count("", n, one, many);
	violation->message = ee_schema_violation_words("must have ",
												   violation->expected, NULL);
}

/* uniqueItems  [Validation 2020-12, 6.4.3] */
static void
report_unique(EeReport *r, const EeHere *here)
{
	EeViolation *violation;
	uint32		first,
				second;

	if (ee_value_unique(here->v, &first, &second) ||
		(violation = ee_schema_violation_add(r, here, "uniqueItems")) == NULL)
		return;
	violation->expected = "items that differ";
	violation->found = psprintf("items %u and %u are equal", first, second);
	violation->message = psprintf("items %u and %u must not be equal", first,
								  second);
}

/*
 * items, prefixItems, additionalItems  [Core 2020-12, 10.3.1] for an item.
 * position: of its schema in an array of them, or -1.
 */
static void
report_item(EeReport *r, const EeEdge *edge, const EeHere *here, uint32 index,
			EeValue value, const char *keyword, int position)
{
	EePath		instance = {here->instance, NULL, 0, index};
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, NULL, 0, position};
	EeHere		there = {value, &instance, position >= 0 ? &below : &path};

	if (is_known_valid(r, edge, value))
		return;
	if (edge->fast == EE_NODE_FALSE && position < 0)
		report_item_refused(r, here, index, value, keyword);
	else
		report_below(r, edge, &there);
}

static void
report_item_refused(EeReport *r, const EeHere *here, uint32 index,
					EeValue value, const char *keyword)
{
	EePath		instance = {here->instance, NULL, 0, index};
	EeHere		there = {value, &instance, here->keyword};
	EeViolation *violation = ee_schema_violation_add(r, &there, keyword);

	if (violation == NULL)
		return;
	violation->found = ee_schema_violation_found(value);
	violation->message = psprintf("item %u is not allowed", index);
}

/* contains, minContains, maxContains  [Core, 10.3.1.3; Validation, 6.4.4] */
static void
report_contains(EeReport *r, const EeArrayRules *rules, const EeHere *here,
				EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(here->v);
	uint32		matches = 0;
	EeWalk		walk;
	uint32		i;

	ee_walk_array(&walk, here->v);
	for (i = 0; i < n; i++)
	{
		if (!ee_schema_eval_node(r->program, rules->contains.fast,
								 ee_walk_element(&walk), r->scope, NULL))
			continue;
		matches++;
		if (track != NULL && rules->contains_evaluates)
			ee_track_set(track, i);
	}
	if (matches < rules->min_contains)
		report_count(r, here,
					 rules->min_contains == 1 ? "contains" : "minContains",
					 "at least ", rules->min_contains, matches,
					 " matching item", " matching items");
	if (matches > rules->max_contains)
		report_count(r, here, "maxContains", "at most ", rules->max_contains,
					 matches, " matching item", " matching items");
}

/*
 * [Core 2020-12, 10.3.2; Validation 2020-12, 6.5] jsonb sorts keys by length
 * and bytes, and so are the properties of the rules: one pass over both.
 */
void
ee_schema_report_object(EeReport *r, const EeNode *node, const EeHere *here,
						EeTrack *track)
{
	const EeObjectRules *rules = node->object;
	const EeProperty *property = rules->properties;
	const EeProperty *end = property + rules->nproperties;
	uint32		n = EE_VALUE_COUNT(here->v);
	EeWalk		walk;
	uint32		i;

	if (n < rules->min_properties)
		report_count(r, here, "minProperties", "at least ",
					 rules->min_properties, n, " property", " properties");
	if (n > rules->max_properties)
		report_count(r, here, "maxProperties", "at most ",
					 rules->max_properties, n, " property", " properties");
	if (rules->nrequired > 0)
		report_required(r, rules, here);
	ee_walk_object(&walk, here->v);
	for (i = 0; i < n && !ee_schema_report_full(r); i++)
	{
		EeName		key;
		EeValue		value;
		int			cmp = 1;

		key.data = ee_walk_key(&walk, &key.len);
		value = ee_walk_value(&walk);
		while (property < end &&
			   (cmp = ee_name_compare(property->name, property->len,
									  key.data, key.len)) < 0)
			property++;
		if (report_property(r, node, here, key, value,
							property < end && cmp == 0 ? property : NULL) &&
			track != NULL)
			ee_track_set(track, i);
	}
	if (rules->ndependencies > 0)
		report_dependencies(r, rules, here, track);
}

/* required  [Validation 2020-12, 6.5.3]: again one pass over both. */
static void
report_required(EeReport *r, const EeObjectRules *rules, const EeHere *here)
{
	const EeProperty *property = rules->properties;
	const EeProperty *end = property + rules->nproperties;
	uint32		left = EE_VALUE_COUNT(here->v); /* keys, with the current */
	EeName		key = {NULL, 0};
	EeWalk		walk;

	ee_walk_object(&walk, here->v);
	if (left > 0)
		key.data = ee_walk_key(&walk, &key.len);
	for (; property < end; property++)
	{
		int			cmp = -1;

		while (left > 0 &&
			   (cmp = ee_name_compare(property->name, property->len,
									  key.data, key.len)) > 0)
		{
			if (--left > 0)
				key.data = ee_walk_key(&walk, &key.len);
		}
		if (property->required && (left == 0 || cmp != 0))
			report_missing(r, rules, here, property);
	}
}

static void
report_missing(EeReport *r, const EeObjectRules *rules, const EeHere *here,
			   const EeProperty *property)
{
	EeName		name = {property->name, property->len};
	EeViolation *violation = ee_schema_violation_add(r, here, "required");
	const char *present = "";

	if (violation == NULL)
		return;
	/* where no other property is allowed, that is what will be said */
	if (rules->additional.fast != EE_NODE_FALSE)
		present = ee_schema_suggest_present(r, rules, here->v, name);
	violation->expected = ee_schema_violation_quote(name.data, name.len);
	violation->message = ee_schema_violation_words("property ",
												   violation->expected,
												   " is required", present,
												   NULL);
}

/*
 * properties, patternProperties, additionalProperties, propertyNames
 * [Core 2020-12, 10.3.2] for one property; was it looked at by any of them
 * but the last?
 */
static bool
report_property(EeReport *r, const EeNode *node, const EeHere *here,
				EeName key, EeValue value, const EeProperty *property)
{
	const EeObjectRules *rules = node->object;
	EePath		instance = {here->instance, key.data, key.len, 0};
	bool		evaluated = false;
	int			i;

	if (rules->names.node != EE_NODE_NONE)
	{
		EeValue		name = {key.data, key.len, EE_IS_STRING};

		report_child(r, &rules->names, here, &instance, name,
					 "propertyNames", NULL, 0);
	}
	if (property != NULL && property->declared)
	{
		evaluated = true;
		if (!property->leaf || !(property->types & value.type))
			report_child(r, &property->edge, here, &instance, value,
						 "properties", key.data, key.len);
	}
	for (i = 0; i < rules->npatterns; i++)
	{
		const EePatternProperty *pattern = &rules->patterns[i];
		const char *source;

		if (!ee_schema_regex_match(pattern->regex, key.data, key.len))
			continue;
		evaluated = true;
		source = ee_schema_regex_source(pattern->regex);
		report_child(r, &pattern->edge, here, &instance, value,
					 "patternProperties", source, strlen(source));
	}
	if (evaluated || rules->additional.node == EE_NODE_NONE)
		return evaluated;
	if (rules->additional.fast == EE_NODE_FALSE)
		report_property_refused(r, node, here, &instance, key, value,
								"additionalProperties");
	else
		report_child(r, &rules->additional, here, &instance, value,
					 "additionalProperties", NULL, 0);
	return true;
}

static void
report_property_refused(EeReport *r, const EeNode *node, const EeHere *here,
						const EePath *instance, EeName key, EeValue value,
						const char *keyword)
{
	EeHere		there = {value, instance, here->keyword};
	EeViolation *violation = ee_schema_violation_add(r, &there, keyword);

	if (violation == NULL)
		return;
	violation->found = ee_schema_violation_quote(key.data, key.len);
	violation->message =
		ee_schema_violation_words("property ", violation->found,
								  " is not allowed",
								  ee_schema_suggest_property(r, node, here->v,
															 key), NULL);
}

/*
 * dependencies  [Validation draft 7, 6.5.7], dependentRequired  [Validation
 * 2020-12, 6.5.4], dependentSchemas  [Core 2020-12, 10.2.2.4],
 * propertyDependencies
 */
static void
report_dependencies(EeReport *r, const EeObjectRules *rules,
					const EeHere *here, EeTrack *track)
{
	int			i;

	for (i = 0; i < rules->ndependencies && !ee_schema_report_full(r); i++)
	{
		const EeDependency *dependency = &rules->dependencies[i];
		EePath		keyword = {here->keyword, dependency->keyword,
		strlen(dependency->keyword), 0};
		EePath		below = {&keyword, dependency->name.data,
		dependency->name.len, 0};
		EePath		choice = {&below, dependency->value.data,
		dependency->value.len, 0};
		EeHere		there = {here->v, here->instance,
		dependency->has_value ? &choice : &below};

		if (!ee_schema_eval_depends(dependency, here->v))
			continue;
		report_dependency(r, dependency, here);
		if (dependency->edge.node != EE_NODE_NONE)
			ee_schema_report_node(r, dependency->edge.node, &there, track);
	}
}

/* The properties that one is required to have beside it. */
static void
report_dependency(EeReport *r, const EeDependency *dependency,
				  const EeHere *here)
{
	EeName		name = dependency->name;
	int			i;

	for (i = 0; i < dependency->nrequired; i++)
	{
		EeName		needed = dependency->required[i];
		EeViolation *violation;

		if (ee_value_get(here->v, needed.data, needed.len, NULL) ||
			(violation = ee_schema_violation_add(r, here,
												 dependency->keyword)) == NULL)
			continue;
		violation->expected = ee_schema_violation_quote(needed.data,
														needed.len);
		violation->message =
			ee_schema_violation_words("property ", violation->expected,
									  " is required beside ",
									  ee_schema_violation_quote(name.data,
																name.len),
									  NULL);
	}
}

/* unevaluatedItems, unevaluatedProperties  [Core 2020-12, 11.2, 11.3] */
void
ee_schema_report_unevaluated(EeReport *r, const EeNode *node,
							 const EeHere *here, EeTrack *track)
{
	bool		array = here->v.type == EE_IS_ARRAY;
	const char *keyword = array ? "unevaluatedItems" :
	"unevaluatedProperties";
	uint32		n = EE_VALUE_COUNT(here->v);
	const EeEdge *edge = NULL;
	EeWalk		walk;
	uint32		i;

	if (array && node->array != NULL)
		edge = &node->array->unevaluated;
	else if (!array && node->object != NULL)
		edge = &node->object->unevaluated;
	if (edge == NULL || edge->node == EE_NODE_NONE)
		return;
	if (array)
		ee_walk_array(&walk, here->v);
	else
		ee_walk_object(&walk, here->v);
	for (i = 0; i < n && !ee_schema_report_full(r); i++)
	{
		EeName		key = {NULL, 0};
		EePath		instance = {here->instance, NULL, 0, i};
		EeValue		value;

		if (!array)
			key.data = ee_walk_key(&walk, &key.len);
		instance.key = key.data;
		instance.len = key.len;
		value = array ? ee_walk_element(&walk) : ee_walk_value(&walk);
		if (ee_track_is_set(track, i))
			continue;
		if (edge->fast != EE_NODE_FALSE)
			report_child(r, edge, here, &instance, value, keyword, NULL, 0);
		else if (array)
			report_item_refused(r, here, i, value, keyword);
		else
			report_property_refused(r, node, here, &instance, key, value,
									keyword);
	}
	ee_track_all(track);
}

/*
 * A child of the instance against a child of the schema: the one under name
 * in the keyword's value, or, without name, that value itself.
 */
static void
report_child(EeReport *r, const EeEdge *edge, const EeHere *here,
			 const EePath *instance, EeValue value, const char *keyword,
			 const char *name, uint32 len)
{
	EePath		path = {here->keyword, keyword};
	EePath		below = {&path, name, len};
	EeHere		there = {value, instance, name ? &below : &path};

	if (is_known_valid(r, edge, value))
		return;
	path.len = strlen(keyword);
	report_below(r, edge, &there);
}

/*
 * Nearly all children are valid, and the boolean evaluation says so sooner
 * than a report that finds nothing.  To ask at each level would make deep
 * instances dear: a container is asked of only when it is at most half as
 * large as the one around it that was asked of last, so that nothing is
 * looked at more often than its size can be halved.
 */
static inline bool
is_known_valid(EeReport *r, const EeEdge *edge, EeValue value)
{
	if (edge->fast == EE_NODE_TRUE)
		return true;
	if ((value.type & (EE_IS_ARRAY | EE_IS_OBJECT)) &&
		value.len > r->asked / 2)
		return false;
	r->visits++;
	return ee_schema_eval_node(r->program, edge->fast, value, r->scope, NULL);
}

static void
report_below(EeReport *r, const EeEdge *edge, const EeHere *there)
{
	uint32		outer = r->asked;

	if (there->v.len <= outer / 2)
		r->asked = there->v.len;
	ee_schema_report_node(r, edge->node, there, NULL);
	r->asked = outer;
}
