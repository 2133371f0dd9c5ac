/*
 * schema_document.h
 *	  The documents of event_schemas, and schemas compiled with their help.
 */
#ifndef EE_SCHEMA_DOCUMENT_H
#define EE_SCHEMA_DOCUMENT_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "registry/event_definition.h"
#include "registry/registry_row.h"
#include "validation/schema_compile.h"

/* A document that a compiled schema was made from. */
typedef struct EeDocumentUse
{
	char	   *uri;
	EeRowIdentity row;
} EeDocumentUse;

/*
 * Compile into CurrentMemoryContext.  *uses becomes a List of EeDocumentUse
 * there, sorted by URI.  Raises what is wrong with the schema.
 */
extern EeSchema *ee_schema_document_compile(Jsonb *schema,
											const EeDefinitionOptions *options,
											List **uses);

/*
 * What a schema that compiles marks as sensitive: a List of EeSensitivePath
 * in CurrentMemoryContext.
 */
extern List *ee_schema_document_sensitive(Jsonb *schema,
										  const EeDefinitionOptions *options);

/* Are all of them still what they were? */
extern bool ee_schema_document_unchanged(List *uses);

#endif							/* EE_SCHEMA_DOCUMENT_H */
