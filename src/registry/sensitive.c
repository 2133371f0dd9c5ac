/*
 * sensitive.c
 *	  What of an event is sensitive, and whom it is about.
 *
 * The places are those that the schema marks and those that option
 * "sensitive" lists; whom an event is about, its subject, is found by option
 * "sensitive_subject".  Leaves encrypting to store/seal.c.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"

#include "ground/compat.h"
#include "ground/errors.h"
#include "registry/schema_document.h"
#include "registry/sensitive.h"

#define HIDDEN_MESSAGE	"is not valid"
#define PATH_PARTS		"It consists of names of members, [n], [*] and .* only."

static EeSensitivePath *copy_path(const EeSensitivePath *path);
static void copy_steps(EeSensitivePath *copy, const EeSensitivePath *path);
static void check_subject(const EeSensitive *sensitive);
static bool read_step(JsonPathItem *item, EeSensitiveStep *step);
pg_noreturn static void invalid_path(const char *option, const char *text,
									 const char *why);
static bool covers_step(const EeSensitiveStep *step,
						const EeSensitiveStep *other);
static bool step_takes(const EeSensitiveStep *step, const char *name,
					   uint32 len, uint32 index);
static char *next_name(const char **pointer);

EeSensitive *
ee_sensitive_load(Jsonb *schema, const EeDefinitionOptions *options,
				  bool documents)
{
	MemoryContext scratch;
	MemoryContext caller = CurrentMemoryContext;
	EeSensitive *sensitive = NULL;
	List	   *paths = NIL;
	ListCell   *lc;

	if (options->sensitive == NIL &&
		(schema == NULL ||
		 (!documents && !ee_schema_sensitive_mentions(schema))))
		return NULL;
	scratch = AllocSetContextCreate(caller, "event_engine sensitive",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	paths = ee_sensitive_paths(schema, options);
	MemoryContextSwitchTo(caller);
	if (paths != NIL)
	{
		sensitive = palloc0(sizeof(EeSensitive));
		foreach(lc, paths)
			sensitive->paths = lappend(sensitive->paths,
									   copy_path(lfirst(lc)));
		if (options->sensitive_subject == NULL)
			ereport(ERROR,
					(errcode(EE_ERRCODE_INVALID_DEFINITION),
					 errmsg("sensitive data needs the option \"sensitive_subject\""),
					 errdetail("%s is sensitive, and nothing says whom it is about.",
							   ee_sensitive_path_text(linitial(sensitive->paths))),
					 errhint("It is the path of an identifier of that person, like $.payload.customer.id.")));
		sensitive->subject_text = pstrdup(options->sensitive_subject);
		ee_sensitive_parse_path(sensitive->subject_text, "sensitive_subject",
								&sensitive->subject_member,
								&sensitive->subject);
		check_subject(sensitive);
	}
	MemoryContextDelete(scratch);
	return sensitive;
}

List *
ee_sensitive_paths(Jsonb *schema, const EeDefinitionOptions *options)
{
	return list_concat_copy(schema == NULL ? NIL :
							ee_schema_document_sensitive(schema, options),
							options->sensitive);
}

static EeSensitivePath *
copy_path(const EeSensitivePath *path)
{
	EeSensitivePath *copy = palloc(sizeof(EeSensitivePath));

	copy_steps(copy, path);
	return copy;
}

static void
copy_steps(EeSensitivePath *copy, const EeSensitivePath *path)
{
	copy->n_steps = path->n_steps;
	copy->steps = palloc(sizeof(EeSensitiveStep) * Max(path->n_steps, 1));
	for (int i = 0; i < path->n_steps; i++)
	{
		copy->steps[i] = path->steps[i];
		if (path->steps[i].name != NULL)
			copy->steps[i].name = pnstrdup(path->steps[i].name,
										   path->steps[i].len);
	}
}

/* Whoever erases somebody must be able to tell whose the data is. */
static void
check_subject(const EeSensitive *sensitive)
{
	ListCell   *lc;

	for (int i = 0; i < sensitive->subject.n_steps; i++)
		if (sensitive->subject.steps[i].kind == EE_STEP_ANY_ITEM ||
			sensitive->subject.steps[i].kind == EE_STEP_ANY_MEMBER)
			invalid_path("sensitive_subject", sensitive->subject_text,
						 "It must lead to one value, so there can be no wildcard in it.");
	if (sensitive->subject_member != EE_ENVELOPE_PAYLOAD)
		return;
	foreach(lc, sensitive->paths)
	{
		const EeSensitivePath *path = lfirst(lc);

		if (ee_sensitive_covers(path, &sensitive->subject) ||
			ee_sensitive_covers(&sensitive->subject, path))
			invalid_path("sensitive_subject", sensitive->subject_text,
						 "It is sensitive itself, or has parts that are, and so could not be read.");
	}
}

