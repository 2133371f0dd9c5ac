/*
 * schema_draft.c
 *	  A node in the making, and what the functions of keywords share.
 */
#include "postgres.h"

#include "ground/errors.h"
#include "utils/memutils.h"

#include "validation/schema_draft.h"
#include "validation/schema_number.h"

static void *keep(EeDraft *draft, const void *data, Size size);
static int	compare_properties(const void *a, const void *b);

/* Adds what a keyword says; some are for identification or people only. */
void
ee_schema_draft_keyword(EeDraft *draft, const EeKeywordInfo *info,
						EeValue value)
{
	(void) (ee_schema_keyword_scalar(draft, info, value) ||
			ee_schema_keyword_container(draft, info, value) ||
			ee_schema_keyword_in_place(draft, info, value));
}

/* A copy in the program's memory. */
EeValue
ee_schema_draft_value(EeDraft *draft, EeValue value)
{
	MemoryContext old = MemoryContextSwitchTo(draft->compile->context);

	value = ee_value_copy(value);
	MemoryContextSwitchTo(old);
	return value;
}



/* Once all keywords were seen: puts the parts together. */
void
ee_schema_draft_finish(EeDraft *draft)
{
	EeNode	   *node = &draft->node;
	EeObjectRules *object = draft->object;
	uint32		i,
				n;

	if (object != NULL)
	{
		qsort(object->properties, object->nproperties, sizeof(EeProperty),
			  compare_properties);

		/* a name from properties and from required is one property */
		for (i = n = 0; i < object->nproperties; i++)
		{
			EeProperty *property = &object->properties[i];
			EeProperty *last = n > 0 ? &object->properties[n - 1] : NULL;

			if (last != NULL &&
				ee_name_compare(last->name, last->len,
								property->name, property->len) == 0)
			{
				last->required |= property->required;
				if (property->declared)
				{
					last->declared = true;
					last->edge = property->edge;
				}
			}
			else
				object->properties[n++] = *property;
		}
		object->nproperties = n;
		for (i = 0; i < n; i++)
			object->nrequired += object->properties[i].required;
		if (n > 0)
		{
			EeProperty *final = keep(draft, object->properties,
									 n * sizeof(EeProperty));

			object->properties = final;
			for (i = 0; i < n; i++)
				final[i].name = ee_schema_draft_name(draft, final[i].name,
										  final[i].len).data;
		}
	}
	if (draft->number != NULL)
		draft->number->bounds = keep(draft, draft->bounds,
									 draft->number->nbounds * sizeof(EeBound));
	if (node->ngroups > 0)
		node->groups = keep(draft, draft->groups,
							node->ngroups * sizeof(EeGroup));
	node->number = draft->number;
	node->string = draft->string;
	node->array = draft->array;
	node->object = draft->object;
	if (!node->number && !node->string && !node->array && !node->object &&
		!node->constant && !node->enumeration && node->ngroups == 0 &&
		((node->types & EE_IS_NUMBER) || !(node->types & EE_IS_INTEGER)))
		node->flags |= EE_NODE_LEAF;
}

/* A copy in the program's memory. */
static void *
keep(EeDraft *draft, const void *data, Size size)
{
	return memcpy(ee_schema_alloc(draft->compile, size), data, size);
}

void
ee_schema_draft_problem(EeDraft *draft, const char *keyword, const char *what)
{
	ee_schema_problem(draft->compile->problems, EE_ERRCODE_INVALID_SCHEMA,
					  draft->place->resource->document, draft->place->path,
					  keyword, "\"%s\" %s", keyword, what);
}

bool
ee_schema_draft_sibling(EeDraft *draft, const char *name, EeValue *value)
{
	return ee_value_get(draft->place->value, name, strlen(name), value);
}

const EePath *
ee_schema_draft_path(EeDraft *draft, const char *keyword)
{
	return ee_schema_path_key(draft->place->path, keyword, strlen(keyword));
}

bool
ee_schema_draft_is_schema(EeDraft *draft, const char *keyword, EeValue value)
{
	if (value.type & (EE_IS_OBJECT | EE_IS_BOOLEAN))
		return true;
	ee_schema_draft_problem(draft, keyword,
							"must be a schema: an object or a boolean");
	return false;
}

/* The edge to a subschema at a path. */
EeEdge
ee_schema_draft_edge(EeDraft *draft, EeValue value, const EePath *path)
{
	EeEdge		edge = {EE_NODE_TRUE, EE_NODE_TRUE};

	if (!(value.type & (EE_IS_OBJECT | EE_IS_BOOLEAN)))
		ee_schema_problem(draft->compile->problems, EE_ERRCODE_INVALID_SCHEMA,
						  draft->place->resource->document, path, NULL,
						  "a schema must be an object or a boolean");
	else
	{
		EePlace    *place = ee_schema_ref_child(draft->compile->refs,
												draft->place, value, path);

		edge.node = ee_schema_compile_place(draft->compile, place);
	}
	return edge;
}

/* The edge to the schema that is a keyword's whole value. */
EeEdge
ee_schema_draft_child(EeDraft *draft, const char *keyword, EeValue value)
{
	return ee_schema_draft_edge(draft, value,
								ee_schema_draft_path(draft, keyword));
}

EeEdge
ee_schema_draft_no_edge(void)
{
	EeEdge		edge = {EE_NODE_NONE, EE_NODE_NONE};

	return edge;
}

/* A copy with a NUL after it. */
EeName
ee_schema_draft_name(EeDraft *draft, const char *data, uint32 len)
{
	char	   *copy = ee_schema_alloc(draft->compile, len + 1);
	EeName		name = {copy, len};

	memcpy(copy, data, len);
	return name;
}

