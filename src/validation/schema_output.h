/*
 * schema_output.h
 *	  A verdict in the output formats of the specification.
 */
#ifndef EE_SCHEMA_OUTPUT_H
#define EE_SCHEMA_OUTPUT_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "validation/schema_compile.h"

typedef enum EeOutputFormat
{
	EE_OUTPUT_FLAG,				/* the verdict */
	EE_OUTPUT_BASIC,			/* and a list of errors or annotations */
	EE_OUTPUT_DETAILED,			/* and a tree of them */
} EeOutputFormat;

extern bool ee_schema_output_format(const char *name, EeOutputFormat *format);
extern Jsonb *ee_schema_output(const EeSchema *schema, Jsonb *instance,
							   EeOutputFormat format);

#endif							/* EE_SCHEMA_OUTPUT_H */
