/*
 * metadata.h
 *	  The specification's shapes of source and metadata.
 */
#ifndef EE_METADATA_H
#define EE_METADATA_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "validation/schema_report.h"

/*
 * Check metadata given (NULL: none) and add what is missing: correlationId,
 * and within a handler causationId and the hop count.  id is the event's.
 */
extern Jsonb *ee_metadata_complete(Jsonb *given, const pg_uuid_t *id,
								   List **violations);

/*
 * Metadata of an event that is published because of another one, whose id and
 * metadata are given, where no handler is running that would tell.
 */
extern Jsonb *ee_metadata_caused_by(Jsonb *given, const pg_uuid_t *cause_id,
									Jsonb *cause);

extern void ee_metadata_check_source(Jsonb *source, List **violations);

/* The source of who gives none: {"type": "external", "id": role, ...}. */
extern Jsonb *ee_metadata_default_source(void);

/* Type of a source that was checked, not terminated. */
extern const char *ee_metadata_source_type(Jsonb *source, int *len);

extern EeViolation *ee_metadata_violation(const char *path,
										  const char *keyword,
										  const char *message,
										  const char *expected,
										  const char *found);
extern char *ee_metadata_list(char **names, int n);

#endif							/* EE_METADATA_H */
