/*
 * metadata_tag.c
 *	  What metadata holds in "tags": the one member that is free.
 *
 * What is not of the right shape counts as not there; that it is refused is
 * left to metadata.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "ground/jsonb_push.h"
#include "store/metadata_tag.h"

#define KEY_TAGS	"tags"

static JsonbContainer *tags_of(Jsonb *metadata);
static Jsonb *object_of(const char *key, JsonbValue *value);

PG_FUNCTION_INFO_V1(ee_sql_event_tenant);

/* event_tenant(metadata jsonb) RETURNS text: null where there is none */
Datum
ee_sql_event_tenant(PG_FUNCTION_ARGS)
{
	int			len;
	const char *tenant = ee_metadata_tag(PG_GETARG_JSONB_P(0), EE_TAG_TENANT,
										 &len);

	if (tenant == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(tenant, len));
}

const char *
ee_metadata_tag(Jsonb *metadata, const char *tag, int *len)
{
	JsonbContainer *tags = tags_of(metadata);
	JsonbValue	value;

	if (tags == NULL ||
		getKeyJsonValueFromContainer(tags, tag, strlen(tag), &value) == NULL ||
		value.type != jbvString)
		return NULL;
	*len = value.val.string.len;
	return value.val.string.val;
}

static JsonbContainer *
tags_of(Jsonb *metadata)
{
	JsonbValue	tags;

	if (!JB_ROOT_IS_OBJECT(metadata) ||
		getKeyJsonValueFromContainer(&metadata->root, KEY_TAGS,
									 strlen(KEY_TAGS), &tags) == NULL ||
		tags.type != jbvBinary ||
		!JsonContainerIsObject(tags.val.binary.data))
		return NULL;
	return tags.val.binary.data;
}

Jsonb *
ee_metadata_set_tag(Jsonb *metadata, const char *tag, const char *value)
{
	JsonbValue	tags;
	JsonbValue	text;
	Jsonb	   *merged;

	if (value == NULL)
		return metadata;
	text.type = jbvString;
	text.val.string.val = unconstify(char *, value);
	text.val.string.len = strlen(value);
	merged = object_of(tag, &text);
	if (metadata != NULL && !JB_ROOT_IS_OBJECT(metadata))
		return metadata;
	if (metadata != NULL &&
		getKeyJsonValueFromContainer(&metadata->root, KEY_TAGS, strlen(KEY_TAGS),
									 &tags) != NULL)
	{
		if (tags.type != jbvBinary ||
			!JsonContainerIsObject(tags.val.binary.data))
			return metadata;
		merged = DatumGetJsonbP(DirectFunctionCall2(jsonb_concat,
													JsonbPGetDatum(JsonbValueToJsonb(&tags)),
													JsonbPGetDatum(merged)));
	}
	tags.type = jbvBinary;
	tags.val.binary.data = &merged->root;
	tags.val.binary.len = VARSIZE(merged) - VARHDRSZ;
	merged = object_of(KEY_TAGS, &tags);
	if (metadata == NULL)
		return merged;
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat,
											  JsonbPGetDatum(metadata),
											  JsonbPGetDatum(merged)));
}

Jsonb *
ee_metadata_drop_tag(Jsonb *metadata, const char *tag)
{
	Datum		path[2];
	int			len;

	if (metadata == NULL || ee_metadata_tag(metadata, tag, &len) == NULL)
		return metadata;
	path[0] = CStringGetTextDatum(KEY_TAGS);
	path[1] = CStringGetTextDatum(tag);
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_delete_path,
											  JsonbPGetDatum(metadata),
											  PointerGetDatum(construct_array(path, 2,
																			  TEXTOID,
																			  -1, false,
																			  TYPALIGN_INT))));
}

static Jsonb *
object_of(const char *key, JsonbValue *value)
{
	JsonbParseState *state = NULL;

	ee_jsonb_push_begin(&state);
	ee_jsonb_push_key(&state, key);
	(void) pushJsonbValue(&state, WJB_VALUE, value);
	return ee_jsonb_push_end(&state);
}
