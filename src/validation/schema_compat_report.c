/*
 * schema_compat_report.c
 *	  What breaks between two schemas, in words.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "validation/schema_compat_state.h"

#define MAX_BREAKS	100

static char *in_direction(EeCompatDirection direction, const char *why);
static char *copy(const char *text);

/*
 * Writes a break down, unless only asking.  The texts are those of what is
 * known and of the goal; which of them is the old one depends on the way
 * that is compared.
 */
bool
ee_compat_break(EeCompat *cx, const EeKnown *known, const EePath *path,
				const char *keyword, const char *known_text,
				const char *goal_text, const char *why)
{
	bool		forward = known->program != cx->old_schema;
	char	   *path_text;
	MemoryContext old;
	EeSchemaBreak *found;
	ListCell   *lc;

	if (cx->quiet > 0 || list_length(cx->breaks) >= MAX_BREAKS)
		return false;
	path_text = ee_schema_path_text(path);
	why = in_direction(cx->direction, why);
	foreach(lc, cx->breaks)
	{
		found = lfirst(lc);
		if (strcmp(found->path, path_text) == 0 &&
			strcmp(found->keyword, keyword) == 0 &&
			strcmp(found->why, why) == 0)
			return false;
	}
	old = MemoryContextSwitchTo(cx->result);
	found = palloc(sizeof(EeSchemaBreak));
	found->path = copy(path_text);
	found->keyword = copy(keyword);
	found->old_text = copy(forward ? goal_text : known_text);
	found->new_text = copy(forward ? known_text : goal_text);
	found->direction = cx->direction;
	found->why = copy(why);
	cx->breaks = lappend(cx->breaks, found);
	MemoryContextSwitchTo(old);
	return false;
}

bool
ee_compat_unproven(EeCompat *cx, const EeKnown *known, const EeGoal *goal,
				   const char *keyword, const char *what)
{
	if (cx->quiet > 0)
		return false;
	return ee_compat_break(cx, known, goal->path, keyword,
						   ee_compat_describe_known(known),
						   ee_compat_describe(goal->program, goal->id),
						   psprintf("cannot prove that %s", what));
}

/*
 * Reasons are written for what the old schema accepts and the new one does
 * not; the other way round they read so.
 */
static char *
in_direction(EeCompatDirection direction, const char *why)
{
	static const struct
	{
		const char *backward;
		const char *forward;
	}			words[] = {
		{"is no longer accepted", "was not accepted before"},
		{"were accepted", "are accepted now"},
		{"was accepted", "is accepted now"},
		{"what matched one", "what matches one"},
		{"could hold any value before, since additionalProperties did not exclude it",
		"may hold any value now, since additionalProperties does not exclude it"},
	};
	int			i;

	for (i = 0; direction == EE_COMPAT_FORWARD && i < lengthof(words); i++)
	{
		const char *at = strstr(why, words[i].backward);

		if (at != NULL)
			return psprintf("%.*s%s%s", (int) (at - why), why,
							words[i].forward, at + strlen(words[i].backward));
	}
	return pstrdup(why);
}

static char *
copy(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

/* "integer, null"; NULL for any type. */
char *
ee_compat_types(uint16 types)
{
	static const struct
	{
		uint16		types;
		const char *name;
	}			names[] = {
		{EE_IS_NUMBER, "number"}, {EE_IS_INTEGER, "integer"},
		{EE_IS_STRING, "string"}, {EE_IS_BOOLEAN, "boolean"},
		{EE_IS_TRUE, "true"}, {EE_IS_FALSE, "false"},
		{EE_IS_NULL, "null"}, {EE_IS_ARRAY, "array"},
		{EE_IS_OBJECT, "object"},
	};
	StringInfoData buf;
	int			i;

	if (types == EE_IS_ANY)
		return NULL;
	initStringInfo(&buf);
	for (i = 0; i < lengthof(names); i++)
	{
		if ((types & names[i].types) != names[i].types)
			continue;
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 names[i].name);
		types &= ~names[i].types;
		/* an integer is a number */
		if (names[i].types == EE_IS_NUMBER)
			types &= ~EE_IS_INTEGER;
	}
	return buf.len > 0 ? buf.data : pstrdup("nothing");
}

/* A limit as text; NULL where there is none. */
char *
ee_compat_limit(uint32 limit, uint32 none)
{
	return limit == none ? NULL : psprintf("%u", limit);
}

char *
ee_compat_describe(const EeSchema *program, EeNodeId id)
{
	EeKnown    *known = ee_compat_known(program);

	ee_compat_known_add(known, id);
	return ee_compat_describe_known(known);
}

/* A schema in a few words. */
char *
ee_compat_describe_known(const EeKnown *known)
{
	char	   *types;
	int			i;

	if (known->types == 0)
		return pstrdup("false");
	for (i = 0; i < known->n; i++)
	{
		const EeNode *node = &known->program->nodes[known->nodes[i]];

		if (node->constant != NULL)
			return psprintf("const %s", node->constant->text);
		if (node->enumeration != NULL)
			return psprintf("enum %s", node->enumeration->text);
	}
	types = ee_compat_types(known->types);
	if (types != NULL)
		return types;
	return pstrdup(known->n == 0 ? "true" : "any type");
}

/* The goal behind an edge; its path goes on with keyword and name. */
EeGoal
ee_compat_goal(const EeGoal *goal, const EeEdge *edge, const char *keyword,
			   const char *name, int len)
{
	EeGoal		next = {goal->program, edge->fast, goal->path};

	next.path = ee_schema_path_key(next.path, keyword, strlen(keyword));
	if (name != NULL)
		next.path = ee_schema_path_key(next.path, name, len);
	else if (len >= 0)
		next.path = ee_schema_path_index(next.path, len);
	return next;
}
