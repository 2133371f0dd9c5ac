/*
 * schema_unknown.c
 *	  Keywords of a schema that are none, and seem to be meant as one.
 *
 * What a dialect does not know is an annotation [Core 2020-12, 6.5], and
 * "requird" demands nothing without anybody being told.  A name is suspect
 * that is a keyword of another dialect, or like one of its own; other names
 * are somebody's annotations.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "ground/similar.h"
#include "validation/schema_problem.h"
#include "validation/schema_report.h"
#include "validation/schema_unknown.h"
#include "validation/schema_value.h"

#define MAX_FOUND		1000
#define SHORTEST		4		/* keyword that is suggested for its likeness */
#define FOUND_BYTES		80
#define EVERY_VOCABULARY	(EE_VOCAB_ALL | EE_VOCAB_FORMAT_ASSERTION)

typedef struct Search
{
	EeDialect	dialect;
	List	   *found;			/* EeViolation */
} Search;

static void search_schema(Search *search, EeValue v, const EePath *path);
static void search_below(Search *search, EeValue v, EeKeywordShape shape,
						 const EePath *path);
static void search_children(Search *search, EeValue v, EeKeywordShape shape,
							const EePath *path);
static void look_at(Search *search, const char *key, uint32 len,
					const EePath *path);
static bool is_known_elsewhere(const char *key, uint32 len);
static bool is_annotation(const char *key, uint32 len);
static const char *keyword_meant(EeDialect dialect, const char *key,
								 uint32 len, bool elsewhere);

/*
 * The metadata of every draft [Validation 2020-12, 9], and what OpenAPI has
 * added to them.
 */
static const char *const annotations[] = {
	"$comment", "title", "description", "default", "deprecated", "readOnly",
	"writeOnly", "examples", "example", "discriminator", "externalDocs", "nullable", "xml",
};

/*
 * A list of EeViolation, whose instance_path points into the schema.  The
 * dialect is that of the root; parts that name another are left alone.
 */
List *
ee_schema_unknown(Jsonb *schema, EeDialect dialect)
{
	Search		search = {dialect, NIL};

	search_schema(&search, ee_value_root(schema), NULL);
	return search.found;
}

static void
search_schema(Search *search, EeValue v, const EePath *path)
{
	EeWalk		walk;
	uint32		n;

	if (v.type != EE_IS_OBJECT ||
		(path != NULL && ee_value_get(v, "$schema", 7, NULL)))
		return;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	ee_walk_object(&walk, v);
	for (n = EE_VALUE_COUNT(v);
		 n > 0 && list_length(search->found) < MAX_FOUND; n--)
	{
		uint32		len;
		const char *key = ee_walk_key(&walk, &len);
		EeValue		value = ee_walk_value(&walk);
		EePath		step = {path, key, len, 0};
		const EeKeywordInfo *info;

		info = ee_schema_keyword(search->dialect, EVERY_VOCABULARY, key, len);
		if (info != NULL)
			search_below(search, value, info->shape, &step);
		else
			look_at(search, key, len, &step);
	}
}

/* The schemas in a keyword's value. */
static void
search_below(Search *search, EeValue v, EeKeywordShape shape,
			 const EePath *path)
{
	switch (shape)
	{
		case EE_SHAPE_PLAIN:
			break;
		case EE_SHAPE_SCHEMA:
			search_schema(search, v, path);
			break;
		case EE_SHAPE_SCHEMA_OR_ARRAY:
			if (v.type == EE_IS_OBJECT)
				search_schema(search, v, path);
			else
				search_children(search, v, EE_SHAPE_SCHEMA, path);
			break;
		case EE_SHAPE_ARRAY:
		case EE_SHAPE_MAP:
		case EE_SHAPE_MAP_OR_NAMES:
			search_children(search, v, EE_SHAPE_SCHEMA, path);
			break;
		case EE_SHAPE_MAP_OF_MAPS:
			search_children(search, v, EE_SHAPE_MAP, path);
			break;
	}
}

static void
search_children(Search *search, EeValue v, EeKeywordShape shape,
				const EePath *path)
{
	bool		array = v.type == EE_IS_ARRAY;
	EeWalk		walk;
	uint32		n,
				i;

	if (!(v.type & (EE_IS_ARRAY | EE_IS_OBJECT)))
		return;
	n = EE_VALUE_COUNT(v);
	if (array)
		ee_walk_array(&walk, v);
	else
		ee_walk_object(&walk, v);
	for (i = 0; i < n; i++)
	{
		EePath		step = {path, NULL, 0, i};
		EeValue		child;

		if (!array)
			step.key = ee_walk_key(&walk, &step.len);
		child = array ? ee_walk_element(&walk) : ee_walk_value(&walk);
		search_below(search, child, shape, &step);
	}
}

/* A name that is no keyword: is one meant? */
static void
look_at(Search *search, const char *key, uint32 len, const EePath *path)
{
	EeValue		name = {key, len, EE_IS_STRING};
	bool		elsewhere = is_known_elsewhere(key, len);
	const char *meant;
	EeViolation *violation;

	if (is_annotation(key, len))
		return;
	meant = keyword_meant(search->dialect, key, len, elsewhere);
	if (meant == NULL && !elsewhere)
		return;
	violation = palloc0(sizeof(EeViolation));
	violation->instance_path = ee_schema_path_text(path);
	violation->keyword_path = "";
	violation->keyword = pnstrdup(key, len);
	violation->found = ee_value_text(name, FOUND_BYTES);
	violation->message = psprintf("keyword %s is unknown in %s and ignored",
								  violation->found,
								  ee_schema_dialect_name(search->dialect));
	if (meant != NULL)
		violation->message = psprintf("%s; did you mean \"%s\"?",
									  violation->message, meant);
	search->found = lappend(search->found, violation);
}

/* Is it a keyword of another dialect? */
static bool
is_known_elsewhere(const char *key, uint32 len)
{
	int			i;

	for (i = 0; i < EE_DIALECTS; i++)
	{
		if (ee_schema_keyword((EeDialect) i, EVERY_VOCABULARY, key, len))
			return true;
	}
	return false;
}

static bool
is_annotation(const char *key, uint32 len)
{
	int			i;

	for (i = 0; i < lengthof(annotations); i++)
	{
		if (strlen(annotations[i]) == len &&
			memcmp(annotations[i], key, len) == 0)
			return true;
	}
	return false;
}

/*
 * The keyword or annotation that a name is like; NULL if it is like none.
 * elsewhere: it is right in another dialect, so that letters are not wrong.
 */
static const char *
keyword_meant(EeDialect dialect, const char *key, uint32 len, bool elsewhere)
{
	EeSimilar	similar;
	const char *name;
	int			i;

	ee_similar_begin(&similar, key, len);
	for (i = 0; (name = ee_schema_keyword_name(dialect, i)) != NULL; i++)
	{
		/* $ref without its sign is as short as a word of somebody's own */
		if (name[0] == '$' && strlen(name + 1) == len &&
			memcmp(name + 1, key, len) == 0)
			return name;
		if (strlen(name) >= SHORTEST && !elsewhere)
			ee_similar_offer(&similar, name, strlen(name));
	}
	for (i = 0; i < lengthof(annotations) && !elsewhere; i++)
		ee_similar_offer(&similar, annotations[i], strlen(annotations[i]));
	return similar.best;
}
