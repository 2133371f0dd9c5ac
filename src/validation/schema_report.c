/*
 * schema_report.c
 *	  Every reason why an instance is not valid, for people.
 *
 * Walks the same program as schema_eval.c, but over the edges as written, and
 * does not stop at what fails.  The order is fixed: at each place type, enum,
 * const, the keywords of the value's type, then those that apply schemas in
 * place; children in the order of the instance.
 *
 * Where one of several schemas must match (anyOf, oneOf) and none does, the
 * reasons given are those of the branch that came closest: the one that
 * accepts the type and the constants that tell branches apart, then the one
 * with the fewest violations.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "validation/schema_check.h"
#include "validation/schema_eval.h"
#include "validation/schema_problem.h"
#include "validation/schema_program.h"
#include "validation/schema_report.h"
#include "validation/schema_track.h"
#include "validation/schema_violation.h"

/*
 * Nodes visited before choices are no longer looked into: in a recursive
 * schema each level multiplies the ways to fail.
 */
#define MAX_VISITS		1000000

#define BRANCH_LIMIT	50		/* violations looked at in each branch */

/* how much further these are than any other violation */
#define WRONG_TYPE		100000
#define WRONG_CONSTANT	1000

static void report_node(EeReport *r, EeNodeId id, const EeHere *here,
						EeTrack *track);
static void report_rules(EeReport *r, const EeNode *node, const EeHere *here,
						 EeTrack *track);
static void report_array(EeReport *r, const EeArrayRules *rules,
						 const EeHere *here, EeTrack *track);
static void report_count(EeReport *r, const EeHere *here, const char *keyword,
						 const char *words, uint32 limit, uint32 n,
						 const char *one, const char *many);
static void report_contains(EeReport *r, const EeArrayRules *rules,
							const EeHere *here, EeTrack *track);
static void report_object(EeReport *r, const EeObjectRules *rules,
						  const EeHere *here, EeTrack *track);
static bool report_property(EeReport *r, const EeObjectRules *rules,
							const EeHere *here, const char *key, uint32 len,
							EeValue value);
static void report_missing(EeReport *r, const EeObjectRules *rules,
						   const EeHere *here);
static void report_dependencies(EeReport *r, const EeObjectRules *rules,
								const EeHere *here, EeTrack *track);
static void report_unevaluated(EeReport *r, const EeNode *node,
							   const EeHere *here, EeTrack *track);
static void report_group(EeReport *r, const EeGroup *group, const EeHere *here,
						 EeTrack *track);
static void report_choice(EeReport *r, const EeGroup *group,
						  const EeHere *here, EeTrack *track);
static int	closest_branch(EeReport *r, const EeGroup *group,
						   const EeHere *here, List **violations);
static int	least_distance(const EeReport *r, const EeEdge *edge, EeValue v);
static int	wrong_constants(const EeNode *node, EeValue v);
static int	distance(const List *violations, const EeHere *here);
static int	distance_below(const List *violations, size_t len);
static void report_child(EeReport *r, const EeEdge *edge, const EeHere *here,
						 const EePath *instance, EeValue value,
						 const char *keyword, const char *name, uint32 len);
static void report_item(EeReport *r, const EeEdge *edge, const EeHere *here,
						uint32 index, EeValue value, const char *keyword,
						int position);
static void report_refused(EeReport *r, const EeHere *here,
						   const char *keyword);
static void report_in_place(EeReport *r, const EeEdge *edge,
							const EeHere *here, const char *keyword, int index,
							EeTrack *track);

/*
 * Every violation of an instance, EeViolation in the current context; NIL if
 * it is valid.  At most max_violations, or all if that is not above 0.
 */
List *
ee_schema_report(const EeSchema *schema, Jsonb *instance, int max_violations)
{
	EeReport	r = {schema, NULL, NIL, max_violations};
	EeHere		here = {ee_value_root(instance), NULL, NULL};

	if (r.max <= 0)
		r.max = INT_MAX;
	report_node(&r, schema->root.node, &here, NULL);
	return r.violations;
}

/*
 * All of them as a tree: where a schema has several, they are below one that
 * stands for it.  The root's are not.
 */
