/*
 * schema_compile.c
 *	  From a schema in jsonb to a program that is evaluated many times.
 *
 * Only what can be reached from the root becomes a node: of a large document
 * of shared definitions, a schema that refers to one of them pays for that
 * one.  Nodes wait in a list, so that depth of the schema is no depth of the
 * stack.  At the end edges are shortened and schemas that refer to themselves
 * without consuming anything of the instance are refused.
 */
#include "postgres.h"

#include "ground/errors.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "validation/schema_compile.h"
#include "validation/schema_draft.h"

#define FIRST_BLOCK		1024
#define LARGEST_BLOCK	(32 * 1024)

/* more nodes than any sane schema has: an end to what a user can demand */
#define MAX_NODES		1000000

typedef struct LoopCheck
{
	EeCompile  *compile;
	uint8	   *state;			/* 0 new, 1 on the way, 2 done */
	bool		found;
} LoopCheck;

static void compile_all(EeCompile *compile, EePlace *root);
static EeSchema *compile_program(EeCompile *compile, Jsonb *schema,
								 const EeSchemaOptions *options,
								 const EeProblems *problems);
static EeNodeId add_node(EeCompile *compile, const EePlace *place);
static void compile_node(EeCompile *compile, EePlace *place);
static void compile_dynamic_anchors(EeCompile *compile);
static void check_scoped(EeCompile *compile);
static void refuse_loops(EeCompile *compile);
static void visit_loop(LoopCheck *check, EeNodeId id);
static void loop_edge(EeEdge *edge, bool in_place, void *arg);
static EeSchema *make_program(EeCompile *compile, EeNodeId root);
static void collect_anchors(EeCompile *compile, EeSchema *program);
static void shorten_edge(EeEdge *edge, bool in_place, void *arg);
static EeNodeId follow_bare(const EeSchema *program, EeNodeId id);
static void fuse_properties(EeSchema *program, EeNode *node);

/*
 * Compiles a schema; throws EE_ERRCODE_INVALID_SCHEMA and
 * EE_ERRCODE_UNRESOLVED_REF.  The program lives in a context of its own below
 * the current one and keeps nothing of the schema's memory.
 */
