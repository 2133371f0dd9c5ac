/*
 * schema_sensitive.c
 *	  Which places of an instance a schema marks as sensitive.
 *
 * "x-sensitive": true in a subschema marks what that subschema is applied to.
 * The schema is walked along the keywords that say of which places they
 * speak, references included; of alternatives (anyOf, if and kin) all count,
 * so that a value is protected whichever holds.  Promises that a mark is
 * either among the result or refused: below keywords whose places depend on
 * the instance, and in a schema that contains itself.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "ground/compat.h"
#include "ground/errors.h"
#include "validation/schema_ref.h"
#include "validation/schema_sensitive.h"
#include "validation/schema_vocabulary.h"

/* Schemas looked at: references can make of a small text a large one. */
#define MAX_VISITS		100000
#define MAX_PATHS		1000

/* a step on the way to where the walk is, innermost first */
typedef struct Way
{
	const struct Way *outer;
	EeSensitiveStep step;
} Way;

/* a schema that is being walked, and what was seen in it */
typedef struct Open
{
	struct Open *outer;
	const EePlace *place;
	bool		reentered;
} Open;

typedef struct Search
{
	EeRefs	   *refs;
	Open	   *open;
	List	   *paths;
	const char *forbidding;		/* keyword below which no mark may be */
	bool		dynamic;		/* a reference leads who knows where */
	int			n_visits;
	int			n_marks;
} Search;

static void visit(Search *search, EePlace *place, const Way *way);
static bool is_marked(const EePlace *place);
static void add_mark(Search *search, const EePlace *place, const Way *way);
static void visit_keyword(Search *search, EePlace *place,
						  const EeKeywordInfo *info, EeValue value,
						  const EePath *path, const Way *way);
static void visit_forbidden(Search *search, EePlace *place,
							const EeKeywordInfo *info, EeValue value,
							const EePath *path, const Way *way);
static void visit_children(Search *search, EePlace *place, EeValue value,
						   const EePath *path, EeKeywordShape shape,
						   const Way *way);
static void visit_properties(Search *search, EePlace *place, EeValue value,
							 const EePath *path, const Way *way);
static void visit_positions(Search *search, EePlace *place, EeValue value,
							const EePath *path, const Way *way);
static void visit_with_step(Search *search, EePlace *place, EeValue value,
							const EePath *path, EeSensitiveStepKind kind,
							const Way *way);
static void visit_reference(Search *search, EePlace *place, EeValue value,
							const char *keyword, const Way *way);
static bool has(const EePlace *place, const char *keyword);
static bool same_path(const EeSensitivePath *a, const EeSensitivePath *b);
pg_noreturn static void refuse(const EePlace *place, const char *fmt,...)
			pg_attribute_printf(2, 3);

List *
ee_schema_sensitive(Jsonb *schema, const EeSchemaOptions *options)
{
	EeProblems	problems = {NULL};
	Search		search = {0};
	EePlace    *root;

	search.refs = ee_schema_ref_begin(options, &problems);
	root = ee_schema_ref_root(search.refs, schema);
	visit(&search, root, NULL);
	if (search.dynamic && search.paths != NIL)
		refuse(root, "It cannot be told beforehand where a dynamic reference leads, so no schema with one can have marks");
	return search.paths;
}

/* jsonb keeps the names of members as they are, one behind the other. */
bool
ee_schema_sensitive_mentions(const Jsonb *document)
{
	return memmem(VARDATA(document), VARSIZE(document) - VARHDRSZ,
				  EE_SENSITIVE_KEYWORD,
				  strlen(EE_SENSITIVE_KEYWORD)) != NULL;
}

static void
visit(Search *search, EePlace *place, const Way *way)
{
	Open		open = {search->open, place, false};
	Open	   *outer;
	int			n_marks = search->n_marks;
	EeWalk		walk;
	uint32		n;

	if (place->value.type != EE_IS_OBJECT)
		return;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (++search->n_visits > MAX_VISITS)
		ereport(ERROR,
				(errcode(EE_ERRCODE_SCHEMA_TOO_COMPLEX),
				 errmsg("schema is too complex to look for sensitive data in it"),
				 errhint("Have fewer references that lead to the same schemas.")));
	for (outer = search->open; outer != NULL; outer = outer->outer)
		if (outer->place == place)
		{
			outer->reentered = true;
			return;
		}
	if (is_marked(place))
	{
		add_mark(search, place, way);
		return;
	}
	search->open = &open;
	ee_walk_object(&walk, place->value);
	for (n = EE_VALUE_COUNT(place->value); n > 0; n--)
	{
		uint32		len;
		const char *key = ee_walk_key(&walk, &len);
		EeValue		value = ee_walk_value(&walk);
		const EeKeywordInfo *info;

		info = ee_schema_keyword(place->resource->dialect,
								 place->resource->vocabularies, key, len);
		if (info != NULL)
			visit_keyword(search, place, info, value,
						  ee_schema_path_key(place->path, key, len), way);
	}
	search->open = open.outer;
	if (open.reentered && search->n_marks > n_marks)
		refuse(place, "A schema that contains itself cannot have marks, as they would be at any depth");
}

