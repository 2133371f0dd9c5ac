/*
 * jsonb_writer.c
 *	  Jsonb whose shape is known beforehand, written from front to end.
 *
 * The server's own way builds a tree of values, sorts its keys and then
 * writes it.  Who knows the keys, and has them in jsonb's order (by length,
 * then by bytes), can write at once: the keys of an object first, then its
 * values, one by one, each closed before the next.  The bytes are those that
 * the server would write (src/include/utils/jsonb.h).
 */
#include "postgres.h"

#include "ground/jsonb_writer.h"

static void begin_part(StringInfo buf, EeJsonbPart *part, uint32 header,
					   int nentries);
static void align(StringInfo buf);
static void add_entry(StringInfo buf, EeJsonbPart *parent, JEntry type,
					  uint32 size);

void
ee_jsonb_writer_begin(StringInfo buf)
{
	static const char header[VARHDRSZ] = {0};

	initStringInfo(buf);
	appendBinaryStringInfo(buf, header, VARHDRSZ);
}

/* All parts must be closed. */
Jsonb *
ee_jsonb_writer_end(StringInfo buf)
{
	SET_VARSIZE(buf->data, buf->len);
	return (Jsonb *) buf->data;
}

/* Begins an object: nkeys values must follow. */
void
ee_jsonb_writer_object(StringInfo buf, EeJsonbPart *object,
					   const char *const *keys, int nkeys)
{
	int			i;

	begin_part(buf, object, JB_FOBJECT | nkeys, 2 * nkeys);
	for (i = 0; i < nkeys; i++)
		ee_jsonb_writer_string(buf, object, keys[i], strlen(keys[i]));
}

/* Begins an array: nitems values must follow. */
void
ee_jsonb_writer_array(StringInfo buf, EeJsonbPart *array, int nitems)
{
	begin_part(buf, array, JB_FARRAY | nitems, nitems);
}

static void
begin_part(StringInfo buf, EeJsonbPart *part, uint32 header, int nentries)
{
	int			size = nentries * sizeof(JEntry);

	part->start = buf->len;
	align(buf);
	appendBinaryStringInfo(buf, (const char *) &header, sizeof(header));
	part->entries = buf->len;
	part->next = 0;
	part->size = 0;
	enlargeStringInfo(buf, size);
	buf->len += size;
}

/* Ends a part; parent is NULL for the outermost. */
void
ee_jsonb_writer_close(StringInfo buf, EeJsonbPart *part, EeJsonbPart *parent)
{
	if (parent != NULL)
		add_entry(buf, parent, JENTRY_ISCONTAINER, buf->len - part->start);
}

void
ee_jsonb_writer_string(StringInfo buf, EeJsonbPart *parent, const char *data,
					   int len)
{
	appendBinaryStringInfo(buf, data, len);
	add_entry(buf, parent, JENTRY_ISSTRING, len);
}

void
ee_jsonb_writer_bool(StringInfo buf, EeJsonbPart *parent, bool value)
{
	add_entry(buf, parent, value ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE,
			  0);
}

void
ee_jsonb_writer_null(StringInfo buf, EeJsonbPart *parent)
{
	add_entry(buf, parent, JENTRY_ISNULL, 0);
}

void
ee_jsonb_writer_numeric(StringInfo buf, EeJsonbPart *parent, Numeric value)
{
	int			start = buf->len;

	align(buf);
	appendBinaryStringInfo(buf, (const char *) value, VARSIZE_ANY(value));
	add_entry(buf, parent, JENTRY_ISNUMERIC, buf->len - start);
}

/* An array or object out of another jsonb. */
void
ee_jsonb_writer_container(StringInfo buf, EeJsonbPart *parent,
						  const void *data, int len)
{
	int			start = buf->len;

	align(buf);
	appendBinaryStringInfo(buf, data, len);
	add_entry(buf, parent, JENTRY_ISCONTAINER, buf->len - start);
}

static void
align(StringInfo buf)
{
	while (buf->len != INTALIGN(buf->len))
		appendStringInfoChar(buf, '\0');
}

/* Every JB_OFFSET_STRIDE-th entry says where it ends, others their length. */
static void
add_entry(StringInfo buf, EeJsonbPart *parent, JEntry type, uint32 size)
{
	JEntry		entry = type | size;

	parent->size += size;
	if (size > JENTRY_OFFLENMASK || parent->size > JENTRY_OFFLENMASK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("total size of jsonb elements exceeds the maximum of %u bytes",
						JENTRY_OFFLENMASK)));
	if (parent->next % JB_OFFSET_STRIDE == 0)
		entry = type | parent->size | JENTRY_HAS_OFF;
	memcpy(buf->data + parent->entries + parent->next * sizeof(JEntry),
		   &entry, sizeof(JEntry));
	parent->next++;
}
