/*
 * pull_flow.c
 *	  What a pulling client may have: the limits of its subscription.
 *
 * What is in flight is told by the leases that have not run out.  Clients who
 * count them at the same time would not see each other's, so whoever receives
 * holds a lock until his transaction ends; the others wait for that as they
 * do for who reads the log, and get nothing when it takes longer.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/timestamp.h"

#include "delivery/pull_flow.h"
#include "ground/config.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/lock_within.h"
#include "ground/plan.h"
#include "ground/shared_subscription.h"

static int	room_in_flight(const EeSubscription *subscription);
static int64 in_flight(int32 number);
static bool lock_in_flight(int32 number);

int
ee_pull_flow_take(const EeSubscription *subscription, int wanted)
{
	EeSharedSubscription *entry;

	if (subscription->max_in_flight > 0)
		wanted = Min(wanted, room_in_flight(subscription));
	if (wanted == 0 || subscription->rate.rate == 0)
		return wanted;
	entry = ee_shared_subscription_find(subscription->number,
										&subscription->id);
	return ee_rate_bucket_take(&entry->rate, &subscription->rate, wanted);
}

void
ee_pull_flow_put_back(const EeSubscription *subscription, int n)
{
	EeSharedSubscription *entry;

	if (n == 0 || subscription->rate.rate == 0)
		return;
	entry = ee_shared_subscription_find(subscription->number,
										&subscription->id);
	ee_rate_bucket_put_back(&entry->rate, &subscription->rate, n);
}

/* Asked without the lock, which would send away whoever comes to receive. */
bool
ee_pull_flow_allows(const EeSubscription *subscription, TimestampTz *until)
{
	*until = DT_NOEND;
	if (subscription->max_in_flight > 0 &&
		in_flight(subscription->number) >= subscription->max_in_flight)
		return false;
	if (subscription->rate.rate > 0)
	{
		EeSharedSubscription *entry =
			ee_shared_subscription_find(subscription->number,
										&subscription->id);
		int64		wait = ee_rate_bucket_wait(&entry->rate,
											   &subscription->rate, 1);

		if (wait > 0)
		{
			*until = GetCurrentTimestamp() + wait;
			return false;
		}
	}
	return true;
}

static int
room_in_flight(const EeSubscription *subscription)
{
	if (!lock_in_flight(subscription->number))
		return 0;
	return (int) Max(subscription->max_in_flight -
					 in_flight(subscription->number), 0);
}

static int64
in_flight(int32 number)
{
	static EePlan leased =
		EE_PLAN("SELECT (SELECT COALESCE(sum(cardinality(l.seqs)), 0) "
				"FROM event_engine.event_leases l "
				"WHERE l.subscription_number = $1 "
				"AND l.expires_at > pg_catalog.clock_timestamp()) "
				"+ (SELECT count(*) FROM event_engine.deliveries d "
				"WHERE d.subscription_number::pg_catalog.int8 = $1 AND d.status = 'leased' "
				"AND d.next_attempt_at > pg_catalog.clock_timestamp())",
				"int4");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		value = Int32GetDatum(number);
	int64		n;
	bool		isnull;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	ee_plan_execute(&leased, &value, NULL, false, 1);
	n = DatumGetInt64(ee_plan_value(0, 1, &isnull));
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return n;
}

static bool
lock_in_flight(int32 number)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId,
					   ee_extension_relid(EE_REL_EVENT_LEASES),
					   (uint32) number, 0);
	return ee_lock_within(&tag, ExclusiveLock,
						  ee_config_delivery_receive_wait);
}