EeSchema *
ee_schema_compile(Jsonb *schema, const EeSchemaOptions *options)
{
	EeProblems	problems = {NULL};
	EeCompile	compile;
	MemoryContext parent = CurrentMemoryContext;
	MemoryContext scratch;
	EeSchema   *program;

	/*
	 * Below the transaction's context until it is whole, so that an error
	 * leaves nothing behind in a caller's long-lived one.
	 */
	scratch = AllocSetContextCreate(CurTransactionContext,
									"event_engine schema compiler",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	program = compile_program(&compile, schema, options, &problems);
	MemoryContextSwitchTo(parent);
	MemoryContextSetParent(program->context, parent);
	MemoryContextDelete(scratch);
	return program;
}

/*
 * What is wrong with a schema: a list of EeViolation in the current context,
 * whose instance_path points into the schema.
 */
List *
ee_schema_compile_problems(Jsonb *schema, const EeSchemaOptions *options)
{
	List	   *found = NIL;
	EeProblems	problems = {&found};
	EeCompile	compile;
	EeSchema   *program;

	program = compile_program(&compile, schema, options, &problems);
	if (program != NULL)
		ee_schema_free(program);
	return found;
}

void
ee_schema_free(EeSchema *schema)
{
	MemoryContextDelete(schema->context);
}

/* The memory that a program takes, in bytes. */
Size
ee_schema_size(const EeSchema *schema)
{
	return MemoryContextMemAllocated(schema->context, true);
}

static EeSchema *
compile_program(EeCompile *compile, Jsonb *schema,
				const EeSchemaOptions *options, const EeProblems *problems)
{
	EePlace    *root;
	EeNodeId	id;

	memset(compile, 0, sizeof(EeCompile));
	compile->options = options;
	compile->problems = problems;
	compile->context = AllocSetContextCreate(CurrentMemoryContext,
											 "event_engine schema",
											 ALLOCSET_SMALL_SIZES);
	compile->block_size = FIRST_BLOCK;
	compile->max_nodes = 64;
	compile->nodes = palloc(compile->max_nodes * sizeof(EeNode));
	compile->places = palloc(compile->max_nodes * sizeof(EePlace *));
	add_node(compile, NULL);
	add_node(compile, NULL);
	compile->nodes[EE_NODE_TRUE].flags = EE_NODE_LEAF;
	compile->nodes[EE_NODE_FALSE].types = 0;
	compile->nodes[EE_NODE_FALSE].flags = EE_NODE_LEAF;
	compile->refs = ee_schema_ref_begin(options, problems);
	root = ee_schema_ref_root(compile->refs, schema);
	if (!(root->value.type & (EE_IS_OBJECT | EE_IS_BOOLEAN)))
	{
		ee_schema_problem(problems, EE_ERRCODE_INVALID_SCHEMA, NULL, NULL,
						  NULL, "a schema must be an object or a boolean");
		return NULL;
	}
	compile_all(compile, root);
	id = ee_schema_compile_place(compile, root);
	check_scoped(compile);
	refuse_loops(compile);
	if (problems->collect != NULL && *problems->collect != NIL)
		return NULL;
	return make_program(compile, id);
}

static void
compile_all(EeCompile *compile, EePlace *root)
{
	ee_schema_compile_place(compile, root);
	do
	{
		while (compile->pending != NIL)
		{
			EePlace    *place = llast(compile->pending);

			CHECK_FOR_INTERRUPTS();
			compile->pending = list_delete_last(compile->pending);
			compile_node(compile, place);
		}
		compile_dynamic_anchors(compile);
	} while (compile->pending != NIL);
}

/* The node of a place: an old one, or one that will be made in its turn. */
EeNodeId
ee_schema_compile_place(EeCompile *compile, EePlace *place)
{
	if (place->value.type == EE_IS_TRUE)
		return EE_NODE_TRUE;
	if (place->value.type == EE_IS_FALSE)
		return EE_NODE_FALSE;
	if (place->node == EE_NODE_NONE)
	{
		place->node = add_node(compile, place);
		compile->pending = lappend(compile->pending, place);
	}
	return place->node;
}

static EeNodeId
add_node(EeCompile *compile, const EePlace *place)
{
	EeNode	   *node;

	if (compile->nnodes >= MAX_NODES)
		ereport(ERROR,
				(errcode(EE_ERRCODE_SCHEMA_TOO_COMPLEX),
				 errmsg("JSON schema is too complex"),
				 errdetail("It has more than %d subschemas.", MAX_NODES)));
	if (compile->nnodes == compile->max_nodes)
	{
		compile->max_nodes *= 2;
		compile->nodes = repalloc_huge(compile->nodes,
									   compile->max_nodes * sizeof(EeNode));
		compile->places = repalloc_huge(compile->places,
										compile->max_nodes *
										sizeof(EePlace *));
	}
	compile->places[compile->nnodes] = place;
	node = &compile->nodes[compile->nnodes];
	memset(node, 0, sizeof(EeNode));
	node->types = EE_IS_ANY;
	return compile->nnodes++;
}

static void
compile_node(EeCompile *compile, EePlace *place)
{
	const EeResource *resource = place->resource;
	EeDraft		draft = {compile, place};
	EeWalk		walk;
	EeValue		value;
	uint32		n;

	draft.node.types = EE_IS_ANY;
	draft.node.resource = resource->index;

	/* before 2019-09 a reference makes its siblings void: draft 7, 8.3 */
	if (resource->dialect <= EE_DIALECT_DRAFT7 &&
		ee_value_get(place->value, "$ref", 4, &value))
		ee_schema_draft_keyword(&draft,
								  ee_schema_keyword(resource->dialect,
													EE_VOCAB_CORE, "$ref", 4),
								  value);
	else
	{
		ee_walk_object(&walk, place->value);
		for (n = EE_VALUE_COUNT(place->value); n > 0; n--)
		{
			uint32		len;
			const char *key = ee_walk_key(&walk, &len);
			const EeKeywordInfo *info;

			value = ee_walk_value(&walk);
			info = ee_schema_keyword(resource->dialect,
									 resource->vocabularies, key, len);
			if (info != NULL)
				ee_schema_draft_keyword(&draft, info, value);
		}
	}
	ee_schema_draft_finish(&draft);
	compile->nodes[place->node] = draft.node;
}

/*
 * Whatever may be the target of a dynamic reference needs a node.
 */
static void
compile_dynamic_anchors(EeCompile *compile)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc, ee_schema_ref_dynamic(compile->refs))
	{
		EePlace    *place = lfirst(lc);

		foreach(lc2, compile->anchors)
		{
			if (strcmp(lfirst(lc2), place->dynamic_anchor) == 0)
				ee_schema_compile_place(compile, place);
		}
	}
}

