/*
 * schema_unknown.h
 *	  What in a schema its dialect does not know, and so ignores.
 */
#ifndef EE_SCHEMA_UNKNOWN_H
#define EE_SCHEMA_UNKNOWN_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "validation/schema_vocabulary.h"

extern List *ee_schema_unknown(Jsonb *schema, EeDialect dialect,
							   bool strict);
extern EeDialect ee_schema_dialect_of(Jsonb *schema, EeDialect dialect);

#endif							/* EE_SCHEMA_UNKNOWN_H */
