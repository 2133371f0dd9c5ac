/*
 * schema_annotation.c
 *	  What a schema says of an instance that is valid: its annotations
 *	  [Core 2020-12, 7.7].
 *
 * Walks a program that was compiled for an output, over the edges as written,
 * through those schemas alone that the instance is valid against.  At each
 * place first what the schema says itself, in the order of jsonb's keys, then
 * the children of the instance, then what the keywords for arrays or objects
 * were applied to, then the schemas that see the same value.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/numeric.h"

#include "validation/schema_annotation.h"
#include "validation/schema_problem.h"
#include "validation/schema_program.h"
#include "validation/schema_track.h"
#include "validation/schema_violation.h"

/* as with violations, there is no end to them in a schema that wants it so */
#define MAX_ANNOTATIONS	100000

typedef struct Walk
{
	const EeSchema *program;
	const EeScope *scope;
	List	   *annotations;	/* EeAnnotation */
	int			count;			/* of them, at all depths */
	bool		tree;
	EeNodeId	node;			/* where it stands, and */
	const EePath *node_path;	/* the way there */
} Walk;

/* what the keywords of an object or array looked at, of one kind */
typedef struct Found
{
	JsonbParseState *state;
	int			n;
} Found;

static void annotate_node(Walk *w, EeNodeId id, const EeHere *here,
						  EeTrack *track);
static void annotate_rules(Walk *w, const EeNode *node, const EeHere *here,
						   EeTrack *track);
static void annotate_array(Walk *w, const EeArrayRules *rules,
						   const EeHere *here, EeTrack *track);
static void annotate_contains(Walk *w, const EeArrayRules *rules,
							  const EeHere *here, EeTrack *track);
static void annotate_object(Walk *w, const EeObjectRules *rules,
							const EeHere *here, EeTrack *track);
static void annotate_dependency(Walk *w, const EeDependency *dependency,
								const EeHere *here, EeTrack *track);
static void annotate_unevaluated(Walk *w, const EeNode *node,
								 const EeHere *here, EeTrack *track);
static void annotate_group(Walk *w, const EeGroup *group, const EeHere *here,
						   EeTrack *track);
static void annotate_child(Walk *w, const EeEdge *edge, const EeHere *here,
						   const EePath *instance, EeValue value,
						   const char *keyword, const char *name, uint32 len);
static void annotate_item(Walk *w, const EeEdge *edge, const EeHere *here,
						  uint32 index, EeValue value, const char *keyword,
						  int position);
static void annotate_in_place(Walk *w, const EeEdge *edge,
							  const EeHere *here, const char *keyword,
							  int index, EeTrack *track);
static void add(Walk *w, const EeHere *here, const char *keyword,
				EeValue value);
static void add_true(Walk *w, const EeHere *here, const char *keyword);
static void add_found(Walk *w, const EeHere *here, const char *keyword,
					  Found *found);
static void find(Found *found, JsonbValue *value);
static void find_name(Found *found, EeName name);
static void find_index(Found *found, uint32 index);
static void group_annotations(Walk *w, const EeHere *here, int first);

/*
 * All of them, in the current context, for a valid instance.  tree: those of
 * a schema with several are below one that stands for it; the root's are not.
 */
List *
ee_schema_annotations(const EeSchema *schema, Jsonb *instance, bool tree)
{
	Walk		w = {schema};
	EeHere		here = {ee_value_root(instance), NULL, NULL};

	w.tree = tree;
	annotate_node(&w, schema->root.node, &here, NULL);
	return w.annotations;
}

static void
annotate_node(Walk *w, EeNodeId id, const EeHere *here, EeTrack *track)
{
	const EeNode *node = &w->program->nodes[id];
	EeScope		scope = {w->scope, node->resource};
	const EeScope *outer_scope = w->scope;
	EeNodeId	outer_node = w->node;
	const EePath *outer_path = w->node_path;
	int			first = list_length(w->annotations);
	EeTrack		own;

	if (id == EE_NODE_TRUE || w->count >= MAX_ANNOTATIONS)
		return;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	w->node = id;
	w->node_path = here->keyword;
	if (w->program->dynamic &&
		(w->scope == NULL || w->scope->resource != node->resource))
		w->scope = &scope;
	if ((node->flags & EE_NODE_UNEVALUATED) &&
		(here->v.type & (EE_IS_ARRAY | EE_IS_OBJECT)))
	{
		ee_track_begin(&own, here->v);
		annotate_rules(w, node, here, &own);
		annotate_unevaluated(w, node, here, &own);
		if (track != NULL)
			ee_track_merge(track, &own);
		ee_track_end(&own);
	}
	else
		annotate_rules(w, node, here, track);
	if (here->keyword != NULL)
		group_annotations(w, here, first);
	w->scope = outer_scope;
	w->node = outer_node;
	w->node_path = outer_path;
}