List *
ee_schema_report_tree(const EeSchema *schema, Jsonb *instance)
{
	EeReport	r = {schema, NULL, NIL, INT_MAX};
	EeHere		here = {ee_value_root(instance), NULL, NULL};

	r.tree = true;
	report_node(&r, schema->root.node, &here, NULL);
	return r.violations;
}

static void
report_node(EeReport *r, EeNodeId id, const EeHere *here, EeTrack *track)
{
	const EeNode *node = &r->program->nodes[id];
	EeScope		scope = {r->scope, node->resource};
	EeNodeId	outer_node = r->node;
	const EePath *outer_path = r->node_path;
	int			first = list_length(r->violations);
	bool		enters;
	EeTrack		own;

	if (ee_schema_violation_full(r))
		return;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	r->visits++;
	if (id == EE_NODE_FALSE)
	{
		report_refused(r, here, "");
		return;
	}
	r->node = id;
	r->node_path = here->keyword;
	enters = r->program->dynamic && id != EE_NODE_TRUE &&
		(r->scope == NULL || r->scope->resource != node->resource);
	if (enters)
		r->scope = &scope;
	if ((node->flags & EE_NODE_UNEVALUATED) &&
		(here->v.type & (EE_IS_ARRAY | EE_IS_OBJECT)))
	{
		ee_track_begin(&own, here->v);
		report_rules(r, node, here, &own);
		report_unevaluated(r, node, here, &own);
		if (track != NULL)
			ee_track_merge(track, &own);
		ee_track_end(&own);
	}
	else
		report_rules(r, node, here, track);
	if (enters)
		r->scope = scope.outer;
	if (here->keyword != NULL)
		ee_schema_violation_group(r, here, first);
	r->node = outer_node;
	r->node_path = outer_path;
}

static void
report_rules(EeReport *r, const EeNode *node, const EeHere *here,
			 EeTrack *track)
{
	EeValue		v = here->v;
	int			i;

	if (!ee_schema_check_type(node, v))
		ee_schema_report_type(r, node, here);
	if (node->enumeration != NULL &&
		!ee_schema_check_enum(node->enumeration, v))
		ee_schema_violation_add(r, here, "enum", node->enumeration->text,
								ee_schema_violation_found(v),
								"must be one of the listed values");
	if (node->constant != NULL && !ee_schema_check_enum(node->constant, v))
		ee_schema_violation_add(r, here, "const", node->constant->text,
								ee_schema_violation_found(v),
								"must be the given value");
	if (v.type == EE_IS_NUMBER && node->number != NULL)
		ee_schema_report_number(r, node->number, here);
	else if (v.type == EE_IS_STRING && node->string != NULL)
		ee_schema_report_string(r, node->string, here);
	else if (v.type == EE_IS_ARRAY && node->array != NULL)
		report_array(r, node->array, here, track);
	else if (v.type == EE_IS_OBJECT && node->object != NULL)
		report_object(r, node->object, here, track);
	for (i = 0; i < node->ngroups; i++)
		report_group(r, &node->groups[i], here, track);
}

/* [Core 2020-12, 10.3.1; Validation 2020-12, 6.4] */
static void
report_array(EeReport *r, const EeArrayRules *rules, const EeHere *here,
			 EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(here->v);
	EeWalk		walk;
	uint32		i,
				first,
				second;

	if (n < rules->min_items)
		report_count(r, here, "minItems", "at least ", rules->min_items, n,
					 "item", "items");
	if (n > rules->max_items)
		report_count(r, here, "maxItems", "at most ", rules->max_items, n,
					 "item", "items");
	if (rules->unique && !ee_value_unique(here->v, &first, &second))
		ee_schema_violation_add(r, here, "uniqueItems", "items that differ",
			psprintf("items %u and %u are equal", first, second),
			"items %u and %u must not be equal", first, second);
	ee_walk_array(&walk, here->v);
	for (i = 0; i < n && !ee_schema_violation_full(r); i++)
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
	char	   *expected = ee_schema_violation_count(words, limit, one, many);

	ee_schema_violation_add(r, here, keyword, expected,
							ee_schema_violation_count("", n, one, many),
							"must have %s", expected);
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
					 "matching item", "matching items");
	if (matches > rules->max_contains)
		report_count(r, here, "maxContains", "at most ", rules->max_contains,
					 matches, "matching item", "matching items");
}

