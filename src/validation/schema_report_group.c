/*
 * schema_report_group.c
 *	  What a report says of schemas that see the same value: references,
 *	  allOf, anyOf, oneOf, not, if.
 *
 * Where one of several must match and none does, the reasons given are those
 * of the branch that came closest.  The branches are weighed: a wrong type of
 * the value itself says that a branch was not meant at all, a wrong constant
 * of it or of its properties nearly so; what is wrong with the value itself
 * counts for more than what is wrong further down.
 */
#include "postgres.h"

#include <limits.h>

#include "validation/schema_check.h"
#include "validation/schema_violation.h"

/*
 * Nodes visited before choices are no longer looked into: in a recursive
 * schema each level multiplies the ways to fail.
 */
#define MAX_VISITS		1000000

#define BRANCH_LIMIT	50		/* violations weighed in each branch */

/* what violations weigh; one further down weighs 1 */
#define WRONG_TYPE		100000
#define WRONG_CONSTANT	1000
#define WRONG_LIST		100		/* enum with a choice of values */
#define WRONG_HERE		10
#define FARTHEST		(INT_MAX / 4)	/* no sum overflows */

static void report_not(EeReport *r, const EeGroup *group, const EeHere *here);
static void report_choice(EeReport *r, const EeGroup *group,
						  const EeHere *here, EeTrack *track);
static void report_several(EeReport *r, const EeHere *here, int first,
						   int second);
static void report_none(EeReport *r, const EeGroup *group,
						const EeHere *here);
static int	closest_branch(EeReport *r, const EeGroup *group,
						   const EeHere *here, EeWeighing *closest);
static void add_weight(EeReport *r, int weight);
static void weigh_choice(EeReport *r, const EeWeighing *closest);
static int	least_distance(const EeReport *r, const EeEdge *edge, EeValue v);
static int	wrong_constants(const EeNode *node, EeValue v);
static int	weight_of_enum(const EeNode *node);

/* [Core 2020-12, 8.2.3, 10.2] */
void
ee_schema_report_group(EeReport *r, const EeGroup *group, const EeHere *here,
					   EeTrack *track)
{
	EeEdge		edge;
	int			i;

	switch (group->kind)
	{
		case EE_GROUP_REF:
			ee_schema_report_in_place(r, &group->edges[0], here,
									  group->keyword, -1, track);
			break;
		case EE_GROUP_DYNAMIC_REF:
			edge.node = ee_schema_eval_dynamic(r->program, group, r->scope);
			ee_schema_report_in_place(r, &edge, here, group->keyword, -1,
									  track);
			break;
		case EE_GROUP_ALL_OF:
			for (i = 0; i < group->nedges; i++)
				ee_schema_report_in_place(r, &group->edges[i], here,
										  group->keyword, i, track);
			break;
		case EE_GROUP_ANY_OF:
		case EE_GROUP_ONE_OF:
			report_choice(r, group, here, track);
			break;
		case EE_GROUP_NOT:
			report_not(r, group, here);
			break;
		case EE_GROUP_IF:
			if (ee_schema_eval_node(r->program, group->edges[0].fast, here->v,
									r->scope, track))
				ee_schema_report_in_place(r, &group->edges[1], here, "then",
										  -1, track);
			else
				ee_schema_report_in_place(r, &group->edges[2], here, "else",
										  -1, track);
			break;
	}
}

/* not  [Core 2020-12, 10.2.1.4] */
static void
report_not(EeReport *r, const EeGroup *group, const EeHere *here)
{
	EeViolation *violation;

	if (!ee_schema_eval_node(r->program, group->edges[0].fast, here->v,
							 r->scope, NULL) ||
		(violation = ee_schema_violation_add(r, here, "not")) == NULL)
		return;
	violation->found = ee_schema_violation_found(here->v);
	violation->message = "must not match the schema";
}

/* anyOf, oneOf  [Core 2020-12, 10.2.1.2, 10.2.1.3] */
static void
report_choice(EeReport *r, const EeGroup *group, const EeHere *here,
			  EeTrack *track)
{
	bool		one = group->kind == EE_GROUP_ONE_OF;
	int			matches[2];
	int			n = 0;
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
	if (n == 0)
		report_none(r, group, here);
	else if (n > 1 && one)
		report_several(r, here, matches[0], matches[1]);
}

static void
report_several(EeReport *r, const EeHere *here, int first, int second)
{
	EeViolation *violation = ee_schema_violation_add(r, here, "oneOf");

	if (violation == NULL)
		return;
	violation->expected = "exactly one matching schema";
	violation->found = psprintf("oneOf/%d and oneOf/%d", first, second);
	violation->message = psprintf("must match exactly one of the schemas, matches %s",
								  violation->found);
}

/* No branch matches: that, and the reasons of the closest. */
static void
report_none(EeReport *r, const EeGroup *group, const EeHere *here)
{
	bool		one = group->kind == EE_GROUP_ONE_OF;
	EeViolation *violation = ee_schema_violation_add(r, here, group->keyword);
	List	   *outer = r->violations;
	EeWeighing	closest = {NULL};
	int			best = -1;

	if (r->visits < MAX_VISITS &&
		(violation != NULL || !ee_schema_report_full(r)))
		best = closest_branch(r, group, here, &closest);
	if (violation == NULL)
	{
		if (best >= 0)
			weigh_choice(r, &closest);
		return;
	}
	violation->expected = one ? "exactly one matching schema" :
		"at least one matching schema";
	violation->found = ee_schema_violation_found(here->v);
	violation->message = one ? "must match exactly one of the schemas" :
		"must match at least one of the schemas";
	if (best < 0)
		return;
	violation->message = psprintf("%s, closest is %s/%d", violation->message,
								  group->keyword, best);
	if (r->tree)
		r->violations = NIL;
	ee_schema_report_in_place(r, &group->edges[best], here, group->keyword,
							  best, NULL);
	if (r->tree)
	{
		violation->below = r->violations;
		r->violations = outer;
	}
}

