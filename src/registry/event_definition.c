/*
 * event_definition.c
 *	  What makes a definition valid: its pattern, its options, its schema.
 *
 * Promises that what it lets pass can be published under: the pattern is a
 * plain name, the schema compiles and every example is valid.
 *
 * Leaves storing to sql/10_registry_api.sql.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "ground/config.h"
#include "ground/errors.h"
#include "registry/event_definition.h"
#include "registry/schema_document.h"
#include "registry/sensitive.h"
#include "validation/schema_compile.h"
#include "validation/schema_eval.h"
#include "validation/schema_report.h"
#include "validation/schema_unknown.h"

#define MAX_REPORTED_PER_EXAMPLE	10
#define MAX_REPORTED_UNKNOWN		20

static bool is_name_character(char c);
static bool boolean_option(const char *key, const JsonbValue *v);
static List *paths_option(const char *key, const JsonbValue *v);
static char *subject_option(const char *key, const JsonbValue *v);
static void refuse_unknown(Jsonb *source, const EeDefinitionOptions *options);
static void check_examples(EeSchema *schema, Jsonb *examples);
static void describe_failure(StringInfo detail, EeSchema *schema,
							 Jsonb *example, int number);

PG_FUNCTION_INFO_V1(ee_sql_check_event_pattern);
PG_FUNCTION_INFO_V1(ee_sql_check_payload_schema);

Datum
ee_sql_check_event_pattern(PG_FUNCTION_ARGS)
{
	text	   *pattern = PG_GETARG_TEXT_PP(0);

	ee_event_definition_check_pattern(VARDATA_ANY(pattern),
									  VARSIZE_ANY_EXHDR(pattern));
	PG_RETURN_TEXT_P(pattern);
}

void
ee_event_definition_check_pattern(const char *pattern, int len)
{
	const char *end = pattern + len;
	const char *p;

	if (len == 0)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("event pattern must not be empty")));

	for (p = pattern; p < end; p += pg_mblen(p))
	{
		int			position = pg_mbstrlen_with_len(pattern, p - pattern) + 1;

		if (is_name_character(*p))
			continue;
		if (*p != '.' && *p != ':')
			ereport(ERROR,
					(errcode(EE_ERRCODE_INVALID_PATTERN),
					 errmsg("invalid event pattern \"%.*s\"",
							pg_mbcliplen(pattern, len, EE_PATTERN_MAX), pattern),
					 errdetail("Character \"%.*s\" at position %d is not allowed.",
							   pg_mblen(p), p, position),
					 *p == '*' || *p == '#' ?
					 errhint("Wildcards are for subscriptions; a definition has a plain name.") :
					 errhint("Use letters a-z, digits, _ and -, and . or : between segments.")));
		if (p == pattern || p + 1 == end || !is_name_character(p[-1]))
			ereport(ERROR,
					(errcode(EE_ERRCODE_INVALID_PATTERN),
					 errmsg("invalid event pattern \"%.*s\"",
							pg_mbcliplen(pattern, len, EE_PATTERN_MAX), pattern),
					 errdetail("Character \"%c\" at position %d leaves a segment empty.",
							   *p, position),
					 errhint("Segments separated by . or : must not be empty.")));
	}

	/* from here on a character is a byte */
	if (len > EE_PATTERN_MAX)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_PATTERN),
				 errmsg("event pattern is too long"),
				 errdetail("It has %d characters; at most %d are allowed.",
						   len, EE_PATTERN_MAX)));
}

static bool
is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || c == '_' || c == '-';
}

