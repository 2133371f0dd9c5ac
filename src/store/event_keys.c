/*
 * event_keys.c
 *	  Deduplication by the publisher's own identifier.
 *
 * The unique index decides between publishers at the same time: the second
 * waits, and sees the first one's event if that committed.  A tenant's
 * identifiers are its own: nobody can tell by publishing what others have.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "ground/config.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/plan.h"
#include "store/event_keys.h"
#include "store/metadata_tag.h"

static Datum tenant_of(const EeEvent *event);

bool
ee_event_keys_claim(const EeEvent *event, pg_uuid_t *first)
{
	static EePlan claim =
		EE_PLAN("INSERT INTO event_engine.event_keys AS k "
				"(event_id, tenant, id, expires_at) VALUES ($1, $2, $3, $4) "
				"ON CONFLICT (event_id, tenant) DO UPDATE "
				"SET id = excluded.id, expires_at = excluded.expires_at "
				"WHERE k.expires_at <= pg_catalog.clock_timestamp()",
				"varchar", "text", "uuid", "timestamptz");
	static EePlan look =
		EE_PLAN("SELECT id FROM event_engine.event_keys "
				"WHERE event_id = $1 AND tenant = $2", "varchar", "text");
	/* before there were tenants */
	static EePlan old_claim =
		EE_PLAN("INSERT INTO event_engine.event_keys AS k "
				"(event_id, id, expires_at) VALUES ($1, $3, $4) "
				"ON CONFLICT (event_id) DO UPDATE "
				"SET id = excluded.id, expires_at = excluded.expires_at "
				"WHERE k.expires_at <= pg_catalog.clock_timestamp()",
				"varchar", "text", "uuid", "timestamptz");
	static EePlan old_look =
		EE_PLAN("SELECT id FROM event_engine.event_keys WHERE event_id = $1",
				"varchar", "text");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[4];
	EePlan	   *plan;
	bool		with_tenant;
	bool		claimed;

	if (EE_EVENT_IS_NULL(event, EE_EVENT_EVENT_ID))
		return true;
	values[0] = EE_EVENT_VALUE(event, EE_EVENT_EVENT_ID);
	with_tenant = ee_extension_is_at_least(EE_VERSION_NUMBER(0, 2, 0));
	values[1] = tenant_of(event);
	values[2] = EE_EVENT_VALUE(event, EE_EVENT_ID);
	values[3] =
		TimestampTzGetDatum(GetCurrentTimestamp() +
							ee_config_store_deduplication_window *
							USECS_PER_SEC);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	plan = with_tenant ? &claim : &old_claim;
	claimed = ee_plan_execute(plan, values, NULL, false, 0) > 0;
	if (!claimed)
	{
		bool		isnull;

		plan = with_tenant ? &look : &old_look;
		if (ee_plan_execute(plan, values, NULL, false, 1) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("the event's identifier was published and removed at the same time"),
					 errhint("Publish it again.")));
		*first = *DatumGetUUIDP(ee_plan_value(0, 1, &isnull));
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return claimed;
}

static Datum
tenant_of(const EeEvent *event)
{
	int			len = 0;
	const char *tenant =
		ee_metadata_tag(DatumGetJsonbP(EE_EVENT_VALUE(event,
													  EE_EVENT_METADATA)),
						EE_TAG_TENANT, &len);

	return PointerGetDatum(cstring_to_text_with_len(tenant != NULL ? tenant :
													"", len));
}