/* [Core 2020-12, 10.3.2; Validation 2020-12, 6.5] */
static void
report_object(EeReport *r, const EeObjectRules *rules, const EeHere *here,
			  EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(here->v);
	EeWalk		walk;
	uint32		i;

	if (n < rules->min_properties)
		report_count(r, here, "minProperties", "at least ",
					 rules->min_properties, n, "property", "properties");
	if (n > rules->max_properties)
		report_count(r, here, "maxProperties", "at most ",
					 rules->max_properties, n, "property", "properties");
	if (rules->nrequired > 0)
		report_missing(r, rules, here);
	ee_walk_object(&walk, here->v);
	for (i = 0; i < n && !ee_schema_violation_full(r); i++)
	{
		uint32		len;
		const char *key = ee_walk_key(&walk, &len);
		EeValue		value = ee_walk_value(&walk);

		if (report_property(r, rules, here, key, len, value) && track != NULL)
			ee_track_set(track, i);
	}
	report_dependencies(r, rules, here, track);
}

/* required  [Validation 2020-12, 6.5.3] */
static void
report_missing(EeReport *r, const EeObjectRules *rules, const EeHere *here)
{
	uint32		i;

	for (i = 0; i < rules->nproperties && !ee_schema_violation_full(r); i++)
	{
		const EeProperty *property = &rules->properties[i];

		if (property->required &&
			!ee_value_get(here->v, property->name, property->len, NULL))
			ee_schema_violation_add(r, here, "required",
									ee_schema_violation_quote(property->name,
															  property->len),
									NULL, "property %s is required",
									ee_schema_violation_quote(property->name,
															  property->len));
	}
}

