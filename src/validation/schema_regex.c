/*
 * schema_regex.c
 *	  Regular expressions as ECMA-262 writes them.
 *
 * A pattern is parsed once.  What is regular in the strict sense, which is
 * nearly all that schemas hold, becomes an automaton of ours over bytes: one
 * step for each byte, whatever the pattern.  The rest is written anew in the
 * syntax of the server's engine and left to that, under the collation "C"; it
 * bounds its own memory and can be cancelled.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "ground/errors.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "utils/memutils.h"

#include "validation/schema_automaton.h"
#include "validation/schema_regex.h"
#include "validation/schema_regex_parse.h"

/* the server's engine counts no further */
#define MAX_COUNT		255

/* texts up to here are widened on the stack */
#define LOCAL_CHARS		512

struct EeRegex
{
	const char *source;
	EeAutomaton *automaton;		/* NULL: the server's engine */
	regex_t		engine;
	MemoryContextCallback release;
};

static pg_wchar *widen(const char *text, uint32 len, int *nchars);
static void release_engine(void *arg);
static void write_node(StringInfo buf, const EeRegexTree *tree,
					   const EeRegexNode *node);
static void write_repeat(StringInfo buf, const EeRegexTree *tree,
						 const EeRegexNode *node);
static void write_set(StringInfo buf, const EeCharSet *set);

/*
 * Compiles a pattern into the current context, with which it goes; NULL and
 * *problem if it is not valid.
 */
EeRegex *
ee_schema_regex_compile(const char *pattern, uint32 len, char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch;
	EeRegex    *regex;
	EeRegexTree tree;
	pg_wchar   *wide;
	int			nchars;
	char	   *wrong;
	StringInfoData buf;
	int			code;

	scratch = AllocSetContextCreate(CurrentMemoryContext,
									"event_engine regex compiler",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	wide = widen(pattern, len, &nchars);
	if (!ee_schema_regex_parse(wide, nchars, &tree, &wrong) ||
		tree.unsupported)
	{
		MemoryContextSwitchTo(context);
		*problem = pstrdup(tree.unsupported ?
						   "of properties of characters only general categories are known, such as L or Lu, and ASCII" :
						   wrong);
		MemoryContextDelete(scratch);
		return NULL;
	}
	MemoryContextSwitchTo(context);
	regex = palloc0(sizeof(EeRegex));
	regex->source = pnstrdup(pattern, len);
	if (tree.regular)
	{
		MemoryContextSwitchTo(scratch);
		regex->automaton = ee_schema_automaton_make(&tree, context);
		MemoryContextSwitchTo(context);
	}
	if (regex->automaton == NULL)
	{
		MemoryContextSwitchTo(scratch);
		initStringInfo(&buf);
		write_node(&buf, &tree, tree.root);
		wide = widen(buf.data, buf.len, &nchars);
		MemoryContextSwitchTo(context);
		code = pg_regcomp(&regex->engine, wide, nchars,
						  REG_ADVANCED | REG_NOSUB, C_COLLATION_OID);
		if (code != REG_OKAY)
		{
			char		text[100];

			CHECK_FOR_INTERRUPTS();
			pg_regerror(code, &regex->engine, text, sizeof(text));
			*problem = pstrdup(text);
			MemoryContextDelete(scratch);
			return NULL;
		}
		regex->release.func = release_engine;
		regex->release.arg = regex;
		MemoryContextRegisterResetCallback(context, &regex->release);
	}
	MemoryContextDelete(scratch);
	return regex;
}

/* The engine's memory is not always the context's. */
static void
release_engine(void *arg)
{
	pg_regfree(&((EeRegex *) arg)->engine);
}

/* Does the pattern match anywhere in the text?  [Core 2020-12, 6.4] */
bool
ee_schema_regex_match(const EeRegex *regex, const char *text, uint32 len)
{
	pg_wchar	local[LOCAL_CHARS + 1];
	pg_wchar   *wide = local;
	int			nchars;
	int			code;

	if (regex->automaton != NULL)
		return ee_schema_automaton_match(regex->automaton, text, len);
	if (len > LOCAL_CHARS)
		wide = MemoryContextAllocHuge(CurrentMemoryContext,
									  ((Size) len + 1) * sizeof(pg_wchar));
	nchars = pg_mb2wchar_with_len(text, wide, len);
	code = pg_regexec(unconstify(regex_t *, &regex->engine), wide, nchars, 0,
					  NULL, 0, NULL, 0);
	if (wide != local)
		pfree(wide);
	if (code != REG_OKAY && code != REG_NOMATCH)
	{
		char		wrong[100];

		CHECK_FOR_INTERRUPTS();
		pg_regerror(code, unconstify(regex_t *, &regex->engine), wrong,
					sizeof(wrong));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_REGULAR_EXPRESSION),
				 errmsg("regular expression \"%s\" failed: %s",
						regex->source, wrong)));
	}
	return code == REG_OKAY;
}

/* The pattern as it was written. */
const char *
ee_schema_regex_source(const EeRegex *regex)
{
	return regex->source;
}

