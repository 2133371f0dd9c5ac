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
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "validation/schema_check.h"
#include "validation/schema_eval.h"
#include "validation/schema_problem.h"
#include "validation/schema_program.h"
#include "validation/schema_report.h"
#include "validation/schema_track.h"

#define FOUND_BYTES		80		/* of a value in a report */
#define BRANCH_LIMIT	50		/* violations looked at in each branch */
#define SIMILAR_EDITS	3		/* for "did you mean" */
#define SIMILAR_BYTES	100

typedef struct Report
{
	const EeSchema *program;
	const EeScope *scope;
	List	   *violations;
	int			max;
} Report;

/* where the report stands: in the instance and in the schema */
typedef struct Here
{
	EeValue		v;
	const EePath *instance;
	const EePath *keyword;
} Here;

static bool full(const Report *r);
static void report_node(Report *r, EeNodeId id, const Here *here,
						EeTrack *track);
static void report_rules(Report *r, const EeNode *node, const Here *here,
						 EeTrack *track);
static void report_type(Report *r, const EeNode *node, const Here *here);
static void report_number(Report *r, const EeNumberRules *rules,
						  const Here *here);
static void report_string(Report *r, const EeStringRules *rules,
						  const Here *here);
static void report_array(Report *r, const EeArrayRules *rules,
						 const Here *here, EeTrack *track);
static void report_contains(Report *r, const EeArrayRules *rules,
							const Here *here, EeTrack *track);
static void report_object(Report *r, const EeObjectRules *rules,
						  const Here *here, EeTrack *track);
static bool report_property(Report *r, const EeObjectRules *rules,
							const Here *here, const char *key, uint32 len,
							EeValue value);
static void report_missing(Report *r, const EeObjectRules *rules,
						   const Here *here);
static void report_dependencies(Report *r, const EeObjectRules *rules,
								const Here *here, EeTrack *track);
static void report_unevaluated(Report *r, const EeNode *node,
							   const Here *here, EeTrack *track);
static void report_group(Report *r, const EeGroup *group, const Here *here,
						 EeTrack *track);
static void report_choice(Report *r, const EeGroup *group, const Here *here,
						  EeTrack *track);
static int	closest_branch(Report *r, const EeGroup *group, const Here *here,
						   List **violations);
static int	distance(const List *violations, const Here *here);
static void report_child(Report *r, const EeEdge *edge, const Here *here,
						 const EePath *instance, EeValue value,
						 const char *keyword, const char *name, uint32 len);
static void report_item(Report *r, const EeEdge *edge, const Here *here,
						uint32 index, EeValue value, const char *keyword,
						int position);
static void report_refused(Report *r, const Here *here, const char *keyword);
static void report_in_place(Report *r, const EeEdge *edge, const Here *here,
							const char *keyword, int index, EeTrack *track);
static void add(Report *r, const Here *here, const char *keyword,
				const char *expected, const char *found,
				const char *fmt,...) pg_attribute_printf(6, 7);
static char *quote(const char *name, uint32 len);
static char *did_you_mean(const EeObjectRules *rules, const char *key,
						  uint32 len);
static char *found_text(EeValue v);

/*
 * Every violation of an instance, EeViolation in the current context; NIL if
 * it is valid.  At most max_violations, or all if that is not above 0.
 */
List *
ee_schema_report(const EeSchema *schema, Jsonb *instance, int max_violations)
{
	Report		r = {schema, NULL, NIL, max_violations};
	Here		here = {ee_value_root(instance), NULL, NULL};

	if (r.max <= 0)
		r.max = INT_MAX;
	report_node(&r, schema->root.node, &here, NULL);
	return r.violations;
}

static bool
full(const Report *r)
{
	return list_length(r->violations) >= r->max;
}

static void
report_node(Report *r, EeNodeId id, const Here *here, EeTrack *track)
{
	const EeNode *node = &r->program->nodes[id];
	EeScope		scope = {r->scope, node->resource};
	bool		enters;
	EeTrack		own;

	if (full(r))
		return;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (id == EE_NODE_FALSE)
	{
		report_refused(r, here, "");
		return;
	}
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
}