/* A dynamic reference by name alone must have an anchor somewhere. */
static void
check_scoped(EeCompile *compile)
{
	ListCell   *lc,
			   *lc2,
			   *lc3;

	forboth(lc, compile->scoped, lc2, compile->scoped_names)
	{
		const EePlace *place = lfirst(lc);
		const char *name = lfirst(lc2);

		foreach(lc3, ee_schema_ref_dynamic(compile->refs))
		{
			if (strcmp(((EePlace *) lfirst(lc3))->dynamic_anchor, name) == 0)
				break;
		}
		if (lc3 == NULL)
			ee_schema_problem(compile->problems, EE_ERRCODE_UNRESOLVED_REF,
							  place->resource->document, place->path,
							  "$dynamicRef", "\"%s\" leads nowhere", name);
	}
}

/*
 * A schema that comes back to itself with the same instance would never end.
 */
static void
refuse_loops(EeCompile *compile)
{
	LoopCheck	check = {compile};
	EeNodeId	id;

	check.state = palloc0(compile->nnodes);
	for (id = 0; id < compile->nnodes && !check.found; id++)
		visit_loop(&check, id);
}

static void
visit_loop(LoopCheck *check, EeNodeId id)
{
	check_stack_depth();
	if (check->state[id] == 2 || check->found)
		return;
	if (check->state[id] == 1)
	{
		const EePlace *place = check->compile->places[id];

		check->found = true;
		ee_schema_problem(check->compile->problems, EE_ERRCODE_INVALID_SCHEMA,
						  place->resource->document, place->path, NULL,
						  "it refers to itself without consuming anything of the instance");
		return;
	}
	check->state[id] = 1;
	ee_schema_program_visit(&check->compile->nodes[id], loop_edge, check);
	check->state[id] = 2;
}

static void
loop_edge(EeEdge *edge, bool in_place, void *arg)
{
	if (in_place)
		visit_loop((LoopCheck *) arg, edge->node);
}

/* Calls visitor for each edge of a node. */
void
ee_schema_program_visit(const EeNode *node, EeEdgeVisitor visitor, void *arg)
{
	const EeArrayRules *array = node->array;
	const EeObjectRules *object = node->object;
	int			i,
				j;

#define VISIT(edge, in_place) \
	do { \
		if ((edge).node != EE_NODE_NONE) \
			visitor((EeEdge *) &(edge), in_place, arg); \
	} while (0)

	for (i = 0; i < node->ngroups; i++)
	{
		for (j = 0; j < node->groups[i].nedges; j++)
			VISIT(node->groups[i].edges[j], true);
	}
	if (array != NULL)
	{
		for (i = 0; i < array->nprefix; i++)
			VISIT(array->prefix[i], false);
		VISIT(array->rest, false);
		VISIT(array->contains, false);
		VISIT(array->unevaluated, false);
	}
	if (object != NULL)
	{
		for (i = 0; i < object->nproperties; i++)
			VISIT(object->properties[i].edge, false);
		for (i = 0; i < object->npatterns; i++)
			VISIT(object->patterns[i].edge, false);
		for (i = 0; i < object->ndependencies; i++)
			VISIT(object->dependencies[i].edge, true);
		VISIT(object->additional, false);
		VISIT(object->names, false);
		VISIT(object->unevaluated, false);
	}
}

