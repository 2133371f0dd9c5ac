/*
 * metadata_tag.h
 *	  What metadata holds in "tags": the one member that is free.
 */
#ifndef EE_METADATA_TAG_H
#define EE_METADATA_TAG_H

#include "postgres.h"

#include "utils/jsonb.h"

/* Whom an event belongs to, where several share a database. */
#define EE_TAG_TENANT	"tenant"

/* A tag that is text, not terminated; NULL where there is none. */
extern const char *ee_metadata_tag(Jsonb *metadata, const char *tag,
								   int *len);

/*
 * The metadata (NULL: none given) with this tag, or as they are with value
 * NULL and where they have not the shape of metadata.
 */
extern Jsonb *ee_metadata_set_tag(Jsonb *metadata, const char *tag,
								  const char *value);

/* The metadata without it. */
extern Jsonb *ee_metadata_drop_tag(Jsonb *metadata, const char *tag);

#endif							/* EE_METADATA_TAG_H */