void
ee_event_definition_parse_options(Jsonb *options, EeDefinitionOptions *parsed)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;
	char	   *key = NULL;

	memset(parsed, 0, sizeof(*parsed));
	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_DEFINITION),
				 errmsg("options must be an object")));

	it = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(v.val.string.val, v.val.string.len);
		else if (token != WJB_VALUE)
			continue;
		else if (strcmp(key, "assert_formats") == 0)
		{
			parsed->formats_given = true;
			parsed->assert_formats = boolean_option(key, &v);
		}
		else if (strcmp(key, "assert_content") == 0)
		{
			parsed->content_given = true;
			parsed->assert_content = boolean_option(key, &v);
		}
		else if (strcmp(key, "strict") == 0)
		{
			parsed->strict_given = true;
			parsed->strict = boolean_option(key, &v);
		}
		else if (strcmp(key, "dialect") == 0)
		{
			EeDialect	dialect;

			if (v.type == jbvString)
				parsed->dialect = pnstrdup(v.val.string.val, v.val.string.len);
			if (parsed->dialect == NULL ||
				!ee_schema_dialect_of_name(parsed->dialect, &dialect))
				ereport(ERROR,
						(errcode(EE_ERRCODE_INVALID_DEFINITION),
						 errmsg("option \"dialect\" must name a dialect of JSON Schema"),
						 errhint("Dialects are draft4, draft6, draft7, 2019-09, 2020-12 and v1.")));
		}
		else if (strcmp(key, "compatibility") == 0)
		{
			if (v.type != jbvString ||
				!ee_event_definition_parse_compatibility(pnstrdup(v.val.string.val,
																  v.val.string.len),
														 parsed))
				ereport(ERROR,
						(errcode(EE_ERRCODE_INVALID_DEFINITION),
						 errmsg("option \"compatibility\" must name a kind of compatibility"),
						 errhint(EE_COMPATIBILITY_HINT)));
		}
		else if (strcmp(key, "sensitive") == 0)
			parsed->sensitive = paths_option(key, &v);
		else if (strcmp(key, "sensitive_subject") == 0)
			parsed->sensitive_subject = subject_option(key, &v);
		else
			ereport(ERROR,
					(errcode(EE_ERRCODE_INVALID_DEFINITION),
					 errmsg("unknown option \"%s\"", key),
					 errhint("Options of a definition are assert_content, assert_formats, compatibility, dialect, sensitive, sensitive_subject and strict.")));
	}
}

static bool
boolean_option(const char *key, const JsonbValue *v)
{
	if (v->type != jbvBool)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_DEFINITION),
				 errmsg("option \"%s\" must be true or false", key)));
	return v->val.boolean;
}

/* An array of paths into the payload: a List of EeSensitivePath. */
static List *
paths_option(const char *key, const JsonbValue *v)
{
	List	   *paths = NIL;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;

	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_DEFINITION),
				 errmsg("option \"%s\" must be an array of paths", key),
				 errhint("A path is like $.payload.customer.email or $.payload.lines[*].iban.")));
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		EeSensitivePath *path = palloc(sizeof(EeSensitivePath));
		EeEnvelopeField member;

		if (token != WJB_ELEM)
			continue;
		if (item.type != jbvString)
			ereport(ERROR,
					(errcode(EE_ERRCODE_INVALID_DEFINITION),
					 errmsg("option \"%s\" must be an array of paths", key)));
		ee_sensitive_parse_path(pnstrdup(item.val.string.val,
										 item.val.string.len),
								key, &member, path);
		if (member != EE_ENVELOPE_PAYLOAD || path->n_steps == 0)
			ereport(ERROR,
					(errcode(EE_ERRCODE_INVALID_DEFINITION),
					 errmsg("option \"%s\": only members of the payload can be sensitive",
							key)));
		paths = lappend(paths, path);
	}
	return paths;
}

static char *
subject_option(const char *key, const JsonbValue *v)
{
	EeEnvelopeField member;
	EeSensitivePath path;
	char	   *text;

	if (v->type != jbvString)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_DEFINITION),
				 errmsg("option \"%s\" must be a path", key)));
	text = pnstrdup(v->val.string.val, v->val.string.len);
	ee_sensitive_parse_path(text, key, &member, &path);
	return text;
}

bool
ee_event_definition_parse_compatibility(const char *word,
										EeDefinitionOptions *parsed)
{
	static const struct
	{
		const char *word;
		bool		backward;
		bool		forward;
		bool		transitive;
	}			known[] = {
		{"none", false, false, false},
		{"backward", true, false, false},
		{"backward_transitive", true, false, true},
		{"forward", false, true, false},
		{"forward_transitive", false, true, true},
		{"full", true, true, false},
		{"full_transitive", true, true, true},
	};
	int			i;

	for (i = 0; i < lengthof(known); i++)
	{
		if (strcmp(known[i].word, word) != 0)
			continue;
		parsed->backward = known[i].backward;
		parsed->forward = known[i].forward;
		parsed->transitive = known[i].transitive;
		return true;
	}
	return false;
}

/*
 * check_payload_schema(payload_schema, options, examples): the URIs of the
 * documents that the schema reaches, sorted; or an error.  Without options it
 * is part of other schemas.
 */
