/*
 * schema_cache.h
 *	  Compiled schemas of the general functions, by content.
 */
#ifndef EE_SCHEMA_CACHE_H
#define EE_SCHEMA_CACHE_H

#include "postgres.h"

#include "validation/schema_compile.h"

typedef struct EeCachedSchema EeCachedSchema;

extern EeCachedSchema *ee_schema_cache_get(Jsonb *schema, EeDialect dialect,
										   bool described);
extern const EeSchema *ee_schema_cache_program(const EeCachedSchema *cached);
extern bool ee_schema_cache_is(const EeCachedSchema *cached,
							   const Jsonb *schema, EeDialect dialect);
extern void ee_schema_cache_pin(EeCachedSchema *cached);
extern void ee_schema_cache_unpin(EeCachedSchema *cached);

#endif							/* EE_SCHEMA_CACHE_H */
