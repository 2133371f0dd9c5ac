/*
 * schema_suggest.h
 *	  "Did you mean ...?", for names and values in a report.
 */
#ifndef EE_SCHEMA_SUGGEST_H
#define EE_SCHEMA_SUGGEST_H

#include "postgres.h"

#include "validation/schema_report_state.h"

extern const char *ee_schema_suggest_property(EeReport *r, const EeNode *node,
											  EeValue object, EeName name);
extern const char *ee_schema_suggest_present(EeReport *r,
											 const EeObjectRules *rules,
											 EeValue object, EeName name);
extern const char *ee_schema_suggest_value(EeReport *r, const EeEnum *set,
										   EeValue v);

#endif							/* EE_SCHEMA_SUGGEST_H */