Datum
ee_sql_check_payload_schema(PG_FUNCTION_ARGS)
{
	Jsonb	   *source = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	Jsonb	   *options = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	Jsonb	   *examples = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	EeDefinitionOptions parsed = {0};
	EeSchema   *schema = NULL;
	List	   *uses = NIL;
	ListCell   *lc;
	Datum	   *uris;
	int			n = 0;

	/*
	 * The caller may just have waited for the lock of a document: what its
	 * replacement said before the lock was given up has to be heard.
	 */
	AcceptInvalidationMessages();

	if (options != NULL)
		ee_event_definition_parse_options(options, &parsed);
	if (examples != NULL &&
		(!JB_ROOT_IS_ARRAY(examples) || JB_ROOT_IS_SCALAR(examples)))
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_DEFINITION),
				 errmsg("examples must be an array of payloads")));

	if (source != NULL)
	{
		schema = ee_schema_document_compile(source, &parsed, &uses);
		if (parsed.strict_given ? parsed.strict :
			ee_config_registry_strict_schemas)
			refuse_unknown(source, &parsed);
		if (examples != NULL)
			check_examples(schema, examples);
		ee_schema_free(schema);
	}
	if (options != NULL)
		(void) ee_sensitive_load(source, &parsed, uses != NIL);

	uris = palloc(sizeof(Datum) * Max(list_length(uses), 1));
	foreach(lc, uses)
	{
		EeDocumentUse *use = lfirst(lc);

		uris[n++] = CStringGetTextDatum(use->uri);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(uris, n, TEXTOID, -1, false,
										  TYPALIGN_INT));
}

/* Told of all that is not known at once, as jsonschema_check would. */
static void
refuse_unknown(Jsonb *source, const EeDefinitionOptions *options)
{
	EeDialect	dialect = EE_DIALECT_2020_12;
	StringInfoData detail;
	List	   *unknown;
	ListCell   *lc;

	if (options->dialect != NULL)
		(void) ee_schema_dialect_of_name(options->dialect, &dialect);
	unknown = ee_schema_unknown(source, ee_schema_dialect_of(source, dialect),
								true);
	if (unknown == NIL)
		return;
	initStringInfo(&detail);
	foreach(lc, unknown)
	{
		const EeViolation *found = lfirst(lc);

		if (foreach_current_index(lc) == MAX_REPORTED_UNKNOWN)
			break;
		if (detail.len > 0)
			appendStringInfoChar(&detail, '\n');
		appendStringInfo(&detail, "%s: %s", found->instance_path,
						 found->message);
	}
	ereport(ERROR,
			(errcode(EE_ERRCODE_INVALID_SCHEMA),
			 errmsg("invalid JSON schema: not all of it is known"),
			 errdetail_internal("%s", detail.data),
			 errhint("Correct it, begin names of your own with x-, or set the option \"strict\" to false.")));
}

/* Every example is tried, so that all failures are told at once. */
static void
check_examples(EeSchema *schema, Jsonb *examples)
{
	JsonbIterator *it = JsonbIteratorInit(&examples->root);
	JsonbIteratorToken token;
	JsonbValue	v;
	StringInfoData detail;
	int			number = 0;
	int			failed = 0;

	initStringInfo(&detail);
	token = JsonbIteratorNext(&it, &v, true);	/* WJB_BEGIN_ARRAY */
	while ((token = JsonbIteratorNext(&it, &v, true)) == WJB_ELEM)
	{
		Jsonb	   *example = JsonbValueToJsonb(&v);

		CHECK_FOR_INTERRUPTS();
		number++;
		if (!ee_schema_eval(schema, example))
		{
			describe_failure(&detail, schema, example, number);
			failed++;
		}
		pfree(example);
	}

	if (failed > 0)
		ereport(ERROR,
				(errcode(EE_ERRCODE_INVALID_DEFINITION),
				 errmsg_plural("%d of %d examples does not fit the payload schema",
							   "%d of %d examples do not fit the payload schema",
							   failed, failed, number),
				 errdetail_internal("%s", detail.data)));
}

static void
describe_failure(StringInfo detail, EeSchema *schema, Jsonb *example,
				 int number)
{
	List	   *violations = ee_schema_report(schema, example,
											  MAX_REPORTED_PER_EXAMPLE);
	ListCell   *lc;

	foreach(lc, violations)
	{
		EeViolation *violation = lfirst(lc);

		if (detail->len > 0)
			appendStringInfoChar(detail, '\n');
		appendStringInfo(detail, "Example %d%s%s: %s", number,
						 violation->instance_path[0] == '\0' ? "" : " at ",
						 violation->instance_path, violation->message);
		if (violation->found != NULL)
			appendStringInfo(detail, ", found %s", violation->found);
		appendStringInfoChar(detail, '.');
	}
}
