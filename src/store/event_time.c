/*
 * event_time.c
 *	  When was an event's id made?  It tells in which partition the event is.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "ground/uuid7.h"

PG_FUNCTION_INFO_V1(ee_sql_event_time);

/* event_time(id uuid) RETURNS timestamptz: null if it is not of version 7 */
Datum
ee_sql_event_time(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = PG_GETARG_UUID_P(0);

	if ((id->data[6] & 0xf0) != 0x70)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(ee_uuid7_timestamp(id));
}
