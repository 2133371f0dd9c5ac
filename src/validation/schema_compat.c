/*
 * schema_compat.c
 *	  Is everything valid under one schema valid under another?
 *
 * Works on compiled programs, so that references, dialects and what they do
 * to keywords are settled.  Promises that an empty answer is a proof; what
 * cannot be shown is named as such.
 *
 * A question that comes up again while it is being answered is taken to be
 * true: instances are finite, so a counterexample would lie deeper each time
 * and end.  When such a question turns out to be false, what was answered
 * meanwhile is forgotten, since it may rest on it.  Answers are only ever put
 * together without negation, so what is false stays so.
 *
 * A question is asked quietly first; only where the answer is no is the way
 * gone again to say why.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "validation/schema_compat_same.h"
#include "validation/schema_compat_state.h"
#include "validation/schema_track.h"

#define MAX_STEPS		20000
#define MEMO_BUCKETS	4096
/* of properties in properties, in looking for one that tells two apart */
#define MAX_DISJOINT_DEPTH	8

typedef enum Answer
{
	NOT_KNOWN,
	PENDING,
	HOLDS,
	FAILS
} Answer;

typedef struct MemoEntry
{
	struct MemoEntry *bucket;	/* next in it */
	struct MemoEntry *before;	/* asked before this one */
	uint32		hash;
	const EeKnown *known;
	const EeSchema *program;
	EeNodeId	id;
	Answer		answer;
	bool		relied_on;		/* asked again while PENDING */
	bool		told;			/* the breaks are written down */
} MemoEntry;

struct EeCompatMemo
{
	MemoEntry  *buckets[MEMO_BUCKETS];
	MemoEntry  *last;
};

static bool answer(EeCompat *cx, const EeKnown *known, const EeGoal *goal);
static bool answer_loudly(EeCompat *cx, const EeKnown *known,
						  const EeGoal *goal);
static uint32 hash_question(const EeKnown *known, const EeGoal *goal);
static MemoEntry *find_entry(EeCompat *cx, const EeKnown *known,
							 const EeGoal *goal);
static MemoEntry *begin_entry(EeCompat *cx, const EeKnown *known,
							  const EeGoal *goal);
static void end_entry(EeCompat *cx, MemoEntry *entry, bool holds);
static bool same_known(const EeKnown *a, const EeKnown *b);
static bool by_values(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
					  bool *holds);
static bool by_parts(EeCompat *cx, const EeKnown *known, const EeGoal *goal);
static bool asks_unevaluated(const EeKnown *known, const EeNode *node);
static bool by_split(EeCompat *cx, const EeKnown *known, const EeGoal *goal);
static bool by_type(EeCompat *cx, const EeKnown *known, const EeGoal *goal);
static const EeGroup *next_split(const EeKnown *known);
static bool group_holds(EeCompat *cx, const EeKnown *known,
						const EeGoal *goal, const EeGroup *group);
static bool any_of_holds(EeCompat *cx, const EeKnown *known,
						 const EeGoal *goal, const EeGroup *group);
static bool one_of_holds(EeCompat *cx, const EeKnown *known,
						 const EeGoal *goal, const EeGroup *group);
static bool if_holds(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
					 const EeGroup *group);
static bool if_matches(EeCompat *cx, const EeKnown *known,
					   const EeGoal *goal, const EeGroup *group);
static bool disjoint_objects(EeCompat *cx, const EeKnown *a,
							 const EeKnown *b);
static bool disjoint_known(EeCompat *cx, const EeKnown *a, const EeKnown *b);

List *
ee_schema_compat(const EeSchema *old_schema, const EeSchema *new_schema,
				 EeCompatDirection direction)
{
	bool		backward = direction == EE_COMPAT_BACKWARD;
	const EeSchema *from = backward ? old_schema : new_schema;
	const EeSchema *to = backward ? new_schema : old_schema;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "event_engine comparison of schemas",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	EeCompat	cx = {old_schema, direction, old, NIL, 0, 0, 0, NULL};
	EeKnown    *known = ee_compat_known(from);
	EeGoal		goal = {to, to->root.fast, NULL};

	cx.memo = palloc0(sizeof(EeCompatMemo));
	ee_compat_known_add(known, from->root.fast);
	if (!ee_compat_same_programs(old_schema, new_schema) &&
		!ee_compat_holds(&cx, known, &goal) && cx.breaks == NIL)
		(void) ee_compat_unproven(&cx, known, &goal, "schema",
								  "the one is part of the other");
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return cx.breaks;
}

