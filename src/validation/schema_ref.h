/*
 * schema_ref.h
 *	  Documents, resources, anchors: where a reference leads.
 */
#ifndef EE_SCHEMA_REF_H
#define EE_SCHEMA_REF_H

#include "postgres.h"

#include "validation/schema_compile.h"
#include "validation/schema_problem.h"
#include "validation/schema_program.h"

/* a schema resource: a schema with a base URI of its own */
typedef struct EeResource
{
	char	   *uri;			/* absolute, no fragment; "" where unknown */
	const char *document;		/* URI of the document it stands in */
	EeDialect	dialect;
	uint32		vocabularies;
	int			index;
	bool		plain;			/* nothing inside has a name of its own */
	struct EePlace *root;
} EeResource;

/* a schema (object or boolean) at its place in a document */
typedef struct EePlace
{
	EeValue		value;
	EeResource *resource;
	const EePath *path;			/* from the document's root */
	EeNodeId	node;			/* EE_NODE_NONE until compiled */
	const char *dynamic_anchor; /* NULL if it has none */
} EePlace;

typedef struct EeRefs EeRefs;

extern EeRefs *ee_schema_ref_begin(const EeSchemaOptions *options,
								   const EeProblems *problems);
extern EePlace *ee_schema_ref_root(EeRefs *refs, Jsonb *schema);
extern EePlace *ee_schema_ref_child(EeRefs *refs, const EePlace *parent,
									EeValue value, const EePath *path);
extern EePlace *ee_schema_ref_resolve(EeRefs *refs, const EePlace *from,
									  const char *ref, const char *keyword);
extern List *ee_schema_ref_dynamic(EeRefs *refs);

#endif							/* EE_SCHEMA_REF_H */
