/*
 * event_definition.h
 *	  What makes a definition valid: its pattern, its options, its schema.
 */
#ifndef EE_EVENT_DEFINITION_H
#define EE_EVENT_DEFINITION_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#define EE_PATTERN_MAX	255		/* characters, all of them one byte */

#define EE_COMPATIBILITY_HINT \
	"Kinds are none, backward, forward and full; the last three also with _transitive."

/* options of a definition, taken apart */
typedef struct EeDefinitionOptions
{
	const char *dialect;		/* NULL: the default one */
	bool		formats_given;
	bool		assert_formats; /* where given */
	bool		content_given;
	bool		assert_content; /* where given */
	bool		strict_given;
	bool		strict;			/* where given */
	bool		backward;		/* compatibility with the version before */
	bool		forward;
	bool		transitive;		/* and with all before */
	List	   *sensitive;		/* of EeSensitivePath */
	const char *sensitive_subject;	/* NULL: none given */
} EeDefinitionOptions;

/*
 * Raises INVALID_PATTERN unless this can name a kind of events: segments of
 * letters, digits, _ and -, separated by . or :.
 */
extern void ee_event_definition_check_pattern(const char *pattern, int len);

/* Raises INVALID_DEFINITION for unknown keys and wrong values. */
extern void ee_event_definition_parse_options(Jsonb *options,
											  EeDefinitionOptions *parsed);

/*
 * A word for compatibility: none, backward, forward, full, the last three
 * also with _transitive.  False where it is another.
 */
extern bool ee_event_definition_parse_compatibility(const char *word,
													EeDefinitionOptions *parsed);

#endif							/* EE_EVENT_DEFINITION_H */