/* Is it a regular expression at all?  For the format of that name. */
bool
ee_schema_regex_is_valid(const char *pattern, uint32 len)
{
	EeRegexTree tree;
	pg_wchar   *wide;
	int			nchars;
	bool		valid;
	MemoryContext old = CurrentMemoryContext;
	MemoryContext scratch;

	scratch = AllocSetContextCreate(CurrentMemoryContext,
									"event_engine regex compiler",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	wide = widen(pattern, len, &nchars);
	valid = ee_schema_regex_parse(wide, nchars, &tree, NULL);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return valid;
}

static pg_wchar *
widen(const char *text, uint32 len, int *nchars)
{
	pg_wchar   *wide = MemoryContextAllocHuge(CurrentMemoryContext,
											  ((Size) len + 1) *
											  sizeof(pg_wchar));

	*nchars = pg_mb2wchar_with_len(text, wide, len);
	return wide;
}

/*
 * Writes a tree in the syntax of the server's engine: in ASCII, with every
 * character as a number, so that none has a meaning by accident.
 */
static void
write_node(StringInfo buf, const EeRegexTree *tree, const EeRegexNode *node)
{
	const EeRegexNode *child;
	const char *open = "(?:";

	check_stack_depth();
	switch (node->kind)
	{
		case EE_REGEX_EMPTY:
			appendStringInfoString(buf, "(?:)");
			return;
		case EE_REGEX_SET:
			write_set(buf, node->set);
			return;
		case EE_REGEX_SEQUENCE:
			appendStringInfoString(buf, "(?:");
			for (child = node->child; child != NULL; child = child->next)
				write_node(buf, tree, child);
			appendStringInfoChar(buf, ')');
			return;
		case EE_REGEX_CHOICE:
			appendStringInfoString(buf, "(?:");
			for (child = node->child; child != NULL; child = child->next)
			{
				if (child != node->child)
					appendStringInfoChar(buf, '|');
				write_node(buf, tree, child);
			}
			appendStringInfoChar(buf, ')');
			return;
		case EE_REGEX_REPEAT:
			write_repeat(buf, tree, node);
			return;
		case EE_REGEX_BEGIN:
			appendStringInfoString(buf, "\\A");
			return;
		case EE_REGEX_END:
			appendStringInfoString(buf, "\\Z");
			return;
		case EE_REGEX_WORD_EDGE:
			appendStringInfoString(buf, "\\y");
			return;
		case EE_REGEX_NO_WORD_EDGE:
			appendStringInfoString(buf, "\\Y");
			return;
		case EE_REGEX_BACK_REFERENCE:
			appendStringInfo(buf, "(?:\\%d)", node->group);
			return;
		case EE_REGEX_GROUP:
			if (node->group > 0 && tree->back_references)
				open = "(";
			break;
		case EE_REGEX_AHEAD:
			open = "(?=";
			break;
		case EE_REGEX_NOT_AHEAD:
			open = "(?!";
			break;
		case EE_REGEX_BEHIND:
			open = "(?<=";
			break;
		case EE_REGEX_NOT_BEHIND:
			open = "(?<!";
			break;
	}
	appendStringInfoString(buf, open);
	write_node(buf, tree, node->child);
	appendStringInfoChar(buf, ')');
}

/* {m,n}, cut into pieces that the engine can count */
static void
write_repeat(StringInfo buf, const EeRegexTree *tree, const EeRegexNode *node)
{
	int			min = node->min;
	int			more = node->max == EE_REGEX_INFINITE ? 0 :
		node->max - node->min;
	const char *lazy = node->lazy ? "?" : "";

	do
	{
		int			n = Min(min, MAX_COUNT);

		appendStringInfoString(buf, "(?:");
		write_node(buf, tree, node->child);
		appendStringInfoChar(buf, ')');
		min -= n;
		if (node->max == EE_REGEX_INFINITE && min == 0)
			appendStringInfo(buf, "{%d,}%s", n, lazy);
		else if (min == 0 && more > 0 && n + more <= MAX_COUNT)
		{
			appendStringInfo(buf, "{%d,%d}%s", n, n + more, lazy);
			more = 0;
		}
		else
			appendStringInfo(buf, "{%d}%s", n, lazy);
	} while (min > 0);
	while (more > 0)
	{
		int			n = Min(more, MAX_COUNT);

		appendStringInfoString(buf, "(?:");
		write_node(buf, tree, node->child);
		appendStringInfo(buf, "){0,%d}%s", n, lazy);
		more -= n;
	}
}

static void
write_set(StringInfo buf, const EeCharSet *set)
{
	int			i;

	if (set->nranges == 0)
	{
		appendStringInfoString(buf, "(?:(?!a)a)");
		return;
	}
	appendStringInfoChar(buf, '[');
	for (i = 0; i < set->nranges; i++)
	{
		appendStringInfo(buf, "\\U%08X", set->ranges[i].low);
		if (set->ranges[i].high > set->ranges[i].low)
			appendStringInfo(buf, "-\\U%08X", set->ranges[i].high);
	}
	appendStringInfoChar(buf, ']');
}
