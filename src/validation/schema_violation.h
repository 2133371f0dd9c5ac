/*
 * schema_violation.h
 *	  One violation in a report: its paths, its words.
 */
#ifndef EE_SCHEMA_VIOLATION_H
#define EE_SCHEMA_VIOLATION_H

#include "postgres.h"

#include "validation/schema_report_state.h"

extern EeViolation *ee_schema_violation_add(EeReport *r, const EeHere *here,
											const char *keyword);
extern EeViolation *ee_schema_violation_add_at(EeReport *r,
											   const EeHere *here,
											   const EePath *path,
											   const char *keyword);
extern void ee_schema_violation_group(EeReport *r, const EeHere *here,
									  int first);
extern char *ee_schema_violation_location(const EeSchema *program,
										  EeNodeId node,
										  const EePath *node_path,
										  const char *path);
extern char *ee_schema_violation_words(const char *first,...);
extern char *ee_schema_violation_count(const char *words, uint32 n,
									   const char *one, const char *many);
extern char *ee_schema_violation_quote(const char *name, uint32 len);
extern char *ee_schema_violation_found(EeValue v);

#endif							/* EE_SCHEMA_VIOLATION_H */