/* ------------------------------------------------------------------- paths */

void
ee_sensitive_parse_path(const char *text, const char *option,
						EeEnvelopeField *member, EeSensitivePath *path)
{
	JsonPath   *parsed;
	JsonPathItem item;
	JsonPathItem next;
	List	   *steps = NIL;
	EeSensitiveStep *step;
	ListCell   *lc;
	int			field;

	if (text[0] != '$')
		invalid_path(option, text, "It must begin with \"$.\".");
	parsed = DatumGetJsonPathP(DirectFunctionCall1(jsonpath_in,
												   CStringGetDatum(text)));
	jspInit(&item, parsed);
	if (item.type != jpiRoot)
		invalid_path(option, text, PATH_PARTS);
	while (jspGetNext(&item, &next))
	{
		step = palloc0(sizeof(EeSensitiveStep));
		if (!read_step(&next, step))
			invalid_path(option, text, PATH_PARTS);
		steps = lappend(steps, step);
		item = next;
	}
	step = steps == NIL ? NULL : linitial(steps);
	field = step == NULL || step->kind != EE_STEP_MEMBER ? -1 :
		ee_envelope_field_by_name(step->name, step->len);
	if (field < 0)
		invalid_path(option, text,
					 psprintf("It must begin with a member of the event: %s.",
							  ee_envelope_field_names()));
	*member = (EeEnvelopeField) field;
	path->n_steps = 0;
	path->steps = palloc(sizeof(EeSensitiveStep) * list_length(steps));
	for_each_from(lc, steps, 1)
		path->steps[path->n_steps++] = *(EeSensitiveStep *) lfirst(lc);
}

static bool
read_step(JsonPathItem *item, EeSensitiveStep *step)
{
	JsonPathItem from;
	JsonPathItem to;
	int32		len;
	char	   *name;

	switch (item->type)
	{
		case jpiKey:
			name = jspGetString(item, &len);
			step->kind = EE_STEP_MEMBER;
			step->name = pnstrdup(name, len);
			step->len = len;
			return true;
		case jpiAnyKey:
			step->kind = EE_STEP_ANY_MEMBER;
			return true;
		case jpiAnyArray:
			step->kind = EE_STEP_ANY_ITEM;
			return true;
		case jpiIndexArray:
			if (item->content.array.nelems != 1 ||
				jspGetArraySubscript(item, &from, &to, 0) ||
				from.type != jpiNumeric || jspHasNext(&from))
				return false;
			step->kind = EE_STEP_ITEM;
			step->index =
				DatumGetInt32(DirectFunctionCall1(numeric_int4,
												  NumericGetDatum(jspGetNumeric(&from))));
			return true;
		default:
			return false;
	}
}

static void
invalid_path(const char *option, const char *text, const char *why)
{
	ereport(ERROR,
			(errcode(EE_ERRCODE_INVALID_DEFINITION),
			 errmsg("option \"%s\": path \"%s\" cannot be used", option, text),
			 errdetail_internal("%s", why),
			 errhint("A path is like $.payload.customer.email or $.payload.lines[*].iban.")));
}

/* As it would be written in the options. */
char *
ee_sensitive_path_text(const EeSensitivePath *path)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "$.payload");
	for (int i = 0; i < path->n_steps; i++)
	{
		const EeSensitiveStep *step = &path->steps[i];

		switch (step->kind)
		{
			case EE_STEP_MEMBER:
				appendStringInfoChar(&text, '.');
				if (step->len > 0 && !isdigit((unsigned char) step->name[0]) &&
					strspn(step->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == step->len)
					appendBinaryStringInfo(&text, step->name, step->len);
				else
					escape_json(&text, pnstrdup(step->name, step->len));
				break;
			case EE_STEP_ANY_MEMBER:
				appendStringInfoString(&text, ".*");
				break;
			case EE_STEP_ITEM:
				appendStringInfo(&text, "[%u]", step->index);
				break;
			case EE_STEP_ANY_ITEM:
				appendStringInfoString(&text, "[*]");
				break;
		}
	}
	return text.data;
}

