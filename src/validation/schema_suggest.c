/*
 * schema_suggest.c
 *	  "Did you mean ...?", for names and values in a report.
 *
 * Each function gives the end of a sentence, or "" where nothing is similar.
 * A name that the instance has already is not suggested: nobody meant it
 * twice.
 */
#include "postgres.h"

#include "ground/similar.h"
#include "validation/schema_suggest.h"
#include "validation/schema_violation.h"

#define MAX_SUGGESTIONS 100		/* in a report: they are dear */
#define MAX_NODES		100		/* looked at for the names of one object */

static bool begin(EeReport *r, EeSimilar *similar, const char *name,
				  uint32 len);
static void offer_properties(const EeSchema *program, const EeNode *node,
							 EeValue object, EeSimilar *similar, int *nodes);
static const EeProperty *find_property(const EeObjectRules *rules,
									   const char *name, uint32 len);
static const char *suggestion(const EeSimilar *similar);

/*
 * For a property that the object may not have: one that it may.  The node's
 * own are known to additionalProperties, those of the schemas beside it to
 * unevaluatedProperties as well.
 */
const char *
ee_schema_suggest_property(EeReport *r, const EeNode *node, EeValue object,
						   EeName name)
{
	EeSimilar	similar;
	int			nodes = 0;

	if (!begin(r, &similar, name.data, name.len))
		return "";
	offer_properties(r->program, node, object, &similar, &nodes);
	return suggestion(&similar);
}

static bool
begin(EeReport *r, EeSimilar *similar, const char *name, uint32 len)
{
	if (r->suggestions++ >= MAX_SUGGESTIONS)
		return false;
	ee_similar_begin(similar, name, len);
	return similar->len >= 0;
}

static void
offer_properties(const EeSchema *program, const EeNode *node, EeValue object,
				 EeSimilar *similar, int *nodes)
{
	const EeObjectRules *rules = node->object;
	uint32		i;
	int			j,
				k;

	if ((*nodes)++ >= MAX_NODES)
		return;
	for (i = 0; rules != NULL && i < rules->nproperties; i++)
	{
		const EeProperty *property = &rules->properties[i];

		if (property->declared &&
			!ee_value_get(object, property->name, property->len, NULL))
			ee_similar_offer(similar, property->name, property->len);
	}
	if (!(node->flags & EE_NODE_UNEVALUATED) && *nodes == 1)
		return;
	for (j = 0; j < node->ngroups; j++)
	{
		const EeGroup *group = &node->groups[j];

		for (k = 0; group->kind != EE_GROUP_NOT && k < group->nedges; k++)
			offer_properties(program, &program->nodes[group->edges[k].fast],
							 object, similar, nodes);
	}
}

/*
 * For a property that is missing: one that the object has and no keyword
 * knows.
 */
const char *
ee_schema_suggest_present(EeReport *r, const EeObjectRules *rules,
						  EeValue object, EeName name)
{
	EeSimilar	similar;
	EeWalk		walk;
	uint32		n;

	if (!begin(r, &similar, name.data, name.len))
		return "";
	ee_walk_object(&walk, object);
	for (n = EE_VALUE_COUNT(object); n > 0; n--)
	{
		uint32		len;
		const char *key = ee_walk_key(&walk, &len);

		if (find_property(rules, key, len) == NULL)
			ee_similar_offer(&similar, key, len);
	}
	if (similar.best == NULL)
		return "";
	return ee_schema_violation_words("; is ",
									 ee_schema_violation_quote(similar.best,
															   similar.best_len),
									 " meant to be it?", NULL);
}

static const EeProperty *
find_property(const EeObjectRules *rules, const char *name, uint32 len)
{
	uint32		low = 0,
				high = rules->nproperties;

	while (low < high)
	{
		uint32		mid = low + (high - low) / 2;
		const EeProperty *property = &rules->properties[mid];
		int			cmp = ee_name_compare(property->name, property->len,
										  name, len);

		if (cmp == 0)
			return property;
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* For a string that is not among those listed: one that is. */
const char *
ee_schema_suggest_value(EeReport *r, const EeEnum *set, EeValue v)
{
	EeSimilar	similar;
	int			i;

	if (v.type != EE_IS_STRING || set->nstrings == 0 ||
		!begin(r, &similar, v.data, v.len))
		return "";
	for (i = 0; i < set->nstrings; i++)
		ee_similar_offer(&similar, set->strings[i].data, set->strings[i].len);
	return suggestion(&similar);
}

static const char *
suggestion(const EeSimilar *similar)
{
	if (similar->best == NULL)
		return "";
	return ee_schema_violation_words("; did you mean ",
									 ee_schema_violation_quote(similar->best,
															   similar->best_len),
									 "?", NULL);
}
