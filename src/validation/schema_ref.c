/*
 * schema_ref.c
 *	  Documents, resources, anchors: where a reference leads.
 *
 * A document is scanned once, when it is first needed: each schema in it
 * becomes a place, and identifiers and anchors are entered under their
 * absolute URIs.  What a JSON pointer reaches outside known keywords is
 * scanned when it is reached.  Built-in metaschemas come before the caller's
 * resolver, and nothing else is ever asked: never the network.
 *
 * All that is made here lives in the context that was current when
 * ee_schema_ref_begin was called, and is needed only while compiling.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "ground/errors.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "validation/schema_metaschema.h"
#include "validation/schema_ref.h"
#include "validation/schema_uri.h"

typedef struct PlaceEntry
{
	const char *container;
	EePlace    *place;
	char		status;
} PlaceEntry;

#define SH_PREFIX		places
#define SH_ELEMENT_TYPE PlaceEntry
#define SH_KEY_TYPE		const char *
#define SH_KEY			container
#define SH_HASH_KEY(tb, key) murmurhash32((uint32) ((uintptr_t) (key) >> 2))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct TargetEntry
{
	const char *uri;
	EePlace    *place;
	char		status;
} TargetEntry;

#define SH_PREFIX		targets
#define SH_ELEMENT_TYPE TargetEntry
#define SH_KEY_TYPE		const char *
#define SH_KEY			uri
#define SH_HASH_KEY(tb, key) \
	hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* metaschemas that describe metaschemas that ... */
#define MAX_META_DEPTH	8

struct EeRefs
{
	const EeSchemaOptions *options;
	const EeProblems *problems;
	MemoryContext context;
	places_hash *places;		/* by container */
	targets_hash *targets;		/* by URI, with fragment for anchors */
	List	   *dynamic;		/* EePlace with a dynamic anchor */
	int			nresources;
	int			meta_depth;
};

static EePlace *load_document(EeRefs *refs, Jsonb *document, const char *uri,
							  EeDialect dialect);
static bool has_inner_names(const Jsonb *document);
static bool begins_with(const char *p, const char *end, const char *word);
static EeResource *make_resource(EeRefs *refs, const char *uri,
								 EeDialect dialect, uint32 vocabularies);
static EePlace *scan_schema(EeRefs *refs, EeValue value, EeResource *resource,
							const EePath *path, bool document_root);
static void read_dialect(EeRefs *refs, EeResource *resource, EeValue value,
						 const EePath *path);
static void read_vocabularies(EeRefs *refs, EeResource *resource,
							  const EePlace *meta, const EePath *path);
static void read_identifier(EeRefs *refs, EePlace *place, bool document_root);
static void read_anchors(EeRefs *refs, EePlace *place);
static void add_target(EeRefs *refs, const char *uri, const char *fragment,
					   EePlace *place);
static void scan_children(EeRefs *refs, EePlace *place);
static void scan_map(EeRefs *refs, EePlace *place, EeValue map,
					 const EePath *path);
static EePlace *find_resource(EeRefs *refs, const char *uri,
							  EeDialect dialect);
static EePlace *follow_pointer(EeRefs *refs, EePlace *root,
							   const char *pointer);
static bool get_string(EeValue object, const char *name, char **text);

EeRefs *
ee_schema_ref_begin(const EeSchemaOptions *options, const EeProblems *problems)
{
	EeRefs	   *refs = palloc0(sizeof(EeRefs));

	refs->options = options;
	refs->problems = problems;
	refs->context = CurrentMemoryContext;
	refs->places = places_create(CurrentMemoryContext, 256, NULL);
	refs->targets = targets_create(CurrentMemoryContext, 64, NULL);
	return refs;
}

/* The place of the schema to compile itself. */
EePlace *
ee_schema_ref_root(EeRefs *refs, Jsonb *schema)
{
	return load_document(refs, schema, "", refs->options->dialect);
}

/* Scans a whole document, which was found under uri. */
static EePlace *
load_document(EeRefs *refs, Jsonb *document, const char *uri,
			  EeDialect dialect)
{
	EeResource *resource = make_resource(refs, uri, dialect, EE_VOCAB_ALL);
	EePlace    *place;

	resource->plain = !has_inner_names(document);
	place = scan_schema(refs, ee_value_root(document), resource, NULL, true);
	add_target(refs, uri, NULL, place);
	return place;
}

