/*
 * event_keys.c
 *	  Deduplication by the publisher's own identifier.
 *
 * The unique index decides between publishers at the same time: the second
 * waits, and sees the first one's event if that committed.
 */
#include "postgres.h"

#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "ground/config.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "store/event_keys.h"

bool
ee_event_keys_claim(const EeEvent *event, pg_uuid_t *first)
{
	static EePlan claim =
		EE_PLAN("INSERT INTO event_engine.event_keys AS k (event_id, id, expires_at) "
				"VALUES ($1, $2, $3) "
				"ON CONFLICT (event_id) DO UPDATE "
				"SET id = excluded.id, expires_at = excluded.expires_at "
				"WHERE k.expires_at <= pg_catalog.clock_timestamp()",
				"varchar", "uuid", "timestamptz");
	static EePlan look =
		EE_PLAN("SELECT id FROM event_engine.event_keys WHERE event_id = $1",
				"varchar");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[3];
	bool		claimed;

	if (EE_EVENT_IS_NULL(event, EE_EVENT_EVENT_ID))
		return true;
	values[0] = EE_EVENT_VALUE(event, EE_EVENT_EVENT_ID);
	values[1] = EE_EVENT_VALUE(event, EE_EVENT_ID);
	values[2] =
		TimestampTzGetDatum(GetCurrentTimestamp() +
							ee_config_store_deduplication_window *
							USECS_PER_SEC);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	claimed = ee_plan_execute(&claim, values, NULL, false, 0) > 0;
	if (!claimed)
	{
		bool		isnull;

		if (ee_plan_execute(&look, values, NULL, false, 1) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("the event's identifier was published and removed at the same time"),
					 errhint("Publish it again.")));
		*first = *DatumGetUUIDP(SPI_getbinval(SPI_tuptable->vals[0],
											  SPI_tuptable->tupdesc, 1,
											  &isnull));
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return claimed;
}
