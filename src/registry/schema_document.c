/*
 * schema_document.c
 *	  The documents of event_schemas, and schemas compiled with their help.
 *
 * Promises that a document stays put while a schema is compiled, and that
 * many schemas that point into one large document, compiled one after the
 * other, read it once: a few documents are kept, bounded in number and size.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "ground/config.h"
#include "ground/invalidate.h"
#include "registry/schema_document.h"
#include "validation/schema_sensitive.h"

#define KEPT_DOCUMENTS	32
#define KEPT_BYTES		(8 * 1024 * 1024)

typedef struct Document
{
	dlist_node	node;
	char	   *uri;
	Jsonb	   *value;
	EeRowIdentity row;
	uint64		generation;		/* when it was last found to be right */
} Document;

/* One compilation: the documents that it was given. */
typedef struct Resolution
{
	MemoryContext context;		/* of uses */
	List	   *uses;			/* of EeDocumentUse */
	List	   *documents;		/* of Document, in the same order */
} Resolution;

static Jsonb *resolve(const char *uri, void *arg);
static void set_options(EeSchemaOptions *how,
						const EeDefinitionOptions *options,
						Resolution *resolution);
static Document *find_document(const char *uri);
static Document *read_document(const char *uri, uint64 generation);
static bool row_identity(const char *uri, EeRowIdentity *row);
static void drop_document(Document *document);
static void trim_documents(void);
static int	compare_uses(const ListCell *a, const ListCell *b);

static MemoryContext documents_context = NULL;
static dlist_head documents = DLIST_STATIC_INIT(documents); /* recent first */
static int	n_documents = 0;
static Size documents_size = 0;

EeSchema *
ee_schema_document_compile(Jsonb *schema, const EeDefinitionOptions *options,
						   List **uses)
{
	Resolution	resolution = {CurrentMemoryContext, NIL, NIL};
	EeSchemaOptions how;
	EeSchema   *compiled;

	/* also after a compilation that failed */
	trim_documents();

	set_options(&how, options, &resolution);
	compiled = ee_schema_compile(schema, &how);

	list_free(resolution.documents);
	list_sort(resolution.uses, compare_uses);
	*uses = resolution.uses;
	trim_documents();

	return compiled;
}

static void
set_options(EeSchemaOptions *how, const EeDefinitionOptions *options,
			Resolution *resolution)
{
	memset(how, 0, sizeof(*how));
	how->dialect = EE_DIALECT_2020_12;
	if (options->dialect != NULL)
		(void) ee_schema_dialect_of_name(options->dialect, &how->dialect);
	how->assert_formats = options->formats_given ? options->assert_formats :
		ee_config_validation_assert_formats;
	how->content = (options->content_given ? options->assert_content :
					ee_config_validation_assert_content) ?
		EE_CONTENT_ASSERTS : EE_CONTENT_ANNOTATES;
	how->resolve = resolve;
	how->resolve_arg = resolution;
}

List *
ee_schema_document_sensitive(Jsonb *schema, const EeDefinitionOptions *options)
{
	Resolution	resolution = {CurrentMemoryContext, NIL, NIL};
	EeSchemaOptions how;

	set_options(&how, options, &resolution);
	return ee_schema_sensitive(schema, &how);
}

bool
ee_schema_document_unchanged(List *uses)
{
	ListCell   *lc;

	foreach(lc, uses)
	{
		EeDocumentUse *use = lfirst(lc);
		EeRowIdentity row;

		if (!row_identity(use->uri, &row) ||
			!ee_registry_row_same(row, use->row))
			return false;
	}
	return true;
}

/* An EeSchemaResolver. */
static Jsonb *
resolve(const char *uri, void *arg)
{
	Resolution *resolution = arg;
	Document   *document;
	EeDocumentUse *use;
	MemoryContext old;
	ListCell   *lc;

	/* what was given once in this compilation is given again */
	foreach(lc, resolution->documents)
	{
		document = lfirst(lc);
		if (strcmp(document->uri, uri) == 0)
			return document->value;
	}

	document = find_document(uri);
	if (document == NULL)
		return NULL;

	old = MemoryContextSwitchTo(resolution->context);
	use = palloc(sizeof(EeDocumentUse));
	use->uri = pstrdup(uri);
	use->row = document->row;
	resolution->uses = lappend(resolution->uses, use);
	resolution->documents = lappend(resolution->documents, document);
	MemoryContextSwitchTo(old);

	return document->value;
}

