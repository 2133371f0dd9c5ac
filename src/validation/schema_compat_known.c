/*
 * schema_compat_known.c
 *	  What is known of a value: the nodes under which it is valid, taken
 *	  together.
 *
 * What is not understood is left out, so that less is known than could be:
 * proofs stay right.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "validation/schema_compat_state.h"
#include "validation/schema_track.h"

static void grow(EeKnown *known);
static bool has_node(const EeKnown *known, EeNodeId id);
static const EeEnum *smallest_set(const EeKnown *known);
static bool possible(const EeKnown *known, EeValue value);
static const EeProperty *find_property(const EeObjectRules *rules,
									   const char *name, uint32 len);
static int	compare_name(const void *key, const void *property);

EeKnown *
ee_compat_known(const EeSchema *program)
{
	EeKnown    *known = palloc0(sizeof(EeKnown));

	known->program = program;
	known->types = EE_IS_ANY;
	return known;
}

EeKnown *
ee_compat_known_copy(const EeKnown *known)
{
	EeKnown    *copy = palloc(sizeof(EeKnown));
	Size		room = Max(known->max, 1);

	*copy = *known;
	copy->nodes = palloc(room * sizeof(EeNodeId));
	copy->nots = palloc(room * sizeof(EeNodeId));
	copy->splits = palloc(room * sizeof(EeGroup *));
	if (known->max > 0)
	{
		memcpy(copy->nodes, known->nodes, known->n * sizeof(EeNodeId));
		memcpy(copy->nots, known->nots, known->nnots * sizeof(EeNodeId));
		memcpy(copy->splits, known->splits,
			   known->nsplits * sizeof(EeGroup *));
	}
	return copy;
}

/* It is valid under this node too, hence under what the node refers to. */
void
ee_compat_known_add(EeKnown *known, EeNodeId id)
{
	const EeNode *node = &known->program->nodes[id];
	int			i,
				j;

	check_stack_depth();
	if (id == EE_NODE_NONE || id == EE_NODE_TRUE || has_node(known, id))
		return;
	known->types &= node->types;
	grow(known);
	/* in order, so that the same knowledge looks the same */
	for (i = known->n; i > 0 && known->nodes[i - 1] > id; i--)
		known->nodes[i] = known->nodes[i - 1];
	known->nodes[i] = id;
	known->n++;
	for (i = 0; i < node->ngroups; i++)
	{
		const EeGroup *group = &node->groups[i];

		if (group->kind == EE_GROUP_NOT)
			ee_compat_known_not(known, group->edges[0].fast);
		if (group->kind != EE_GROUP_REF && group->kind != EE_GROUP_ALL_OF)
			continue;
		for (j = 0; j < group->nedges; j++)
			ee_compat_known_add(known, group->edges[j].fast);
	}
}

void
ee_compat_known_not(EeKnown *known, EeNodeId id)
{
	grow(known);
	known->nots[known->nnots++] = id;
	if (id == EE_NODE_TRUE)
		known->types = 0;
}

void
ee_compat_known_split(EeKnown *known, const EeGroup *group)
{
	grow(known);
	known->splits[known->nsplits++] = group;
}

static void
grow(EeKnown *known)
{
	int			max = Max(8, known->max * 2);

	if (Max(known->n, Max(known->nnots, known->nsplits)) < known->max)
		return;
	if (known->max == 0)
	{
		known->nodes = palloc(max * sizeof(EeNodeId));
		known->nots = palloc(max * sizeof(EeNodeId));
		known->splits = palloc(max * sizeof(EeGroup *));
	}
	else
	{
		known->nodes = repalloc(known->nodes, max * sizeof(EeNodeId));
		known->nots = repalloc(known->nots, max * sizeof(EeNodeId));
		known->splits = repalloc(known->splits, max * sizeof(EeGroup *));
	}
	known->max = max;
}

static bool
has_node(const EeKnown *known, EeNodeId id)
{
	int			i;

	for (i = 0; i < known->n; i++)
	{
		if (known->nodes[i] == id)
			return true;
	}
	return false;
}

/*
 * All values that it may have, where they can be listed: those of the
 * smallest enum or const that the rest allows.  *text is the list as
 * written, or NULL.
 */