static void
report_rules(Report *r, const EeNode *node, const Here *here, EeTrack *track)
{
	EeValue		v = here->v;
	int			i;

	if (!ee_schema_check_type(node, v))
		report_type(r, node, here);
	if (node->enumeration != NULL &&
		!ee_schema_check_enum(node->enumeration, v))
		add(r, here, "enum", node->enumeration->text, found_text(v),
			"must be one of the listed values");
	if (node->constant != NULL && !ee_schema_check_enum(node->constant, v))
		add(r, here, "const", node->constant->text, found_text(v),
			"must be the given value");
	if (v.type == EE_IS_NUMBER && node->number != NULL)
		report_number(r, node->number, here);
	else if (v.type == EE_IS_STRING && node->string != NULL)
		report_string(r, node->string, here);
	else if (v.type == EE_IS_ARRAY && node->array != NULL)
		report_array(r, node->array, here, track);
	else if (v.type == EE_IS_OBJECT && node->object != NULL)
		report_object(r, node->object, here, track);
	for (i = 0; i < node->ngroups; i++)
		report_group(r, &node->groups[i], here, track);
}

/* type  [Validation 2020-12, 6.1.1] */
static void
report_type(Report *r, const EeNode *node, const Here *here)
{
	static const struct
	{
		const char *name;
		uint16		types;
	}			names[] =
	{
		{"null", EE_IS_NULL},
		{"boolean", EE_IS_BOOLEAN},
		{"number", EE_IS_NUMBER},
		{"integer", EE_IS_INTEGER},
		{"string", EE_IS_STRING},
		{"array", EE_IS_ARRAY},
		{"object", EE_IS_OBJECT},
	};
	StringInfoData expected;
	uint16		types = node->types;
	int			i;

	if (types & EE_IS_NUMBER)
		types &= ~EE_IS_INTEGER;
	initStringInfo(&expected);
	for (i = 0; i < lengthof(names); i++)
	{
		if (types & names[i].types)
			appendStringInfo(&expected, "%s%s", expected.len ? " or " : "",
							 names[i].name);
	}
	add(r, here, "type", expected.data, ee_value_type_name(here->v),
		"must be of type %s", expected.data);
}

/* [Validation 2020-12, 6.2] */
static void
report_number(Report *r, const EeNumberRules *rules, const Here *here)
{
	static const char *const texts[] = {
		[EE_BOUND_MINIMUM] = "at least",
		[EE_BOUND_EXCLUSIVE_MINIMUM] = "greater than",
		[EE_BOUND_MAXIMUM] = "at most",
		[EE_BOUND_EXCLUSIVE_MAXIMUM] = "less than",
		[EE_BOUND_MULTIPLE_OF] = "a multiple of",
	};
	EeNumberForm form;
	int			i;

	ee_schema_check_form(&form, here->v);
	for (i = 0; i < rules->nbounds; i++)
	{
		const EeBound *bound = &rules->bounds[i];
		EeValue		limit = {(const char *) bound->value, 0, EE_IS_NUMBER};
		char	   *text;

		if (ee_schema_check_bound(&form, bound))
			continue;
		text = psprintf("%s %s", texts[bound->kind],
						ee_value_text(limit, FOUND_BYTES));
		add(r, here, bound->keyword, text, found_text(here->v),
			"must be %s", text);
	}
}

/* [Validation 2020-12, 6.3, 7.3; draft 7, 8] */
static void
report_string(Report *r, const EeStringRules *rules, const Here *here)
{
	EeValue		v = here->v;

	if (!ee_schema_check_length(rules, v))
	{
		uint32		n = ee_schema_check_characters(v);
		bool		below = n < rules->min_length;
		char	   *text = psprintf("%s %u characters",
									below ? "at least" : "at most",
									below ? rules->min_length : rules->max_length);

		add(r, here, below ? "minLength" : "maxLength", text,
			psprintf("%u characters", n), "must have %s", text);
		if (below && n > rules->max_length)
			add(r, here, "maxLength",
				psprintf("at most %u characters", rules->max_length),
				psprintf("%u characters", n),
				"must have at most %u characters", rules->max_length);
	}
	if (rules->pattern != NULL &&
		!ee_schema_regex_match(rules->pattern, v.data, v.len))
		add(r, here, "pattern", ee_schema_regex_source(rules->pattern),
			found_text(v), "must match the pattern");
	if (rules->format != NULL && !rules->format(v.data, v.len))
		add(r, here, "format", rules->format_name, found_text(v),
			"must be a valid %s", rules->format_name);
	if ((rules->content_encoding || rules->content_media_type) &&
		!ee_schema_check_content(rules, v))
	{
		EeStringRules encoding = *rules;
		bool		encoded;

		encoding.content_media_type = NULL;
		encoded = ee_schema_check_content(&encoding, v);
		add(r, here, encoded ? "contentMediaType" : "contentEncoding",
			encoded ? rules->content_media_type : rules->content_encoding,
			found_text(v), "must be valid %s",
			encoded ? rules->content_media_type : rules->content_encoding);
	}
}

