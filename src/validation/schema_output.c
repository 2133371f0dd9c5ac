/*
 * schema_output.c
 *	  A verdict in the output formats of the specification: flag, basic and
 *	  detailed  [Core 2020-12, 12].
 *
 * Errors only: annotations are not collected.  The report finds the errors;
 * here they are put into the form that tools of other languages read.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "validation/schema_eval.h"
#include "validation/schema_output.h"
#include "validation/schema_report.h"

static void begin_unit(JsonbParseState **state, const char *keyword_path,
					   const char *location, const char *instance_path);
static void push_errors(JsonbParseState **state, const List *violations);
static void push_unit(JsonbParseState **state, const EeViolation *violation);
static void push_key(JsonbParseState **state, const char *key);
static void push_text(JsonbParseState **state, const char *key,
					  const char *text);
static void push_verdict(JsonbParseState **state, bool valid);

bool
ee_schema_output_format(const char *name, EeOutputFormat *format)
{
	static const char *const names[] = {
		[EE_OUTPUT_FLAG] = "flag",
		[EE_OUTPUT_BASIC] = "basic",
		[EE_OUTPUT_DETAILED] = "detailed",
	};
	int			i;

	for (i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
		{
			*format = (EeOutputFormat) i;
			return true;
		}
	}
	return false;
}

/*
 * In the current context.  Absolute locations are given where the schema was
 * compiled with them.
 */
Jsonb *
ee_schema_output(const EeSchema *schema, Jsonb *instance,
				 EeOutputFormat format)
{
	JsonbParseState *state = NULL;
	bool		valid = ee_schema_eval(schema, instance);
	List	   *violations;

	if (valid || format == EE_OUTPUT_FLAG)
	{
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_verdict(&state, valid);
	}
	else
	{
		if (format == EE_OUTPUT_DETAILED)
			violations = ee_schema_report_tree(schema, instance);
		else
			violations = ee_schema_report(schema, instance, 0);
		begin_unit(&state, "", NULL, "");
		push_errors(&state, violations);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* What every output unit has  [12.3] */
static void
begin_unit(JsonbParseState **state, const char *keyword_path,
		   const char *location, const char *instance_path)
{
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_verdict(state, false);
	push_text(state, "keywordLocation", keyword_path);
	if (location != NULL)
		push_text(state, "absoluteKeywordLocation", location);
	push_text(state, "instanceLocation", instance_path);
}

static void
push_errors(JsonbParseState **state, const List *violations)
{
	ListCell   *lc;

	push_key(state, "errors");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, violations)
	{
		CHECK_FOR_INTERRUPTS();
		push_unit(state, lfirst(lc));
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

static void
push_unit(JsonbParseState **state, const EeViolation *violation)
{
	check_stack_depth();
	begin_unit(state, violation->keyword_path, violation->location,
			   violation->instance_path);
	if (violation->message != NULL)
		push_text(state, "error", violation->message);
	if (violation->below != NIL)
		push_errors(state, violation->below);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
}

static void
push_text(JsonbParseState **state, const char *key, const char *text)
{
	JsonbValue	value;

	push_key(state, key);
	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void
push_verdict(JsonbParseState **state, bool valid)
{
	JsonbValue	value;

	push_key(state, "valid");
	value.type = jbvBool;
	value.val.boolean = valid;
	pushJsonbValue(state, WJB_VALUE, &value);
}
