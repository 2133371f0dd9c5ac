/*
 * schema_report.h
 *	  Every reason why an instance is not valid, for people.
 */
#ifndef EE_SCHEMA_REPORT_H
#define EE_SCHEMA_REPORT_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "validation/schema_compile.h"

typedef struct EeViolation
{
	const char *instance_path;	/* JSON pointer into the instance */
	const char *keyword_path;	/* JSON pointer: the way through the schema */
	const char *keyword;
	const char *message;
	const char *expected;		/* NULL where there is nothing to say */
	const char *found;
	const char *location;		/* URI of the keyword, if known */
	List	   *below;			/* EeViolation: in a tree, what it consists of */
} EeViolation;

extern List *ee_schema_report(const EeSchema *schema, Jsonb *instance,
							  int max_violations);
extern List *ee_schema_report_tree(const EeSchema *schema, Jsonb *instance);

#endif							/* EE_SCHEMA_REPORT_H */
