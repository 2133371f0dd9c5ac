/*
 * schema_compile.h
 *	  From a schema in jsonb to a program that is evaluated many times.
 */
#ifndef EE_SCHEMA_COMPILE_H
#define EE_SCHEMA_COMPILE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "validation/schema_vocabulary.h"

typedef struct EeSchema EeSchema;

/*
 * Gives the document registered under an absolute URI without fragment, or
 * NULL.  Called while compiling only.
 */
typedef Jsonb *(*EeSchemaResolver) (const char *uri, void *arg);

/* contentEncoding and contentMediaType: do they refuse anything? */
typedef enum EeContentMode
{
	EE_CONTENT_BY_DIALECT,		/* in draft 7 */
	EE_CONTENT_ANNOTATES,
	EE_CONTENT_ASSERTS,
} EeContentMode;

typedef struct EeSchemaOptions
{
	EeDialect	dialect;		/* where $schema names none */
	bool		assert_formats;
	EeContentMode content;
	EeSchemaResolver resolve;	/* may be NULL */
	void	   *resolve_arg;
	bool		describe;		/* keep what an output tells of each schema */
} EeSchemaOptions;

extern EeSchema *ee_schema_compile(Jsonb *schema,
								   const EeSchemaOptions *options);
extern List *ee_schema_compile_problems(Jsonb *schema,
										const EeSchemaOptions *options);
extern void ee_schema_free(EeSchema *schema);
extern Size ee_schema_size(const EeSchema *schema);

#endif							/* EE_SCHEMA_COMPILE_H */
