/*
 * schema_violation.c
 *	  One violation in a report: its paths, its words.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/varlena.h"

#include "validation/schema_uri.h"
#include "validation/schema_violation.h"

#define FOUND_BYTES		80		/* of a value in a report */
#define SIMILAR_EDITS	3		/* for "did you mean" */
#define SIMILAR_BYTES	100
#define MAX_SUGGESTIONS 100		/* in a report: they are dear */

bool
ee_schema_violation_full(const EeReport *r)
{
	return list_length(r->violations) >= r->max;
}

/* Adds a violation of a keyword; expected and found may be NULL. */
void
ee_schema_violation_add(EeReport *r, const EeHere *here, const char *keyword,
						const char *expected, const char *found,
						const char *fmt,...)
{
	EeViolation *violation;
	EePath		path = {here->keyword, keyword, strlen(keyword), 0};
	StringInfoData message;

	if (ee_schema_violation_full(r))
		return;
	initStringInfo(&message);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&message, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	violation = palloc0(sizeof(EeViolation));
	violation->instance_path = ee_schema_path_text(here->instance);
	violation->keyword_path = ee_schema_path_text(&path);
	violation->keyword = pstrdup(keyword);
	violation->message = message.data;
	violation->expected = expected ? pstrdup(expected) : NULL;
	violation->found = found ? pstrdup(found) : NULL;
	violation->location =
		ee_schema_violation_location(r, violation->keyword_path);
	r->violations = lappend(r->violations, violation);
}

/* The URI of a path that begins with the way to the report's node. */
char *
ee_schema_violation_location(const EeReport *r, const char *path)
{
	const char *base;
	StringInfoData buf;

	if (r->program->locations == NULL ||
		(base = r->program->locations[r->node]) == NULL)
		return NULL;
	initStringInfo(&buf);
	appendStringInfoString(&buf, base);
	ee_schema_uri_append_fragment(&buf, path +
								  strlen(ee_schema_path_text(r->node_path)));
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
	group->location = ee_schema_violation_location(r, group->keyword_path);
	group->below = list_copy_tail(r->violations, first);
	r->violations = lappend(list_truncate(r->violations, first), group);
}

/* "at least 1 item", "at least 2 items" */
char *
ee_schema_violation_count(const char *words, uint32 n, const char *one,
						  const char *many)
{
	return psprintf("%s%u %s", words, n, n == 1 ? one : many);
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

/* A property with a name like it, as the end of a sentence; or "". */
char *
ee_schema_violation_similar(EeReport *r, const EeObjectRules *rules,
							const char *key, uint32 len)
{
	const EeProperty *best = NULL;
	int			best_edits = Min(SIMILAR_EDITS, (int) len / 2);
	uint32		i;

	if (len > SIMILAR_BYTES || r->suggestions++ >= MAX_SUGGESTIONS)
		return "";
	for (i = 0; i < rules->nproperties; i++)
	{
		const EeProperty *property = &rules->properties[i];
		int			edits;

		if (!property->declared || property->len > SIMILAR_BYTES)
			continue;
		edits = varstr_levenshtein_less_equal(key, len, property->name,
											  property->len, 1, 1, 1,
											  best_edits, true);
		if (edits < best_edits || (edits == best_edits && best == NULL))
		{
			best = property;
			best_edits = edits;
		}
	}
	if (best == NULL)
		return "";
	return psprintf("; did you mean %s?", ee_schema_violation_quote(best->name,
																	best->len));
}

/* A deep copy in the current context. */
List *
ee_schema_violation_copy(const List *violations)
{
	List	   *result = NIL;
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, violations)
	{
		const EeViolation *violation = lfirst(lc);
		EeViolation *copy = palloc0(sizeof(EeViolation));

#define COPY(field) \
	copy->field = violation->field ? pstrdup(violation->field) : NULL

		COPY(instance_path);
		COPY(keyword_path);
		COPY(keyword);
		COPY(message);
		COPY(expected);
		COPY(found);
		COPY(location);
		copy->below = ee_schema_violation_copy(violation->below);
		result = lappend(result, copy);
	}
	return result;
}