/*
 * The branch whose failure says most, and, where the choice itself is being
 * weighed, how far it is; of those equally far the first.  -1: no more can be
 * looked at.
 */
static int
closest_branch(EeReport *r, const EeGroup *group, const EeHere *here,
			   EeWeighing *closest)
{
	EeWeighing *outer = r->weighing;
	int			outer_count = r->count;
	int			outer_max = r->max;
	EeWeighing	weighing;
	int			best = -1;
	int		   *least = palloc(group->nedges * sizeof(int));
	int			floor = FARTHEST;	/* of all, and */
	int			second = FARTHEST;	/* of all but one */
	int			turn;

	for (turn = 0; turn < group->nedges; turn++)
	{
		least[turn] = least_distance(r, &group->edges[turn], here->v);
		if (least[turn] < floor)
		{
			second = floor;
			floor = least[turn];
			best = turn;
		}
		else
			second = Min(second, least[turn]);
	}
	/* where a constant tells them apart, and nobody asks how far it is */
	if (outer == NULL && second - floor >= WRONG_CONSTANT)
	{
		pfree(least);
		return best;
	}
	best = -1;
	r->weighing = &weighing;
	r->max = BRANCH_LIMIT;
	for (turn = 0; turn < 2 * group->nedges; turn++)
	{
		int			i = turn % group->nedges;

		/* first those that look closest, then who might be closer still */
		if ((turn < group->nedges) != (least[i] == floor))
			continue;
		memset(&weighing, 0, sizeof(weighing));
		weighing.value = here->instance;
		weighing.limit = best < 0 ? INT_MAX :
			closest->distance + (i < best);
		if (least[i] >= weighing.limit)
			continue;
		r->count = 0;
		ee_schema_report_in_place(r, &group->edges[i], here, group->keyword,
								  i, NULL);
		if (weighing.distance < weighing.limit)
		{
			best = i;
			*closest = weighing;
		}
		if (r->visits >= MAX_VISITS)
			break;
	}
	pfree(least);
	r->weighing = outer;
	r->count = outer_count;
	r->max = outer_max;
	return best;
}

/* Adds a violation's weight to the distance of the branch that has it. */
void
ee_schema_report_weigh(EeReport *r, const EeHere *here, const char *keyword)
{
	EeWeighing *weighing = r->weighing;
	const EePath *at = here->instance;
	bool		itself = at == weighing->value;
	bool		child = !itself && at->parent == weighing->value;
	int			weight = itself ? WRONG_HERE : 1;

	if (itself && strcmp(keyword, "type") == 0)
		weight = WRONG_TYPE;
	else if (itself || child)
	{
		if (strcmp(keyword, "const") == 0)
			weight = WRONG_CONSTANT;
		else if (strcmp(keyword, "enum") == 0)
			weight = weight_of_enum(&r->program->nodes[r->node]);
		else if (strcmp(keyword, "additionalProperties") == 0 ||
				 strcmp(keyword, "unevaluatedProperties") == 0)
			weight = WRONG_HERE;
		if (itself && weight > WRONG_HERE)
			weighing->constants += weight;
	}
	weighing->violations++;
	add_weight(r, weight);
}

static void
add_weight(EeReport *r, int weight)
{
	r->weighing->distance = Min(r->weighing->distance + weight, FARTHEST);
	if (r->weighing->distance >= r->weighing->limit)
		r->count = r->max;
}

/*
 * Adds what is wrong with the closest branch of a choice to the distance of
 * the branch that the choice is in.
 */
static void
weigh_choice(EeReport *r, const EeWeighing *closest)
{
	EeWeighing *weighing = r->weighing;

	weighing->violations = Min(weighing->violations + closest->violations,
							   FARTHEST);
	if (closest->value == weighing->value)
	{
		weighing->constants = Min(weighing->constants + closest->constants,
								  FARTHEST);
		add_weight(r, closest->distance);
	}
	else if (closest->value->parent == weighing->value)
		add_weight(r, closest->violations + closest->constants);
	else
		add_weight(r, closest->violations);
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
		return WRONG_HERE;
	result = wrong_constants(node, v);
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
			result += wrong_constants(child, value);
		if (result > WRONG_TYPE)
			break;
	}
	return result;
}

static int
wrong_constants(const EeNode *node, EeValue v)
{
	int			result = 0;

	if (node->constant != NULL && !ee_schema_check_enum(node->constant, v))
		result += WRONG_CONSTANT;
	if (node->enumeration != NULL &&
		!ee_schema_check_enum(node->enumeration, v))
		result += weight_of_enum(node);
	return result;
}

/* An enum of a single value is a constant. */
static int
weight_of_enum(const EeNode *node)
{
	const EeEnum *set = node->enumeration;

	return set->nstrings + set->nothers > 1 ? WRONG_LIST : WRONG_CONSTANT;
}
