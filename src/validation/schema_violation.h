/*
 * schema_violation.h
 *	  One violation in a report: its paths, its words.
 */
#ifndef EE_SCHEMA_VIOLATION_H
#define EE_SCHEMA_VIOLATION_H

#include "postgres.h"

#include "validation/schema_problem.h"
#include "validation/schema_program.h"
#include "validation/schema_report.h"
#include "validation/schema_track.h"

typedef struct EeReport
{
	const EeSchema *program;
	const EeScope *scope;
	List	   *violations;
	int			max;
	int			visits;			/* of nodes, so far */
	int			suggestions;	/* of similar names, so far */
	bool		tree;			/* violations of a schema belong together */
	EeNodeId	node;			/* where the report stands, and */
	const EePath *node_path;	/* the way there */
} EeReport;

/* where the report stands: in the instance and in the schema */
typedef struct EeHere
{
	EeValue		v;
	const EePath *instance;
	const EePath *keyword;
} EeHere;

extern bool ee_schema_violation_full(const EeReport *r);
extern void ee_schema_violation_add(EeReport *r, const EeHere *here,
									const char *keyword, const char *expected,
									const char *found, const char *fmt,...)
			pg_attribute_printf(6, 7);
extern char *ee_schema_violation_location(const EeReport *r,
										  const char *path);
extern void ee_schema_violation_group(EeReport *r, const EeHere *here,
									  int first);
extern List *ee_schema_violation_copy(const List *violations);
extern char *ee_schema_violation_count(const char *words, uint32 n,
									   const char *one, const char *many);
extern char *ee_schema_violation_quote(const char *name, uint32 len);
extern char *ee_schema_violation_found(EeValue v);
extern char *ee_schema_violation_similar(EeReport *r,
										 const EeObjectRules *rules,
										 const char *key, uint32 len);

/* in schema_report_scalar.c */
extern void ee_schema_report_type(EeReport *r, const EeNode *node,
								  const EeHere *here);
extern void ee_schema_report_number(EeReport *r, const EeNumberRules *rules,
									const EeHere *here);
extern void ee_schema_report_string(EeReport *r, const EeStringRules *rules,
									const EeHere *here);

#endif							/* EE_SCHEMA_VIOLATION_H */