bool
ee_compat_holds_quietly(EeCompat *cx, const EeKnown *known,
						const EeGoal *goal)
{
	bool		holds;

	cx->quiet++;
	holds = ee_compat_holds(cx, known, goal);
	cx->quiet--;
	return holds;
}

/* Is all of which this is known valid under the goal? */
bool
ee_compat_holds(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	MemoEntry  *entry;
	bool		holds;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (goal->id == EE_NODE_TRUE || goal->id == EE_NODE_NONE ||
		known->types == 0)
		return true;
	entry = find_entry(cx, known, goal);
	if (entry != NULL && entry->answer == PENDING)
		entry->relied_on = true;
	if (entry != NULL && (entry->answer == PENDING || entry->answer == HOLDS))
		return true;
	if (entry == NULL || entry->answer == NOT_KNOWN)
	{
		if (++cx->steps > MAX_STEPS)
			return ee_compat_unproven(cx, known, goal, "schema",
									  "it holds: the schemas are too complex to compare");
		entry = begin_entry(cx, known, goal);
		cx->quiet++;
		holds = answer(cx, known, goal);
		cx->quiet--;
		end_entry(cx, entry, holds);
		if (holds)
			return true;
	}
	if (cx->quiet == 0 && !entry->told)
	{
		entry = begin_entry(cx, known, goal);
		entry->told = true;
		(void) answer_loudly(cx, known, goal);
		end_entry(cx, entry, false);
	}
	return false;
}

static bool
answer(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	bool		holds;

	if (by_values(cx, known, goal, &holds))
		return holds;
	return by_parts(cx, known, goal) || by_split(cx, known, goal) ||
		by_type(cx, known, goal);
}

/* The answer is no: where a branch decides, of that branch; and why. */
static bool
answer_loudly(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	int			before = list_length(cx->breaks);
	bool		holds;

	if (!by_values(cx, known, goal, &holds))
	{
		if (next_split(known) != NULL)
			(void) by_split(cx, known, goal);
		else
			(void) by_parts(cx, known, goal);
	}
	if (list_length(cx->breaks) == before && before == 0)
		(void) ee_compat_unproven(cx, known, goal, "schema",
								  "what was valid is valid");
	return false;
}

/* ------------------------------------------------------ what was asked before */

static uint32
hash_question(const EeKnown *known, const EeGoal *goal)
{
	uint32		hash = hash_bytes_uint32(known->types);

	hash = hash_combine(hash, hash_bytes_uint32(goal->id));
	if (known->n > 0)
		hash = hash_combine(hash, hash_bytes((unsigned char *) known->nodes,
											 known->n * sizeof(EeNodeId)));
	return hash;
}

static MemoEntry *
find_entry(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	uint32		hash = hash_question(known, goal);
	MemoEntry  *entry;

	for (entry = cx->memo->buckets[hash % MEMO_BUCKETS]; entry != NULL;
		 entry = entry->bucket)
	{
		if (entry->hash == hash && entry->program == goal->program &&
			entry->id == goal->id && same_known(entry->known, known))
			return entry;		/* the latest */
	}
	return NULL;
}

static bool
same_known(const EeKnown *a, const EeKnown *b)
{
	return a->program == b->program && a->types == b->types &&
		a->n == b->n && a->nnots == b->nnots && a->nsplits == b->nsplits &&
		(a->n == 0 ||
		 memcmp(a->nodes, b->nodes, a->n * sizeof(EeNodeId)) == 0) &&
		(a->nnots == 0 ||
		 memcmp(a->nots, b->nots, a->nnots * sizeof(EeNodeId)) == 0) &&
		(a->nsplits == 0 ||
		 memcmp(a->splits, b->splits, a->nsplits * sizeof(EeGroup *)) == 0);
}

static MemoEntry *
begin_entry(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	MemoEntry  *entry = palloc0(sizeof(MemoEntry));
	MemoEntry **bucket;

	entry->hash = hash_question(known, goal);
	entry->known = ee_compat_known_copy(known);
	entry->program = goal->program;
	entry->id = goal->id;
	entry->answer = PENDING;
	bucket = &cx->memo->buckets[entry->hash % MEMO_BUCKETS];
	entry->bucket = *bucket;
	*bucket = entry;
	entry->before = cx->memo->last;
	cx->memo->last = entry;
	return entry;
}

static void
end_entry(EeCompat *cx, MemoEntry *entry, bool holds)
{
	MemoEntry  *later;

	entry->answer = holds ? HOLDS : FAILS;
	if (holds || !entry->relied_on)
		return;
	for (later = cx->memo->last; later != entry; later = later->before)
	{
		if (later->answer == HOLDS)
			later->answer = NOT_KNOWN;
	}
}

