/*
 * sensitive.h
 *	  What of an event is sensitive, and whom it is about.
 */
#ifndef EE_SENSITIVE_H
#define EE_SENSITIVE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "ground/envelope.h"
#include "registry/event_definition.h"
#include "validation/schema_report.h"
#include "validation/schema_sensitive.h"

typedef struct EeSensitive
{
	List	   *paths;			/* of EeSensitivePath, into the payload */
	const char *subject_text;	/* as the definition has it */
	EeEnvelopeField subject_member;
	EeSensitivePath subject;	/* from there on */
} EeSensitive;

/*
 * What a definition's schema (or NULL) and options say, in
 * CurrentMemoryContext; NULL where nothing is sensitive.  Raises what is
 * wrong with it.  The schema must be one that compiles; documents says
 * whether it reaches others.
 */
extern EeSensitive *ee_sensitive_load(Jsonb *schema,
									  const EeDefinitionOptions *options,
									  bool documents);

/* The paths alone: a List of EeSensitivePath. */
extern List *ee_sensitive_paths(Jsonb *schema,
								const EeDefinitionOptions *options);

/*
 * A path like $.payload.lines[*].iban, for the definition's options: steps
 * behind the member of the envelope.  Raises INVALID_DEFINITION.
 */
extern void ee_sensitive_parse_path(const char *text, const char *option,
									EeEnvelopeField *member,
									EeSensitivePath *path);
extern char *ee_sensitive_path_text(const EeSensitivePath *path);

/* Does the first mean all that the second does? */
extern bool ee_sensitive_covers(const EeSensitivePath *path,
								const EeSensitivePath *other);

/*
 * The paths that go on below a child, given those that have come to its
 * parent (depth steps each): palloc'd List; *whole when one ends there.
 * name is NULL for an item of an array.
 */
extern List *ee_sensitive_below(List *paths, int depth, const char *name,
								uint32 len, uint32 index, bool *whole);

/* Take out of a violation of the schema what somebody else must not see. */
extern void ee_sensitive_hide(const EeSensitive *sensitive,
							  EeViolation *violation);

#endif							/* EE_SENSITIVE_H */
