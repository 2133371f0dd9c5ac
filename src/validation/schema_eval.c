/*
 * schema_eval.c
 *	  Is an instance valid?  The fast answer, yes or no.
 *
 * The instance is read in place.  Which properties and items have been
 * evaluated is written down only below a schema that asks (unevaluated*);
 * everything else runs with track NULL.  Nothing is allocated on the way but
 * for that, and for arithmetic beyond an int64.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "validation/schema_check.h"
#include "validation/schema_eval.h"
#include "validation/schema_program.h"
#include "validation/schema_track.h"

typedef struct Eval
{
	const EeSchema *program;
	const EeNode *nodes;
	const EeScope *scope;
} Eval;

static inline bool eval_node(Eval *ev, EeNodeId id, EeValue v, EeTrack *track);
static bool eval_rules(Eval *ev, const EeNode *node, EeValue v,
					   EeTrack *track);
static bool eval_in_scope(Eval *ev, const EeNode *node, EeValue v,
						  EeTrack *track);
static bool eval_number(const EeNumberRules *rules, EeValue v);
static bool eval_string(const EeStringRules *rules, EeValue v);
static bool eval_array(Eval *ev, const EeArrayRules *rules, EeValue v,
					   EeTrack *track);
static bool eval_contains(Eval *ev, const EeArrayRules *rules, EeValue v,
						  EeTrack *track);
static bool eval_object(Eval *ev, const EeObjectRules *rules, EeValue v,
						EeTrack *track);
static bool eval_undeclared(Eval *ev, const EeObjectRules *rules,
							const char *key, uint32 len, EeValue value,
							bool declared, bool *evaluated);
static bool eval_dependencies(Eval *ev, const EeObjectRules *rules, EeValue v,
							  EeTrack *track);
static bool eval_group(Eval *ev, const EeGroup *group, EeValue v,
					   EeTrack *track);
static bool eval_any_of(Eval *ev, const EeGroup *group, EeValue v,
						EeTrack *track);
static bool eval_one_of(Eval *ev, const EeGroup *group, EeValue v,
						EeTrack *track);
static bool eval_if(Eval *ev, const EeGroup *group, EeValue v, EeTrack *track);
static bool eval_apart(Eval *ev, EeNodeId id, EeValue v, EeTrack *track);
static bool eval_tracked(Eval *ev, const EeNode *node, EeValue v,
						 EeTrack *track);
static bool eval_unevaluated(Eval *ev, const EeNode *node, EeValue v,
							 EeTrack *track);

bool
ee_schema_eval(const EeSchema *schema, Jsonb *instance)
{
	Eval		ev = {schema, schema->nodes, NULL};

	return eval_node(&ev, schema->root.fast, ee_value_root(instance), NULL);
}

/* One node on one value, for the report. */
bool
ee_schema_eval_node(const EeSchema *program, EeNodeId id, EeValue v,
					const EeScope *scope, EeTrack *track)
{
	Eval		ev = {program, program->nodes, scope};

	return eval_apart(&ev, id, v, track);
}

static inline bool
eval_node(Eval *ev, EeNodeId id, EeValue v, EeTrack *track)
{
	const EeNode *node = &ev->nodes[id];

	if (!ee_schema_check_type(node, v))
		return false;
	if (node->flags & EE_NODE_LEAF)
		return true;
	if (unlikely(ev->program->dynamic) &&
		(ev->scope == NULL || ev->scope->resource != node->resource))
		return eval_in_scope(ev, node, v, track);
	if (unlikely(node->flags & EE_NODE_UNEVALUATED))
		return eval_tracked(ev, node, v, track);
	return eval_rules(ev, node, v, track);
}

/* Enters a resource, for dynamic references to find. */
static bool
eval_in_scope(Eval *ev, const EeNode *node, EeValue v, EeTrack *track)
{
	EeScope		scope = {ev->scope, node->resource};
	bool		valid;

	ev->scope = &scope;
	if (node->flags & EE_NODE_UNEVALUATED)
		valid = eval_tracked(ev, node, v, track);
	else
		valid = eval_rules(ev, node, v, track);
	ev->scope = scope.outer;
	return valid;
}

