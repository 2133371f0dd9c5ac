/*
 * schema_compat_container.c
 *	  Arrays and objects: does what is known imply the goal?
 */
#include "postgres.h"

#include "validation/schema_compat_state.h"
#include "validation/schema_track.h"

/* ways in which patterns of names may meet, beyond which less is known */
#define MAX_ALTERNATIVES	32
/* items looked at one by one where contains asks for so many */
#define MAX_CONTAINED		16

static bool array_sizes(EeCompat *cx, const EeKnown *known,
						const EeGoal *goal, uint32 max);
static bool array_items(EeCompat *cx, const EeKnown *known,
						const EeGoal *goal, uint32 max);
static bool array_contains(EeCompat *cx, const EeKnown *known,
						   const EeGoal *goal, uint32 max);
static uint32 most_items(const EeKnown *known);
static uint32 least_items(const EeKnown *known);
static EeKnown *known_item(const EeKnown *known, uint32 index);
static const EeArrayRules *array_rules(const EeKnown *known, int i);
static const EeObjectRules *object_rules(const EeKnown *known, int i);
static bool object_sizes(EeCompat *cx, const EeKnown *known,
						 const EeGoal *goal);
static bool object_required(EeCompat *cx, const EeKnown *known,
							const EeGoal *goal);
static bool object_named(EeCompat *cx, const EeKnown *known,
						 const EeGoal *goal);
static bool property_holds(EeCompat *cx, const EeKnown *known,
						   const EeGoal *goal, const char *name, uint32 len);
static bool declared_holds(EeCompat *cx, const EeKnown *known,
						   const EeKnown *value, const EeGoal *next);
static bool object_unnamed(EeCompat *cx, const EeKnown *known,
						   const EeGoal *goal);
static List *unnamed_properties(const EeKnown *known,
								const EeObjectRules *goal, const char *matching);
static int	unnamed_edges(const EeObjectRules *rules,
						  const EeObjectRules *goal, const char *matching,
						  EeNodeId *edges);
static bool has_pattern(const EeObjectRules *rules, const char *source,
						EeNodeId *id);
static bool object_names(EeCompat *cx, const EeKnown *known,
						 const EeGoal *goal);
static bool object_dependencies(EeCompat *cx, const EeKnown *known,
								const EeGoal *goal);
static bool applies_with(const EeDependency *own, const EeDependency *other);
static bool dependency_lists(const EeKnown *known, EeName name,
							 EeName required);

/* [Core, 10.3.1; Validation, 6.4] */
bool
ee_compat_array(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	bool		holds;
	uint32		max;

	if (ee_compat_node(goal)->array == NULL || !(known->types & EE_IS_ARRAY))
		return true;
	max = most_items(known);
	holds = array_sizes(cx, known, goal, max);
	holds = array_items(cx, known, goal, max) && holds;
	return array_contains(cx, known, goal, max) && holds;
}

static const EeArrayRules *
array_rules(const EeKnown *known, int i)
{
	return known->program->nodes[known->nodes[i]].array;
}

static bool
array_sizes(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
			uint32 max)
{
	const EeArrayRules *rules = ee_compat_node(goal)->array;
	uint32		min = least_items(known);
	bool		unique = max <= 1;
	bool		holds = true;
	int			i;

	for (i = 0; i < known->n; i++)
		unique |= array_rules(known, i) != NULL && array_rules(known, i)->unique;
	if (min < rules->min_items)
		holds = ee_compat_break(cx, known, goal->path, "minItems",
								ee_compat_limit(min, 0),
								ee_compat_limit(rules->min_items, 0),
								"shorter arrays were accepted");
	if (max > rules->max_items)
		holds = ee_compat_break(cx, known, goal->path, "maxItems",
								ee_compat_limit(max, EE_NO_LIMIT),
								ee_compat_limit(rules->max_items, EE_NO_LIMIT),
								"longer arrays were accepted");
	if (rules->unique && !unique)
		holds = ee_compat_break(cx, known, goal->path, "uniqueItems",
								NULL, "true",
								"arrays with equal items were accepted");
	return holds;
}

static uint32
least_items(const EeKnown *known)
{
	uint32		min = 0;
	int			i;

	for (i = 0; i < known->n; i++)
	{
		if (array_rules(known, i) != NULL)
			min = Max(min, array_rules(known, i)->min_items);
	}
	return min;
}

