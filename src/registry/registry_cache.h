/*
 * registry_cache.h
 *	  What this backend knows of the registered definitions.
 */
#ifndef EE_REGISTRY_CACHE_H
#define EE_REGISTRY_CACHE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "validation/schema_compile.h"

typedef enum EeDefinitionStatus
{
	EE_DEFINITION_DRAFT,
	EE_DEFINITION_ACTIVE,
	EE_DEFINITION_DEPRECATED
} EeDefinitionStatus;

/* A version of a definition, ready for publishing under it. */
typedef struct EeDefinition
{
	pg_uuid_t	id;
	char	   *event_id;		/* business name */
	char	   *pattern;
	char	   *version;
	Datum		pattern_text;	/* the same two as varlena, ready to store */
	Datum		version_text;
	EeDefinitionStatus status;
	int			n_source_types; /* 0: any source may emit it */
	char	  **source_types;
	EeSchema   *schema;			/* NULL: any payload */
	List	   *rules;			/* of EeRule; NIL where there is none */
	struct EeSensitive *sensitive;	/* NULL: nothing is; see sensitive.h */
	bool		warned;			/* this backend has said "deprecated" */
	Oid			publisher;		/* who may publish it for every tenant, */
	uint64		publisher_generation;	/* by ee_event_grant_generation() */
} EeDefinition;

/*
 * The definition of a pattern, in the given version or (NULL) the current
 * one.  Raises UNKNOWN_PATTERN or UNKNOWN_VERSION.  The result stays valid
 * until the next call in this backend; the arguments must not point into an
 * earlier one.  Whether a status may be published under is the caller's to
 * say.
 */
extern EeDefinition *ee_registry_cache_lookup(const char *pattern, int len,
											  const char *version);

/* The current one; NULL where the pattern is unknown. */
extern EeDefinition *ee_registry_cache_find(const char *pattern, int len);

/* Every registered pattern (List of char *), in CurrentMemoryContext. */
extern List *ee_registry_cache_patterns(void);

/* Changes whenever a definition may have changed; never 0. */
extern uint64 ee_registry_cache_generation(void);

#endif							/* EE_REGISTRY_CACHE_H */