/* All of a node but its types and unevaluated*. */
static bool
eval_rules(Eval *ev, const EeNode *node, EeValue v, EeTrack *track)
{
	int			i;

	switch (v.type)
	{
		case EE_IS_STRING:
			if (node->string != NULL && !eval_string(node->string, v))
				return false;
			break;
		case EE_IS_NUMBER:
			if (node->number != NULL && !eval_number(node->number, v))
				return false;
			break;
		case EE_IS_ARRAY:
			if (node->array != NULL && !eval_array(ev, node->array, v, track))
				return false;
			break;
		case EE_IS_OBJECT:
			if (node->object != NULL &&
				!eval_object(ev, node->object, v, track))
				return false;
			break;
		default:
			break;
	}
	if (node->constant != NULL && !ee_schema_check_enum(node->constant, v))
		return false;
	if (node->enumeration != NULL &&
		!ee_schema_check_enum(node->enumeration, v))
		return false;
	for (i = 0; i < node->ngroups; i++)
	{
		if (!eval_group(ev, &node->groups[i], v, track))
			return false;
	}
	return true;
}

/* [Validation 2020-12, 6.2] */
static bool
eval_number(const EeNumberRules *rules, EeValue v)
{
	EeNumberForm form;
	int			i;

	ee_schema_check_form(&form, v);
	for (i = 0; i < rules->nbounds; i++)
	{
		if (!ee_schema_check_bound(&form, &rules->bounds[i]))
			return false;
	}
	return true;
}

/* [Validation 2020-12, 6.3, 7] cheap tests first */
static bool
eval_string(const EeStringRules *rules, EeValue v)
{
	if (!ee_schema_check_length(rules, v))
		return false;
	if (rules->format != NULL && !rules->format(v.data, v.len))
		return false;
	if (rules->pattern != NULL &&
		!ee_schema_regex_match(rules->pattern, v.data, v.len))
		return false;
	if ((rules->content_encoding || rules->content_media_type) &&
		!ee_schema_check_content(rules, v))
		return false;
	return true;
}

/* [Core 2020-12, 10.3.1; Validation 2020-12, 6.4] */
static bool
eval_array(Eval *ev, const EeArrayRules *rules, EeValue v, EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(v);
	EeWalk		walk;
	uint32		i;

	if (n < rules->min_items || n > rules->max_items)
		return false;
	check_stack_depth();
	ee_walk_array(&walk, v);
	for (i = 0; i < n && i < rules->nprefix; i++)
	{
		if (!eval_node(ev, rules->prefix[i].fast, ee_walk_element(&walk),
					   NULL))
			return false;
		if (track != NULL)
			ee_track_set(track, i);
	}
	if (rules->rest.fast != EE_NODE_NONE)
	{
		if (rules->rest.fast != EE_NODE_TRUE)
		{
			for (; i < n; i++)
			{
				CHECK_FOR_INTERRUPTS();
				if (!eval_node(ev, rules->rest.fast, ee_walk_element(&walk),
							   NULL))
					return false;
			}
		}
		if (track != NULL)
			ee_track_all(track);
	}
	if (rules->contains.fast != EE_NODE_NONE &&
		!eval_contains(ev, rules, v, track))
		return false;
	return !rules->unique || ee_value_unique(v, NULL, NULL);
}

/* contains, minContains, maxContains  [Core, 10.3.1.3; Validation, 6.4.4] */
static bool
eval_contains(Eval *ev, const EeArrayRules *rules, EeValue v, EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(v);
	uint32		matches = 0;
	EeWalk		walk;
	uint32		i;

	if (!rules->contains_evaluates)
		track = NULL;
	ee_walk_array(&walk, v);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!eval_node(ev, rules->contains.fast, ee_walk_element(&walk), NULL))
			continue;
		if (++matches > rules->max_contains)
			return false;
		if (track != NULL)
			ee_track_set(track, i);
		else if (matches >= rules->min_contains &&
				 rules->max_contains == EE_NO_LIMIT)
			break;
	}
	return matches >= rules->min_contains;
}

/*
 * [Core 2020-12, 10.3.2; Validation 2020-12, 6.5] jsonb sorts keys by length
 * and bytes, and so are the properties of the rules: one pass over both.
 */
