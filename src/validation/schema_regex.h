/*
 * schema_regex.h
 *	  Regular expressions as ECMA-262 writes them.
 */
#ifndef EE_SCHEMA_REGEX_H
#define EE_SCHEMA_REGEX_H

#include "postgres.h"

typedef struct EeRegex EeRegex;

extern EeRegex *ee_schema_regex_compile(const char *pattern, uint32 len,
										char **problem);
extern bool ee_schema_regex_match(const EeRegex *regex, const char *text,
								  uint32 len);
extern const char *ee_schema_regex_source(const EeRegex *regex);
extern bool ee_schema_regex_is_valid(const char *pattern, uint32 len);

#endif							/* EE_SCHEMA_REGEX_H */
