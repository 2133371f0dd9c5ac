/*
 * schema_describe.c
 *	  What an output tells of each schema of a program: where it stands, and
 *	  its annotations.
 *
 * Kept only in programs that are compiled for an output.
 */
#include "postgres.h"

#include "validation/schema_draft.h"
#include "validation/schema_uri.h"

static void describe_place(EeCompile *compile, EeDescription *description,
						   const EePlace *place);
static const char *location_of(EeCompile *compile, const EePlace *place);
static bool is_note(const EePlace *place, const char *key, uint32 len,
					bool *strings);

void
ee_schema_describe(EeCompile *compile, EeSchema *program)
{
	EeNodeId	id;

	program->descriptions = ee_schema_alloc(compile, program->nnodes *
											sizeof(EeDescription));
	for (id = 0; id < program->nnodes; id++)
	{
		const EePlace *place = compile->places[id];

		if (place != NULL && place->value.type == EE_IS_OBJECT)
			describe_place(compile, &program->descriptions[id], place);
	}
}

static void
describe_place(EeCompile *compile, EeDescription *description,
			   const EePlace *place)
{
	uint32		n = EE_VALUE_COUNT(place->value);
	EeNote	   *notes = palloc(Max(n, 1) * sizeof(EeNote));
	MemoryContext old;
	EeWalk		walk;
	int			nnotes = 0;

	description->location = location_of(compile, place);
	/* before 2019-09 a reference makes its siblings void: draft 7, 8.3 */
	if (place->resource->dialect <= EE_DIALECT_DRAFT7 &&
		ee_value_get(place->value, "$ref", 4, NULL))
		n = 0;
	old = MemoryContextSwitchTo(compile->context);
	for (ee_walk_object(&walk, place->value); n > 0; n--)
	{
		uint32		len;
		const char *key = ee_walk_key(&walk, &len);
		EeValue		value = ee_walk_value(&walk);
		EeNote	   *note = &notes[nnotes];

		if (!is_note(place, key, len, &note->strings))
			continue;
		note->keyword = pnstrdup(key, len);
		note->value = ee_value_copy(value);
		nnotes++;
	}
	MemoryContextSwitchTo(old);
	description->nnotes = nnotes;
	description->notes = ee_schema_alloc(compile, nnotes * sizeof(EeNote));
	memcpy(description->notes, notes, nnotes * sizeof(EeNote));
	pfree(notes);
}

/*
 * The URI of a schema: that of its resource, and from there a JSON pointer.
 * NULL where the resource has none.  [Core 2020-12, 12.3.2]
 */
static const char *
location_of(EeCompile *compile, const EePlace *place)
{
	const EePlace *root = place->resource->root;
	StringInfoData uri;
	const char *path;

	if (root == NULL || strchr(place->resource->uri, ':') == NULL)
		return NULL;
	path = ee_schema_path_text(place->path);
	initStringInfo(&uri);
	appendStringInfo(&uri, "%s#", place->resource->uri);
	ee_schema_uri_append_fragment(&uri, path +
								  strlen(ee_schema_path_text(root->path)));
	return memcpy(ee_schema_alloc(compile, uri.len + 1), uri.data,
				  uri.len + 1);
}

/*
 * Is a keyword's value an annotation?  Those of format and content are, and
 * whatever the dialect does not know [Core 2020-12, 6.5], which the metadata
 * of [Validation 2020-12, 9] are to us; but for comments [Core 2020-12, 8.3].
 */
static bool
is_note(const EePlace *place, const char *key, uint32 len, bool *strings)
{
	const EeKeywordInfo *info;

	*strings = false;
	info = ee_schema_keyword(place->resource->dialect,
							 place->resource->vocabularies, key, len);
	if (info == NULL)
		return len != 8 || memcmp(key, "$comment", 8) != 0;
	switch (info->keyword)
	{
		case EE_KW_FORMAT:
			return true;
		case EE_KW_CONTENT_ENCODING:
		case EE_KW_CONTENT_MEDIA_TYPE:
		case EE_KW_CONTENT_SCHEMA:
			*strings = true;
			return true;
		default:
			return false;
	}
}