/* --------------------------------------------------------------- the ways */

/* Where all values can be listed, each is tried.  False: they cannot. */
static bool
by_values(EeCompat *cx, const EeKnown *known, const EeGoal *goal, bool *holds)
{
	const EeNode *node = ee_compat_node(goal);
	EeValue    *values;
	const char *text;
	int			n;
	int			i;

	*holds = true;
	if (goal->program->dynamic ||
		!ee_compat_known_values(known, &values, &n, &text))
		return false;
	for (i = 0; i < n; i++)
	{
		const char *keyword = "type";
		const char *goal_text = ee_compat_types(node->types);

		if (ee_schema_eval_node(goal->program, goal->id, values[i], NULL,
								NULL))
			continue;
		*holds = false;
		if (cx->quiet > 0)
			return true;
		if (node->enumeration != NULL || node->constant != NULL)
		{
			keyword = node->constant != NULL ? "const" : "enum";
			goal_text = node->constant != NULL ? node->constant->text :
				node->enumeration->text;
		}
		else if (goal_text == NULL || (node->types & values[i].type))
		{
			keyword = "enum";
			goal_text = ee_compat_describe(goal->program, goal->id);
		}
		(void) ee_compat_break(cx, known, goal->path, keyword,
							   text != NULL ? text :
							   ee_compat_types(known->types), goal_text,
							   psprintf("value %s is no longer accepted",
										ee_value_text(values[i], 60)));
	}
	return true;
}

/* All that the goal says, one after the other. */
static bool
by_parts(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeNode *node = ee_compat_node(goal);
	bool		holds;
	int			i;

	if ((node->flags & EE_NODE_UNEVALUATED) ||
		(node->ngroups > 0 && goal->program->dynamic))
	{
		for (i = 0; i < known->n; i++)
		{
			if (ee_compat_same(known->program, known->nodes[i],
							   goal->program, goal->id))
				return true;
		}
	}
	holds = ee_compat_type(cx, known, goal);
	if (!holds && cx->quiet > 0)
		return false;
	if ((node->flags & EE_NODE_UNEVALUATED) && asks_unevaluated(known, node))
		return ee_compat_unproven(cx, known, goal, known->types & EE_IS_OBJECT ?
								  "unevaluatedProperties" : "unevaluatedItems",
								  "the same is left unevaluated, since the schema that says so has changed");
	if (node->constant != NULL || node->enumeration != NULL)
	{
		const EeEnum *set = node->constant != NULL ? node->constant :
			node->enumeration;

		return ee_compat_break(cx, known, goal->path,
							   node->constant != NULL ? "const" : "enum",
							   NULL, set->text,
							   "other values were accepted");
	}
	holds = ee_compat_number(cx, known, goal) && holds;
	holds = ee_compat_string(cx, known, goal) && holds;
	holds = ee_compat_array(cx, known, goal) && holds;
	holds = ee_compat_object(cx, known, goal) && holds;
	for (i = 0; i < node->ngroups && (holds || cx->quiet == 0); i++)
		holds = group_holds(cx, known, goal, &node->groups[i]) && holds;
	return holds;
}

static bool
asks_unevaluated(const EeKnown *known, const EeNode *node)
{
	return ((known->types & EE_IS_ARRAY) && node->array != NULL &&
			node->array->unevaluated.fast != EE_NODE_NONE) ||
		((known->types & EE_IS_OBJECT) && node->object != NULL &&
		 node->object->unevaluated.fast != EE_NODE_NONE);
}

/* It is valid under one branch of an anyOf or oneOf: whichever that is. */
static bool
by_split(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	const EeGroup *group = next_split(known);
	bool		holds = true;
	int			i,
				j;

	if (group == NULL)
		return false;
	for (i = 0; i < group->nedges && (holds || cx->quiet == 0); i++)
	{
		EeKnown    *branch = ee_compat_known_copy(known);

		ee_compat_known_split(branch, group);
		ee_compat_known_add(branch, group->edges[i].fast);
		for (j = 0; j < group->nedges; j++)
		{
			if (group->kind == EE_GROUP_ONE_OF && j != i)
				ee_compat_known_not(branch, group->edges[j].fast);
		}
		holds = ee_compat_holds(cx, branch, goal) && holds;
	}
	return holds;
}

static const EeGroup *
next_split(const EeKnown *known)
{
	int			i,
				j,
				k;

	for (i = 0; i < known->n; i++)
	{
		const EeNode *node = &known->program->nodes[known->nodes[i]];

		for (j = 0; j < node->ngroups; j++)
		{
			const EeGroup *group = &node->groups[j];

			if (group->kind != EE_GROUP_ANY_OF &&
				group->kind != EE_GROUP_ONE_OF)
				continue;
			for (k = 0; k < known->nsplits && known->splits[k] != group; k++)
				;
			if (k == known->nsplits)
				return group;
		}
	}
	return NULL;
}

