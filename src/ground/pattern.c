/*
 * pattern.c
 *	  A pattern of a subscription: its kind, its syntax.
 *
 * Whatever compiles here can be matched: names of events are checked for
 * nothing later.  Regular expressions are the server's, under collation C, so
 * that what they mean does not depend on the database; how long one may be is
 * limited, and compiled ones are in the server's own cache.
 *
 * Pure: knows no tables.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "regex/regex.h"
#include "utils/builtins.h"

#include "ground/errors.h"
#include "ground/option.h"
#include "ground/pattern.h"

#define MAX_PATTERN_LENGTH	255
#define MAX_REGEX_LENGTH	500

static void check_members(JsonbContainer *object, int index);
static EePatternKind kind_of(JsonbContainer *object, int index);
static void check_value(const EePattern *pattern, int index);
static bool is_name(const char *value, int len, bool wildcards, bool prefix);
static void compile_regex(EePattern *pattern);
static void regex_error_callback(void *arg);

static const char *const kind_names[] = {
	[EE_PATTERN_EXACT] = "exact",
	[EE_PATTERN_WILDCARD] = "wildcard",
	[EE_PATTERN_PREFIX] = "prefix",
	[EE_PATTERN_REGEX] = "regex",
};

void
ee_pattern_compile(EePattern *pattern, JsonbContainer *object, int index)
{
	JsonbValue	value;

	check_members(object, index);
	pattern->kind = kind_of(object, index);

	if (getKeyJsonValueFromContainer(object, "value", 5, &value) == NULL ||
		value.type != jbvString)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("invalid match at index %d", index),
				 errdetail("Member \"value\" is missing or not a string.")));
	pattern->len = value.val.string.len;
	pattern->value = pnstrdup(value.val.string.val, pattern->len);
	pattern->regex = NULL;

	check_value(pattern, index);
	if (pattern->kind == EE_PATTERN_REGEX)
		compile_regex(pattern);
}

bool
ee_pattern_regex_matches(const EePattern *pattern, const char *name, int len)
{
	return RE_compile_and_execute(pattern->regex, unconstify(char *, name),
								  len, REG_ADVANCED | REG_NOSUB,
								  C_COLLATION_OID, 0, NULL);
}

void
ee_pattern_append(StringInfo buf, const EePattern *pattern)
{
	appendStringInfo(buf, "%s \"%s\"", kind_names[pattern->kind],
					 pattern->value);
}

static void
check_members(JsonbContainer *object, int index)
{
	static const char *const names[] = {"type", "value", "filters", NULL};
	char	   *unknown = ee_option_unknown(object, names);

	if (unknown != NULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("invalid match at index %d", index),
				 errdetail("Unknown member \"%s\".", unknown),
				 errhint("A match has the members type, value and filters.")));
}

static EePatternKind
kind_of(JsonbContainer *object, int index)
{
	JsonbValue	value;
	int			i;

	if (getKeyJsonValueFromContainer(object, "type", 4, &value) != NULL &&
		value.type == jbvString)
	{
		for (i = 0; i < lengthof(kind_names); i++)
		{
			if (strlen(kind_names[i]) == value.val.string.len &&
				memcmp(kind_names[i], value.val.string.val,
					   value.val.string.len) == 0)
				return (EePatternKind) i;
		}
	}
	ereport(ERROR,
			(errcode(EE_ERRCODE_INVALID_PATTERN),
			 errmsg("invalid match at index %d", index),
			 errdetail("Member \"type\" is missing or unknown."),
			 errhint("A type is one of exact, wildcard, prefix, regex.")));
	return EE_PATTERN_EXACT;			/* keep the compiler quiet */
}

static void
check_value(const EePattern *pattern, int index)
{
	int			limit = pattern->kind == EE_PATTERN_REGEX ? MAX_REGEX_LENGTH :
		MAX_PATTERN_LENGTH;
	const char *detail = NULL;

	if (pattern->len == 0 || pattern->len > limit)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("invalid %s pattern at index %d",
						kind_names[pattern->kind], index),
				 errdetail("It must have 1 to %d bytes and has %d.",
						   limit, pattern->len)));

	if (pattern->kind == EE_PATTERN_EXACT &&
		!is_name(pattern->value, pattern->len, false, false))
		detail = "A name is letters, digits, \"_\" and \"-\", with \".\" or "
				 "\":\" between segments.";
	else if (pattern->kind == EE_PATTERN_WILDCARD &&
			 !is_name(pattern->value, pattern->len, true, false))
		detail = "Between \".\" or \":\" stands a segment of letters, "
				 "digits, \"_\" and \"-\", or \"*\" for any one segment, or "
				 "\"#\" for any number of them.";
	else if (pattern->kind == EE_PATTERN_PREFIX &&
			 !is_name(pattern->value, pattern->len, false, true))
		detail = "A prefix is the beginning of a name: letters, digits, "
				 "\"_\" and \"-\", with \".\" or \":\" between segments.";

	if (detail != NULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("invalid %s pattern \"%s\" at index %d",
						kind_names[pattern->kind], pattern->value, index),
				 errdetail("%s", detail)));
}

/*
 * Segments of name characters, none empty (the last of a prefix may be); with
 * wildcards a segment may be '*' or '#' alone.
 */
static bool
is_name(const char *value, int len, bool wildcards, bool prefix)
{
	int			start = 0;
	int			i;

	for (i = 0; i <= len; i++)
	{
		char		c = i < len ? value[i] : '.';

		if (c == '.' || c == ':')
		{
			if (i == start && !(prefix && i == len && i > 0))
				return false;
			start = i + 1;
		}
		else if (c == '*' || c == '#')
		{
			bool		alone = i == start &&
				(i + 1 == len || value[i + 1] == '.' || value[i + 1] == ':');

			if (!wildcards || !alone)
				return false;
		}
		else if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
				   (c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return true;
}

static void
compile_regex(EePattern *pattern)
{
	ErrorContextCallback context;

	pattern->regex = cstring_to_text_with_len(pattern->value, pattern->len);

	context.callback = regex_error_callback;
	context.arg = pattern->value;
	context.previous = error_context_stack;
	error_context_stack = &context;

	(void) RE_compile_and_cache(pattern->regex, REG_ADVANCED | REG_NOSUB,
								C_COLLATION_OID);

	error_context_stack = context.previous;
}

static void
regex_error_callback(void *arg)
{
	if (geterrcode() == ERRCODE_INVALID_REGULAR_EXPRESSION)
		errcode(EE_ERRCODE_INVALID_PATTERN);
	errcontext("pattern \"%s\"", (char *) arg);
}