static bool
is_marked(const EePlace *place)
{
	EeValue		mark;

	if (!ee_value_get(place->value, EE_SENSITIVE_KEYWORD,
					  strlen(EE_SENSITIVE_KEYWORD), &mark))
		return false;
	if (!(mark.type & EE_IS_BOOLEAN))
		refuse(place, "Its value must be true or false");
	return mark.type == EE_IS_TRUE;
}

static void
add_mark(Search *search, const EePlace *place, const Way *way)
{
	EeSensitivePath *path = palloc0(sizeof(EeSensitivePath));
	const Way  *at;
	ListCell   *lc;

	if (search->forbidding != NULL)
		refuse(place, "Which values it marks depends on the event, below \"%s\"",
			   search->forbidding);
	if (way == NULL)
		refuse(place, "The whole payload cannot be marked; mark its members");
	search->n_marks++;
	for (at = way; at != NULL; at = at->outer)
		path->n_steps++;
	path->steps = palloc(sizeof(EeSensitiveStep) * path->n_steps);
	for (int i = path->n_steps - 1; i >= 0; i--, way = way->outer)
	{
		path->steps[i] = way->step;
		if (way->step.name != NULL)
			path->steps[i].name = pnstrdup(way->step.name, way->step.len);
	}
	foreach(lc, search->paths)
		if (same_path(lfirst(lc), path))
			return;
	if (list_length(search->paths) >= MAX_PATHS)
		refuse(place, "There are more than %d marks", MAX_PATHS);
	search->paths = lappend(search->paths, path);
}

static bool
same_path(const EeSensitivePath *a, const EeSensitivePath *b)
{
	if (a->n_steps != b->n_steps)
		return false;
	for (int i = 0; i < a->n_steps; i++)
	{
		const EeSensitiveStep *s = &a->steps[i];
		const EeSensitiveStep *t = &b->steps[i];

		if (s->kind != t->kind || s->index != t->index || s->len != t->len ||
			(s->len > 0 && memcmp(s->name, t->name, s->len) != 0))
			return false;
	}
	return true;
}

static void
visit_keyword(Search *search, EePlace *place, const EeKeywordInfo *info,
			  EeValue value, const EePath *path, const Way *way)
{
	switch (info->keyword)
	{
		case EE_KW_PROPERTIES:
			visit_properties(search, place, value, path, way);
			return;
		case EE_KW_ADDITIONAL_PROPERTIES:
			if (has(place, "properties") || has(place, "patternProperties"))
				visit_forbidden(search, place, info, value, path, way);
			else
				visit_with_step(search, place, value, path,
								EE_STEP_ANY_MEMBER, way);
			return;
		case EE_KW_PREFIX_ITEMS:
			visit_positions(search, place, value, path, way);
			return;
		case EE_KW_ITEMS:
			if (value.type == EE_IS_ARRAY)
				visit_positions(search, place, value, path, way);
			else if (has(place, "prefixItems"))
				visit_forbidden(search, place, info, value, path, way);
			else
				visit_with_step(search, place, value, path, EE_STEP_ANY_ITEM,
								way);
			return;
		case EE_KW_ALL_OF:
		case EE_KW_ANY_OF:
		case EE_KW_ONE_OF:
		case EE_KW_IF:
		case EE_KW_THEN:
		case EE_KW_ELSE:
		case EE_KW_DEPENDENT_SCHEMAS:
		case EE_KW_DEPENDENCIES:
		case EE_KW_PROPERTY_DEPENDENCIES:
			visit_children(search, place, value, path, info->shape, way);
			return;
		case EE_KW_DEFS:
		case EE_KW_DEFINITIONS:
			return;				/* applied to nothing where they stand */
		case EE_KW_REF:
			visit_reference(search, place, value, info->name, way);
			return;
		case EE_KW_DYNAMIC_REF:
		case EE_KW_RECURSIVE_REF:
			search->dynamic = true;
			return;
		default:
			visit_forbidden(search, place, info, value, path, way);
			return;
	}
}

