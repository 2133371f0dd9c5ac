/*
 * schema_compat_same.c
 *	  Do two nodes say the same, word for word?
 *
 * For what depends on more than which values are valid: unevaluatedItems and
 * unevaluatedProperties look at how a value came to be valid.  A dynamic
 * reference is never taken to be the same, but for programs that are the same
 * as a whole: then the ways to it are, too.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"

#include "validation/schema_compat_same.h"
#include "validation/schema_number.h"

#define MAX_PAIRS	1000

typedef struct Pair
{
	EeNodeId	a;
	EeNodeId	b;
} Pair;

typedef struct Same
{
	const EeSchema *a;
	const EeSchema *b;
	List	   *pairs;			/* being compared, or compared and the same */
	bool		whole;			/* all nodes are compared, number by number */
} Same;

static bool same_content(Same *cx, EeNodeId a, EeNodeId b);
static bool same_node(Same *cx, EeNodeId a, EeNodeId b);
static bool same_edge(Same *cx, EeEdge a, EeEdge b);
static bool same_text(const char *a, const char *b);
static bool same_name(const char *a, uint32 alen, const char *b, uint32 blen);
static bool same_set(const EeEnum *a, const EeEnum *b);
static bool same_number(const EeNumberRules *a, const EeNumberRules *b);
static bool same_string(const EeStringRules *a, const EeStringRules *b);
static bool same_array(Same *cx, const EeArrayRules *a,
					   const EeArrayRules *b);
static bool same_object(Same *cx, const EeObjectRules *a,
						const EeObjectRules *b);
static bool same_dependencies(Same *cx, const EeObjectRules *a,
							  const EeObjectRules *b);
static bool same_groups(Same *cx, const EeNode *a, const EeNode *b);

bool
ee_compat_same(const EeSchema *a_program, EeNodeId a,
			   const EeSchema *b_program, EeNodeId b)
{
	Same		cx = {a_program, b_program, NIL, false};

	return same_node(&cx, a, b);
}

/* Are the programs what compiling one schema twice gives? */
bool
ee_compat_same_programs(const EeSchema *a, const EeSchema *b)
{
	Same		cx = {a, b, NIL, true};
	EeNodeId	id;
	int			i;

	if (a->nnodes != b->nnodes || a->root.fast != b->root.fast ||
		a->dynamic != b->dynamic || a->nanchors != b->nanchors)
		return false;
	for (i = 0; i < a->nanchors; i++)
	{
		if (a->anchors[i].resource != b->anchors[i].resource ||
			a->anchors[i].anchor != b->anchors[i].anchor ||
			a->anchors[i].node != b->anchors[i].node)
			return false;
	}
	for (id = 0; id < a->nnodes; id++)
	{
		CHECK_FOR_INTERRUPTS();
		if (a->nodes[id].resource != b->nodes[id].resource ||
			!same_content(&cx, id, id))
			return false;
	}
	return true;
}

static bool
same_content(Same *cx, EeNodeId a, EeNodeId b)
{
	const EeNode *x = &cx->a->nodes[a];
	const EeNode *y = &cx->b->nodes[b];

	return x->types == y->types && x->flags == y->flags &&
		same_set(x->constant, y->constant) &&
		same_set(x->enumeration, y->enumeration) &&
		same_number(x->number, y->number) &&
		same_string(x->string, y->string) &&
		same_array(cx, x->array, y->array) &&
		same_object(cx, x->object, y->object) &&
		same_groups(cx, x, y);
}

static bool
same_node(Same *cx, EeNodeId a, EeNodeId b)
{
	Pair	   *pair;
	ListCell   *lc;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (cx->whole || a == EE_NODE_NONE || b == EE_NODE_NONE)
		return a == b;
	foreach(lc, cx->pairs)
	{
		pair = lfirst(lc);
		if (pair->a == a && pair->b == b)
			return true;
	}
	if (list_length(cx->pairs) >= MAX_PAIRS)
		return false;
	pair = palloc(sizeof(Pair));
	pair->a = a;
	pair->b = b;
	cx->pairs = lappend(cx->pairs, pair);
	return same_content(cx, a, b);
}