/* It has one type: whichever that is. */
static bool
by_type(EeCompat *cx, const EeKnown *known, const EeGoal *goal)
{
	static const uint16 each[] = {EE_IS_NUMBER | EE_IS_INTEGER, EE_IS_STRING,
		EE_IS_BOOLEAN, EE_IS_NULL, EE_IS_ARRAY, EE_IS_OBJECT};
	int			i;

	if (ee_compat_node(goal)->ngroups == 0)
		return false;
	for (i = 0; i < lengthof(each); i++)
	{
		EeKnown    *one;

		if ((known->types & ~each[i]) == 0)
			return false;		/* there is but one */
		if (!(known->types & each[i]))
			continue;
		one = ee_compat_known_copy(known);
		one->types &= each[i];
		if (!ee_compat_holds_quietly(cx, one, goal))
			return false;
	}
	return true;
}

/* ----------------------------------------------------- in-place applicators */

static bool
group_holds(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
			const EeGroup *group)
{
	bool		holds = true;
	int			i;

	switch (group->kind)
	{
		case EE_GROUP_REF:
		case EE_GROUP_ALL_OF:
			for (i = 0; i < group->nedges; i++)
			{
				EeGoal		next = ee_compat_goal(goal, &group->edges[i],
												  group->keyword, NULL,
												  group->kind == EE_GROUP_REF ?
												  -1 : i);

				holds = ee_compat_holds(cx, known, &next) && holds;
			}
			return holds;
		case EE_GROUP_ANY_OF:
			return any_of_holds(cx, known, goal, group);
		case EE_GROUP_ONE_OF:
			return one_of_holds(cx, known, goal, group);
		case EE_GROUP_NOT:
			return ee_compat_disjoint(cx, known, goal->program,
									  group->edges[0].fast) ||
				ee_compat_unproven(cx, known, goal, "not",
								   "nothing that was accepted is excluded");
		case EE_GROUP_IF:
			return if_holds(cx, known, goal, group);
		case EE_GROUP_DYNAMIC_REF:
			break;
	}
	return ee_compat_unproven(cx, known, goal, group->keyword,
							  "it holds, since where the reference leads depends on the way to it");
}

static bool
any_of_holds(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
			 const EeGroup *group)
{
	int			i;

	for (i = 0; i < group->nedges; i++)
	{
		EeGoal		next = ee_compat_goal(goal, &group->edges[i],
										  group->keyword, NULL, i);

		if (ee_compat_holds_quietly(cx, known, &next))
			return true;
		if (group->nedges == 1)
			return ee_compat_holds(cx, known, &next);
	}
	return ee_compat_unproven(cx, known, goal, group->keyword,
							  "what was accepted fits one of the branches");
}

/* One branch holds, and no value of that kind fits another. */
static bool
one_of_holds(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
			 const EeGroup *group)
{
	bool		one = false;
	int			i,
				j;

	for (i = 0; i < group->nedges; i++)
	{
		EeGoal		next = ee_compat_goal(goal, &group->edges[i],
										  group->keyword, NULL, i);

		if (!ee_compat_holds_quietly(cx, known, &next))
			continue;
		one = true;
		for (j = 0; j < group->nedges; j++)
		{
			if (j != i && !ee_compat_disjoint(cx, known, goal->program,
											  group->edges[j].fast))
				break;
		}
		if (j == group->nedges)
			return true;
	}
	return ee_compat_unproven(cx, known, goal, group->keyword, one ?
							  "what fits one of the branches fits no other" :
							  "what was accepted fits one of the branches");
}

/*
 * Both outcomes hold whatever the condition says, or the other side has the
 * same condition.
 */