static bool
eval_object(Eval *ev, const EeObjectRules *rules, EeValue v, EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(v);
	const EeProperty *property = rules->properties;
	const EeProperty *end = property + rules->nproperties;
	bool		plain = rules->npatterns == 0 &&
		rules->names.fast == EE_NODE_NONE;
	bool		open = plain && (rules->additional.fast == EE_NODE_NONE ||
								 rules->additional.fast == EE_NODE_TRUE);
	EeWalk		walk;
	uint32		i;

	if (n < rules->nrequired || n < rules->min_properties ||
		n > rules->max_properties)
		return false;
	if (plain && n > rules->nproperties &&
		rules->additional.fast == EE_NODE_FALSE)
		return false;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	ee_walk_object(&walk, v);
	for (i = 0; i < n; i++)
	{
		uint32		len;
		const char *key = ee_walk_key(&walk, &len);
		EeValue		value;
		bool		evaluated = false;

		/* pass over properties that the instance does not have */
		for (; property < end && property->len <= len; property++)
		{
			if (property->len == len)
			{
				int			cmp = memcmp(property->name, key, len);

				if (cmp == 0)
					evaluated = true;
				if (cmp >= 0)
					break;
			}
			if (property->required)
				return false;
		}
		if (evaluated)
		{
			value = ee_walk_value(&walk);
			if (!(property->types & value.type) || !property->leaf)
			{
				if (!eval_node(ev, property->edge.fast, value, NULL))
					return false;
			}
			evaluated = property->declared;
			property++;
			if (plain && evaluated)
			{
				if (track != NULL)
					ee_track_set(track, i);
				continue;
			}
		}
		else if (open && track == NULL)
		{
			if (property == end)
				break;
			ee_walk_skip_value(&walk);
			continue;
		}
		else
			value = ee_walk_value(&walk);
		if (!eval_undeclared(ev, rules, key, len, value, evaluated,
							 &evaluated))
			return false;
		if (track != NULL && evaluated)
			ee_track_set(track, i);
	}
	for (; property < end; property++)
	{
		if (property->required)
			return false;
	}
	return rules->ndependencies == 0 ||
		eval_dependencies(ev, rules, v, track);
}

/*
 * propertyNames, patternProperties, additionalProperties for one property.
 * *evaluated: some keyword looked at its value.
 */
static bool
eval_undeclared(Eval *ev, const EeObjectRules *rules, const char *key,
				uint32 len, EeValue value, bool declared, bool *evaluated)
{
	int			i;

	*evaluated = declared;
	if (rules->names.fast != EE_NODE_NONE)
	{
		EeValue		name = {key, len, EE_IS_STRING};

		if (!eval_node(ev, rules->names.fast, name, NULL))
			return false;
	}
	for (i = 0; i < rules->npatterns; i++)
	{
		if (!ee_schema_regex_match(rules->patterns[i].regex, key, len))
			continue;
		*evaluated = true;
		if (!eval_node(ev, rules->patterns[i].edge.fast, value, NULL))
			return false;
	}
	if (!*evaluated && rules->additional.fast != EE_NODE_NONE)
	{
		*evaluated = true;
		return eval_node(ev, rules->additional.fast, value, NULL);
	}
	return true;
}

/* Does the object have the property, and with the value, if one is named? */
bool
ee_schema_eval_depends(const EeDependency *dependency, EeValue object)
{
	EeValue		value;

	if (!ee_value_get(object, dependency->name.data, dependency->name.len,
					  &value))
		return false;
	return !dependency->has_value ||
		(value.type == EE_IS_STRING && value.len == dependency->value.len &&
		 memcmp(value.data, dependency->value.data, value.len) == 0);
}

/*
 * dependencies  [draft 7, 6.5.7], dependentRequired, dependentSchemas,
 * propertyDependencies
 */
static bool
eval_dependencies(Eval *ev, const EeObjectRules *rules, EeValue v,
				  EeTrack *track)
{
	int			i,
				j;

	for (i = 0; i < rules->ndependencies; i++)
	{
		const EeDependency *dependency = &rules->dependencies[i];

		if (!ee_schema_eval_depends(dependency, v))
			continue;
		for (j = 0; j < dependency->nrequired; j++)
		{
			if (!ee_value_get(v, dependency->required[j].data,
							  dependency->required[j].len, NULL))
				return false;
		}
		if (dependency->edge.fast != EE_NODE_NONE &&
			!eval_node(ev, dependency->edge.fast, v, track))
			return false;
	}
	return true;
}

/* [Core 2020-12, 8.2.3, 10.2] */
static bool
eval_group(Eval *ev, const EeGroup *group, EeValue v, EeTrack *track)
{
	int			i;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	switch (group->kind)
	{
		case EE_GROUP_REF:
			return eval_node(ev, group->edges[0].fast, v, track);
		case EE_GROUP_DYNAMIC_REF:
			return eval_node(ev, ee_schema_eval_dynamic(ev->program, group,
													 ev->scope), v, track);
		case EE_GROUP_ALL_OF:
			for (i = 0; i < group->nedges; i++)
			{
				if (!eval_node(ev, group->edges[i].fast, v, track))
					return false;
			}
			return true;
		case EE_GROUP_ANY_OF:
			return eval_any_of(ev, group, v, track);
		case EE_GROUP_ONE_OF:
			return eval_one_of(ev, group, v, track);
		case EE_GROUP_NOT:
			return !eval_node(ev, group->edges[0].fast, v, NULL);
		case EE_GROUP_IF:
			return eval_if(ev, group, v, track);
	}
	return false;
}

