/*
 * uuid7.h
 *	  UUIDs of version 7: ordered by time (RFC 9562).
 */
#ifndef EE_UUID7_H
#define EE_UUID7_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#define EE_UUID_TEXT_LEN	36

/* A new one for this moment, greater than all this backend made before. */
extern void ee_uuid7_generate(pg_uuid_t *uuid, TimestampTz now);

/* The moment in it, to the microsecond if we made it. */
extern TimestampTz ee_uuid7_timestamp(const pg_uuid_t *uuid);

/* As text, without terminator: EE_UUID_TEXT_LEN bytes. */
extern void ee_uuid7_to_text(const pg_uuid_t *uuid, char *text);

#endif							/* EE_UUID7_H */