static void
annotate_rules(Walk *w, const EeNode *node, const EeHere *here,
			   EeTrack *track)
{
	const EeDescription *description = &w->program->descriptions[w->node];
	int			i;

	for (i = 0; i < description->nnotes; i++)
	{
		const EeNote *note = &description->notes[i];

		if (!note->strings || here->v.type == EE_IS_STRING)
			add(w, here, note->keyword, note->value);
	}
	if (here->v.type == EE_IS_ARRAY && node->array != NULL)
		annotate_array(w, node->array, here, track);
	else if (here->v.type == EE_IS_OBJECT && node->object != NULL)
		annotate_object(w, node->object, here, track);
	for (i = 0; i < node->ngroups; i++)
		annotate_group(w, &node->groups[i], here, track);
}

/*
 * prefixItems, items, additionalItems  [Core 2020-12, 10.3.1; 2019-09,
 * 9.3.1]: the last index that an array of schemas was applied to, or true
 * where that is all; true for the others.
 */
static void
annotate_array(Walk *w, const EeArrayRules *rules, const EeHere *here,
			   EeTrack *track)
{
	const char *prefix = rules->tuple ? "items" : "prefixItems";
	const char *rest = rules->tuple ? "additionalItems" : "items";
	uint32		n = EE_VALUE_COUNT(here->v);
	EeValue		value = {NULL, 0, EE_IS_NUMBER};
	EeWalk		walk;
	uint32		i;

	if (n > 0 && rules->nprefix >= n)
		add_true(w, here, prefix);
	else if (n > 0 && rules->nprefix > 0)
	{
		value.data = (const char *) int64_to_numeric(rules->nprefix - 1);
		add(w, here, prefix, value);
	}
	if (n > rules->nprefix && rules->rest.node != EE_NODE_NONE)
		add_true(w, here, rest);
	ee_walk_array(&walk, here->v);
	for (i = 0; i < n; i++)
	{
		EeValue		item = ee_walk_element(&walk);

		if (i < rules->nprefix)
			annotate_item(w, &rules->prefix[i], here, i, item, prefix, i);
		else if (rules->rest.node != EE_NODE_NONE)
			annotate_item(w, &rules->rest, here, i, item, rest, -1);
		else
			break;
		if (track != NULL)
			ee_track_set(track, i);
	}
	if (rules->contains.node != EE_NODE_NONE)
		annotate_contains(w, rules, here, track);
}

/*
 * contains  [Core 2020-12, 10.3.1.3]: the indexes of what matches, or true
 * where that is all; nothing before 2020-12.
 */
static void
annotate_contains(Walk *w, const EeArrayRules *rules, const EeHere *here,
				  EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(here->v);
	Found		found = {NULL, 0};
	EeWalk		walk;
	uint32		i;

	ee_walk_array(&walk, here->v);
	for (i = 0; i < n; i++)
	{
		EeValue		item = ee_walk_element(&walk);

		if (!ee_schema_eval_node(w->program, rules->contains.fast, item,
								 w->scope, NULL))
			continue;
		find_index(&found, i);
		if (track != NULL && rules->contains_evaluates)
			ee_track_set(track, i);
		annotate_item(w, &rules->contains, here, i, item, "contains", -1);
	}
	if (!rules->contains_evaluates)
		return;
	if (n > 0 && found.n == n)
		add_true(w, here, "contains");
	else
		add_found(w, here, "contains", &found);
}

/*
 * properties, patternProperties, additionalProperties
 * [Core 2020-12, 10.3.2]: the names of what they were applied to.
 */
