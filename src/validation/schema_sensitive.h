/*
 * schema_sensitive.h
 *	  Which places of an instance a schema marks as sensitive.
 */
#ifndef EE_SCHEMA_SENSITIVE_H
#define EE_SCHEMA_SENSITIVE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "validation/schema_compile.h"

#define EE_SENSITIVE_KEYWORD	"x-sensitive"

typedef enum EeSensitiveStepKind
{
	EE_STEP_MEMBER,				/* of an object, by its name */
	EE_STEP_ANY_MEMBER,
	EE_STEP_ITEM,				/* of an array, by its position */
	EE_STEP_ANY_ITEM
} EeSensitiveStepKind;

typedef struct EeSensitiveStep
{
	EeSensitiveStepKind kind;
	const char *name;
	uint32		len;
	uint32		index;
} EeSensitiveStep;

/* From the root of an instance to what is sensitive. */
typedef struct EeSensitivePath
{
	int			n_steps;
	EeSensitiveStep *steps;
} EeSensitivePath;

/*
 * The marks of a schema and of what it refers to: a List of EeSensitivePath
 * in CurrentMemoryContext, none twice.  Raises INVALID_SCHEMA for a mark
 * where it cannot be said beforehand which places it means.  The schema must
 * be one that compiles.
 */
extern List *ee_schema_sensitive(Jsonb *schema,
								 const EeSchemaOptions *options);

/* Is it anywhere in there, be it a mark or not?  Quick. */
extern bool ee_schema_sensitive_mentions(const Jsonb *document);

#endif							/* EE_SCHEMA_SENSITIVE_H */
