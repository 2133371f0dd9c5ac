/*
 * schema_value.c
 *	  A value inside a jsonb, read in place: lookup, equality, hash, text.
 *
 * Equality is that of JSON Schema: numbers by value at any depth, false is
 * not 0, objects without order.  No function allocates but ee_value_copy,
 * ee_value_text, and ee_value_unique on arrays beyond STACK_ITEMS.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "validation/schema_number.h"
#include "validation/schema_value.h"

/* arrays up to here are compared pairwise, up to the second on the stack */
#define PAIRWISE_ITEMS	12
#define STACK_ITEMS		256

typedef struct HashedItem
{
	uint32		hash;
	uint32		index;
} HashedItem;

static bool equal_arrays(EeValue a, EeValue b);
static bool equal_objects(EeValue a, EeValue b);
static bool unique_pairwise(EeValue array, uint32 n, uint32 *first,
							uint32 *second);
static int	compare_hashed(const void *a, const void *b);
static char *string_text(EeValue v, int max_bytes);
static char *number_text(Numeric num, int max_bytes);
static char *container_text(EeValue v, int max_bytes);

/* The whole of a jsonb; its scalars hide in an array of one. */
EeValue
ee_value_root(const Jsonb *jsonb)
{
	EeValue		v;

	v.data = (const char *) &jsonb->root;
	v.len = VARSIZE_ANY_EXHDR(jsonb);
	v.type = JB_ROOT_IS_OBJECT(jsonb) ? EE_IS_OBJECT : EE_IS_ARRAY;
	if (JB_ROOT_IS_SCALAR(jsonb))
	{
		EeWalk		walk;

		ee_walk_array(&walk, v);
		return ee_walk_element(&walk);
	}
	return v;
}

