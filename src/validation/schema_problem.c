/*
 * schema_problem.c
 *	  What is wrong with a schema, and where: thrown, or kept for a report.
 */
#include "postgres.h"

#include "ground/errors.h"
#include "miscadmin.h"

#include "validation/schema_problem.h"
#include "validation/schema_report.h"

static Size step_length(const EePath *step, uint32 *escapes);
static char *put_step(char *end, const EePath *step, bool escape);

/* A step below parent, in CurrentMemoryContext; key is not copied. */
const EePath *
ee_schema_path_key(const EePath *parent, const char *key, uint32 len)
{
	EePath	   *path = palloc(sizeof(EePath));

	path->parent = parent;
	path->key = key;
	path->len = len;
	path->index = 0;
	return path;
}

const EePath *
ee_schema_path_index(const EePath *parent, uint32 index)
{
	EePath	   *path = palloc(sizeof(EePath));

	path->parent = parent;
	path->key = NULL;
	path->len = 0;
	path->index = index;
	return path;
}

/* A path as JSON pointer (RFC 6901), in memory of just its size. */
char *
ee_schema_path_text(const EePath *path)
{
	const EePath *step;
	uint32		escapes = 0;
	Size		len = 0;
	char	   *result;
	char	   *at;

	for (step = path; step != NULL; step = step->parent)
		len += 1 + step_length(step, &escapes);
	result = palloc(len + escapes + 1);
	at = result + len + escapes;
	*at = '\0';
	for (step = path; step != NULL; step = step->parent)
	{
		at = put_step(at, step, escapes > 0);
		*--at = '/';
	}
	return result;
}

/* Bytes of a step, without those that escape others. */
static Size
step_length(const EePath *step, uint32 *escapes)
{
	Size		len = 1;
	uint32		i;

	if (step->key != NULL)
	{
		for (i = 0; i < step->len; i++)
			*escapes += step->key[i] == '~' || step->key[i] == '/';
		return step->len;
	}
	for (i = step->index; i >= 10; i /= 10)
		len++;
	return len;
}

/* Puts a step before end, last character first; where it begins. */
static char *
put_step(char *end, const EePath *step, bool escape)
{
	uint32		i = step->index;

	if (step->key == NULL)
	{
		do
			*--end = '0' + i % 10;
		while ((i /= 10) > 0);
		return end;
	}
	if (!escape)
		return memcpy(end - step->len, step->key, step->len);
	for (i = step->len; i > 0; i--)
	{
		char		c = step->key[i - 1];

		if (c == '~' || c == '/')
		{
			*--end = c == '~' ? '0' : '1';
			*--end = '~';
		}
		else
			*--end = c;
	}
	return end;
}

/*
 * Something is wrong with keyword (may be NULL) of the schema at path in a
 * document (NULL or "": the one being compiled).  Throws, or adds to the list
 * in the context that is current, and returns.
 */
void
ee_schema_problem(const EeProblems *problems, int sqlstate,
				  const char *document, const EePath *path,
				  const char *keyword, const char *fmt,...)
{
	StringInfoData message;
	EePath		last = {path, keyword, keyword ? strlen(keyword) : 0, 0};
	char	   *where = ee_schema_path_text(keyword ? &last : path);

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
	if (problems->collect != NULL)
	{
		EeViolation *violation = palloc0(sizeof(EeViolation));

		violation->instance_path = where;
		violation->keyword_path = "";
		violation->keyword = pstrdup(keyword ? keyword : "");
		violation->message = message.data;
		*problems->collect = lappend(*problems->collect, violation);
		return;
	}
	ereport(ERROR,
			(errcode(sqlstate),
			 sqlstate == EE_ERRCODE_UNRESOLVED_REF ?
			 errmsg("unresolved reference in JSON schema: %s", message.data) :
			 errmsg("invalid JSON schema: %s", message.data),
			 document != NULL && document[0] != '\0' ?
			 errdetail("At \"%s\" of \"%s\".", where, document) :
			 errdetail("At \"%s\".", where)));
}
