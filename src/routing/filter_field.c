/*
 * filter_field.c
 *	  A field of an event that a filter looks at.
 *
 * A path is a member of the envelope and then keys and array positions:
 *
 *		$.payload.items[0].price	payload."key with . in it"	$.eventId
 *
 * It is compiled once into direct look-ups in the jsonb containers; no
 * JSON path engine runs and no envelope is built.  A member is detoasted at
 * most once for an event, however many filters look at it.
 *
 * Pure: knows no tables.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "routing/filter_field.h"

typedef struct FieldStep
{
	bool		is_index;
	uint32		index;
	char	   *key;
	int			len;
} FieldStep;

struct EeFilterField
{
	EeEnvelopeField member;
	int			n_steps;
	FieldStep	steps[FLEXIBLE_ARRAY_MEMBER];
};

/* what EeFilterView.state says */
#define NOT_FETCHED		0
#define ABSENT			1
#define PRESENT			2

typedef struct PathReader
{
	const char *at;
	const char *end;
	char	   *why;			/* set by the first thing that is wrong */
} PathReader;

static FieldStep *read_step(PathReader *reader);
static FieldStep *read_bracket(PathReader *reader);
static FieldStep *read_name(PathReader *reader);
static FieldStep *read_quoted(PathReader *reader);
static EeFilterField *build_field(List *steps, PathReader *reader);
static bool member_is_json(EeEnvelopeField member);
static bool follow(const FieldStep *step, JsonbValue *value);

void
ee_filter_field_view(EeFilterView *view, const EeEvent *event)
{
	view->event = event;
	view->envelope = NULL;
	memset(view->state, NOT_FETCHED, sizeof(view->state));
}

Jsonb *
ee_filter_field_envelope(EeFilterView *view)
{
	if (view->envelope == NULL)
		view->envelope = ee_envelope_to_jsonb(view->event);
	return view->envelope;
}

EeFilterField *
ee_filter_field_parse(const char *path, int len, char **why)
{
	PathReader	reader;
	List	   *steps = NIL;
	EeFilterField *field = NULL;

	reader.at = path;
	reader.end = path + len;
	reader.why = NULL;

	if (len >= 2 && path[0] == '$' && (path[1] == '.' || path[1] == '['))
		reader.at++;
	else if (len > 0 && path[0] != '.')
		steps = lappend(steps, read_name(&reader));

	while (reader.at < reader.end && reader.why == NULL)
		steps = lappend(steps, read_step(&reader));

	if (reader.why == NULL)
		field = build_field(steps, &reader);
	*why = reader.why;
	return field;
}

bool
ee_filter_field_fetch(const EeFilterField *field, EeFilterView *view,
					  JsonbValue *value)
{
	int			i;

	if (!ee_filter_field_member(view, field->member, value))
		return false;
	for (i = 0; i < field->n_steps; i++)
	{
		if (!follow(&field->steps[i], value))
			return false;
	}
	return true;
}

bool
ee_filter_field_member(EeFilterView *view, EeEnvelopeField member,
					   JsonbValue *value)
{
	if (view->state[member] == NOT_FETCHED)
		view->state[member] = ee_envelope_value(view->event, member,
												&view->values[member]) ?
			PRESENT : ABSENT;
	if (view->state[member] == ABSENT)
		return false;

	*value = view->values[member];
	return true;
}

List *
ee_filter_field_keys(const EeFilterField *field)
{
	List	   *keys;
	int			i;

	keys = list_make1(unconstify(char *, ee_envelope_field_name(field->member)));
	for (i = 0; i < field->n_steps; i++)
		if (!field->steps[i].is_index)
			keys = lappend(keys, field->steps[i].key);
	return keys;
}

static FieldStep *
read_step(PathReader *reader)
{
	if (*reader->at == '[')
		return read_bracket(reader);
	if (*reader->at != '.')
	{
		reader->why = "Expected \".\" or \"[\" between two members.";
		return NULL;
	}
	reader->at++;
	if (reader->at < reader->end && *reader->at == '"')
		return read_quoted(reader);
	return read_name(reader);
}