/*
 * May a schema inside of the document be referred to by a name of its own, an
 * identifier or an anchor?  Looks for the words anywhere in the bytes of the
 * jsonb: that is quick, and at worst says yes for a document that only
 * mentions them.  One $id may be the root's own.
 *
 * In draft 4 the word is id, which is everywhere.  The caller excludes a
 * document of that dialect; schemas inside that change to it, or to one that
 * is not built in, are excluded by counting those that do not.
 */
static bool
has_inner_names(const Jsonb *document)
{
	static const char built_in[] = "json-schema.org/draft";
	const char *begin = (const char *) document;
	const char *end = begin + VARSIZE(document);
	const char *p = begin;
	EeValue		root = ee_value_root(document);
	int			ids = 0;
	int			dialects = 0;

	if (root.type != EE_IS_OBJECT)
		return false;
	if (ee_value_get(root, "$id", 3, NULL))
		ids--;

	while ((p = memchr(p, '$', end - p)) != NULL)
	{
		p++;
		if (begins_with(p, end, "id"))
			ids++;
		else if (begins_with(p, end, "schema"))
			dialects++;
		else if (begins_with(p, end, "anchor") ||
				 begins_with(p, end, "dynamicAnchor") ||
				 begins_with(p, end, "recursiveAnchor"))
			return true;
	}
	if (ids > 0)
		return true;

	for (p = begin; dialects > 0; dialects--)
	{
		p = memmem(p, end - p, built_in, strlen(built_in));
		if (p == NULL)
			return true;
		p += strlen(built_in);
		if (begins_with(p, end, "-04/"))
			return true;
	}
	return false;
}

static bool
begins_with(const char *p, const char *end, const char *word)
{
	size_t		len = strlen(word);

	return end - p >= len && memcmp(p, word, len) == 0;
}

static EeResource *
make_resource(EeRefs *refs, const char *uri, EeDialect dialect,
			  uint32 vocabularies)
{
	EeResource *resource = palloc0(sizeof(EeResource));

	resource->uri = pstrdup(uri);
	resource->document = resource->uri;
	resource->dialect = dialect;
	resource->vocabularies = vocabularies;
	resource->index = refs->nresources++;
	return resource;
}

/*
 * Makes the place of a schema and, unless nothing in it could be referred to
 * by name, of all schemas in it; others are made when they are come to.
 * Anything that is not an object becomes a place as well, for the compiler to
 * judge.
 */
static EePlace *
scan_schema(EeRefs *refs, EeValue value, EeResource *resource,
			const EePath *path, bool document_root)
{
	EePlace    *place;
	PlaceEntry *entry;
	bool		found;

	check_stack_depth();
	if (value.type == EE_IS_OBJECT)
	{
		entry = places_lookup(refs->places, value.data);
		if (entry != NULL)
			return entry->place;
	}
	place = palloc0(sizeof(EePlace));
	place->value = value;
	place->resource = resource;
	place->path = path;
	place->node = EE_NODE_NONE;
	if (document_root)
		resource->root = place;
	if (value.type != EE_IS_OBJECT)
		return place;
	entry = places_insert(refs->places, value.data, &found);
	entry->place = place;
	read_identifier(refs, place, document_root);
	read_anchors(refs, place);
	if (!place->resource->plain ||
		place->resource->dialect == EE_DIALECT_DRAFT4)
		scan_children(refs, place);
	return place;
}

/*
 * $id (id in draft 4) gives a schema a base URI of its own, or, as a bare
 * fragment before 2019-09, a name.  [Core 2020-12, 8.2.1; draft 7, 8.2;
 * draft 4, 7.2]  Before 2019-09 it is ignored beside $ref.  [draft 7, 8.3]
 */
