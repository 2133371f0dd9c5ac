/*
 * schema_annotation.h
 *	  What a schema says of an instance that is valid.
 */
#ifndef EE_SCHEMA_ANNOTATION_H
#define EE_SCHEMA_ANNOTATION_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "validation/schema_compile.h"
#include "validation/schema_value.h"

typedef struct EeAnnotation
{
	const char *instance_path;	/* JSON pointer into the instance */
	const char *keyword_path;	/* JSON pointer: the way through the schema */
	const char *location;		/* URI of the keyword, if known */
	EeValue		value;
	List	   *below;			/* EeAnnotation: then it has no value */
} EeAnnotation;

extern List *ee_schema_annotations(const EeSchema *schema, Jsonb *instance,
								   bool tree);

#endif							/* EE_SCHEMA_ANNOTATION_H */
