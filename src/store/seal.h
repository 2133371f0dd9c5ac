/*
 * seal.h
 *	  Sensitive values are stored encrypted: sealed.
 */
#ifndef EE_SEAL_H
#define EE_SEAL_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "ground/envelope.h"
#include "registry/sensitive.h"

/* What a sealed value begins with; the digit is the version of its form. */
#define EE_SEAL_PREFIX	"sealed:1:"

/*
 * The payload of an event with what is sensitive in it sealed, in
 * CurrentMemoryContext; id and pattern of the event must be set, and all that
 * the subject may be found in.  Raises NO_SUBJECT.
 */
extern Jsonb *ee_seal_payload(const EeEvent *event,
							  const EeSensitive *sensitive);

/* Could there be something sealed in it?  Quick; may be wrong with yes. */
extern bool ee_seal_mentions(const Jsonb *jsonb);

/* What of an event has to be known to open what is sealed in it. */
typedef struct EeSealedEvent
{
	const pg_uuid_t *id;
	const char *pattern;
	int			pattern_len;
	const char *tenant;			/* NULL: none */
	int			tenant_len;
	const char *version;		/* NULL: the current one */
} EeSealedEvent;

/*
 * The payload of an event with what was sealed in it as it was; null where
 * the key was erased.  What only looks like a sealed value stays, and so does
 * what was sealed in another event or place.  A key that is not here raises
 * SUBJECT_KEY if insist is set and the definition says that the value is
 * sensitive, otherwise the value stays sealed.
 */
extern Jsonb *ee_seal_open_payload(Jsonb *payload, const EeSealedEvent *event,
								   bool insist);

#endif							/* EE_SEAL_H */
