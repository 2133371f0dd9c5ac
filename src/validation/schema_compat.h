/*
 * schema_compat.h
 *	  Is everything valid under one schema valid under another?
 */
#ifndef EE_SCHEMA_COMPAT_H
#define EE_SCHEMA_COMPAT_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "validation/schema_compile.h"

typedef enum EeCompatDirection
{
	EE_COMPAT_BACKWARD,			/* what the old accepts, the new does */
	EE_COMPAT_FORWARD			/* what the new accepts, the old does */
} EeCompatDirection;

/* Why that could not be shown. */
typedef struct EeSchemaBreak
{
	char	   *path;			/* JSON pointer: the way through the schemas */
	char	   *keyword;
	char	   *old_text;		/* NULL where it says nothing */
	char	   *new_text;
	EeCompatDirection direction;
	char	   *why;
} EeSchemaBreak;

/*
 * List of EeSchemaBreak, in CurrentMemoryContext; NIL when every instance
 * that is valid on one side is valid on the other.  NIL is a proof; a break
 * whose reason begins with "cannot prove" is the lack of one.
 */
extern List *ee_schema_compat(const EeSchema *old_schema,
							  const EeSchema *new_schema,
							  EeCompatDirection direction);

#endif							/* EE_SCHEMA_COMPAT_H */
