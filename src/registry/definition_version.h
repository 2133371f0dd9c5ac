/*
 * definition_version.h
 *	  Semantic versions: are they any, and which comes first?
 */
#ifndef EE_DEFINITION_VERSION_H
#define EE_DEFINITION_VERSION_H

#include "postgres.h"

#define EE_DEFINITION_VERSION_MAX	50	/* characters */

/* Raises INVALID_DEFINITION, saying which character is wrong. */
extern void ee_definition_version_check(const char *version, int len);

/* Less than, equal to or greater than 0, for two versions that are valid. */
extern int	ee_definition_version_compare(const char *a, int alen,
										  const char *b, int blen);

#endif							/* EE_DEFINITION_VERSION_H */
