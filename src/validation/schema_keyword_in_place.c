/*
 * schema_keyword_in_place.c
 *	  Keywords that apply other schemas to the same instance, references
 *	  among them.
 *
 * A function for each keyword, found through a table; its head cites the
 * section that it follows (Core and Validation of 2020-12 unless another
 * draft is named).
 */
#include "postgres.h"

#include "validation/schema_draft.h"

static char *after_hash(EeValue ref);
static void compile_scoped_ref(EeDraft *draft, const char *keyword,
							   char *name);
static int	anchor_number(EeCompile *compile, const char *name);
static bool is_dynamic(const EePlace *target, const char *name);
static void compile_schemas(EeDraft *draft, EeGroupKind kind,
							const char *keyword, EeValue value);

/* $ref  [Core, 8.2.3.1; draft 7, 8.3] */
static void
compile_ref(EeDraft *draft, const char *keyword, EeValue value)
{
	EePlace    *target;

	if (value.type != EE_IS_STRING)
	{
		ee_schema_draft_problem(draft, keyword, "must be a string");
		return;
	}
	target = ee_schema_ref_resolve(draft->compile->refs, draft->place,
								   pnstrdup(value.data, value.len), keyword);
	if (target != NULL)
		ee_schema_draft_group(draft, EE_GROUP_REF, keyword, 1)->edges[0].node =
			ee_schema_compile_place(draft->compile, target);
}

/*
 * $dynamicRef  [Core, 8.2.3.2] and $recursiveRef  [Core 2019-09, 8.2.4.2.1]:
 * where the first resource on the way here has a dynamic anchor of the same
 * name, there; provided that the plain target is such an anchor itself.
 */
static void
compile_dynamic_ref(EeDraft *draft, const char *keyword, EeValue value)
{
	EeCompile  *compile = draft->compile;
	bool		recursive = strcmp(keyword, "$recursiveRef") == 0;
	EePlace    *target;
	EeGroup    *group;

	if (value.type != EE_IS_STRING)
	{
		ee_schema_draft_problem(draft, keyword, "must be a string");
		return;
	}
	if (draft->place->resource->dialect >= EE_DIALECT_V1)
	{
		bool		hash = value.len > 0 && value.data[0] == '#';

		compile_scoped_ref(draft, keyword,
						   pnstrdup(value.data + hash, value.len - hash));
		return;
	}
	target = ee_schema_ref_resolve(compile->refs, draft->place,
								   pnstrdup(value.data, value.len), keyword);
	if (target == NULL)
		return;
	if (!is_dynamic(target, recursive ? "" : after_hash(value)))
	{
		ee_schema_draft_group(draft, EE_GROUP_REF, keyword, 1)->edges[0].node =
			ee_schema_compile_place(compile, target);
		return;
	}
	compile->dynamic = true;
	group = ee_schema_draft_group(draft, EE_GROUP_DYNAMIC_REF, keyword, 1);
	group->edges[0].node = ee_schema_compile_place(compile, target);
	group->anchor = anchor_number(compile, target->dynamic_anchor);
}

/*
 * $dynamicRef  [v1 Core]: the name of a dynamic anchor, and no plain target.
 * Where none is on the way, nothing matches.
 */
static void
compile_scoped_ref(EeDraft *draft, const char *keyword, char *name)
{
	EeCompile  *compile = draft->compile;
	EeGroup    *group;

	group = ee_schema_draft_group(draft, EE_GROUP_DYNAMIC_REF, keyword, 1);
	group->edges[0].node = EE_NODE_FALSE;
	group->anchor = anchor_number(compile, name);
	compile->dynamic = true;
	compile->scoped = lappend(compile->scoped,
							  unconstify(EePlace *, draft->place));
	compile->scoped_names = lappend(compile->scoped_names, name);
}

/* The number of a name among those that dynamic references use. */
static int
anchor_number(EeCompile *compile, const char *name)
{
	ListCell   *lc;

	foreach(lc, compile->anchors)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return foreach_current_index(lc);
	}
	compile->anchors = lappend(compile->anchors, unconstify(char *, name));
	return list_length(compile->anchors) - 1;
}

