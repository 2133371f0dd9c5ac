/*
 * schema_format_uri.h
 *	  URIs, IRIs and URI templates, as formats.
 */
#ifndef EE_SCHEMA_FORMAT_URI_H
#define EE_SCHEMA_FORMAT_URI_H

#include "postgres.h"

extern bool ee_format_uri(const char *s, uint32 len);
extern bool ee_format_uri_reference(const char *s, uint32 len);
extern bool ee_format_iri(const char *s, uint32 len);
extern bool ee_format_iri_reference(const char *s, uint32 len);
extern bool ee_format_uri_template(const char *s, uint32 len);
extern bool ee_format_ipv6(const char *s, uint32 len);

#endif							/* EE_SCHEMA_FORMAT_URI_H */
