/*
 * answer.c
 *	  What the handler of a step answers, from jsonb:
 *
 *		{"do": "wait", "waits": [{"name", "pattern", "condition", "filters",
 *			"timeoutAt", "since"}, ...], "needed": 1}
 *		{"do": "continue"}
 *		{"do": "complete", "output"}
 *		{"do": "fail", "message", "details"}
 *
 * each with "step", the name of the next one, and "state".  A member that is
 * null is as if it were not there.
 *
 * Pure: knows no tables.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "ground/compat.h"
#include "ground/errors.h"
#include "workflow/answer.h"
#include "workflow/wait.h"

#define MAX_WAITS	1000

static const char *const kinds[] = {
	[EE_ANSWER_WAIT] = "wait",
	[EE_ANSWER_CONTINUE] = "continue",
	[EE_ANSWER_COMPLETE] = "complete",
	[EE_ANSWER_FAIL] = "fail",
};

static const char *const members[] = {
	"do", "waits", "needed", "step", "state", "output", "message", "details"
};

static const char *const wait_members[] = {
	"name", "pattern", "condition", "filters", "timeoutAt", "since"
};

static EeAnswerKind kind_of(const char *name);
static void read_waits(EeAnswer *answer, JsonbContainer *object);
static EeWaitSpec *read_wait(JsonbContainer *object);
static void check_names(const EeAnswer *answer);
static void check_members(JsonbContainer *object,
						  const char *const *known, int n);
static JsonbValue *member(JsonbContainer *object, const char *name);
static char *text_member(JsonbContainer *object, const char *name);
static Jsonb *jsonb_member(JsonbContainer *object, const char *name);
static TimestampTz time_member(JsonbContainer *object, const char *name,
							   bool *given);
pg_noreturn static void invalid(const char *detail);

EeAnswer *
ee_answer_read(Jsonb *jsonb)
{
	EeAnswer   *answer = palloc0(sizeof(EeAnswer));
	JsonbContainer *object = &jsonb->root;
	char	   *kind;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		invalid("It must be a JSON object.");
	check_members(object, members, lengthof(members));
	kind = text_member(object, "do");
	if (kind == NULL)
		invalid("It does not say what to \"do\".");
	answer->kind = kind_of(kind);
	answer->step = text_member(object, "step");
	answer->state = jsonb_member(object, "state");
	answer->output = jsonb_member(object, "output");
	answer->message = text_member(object, "message");
	answer->details = jsonb_member(object, "details");
	if (answer->kind == EE_ANSWER_WAIT)
		read_waits(answer, object);
	if (answer->kind == EE_ANSWER_FAIL && answer->message == NULL)
		answer->message = "the workflow has failed";
	return answer;
}

static EeAnswerKind
kind_of(const char *name)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i], name) == 0)
			return i;
	invalid(psprintf("It cannot \"do\" \"%s\".", name));
}

static void
read_waits(EeAnswer *answer, JsonbContainer *object)
{
	JsonbValue *list = member(object, "waits");
	JsonbValue *needed = member(object, "needed");
	int			n;
	int			events = 0;

	if (list == NULL || list->type != jbvBinary ||
		!JsonContainerIsArray(list->val.binary.data))
		invalid("\"waits\" must be an array.");
	n = JsonContainerSize(list->val.binary.data);
	if (n == 0 || n > MAX_WAITS)
		invalid(psprintf("A step waits for 1 to %d things, and this one for %d.",
						 MAX_WAITS, n));
	for (int i = 0; i < n; i++)
	{
		JsonbValue *wait = getIthJsonbValueFromContainer(list->val.binary.data,
														 i);

		if (wait->type != jbvBinary ||
			!JsonContainerIsObject(wait->val.binary.data))
			invalid("A wait must be a JSON object.");
		answer->waits = lappend(answer->waits,
								read_wait(wait->val.binary.data));
		if (((EeWaitSpec *) llast(answer->waits))->pattern != NULL)
			events++;
	}

	answer->needed = 1;
	if (needed != NULL)
	{
		bool		overflow = needed->type != jbvNumeric;

		if (!overflow)
			answer->needed = numeric_int4_opt_error(needed->val.numeric,
													&overflow);
		if (overflow || answer->needed < 1 || answer->needed > Max(events, 1))
			invalid(psprintf("\"needed\" must be a number from 1 to %d, as it waits for %d events.",
							 Max(events, 1), events));
	}
	if (answer->needed > 1)
		check_names(answer);
}

static EeWaitSpec *
read_wait(JsonbContainer *object)
{
	EeWaitSpec *wait = palloc0(sizeof(EeWaitSpec));
	bool		given;

	check_members(object, wait_members, lengthof(wait_members));
	wait->name = text_member(object, "name");
	wait->pattern = text_member(object, "pattern");
	wait->filter_path = text_member(object, "condition");
	wait->filters = jsonb_member(object, "filters");
	wait->timeout_at = time_member(object, "timeoutAt", &given);
	if (!given)
		wait->timeout_at = DT_NOEND;
	wait->since = time_member(object, "since", &wait->has_since);
	return wait;
}

/* What has matched is told by name. */
static void
check_names(const EeAnswer *answer)
{
	ListCell   *a;
	ListCell   *b;

	foreach(a, answer->waits)
	{
		const EeWaitSpec *first = lfirst(a);

		for_each_cell(b, answer->waits, lnext(answer->waits, a))
		{
			const EeWaitSpec *second = lfirst(b);
			const char *name = ee_wait_name(first);

			if (strcmp(name, ee_wait_name(second)) == 0)
				invalid(psprintf("Two of its waits are named \"%s\", and several are needed.",
								 name));
		}
	}
}

/* ----------------------------------------------------------------- members */

static void
check_members(JsonbContainer *object, const char *const *known, int n)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		bool		found = false;

		if (token != WJB_KEY)
			continue;
		for (int i = 0; i < n && !found; i++)
			found = strlen(known[i]) == key.val.string.len &&
				memcmp(known[i], key.val.string.val,
					   key.val.string.len) == 0;
		if (!found)
			invalid(psprintf("It has an unknown member \"%.*s\".",
							 key.val.string.len, key.val.string.val));
	}
}

/* NULL when it is not there. */
static JsonbValue *
member(JsonbContainer *object, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, name,
													 strlen(name), NULL);

	return value == NULL || value->type == jbvNull ? NULL : value;
}

static char *
text_member(JsonbContainer *object, const char *name)
{
	JsonbValue *value = member(object, name);

	if (value == NULL)
		return NULL;
	if (value->type != jbvString)
		invalid(psprintf("\"%s\" must be a string.", name));
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static Jsonb *
jsonb_member(JsonbContainer *object, const char *name)
{
	JsonbValue *value = member(object, name);

	return value == NULL ? NULL : JsonbValueToJsonb(value);
}

static TimestampTz
time_member(JsonbContainer *object, const char *name, bool *given)
{
	char	   *text = text_member(object, name);

	*given = text != NULL;
	if (text == NULL)
		return 0;
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												   CStringGetDatum(text),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
}

static void
invalid(const char *detail)
{
	ereport(ERROR,
			(errcode(EE_ERRCODE_INVALID_ANSWER),
			 errmsg("invalid answer of a step"),
			 errdetail_internal("%s", detail),
			 errhint("Answers are made by event_engine.wait_for(), wait_for_any(), wait_for_all(), wait_for_n(), sleep_for(), sleep_until(), continue_with(), complete() and fail().")));
}
