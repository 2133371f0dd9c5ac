/*
 * schema_regex_parse.h
 *	  The syntax tree of a regular expression of ECMA-262.
 */
#ifndef EE_SCHEMA_REGEX_PARSE_H
#define EE_SCHEMA_REGEX_PARSE_H

#include "postgres.h"

#include "mb/pg_wchar.h"

#include "validation/schema_charset.h"

#define EE_REGEX_INFINITE	(-1)

typedef enum EeRegexKind
{
	EE_REGEX_EMPTY,
	EE_REGEX_SET,				/* one character of a set */
	EE_REGEX_SEQUENCE,			/* children one after the other */
	EE_REGEX_CHOICE,			/* one of the children */
	EE_REGEX_REPEAT,			/* the child min to max times */
	EE_REGEX_GROUP,				/* the child, captured */
	EE_REGEX_BEGIN,
	EE_REGEX_END,
	EE_REGEX_WORD_EDGE,
	EE_REGEX_NO_WORD_EDGE,
	EE_REGEX_AHEAD,
	EE_REGEX_NOT_AHEAD,
	EE_REGEX_BEHIND,
	EE_REGEX_NOT_BEHIND,
	EE_REGEX_BACK_REFERENCE,
} EeRegexKind;

typedef struct EeRegexNode
{
	EeRegexKind kind;
	int			min;
	int			max;
	bool		lazy;
	int			group;			/* of captures and back references */
	EeCharSet  *set;
	struct EeRegexNode *child;	/* first child */
	struct EeRegexNode *next;	/* next child of the parent */
} EeRegexNode;

typedef struct EeRegexTree
{
	EeRegexNode *root;
	int			ngroups;
	bool		regular;		/* no look-around, edge or back reference */
	bool		back_references;
	bool		unsupported;	/* valid, but beyond us */
} EeRegexTree;

extern bool ee_schema_regex_parse(const pg_wchar *pattern, int len,
								  EeRegexTree *tree, char **problem);

#endif							/* EE_SCHEMA_REGEX_PARSE_H */
