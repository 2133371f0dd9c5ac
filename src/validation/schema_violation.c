/*
 * schema_violation.c
 *	  One violation in a report: its paths, its words.
 *
 * While branches are compared a violation is only weighed; nobody then puts
 * it into words.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "validation/schema_uri.h"
#include "validation/schema_violation.h"

#define FOUND_BYTES		80		/* of a value in a report */

/*
 * Adds a violation of a keyword, of which the caller says what was expected,
 * what was found and how that reads.  NULL: nobody wants to hear of it.
 */
EeViolation *
ee_schema_violation_add(EeReport *r, const EeHere *here, const char *keyword)
{
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};

	return ee_schema_violation_add_at(r, here, &path, keyword);
}

/* The same with the whole path of the keyword. */
EeViolation *
ee_schema_violation_add_at(EeReport *r, const EeHere *here,
						   const EePath *path, const char *keyword)
{
	EeViolation *violation;

	if (ee_schema_report_full(r))
		return NULL;
	r->count++;
	if (r->weighing != NULL)
	{
		ee_schema_report_weigh(r, here, keyword);
		return NULL;
	}
	violation = palloc0(sizeof(EeViolation));
	violation->instance_path = ee_schema_path_text(here->instance);
	violation->keyword_path = ee_schema_path_text(path);
	violation->keyword = keyword;
	violation->location =
		ee_schema_violation_location(r->program, r->node, r->node_path,
									 violation->keyword_path);
	r->violations = lappend(r->violations, violation);
	return violation;
}

/*
 * The URI of a keyword's path that begins with the way to its node; NULL if
 * it has none.
 */
char *
ee_schema_violation_location(const EeSchema *program, EeNodeId node,
							 const EePath *node_path, const char *path)
{
	const char *base;
	StringInfoData buf;

	if (program->descriptions == NULL ||
		(base = program->descriptions[node].location) == NULL)
		return NULL;
	initStringInfo(&buf);
	appendStringInfoString(&buf, base);
	ee_schema_uri_append_fragment(&buf, path +
								  strlen(ee_schema_path_text(node_path)));
	return buf.data;
}

/*
 * In a tree: makes the violations from the first-th on one, which stands for
 * the schema that they are of.  A single one stays as it is.
 * [Core 2020-12, 12.4.3]
 */
void
ee_schema_violation_group(EeReport *r, const EeHere *here, int first)
{
	EeViolation *group;

	if (!r->tree || list_length(r->violations) < first + 2)
		return;
	group = palloc0(sizeof(EeViolation));
	group->instance_path = ee_schema_path_text(here->instance);
	group->keyword_path = ee_schema_path_text(here->keyword);
	group->location =
		ee_schema_violation_location(r->program, r->node, r->node_path,
									 group->keyword_path);
	group->below = list_copy_tail(r->violations, first);
	r->violations = lappend(list_truncate(r->violations, first), group);
}

/* Strings, one after the other; the last argument is NULL. */
char *
ee_schema_violation_words(const char *first,...)
{
	const char *word;
	Size		len = 0;
	char	   *result;
	char	   *end;
	va_list		args;

	va_start(args, first);
	for (word = first; word != NULL; word = va_arg(args, const char *))
		len += strlen(word);
	va_end(args);
	end = result = palloc(len + 1);
	va_start(args, first);
	for (word = first; word != NULL; word = va_arg(args, const char *))
	{
		len = strlen(word);
		memcpy(end, word, len);
		end += len;
	}
	va_end(args);
	*end = '\0';
	return result;
}

/* "at least 1 item", "at least 2 items" */
char *
ee_schema_violation_count(const char *words, uint32 n, const char *one,
						  const char *many)
{
	char		number[MAXINT8LEN + 1];

	number[pg_ultoa_n(n, number)] = '\0';
	return ee_schema_violation_words(words, number, n == 1 ? one : many, NULL);
}

/* A name as a JSON string, shortened. */
char *
ee_schema_violation_quote(const char *name, uint32 len)
{
	EeValue		v = {name, len, EE_IS_STRING};

	return ee_value_text(v, FOUND_BYTES);
}

char *
ee_schema_violation_found(EeValue v)
{
	return ee_value_text(v, FOUND_BYTES);
}
