/*
 * admission.c
 *	  May an event be published now?
 *
 * What handlers publish is not held back: it ends what is waiting, and where
 * there is too much of that it must not wait for itself.  (Too many events of
 * a handler are the matter of its subscription's rate_limit.)  Nor are
 * critical events when the queue is full.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"

#include "ground/causation.h"
#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/waits.h"
#include "store/admission.h"

/* How long a call is delayed: above the high watermark, and at the limit. */
#define DELAY_MIN_MS	1
#define DELAY_MAX_MS	100
#define DELAY_FULL_MS	1000

#define NANOSECONDS_PER_MS	INT64CONST(1000000)

static void limit_rate(int n);
static void heed_pressure(const EeEvent *events, int n);
static bool all_critical(const EeEvent *events, int n);
static long pressure_delay(EePressure pressure);
static void pause_for(long ms);

void
ee_admission_wait(const EeEvent *events, int n)
{
	if (n == 0 || ee_causation_active())
		return;
	if (ee_config_store_backpressure != EE_BACKPRESSURE_OFF)
		heed_pressure(events, n);
	if (ee_config_store_publish_rate_limit > 0)
		limit_rate(n);
}

/*
 * The setting is that of whoever has logged in, hence so is the bucket.  As
 * many events as a call has are let through where there is one token: the
 * debt is what the next has to wait for.
 */
static void
limit_rate(int n)
{
	EeRateLimit limit;
	EeRateBucket *bucket;

	limit.rate = ee_config_store_publish_rate_limit;
	limit.burst = ee_config_store_publish_rate_burst > 0 ?
		Max(1.0, ee_config_store_publish_rate_burst) :
		ee_rate_bucket_burst(limit.rate);
	for (;;)
	{
		bucket = ee_shared_publisher_bucket(GetSessionUserId(), limit.rate);
		if (ee_rate_bucket_charge(bucket, &limit, n))
			return;
		if (ee_config_store_publish_rate_action == EE_RATE_REFUSE)
			ereport(ERROR,
					(errcode(EE_ERRCODE_RATE_LIMIT),
					 errmsg("role \"%s\" publishes more than %g events per second",
							GetUserNameFromId(GetSessionUserId(), false),
							limit.rate),
					 errhint("Try again in %ld ms, publish at a lower rate, or have event_engine.store_publish_rate_limit raised.",
							 (long) (ee_rate_bucket_wait(bucket, &limit, 1) / 1000 + 1))));
		pause_for((long) (ee_rate_bucket_wait(bucket, &limit, 1) / 1000 + 1));
	}
}

static void
heed_pressure(const EeEvent *events, int n)
{
	EePressure	pressure = ee_shared_publisher_pressure();

	if (pressure == EE_PRESSURE_NONE || all_critical(events, n))
		return;
	if (ee_config_store_backpressure == EE_BACKPRESSURE_DELAY)
		pause_for(pressure_delay(pressure));
	else if (pressure == EE_PRESSURE_FULL)
		ereport(ERROR,
				(errcode(EE_ERRCODE_QUEUE_FULL),
				 errmsg("the queue is full"),
				 errdetail("%lld events wait to be delivered; the limit is %d.",
						   (long long) ee_shared_publisher_depth(),
						   ee_config_store_max_queue_depth),
				 errhint("Try again later. See lag in event_engine.stat_subscriptions for who is behind.")));
}

static bool
all_critical(const EeEvent *events, int n)
{
	Oid			critical = ee_extension_priority("critical");

	for (int i = 0; i < n; i++)
		if (DatumGetObjectId(EE_EVENT_VALUE(&events[i],
											EE_EVENT_PRIORITY)) != critical)
			return false;
	return true;
}

/* The longer the deeper. */
static long
pressure_delay(EePressure pressure)
{
	int			high = ee_config_high_watermark();
	int			limit = ee_config_store_max_queue_depth;
	double		share = 1;

	if (pressure == EE_PRESSURE_FULL)
		return DELAY_FULL_MS;
	if (limit > high)
		share = Min(1.0, Max(0.0, (double) (ee_shared_publisher_depth() - high) /
							 (limit - high)));
	return DELAY_MIN_MS + (long) (share * (DELAY_MAX_MS - DELAY_MIN_MS));
}

/* Others set our latch for reasons of their own, which is no reason to go on. */
static void
pause_for(long ms)
{
	int64		end = ee_rate_bucket_now() + ms * NANOSECONDS_PER_MS;

	while (ms > 0)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
						 ee_waits_event(EE_WAIT_PUBLISH));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		ms = (long) ((end - ee_rate_bucket_now() + NANOSECONDS_PER_MS - 1) /
					 NANOSECONDS_PER_MS);
	}
}