/* Nothing below may be marked. */
static void
visit_forbidden(Search *search, EePlace *place, const EeKeywordInfo *info,
				EeValue value, const EePath *path, const Way *way)
{
	const char *outer = search->forbidding;

	if (outer == NULL)
		search->forbidding = info->name;
	visit_children(search, place, value, path, info->shape, way);
	search->forbidding = outer;
}

/* The schemas in a keyword's value, applied where the keyword is. */
static void
visit_children(Search *search, EePlace *place, EeValue value,
			   const EePath *path, EeKeywordShape shape, const Way *way)
{
	EeWalk		walk;

	if (shape == EE_SHAPE_PLAIN)
		return;
	if (value.type == EE_IS_ARRAY)
	{
		uint32		n = EE_VALUE_COUNT(value);

		ee_walk_array(&walk, value);
		for (uint32 i = 0; i < n; i++)
			visit(search,
				  ee_schema_ref_child(search->refs, place,
									  ee_walk_element(&walk),
									  ee_schema_path_index(path, i)), way);
	}
	else if (value.type != EE_IS_OBJECT)
		return;
	else if (shape == EE_SHAPE_SCHEMA || shape == EE_SHAPE_SCHEMA_OR_ARRAY)
		visit(search, ee_schema_ref_child(search->refs, place, value, path),
			  way);
	else
	{
		ee_walk_object(&walk, value);
		for (uint32 n = EE_VALUE_COUNT(value); n > 0; n--)
		{
			uint32		len;
			const char *key = ee_walk_key(&walk, &len);
			EeValue		child = ee_walk_value(&walk);

			visit_children(search, place, child,
						   ee_schema_path_key(path, key, len),
						   shape == EE_SHAPE_MAP_OF_MAPS ? EE_SHAPE_MAP :
						   EE_SHAPE_SCHEMA, way);
		}
	}
}

static void
visit_properties(Search *search, EePlace *place, EeValue value,
				 const EePath *path, const Way *way)
{
	EeWalk		walk;

	if (value.type != EE_IS_OBJECT)
		return;
	ee_walk_object(&walk, value);
	for (uint32 n = EE_VALUE_COUNT(value); n > 0; n--)
	{
		uint32		len;
		const char *key = ee_walk_key(&walk, &len);
		EeValue		child = ee_walk_value(&walk);
		Way			inner = {way, {EE_STEP_MEMBER, key, len, 0}};

		visit(search,
			  ee_schema_ref_child(search->refs, place, child,
								  ee_schema_path_key(path, key, len)),
			  &inner);
	}
}

static void
visit_positions(Search *search, EePlace *place, EeValue value,
				const EePath *path, const Way *way)
{
	EeWalk		walk;
	uint32		n;

	if (value.type != EE_IS_ARRAY)
		return;
	n = EE_VALUE_COUNT(value);
	ee_walk_array(&walk, value);
	for (uint32 i = 0; i < n; i++)
	{
		Way			inner = {way, {EE_STEP_ITEM, NULL, 0, i}};

		visit(search,
			  ee_schema_ref_child(search->refs, place, ee_walk_element(&walk),
								  ee_schema_path_index(path, i)), &inner);
	}
}

static void
visit_with_step(Search *search, EePlace *place, EeValue value,
				const EePath *path, EeSensitiveStepKind kind, const Way *way)
{
	Way			inner = {way, {kind, NULL, 0, 0}};

	visit(search, ee_schema_ref_child(search->refs, place, value, path),
		  &inner);
}

static void
visit_reference(Search *search, EePlace *place, EeValue value,
				const char *keyword, const Way *way)
{
	EePlace    *target;

	if (value.type != EE_IS_STRING)
		return;
	target = ee_schema_ref_resolve(search->refs, place,
								   pnstrdup(value.data, value.len), keyword);
	if (target != NULL)
		visit(search, target, way);
}

static bool
has(const EePlace *place, const char *keyword)
{
	EeValue		value;

	return ee_value_get(place->value, keyword, strlen(keyword), &value);
}

static void
refuse(const EePlace *place, const char *fmt,...)
{
	StringInfoData why;
	va_list		args;
	int			needed;

	initStringInfo(&why);
	do
	{
		va_start(args, fmt);
		needed = appendStringInfoVA(&why, fmt, args);
		va_end(args);
		if (needed > 0)
			enlargeStringInfo(&why, needed);
	} while (needed > 0);
	ereport(ERROR,
			(errcode(EE_ERRCODE_INVALID_SCHEMA),
			 errmsg("invalid JSON schema: \"%s\" cannot be at \"%s\"",
					EE_SENSITIVE_KEYWORD, ee_schema_path_text(place->path)),
			 errdetail("%s.", why.data),
			 errhint("Mark properties, items of arrays, and what these refer to by $ref.")));
}
