/*
 * schema_metaschema.h
 *	  The metaschemas of all dialects, so that nothing has to be registered
 *	  or fetched.
 */
#ifndef EE_SCHEMA_METASCHEMA_H
#define EE_SCHEMA_METASCHEMA_H

#include "postgres.h"

#include "utils/jsonb.h"

extern Jsonb *ee_schema_metaschema(const char *uri);

#endif							/* EE_SCHEMA_METASCHEMA_H */
