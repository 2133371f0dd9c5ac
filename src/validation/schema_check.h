/*
 * schema_check.h
 *	  The assertions that need no subschema, shared by the boolean evaluation
 *	  and the report.
 */
#ifndef EE_SCHEMA_CHECK_H
#define EE_SCHEMA_CHECK_H

#include "postgres.h"

#include "mb/pg_wchar.h"

#include "validation/schema_number.h"
#include "validation/schema_program.h"

/* a number in the form that bounds are compared with */
typedef struct EeNumberForm
{
	Numeric		num;
	bool		small;			/* floor and whole are known */
	bool		whole;
	int64		floor;
} EeNumberForm;

extern bool ee_schema_check_bound(const EeNumberForm *form,
								  const EeBound *bound);
extern bool ee_schema_check_enum(const EeEnum *set, EeValue v);
extern bool ee_schema_check_content(const EeStringRules *rules, EeValue v);

/*
 * type  [Validation 2020-12, 6.1.1]: an integer is any number without
 * fraction; in draft 4, one written without.
 */
static inline bool
ee_schema_check_type(const EeNode *node, EeValue v)
{
	if (node->types & v.type)
		return true;
	if (v.type != EE_IS_NUMBER || !(node->types & EE_IS_INTEGER))
		return false;
	if (node->flags & EE_NODE_STRICT_INTEGER)
		return ee_schema_number_scale(EE_VALUE_NUMERIC(v)) == 0;
	return ee_schema_number_is_integer(EE_VALUE_NUMERIC(v));
}

static inline void
ee_schema_check_form(EeNumberForm *form, EeValue v)
{
	form->num = EE_VALUE_NUMERIC(v);
	form->small = ee_schema_number_floor(form->num, &form->floor,
										 &form->whole);
}

/* Characters of a string: its length to JSON Schema. */
static inline uint32
ee_schema_check_characters(EeValue v)
{
	uint32		n = 0;
	uint32		i;

	if (GetDatabaseEncoding() != PG_UTF8)
		return pg_mbstrlen_with_len(v.data, v.len);
	for (i = 0; i < v.len; i++)
		n += ((unsigned char) v.data[i] & 0xC0) != 0x80;
	return n;
}

/*
 * minLength, maxLength  [Validation 2020-12, 6.3.1, 6.3.2].  Characters are
 * counted only where the bytes do not decide.
 */
static inline bool
ee_schema_check_length(const EeStringRules *rules, EeValue v)
{
	uint32		n;

	if (v.len < rules->min_length)
		return false;
	if (v.len <= rules->max_length && v.len / 4 >= rules->min_length)
		return true;
	if (v.len / 4 > rules->max_length)
		return false;
	n = ee_schema_check_characters(v);
	return n >= rules->min_length && n <= rules->max_length;
}

#endif							/* EE_SCHEMA_CHECK_H */