static uint32
most_items(const EeKnown *known)
{
	uint32		max = EE_NO_LIMIT;
	int			i;

	for (i = 0; i < known->n; i++)
	{
		const EeArrayRules *rules = array_rules(known, i);

		if (rules == NULL)
			continue;
		max = Min(max, rules->max_items);
		if (rules->rest.fast == EE_NODE_FALSE)
			max = Min(max, rules->nprefix);
	}
	return max;
}

/* What is known of the item at a place, if there is one. */
static EeKnown *
known_item(const EeKnown *known, uint32 index)
{
	EeKnown    *result = ee_compat_known(known->program);
	int			i;

	for (i = 0; i < known->n; i++)
	{
		const EeArrayRules *rules = array_rules(known, i);

		if (rules == NULL)
			continue;
		if (index < rules->nprefix)
			ee_compat_known_add(result, rules->prefix[index].fast);
		else if (rules->rest.fast != EE_NODE_NONE)
			ee_compat_known_add(result, rules->rest.fast);
	}
	return result;
}

static bool
array_items(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
			uint32 max)
{
	const EeArrayRules *rules = ee_compat_node(goal)->array;
	uint32		listed = rules->nprefix;
	bool		holds = true;
	uint32		i;

	for (i = 0; i < known->n; i++)
	{
		if (array_rules(known, i) != NULL)
			listed = Max(listed, array_rules(known, i)->nprefix);
	}
	for (i = 0; i <= listed && i < max && (holds || cx->quiet == 0); i++)
	{
		EeGoal		next;

		if (i < rules->nprefix)
			next = ee_compat_goal(goal, &rules->prefix[i],
								  rules->tuple ? "items" : "prefixItems",
								  NULL, i);
		else if (rules->rest.fast != EE_NODE_NONE)
			next = ee_compat_goal(goal, &rules->rest,
								  rules->tuple ? "additionalItems" : "items",
								  NULL, -1);
		else
			break;
		holds = ee_compat_holds(cx, known_item(known, i), &next) && holds;
	}
	return holds;
}

/* contains, minContains, maxContains  [Validation, 6.4.4] */
static bool
array_contains(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
			   uint32 max)
{
	const EeArrayRules *rules = ee_compat_node(goal)->array;
	EeGoal		inner;
	EeKnown    *wanted;
	bool		enough = rules->min_contains == 0;
	bool		not_too_many = max <= rules->max_contains;
	uint32		i;

	if (rules->contains.fast == EE_NODE_NONE)
		return true;
	inner = ee_compat_goal(goal, &rules->contains, "contains", NULL, -1);
	wanted = ee_compat_known(goal->program);
	ee_compat_known_add(wanted, rules->contains.fast);
	for (i = 0; i < known->n; i++)
	{
		const EeArrayRules *own = array_rules(known, i);
		EeKnown    *contained;
		EeGoal		back;

		if (own == NULL || own->contains.fast == EE_NODE_NONE)
			continue;
		contained = ee_compat_known(known->program);
		ee_compat_known_add(contained, own->contains.fast);
		back.program = known->program;
		back.id = own->contains.fast;
		back.path = goal->path;
		if (!enough && own->min_contains >= rules->min_contains)
			enough = ee_compat_holds_quietly(cx, contained, &inner);
		if (!not_too_many && own->max_contains <= rules->max_contains)
			not_too_many = ee_compat_holds_quietly(cx, wanted, &back);
	}
	if (!enough && rules->min_contains <= MAX_CONTAINED &&
		least_items(known) >= rules->min_contains)
	{
		for (i = 0; i < rules->min_contains; i++)
		{
			if (!ee_compat_holds_quietly(cx, known_item(known, i), &inner))
				break;
		}
		enough = i == rules->min_contains;
	}
	if (!enough)
		(void) ee_compat_unproven(cx, known, goal, "contains",
								  "every array that was accepted contains enough of these");
	if (!not_too_many)
		(void) ee_compat_unproven(cx, known, goal, "maxContains",
								  "no array that was accepted contains too many of these");
	return enough && not_too_many;
}

/* [Core, 10.3.2; Validation, 6.5] */
bool
ee_compat_object(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	bool		holds;

	if (ee_compat_node(goal)->object == NULL ||
		!(known->types & EE_IS_OBJECT))
		return true;
	holds = object_required(cx, known, goal);
	holds = object_sizes(cx, known, goal) && holds;
	if (!holds && cx->quiet > 0)
		return false;
	holds = object_named(cx, known, goal) && holds;
	if (!holds && cx->quiet > 0)
		return false;
	holds = object_unnamed(cx, known, goal) && holds;
	holds = object_names(cx, known, goal) && holds;
	return object_dependencies(cx, known, goal) && holds;
}