/* [0], or ["key"] */
static FieldStep *
read_bracket(PathReader *reader)
{
	FieldStep  *step;
	uint64		index = 0;
	const char *digits;

	reader->at++;
	if (reader->at < reader->end && *reader->at == '"')
		step = read_quoted(reader);
	else
	{
		digits = reader->at;
		while (reader->at < reader->end && *reader->at >= '0' &&
			   *reader->at <= '9' && index < PG_INT32_MAX)
			index = index * 10 + (*reader->at++ - '0');
		if (reader->at == digits || index >= PG_INT32_MAX)
		{
			reader->why = "Between brackets stands the position of an "
						  "element, from 0 on, or a quoted key.";
			return NULL;
		}
		step = palloc0(sizeof(FieldStep));
		step->is_index = true;
		step->index = (uint32) index;
	}

	if (reader->why != NULL)
		return step;
	if (reader->at >= reader->end || *reader->at != ']')
		reader->why = "A bracket is not closed.";
	else
		reader->at++;
	return step;
}

static FieldStep *
read_name(PathReader *reader)
{
	FieldStep  *step = palloc0(sizeof(FieldStep));
	const char *start = reader->at;

	while (reader->at < reader->end && *reader->at != '.' &&
		   *reader->at != '[')
	{
		if (strchr("\"*]?()@ \t\n", *reader->at) != NULL)
		{
			reader->why = psprintf("Character \"%c\" is not allowed outside "
								   "of quotes; a field is a plain path "
								   "without wildcards or conditions.",
								   *reader->at);
			return step;
		}
		reader->at++;
	}
	step->len = reader->at - start;
	step->key = pnstrdup(start, step->len);
	if (step->len == 0)
		reader->why = "A member has no name.";
	return step;
}

/* "key", where \" and \\ stand for the character behind the backslash */
static FieldStep *
read_quoted(PathReader *reader)
{
	FieldStep  *step = palloc0(sizeof(FieldStep));
	StringInfoData key;

	initStringInfo(&key);
	reader->at++;
	while (reader->at < reader->end && *reader->at != '"')
	{
		if (*reader->at == '\\' && reader->at + 1 < reader->end)
			reader->at++;
		appendStringInfoCharMacro(&key, *reader->at);
		reader->at++;
	}
	if (reader->at >= reader->end)
		reader->why = "A quoted key is not closed.";
	else
		reader->at++;
	step->key = key.data;
	step->len = key.len;
	return step;
}

static EeFilterField *
build_field(List *steps, PathReader *reader)
{
	EeFilterField *field;
	FieldStep  *first;
	int			member;
	int			i;

	first = steps == NIL ? NULL : linitial(steps);
	member = first == NULL || first->is_index ? -1 :
		ee_envelope_field_by_name(first->key, first->len);
	if (member < 0)
	{
		reader->why = psprintf("A field begins with a member of the event: "
							   "%s; for example $.payload.amount.",
							   ee_envelope_field_names());
		return NULL;
	}
	if (list_length(steps) > 1 && !member_is_json((EeEnvelopeField) member))
	{
		reader->why = psprintf("Member \"%s\" has no members of its own.",
							   first->key);
		return NULL;
	}

	field = palloc(offsetof(EeFilterField, steps) +
				   sizeof(FieldStep) * list_length(steps));
	field->member = (EeEnvelopeField) member;
	field->n_steps = list_length(steps) - 1;
	for (i = 0; i < field->n_steps; i++)
		field->steps[i] = *(FieldStep *) list_nth(steps, i + 1);
	list_free_deep(steps);
	return field;
}

static bool
member_is_json(EeEnvelopeField member)
{
	return member == EE_ENVELOPE_PAYLOAD ||
		member == EE_ENVELOPE_METADATA ||
		member == EE_ENVELOPE_SOURCE;
}

/* One step down from *value, in place; false when there is nothing. */
static bool
follow(const FieldStep *step, JsonbValue *value)
{
	JsonbContainer *container;
	JsonbValue *element;

	if (value->type != jbvBinary)
		return false;
	container = value->val.binary.data;

	if (!step->is_index)
		return JsonContainerIsObject(container) &&
			getKeyJsonValueFromContainer(container, step->key, step->len,
										 value) != NULL;

	if (!JsonContainerIsArray(container))
		return false;
	element = getIthJsonbValueFromContainer(container, step->index);
	if (element == NULL)
		return false;
	*value = *element;
	pfree(element);
	return true;
}
