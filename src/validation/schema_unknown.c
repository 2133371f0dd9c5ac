/*
 * schema_unknown.c
 *	  What in a schema its dialect does not know, and so ignores.
 *
 * What a dialect does not know is an annotation [Core 2020-12, 6.5], and
 * "requird" demands nothing without anybody being told.  A name is suspect
 * that is a keyword of another dialect, or like one of its own; other names
 * are somebody's annotations.  To who is strict all names are suspect but those
 * that begin with x-, and so are formats that are not known and, before
 * 2019-09, what stands beside a reference.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "ground/similar.h"
#include "validation/schema_format.h"
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
	bool		strict;
	List	   *found;			/* EeViolation */
} Search;

static void search_schema(Search *search, EeValue v, const EePath *path);
static void search_below(Search *search, EeValue v, EeKeywordShape shape,
						 const EePath *path);
static void search_children(Search *search, EeValue v, EeKeywordShape shape,
							const EePath *path);
static void look_at(Search *search, const char *key, uint32 len,
					const EePath *path);
static void look_at_known(Search *search, const EeKeywordInfo *info,
						  EeValue value, bool beside_ref, const EePath *path);
static void add(Search *search, const EePath *path, const char *message,
				const char *meant, const char *found);
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
 * dialect is that of the root.
 */
List *
ee_schema_unknown(Jsonb *schema, EeDialect dialect, bool strict)
{
	Search		search = {dialect, strict, NIL};

	search_schema(&search, ee_value_root(schema), NULL);
	return search.found;
}

/* The dialect that a schema names, or else the one given. */
EeDialect
ee_schema_dialect_of(Jsonb *schema, EeDialect dialect)
{
	EeValue		root = ee_value_root(schema);
	EeValue		uri;

	if (root.type == EE_IS_OBJECT &&
		ee_value_get(root, "$schema", 7, &uri) && uri.type == EE_IS_STRING)
		(void) ee_schema_dialect_of_uri(pnstrdup(uri.data, uri.len), &dialect);
	return dialect;
}

static void
search_schema(Search *search, EeValue v, const EePath *path)
{
	EeDialect	outer = search->dialect;
	EeValue		uri;
	EeWalk		walk;
	bool		beside_ref;
	uint32		n;

	if (v.type != EE_IS_OBJECT)
		return;
	/* a part may be of another dialect; one of a dialect unknown is left alone */
	if (path != NULL && ee_value_get(v, "$schema", 7, &uri) &&
		(uri.type != EE_IS_STRING ||
		 !ee_schema_dialect_of_uri(pnstrdup(uri.data, uri.len),
								   &search->dialect)))
		return;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	beside_ref = search->dialect <= EE_DIALECT_DRAFT7 &&
		ee_value_get(v, "$ref", 4, NULL);
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
		if (info == NULL)
			look_at(search, key, len, &step);
		else
		{
			if (search->strict)
				look_at_known(search, info, value, beside_ref, &step);
			search_below(search, value, info->shape, &step);
		}
	}
	search->dialect = outer;
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
	char	   *found;

	if (is_annotation(key, len) ||
		(search->strict && len >= 2 && memcmp(key, "x-", 2) == 0))
		return;
	meant = keyword_meant(search->dialect, key, len, elsewhere);
	if (meant == NULL && !elsewhere && !search->strict)
		return;
	found = ee_value_text(name, FOUND_BYTES);
	add(search, path, psprintf("keyword %s is unknown in %s and ignored", found,
							   ee_schema_dialect_name(search->dialect)),
		meant, found);
}

/* A keyword: does it do what was meant? */
static void
look_at_known(Search *search, const EeKeywordInfo *info, EeValue value,
			  bool beside_ref, const EePath *path)
{
	const char *dialect = ee_schema_dialect_name(search->dialect);
	EeSimilar	similar;
	const char *name;
	char	   *found;
	int			i;

	/* draft 7, 8.3 */
	if (beside_ref && info->vocabulary != EE_VOCAB_CORE)
	{
		add(search, path,
			psprintf("keyword \"%s\" is ignored beside \"$ref\" in %s",
					 info->name, dialect), NULL, NULL);
		return;
	}
	if (info->keyword != EE_KW_FORMAT || value.type != EE_IS_STRING ||
		ee_schema_format(value.data, value.len, search->dialect) != NULL)
		return;
	ee_similar_begin(&similar, value.data, value.len);
	for (i = 0; (name = ee_schema_format_name(search->dialect, i)) != NULL; i++)
		ee_similar_offer(&similar, name, strlen(name));
	found = ee_value_text(value, FOUND_BYTES);
	add(search, path, psprintf("format %s is unknown in %s and never asserted",
							   found, dialect), similar.best, found);
}

/* meant and found may be NULL */
static void
add(Search *search, const EePath *path, const char *message,
	const char *meant, const char *found)
{
	EeViolation *violation = palloc0(sizeof(EeViolation));

	violation->instance_path = ee_schema_path_text(path);
	violation->keyword_path = "";
	violation->keyword = pnstrdup(path->key, path->len);
	violation->found = unconstify(char *, found);
	violation->message = unconstify(char *, message);
	if (meant != NULL)
		violation->message = psprintf("%s; did you mean \"%s\"?", message,
									  meant);
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
