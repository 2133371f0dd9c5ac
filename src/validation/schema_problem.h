/*
 * schema_problem.h
 *	  What is wrong with a schema, and where: thrown, or kept for a report.
 */
#ifndef EE_SCHEMA_PROBLEM_H
#define EE_SCHEMA_PROBLEM_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* a step of a JSON pointer; index counts where key is NULL */
typedef struct EePath
{
	const struct EePath *parent;
	const char *key;
	uint32		len;
	uint32		index;
} EePath;

/* collect: a List * of EeViolation that grows, or NULL to throw */
typedef struct EeProblems
{
	List	  **collect;
} EeProblems;

extern const EePath *ee_schema_path_key(const EePath *parent,
										const char *key, uint32 len);
extern const EePath *ee_schema_path_index(const EePath *parent, uint32 index);
extern char *ee_schema_path_text(const EePath *path);
extern void ee_schema_problem(const EeProblems *problems, int sqlstate,
							  const char *document, const EePath *path,
							  const char *keyword, const char *fmt,...)
			pg_attribute_printf(6, 7);

#endif							/* EE_SCHEMA_PROBLEM_H */