static const EeObjectRules *
object_rules(const EeKnown *known, int i)
{
	return known->program->nodes[known->nodes[i]].object;
}

static bool
object_required(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeObjectRules *rules = ee_compat_node(goal)->object;
	bool		holds = true;
	uint32		i;

	for (i = 0; i < rules->nproperties; i++)
	{
		const EeProperty *property = &rules->properties[i];
		char	   *name;

		if (!property->required ||
			ee_compat_known_requires(known, property->name, property->len))
			continue;
		if (cx->quiet > 0)
			return false;
		name = pnstrdup(property->name, property->len);
		holds = ee_compat_break(cx, known, goal->path, "required", NULL, name,
								psprintf("objects without property \"%s\" were accepted",
										 name));
	}
	return holds;
}

static bool
object_sizes(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeObjectRules *rules = ee_compat_node(goal)->object;
	uint32		min = 0;
	uint32		max = EE_NO_LIMIT;
	bool		holds = true;
	int			i;
	uint32		j;

	for (i = 0; i < known->n; i++)
	{
		const EeObjectRules *own = object_rules(known, i);
		uint32		declared = 0;

		if (own == NULL)
			continue;
		min = Max(min, Max(own->min_properties, own->nrequired));
		max = Min(max, own->max_properties);
		if (own->additional.fast != EE_NODE_FALSE || own->npatterns > 0)
			continue;
		for (j = 0; j < own->nproperties; j++)
			declared += own->properties[j].declared;
		max = Min(max, declared);
	}
	if (min < rules->min_properties)
		holds = ee_compat_break(cx, known, goal->path, "minProperties",
								ee_compat_limit(min, 0),
								ee_compat_limit(rules->min_properties, 0),
								"objects with fewer properties were accepted");
	if (max > rules->max_properties)
		holds = ee_compat_break(cx, known, goal->path, "maxProperties",
								ee_compat_limit(max, EE_NO_LIMIT),
								ee_compat_limit(rules->max_properties,
												EE_NO_LIMIT),
								"objects with more properties were accepted");
	return holds;
}

/* The properties that one of the two sides names. */
static bool
object_named(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeObjectRules *rules = ee_compat_node(goal)->object;
	bool		holds = true;
	int			i;
	uint32		j;

	for (i = -1; i < known->n; i++)
	{
		const EeObjectRules *own = i < 0 ? rules : object_rules(known, i);

		for (j = 0; own != NULL && j < own->nproperties; j++)
		{
			holds = property_holds(cx, known, goal, own->properties[j].name,
								   own->properties[j].len) && holds;
			if (!holds && cx->quiet > 0)
				return false;
		}
	}
	return holds;
}

static bool
property_holds(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
			   const char *name, uint32 len)
{
	const EeObjectRules *rules = ee_compat_node(goal)->object;
	EeKnown    *value = ee_compat_known_property(known, name, len);
	bool		evaluated = false;
	bool		holds = true;
	uint32		i;
	int			j;
	EeGoal		next;

	if (value->types == 0)
		return true;
	for (i = 0; i < rules->nproperties; i++)
	{
		const EeProperty *property = &rules->properties[i];

		if (!property->declared ||
			ee_name_compare(property->name, property->len, name, len) != 0)
			continue;
		evaluated = true;
		next = ee_compat_goal(goal, &property->edge, "properties", name, len);
		holds = declared_holds(cx, known, value, &next);
		break;
	}
	for (j = 0; j < rules->npatterns; j++)
	{
		const char *source = ee_schema_regex_source(rules->patterns[j].regex);

		if (!ee_schema_regex_match(rules->patterns[j].regex, name, len))
			continue;
		evaluated = true;
		next = ee_compat_goal(goal, &rules->patterns[j].edge,
							  "patternProperties", source, strlen(source));
		holds = ee_compat_holds(cx, value, &next) && holds;
	}
	if (evaluated || rules->additional.fast == EE_NODE_NONE)
		return holds;
	if (rules->additional.fast == EE_NODE_FALSE && cx->quiet == 0)
		return ee_compat_break(cx, known, goal->path, "additionalProperties",
							   ee_compat_describe_known(value), "false",
							   psprintf("property \"%s\" is no longer accepted",
										pnstrdup(name, len)));
	next = ee_compat_goal(goal, &rules->additional, "additionalProperties",
						  NULL, -1);
	return ee_compat_holds(cx, value, &next);
}

