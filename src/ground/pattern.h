/*
 * pattern.h
 *	  A pattern of a subscription: {"type": ..., "value": ...}
 */
#ifndef EE_PATTERN_H
#define EE_PATTERN_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

typedef enum EePatternKind
{
	EE_PATTERN_EXACT,			/* the name itself */
	EE_PATTERN_WILDCARD,		/* AMQP topic: '*' one segment, '#' any number */
	EE_PATTERN_PREFIX,			/* the name begins so */
	EE_PATTERN_REGEX			/* PostgreSQL's regular expression */
} EePatternKind;

typedef struct EePattern
{
	EePatternKind kind;
	char	   *value;
	int			len;
	text	   *regex;			/* of kind regex: the value as text */
} EePattern;

/*
 * Compile an element of a match, the index'th, into CurrentMemoryContext;
 * raises INVALID_PATTERN.  Its filters are not looked at.
 */
extern void ee_pattern_compile(EePattern *pattern, JsonbContainer *object,
							   int index);

/* Does a pattern of kind regex match?  The others are for the trie. */
extern bool ee_pattern_regex_matches(const EePattern *pattern,
									 const char *name, int len);

/* Append it as people read it: wildcard "invoice.*" */
extern void ee_pattern_append(StringInfo buf, const EePattern *pattern);

#endif							/* EE_PATTERN_H */