/* Moves the nodes into the program and shortens the edges. */
static EeSchema *
make_program(EeCompile *compile, EeNodeId root)
{
	EeSchema   *program = ee_schema_alloc(compile, sizeof(EeSchema));
	EeNodeId	id;

	program->context = compile->context;
	program->nnodes = compile->nnodes;
	program->nodes = MemoryContextAllocHuge(compile->context,
											compile->nnodes * sizeof(EeNode));
	memcpy(program->nodes, compile->nodes, compile->nnodes * sizeof(EeNode));
	program->dynamic = compile->dynamic;
	collect_anchors(compile, program);
	if (compile->options->describe)
		ee_schema_describe(compile, program);
	program->root.node = root;
	shorten_edge(&program->root, true, program);
	for (id = 0; id < program->nnodes; id++)
		ee_schema_program_visit(&program->nodes[id], shorten_edge, program);
	for (id = 0; id < program->nnodes; id++)
		fuse_properties(program, &program->nodes[id]);
	return program;
}

static void
collect_anchors(EeCompile *compile, EeSchema *program)
{
	List	   *places = ee_schema_ref_dynamic(compile->refs);
	ListCell   *lc,
			   *lc2;

	program->anchors = ee_schema_alloc(compile, list_length(places) *
									   sizeof(EeDynamicAnchor));
	foreach(lc, places)
	{
		EePlace    *place = lfirst(lc);

		if (place->node == EE_NODE_NONE)
			continue;
		foreach(lc2, compile->anchors)
		{
			EeDynamicAnchor *anchor;

			if (strcmp(lfirst(lc2), place->dynamic_anchor) != 0)
				continue;
			anchor = &program->anchors[program->nanchors++];
			anchor->resource = place->resource->index;
			anchor->anchor = foreach_current_index(lc2);
			anchor->node = place->node;
			break;
		}
	}
}

static void
shorten_edge(EeEdge *edge, bool in_place, void *arg)
{
	edge->fast = follow_bare((const EeSchema *) arg, edge->node);
}

/*
 * Follows schemas that say nothing but $ref.  Where dynamic references look
 * at the way that was taken, only within a resource.
 */
static EeNodeId
follow_bare(const EeSchema *program, EeNodeId id)
{
	for (;;)
	{
		const EeNode *node = &program->nodes[id];
		EeNodeId	next;

		if (node->types != EE_IS_ANY || node->number || node->string ||
			node->array || node->object || node->constant ||
			node->enumeration)
			return id;
		if (node->ngroups == 0)
			return EE_NODE_TRUE;
		if (node->ngroups != 1 || node->groups[0].kind != EE_GROUP_REF)
			return id;
		next = node->groups[0].edges[0].node;
		if (program->dynamic &&
			program->nodes[next].resource != node->resource)
			return id;
		id = next;
	}
}

/* Puts the cheap test of each property's schema beside its name. */
static void
fuse_properties(EeSchema *program, EeNode *node)
{
	uint32		i;

	if (node->object == NULL)
		return;
	for (i = 0; i < node->object->nproperties; i++)
	{
		EeProperty *property = &node->object->properties[i];
		const EeNode *target = &program->nodes[property->edge.fast];

		property->types = target->types;
		property->leaf = (target->flags & EE_NODE_LEAF) != 0;
	}
}

/* Zeroed memory of the program; never given back alone. */
void *
ee_schema_alloc(EeCompile *compile, Size size)
{
	char	   *result;

	size = MAXALIGN(Max(size, 1));
	if (size > compile->block_left)
	{
		if (size > compile->block_size / 4)
			return memset(MemoryContextAllocHuge(compile->context, size),
						  0, size);
		compile->block = MemoryContextAlloc(compile->context,
											compile->block_size);
		compile->block_left = compile->block_size;
		compile->block_size = Min(compile->block_size * 2, LARGEST_BLOCK);
	}
	result = compile->block;
	compile->block += size;
	compile->block_left -= size;
	return memset(result, 0, size);
}
