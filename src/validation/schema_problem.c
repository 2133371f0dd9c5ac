/*
 * schema_problem.c
 *	  What is wrong with a schema, and where: thrown, or kept for a report.
 */
#include "postgres.h"

#include "ground/errors.h"
#include "miscadmin.h"

#include "validation/schema_problem.h"
#include "validation/schema_report.h"

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

/* Appends a path as JSON pointer (RFC 6901). */
void
ee_schema_path_append(StringInfo buf, const EePath *path)
{
	uint32		i;

	if (path == NULL)
		return;
	check_stack_depth();
	ee_schema_path_append(buf, path->parent);
	appendStringInfoChar(buf, '/');
	if (path->key == NULL)
	{
		appendStringInfo(buf, "%u", path->index);
		return;
	}
	for (i = 0; i < path->len; i++)
	{
		if (path->key[i] == '~')
			appendStringInfoString(buf, "~0");
		else if (path->key[i] == '/')
			appendStringInfoString(buf, "~1");
		else
			appendStringInfoChar(buf, path->key[i]);
	}
}

char *
ee_schema_path_text(const EePath *path)
{
	StringInfoData buf;

	initStringInfo(&buf);
	ee_schema_path_append(&buf, path);
	return buf.data;
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
