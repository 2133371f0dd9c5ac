/*
 * schema_unknown.h
 *	  Keywords of a schema that are none, and seem to be meant as one.
 */
#ifndef EE_SCHEMA_UNKNOWN_H
#define EE_SCHEMA_UNKNOWN_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "validation/schema_vocabulary.h"

extern List *ee_schema_unknown(Jsonb *schema, EeDialect dialect);

#endif							/* EE_SCHEMA_UNKNOWN_H */