static void
read_identifier(EeRefs *refs, EePlace *place, bool document_root)
{
	EeResource *outer = place->resource;
	EeResource *resource;
	EeResource	trial = *outer;
	const char *fragment;
	char	   *id;
	char	   *uri;

	/* an own $schema may change what the identifier is called */
	read_dialect(refs, &trial, place->value, place->path);
	if (!get_string(place->value,
					trial.dialect == EE_DIALECT_DRAFT4 ? "id" : "$id", &id) ||
		(trial.dialect <= EE_DIALECT_DRAFT7 &&
		 ee_value_get(place->value, "$ref", 4, NULL)))
	{
		if (document_root)
		{
			outer->dialect = trial.dialect;
			outer->vocabularies = trial.vocabularies;
		}
		return;
	}
	id = ee_schema_uri_resolve(outer->uri, id);
	uri = ee_schema_uri_split(id, &fragment);
	fragment = ee_schema_uri_decode(fragment);
	if (document_root)
	{
		resource = outer;
		resource->uri = uri;
		resource->dialect = trial.dialect;
		resource->vocabularies = trial.vocabularies;
		add_target(refs, uri, NULL, place);
	}
	else if (strcmp(uri, outer->uri) != 0)
	{
		resource = make_resource(refs, uri, trial.dialect, trial.vocabularies);
		resource->document = outer->document;
		resource->root = place;
		place->resource = resource;
		add_target(refs, uri, NULL, place);
	}
	if (fragment[0] != '\0' && fragment[0] != '/' &&
		trial.dialect <= EE_DIALECT_DRAFT7)
		add_target(refs, uri, fragment, place);
}

/*
 * $schema: the dialect of a resource, by the metaschema that it names.
 * [Core 2020-12, 8.1.1]
 */
static void
read_dialect(EeRefs *refs, EeResource *resource, EeValue value,
			 const EePath *path)
{
	const char *fragment;
	char	   *uri;
	EePlace    *meta;

	if (!get_string(value, "$schema", &uri))
		return;
	if (ee_schema_dialect_of_uri(uri, &resource->dialect))
	{
		resource->vocabularies = EE_VOCAB_ALL;
		return;
	}
	uri = ee_schema_uri_split(uri, &fragment);
	if (refs->meta_depth >= MAX_META_DEPTH)
		return;
	refs->meta_depth++;
	meta = find_resource(refs, uri, EE_DIALECT_2020_12);
	refs->meta_depth--;
	if (meta == NULL)
		ee_schema_problem(refs->problems, EE_ERRCODE_INVALID_SCHEMA,
						  resource->document, path, "$schema",
						  "dialect \"%s\" is not known", uri);
	else
		read_vocabularies(refs, resource, meta, path);
}

/*
 * $vocabulary: which keywords a metaschema gives a meaning.
 * [Core 2020-12, 8.1.2]
 */
static void
read_vocabularies(EeRefs *refs, EeResource *resource, const EePlace *meta,
				  const EePath *path)
{
	EeValue		list;
	EeWalk		walk;
	uint32		n;

	resource->dialect = meta->resource->dialect;
	resource->vocabularies = EE_VOCAB_ALL;
	if (resource->dialect < EE_DIALECT_2019_09 ||
		meta->value.type != EE_IS_OBJECT ||
		!ee_value_get(meta->value, "$vocabulary", 11, &list) ||
		list.type != EE_IS_OBJECT)
		return;
	resource->vocabularies = EE_VOCAB_CORE;
	ee_walk_object(&walk, list);
	for (n = EE_VALUE_COUNT(list); n > 0; n--)
	{
		uint32		len;
		const char *key = ee_walk_key(&walk, &len);
		EeValue		needed = ee_walk_value(&walk);
		uint32		bits = ee_schema_vocabulary_of_uri(key, len);

		if (bits == 0 && needed.type == EE_IS_TRUE)
			ee_schema_problem(refs->problems, EE_ERRCODE_INVALID_SCHEMA,
							  resource->document, path, "$schema",
							  "vocabulary \"%s\" is required and not known",
							  pnstrdup(key, len));
		/* in 2019-09 an assertion if required: Validation 2019-09, 7.2 */
		if (bits == EE_VOCAB_FORMAT && needed.type == EE_IS_TRUE &&
			resource->dialect == EE_DIALECT_2019_09)
			bits |= EE_VOCAB_FORMAT_ASSERTION;
		resource->vocabularies |= bits;
	}
}

/*
 * $anchor, $dynamicAnchor, $recursiveAnchor: names within a resource.
 * [Core 2020-12, 8.2.2; Core 2019-09, 8.2.4.2.2]
 */
