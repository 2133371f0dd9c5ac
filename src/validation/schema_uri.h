/*
 * schema_uri.h
 *	  URI references: taken apart, resolved, decoded (RFC 3986).
 */
#ifndef EE_SCHEMA_URI_H
#define EE_SCHEMA_URI_H

#include "postgres.h"

#include "lib/stringinfo.h"

extern char *ee_schema_uri_resolve(const char *base, const char *ref);
extern char *ee_schema_uri_split(const char *uri, const char **fragment);
extern char *ee_schema_uri_decode(const char *text);
extern void ee_schema_uri_append_fragment(StringInfo buf, const char *text);

#endif							/* EE_SCHEMA_URI_H */