/* The value under a key, by binary search; false if there is none. */
bool
ee_value_get(EeValue object, const char *name, uint32 len, EeValue *value)
{
	const JsonbContainer *jc = EE_VALUE_CONTAINER(object);
	uint32		n = jc->header & JB_CMASK;
	const char *base = (const char *) (jc->children + 2 * n);
	uint32		low = 0,
				high = n;

	while (low < high)
	{
		uint32		mid = low + (high - low) / 2;
		int			cmp = ee_name_compare(base + getJsonbOffset(jc, mid),
										  getJsonbLength(jc, mid), name, len);

		if (cmp == 0)
		{
			if (value != NULL)
			{
				uint32		start = getJsonbOffset(jc, n + mid);

				*value = ee_value_make(jc->children[n + mid], base, start,
									   start + getJsonbLength(jc, n + mid));
			}
			return true;
		}
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* The element at an index; false if there is none. */
bool
ee_value_element(EeValue array, uint32 index, EeValue *value)
{
	const JsonbContainer *jc = EE_VALUE_CONTAINER(array);
	uint32		n = jc->header & JB_CMASK;
	uint32		start;

	if (index >= n)
		return false;
	start = getJsonbOffset(jc, index);
	*value = ee_value_make(jc->children[index],
						   (const char *) (jc->children + n), start,
						   start + getJsonbLength(jc, index));
	return true;
}

bool
ee_value_equal(EeValue a, EeValue b)
{
	if (a.type != b.type)
		return false;
	switch (a.type)
	{
		case EE_IS_STRING:
			return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
		case EE_IS_NUMBER:
			return ee_schema_number_compare(EE_VALUE_NUMERIC(a),
											EE_VALUE_NUMERIC(b)) == 0;
		case EE_IS_ARRAY:
			return equal_arrays(a, b);
		case EE_IS_OBJECT:
			return equal_objects(a, b);
		default:
			return true;
	}
}

static bool
equal_arrays(EeValue a, EeValue b)
{
	uint32		n = EE_VALUE_COUNT(a);
	EeWalk		wa,
				wb;

	check_stack_depth();
	if (n != EE_VALUE_COUNT(b))
		return false;
	ee_walk_array(&wa, a);
	ee_walk_array(&wb, b);
	for (; n > 0; n--)
	{
		EeValue		x = ee_walk_element(&wa);
		EeValue		y = ee_walk_element(&wb);

		if (!ee_value_equal(x, y))
			return false;
	}
	return true;
}

static bool
equal_objects(EeValue a, EeValue b)
{
	uint32		n = EE_VALUE_COUNT(a);
	EeWalk		wa,
				wb;

	check_stack_depth();
	if (n != EE_VALUE_COUNT(b))
		return false;
	ee_walk_object(&wa, a);
	ee_walk_object(&wb, b);
	for (; n > 0; n--)
	{
		uint32		alen,
					blen;
		const char *akey = ee_walk_key(&wa, &alen);
		const char *bkey = ee_walk_key(&wb, &blen);
		EeValue		x,
					y;

		if (ee_name_compare(akey, alen, bkey, blen) != 0)
			return false;
		x = ee_walk_value(&wa);
		y = ee_walk_value(&wb);
		if (!ee_value_equal(x, y))
			return false;
	}
	return true;
}

/* The same for equal values. */
uint32
ee_value_hash(EeValue v)
{
	uint32		hash = v.type;
	uint32		n;
	uint32		len;
	const char *key;
	EeWalk		walk;

	check_stack_depth();
	switch (v.type)
	{
		case EE_IS_STRING:
			return hash_bytes((const unsigned char *) v.data, v.len);
		case EE_IS_NUMBER:
			return ee_schema_number_hash(EE_VALUE_NUMERIC(v));
		case EE_IS_ARRAY:
			ee_walk_array(&walk, v);
			for (n = EE_VALUE_COUNT(v); n > 0; n--)
				hash = hash_combine(hash,
									ee_value_hash(ee_walk_element(&walk)));
			return hash;
		case EE_IS_OBJECT:
			ee_walk_object(&walk, v);
			for (n = EE_VALUE_COUNT(v); n > 0; n--)
			{
				key = ee_walk_key(&walk, &len);
				hash = hash_combine(hash,
									hash_bytes((const uint8 *) key, len));
				hash = hash_combine(hash, ee_value_hash(ee_walk_value(&walk)));
			}
			return hash;
		default:
			return hash;
	}
}

/* A copy in CurrentMemoryContext that needs its jsonb no longer. */
EeValue
ee_value_copy(EeValue v)
{
	Size		size;
	char	   *copy;

	switch (v.type)
	{
		case EE_IS_STRING:
			size = v.len;
			break;
		case EE_IS_NUMBER:
			size = VARSIZE_ANY(v.data);
			break;
		case EE_IS_ARRAY:
		case EE_IS_OBJECT:
			size = v.len;
			break;
		default:
			return v;
	}
	copy = palloc(Max(size, 1));
	memcpy(copy, v.data, size);
	v.data = copy;
	return v;
}

/*
 * Are all elements different?  If not, *first and *second (where wanted) are
 * the lowest indexes of an equal pair.
 */
bool
ee_value_unique(EeValue array, uint32 *first, uint32 *second)
{
	uint32		n = EE_VALUE_COUNT(array);
	HashedItem	local[STACK_ITEMS];
	HashedItem *items = local;
	bool		unique = true;
	EeWalk		walk;
	uint32		i,
				j;

	if (n <= PAIRWISE_ITEMS || (first != NULL && n <= 1000))
		return unique_pairwise(array, n, first, second);
	if (n > STACK_ITEMS)
		items = MemoryContextAllocHuge(CurrentMemoryContext,
									   n * sizeof(HashedItem));
	ee_walk_array(&walk, array);
	for (i = 0; i < n; i++)
	{
		items[i].hash = ee_value_hash(ee_walk_element(&walk));
		items[i].index = i;
		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
	}
	qsort(items, n, sizeof(HashedItem), compare_hashed);
	for (i = 0; i < n && unique; i++)
	{
		for (j = i + 1; j < n && items[j].hash == items[i].hash; j++)
		{
			EeValue		a,
						b;

			CHECK_FOR_INTERRUPTS();
			ee_value_element(array, items[i].index, &a);
			ee_value_element(array, items[j].index, &b);
			if (ee_value_equal(a, b))
			{
				unique = false;
				if (first != NULL)
				{
					*first = items[i].index;
					*second = items[j].index;
				}
				break;
			}
		}
	}
	if (items != local)
		pfree(items);
	return unique;
}

static bool
unique_pairwise(EeValue array, uint32 n, uint32 *first, uint32 *second)
{
	EeWalk		outer;
	uint32		i,
				j;

	ee_walk_array(&outer, array);
	for (i = 0; i + 1 < n; i++)
	{
		EeValue		a = ee_walk_element(&outer);
		EeWalk		inner = outer;

		CHECK_FOR_INTERRUPTS();
		for (j = i + 1; j < n; j++)
		{
			if (ee_value_equal(a, ee_walk_element(&inner)))
			{
				if (first != NULL)
				{
					*first = i;
					*second = j;
				}
				return false;
			}
		}
	}
	return true;
}

static int
compare_hashed(const void *a, const void *b)
{
	const HashedItem *x = a;
	const HashedItem *y = b;

	/* millions of items take their time */
	CHECK_FOR_INTERRUPTS();
	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return 0;
}

/* The name that JSON Schema gives to a value's type. */
const char *
ee_value_type_name(EeValue v)
{
	switch (v.type)
	{
		case EE_IS_STRING:
			return "string";
		case EE_IS_NUMBER:
			return ee_schema_number_is_integer(EE_VALUE_NUMERIC(v)) ?
				"integer" : "number";
		case EE_IS_FALSE:
		case EE_IS_TRUE:
			return "boolean";
		case EE_IS_NULL:
			return "null";
		case EE_IS_ARRAY:
			return "array";
		default:
			return "object";
	}
}

/*
 * A value for people: scalars and small containers as JSON, of at most
 * max_bytes; greater containers by their size.
 */
char *
ee_value_text(EeValue v, int max_bytes)
{
	switch (v.type)
	{
		case EE_IS_STRING:
			return string_text(v, max_bytes);
		case EE_IS_NUMBER:
			return number_text(EE_VALUE_NUMERIC(v), max_bytes);
		case EE_IS_FALSE:
			return pstrdup("false");
		case EE_IS_TRUE:
			return pstrdup("true");
		case EE_IS_NULL:
			return pstrdup("null");
		default:
			return container_text(v, max_bytes);
	}
}

static char *
string_text(EeValue v, int max_bytes)
{
	uint32		len = v.len <= max_bytes ? v.len :
	pg_mbcliplen(v.data, v.len, max_bytes);
	const char *tail = len < v.len ? "\"..." : "\"";
	uint32		i;
	char	   *result;
	StringInfoData buf;

	for (i = 0; i < len; i++)
	{
		if ((unsigned char) v.data[i] < ' ' || v.data[i] == '"' ||
			v.data[i] == '\\')
			break;
	}
	if (i < len)
	{
		initStringInfo(&buf);
		escape_json(&buf, pnstrdup(v.data, len));
		appendStringInfoString(&buf, tail + 1);
		return buf.data;
	}
	result = palloc(1 + len + strlen(tail) + 1);
	result[0] = '"';
	memcpy(result + 1, v.data, len);
	strcpy(result + 1 + len, tail);
	return result;
}

static char *
number_text(Numeric num, int max_bytes)
{
	char	   *text;
	int64		floor;
	bool		whole;

	if (ee_schema_number_scale(num) == 0 &&
		ee_schema_number_floor(num, &floor, &whole) && whole)
	{
		text = palloc(MAXINT8LEN + 1);
		pg_lltoa(floor, text);
		return text;
	}
	text = DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(num)));
	if (strlen(text) > max_bytes)
		text = psprintf("%.*s...", max_bytes, text);
	return text;
}

static char *
container_text(EeValue v, int max_bytes)
{
	StringInfoData buf;

	if (v.len <= (uint32) max_bytes)
	{
		initStringInfo(&buf);
		JsonbToCString(&buf, unconstify(JsonbContainer *,
										EE_VALUE_CONTAINER(v)), v.len);
		if (buf.len <= max_bytes)
			return buf.data;
	}
	return psprintf(v.type == EE_IS_ARRAY ? "array of %u" : "object of %u",
					EE_VALUE_COUNT(v));
}