/* One that is new is the most frequent cause, and the least expected. */
static bool
declared_holds(EeCompat *cx, const EeKnown *known, const EeKnown *value,
			   const EeGoal *next)
{
	if (value->n > 0 || cx->quiet > 0)
		return ee_compat_holds(cx, value, next);
	return ee_compat_holds_quietly(cx, value, next) ||
		ee_compat_break(cx, known, next->path, "properties", NULL,
						ee_compat_describe(next->program, next->id),
						"the property could hold any value before, since additionalProperties did not exclude it");
}

/* The properties that neither side names. */
static bool
object_unnamed(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeObjectRules *rules = ee_compat_node(goal)->object;
	bool		holds = true;
	ListCell   *lc;
	int			i;

	for (i = 0; i < rules->npatterns; i++)
	{
		const char *source = ee_schema_regex_source(rules->patterns[i].regex);
		EeGoal		next = ee_compat_goal(goal, &rules->patterns[i].edge,
										  "patternProperties", source,
										  strlen(source));

		foreach(lc, unnamed_properties(known, rules, source))
			holds = ee_compat_holds(cx, lfirst(lc), &next) && holds;
	}
	if (rules->additional.fast == EE_NODE_NONE ||
		rules->additional.fast == EE_NODE_TRUE)
		return holds;
	foreach(lc, unnamed_properties(known, rules, NULL))
	{
		EeKnown    *value = lfirst(lc);
		EeGoal		next = ee_compat_goal(goal, &rules->additional,
										  "additionalProperties", NULL, -1);

		if (value->types == 0)
			continue;
		if (rules->additional.fast == EE_NODE_FALSE)
			holds = ee_compat_break(cx, known, goal->path,
									"additionalProperties",
									value->n == 0 ? NULL :
									ee_compat_describe_known(value), "false",
									"properties that the schema does not name were accepted");
		else
			holds = ee_compat_holds(cx, value, &next) && holds;
	}
	return holds;
}

/*
 * What is known of a property that neither side names, whose name matches
 * that pattern of the goal, or (NULL) none of them: a List of EeKnown, one of
 * which it is.
 */
static List *
unnamed_properties(const EeKnown *known, const EeObjectRules *goal,
				   const char *matching)
{
	List	   *result = list_make1(ee_compat_known(known->program));
	ListCell   *lc;
	int			i,
				j;

	/* a name that nobody may have */
	for (i = 0; i < known->n; i++)
	{
		if (object_rules(known, i) != NULL &&
			object_rules(known, i)->max_properties == 0)
			return NIL;
	}
	for (i = 0; i < known->n; i++)
	{
		const EeObjectRules *rules = object_rules(known, i);
		EeNodeId   *edges;
		List	   *product = NIL;
		int			n;

		if (rules == NULL)
			continue;
		edges = palloc(sizeof(EeNodeId) * (rules->npatterns + 1));
		n = unnamed_edges(rules, goal, matching, edges);
		if (n * list_length(result) > MAX_ALTERNATIVES)
			continue;
		foreach(lc, result)
		{
			for (j = 0; j < n; j++)
			{
				EeKnown    *one = ee_compat_known_copy(lfirst(lc));

				ee_compat_known_add(one, edges[j]);
				product = lappend(product, one);
			}
		}
		result = product;
	}
	return result;
}

/* The nodes of one of which such a property is valid under this node. */
static int
unnamed_edges(const EeObjectRules *rules, const EeObjectRules *goal,
			  const char *matching, EeNodeId *edges)
{
	int			n = 0;
	int			i;

	if (matching != NULL && has_pattern(rules, matching, &edges[0]))
		return 1;
	edges[n++] = rules->additional.fast == EE_NODE_NONE ? EE_NODE_TRUE :
		rules->additional.fast;
	for (i = 0; i < rules->npatterns; i++)
	{
		EeNodeId	unused;

		/* a name that matches none of the goal's does not match this one */
		if (matching == NULL &&
			has_pattern(goal, ee_schema_regex_source(rules->patterns[i].regex),
						&unused))
			continue;
		edges[n++] = rules->patterns[i].edge.fast;
	}
	return n;
}

static bool
has_pattern(const EeObjectRules *rules, const char *source, EeNodeId *id)
{
	int			i;

	for (i = 0; i < rules->npatterns; i++)
	{
		if (strcmp(ee_schema_regex_source(rules->patterns[i].regex),
				   source) == 0)
		{
			*id = rules->patterns[i].edge.fast;
			return true;
		}
	}
	return false;
}