/* [Core 2020-12, 10.3.1; Validation 2020-12, 6.4] */
static void
report_array(Report *r, const EeArrayRules *rules, const Here *here,
			 EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(here->v);
	EeWalk		walk;
	uint32		i,
				first,
				second;

	if (n < rules->min_items)
		add(r, here, "minItems", psprintf("at least %u items", rules->min_items),
			psprintf("%u items", n), "must have at least %u items",
			rules->min_items);
	if (n > rules->max_items)
		add(r, here, "maxItems", psprintf("at most %u items", rules->max_items),
			psprintf("%u items", n), "must have at most %u items",
			rules->max_items);
	if (rules->unique && !ee_value_unique(here->v, &first, &second))
		add(r, here, "uniqueItems", "items that differ",
			psprintf("items %u and %u are equal", first, second),
			"items %u and %u must not be equal", first, second);
	ee_walk_array(&walk, here->v);
	for (i = 0; i < n && !full(r); i++)
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

/* contains, minContains, maxContains  [Core, 10.3.1.3; Validation, 6.4.4] */
static void
report_contains(Report *r, const EeArrayRules *rules, const Here *here,
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
		add(r, here, rules->min_contains == 1 ? "contains" : "minContains",
			psprintf("at least %u matching items", rules->min_contains),
			psprintf("%u matching items", matches),
			"must contain at least %u matching items", rules->min_contains);
	if (matches > rules->max_contains)
		add(r, here, "maxContains",
			psprintf("at most %u matching items", rules->max_contains),
			psprintf("%u matching items", matches),
			"must contain at most %u matching items", rules->max_contains);
}

/* [Core 2020-12, 10.3.2; Validation 2020-12, 6.5] */
static void
report_object(Report *r, const EeObjectRules *rules, const Here *here,
			  EeTrack *track)
{
	uint32		n = EE_VALUE_COUNT(here->v);
	EeWalk		walk;
	uint32		i;

	if (n < rules->min_properties)
		add(r, here, "minProperties",
			psprintf("at least %u properties", rules->min_properties),
			psprintf("%u properties", n),
			"must have at least %u properties", rules->min_properties);
	if (n > rules->max_properties)
		add(r, here, "maxProperties",
			psprintf("at most %u properties", rules->max_properties),
			psprintf("%u properties", n),
			"must have at most %u properties", rules->max_properties);
	if (rules->nrequired > 0)
		report_missing(r, rules, here);
	ee_walk_object(&walk, here->v);
	for (i = 0; i < n && !full(r); i++)
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
report_missing(Report *r, const EeObjectRules *rules, const Here *here)
{
	uint32		i;

	for (i = 0; i < rules->nproperties && !full(r); i++)
	{
		const EeProperty *property = &rules->properties[i];

		if (property->required &&
			!ee_value_get(here->v, property->name, property->len, NULL))
			add(r, here, "required", quote(property->name, property->len),
				NULL, "property %s is required",
				quote(property->name, property->len));
	}
}

/* One property; was it looked at by any keyword? */
static bool
report_property(Report *r, const EeObjectRules *rules, const Here *here,
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
		Here		there = {value, &instance, here->keyword};

		add(r, &there, "additionalProperties", NULL, quote(key, len),
			"property %s is not allowed%s", quote(key, len),
			did_you_mean(rules, key, len));
	}
	else
		report_child(r, &rules->additional, here, &instance, value,
					 "additionalProperties", NULL, 0);
	return true;
}

/* dependencies  [draft 7, 6.5.7], dependentRequired, dependentSchemas */
static void
report_dependencies(Report *r, const EeObjectRules *rules, const Here *here,
					EeTrack *track)
{
	int			i,
				j;

	for (i = 0; i < rules->ndependencies && !full(r); i++)
	{
		const EeDependency *dependency = &rules->dependencies[i];
		EeName		name = dependency->name;
		EePath		keyword = {here->keyword, dependency->keyword,
		strlen(dependency->keyword), 0};
		EePath		below = {&keyword, name.data, name.len, 0};
		Here		there = {here->v, here->instance, &below};

		if (!ee_value_get(here->v, name.data, name.len, NULL))
			continue;
		for (j = 0; j < dependency->nrequired; j++)
		{
			EeName		needed = dependency->required[j];

			if (!ee_value_get(here->v, needed.data, needed.len, NULL))
			{
				there.keyword = here->keyword;
				add(r, &there, dependency->keyword,
					quote(needed.data, needed.len), NULL,
					"property %s is required beside %s",
					quote(needed.data, needed.len),
					quote(name.data, name.len));
			}
		}
		there.keyword = &below;
		if (dependency->edge.node != EE_NODE_NONE)
			report_node(r, dependency->edge.node, &there, track);
	}
}

/* unevaluatedItems, unevaluatedProperties  [Core 2020-12, 11.2, 11.3] */
static void
report_unevaluated(Report *r, const EeNode *node, const Here *here,
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
	for (i = 0; i < n && !full(r); i++)
	{
		uint32		len = 0;
		const char *key = array ? NULL : ee_walk_key(&walk, &len);
		EeValue		value = array ? ee_walk_element(&walk) :
		ee_walk_value(&walk);
		EePath		instance = {here->instance, key, len, i};
		Here		there = {value, &instance, here->keyword};

		if (ee_track_is_set(track, i))
			continue;
		if (edge->fast != EE_NODE_FALSE)
			report_child(r, edge, here, &instance, value,
						 array ? "unevaluatedItems" : "unevaluatedProperties",
						 NULL, 0);
		else if (array)
			add(r, &there, "unevaluatedItems", NULL, found_text(value),
				"item %u is not allowed", i);
		else
			add(r, &there, "unevaluatedProperties", NULL, quote(key, len),
				"property %s is not allowed", quote(key, len));
	}
	ee_track_all(track);
}

/* [Core 2020-12, 8.2.3, 10.2] */
static void
report_group(Report *r, const EeGroup *group, const Here *here,
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
				add(r, here, "not", NULL, found_text(here->v),
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
report_choice(Report *r, const EeGroup *group, const Here *here,
			  EeTrack *track)
{
	bool		one = group->kind == EE_GROUP_ONE_OF;
	int			matches[2] = {-1, -1};
	int			n = 0;
	List	   *violations = NIL;
	int			best;
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
		add(r, here, "oneOf", "exactly one matching schema",
			psprintf("schemas %d and %d match", matches[0], matches[1]),
			"must match exactly one schema, matches %d and %d",
			matches[0], matches[1]);
		return;
	}
	best = closest_branch(r, group, here, &violations);
	add(r, here, group->keyword,
		one ? "exactly one matching schema" : "at least one matching schema",
		found_text(here->v), "must match %s schema, closest is %d",
		one ? "exactly one" : "at least one", best);
	if (!full(r))
		r->violations = list_concat(r->violations,
									list_truncate(violations,
												  r->max - list_length(r->violations)));
}

/* The branch whose failure says most, and its violations. */
static int
closest_branch(Report *r, const EeGroup *group, const Here *here,
			   List **violations)
{
	List	   *outer = r->violations;
	int			outer_max = r->max;
	int			best = -1;
	int			best_distance = INT_MAX;
	int			i;

	r->max = BRANCH_LIMIT;
	for (i = 0; i < group->nedges; i++)
	{
		int			d;

		r->violations = NIL;
		report_in_place(r, &group->edges[i], here, group->keyword, i, NULL);
		d = distance(r->violations, here);
		if (d < best_distance)
		{
			best = i;
			best_distance = d;
			*violations = r->violations;
		}
	}
	r->violations = outer;
	r->max = outer_max;
	return best;
}

/*
 * How far a branch is from matching.  A wrong type of the value itself says
 * that the branch was not meant at all, and a wrong constant of the value or
 * of its properties nearly so.
 */
static int
distance(const List *violations, const Here *here)
{
	char	   *base = ee_schema_path_text(here->instance);
	size_t		len = strlen(base);
	int			result = 0;
	ListCell   *lc;

	foreach(lc, violations)
	{
		const EeViolation *violation = lfirst(lc);
		const char *below = violation->instance_path + len;

		result++;
		if (strcmp(violation->keyword, "type") == 0 && *below == '\0')
			result += 100000;
		else if ((strcmp(violation->keyword, "const") == 0 ||
				  strcmp(violation->keyword, "enum") == 0) &&
				 (*below == '\0' || strchr(below + 1, '/') == NULL))
			result += 1000;
	}
	return result;
}

/* A child of the instance against a child of the schema. */
static void
report_child(Report *r, const EeEdge *edge, const Here *here,
			 const EePath *instance, EeValue value, const char *keyword,
			 const char *name, uint32 len)
{
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, name, len, 0};
	Here		there = {value, instance, name ? &below : &path};

	if (edge->node == EE_NODE_TRUE)
		return;
	report_node(r, edge->node, &there, NULL);
}

static void
report_item(Report *r, const EeEdge *edge, const Here *here, uint32 index,
			EeValue value, const char *keyword, int position)
{
	EePath		instance = {here->instance, NULL, 0, index};
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, NULL, 0, position};
	Here		there = {value, &instance, position >= 0 ? &below : &path};

	if (edge->node != EE_NODE_TRUE)
		report_node(r, edge->node, &there, NULL);
}