static bool
same_edge(Same *cx, EeEdge a, EeEdge b)
{
	return same_node(cx, a.fast, b.fast);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_name(const char *a, uint32 alen, const char *b, uint32 blen)
{
	return ee_name_compare(a, alen, b, blen) == 0;
}

static bool
same_set(const EeEnum *a, const EeEnum *b)
{
	int			i;

	if (a == NULL || b == NULL)
		return a == b;
	if (a->types != b->types || a->nstrings != b->nstrings ||
		a->nothers != b->nothers)
		return false;
	for (i = 0; i < a->nstrings; i++)
	{
		if (!same_name(a->strings[i].data, a->strings[i].len,
					   b->strings[i].data, b->strings[i].len))
			return false;
	}
	for (i = 0; i < a->nothers; i++)
	{
		if (!ee_value_equal(a->others[i].value, b->others[i].value))
			return false;
	}
	return true;
}

static bool
same_number(const EeNumberRules *a, const EeNumberRules *b)
{
	int			i;

	if (a == NULL || b == NULL)
		return a == b;
	if (a->nbounds != b->nbounds)
		return false;
	for (i = 0; i < a->nbounds; i++)
	{
		if (a->bounds[i].kind != b->bounds[i].kind ||
			ee_schema_number_compare(a->bounds[i].value,
									 b->bounds[i].value) != 0)
			return false;
	}
	return true;
}

static bool
same_string(const EeStringRules *a, const EeStringRules *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->min_length == b->min_length && a->max_length == b->max_length &&
		a->format == b->format &&
		same_text(a->content_encoding, b->content_encoding) &&
		same_text(a->content_media_type, b->content_media_type) &&
		same_text(a->pattern ? ee_schema_regex_source(a->pattern) : NULL,
				  b->pattern ? ee_schema_regex_source(b->pattern) : NULL);
}

static bool
same_array(Same *cx, const EeArrayRules *a, const EeArrayRules *b)
{
	int			i;

	if (a == NULL || b == NULL)
		return a == b;
	if (a->min_items != b->min_items || a->max_items != b->max_items ||
		a->min_contains != b->min_contains ||
		a->max_contains != b->max_contains || a->unique != b->unique ||
		a->nprefix != b->nprefix ||
		a->contains_evaluates != b->contains_evaluates)
		return false;
	for (i = 0; i < a->nprefix; i++)
	{
		if (!same_edge(cx, a->prefix[i], b->prefix[i]))
			return false;
	}
	return same_edge(cx, a->rest, b->rest) &&
		same_edge(cx, a->contains, b->contains) &&
		same_edge(cx, a->unevaluated, b->unevaluated);
}

static bool
same_object(Same *cx, const EeObjectRules *a, const EeObjectRules *b)
{
	uint32		i;
	int			j;

	if (a == NULL || b == NULL)
		return a == b;
	if (a->min_properties != b->min_properties ||
		a->max_properties != b->max_properties ||
		a->nproperties != b->nproperties || a->npatterns != b->npatterns)
		return false;
	for (i = 0; i < a->nproperties; i++)
	{
		const EeProperty *x = &a->properties[i];
		const EeProperty *y = &b->properties[i];

		if (!same_name(x->name, x->len, y->name, y->len) ||
			x->required != y->required || x->declared != y->declared ||
			!same_edge(cx, x->edge, y->edge))
			return false;
	}
	for (j = 0; j < a->npatterns; j++)
	{
		if (!same_text(ee_schema_regex_source(a->patterns[j].regex),
					   ee_schema_regex_source(b->patterns[j].regex)) ||
			!same_edge(cx, a->patterns[j].edge, b->patterns[j].edge))
			return false;
	}
	return same_edge(cx, a->additional, b->additional) &&
		same_edge(cx, a->names, b->names) &&
		same_edge(cx, a->unevaluated, b->unevaluated) &&
		same_dependencies(cx, a, b);
}

static bool
same_dependencies(Same *cx, const EeObjectRules *a, const EeObjectRules *b)
{
	int			i,
				j;

	if (a->ndependencies != b->ndependencies)
		return false;
	for (i = 0; i < a->ndependencies; i++)
	{
		const EeDependency *x = &a->dependencies[i];
		const EeDependency *y = &b->dependencies[i];

		if (!same_name(x->name.data, x->name.len, y->name.data, y->name.len) ||
			x->has_value != y->has_value ||
			(x->has_value && !same_name(x->value.data, x->value.len,
										y->value.data, y->value.len)) ||
			x->nrequired != y->nrequired || !same_edge(cx, x->edge, y->edge))
			return false;
		for (j = 0; j < x->nrequired; j++)
		{
			if (!same_name(x->required[j].data, x->required[j].len,
						   y->required[j].data, y->required[j].len))
				return false;
		}
	}
	return true;
}

static bool
same_groups(Same *cx, const EeNode *a, const EeNode *b)
{
	int			i,
				j;

	if (a->ngroups != b->ngroups)
		return false;
	for (i = 0; i < a->ngroups; i++)
	{
		const EeGroup *x = &a->groups[i];
		const EeGroup *y = &b->groups[i];

		if (x->kind != y->kind || x->nedges != y->nedges ||
			(x->kind == EE_GROUP_DYNAMIC_REF &&
			 !(cx->whole && x->anchor == y->anchor)))
			return false;
		for (j = 0; j < x->nedges; j++)
		{
			if (!same_edge(cx, x->edges[j], y->edges[j]))
				return false;
		}
	}
	return true;
}
