/*
 * schema_value.h
 *	  A value inside a jsonb, read in place.
 *
 * Nothing here allocates.  An EeValue points into the jsonb that it was taken
 * from and is worth as long as that lives.
 */
#ifndef EE_SCHEMA_VALUE_H
#define EE_SCHEMA_VALUE_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"

/* types of values, as bits */
#define EE_IS_STRING	0x01
#define EE_IS_NUMBER	0x02
#define EE_IS_FALSE		0x04
#define EE_IS_TRUE		0x08
#define EE_IS_NULL		0x10
#define EE_IS_ARRAY		0x20
#define EE_IS_OBJECT	0x40
/* only in the mask of a schema: numbers without fraction */
#define EE_IS_INTEGER	0x80

#define EE_IS_BOOLEAN	(EE_IS_FALSE | EE_IS_TRUE)
#define EE_IS_ANY		0xFF

typedef struct EeValue
{
	const char *data;			/* string, numeric or container */
	uint32		len;			/* bytes of a string */
	uint32		type;			/* one EE_IS_ bit */
} EeValue;

#define EE_VALUE_CONTAINER(v)	((const JsonbContainer *) (v).data)
#define EE_VALUE_NUMERIC(v)		((Numeric) (v).data)
#define EE_VALUE_COUNT(v)		(EE_VALUE_CONTAINER(v)->header & JB_CMASK)

/* walks the elements of an array, or keys and values of an object together */
typedef struct EeWalk
{
	const JEntry *entries;		/* of what comes next */
	const JEntry *values;		/* objects: of the values */
	const char *base;
	uint32		offset;
	uint32		value_offset;
} EeWalk;

static inline EeValue
ee_value_make(JEntry entry, const char *base, uint32 offset, uint32 end)
{
	EeValue		v;
	uint32		kind = (entry & JENTRY_TYPEMASK) >> 28;

	v.data = base + offset;
	v.len = end - offset;
	v.type = EE_IS_STRING << kind;
	if (kind == 1 || kind == 5)
	{
		v.data = base + INTALIGN(offset);
		v.len = end - INTALIGN(offset);
		if (kind == 5 && (EE_VALUE_CONTAINER(v)->header & JB_FOBJECT))
			v.type = EE_IS_OBJECT;
	}
	return v;
}

static inline void
ee_walk_array(EeWalk *walk, EeValue array)
{
	const JsonbContainer *jc = EE_VALUE_CONTAINER(array);

	walk->entries = jc->children;
	walk->values = NULL;
	walk->base = (const char *) (jc->children + (jc->header & JB_CMASK));
	walk->offset = 0;
	walk->value_offset = 0;
}

static inline EeValue
ee_walk_element(EeWalk *walk)
{
	JEntry		entry = *walk->entries++;
	uint32		start = walk->offset;

	JBE_ADVANCE_OFFSET(walk->offset, entry);
	return ee_value_make(entry, walk->base, start, walk->offset);
}

static inline void
ee_walk_object(EeWalk *walk, EeValue object)
{
	const JsonbContainer *jc = EE_VALUE_CONTAINER(object);
	uint32		n = jc->header & JB_CMASK;

	walk->entries = jc->children;
	walk->values = jc->children + n;
	walk->base = (const char *) (jc->children + 2 * n);
	walk->offset = 0;
	walk->value_offset = n > 0 ? getJsonbOffset(jc, n) : 0;
}

static inline const char *
ee_walk_key(EeWalk *walk, uint32 *len)
{
	JEntry		entry = *walk->entries++;
	uint32		start = walk->offset;

	JBE_ADVANCE_OFFSET(walk->offset, entry);
	*len = walk->offset - start;
	return walk->base + start;
}

/* the value of the key read last; to be called once for each key */
static inline EeValue
ee_walk_value(EeWalk *walk)
{
	JEntry		entry = *walk->values++;
	uint32		start = walk->value_offset;

	JBE_ADVANCE_OFFSET(walk->value_offset, entry);
	return ee_value_make(entry, walk->base, start, walk->value_offset);
}

/* passes over it unread */
static inline void
ee_walk_skip_value(EeWalk *walk)
{
	JEntry		entry = *walk->values++;

	JBE_ADVANCE_OFFSET(walk->value_offset, entry);
}

/* the order in which jsonb keeps keys */
static inline int
ee_name_compare(const char *a, uint32 alen, const char *b, uint32 blen)
{
	if (alen != blen)
		return alen < blen ? -1 : 1;
	return memcmp(a, b, alen);
}

extern EeValue ee_value_root(const Jsonb *jsonb);
extern bool ee_value_get(EeValue object, const char *name, uint32 len,
						 EeValue *value);
extern bool ee_value_element(EeValue array, uint32 index, EeValue *value);
extern bool ee_value_equal(EeValue a, EeValue b);
extern uint32 ee_value_hash(EeValue v);
extern EeValue ee_value_copy(EeValue v);
extern bool ee_value_unique(EeValue array, uint32 *first, uint32 *second);
extern const char *ee_value_type_name(EeValue v);
extern char *ee_value_text(EeValue v, int max_bytes);

#endif							/* EE_SCHEMA_VALUE_H */