static void
annotate_object(Walk *w, const EeObjectRules *rules, const EeHere *here,
				EeTrack *track)
{
	const EeProperty *property = rules->properties;
	const EeProperty *end = property + rules->nproperties;
	uint32		n = EE_VALUE_COUNT(here->v);
	Found		declared = {NULL, 0};
	Found		matched = {NULL, 0};
	Found		additional = {NULL, 0};
	EeWalk		walk;
	uint32		i;
	int			j;

	ee_walk_object(&walk, here->v);
	for (i = 0; i < n; i++)
	{
		EeName		key;
		EeValue		value;
		EePath		instance = {here->instance, NULL, 0, 0};
		bool		evaluated = false;
		bool		matches = false;
		int			cmp = 1;

		key.data = ee_walk_key(&walk, &key.len);
		value = ee_walk_value(&walk);
		instance.key = key.data;
		instance.len = key.len;
		while (property < end &&
			   (cmp = ee_name_compare(property->name, property->len,
									  key.data, key.len)) < 0)
			property++;
		if (property < end && cmp == 0 && property->declared)
		{
			evaluated = true;
			find_name(&declared, key);
			annotate_child(w, &property->edge, here, &instance, value,
						   "properties", key.data, key.len);
		}
		for (j = 0; j < rules->npatterns; j++)
		{
			const EePatternProperty *pattern = &rules->patterns[j];
			const char *source = ee_schema_regex_source(pattern->regex);

			if (!ee_schema_regex_match(pattern->regex, key.data, key.len))
				continue;
			matches = true;
			annotate_child(w, &pattern->edge, here, &instance, value,
						   "patternProperties", source, strlen(source));
		}
		if (matches)
			find_name(&matched, key);
		evaluated |= matches;
		if (!evaluated && rules->additional.node != EE_NODE_NONE)
		{
			evaluated = true;
			find_name(&additional, key);
			annotate_child(w, &rules->additional, here, &instance, value,
						   "additionalProperties", NULL, 0);
		}
		if (track != NULL && evaluated)
			ee_track_set(track, i);
	}
	add_found(w, here, "properties", &declared);
	add_found(w, here, "patternProperties", &matched);
	add_found(w, here, "additionalProperties", &additional);
	for (j = 0; j < rules->ndependencies; j++)
		annotate_dependency(w, &rules->dependencies[j], here, track);
}

/*
 * dependencies  [Validation draft 7, 6.5.7], dependentSchemas  [Core 2020-12,
 * 10.2.2.4], propertyDependencies
 */
static void
annotate_dependency(Walk *w, const EeDependency *dependency,
					const EeHere *here, EeTrack *track)
{
	EePath		keyword = {here->keyword, dependency->keyword,
	strlen(dependency->keyword), 0};
	EePath		below = {&keyword, dependency->name.data,
	dependency->name.len, 0};
	EePath		choice = {&below, dependency->value.data,
	dependency->value.len, 0};
	EeHere		there = {here->v, here->instance,
	dependency->has_value ? &choice : &below};

	if (dependency->edge.node != EE_NODE_NONE &&
		ee_schema_eval_depends(dependency, here->v))
		annotate_node(w, dependency->edge.node, &there, track);
}

/*
 * unevaluatedItems, unevaluatedProperties  [Core 2020-12, 11.2, 11.3]: true,
 * and the names of what it was applied to.
 */
static void
annotate_unevaluated(Walk *w, const EeNode *node, const EeHere *here,
					 EeTrack *track)
{
	bool		array = here->v.type == EE_IS_ARRAY;
	const char *keyword = array ? "unevaluatedItems" :
	"unevaluatedProperties";
	uint32		n = EE_VALUE_COUNT(here->v);
	const EeEdge *edge = NULL;
	Found		found = {NULL, 0};
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
	for (i = 0; i < n; i++)
	{
		EePath		instance = {here->instance, NULL, 0, i};
		EeName		key = {NULL, 0};
		EeValue		value;

		if (!array)
			key.data = ee_walk_key(&walk, &key.len);
		instance.key = key.data;
		instance.len = key.len;
		value = array ? ee_walk_element(&walk) : ee_walk_value(&walk);
		if (ee_track_is_set(track, i))
			continue;
		if (array)
			found.n++;
		else
			find_name(&found, key);
		annotate_child(w, edge, here, &instance, value, keyword, NULL, 0);
	}
	if (!array)
		add_found(w, here, keyword, &found);
	else if (found.n > 0)
		add_true(w, here, keyword);
	ee_track_all(track);
}

