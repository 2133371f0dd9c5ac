/*
 * schema_unicode.h
 *	  The general categories of Unicode characters, for \p in patterns.
 */
#ifndef EE_SCHEMA_UNICODE_H
#define EE_SCHEMA_UNICODE_H

#include "postgres.h"

#include "mb/pg_wchar.h"

/* takes a range of characters */
typedef void (*EeUnicodeAdd) (void *arg, pg_wchar low, pg_wchar high);

extern bool ee_schema_unicode_property(const char *name, EeUnicodeAdd add,
									   void *arg);

#endif							/* EE_SCHEMA_UNICODE_H */
