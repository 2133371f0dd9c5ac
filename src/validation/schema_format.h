/*
 * schema_format.h
 *	  The values of the keyword format, and a check for each.
 */
#ifndef EE_SCHEMA_FORMAT_H
#define EE_SCHEMA_FORMAT_H

#include "postgres.h"

/* Is the text, in the database's encoding, of that format? */
typedef bool (*EeFormatCheck) (const char *text, uint32 len);

extern EeFormatCheck ee_schema_format(const char *name, uint32 len,
									  int dialect);
extern const char *ee_schema_format_name(int dialect, int n);

#endif							/* EE_SCHEMA_FORMAT_H */