static void
read_anchors(EeRefs *refs, EePlace *place)
{
	EeResource *resource = place->resource;
	EeValue		value;
	char	   *name;

	if (resource->dialect >= EE_DIALECT_2019_09 &&
		get_string(place->value, "$anchor", &name))
		add_target(refs, resource->uri, name, place);
	if (resource->dialect >= EE_DIALECT_2020_12 &&
		get_string(place->value, "$dynamicAnchor", &name))
	{
		add_target(refs, resource->uri, name, place);
		place->dynamic_anchor = name;
		refs->dynamic = lappend(refs->dynamic, place);
	}
	if (resource->dialect == EE_DIALECT_2019_09 && resource->root == place &&
		ee_value_get(place->value, "$recursiveAnchor", 16, &value) &&
		value.type == EE_IS_TRUE)
	{
		place->dynamic_anchor = "";
		refs->dynamic = lappend(refs->dynamic, place);
	}
}

/* The first to take a URI keeps it. */
static void
add_target(EeRefs *refs, const char *uri, const char *fragment, EePlace *place)
{
	bool		found;
	TargetEntry *entry;

	entry = targets_insert(refs->targets,
						   fragment ? psprintf("%s#%s", uri, fragment) :
						   pstrdup(uri), &found);
	if (!found)
		entry->place = place;
}

/* Scans what the keywords of the dialect say is a schema. */
static void
scan_children(EeRefs *refs, EePlace *place)
{
	EeWalk		walk;
	uint32		n;

	ee_walk_object(&walk, place->value);
	for (n = EE_VALUE_COUNT(place->value); n > 0; n--)
	{
		uint32		len;
		const char *key = ee_walk_key(&walk, &len);
		EeValue		value = ee_walk_value(&walk);
		const EeKeywordInfo *info;
		const EePath *path;
		EeWalk		inner;
		uint32		i,
					count;

		info = ee_schema_keyword(place->resource->dialect, EE_VOCAB_ALL,
								 key, len);
		if (info == NULL || info->shape == EE_SHAPE_PLAIN)
			continue;
		path = ee_schema_path_key(place->path, key, len);
		if (value.type == EE_IS_ARRAY &&
			(info->shape == EE_SHAPE_ARRAY ||
			 info->shape == EE_SHAPE_SCHEMA_OR_ARRAY))
		{
			ee_walk_array(&inner, value);
			count = EE_VALUE_COUNT(value);
			for (i = 0; i < count; i++)
				scan_schema(refs, ee_walk_element(&inner), place->resource,
							ee_schema_path_index(path, i), false);
		}
		else if (value.type != EE_IS_OBJECT)
			continue;
		else if (info->shape == EE_SHAPE_SCHEMA ||
				 info->shape == EE_SHAPE_SCHEMA_OR_ARRAY)
			scan_schema(refs, value, place->resource, path, false);
		else if (info->shape == EE_SHAPE_MAP_OF_MAPS)
		{
			ee_walk_object(&inner, value);
			for (count = EE_VALUE_COUNT(value); count > 0; count--)
			{
				const char *name = ee_walk_key(&inner, &len);
				EeValue		child = ee_walk_value(&inner);

				scan_map(refs, place, child,
						 ee_schema_path_key(path, name, len));
			}
		}
		else if (info->shape != EE_SHAPE_ARRAY)
			scan_map(refs, place, value, path);
	}
}

/* Scans the schemas that are an object's values. */
static void
scan_map(EeRefs *refs, EePlace *place, EeValue map, const EePath *path)
{
	EeWalk		walk;
	uint32		n;

	if (map.type != EE_IS_OBJECT)
		return;
	ee_walk_object(&walk, map);
	for (n = EE_VALUE_COUNT(map); n > 0; n--)
	{
		uint32		len;
		const char *name = ee_walk_key(&walk, &len);
		EeValue		child = ee_walk_value(&walk);

		if (child.type == EE_IS_OBJECT)
			scan_schema(refs, child, place->resource,
						ee_schema_path_key(path, name, len), false);
	}
}

/* The place of a subschema of parent. */
EePlace *
ee_schema_ref_child(EeRefs *refs, const EePlace *parent, EeValue value,
					const EePath *path)
{
	return scan_schema(refs, value, parent->resource, path, false);
}

/*
 * Where the reference ref leads from a place, or NULL after a problem was
 * noted.  [Core 2020-12, 8.2.3; draft 7, 8.3]
 */