bool
ee_compat_known_values(const EeKnown *known, EeValue **values, int *n,
					   const char **text)
{
	static const uint16 plain[] = {EE_IS_NULL, EE_IS_FALSE, EE_IS_TRUE};
	const EeEnum *set = smallest_set(known);
	EeValue		value = {NULL, 0, 0};
	uint16		types = known->types;
	int			i;

	*n = 0;
	*text = NULL;
	if (set != NULL)
	{
		types = set->types;
		*text = set->text;
	}
	else if (types & ~(EE_IS_NULL | EE_IS_BOOLEAN))
		return false;
	*values = palloc(sizeof(EeValue) *
					 (set == NULL ? 3 : set->nstrings + set->nothers + 3));
	for (i = 0; i < lengthof(plain); i++)
	{
		value.type = plain[i];
		if ((types & value.type) && possible(known, value))
			(*values)[(*n)++] = value;
	}
	if (set == NULL)
		return true;
	for (i = 0; i < set->nstrings; i++)
	{
		value.type = EE_IS_STRING;
		value.data = set->strings[i].data;
		value.len = set->strings[i].len;
		if (possible(known, value))
			(*values)[(*n)++] = value;
	}
	for (i = 0; i < set->nothers; i++)
	{
		if (possible(known, set->others[i].value))
			(*values)[(*n)++] = set->others[i].value;
	}
	return true;
}

static const EeEnum *
smallest_set(const EeKnown *known)
{
	const EeEnum *best = NULL;
	int			i;

	for (i = 0; i < known->n; i++)
	{
		const EeNode *node = &known->program->nodes[known->nodes[i]];

		if (node->enumeration != NULL &&
			(best == NULL || best->nstrings + best->nothers >
			 node->enumeration->nstrings + node->enumeration->nothers))
			best = node->enumeration;
		if (node->constant != NULL)
			return node->constant;
	}
	return best;
}

/* Where the way to a node matters for its meaning, nothing is ruled out. */
static bool
possible(const EeKnown *known, EeValue value)
{
	int			i;

	if (known->program->dynamic)
		return true;
	if (!(known->types & value.type) &&
		!(value.type == EE_IS_NUMBER && (known->types & EE_IS_INTEGER)))
		return false;
	for (i = 0; i < known->n; i++)
	{
		if (!ee_schema_eval_node(known->program, known->nodes[i], value, NULL,
								 NULL))
			return false;
	}
	for (i = 0; i < known->nnots; i++)
	{
		if (ee_schema_eval_node(known->program, known->nots[i], value, NULL,
								NULL))
			return false;
	}
	return true;
}

bool
ee_compat_known_requires(const EeKnown *known, const char *name, uint32 len)
{
	int			i;

	for (i = 0; i < known->n; i++)
	{
		const EeObjectRules *rules =
			known->program->nodes[known->nodes[i]].object;
		const EeProperty *property = rules == NULL ? NULL :
			find_property(rules, name, len);

		if (property != NULL && property->required)
			return true;
	}
	return false;
}

static const EeProperty *
find_property(const EeObjectRules *rules, const char *name, uint32 len)
{
	EeName		key = {name, len};

	if (rules->nproperties == 0)
		return NULL;
	return bsearch(&key, rules->properties, rules->nproperties,
				   sizeof(EeProperty), compare_name);
}

static int
compare_name(const void *key, const void *property)
{
	const EeName *name = key;
	const EeProperty *other = property;

	return ee_name_compare(name->data, name->len, other->name, other->len);
}

/* What is known of a property, if the value is an object that has it. */
EeKnown *
ee_compat_known_property(const EeKnown *known, const char *name, uint32 len)
{
	EeKnown    *result = ee_compat_known(known->program);
	int			i,
				j;

	for (i = 0; i < known->n; i++)
	{
		const EeObjectRules *rules =
			known->program->nodes[known->nodes[i]].object;
		const EeProperty *property;
		bool		evaluated = false;

		if (rules == NULL)
			continue;
		property = find_property(rules, name, len);
		if (property != NULL && property->declared)
		{
			evaluated = true;
			ee_compat_known_add(result, property->edge.fast);
		}
		for (j = 0; j < rules->npatterns; j++)
		{
			if (!ee_schema_regex_match(rules->patterns[j].regex, name, len))
				continue;
			evaluated = true;
			ee_compat_known_add(result, rules->patterns[j].edge.fast);
		}
		if (!evaluated && rules->additional.fast != EE_NODE_NONE)
			ee_compat_known_add(result, rules->additional.fast);
	}
	if (known->types == 0 || ee_compat_known_forbids(known, name, len))
		result->types = 0;
	return result;
}

/* Has no object a property of this name, by maxProperties or propertyNames? */
bool
ee_compat_known_forbids(const EeKnown *known, const char *name, uint32 len)
{
	EeValue		value = {name, len, EE_IS_STRING};
	int			i;

	for (i = 0; i < known->n; i++)
	{
		const EeObjectRules *rules =
			known->program->nodes[known->nodes[i]].object;

		if (rules == NULL)
			continue;
		if (rules->max_properties == 0)
			return true;
		if (rules->names.fast != EE_NODE_NONE && !known->program->dynamic &&
			!ee_schema_eval_node(known->program, rules->names.fast, value,
								 NULL, NULL))
			return true;
	}
	return false;
}
