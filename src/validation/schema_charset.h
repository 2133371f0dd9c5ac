/*
 * schema_charset.h
 *	  A set of characters, as ranges.
 */
#ifndef EE_SCHEMA_CHARSET_H
#define EE_SCHEMA_CHARSET_H

#include "postgres.h"

#include "mb/pg_wchar.h"

#define EE_MAX_CHAR 0x10FFFF

typedef struct EeCharRange
{
	pg_wchar	low;
	pg_wchar	high;
} EeCharRange;

/* ranges in ascending order that do not touch */
typedef struct EeCharSet
{
	int			nranges;
	int			max_ranges;
	EeCharRange *ranges;
} EeCharSet;

extern EeCharSet *ee_schema_charset_make(void);
extern void ee_schema_charset_add(EeCharSet *set, pg_wchar low, pg_wchar high);
extern void ee_schema_charset_normalise(EeCharSet *set);
extern void ee_schema_charset_invert(EeCharSet *set);

#endif							/* EE_SCHEMA_CHARSET_H */