EePlace *
ee_schema_ref_resolve(EeRefs *refs, const EePlace *from, const char *ref,
					  const char *keyword)
{
	MemoryContext old = MemoryContextSwitchTo(refs->context);
	char	   *full = ee_schema_uri_resolve(from->resource->uri, ref);
	const char *fragment;
	char	   *uri = ee_schema_uri_split(full, &fragment);
	EePlace    *place = find_resource(refs, uri, from->resource->dialect);

	fragment = ee_schema_uri_decode(fragment);
	if (place != NULL && fragment[0] == '/')
		place = follow_pointer(refs, place, fragment);
	else if (place != NULL && fragment[0] != '\0')
	{
		TargetEntry *entry;

		entry = targets_lookup(refs->targets,
							   psprintf("%s#%s", place->resource->uri,
										fragment));
		place = entry ? entry->place : NULL;
	}
	if (place == NULL)
		ee_schema_problem(refs->problems, EE_ERRCODE_UNRESOLVED_REF,
						  from->resource->document, from->path, keyword,
						  "\"%s\" leads nowhere", ref);
	else if (!(place->value.type & (EE_IS_OBJECT | EE_IS_BOOLEAN)))
	{
		ee_schema_problem(refs->problems, EE_ERRCODE_UNRESOLVED_REF,
						  from->resource->document, from->path, keyword,
						  "\"%s\" does not lead to a schema", ref);
		place = NULL;
	}
	MemoryContextSwitchTo(old);
	return place;
}

/* The root of the resource with that URI: known, built in, or registered. */
static EePlace *
find_resource(EeRefs *refs, const char *uri, EeDialect dialect)
{
	TargetEntry *entry = targets_lookup(refs->targets, uri);
	Jsonb	   *document;

	if (entry != NULL)
		return entry->place;
	document = ee_schema_metaschema(uri);
	if (document == NULL && refs->options->resolve != NULL && uri[0] != '\0')
		document = refs->options->resolve(uri, refs->options->resolve_arg);
	if (document == NULL)
		return NULL;
	return load_document(refs, document, uri, dialect);
}

/* Follows a JSON pointer (RFC 6901) that begins with '/'. */
static EePlace *
follow_pointer(EeRefs *refs, EePlace *root, const char *pointer)
{
	EeValue		value = root->value;
	EeResource *resource = root->resource;
	const EePath *path = root->path;

	while (*pointer == '/')
	{
		size_t		n = strcspn(++pointer, "/");
		char	   *token = palloc(n + 1);
		char	   *out = token;
		size_t		i;
		PlaceEntry *entry;

		for (i = 0; i < n; i++)
		{
			if (pointer[i] == '~' && i + 1 < n &&
				(pointer[i + 1] == '0' || pointer[i + 1] == '1'))
				*out++ = pointer[++i] == '0' ? '~' : '/';
			else
				*out++ = pointer[i];
		}
		*out = '\0';
		pointer += n;
		if (value.type == EE_IS_OBJECT)
		{
			if (!ee_value_get(value, token, out - token, &value))
				return NULL;
			path = ee_schema_path_key(path, token, out - token);
		}
		else if (value.type == EE_IS_ARRAY)
		{
			uint32		index = strtoul(token, NULL, 10);

			if (token[0] == '\0' ||
				strspn(token, "0123456789") != out - token ||
				!ee_value_element(value, index, &value))
				return NULL;
			path = ee_schema_path_index(path, index);
		}
		else
			return NULL;
		if (value.type == EE_IS_OBJECT)
		{
			entry = places_lookup(refs->places, value.data);
			if (entry != NULL)
				resource = entry->place->resource;
		}
	}
	return scan_schema(refs, value, resource, path, false);
}

/* All places with a dynamic anchor in the documents read so far. */
List *
ee_schema_ref_dynamic(EeRefs *refs)
{
	return refs->dynamic;
}

static bool
get_string(EeValue object, const char *name, char **text)
{
	EeValue		value;

	if (object.type != EE_IS_OBJECT ||
		!ee_value_get(object, name, strlen(name), &value) ||
		value.type != EE_IS_STRING)
		return false;
	*text = pnstrdup(value.data, value.len);
	return true;
}