/* What follows the '#' of a reference, or NULL. */
static char *
after_hash(EeValue ref)
{
	const char *hash = memchr(ref.data, '#', ref.len);

	if (hash == NULL)
		return NULL;
	return pnstrdup(hash + 1, ref.data + ref.len - hash - 1);
}

/* Is it an anchor of that name that resources may put another one before? */
static bool
is_dynamic(const EePlace *target, const char *name)
{
	return target->dynamic_anchor != NULL && name != NULL &&
		strcmp(target->dynamic_anchor, name) == 0;
}

static void
compile_schemas(EeDraft *draft, EeGroupKind kind, const char *keyword,
				EeValue value)
{
	const EePath *path = ee_schema_draft_path(draft, keyword);
	EeGroup    *group;
	EeWalk		walk = {0};
	int			i;

	if (value.type != EE_IS_ARRAY || EE_VALUE_COUNT(value) == 0)
	{
		ee_schema_draft_problem(draft, keyword,
								"must be an array of at least one schema");
		return;
	}
	group = ee_schema_draft_group(draft, kind, keyword, EE_VALUE_COUNT(value));
	ee_walk_array(&walk, value);
	for (i = 0; i < group->nedges; i++)
		group->edges[i] = ee_schema_draft_edge(draft, ee_walk_element(&walk),
									ee_schema_path_index(path, i));
}

/* allOf  [Core, 10.2.1.1] */
static void
compile_all_of(EeDraft *draft, const char *keyword, EeValue value)
{
	compile_schemas(draft, EE_GROUP_ALL_OF, keyword, value);
}

/* anyOf  [Core, 10.2.1.2] */
static void
compile_any_of(EeDraft *draft, const char *keyword, EeValue value)
{
	compile_schemas(draft, EE_GROUP_ANY_OF, keyword, value);
}

/* oneOf  [Core, 10.2.1.3] */
static void
compile_one_of(EeDraft *draft, const char *keyword, EeValue value)
{
	compile_schemas(draft, EE_GROUP_ONE_OF, keyword, value);
}

/* not  [Core, 10.2.1.4] */
static void
compile_not(EeDraft *draft, const char *keyword, EeValue value)
{
	if (ee_schema_draft_is_schema(draft, keyword, value))
		ee_schema_draft_group(draft, EE_GROUP_NOT, keyword, 1)->edges[0] =
			ee_schema_draft_child(draft, keyword, value);
}

/* if, with then and else  [Core, 10.2.2.1 to 10.2.2.3] */
static void
compile_if(EeDraft *draft, const char *keyword, EeValue value)
{
	static const char *const names[] = {"if", "then", "else"};
	EeGroup    *group;
	EeValue		branch;
	int			i;

	if (!ee_schema_draft_is_schema(draft, keyword, value))
		return;
	group = ee_schema_draft_group(draft, EE_GROUP_IF, keyword, 3);
	for (i = 0; i < 3; i++)
	{
		group->edges[i].node = EE_NODE_TRUE;
		if (ee_schema_draft_sibling(draft, names[i], &branch))
			group->edges[i] = ee_schema_draft_edge(draft, branch,
										ee_schema_draft_path(draft, names[i]));
	}
}

/* then, else: compiled with if, void without it  [Core, 10.2.2.2, 10.2.2.3] */
static void
compile_branch(EeDraft *draft, const char *keyword, EeValue value)
{
	ee_schema_draft_is_schema(draft, keyword, value);
}

static const EeKeywordHandler handlers[EE_KW_COUNT] = {
	[EE_KW_ALL_OF] = compile_all_of,
	[EE_KW_ANY_OF] = compile_any_of,
	[EE_KW_DYNAMIC_REF] = compile_dynamic_ref,
	[EE_KW_ELSE] = compile_branch,
	[EE_KW_IF] = compile_if,
	[EE_KW_NOT] = compile_not,
	[EE_KW_ONE_OF] = compile_one_of,
	[EE_KW_RECURSIVE_REF] = compile_dynamic_ref,
	[EE_KW_REF] = compile_ref,
	[EE_KW_THEN] = compile_branch,
};

/* Compiles a keyword, if it is one of this file's. */
bool
ee_schema_keyword_in_place(EeDraft *draft, const EeKeywordInfo *info,
						   EeValue value)
{
	if (handlers[info->keyword] == NULL)
		return false;
	handlers[info->keyword] (draft, info->name, value);
	return true;
}