/* The boolean schema false  [Core 2020-12, 4.3.2]: its path says where. */
static void
report_refused(Report *r, const Here *here, const char *keyword)
{
	EeViolation *violation;

	add(r, here, keyword, NULL, found_text(here->v), "no value is allowed");
	violation = llast(r->violations);
	violation->keyword_path = ee_schema_path_text(here->keyword);
	violation->keyword = "false";
}

/* The same instance against a schema of a keyword. */
static void
report_in_place(Report *r, const EeEdge *edge, const Here *here,
				const char *keyword, int index, EeTrack *track)
{
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	EePath		below = {&path, NULL, 0, index};
	Here		there = {here->v, here->instance, index >= 0 ? &below : &path};

	report_node(r, edge->node, &there, track);
}

/* Adds a violation of a keyword; expected and found may be NULL. */
static void
add(Report *r, const Here *here, const char *keyword, const char *expected,
	const char *found, const char *fmt,...)
{
	EeViolation *violation;
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	StringInfoData message;

	if (full(r))
		return;
	initStringInfo(&message);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&message, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	violation = palloc(sizeof(EeViolation));
	violation->instance_path = ee_schema_path_text(here->instance);
	violation->keyword_path = ee_schema_path_text(&path);
	violation->keyword = pstrdup(keyword);
	violation->message = message.data;
	violation->expected = expected ? pstrdup(expected) : NULL;
	violation->found = found ? pstrdup(found) : NULL;
	r->violations = lappend(r->violations, violation);
}

/* A name as a JSON string, shortened. */
static char *
quote(const char *name, uint32 len)
{
	EeValue		v = {name, len, EE_IS_STRING};

	return ee_value_text(v, FOUND_BYTES);
}

/* A property with a name like it, as the end of a sentence; or "". */
static char *
did_you_mean(const EeObjectRules *rules, const char *key, uint32 len)
{
	const EeProperty *best = NULL;
	int			best_edits = Min(SIMILAR_EDITS, (int) len / 2);
	uint32		i;

	if (len > SIMILAR_BYTES)
		return "";
	for (i = 0; i < rules->nproperties; i++)
	{
		const EeProperty *property = &rules->properties[i];
		int			edits;

		if (!property->declared || property->len > SIMILAR_BYTES)
			continue;
		edits = varstr_levenshtein_less_equal(key, len, property->name,
											  property->len, 1, 1, 1,
											  best_edits, true);
		if (edits < best_edits || (edits == best_edits && best == NULL))
		{
			best = property;
			best_edits = edits;
		}
	}
	if (best == NULL)
		return "";
	return psprintf("; did you mean %s?", quote(best->name, best->len));
}

static char *
found_text(EeValue v)
{
	return ee_value_text(v, FOUND_BYTES);
}
