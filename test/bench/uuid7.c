/*
 * uuid7.c
 *	  The id of the twin's rows: of the same kind as ours, for random ids
 *	  would make its index dearer than ours.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(uuid7);

Datum
uuid7(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));
	uint64		usecs = (uint64) GetCurrentTimestamp() +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	uint64		msecs = usecs / 1000;
	uint32		fraction = (usecs % 1000) * 4096 / 1000;

	for (int i = 0; i < 6; i++)
		uuid->data[i] = (uint8) (msecs >> (40 - 8 * i));
	uuid->data[6] = 0x70 | (fraction >> 8);
	uuid->data[7] = fraction & 0xff;
	if (!pg_strong_random(uuid->data + 8, 8))
		elog(ERROR, "could not generate random values");
	uuid->data[8] = 0x80 | (uuid->data[8] & 0x3f);
	PG_RETURN_UUID_P(uuid);
}