bool
ee_sensitive_covers(const EeSensitivePath *path, const EeSensitivePath *other)
{
	if (path->n_steps > other->n_steps)
		return false;
	for (int i = 0; i < path->n_steps; i++)
		if (!covers_step(&path->steps[i], &other->steps[i]))
			return false;
	return true;
}

static bool
covers_step(const EeSensitiveStep *step, const EeSensitiveStep *other)
{
	switch (step->kind)
	{
		case EE_STEP_MEMBER:
			return other->kind == EE_STEP_MEMBER && step->len == other->len &&
				memcmp(step->name, other->name, step->len) == 0;
		case EE_STEP_ANY_MEMBER:
			return other->kind == EE_STEP_MEMBER ||
				other->kind == EE_STEP_ANY_MEMBER;
		case EE_STEP_ITEM:
			return other->kind == EE_STEP_ITEM && step->index == other->index;
		case EE_STEP_ANY_ITEM:
			return other->kind == EE_STEP_ITEM ||
				other->kind == EE_STEP_ANY_ITEM;
	}
	return false;
}

List *
ee_sensitive_below(List *paths, int depth, const char *name, uint32 len,
				   uint32 index, bool *whole)
{
	List	   *below = NIL;
	ListCell   *lc;

	*whole = false;
	foreach(lc, paths)
	{
		EeSensitivePath *path = lfirst(lc);

		if (!step_takes(&path->steps[depth], name, len, index))
			continue;
		if (path->n_steps == depth + 1)
			*whole = true;
		else
			below = lappend(below, path);
	}
	return below;
}

static bool
step_takes(const EeSensitiveStep *step, const char *name, uint32 len,
		   uint32 index)
{
	switch (step->kind)
	{
		case EE_STEP_MEMBER:
			return name != NULL && step->len == len &&
				memcmp(step->name, name, len) == 0;
		case EE_STEP_ANY_MEMBER:
			return name != NULL;
		case EE_STEP_ITEM:
			return name == NULL && step->index == index;
		case EE_STEP_ANY_ITEM:
			return name == NULL;
	}
	return false;
}

/* -------------------------------------------------------------- violations */

/*
 * A violation at or below what is sensitive tells that it is not valid and
 * what would be, no more; one of something that it is part of does not quote
 * that.
 */
void
ee_sensitive_hide(const EeSensitive *sensitive, EeViolation *violation)
{
	const char *pointer = violation->instance_path;
	List	   *paths = sensitive->paths;
	bool		whole = false;

	for (int depth = 0; *pointer != '\0' && paths != NIL && !whole; depth++)
	{
		char	   *name = next_name(&pointer);
		bool		number = name[0] != '\0' &&
			strspn(name, "0123456789") == strlen(name);
		List	   *below;

		/* a number may be a position, or the name of a member */
		below = ee_sensitive_below(paths, depth, name, strlen(name), 0,
								   &whole);
		if (number && !whole)
			below = list_concat(below,
								ee_sensitive_below(paths, depth, NULL, 0,
												   strtoul(name, NULL, 10),
												   &whole));
		paths = below;
	}
	if (whole)
	{
		violation->instance_path = pnstrdup(violation->instance_path,
											pointer - violation->instance_path);
		violation->message = HIDDEN_MESSAGE;
	}
	if (whole || paths != NIL)
		violation->found = NULL;
}

/* The next step of a JSON pointer, which is moved behind it. */
static char *
next_name(const char **pointer)
{
	const char *at = *pointer + 1;
	StringInfoData name;

	initStringInfo(&name);
	for (; *at != '\0' && *at != '/'; at++)
	{
		if (*at == '~' && (at[1] == '0' || at[1] == '1'))
			appendStringInfoChar(&name, *++at == '0' ? '~' : '/');
		else
			appendStringInfoChar(&name, *at);
	}
	*pointer = at;
	return name.data;
}