/* [Core 2020-12, 8.2.3, 10.2]; what does not match, and not, say nothing. */
static void
annotate_group(Walk *w, const EeGroup *group, const EeHere *here,
			   EeTrack *track)
{
	EeEdge		edge;
	bool		holds;
	int			i;

	switch (group->kind)
	{
		case EE_GROUP_REF:
			annotate_in_place(w, &group->edges[0], here, group->keyword, -1,
							  track);
			break;
		case EE_GROUP_DYNAMIC_REF:
			edge.node = ee_schema_eval_dynamic(w->program, group, w->scope);
			annotate_in_place(w, &edge, here, group->keyword, -1, track);
			break;
		case EE_GROUP_ALL_OF:
		case EE_GROUP_ANY_OF:
		case EE_GROUP_ONE_OF:
			for (i = 0; i < group->nedges; i++)
			{
				if (group->kind == EE_GROUP_ALL_OF ||
					ee_schema_eval_node(w->program, group->edges[i].fast,
										here->v, w->scope, NULL))
					annotate_in_place(w, &group->edges[i], here,
									  group->keyword, i, track);
			}
			break;
		case EE_GROUP_NOT:
			break;
		case EE_GROUP_IF:
			holds = ee_schema_eval_node(w->program, group->edges[0].fast,
										here->v, w->scope, NULL);
			if (holds)
				annotate_in_place(w, &group->edges[0], here, "if", -1, track);
			annotate_in_place(w, &group->edges[holds ? 1 : 2], here,
							  holds ? "then" : "else", -1, track);
			break;
	}
}

/* A child of the instance, against the schema under name in the keyword. */
static void
annotate_child(Walk *w, const EeEdge *edge, const EeHere *here,
			   const EePath *instance, EeValue value, const char *keyword,
			   const char *name, uint32 len)
{
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, name, len, 0};
	EeHere		there = {value, instance, name ? &below : &path};

	annotate_node(w, edge->node, &there, NULL);
}

/* An item, against the schema at a position in the keyword, or -1. */
static void
annotate_item(Walk *w, const EeEdge *edge, const EeHere *here, uint32 index,
			  EeValue value, const char *keyword, int position)
{
	EePath		instance = {here->instance, NULL, 0, index};
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, NULL, 0, position};
	EeHere		there = {value, &instance, position >= 0 ? &below : &path};

	annotate_node(w, edge->node, &there, NULL);
}

/* The same value, against a schema of the keyword. */
static void
annotate_in_place(Walk *w, const EeEdge *edge, const EeHere *here,
				  const char *keyword, int index, EeTrack *track)
{
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, NULL, 0, index};
	EeHere		there = {here->v, here->instance,
	index >= 0 ? &below : &path};

	annotate_node(w, edge->node, &there, track);
}

static void
add(Walk *w, const EeHere *here, const char *keyword, EeValue value)
{
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EeAnnotation *annotation;

	if (w->count++ >= MAX_ANNOTATIONS)
		return;
	annotation = palloc0(sizeof(EeAnnotation));
	annotation->instance_path = ee_schema_path_text(here->instance);
	annotation->keyword_path = ee_schema_path_text(&path);
	annotation->location =
		ee_schema_violation_location(w->program, w->node, w->node_path,
									 annotation->keyword_path);
	annotation->value = value;
	w->annotations = lappend(w->annotations, annotation);
}

static void
add_true(Walk *w, const EeHere *here, const char *keyword)
{
	EeValue		value = {NULL, 0, EE_IS_TRUE};

	add(w, here, keyword, value);
}

/* What keywords found, as an array; where it is nothing, nothing. */
static void
add_found(Walk *w, const EeHere *here, const char *keyword, Found *found)
{
	JsonbValue *array;

	if (found->n == 0)
		return;
	array = pushJsonbValue(&found->state, WJB_END_ARRAY, NULL);
	add(w, here, keyword, ee_value_root(JsonbValueToJsonb(array)));
}

static void
find(Found *found, JsonbValue *value)
{
	if (found->n++ == 0)
		pushJsonbValue(&found->state, WJB_BEGIN_ARRAY, NULL);
	pushJsonbValue(&found->state, WJB_ELEM, value);
}

static void
find_name(Found *found, EeName name)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, name.data);
	value.val.string.len = name.len;
	find(found, &value);
}

static void
find_index(Found *found, uint32 index)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(index);
	find(found, &value);
}

/*
 * In a tree: makes the annotations from the first-th on one, which stands for
 * the schema that they are of.  A single one stays as it is.
 * [Core 2020-12, 12.4.3]
 */
static void
group_annotations(Walk *w, const EeHere *here, int first)
{
	EeAnnotation *group;

	if (!w->tree || list_length(w->annotations) < first + 2)
		return;
	group = palloc0(sizeof(EeAnnotation));
	group->instance_path = ee_schema_path_text(here->instance);
	group->keyword_path = ee_schema_path_text(here->keyword);
	group->location =
		ee_schema_violation_location(w->program, w->node, w->node_path,
									 group->keyword_path);
	group->below = list_copy_tail(w->annotations, first);
	w->annotations = lappend(list_truncate(w->annotations, first), group);
}
