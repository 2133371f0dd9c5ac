/*
 * schema_keyword.h
 *	  What each keyword adds to the node of its schema.
 */
#ifndef EE_SCHEMA_KEYWORD_H
#define EE_SCHEMA_KEYWORD_H

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
	uint32		nnodes;
	uint32		max_nodes;
	List	   *pending;		/* EePlace that have a number and no node yet */
	bool		dynamic;
	List	   *anchors;		/* char *: names that dynamic references use */
} EeCompile;

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
	int			max_groups;
	EeGroup    *groups;
	int			max_properties;
} EeDraft;

extern void *ee_schema_alloc(EeCompile *compile, Size size);
extern EeNodeId ee_schema_compile_place(EeCompile *compile, EePlace *place);
extern void ee_schema_keyword_compile(EeDraft *draft,
									  const EeKeywordInfo *info,
									  EeValue value);
extern void ee_schema_keyword_finish(EeDraft *draft);

#endif							/* EE_SCHEMA_KEYWORD_H */