/*
 * The outermost resource on the way here that has the anchor.
 * [Core 2020-12, 8.2.3.2]
 */
EeNodeId
ee_schema_eval_dynamic(const EeSchema *program, const EeGroup *group,
					   const EeScope *scope)
{
	EeNodeId	target = group->edges[0].node;
	int			i;

	for (; scope != NULL; scope = scope->outer)
	{
		for (i = 0; i < program->nanchors; i++)
		{
			const EeDynamicAnchor *anchor = &program->anchors[i];

			if (anchor->resource == scope->resource &&
				anchor->anchor == group->anchor)
				target = anchor->node;
		}
	}
	return target;
}

/* anyOf  [Core 2020-12, 10.2.1.2]; all branches where marks are collected */
static bool
eval_any_of(Eval *ev, const EeGroup *group, EeValue v, EeTrack *track)
{
	bool		valid = false;
	int			i;

	for (i = 0; i < group->nedges; i++)
	{
		if (eval_apart(ev, group->edges[i].fast, v, track))
		{
			if (track == NULL)
				return true;
			valid = true;
		}
	}
	return valid;
}

/* oneOf  [Core 2020-12, 10.2.1.3] */
static bool
eval_one_of(Eval *ev, const EeGroup *group, EeValue v, EeTrack *track)
{
	int			matches = 0;
	int			i;

	for (i = 0; i < group->nedges; i++)
	{
		if (eval_apart(ev, group->edges[i].fast, v, track) && ++matches > 1)
			return false;
	}
	return matches == 1;
}

/* if, then, else  [Core 2020-12, 10.2.2] */
static bool
eval_if(Eval *ev, const EeGroup *group, EeValue v, EeTrack *track)
{
	bool		matches = eval_apart(ev, group->edges[0].fast, v, track);

	return eval_node(ev, group->edges[matches ? 1 : 2].fast, v, track);
}

/* Evaluates what may fail without failing the whole: marks count if valid. */
static bool
eval_apart(Eval *ev, EeNodeId id, EeValue v, EeTrack *track)
{
	EeTrack		own;
	bool		valid;

	if (track == NULL || !(v.type & (EE_IS_ARRAY | EE_IS_OBJECT)))
		return eval_node(ev, id, v, NULL);
	ee_track_begin(&own, v);
	valid = eval_node(ev, id, v, &own);
	if (valid)
		ee_track_merge(track, &own);
	ee_track_end(&own);
	return valid;
}

/* A node with unevaluated*: keeps marks of its own. */
static bool
eval_tracked(Eval *ev, const EeNode *node, EeValue v, EeTrack *track)
{
	EeTrack		own;
	bool		valid;

	if (!(v.type & (EE_IS_ARRAY | EE_IS_OBJECT)))
		return eval_rules(ev, node, v, NULL);
	ee_track_begin(&own, v);
	valid = eval_rules(ev, node, v, &own) &&
		eval_unevaluated(ev, node, v, &own);
	if (valid && track != NULL)
		ee_track_merge(track, &own);
	ee_track_end(&own);
	return valid;
}

/* unevaluatedItems, unevaluatedProperties  [Core 2020-12, 11.2, 11.3] */
static bool
eval_unevaluated(Eval *ev, const EeNode *node, EeValue v, EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(v);
	EeNodeId	id = EE_NODE_NONE;
	EeWalk		walk;
	uint32		i;

	if (v.type == EE_IS_ARRAY && node->array != NULL)
		id = node->array->unevaluated.fast;
	else if (v.type == EE_IS_OBJECT && node->object != NULL)
		id = node->object->unevaluated.fast;
	if (id == EE_NODE_NONE)
		return true;
	if (v.type == EE_IS_ARRAY)
		ee_walk_array(&walk, v);
	else
		ee_walk_object(&walk, v);
	for (i = 0; i < n; i++)
	{
		EeValue		child = v.type == EE_IS_ARRAY ?
		ee_walk_element(&walk) : ee_walk_value(&walk);

		if (!ee_track_is_set(track, i) && !eval_node(ev, id, child, NULL))
			return false;
	}
	ee_track_all(track);
	return true;
}