/* A non-negative integer by value; what is beyond all lengths is cut. */
bool
ee_schema_draft_limit(EeDraft *draft, const char *keyword, EeValue value,
					  uint32 *result)
{
	int64		n;
	bool		whole;

	if (value.type != EE_IS_NUMBER ||
		!ee_schema_number_is_integer(EE_VALUE_NUMERIC(value)) ||
		(ee_schema_number_floor(EE_VALUE_NUMERIC(value), &n, &whole) && n < 0))
	{
		ee_schema_draft_problem(draft, keyword,
								"must be an integer of at least 0");
		return false;
	}
	if (!ee_schema_number_floor(EE_VALUE_NUMERIC(value), &n, &whole))
		n = EE_NO_LIMIT;
	*result = Min(n, EE_NO_LIMIT);
	return true;
}

EeNumberRules *
ee_schema_draft_number(EeDraft *draft)
{
	if (draft->number == NULL)
	{
		draft->number = ee_schema_alloc(draft->compile, sizeof(EeNumberRules));
		draft->number->bounds = draft->bounds;
	}
	return draft->number;
}

EeStringRules *
ee_schema_draft_string(EeDraft *draft)
{
	if (draft->string == NULL)
	{
		draft->string = ee_schema_alloc(draft->compile, sizeof(EeStringRules));
		draft->string->max_length = EE_NO_LIMIT;
	}
	return draft->string;
}

EeArrayRules *
ee_schema_draft_array(EeDraft *draft)
{
	if (draft->array == NULL)
	{
		draft->array = ee_schema_alloc(draft->compile, sizeof(EeArrayRules));
		draft->array->max_items = EE_NO_LIMIT;
		draft->array->max_contains = EE_NO_LIMIT;
		draft->array->min_contains = 1;
		draft->array->rest = ee_schema_draft_no_edge();
		draft->array->contains = ee_schema_draft_no_edge();
		draft->array->unevaluated = ee_schema_draft_no_edge();
	}
	return draft->array;
}

EeObjectRules *
ee_schema_draft_object(EeDraft *draft)
{
	if (draft->object == NULL)
	{
		draft->object = ee_schema_alloc(draft->compile, sizeof(EeObjectRules));
		draft->object->max_properties = EE_NO_LIMIT;
		draft->object->additional = ee_schema_draft_no_edge();
		draft->object->names = ee_schema_draft_no_edge();
		draft->object->unevaluated = ee_schema_draft_no_edge();
	}
	return draft->object;
}

EeGroup *
ee_schema_draft_group(EeDraft *draft, EeGroupKind kind, const char *keyword,
					  int nedges)
{
	EeGroup    *group;

	group = &draft->groups[draft->node.ngroups++];
	group->kind = kind;
	group->keyword = keyword;
	group->nedges = nedges;
	group->edges = ee_schema_alloc(draft->compile, nedges * sizeof(EeEdge));
	return group;
}

/* Collected in scratch memory until ee_schema_draft_finish. */
EeProperty *
ee_schema_draft_property(EeDraft *draft, const char *name, uint32 len)
{
	EeObjectRules *rules = ee_schema_draft_object(draft);
	EeProperty *property;

	if (rules->nproperties == draft->max_properties)
	{
		draft->max_properties = Max(16, draft->max_properties * 2);
		if (rules->properties == NULL)
			rules->properties = palloc(draft->max_properties *
									   sizeof(EeProperty));
		else
			rules->properties = repalloc_huge(rules->properties,
											  draft->max_properties *
											  sizeof(EeProperty));
	}
	property = &rules->properties[rules->nproperties++];
	memset(property, 0, sizeof(EeProperty));
	property->name = name;
	property->len = len;
	property->edge.node = EE_NODE_TRUE;
	return property;
}

/* The strings of an array, copied into the program. */
EeName *
ee_schema_draft_names(EeDraft *draft, const char *keyword, EeValue value,
					  int *n)
{
	EeName	   *names;
	EeWalk		walk = {0};
	uint32		i,
				count;

	*n = 0;
	if (value.type != EE_IS_ARRAY)
	{
		ee_schema_draft_problem(draft, keyword, "must be an array of strings");
		return NULL;
	}
	count = EE_VALUE_COUNT(value);
	names = ee_schema_alloc(draft->compile, count * sizeof(EeName));
	ee_walk_array(&walk, value);
	for (i = 0; i < count; i++)
	{
		EeValue		name = ee_walk_element(&walk);

		if (name.type != EE_IS_STRING)
		{
			ee_schema_draft_problem(draft, keyword,
									"must be an array of strings");
			return NULL;
		}
		names[i] = ee_schema_draft_name(draft, name.data, name.len);
	}
	*n = count;
	return names;
}

/* Room for n more dependencies. */
EeDependency *
ee_schema_draft_dependencies(EeDraft *draft, int n)
{
	EeObjectRules *rules = ee_schema_draft_object(draft);
	EeDependency *all = ee_schema_alloc(draft->compile,
										(rules->ndependencies + n) *
										sizeof(EeDependency));
	EeDependency *first = all + rules->ndependencies;

	if (rules->ndependencies > 0)
		memcpy(all, rules->dependencies,
			   rules->ndependencies * sizeof(EeDependency));
	rules->dependencies = all;
	rules->ndependencies += n;
	return first;
}

static int
compare_properties(const void *a, const void *b)
{
	const EeProperty *x = a;
	const EeProperty *y = b;

	return ee_name_compare(x->name, x->len, y->name, y->len);
}