/* propertyNames  [Core, 10.3.2.4] */
static bool
object_names(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeObjectRules *rules = ee_compat_node(goal)->object;
	EeKnown    *names = ee_compat_known(known->program);
	EeGoal		next = ee_compat_goal(goal, &rules->names, "propertyNames",
									  NULL, -1);
	int			i;
	uint32		j;

	if (rules->names.fast == EE_NODE_NONE || rules->names.fast == EE_NODE_TRUE)
		return true;
	names->types = EE_IS_STRING;
	for (i = 0; i < known->n; i++)
	{
		const EeObjectRules *own = object_rules(known, i);

		if (own == NULL)
			continue;
		if (own->names.fast != EE_NODE_NONE)
			ee_compat_known_add(names, own->names.fast);
		if (own->additional.fast != EE_NODE_FALSE || own->npatterns > 0 ||
			goal->program->dynamic)
			continue;

		/* there are no names but these */
		for (j = 0; j < own->nproperties; j++)
		{
			EeValue		name = {own->properties[j].name,
			own->properties[j].len, EE_IS_STRING};

			if (ee_compat_known_property(known, name.data, name.len)->types != 0 &&
				!ee_schema_eval_node(goal->program, rules->names.fast, name,
									 NULL, NULL))
				break;
		}
		if (j == own->nproperties)
			return true;
	}
	return ee_compat_holds(cx, names, &next);
}

/*
 * dependentRequired, dependentSchemas, propertyDependencies  [Validation, 6.5.4; Core, 10.2.2.4]
 */
static bool
object_dependencies(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeObjectRules *rules = ee_compat_node(goal)->object;
	bool		holds = true;
	int			i,
				j,
				k;

	for (i = 0; i < rules->ndependencies; i++)
	{
		const EeDependency *dependency = &rules->dependencies[i];
		EeName		name = dependency->name;
		EeKnown    *present;
		EeGoal		next;

		if (ee_compat_known_property(known, name.data, name.len)->types == 0)
			continue;
		for (j = 0; j < dependency->nrequired; j++)
		{
			EeName		required = dependency->required[j];

			if (!ee_compat_known_requires(known, required.data,
										  required.len) &&
				!dependency_lists(known, name, required))
				holds = ee_compat_break(cx, known, goal->path,
										dependency->keyword, NULL,
										psprintf("%s: %s", name.data,
												 required.data),
										psprintf("objects with property \"%s\" and without \"%s\" were accepted",
												 name.data, required.data));
		}
		if (dependency->edge.fast == EE_NODE_NONE)
			continue;
		present = ee_compat_known_copy(known);
		for (j = 0; j < known->n; j++)
		{
			const EeObjectRules *own = object_rules(known, j);

			for (k = 0; own != NULL && k < own->ndependencies; k++)
			{
				if (own->dependencies[k].edge.fast != EE_NODE_NONE &&
					applies_with(&own->dependencies[k], dependency))
					ee_compat_known_add(present,
										own->dependencies[k].edge.fast);
			}
		}
		next = ee_compat_goal(goal, &dependency->edge, dependency->keyword,
							  name.data, name.len);
		holds = ee_compat_holds(cx, present, &next) && holds;
	}
	return holds;
}

/* Does one apply wherever the other does? */
static bool
applies_with(const EeDependency *own, const EeDependency *other)
{
	if (ee_name_compare(own->name.data, own->name.len,
						other->name.data, other->name.len) != 0)
		return false;
	/* propertyDependencies: where the property has a value */
	return !own->has_value ||
		(other->has_value &&
		 ee_name_compare(own->value.data, own->value.len,
						 other->value.data, other->value.len) == 0);
}

static bool
dependency_lists(const EeKnown *known, EeName name, EeName required)
{
	int			i,
				j,
				k;

	if (ee_name_compare(name.data, name.len, required.data, required.len) == 0)
		return true;
	for (i = 0; i < known->n; i++)
	{
		const EeObjectRules *own = object_rules(known, i);

		for (j = 0; own != NULL && j < own->ndependencies; j++)
		{
			const EeDependency *dependency = &own->dependencies[j];

			if (dependency->has_value ||
				ee_name_compare(dependency->name.data, dependency->name.len,
								name.data, name.len) != 0)
				continue;
			for (k = 0; k < dependency->nrequired; k++)
			{
				if (ee_name_compare(dependency->required[k].data,
									dependency->required[k].len,
									required.data, required.len) == 0)
					return true;
			}
		}
	}
	return false;
}