/* One property; was it looked at by any keyword? */
static bool
report_property(EeReport *r, const EeObjectRules *rules, const EeHere *here,
				const char *key, uint32 len, EeValue value)
{
	EePath		instance = {here->instance, key, len, 0};
	bool		evaluated = false;
	uint32		low = 0,
				high = rules->nproperties;
	int			i;

	if (rules->names.node != EE_NODE_NONE)
	{
		EeValue		name = {key, len, EE_IS_STRING};

		report_child(r, &rules->names, here, &instance, name,
					 "propertyNames", NULL, 0);
	}
	while (low < high)
	{
		uint32		mid = (low + high) / 2;
		const EeProperty *property = &rules->properties[mid];
		int			cmp = ee_name_compare(property->name, property->len,
										  key, len);

		if (cmp == 0)
		{
			if (property->declared)
			{
				evaluated = true;
				report_child(r, &property->edge, here, &instance, value,
							 "properties", key, len);
			}
			break;
		}
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (i = 0; i < rules->npatterns; i++)
	{
		const EePatternProperty *pattern = &rules->patterns[i];
		const char *source = ee_schema_regex_source(pattern->regex);

		if (!ee_schema_regex_match(pattern->regex, key, len))
			continue;
		evaluated = true;
		report_child(r, &pattern->edge, here, &instance, value,
					 "patternProperties", source, strlen(source));
	}
	if (evaluated || rules->additional.node == EE_NODE_NONE)
		return evaluated;
	if (rules->additional.fast == EE_NODE_FALSE)
	{
		EeHere		there = {value, &instance, here->keyword};

		ee_schema_violation_add(r, &there, "additionalProperties", NULL,
								ee_schema_violation_quote(key, len),
								"property %s is not allowed%s",
								ee_schema_violation_quote(key, len),
								ee_schema_violation_similar(r, rules, key, len));
	}
	else
		report_child(r, &rules->additional, here, &instance, value,
					 "additionalProperties", NULL, 0);
	return true;
}

/*
 * dependencies  [draft 7, 6.5.7], dependentRequired, dependentSchemas,
 * propertyDependencies
 */
static void
report_dependencies(EeReport *r, const EeObjectRules *rules,
					const EeHere *here, EeTrack *track)
{
	int			i,
				j;

	for (i = 0; i < rules->ndependencies && !ee_schema_violation_full(r); i++)
	{
		const EeDependency *dependency = &rules->dependencies[i];
		EeName		name = dependency->name;
		EePath		keyword = {here->keyword, dependency->keyword,
		strlen(dependency->keyword), 0};
		EePath		below = {&keyword, name.data, name.len, 0};
		EePath		choice = {&below, dependency->value.data,
		dependency->value.len, 0};
		EeHere		there = {here->v, here->instance, &below};

		if (!ee_schema_eval_depends(dependency, here->v))
			continue;
		for (j = 0; j < dependency->nrequired; j++)
		{
			EeName		needed = dependency->required[j];

			if (!ee_value_get(here->v, needed.data, needed.len, NULL))
			{
				there.keyword = here->keyword;
				ee_schema_violation_add(r, &there, dependency->keyword,
					ee_schema_violation_quote(needed.data, needed.len), NULL,
					"property %s is required beside %s",
					ee_schema_violation_quote(needed.data, needed.len),
					ee_schema_violation_quote(name.data, name.len));
			}
		}
		there.keyword = dependency->has_value ? &choice : &below;
		if (dependency->edge.node != EE_NODE_NONE)
			report_node(r, dependency->edge.node, &there, track);
	}
}

/* unevaluatedItems, unevaluatedProperties  [Core 2020-12, 11.2, 11.3] */
static void
report_unevaluated(EeReport *r, const EeNode *node, const EeHere *here,
				   EeTrack *track)
{
	bool		array = here->v.type == EE_IS_ARRAY;
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
	for (i = 0; i < n && !ee_schema_violation_full(r); i++)
	{
		uint32		len = 0;
		const char *key = array ? NULL : ee_walk_key(&walk, &len);
		EeValue		value = array ? ee_walk_element(&walk) :
		ee_walk_value(&walk);
		EePath		instance = {here->instance, key, len, i};
		EeHere		there = {value, &instance, here->keyword};

		if (ee_track_is_set(track, i))
			continue;
		if (edge->fast != EE_NODE_FALSE)
			report_child(r, edge, here, &instance, value,
						 array ? "unevaluatedItems" : "unevaluatedProperties",
						 NULL, 0);
		else if (array)
			ee_schema_violation_add(r, &there, "unevaluatedItems", NULL,
									ee_schema_violation_found(value),
									"item %u is not allowed", i);
		else
			ee_schema_violation_add(r, &there, "unevaluatedProperties", NULL,
									ee_schema_violation_quote(key, len),
									"property %s is not allowed",
									ee_schema_violation_quote(key, len));
	}
	ee_track_all(track);
}

/* [Core 2020-12, 8.2.3, 10.2] */
static void
report_group(EeReport *r, const EeGroup *group, const EeHere *here,
			 EeTrack *track)
{
	EeEdge		edge;
	int			i;

	switch (group->kind)
	{
		case EE_GROUP_REF:
			report_in_place(r, &group->edges[0], here, group->keyword, -1,
							track);
			break;
		case EE_GROUP_DYNAMIC_REF:
			edge.node = ee_schema_eval_dynamic(r->program, group, r->scope);
			report_in_place(r, &edge, here, group->keyword, -1, track);
			break;
		case EE_GROUP_ALL_OF:
			for (i = 0; i < group->nedges; i++)
				report_in_place(r, &group->edges[i], here, group->keyword, i,
								track);
			break;
		case EE_GROUP_ANY_OF:
		case EE_GROUP_ONE_OF:
			report_choice(r, group, here, track);
			break;
		case EE_GROUP_NOT:
			if (ee_schema_eval_node(r->program, group->edges[0].fast, here->v,
									r->scope, NULL))
				ee_schema_violation_add(r, here, "not", NULL,
										ee_schema_violation_found(here->v),
										"must not match the schema");
			break;
		case EE_GROUP_IF:
			if (ee_schema_eval_node(r->program, group->edges[0].fast, here->v,
									r->scope, track))
				report_in_place(r, &group->edges[1], here, "then", -1, track);
			else
				report_in_place(r, &group->edges[2], here, "else", -1, track);
			break;
	}
}

/* anyOf, oneOf  [Core 2020-12, 10.2.1.2, 10.2.1.3] */
static void
report_choice(EeReport *r, const EeGroup *group, const EeHere *here,
			  EeTrack *track)
{
	bool		one = group->kind == EE_GROUP_ONE_OF;
	int			matches[2] = {-1, -1};
	int			n = 0;
	List	   *violations = NIL;
	int			best = -1;
	int			first = list_length(r->violations);
	ListCell   *lc;
	int			i;

	for (i = 0; i < group->nedges; i++)
	{
		if (!ee_schema_eval_node(r->program, group->edges[i].fast, here->v,
								 r->scope, track))
			continue;
		if (n < 2)
			matches[n] = i;
		if (++n > 1 && one)
			break;
		if (!one && track == NULL)
			break;
	}
	if (n == 1 || (n > 1 && !one))
		return;
	if (n > 1)
	{
		ee_schema_violation_add(r, here, "oneOf",
								"exactly one matching schema",
								psprintf("oneOf/%d and oneOf/%d", matches[0],
										 matches[1]),
								"must match exactly one of the schemas, matches oneOf/%d and oneOf/%d",
								matches[0], matches[1]);
		return;
	}
	if (r->visits < MAX_VISITS)
		best = closest_branch(r, group, here, &violations);
	ee_schema_violation_add(r, here, group->keyword,
							one ? "exactly one matching schema" :
							"at least one matching schema",
							ee_schema_violation_found(here->v),
							"must match %s of the schemas%s",
							one ? "exactly one" : "at least one",
							best < 0 ? "" :
							psprintf(", closest is %s/%d", group->keyword,
									 best));
	if (r->tree && list_length(r->violations) > first)
	{
		((EeViolation *) llast(r->violations))->below = violations;
		return;
	}
	foreach(lc, violations)
		if (!ee_schema_violation_full(r))
			r->violations = lappend(r->violations, lfirst(lc));
}

/*
 * The branch whose failure says most, and its violations.  Each is reported
 * in a context of its own, of which only the best one's findings stay.
 */
static int
closest_branch(EeReport *r, const EeGroup *group, const EeHere *here,
			   List **violations)
{
	List	   *outer = r->violations;
	int			outer_max = r->max;
	int			best = -1;
	int			best_distance = INT_MAX;
	int		   *least = palloc(group->nedges * sizeof(int));
	int			floor = INT_MAX;
	MemoryContext context;
	MemoryContext old;
	int			turn;
	int			i;

	for (i = 0; i < group->nedges; i++)
	{
		least[i] = least_distance(r, &group->edges[i], here->v);
		floor = Min(floor, least[i]);
	}
	r->max = BRANCH_LIMIT;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_engine schema report",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	for (turn = 0; turn < 2 * group->nedges; turn++)
	{
		int			d;

		/* first those that look closest, then who might be closer still */
		i = turn % group->nedges;
		if ((turn < group->nedges) != (least[i] == floor) ||
			least[i] > best_distance)
			continue;
		r->violations = NIL;
		report_in_place(r, &group->edges[i], here, group->keyword, i, NULL);
		d = distance(r->violations, here);
		if (d < best_distance || (d == best_distance && i < best))
		{
			best = i;
			best_distance = d;
			MemoryContextSwitchTo(old);
			*violations = ee_schema_violation_copy(r->violations);
			MemoryContextSwitchTo(context);
		}
		MemoryContextReset(context);
		if (r->visits >= MAX_VISITS)
			break;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	pfree(least);
	r->violations = outer;
	r->max = outer_max;
	return best;
}

/*
 * What a branch's distance is at least, by a glance: mostly enough to tell
 * the branch that was meant, so that the others need not be walked.
 */
static int
least_distance(const EeReport *r, const EeEdge *edge, EeValue v)
{
	const EeNode *node = &r->program->nodes[edge->fast];
	int			result;
	uint32		i;

	if (edge->fast == EE_NODE_FALSE)
		return 0;
	result = WRONG_CONSTANT * wrong_constants(node, v);
	if (!ee_schema_check_type(node, v))
		result += WRONG_TYPE;
	if (v.type != EE_IS_OBJECT || node->object == NULL)
		return result;
	for (i = 0; i < node->object->nproperties; i++)
	{
		const EeProperty *property = &node->object->properties[i];
		const EeNode *child = &r->program->nodes[property->edge.fast];
		EeValue		value;

		if ((child->constant != NULL || child->enumeration != NULL) &&
			ee_value_get(v, property->name, property->len, &value))
			result += WRONG_CONSTANT * wrong_constants(child, value);
		if (result > WRONG_TYPE)
			break;
	}
	return result;
}

static int
wrong_constants(const EeNode *node, EeValue v)
{
	return (node->constant != NULL &&
			!ee_schema_check_enum(node->constant, v)) +
		(node->enumeration != NULL &&
		 !ee_schema_check_enum(node->enumeration, v));
}

/*
 * How far a branch is from matching.  A wrong type of the value itself says
 * that the branch was not meant at all, and a wrong constant of the value or
 * of its properties nearly so.
 */
static int
distance(const List *violations, const EeHere *here)
{
	return distance_below(violations,
						  strlen(ee_schema_path_text(here->instance)));
}

/* len: of the path to the value */
static int
distance_below(const List *violations, size_t len)
{
	int			result = 0;
	ListCell   *lc;

	foreach(lc, violations)
	{
		const EeViolation *violation = lfirst(lc);
		const char *below = violation->instance_path + len;

		result += distance_below(violation->below, len);
		if (violation->message == NULL)
			continue;
		result++;
		if (strcmp(violation->keyword, "type") == 0 && *below == '\0')
			result += WRONG_TYPE;
		else if ((strcmp(violation->keyword, "const") == 0 ||
				  strcmp(violation->keyword, "enum") == 0) &&
				 (*below == '\0' || strchr(below + 1, '/') == NULL))
			result += WRONG_CONSTANT;
	}
	return result;
}

/* A child of the instance against a child of the schema. */
static void
report_child(EeReport *r, const EeEdge *edge, const EeHere *here,
			 const EePath *instance, EeValue value, const char *keyword,
			 const char *name, uint32 len)
{
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, name, len, 0};
	EeHere		there = {value, instance, name ? &below : &path};

	if (edge->node == EE_NODE_TRUE)
		return;
	report_node(r, edge->node, &there, NULL);
}

static void
report_item(EeReport *r, const EeEdge *edge, const EeHere *here, uint32 index,
			EeValue value, const char *keyword, int position)
{
	EePath		instance = {here->instance, NULL, 0, index};
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, NULL, 0, position};
	EeHere		there = {value, &instance, position >= 0 ? &below : &path};

	if (edge->fast == EE_NODE_FALSE && position < 0)
	{
		there.keyword = here->keyword;
		ee_schema_violation_add(r, &there, keyword, NULL,
								ee_schema_violation_found(value),
								"item %u is not allowed", index);
	}
	else if (edge->node != EE_NODE_TRUE)
		report_node(r, edge->node, &there, NULL);
}

/* The boolean schema false  [Core 2020-12, 4.3.2]: its path says where. */
static void
report_refused(EeReport *r, const EeHere *here, const char *keyword)
{
	EeViolation *violation;

	ee_schema_violation_add(r, here, keyword, NULL,
							ee_schema_violation_found(here->v),
							"no value is allowed");
	violation = llast(r->violations);
	violation->keyword_path = ee_schema_path_text(here->keyword);
	violation->location =
		ee_schema_violation_location(r, violation->keyword_path);
	violation->keyword = "false";
}

/* The same instance against a schema of a keyword. */
static void
report_in_place(EeReport *r, const EeEdge *edge, const EeHere *here,
				const char *keyword, int index, EeTrack *track)
{
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, NULL, 0, index};
	EeHere		there = {here->v, here->instance,
	index >= 0 ? &below : &path};

	report_node(r, edge->node, &there, track);
}