static bool
if_holds(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
		 const EeGroup *group)
{
	EeGoal		then_goal = ee_compat_goal(goal, &group->edges[1], "then",
										   NULL, -1);
	EeGoal		else_goal = ee_compat_goal(goal, &group->edges[2], "else",
										   NULL, -1);
	int			i,
				j;

	if ((ee_compat_holds_quietly(cx, known, &then_goal) ||
		 ee_compat_disjoint(cx, known, goal->program,
							group->edges[0].fast)) &&
		ee_compat_holds_quietly(cx, known, &else_goal))
		return true;
	for (i = 0; i < known->n; i++)
	{
		const EeNode *node = &known->program->nodes[known->nodes[i]];

		for (j = 0; j < node->ngroups; j++)
		{
			if (node->groups[j].kind == EE_GROUP_IF &&
				if_matches(cx, known, goal, &node->groups[j]))
			{
				EeKnown    *when = ee_compat_known_copy(known);
				EeKnown    *otherwise = ee_compat_known_copy(known);

				ee_compat_known_add(when, node->groups[j].edges[0].fast);
				ee_compat_known_add(when, node->groups[j].edges[1].fast);
				ee_compat_known_not(otherwise, node->groups[j].edges[0].fast);
				ee_compat_known_add(otherwise, node->groups[j].edges[2].fast);
				if (ee_compat_holds_quietly(cx, when, &then_goal) &&
					ee_compat_holds_quietly(cx, otherwise, &else_goal))
					return true;
			}
		}
	}
	return ee_compat_unproven(cx, known, goal, group->keyword,
							  "what was accepted meets the condition's outcome");
}

/* Do the conditions of two if say the same? */
static bool
if_matches(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
		   const EeGroup *own)
{
	const EeNode *node = ee_compat_node(goal);
	int			i;

	for (i = 0; i < node->ngroups; i++)
	{
		EeKnown    *here;
		EeKnown    *there;
		EeGoal		to_there = {goal->program, 0, goal->path};
		EeGoal		to_here = {known->program, own->edges[0].fast, goal->path};

		if (node->groups[i].kind != EE_GROUP_IF)
			continue;
		to_there.id = node->groups[i].edges[0].fast;
		here = ee_compat_known(known->program);
		ee_compat_known_add(here, own->edges[0].fast);
		there = ee_compat_known(goal->program);
		ee_compat_known_add(there, to_there.id);
		return ee_compat_holds_quietly(cx, here, &to_there) &&
			ee_compat_holds_quietly(cx, there, &to_here);
	}
	return false;
}

/* --------------------------------------------------------------- exclusion */

/* Is nothing of which this is known valid under that node? */
bool
ee_compat_disjoint(EeCompat *cx, const EeKnown *known,
				   const EeSchema *program, EeNodeId id)
{
	EeKnown    *other = ee_compat_known(program);
	bool		disjoint;

	if (id == EE_NODE_TRUE)
		return known->types == 0;
	ee_compat_known_add(other, id);
	cx->quiet++;
	disjoint = disjoint_known(cx, known, other);
	cx->quiet--;
	return disjoint;
}

static bool
disjoint_known(EeCompat *cx, const EeKnown *a, const EeKnown *b)
{
	bool		disjoint;
	int			side,
				i,
				j;

	if ((a->types & b->types) == 0)
		return true;
	if (++cx->steps > MAX_STEPS || cx->depth >= MAX_DISJOINT_DEPTH)
		return false;
	for (side = 0; side < 2; side++)
	{
		EeValue    *values;
		const char *text;
		int			n;

		for (i = 0; i < a->nnots; i++)
		{
			EeGoal		goal = {a->program, a->nots[i], NULL};

			if (ee_compat_holds(cx, b, &goal))
				return true;
		}
		if (!b->program->dynamic && ee_compat_known_values(a, &values, &n, &text))
		{
			for (i = 0; i < n; i++)
			{
				for (j = 0; j < b->n; j++)
				{
					if (!ee_schema_eval_node(b->program, b->nodes[j],
											 values[i], NULL, NULL))
						break;
				}
				if (j == b->n)
					break;
			}
			if (i == n)
				return true;
		}
		{
			const EeKnown *swap = a;

			a = b;
			b = swap;
		}
	}
	if ((a->types & b->types) != EE_IS_OBJECT)
		return false;
	cx->depth++;
	disjoint = disjoint_objects(cx, a, b);
	cx->depth--;
	return disjoint;
}

/* Is there a property that one must have, and not as the other has it? */
static bool
disjoint_objects(EeCompat *cx, const EeKnown *a, const EeKnown *b)
{
	const EeKnown *sides[] = {a, b};
	int			side,
				i;
	uint32		j;

	for (side = 0; side < 2; side++)
	{
		for (i = 0; i < sides[side]->n; i++)
		{
			const EeObjectRules *rules =
				sides[side]->program->nodes[sides[side]->nodes[i]].object;

			for (j = 0; rules != NULL && j < rules->nproperties; j++)
			{
				const EeProperty *property = &rules->properties[j];

				if (property->required &&
					disjoint_known(cx,
								   ee_compat_known_property(a, property->name,
															property->len),
								   ee_compat_known_property(b, property->name,
															property->len)))
					return true;
			}
		}
	}
	return false;
}