static Document *
find_document(const char *uri)
{
	uint64		generation = ee_invalidate_watch(EE_REL_EVENT_SCHEMAS) +
		ee_invalidate_objects_generation();
	dlist_iter	iter;

	dlist_foreach(iter, &documents)
	{
		Document   *document = dlist_container(Document, node, iter.cur);
		EeRowIdentity row;

		if (strcmp(document->uri, uri) != 0)
			continue;
		if (document->generation != generation)
		{
			if (!row_identity(uri, &row) ||
				!ee_registry_row_same(row, document->row))
			{
				drop_document(document);
				break;
			}
			document->generation = generation;
		}
		dlist_move_head(&documents, &document->node);
		return document;
	}

	return read_document(uri, generation);
}

static Document *
read_document(const char *uri, uint64 generation)
{
	AttrNumber	attr = EE_SCHEMA_URI;
	Datum		value = CStringGetTextDatum(uri);
	EeRowScan	scan;
	HeapTuple	tuple;
	Document   *document = NULL;

	ee_registry_row_begin(&scan, EE_REL_EVENT_SCHEMAS, "event_schemas_pkey",
						  1, &attr, &value);
	tuple = ee_registry_row_next(&scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		datum = ee_registry_row_get(&scan, tuple,
												EE_SCHEMA_DOCUMENT, &isnull);
		struct varlena *plain = PG_DETOAST_DATUM(datum);
		Size		size = VARSIZE(plain);
		Size		uri_size = strlen(uri) + 1;
		char	   *chunk;

		if (documents_context == NULL)
			documents_context = AllocSetContextCreate(CacheMemoryContext,
													  "event_engine schema documents",
													  ALLOCSET_DEFAULT_SIZES);

		/* one piece, so that a failure leaves nothing behind */
		chunk = MemoryContextAlloc(documents_context,
								   MAXALIGN(sizeof(Document)) +
								   MAXALIGN(size) + uri_size);
		document = (Document *) chunk;
		document->value = (Jsonb *) (chunk + MAXALIGN(sizeof(Document)));
		document->uri = (char *) document->value + MAXALIGN(size);
		memcpy(document->value, plain, size);
		memcpy(document->uri, uri, uri_size);
		document->row = ee_registry_row_identity(tuple);
		document->generation = generation;
		dlist_push_head(&documents, &document->node);
		n_documents++;
		documents_size += size;

		if ((Pointer) plain != DatumGetPointer(datum))
			pfree(plain);
	}
	ee_registry_row_end(&scan);
	pfree(DatumGetPointer(value));

	return document;
}

static bool
row_identity(const char *uri, EeRowIdentity *row)
{
	AttrNumber	attr = EE_SCHEMA_URI;
	Datum		value = CStringGetTextDatum(uri);
	EeRowScan	scan;
	HeapTuple	tuple;
	bool		found;

	ee_registry_row_begin(&scan, EE_REL_EVENT_SCHEMAS, "event_schemas_pkey",
						  1, &attr, &value);
	tuple = ee_registry_row_next(&scan);
	found = HeapTupleIsValid(tuple);
	if (found)
		*row = ee_registry_row_identity(tuple);
	ee_registry_row_end(&scan);
	pfree(DatumGetPointer(value));

	return found;
}

static void
drop_document(Document *document)
{
	dlist_delete(&document->node);
	n_documents--;
	documents_size -= VARSIZE(document->value);
	pfree(document);
}

/* Not while a schema is being compiled: it may hold any of them. */
static void
trim_documents(void)
{
	while (n_documents > KEPT_DOCUMENTS || documents_size > KEPT_BYTES)
		drop_document(dlist_tail_element(Document, node, &documents));
}

static int
compare_uses(const ListCell *a, const ListCell *b)
{
	return strcmp(((EeDocumentUse *) lfirst(a))->uri,
				  ((EeDocumentUse *) lfirst(b))->uri);
}
