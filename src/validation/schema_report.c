/*
 * schema_report.c
 *	  Every reason why an instance is not valid, for people.
 *
 * Walks the same program as schema_eval.c, but over the edges as written, and
 * does not stop at what fails.  Children that the boolean evaluation finds
 * valid are not walked.  Paths are chains on the stack until a violation
 * needs them as text.
 *
 * The order is fixed: at each place type, enum, const, the keywords of the
 * value's type, then those that apply schemas in place; children in the order
 * of the instance.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "validation/schema_check.h"
#include "validation/schema_violation.h"

/*
 * In a schema that refers to itself several times the ways to one mistake
 * can double at each level: a report ends here.
 */
#define MAX_VIOLATIONS	100000

static List *report(EeReport *r, Jsonb *instance);
static void report_rules(EeReport *r, const EeNode *node, const EeHere *here,
						 EeTrack *track);
static void report_refused(EeReport *r, const EeHere *here);

/*
 * Every violation of an instance, EeViolation in the current context; NIL if
 * it is valid.  At most max_violations, or MAX_VIOLATIONS if that is not
 * above 0.
 */
List *
ee_schema_report(const EeSchema *schema, Jsonb *instance, int max_violations)
{
	EeReport	r = {schema};

	r.max = max_violations > 0 ? max_violations : MAX_VIOLATIONS;
	return report(&r, instance);
}

/*
 * All of them as a tree: where a schema has several, they are below one that
 * stands for it.  The root's are not.
 */
List *
ee_schema_report_tree(const EeSchema *schema, Jsonb *instance)
{
	EeReport	r = {schema};

	r.max = MAX_VIOLATIONS;
	r.tree = true;
	return report(&r, instance);
}

static List *
report(EeReport *r, Jsonb *instance)
{
	EeHere		here = {ee_value_root(instance), NULL, NULL};

	r->asked = here.v.len;		/* a report is asked for what is invalid */
	ee_schema_report_node(r, r->program->root.node, &here, NULL);
	return r->violations;
}

void
ee_schema_report_node(EeReport *r, EeNodeId id, const EeHere *here,
					  EeTrack *track)
{
	const EeNode *node = &r->program->nodes[id];
	EeScope		scope = {r->scope, node->resource};
	EeNodeId	outer_node = r->node;
	const EePath *outer_path = r->node_path;
	int			first = list_length(r->violations);
	bool		enters;
	EeTrack		own;

	if (id == EE_NODE_TRUE || ee_schema_report_full(r))
		return;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	r->visits++;
	if (id == EE_NODE_FALSE)
	{
		report_refused(r, here);
		return;
	}
	r->node = id;
	r->node_path = here->keyword;
	enters = r->program->dynamic &&
		(r->scope == NULL || r->scope->resource != node->resource);
	if (enters)
		r->scope = &scope;
	if ((node->flags & EE_NODE_UNEVALUATED) &&
		(here->v.type & (EE_IS_ARRAY | EE_IS_OBJECT)))
	{
		ee_track_begin(&own, here->v);
		report_rules(r, node, here, &own);
		ee_schema_report_unevaluated(r, node, here, &own);
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
		ee_schema_report_enum(r, node->enumeration, "enum", here);
	if (node->constant != NULL && !ee_schema_check_enum(node->constant, v))
		ee_schema_report_enum(r, node->constant, "const", here);
	if (v.type == EE_IS_NUMBER && node->number != NULL)
		ee_schema_report_number(r, node->number, here);
	else if (v.type == EE_IS_STRING && node->string != NULL)
		ee_schema_report_string(r, node->string, here);
	else if (v.type == EE_IS_ARRAY && node->array != NULL)
		ee_schema_report_array(r, node->array, here, track);
	else if (v.type == EE_IS_OBJECT && node->object != NULL)
		ee_schema_report_object(r, node, here, track);
	for (i = 0; i < node->ngroups; i++)
		ee_schema_report_group(r, &node->groups[i], here, track);
}

/* The boolean schema false  [Core 2020-12, 4.3.2]: its path says where. */
static void
report_refused(EeReport *r, const EeHere *here)
{
	EeViolation *violation;

	violation = ee_schema_violation_add_at(r, here, here->keyword, "false");
	if (violation == NULL)
		return;
	violation->found = ee_schema_violation_found(here->v);
	violation->message = "no value is allowed";
}

/* The same instance against a schema of a keyword; index -1: it has one. */
void
ee_schema_report_in_place(EeReport *r, const EeEdge *edge, const EeHere *here,
						  const char *keyword, int index, EeTrack *track)
{
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, NULL, 0, index};
	EeHere		there = {here->v, here->instance,
	index >= 0 ? &below : &path};

	ee_schema_report_node(r, edge->node, &there, track);
}
