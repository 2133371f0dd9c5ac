/*
 * schema_output.c
 *	  A verdict in the output formats of the specification: flag, basic and
 *	  detailed  [Core 2020-12, 12].
 *
 * The report finds the errors of what is not valid, the annotations are those
 * of what is; here they are put into the form that tools of other languages
 * read.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "ground/jsonb_writer.h"
#include "validation/schema_annotation.h"
#include "validation/schema_eval.h"
#include "validation/schema_output.h"
#include "validation/schema_report.h"

/* an output unit  [12.3]; what is NULL, or NIL, is left out */
typedef struct Unit
{
	bool		valid;
	const char *keyword_path;
	const char *location;
	const char *instance_path;
	const char *error;
	const EeValue *annotation;
	const List *below;			/* EeViolation, or EeAnnotation if valid */
} Unit;

static void write_unit(StringInfo buf, EeJsonbPart *parent, const Unit *unit);
static void write_below(StringInfo buf, EeJsonbPart *parent,
						const Unit *unit);
static void write_text(StringInfo buf, EeJsonbPart *parent, const char *text);
static void write_value(StringInfo buf, EeJsonbPart *parent, EeValue v);

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
 * In the current context, for a schema that was compiled with what an output
 * tells of it.
 */
Jsonb *
ee_schema_output(const EeSchema *schema, Jsonb *instance,
				 EeOutputFormat format)
{
	Unit		unit = {false};
	StringInfoData buf;

	if (format == EE_OUTPUT_FLAG)
		unit.valid = ee_schema_eval(schema, instance);
	else
	{
		unit.keyword_path = unit.instance_path = "";
		unit.below = format == EE_OUTPUT_BASIC ?
			ee_schema_report(schema, instance, 0) :
			ee_schema_report_tree(schema, instance);
		unit.valid = unit.below == NIL;
		if (unit.valid)
			unit.below = ee_schema_annotations(schema, instance,
											   format == EE_OUTPUT_DETAILED);
	}
	ee_jsonb_writer_begin(&buf);
	write_unit(&buf, NULL, &unit);
	return ee_jsonb_writer_end(&buf);
}

static void
write_unit(StringInfo buf, EeJsonbPart *parent, const Unit *unit)
{
	const char *keys[7];
	int			n = 0;
	EeJsonbPart object;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	/* in the order of jsonb */
	if (unit->error != NULL)
		keys[n++] = "error";
	keys[n++] = "valid";
	if (unit->below != NIL && !unit->valid)
		keys[n++] = "errors";
	if (unit->annotation != NULL)
		keys[n++] = "annotation";
	if (unit->below != NIL && unit->valid)
		keys[n++] = "annotations";
	if (unit->keyword_path != NULL)
		keys[n++] = "keywordLocation";
	if (unit->instance_path != NULL)
		keys[n++] = "instanceLocation";
	if (unit->location != NULL)
		keys[n++] = "absoluteKeywordLocation";
	ee_jsonb_writer_object(buf, &object, keys, n);
	write_text(buf, &object, unit->error);
	ee_jsonb_writer_bool(buf, &object, unit->valid);
	if (!unit->valid)
		write_below(buf, &object, unit);
	if (unit->annotation != NULL)
		write_value(buf, &object, *unit->annotation);
	if (unit->valid)
		write_below(buf, &object, unit);
	write_text(buf, &object, unit->keyword_path);
	write_text(buf, &object, unit->instance_path);
	write_text(buf, &object, unit->location);
	ee_jsonb_writer_close(buf, &object, parent);
}

static void
write_below(StringInfo buf, EeJsonbPart *parent, const Unit *unit)
{
	EeJsonbPart array;
	ListCell   *lc;

	if (unit->below == NIL)
		return;
	ee_jsonb_writer_array(buf, &array, list_length(unit->below));
	foreach(lc, unit->below)
	{
		Unit		below = {unit->valid};

		if (unit->valid)
		{
			const EeAnnotation *annotation = lfirst(lc);

			below.keyword_path = annotation->keyword_path;
			below.location = annotation->location;
			below.instance_path = annotation->instance_path;
			below.below = annotation->below;
			if (below.below == NIL)
				below.annotation = &annotation->value;
		}
		else
		{
			const EeViolation *violation = lfirst(lc);

			below.keyword_path = violation->keyword_path;
			below.location = violation->location;
			below.instance_path = violation->instance_path;
			below.error = violation->message;
			below.below = violation->below;
		}
		write_unit(buf, &array, &below);
	}
	ee_jsonb_writer_close(buf, &array, parent);
}

static void
write_text(StringInfo buf, EeJsonbPart *parent, const char *text)
{
	if (text != NULL)
		ee_jsonb_writer_string(buf, parent, text, strlen(text));
}

static void
write_value(StringInfo buf, EeJsonbPart *parent, EeValue v)
{
	switch (v.type)
	{
		case EE_IS_STRING:
			ee_jsonb_writer_string(buf, parent, v.data, v.len);
			break;
		case EE_IS_NUMBER:
			ee_jsonb_writer_numeric(buf, parent, EE_VALUE_NUMERIC(v));
			break;
		case EE_IS_FALSE:
		case EE_IS_TRUE:
			ee_jsonb_writer_bool(buf, parent, v.type == EE_IS_TRUE);
			break;
		case EE_IS_NULL:
			ee_jsonb_writer_null(buf, parent);
			break;
		default:
			ee_jsonb_writer_container(buf, parent, v.data, v.len);
			break;
	}
}
