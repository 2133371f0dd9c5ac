/*
 * schema_draft.h
 *	  A program and a node in the making.
 */
#ifndef EE_SCHEMA_DRAFT_H
#define EE_SCHEMA_DRAFT_H

#include "postgres.h"

#include "validation/schema_compile.h"
#include "validation/schema_program.h"
#include "validation/schema_ref.h"

/* a program in the making */
typedef struct EeCompile
{
	const EeSchemaOptions *options;
	const EeProblems *problems;
	EeRefs	   *refs;
	MemoryContext context;		/* of the program */
	char	   *block;			/* what is left of the block in use */
	Size		block_left;
	Size		block_size;
	EeNode	   *nodes;			/* in the scratch context */
	const EePlace **places;		/* of each node; NULL for true and false */
	uint32		nnodes;
	uint32		max_nodes;
	List	   *pending;		/* EePlace with a number and no node yet */
	bool		dynamic;
	List	   *anchors;		/* char *: names that dynamic references use */
	List	   *scoped;			/* EePlace of references by nothing but scope */
	List	   *scoped_names;	/* char *: what these ask for */
} EeCompile;

/* as many as there are keywords that make one */
#define EE_DRAFT_GROUPS	8
#define EE_DRAFT_BOUNDS	5

/* a node in the making */
typedef struct EeDraft
{
	EeCompile  *compile;
	const EePlace *place;
	EeNode		node;
	EeNumberRules *number;
	EeStringRules *string;
	EeArrayRules *array;
	EeObjectRules *object;
	EeGroup		groups[EE_DRAFT_GROUPS];
	EeBound		bounds[EE_DRAFT_BOUNDS];
	int			max_properties;
} EeDraft;

/* in schema_describe.c */
extern void ee_schema_describe(EeCompile *compile, EeSchema *program);

extern void *ee_schema_alloc(EeCompile *compile, Size size);
extern EeNodeId ee_schema_compile_place(EeCompile *compile, EePlace *place);
/* what a keyword does to the node of its schema */
typedef void (*EeKeywordHandler) (EeDraft *draft, const char *keyword,
								  EeValue value);

/* false if the keyword is not among theirs */
extern bool ee_schema_keyword_scalar(EeDraft *draft,
									 const EeKeywordInfo *info, EeValue value);
extern bool ee_schema_keyword_container(EeDraft *draft,
										const EeKeywordInfo *info,
										EeValue value);
extern bool ee_schema_keyword_in_place(EeDraft *draft,
									   const EeKeywordInfo *info,
									   EeValue value);

extern void ee_schema_draft_keyword(EeDraft *draft, const EeKeywordInfo *info,
									EeValue value);
extern EeValue ee_schema_draft_value(EeDraft *draft, EeValue value);
extern void ee_schema_draft_finish(EeDraft *draft);
extern void ee_schema_draft_problem(EeDraft *draft, const char *keyword,
									const char *what);
extern bool ee_schema_draft_sibling(EeDraft *draft, const char *name,
									EeValue *value);
extern const EePath *ee_schema_draft_path(EeDraft *draft, const char *keyword);
extern bool ee_schema_draft_is_schema(EeDraft *draft, const char *keyword,
									  EeValue value);
extern EeEdge ee_schema_draft_edge(EeDraft *draft, EeValue value,
								   const EePath *path);
extern EeEdge ee_schema_draft_child(EeDraft *draft, const char *keyword,
									EeValue value);
extern EeEdge ee_schema_draft_no_edge(void);
extern EeName ee_schema_draft_name(EeDraft *draft, const char *data,
								   uint32 len);
extern bool ee_schema_draft_limit(EeDraft *draft, const char *keyword,
								  EeValue value, uint32 *result);
extern EeNumberRules *ee_schema_draft_number(EeDraft *draft);
extern EeStringRules *ee_schema_draft_string(EeDraft *draft);
extern EeArrayRules *ee_schema_draft_array(EeDraft *draft);
extern EeObjectRules *ee_schema_draft_object(EeDraft *draft);
extern EeGroup *ee_schema_draft_group(EeDraft *draft, EeGroupKind kind,
									  const char *keyword, int nedges);
extern EeProperty *ee_schema_draft_property(EeDraft *draft, const char *name,
											uint32 len);
extern EeName *ee_schema_draft_names(EeDraft *draft, const char *keyword,
									 EeValue value, int *n);
extern EeDependency *ee_schema_draft_dependencies(EeDraft *draft, int n);

#endif							/* EE_SCHEMA_DRAFT_H */
