/*
 * flow.c
 *	  Rounds of delivery, within what a subscription's limits allow.
 *
 * Whatever process delivers, its rounds pass here: what a round may take is
 * asked for before it begins, where all processes see it, and what it did not
 * use is given back.  A subscription without limits costs a look at its
 * breaker and two counters a round.
 */
#include "postgres.h"

#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "delivery/flow.h"
#include "delivery/lane.h"
#include "delivery/retry_round.h"
#include "delivery/round.h"
#include "ground/shared_incident.h"
#include "ground/shared_subscription.h"

/*
 * A rate is worked off in slices: who waits for tokens waits until as many
 * have come in as make a batch worth its commit.
 */
#define SLICE_SECONDS		0.02

/* Until somebody else may have ended his batch. */
#define IN_FLIGHT_PAUSE_USECS	(5 * INT64CONST(1000))

/* What a round has been given; of its process, which runs one at a time. */
typedef struct Grant
{
	EeSharedSubscription *entry;	/* NULL: no round is running */
	uint32		generation;		/* of the entry */
	int			events;			/* that the round may take */
	int			in_flight;		/* of them, counted in the entry */
	int			tokens;			/* of them, taken from its bucket */
	bool		trial;			/* of its breaker */
	EeRateLimit rate;
	EeBreakerLimit breaker;
} Grant;

static Grant grant;
static bool exit_registered = false;

static EeRound run(EeDelivery *delivery, const EeUnit *unit, int max,
				   bool again);
static bool admit(EeDelivery *delivery, int max);
static bool ask_breaker(EeDelivery *delivery);
static void limit_in_flight(EeDelivery *delivery);
static void limit_rate(EeDelivery *delivery);
static void hold(EeDelivery *delivery, int64 usecs);
static void finish(const EeDelivery *delivery, const EeRound *round,
				   bool again);
static void note_breaker(const EeDelivery *delivery, const EeRound *round,
						 bool again);
static void give_back(int used);
static void give_all_back(int code, Datum arg);

EeRound
ee_flow_deliver(EeDelivery *delivery, const EeUnit *unit, int max)
{
	return run(delivery, unit, max, false);
}

EeRound
ee_flow_retry(EeDelivery *delivery, const EeUnit *unit, int max)
{
	return run(delivery, unit, max, true);
}

/* Events that are new, or (again) those that are due once more. */
static EeRound
run(EeDelivery *delivery, const EeUnit *unit, int max, bool again)
{
	static const EeRoundCalls plain = {ee_round_deliver, ee_retry_round};
	const EeRoundCalls *calls = ee_round_calls(delivery->subscription->kind);
	EeRound		round = {EE_ROUND_HELD, 0, 0};

	if (calls == NULL)
		calls = &plain;
	if (!admit(delivery, max))
		return round;
	PG_TRY();
	{
		round = again ? calls->due(delivery, unit, grant.events) :
			calls->deliver(delivery, unit, grant.events);
	}
	PG_CATCH();
	{
		give_all_back(0, (Datum) 0);
		PG_RE_THROW();
	}
	PG_END_TRY();
	finish(delivery, &round, again);
	return round;
}

/* ---------------------------------------------------------------- admission */

/* Fill the grant; false, with the delivery held, when there is nothing. */
static bool
admit(EeDelivery *delivery, int max)
{
	const EeSubscription *subscription = delivery->subscription;

	Assert(grant.entry == NULL);
	delivery->held_until = 0;
	memset(&grant, 0, sizeof(grant));
	grant.entry = ee_shared_subscription_find(subscription->number,
											  &subscription->id);
	grant.generation = pg_atomic_read_u32(&grant.entry->generation);
	grant.rate = subscription->rate;
	grant.breaker = subscription->breaker;
	grant.events = max;
	if (!exit_registered)
	{
		before_shmem_exit(give_all_back, (Datum) 0);
		exit_registered = true;
	}
	if (!ask_breaker(delivery))
	{
		grant.entry = NULL;
		return false;
	}
	if (subscription->max_in_flight > 0)
		limit_in_flight(delivery);
	if (subscription->rate.rate > 0 && grant.events > 0)
		limit_rate(delivery);
	if (grant.events > 0)
		return true;
	give_all_back(0, (Datum) 0);
	return false;
}

static bool
ask_breaker(EeDelivery *delivery)
{
	EeBreaker  *breaker = &grant.entry->breaker;
	TimestampTz until = 0;

	if (grant.breaker.threshold == 0)
	{
		/* it has been turned off */
		if (breaker->state != EE_BREAKER_CLOSED)
			ee_breaker_reset(breaker);
		return true;
	}
	switch (ee_breaker_ask(breaker, &grant.breaker, &until))
	{
		case EE_BREAKER_GO:
			break;
		case EE_BREAKER_TRY:
			grant.trial = true;
			grant.events = 1;
			break;
		case EE_BREAKER_WAIT:
			delivery->held_until = until;
			return false;
	}
	return true;
}

static void
limit_in_flight(EeDelivery *delivery)
{
	pg_atomic_uint32 *in_flight = &grant.entry->in_flight;
	uint32		limit = delivery->subscription->max_in_flight;
	uint32		seen = pg_atomic_read_u32(in_flight);

	for (;;)
	{
		int			n = seen >= limit ? 0 : Min(grant.events, limit - seen);

		if (n == 0)
		{
			grant.events = 0;
			hold(delivery, IN_FLIGHT_PAUSE_USECS);
			return;
		}
		if (pg_atomic_compare_exchange_u32(in_flight, &seen, seen + n))
		{
			grant.events = grant.in_flight = n;
			return;
		}
	}
}

static void
limit_rate(EeDelivery *delivery)
{
	EeRateBucket *bucket = &grant.entry->rate;
	double		slice = Max(1.0, Min(grant.rate.rate * SLICE_SECONDS,
									 grant.rate.burst / 2));

	grant.events = grant.tokens = ee_rate_bucket_take(bucket, &grant.rate,
													  grant.events);
	/* never longer than for an empty bucket: the rate may have been raised */
	if (grant.tokens == 0)
		hold(delivery,
			 Min(ee_rate_bucket_wait(bucket, &grant.rate, slice),
				 (int64) (slice / grant.rate.rate * 1000000) + 1));
}

static void
hold(EeDelivery *delivery, int64 usecs)
{
	delivery->held_until = GetCurrentTimestamp() + usecs;
}

/* ---------------------------------------------------------------- afterwards */

static void
finish(const EeDelivery *delivery, const EeRound *round, bool again)
{
	EeSharedSubscription *entry = grant.entry;

	if (round->delivered > 0)
		pg_atomic_fetch_add_u64(&entry->delivered, round->delivered);
	if (round->failed > 0)
		pg_atomic_fetch_add_u64(&entry->failed, round->failed);
	note_breaker(delivery, round, again);
	give_back(round->delivered + round->failed);
}

static void
note_breaker(const EeDelivery *delivery, const EeRound *round, bool again)
{
	EeBreaker  *breaker = &grant.entry->breaker;
	const EeSubscription *subscription = delivery->subscription;

	if (!ee_breaker_note(breaker, &grant.breaker, round->delivered,
						 round->failed, again ? 0 : round->failed,
						 grant.trial))
		return;
	/* between transactions, if in one at all: the router publishes it */
	ee_shared_incident_note(breaker->state == EE_BREAKER_CLOSED ?
							EE_INCIDENT_CIRCUIT_CLOSED :
							EE_INCIDENT_CIRCUIT_OPENED,
							subscription->subscriber, 0);
	if (breaker->state == EE_BREAKER_CLOSED)
		ereport(LOG,
				(errmsg("circuit breaker of subscription \"%s\" is closed again",
						subscription->subscriber)));
	else
		ereport(LOG,
				(errmsg("circuit breaker of subscription \"%s\" has opened",
						subscription->subscriber),
				 errdetail("At least %d of its latest attempts failed within %d ms; the next is made in %d ms.",
						   grant.breaker.threshold, grant.breaker.window_ms,
						   grant.breaker.recovery_ms),
				 errhint("See last_error in event_engine.deliveries; event_engine.resume_subscription() closes it at once.")));
}

/* Urgent and low events are few: their lanes say nothing of the backlog. */
void
ee_flow_note_position(const EeDelivery *delivery)
{
	const EeLogCursor *at = &delivery->cursor->at;
	const EeLane *lane = &delivery->lane;
	int64		seq = at->low.seq;
	EeSharedSubscription *entry;

	if (lane->class != EE_PRIORITY_NORMAL ||
		lane->index >= EE_SHARED_POSITIONS)
		return;
	if (at->in_range)
		seq = Max(seq, Min(at->seq, at->high.seq));
	entry = ee_shared_subscription_find(delivery->subscription->number,
										&delivery->subscription->id);
	pg_atomic_write_u64(&entry->positions[lane->index], (uint64) Max(seq, 0));
}

/* The round is over, after so many events. */
static void
give_back(int used)
{
	EeSharedSubscription *entry = grant.entry;

	/* unless it is another subscription's by now */
	if (pg_atomic_read_u32(&entry->generation) == grant.generation)
	{
		if (grant.in_flight > 0)
			pg_atomic_fetch_sub_u32(&entry->in_flight, grant.in_flight);
		if (grant.tokens > used)
			ee_rate_bucket_put_back(&entry->rate, &grant.rate,
									grant.tokens - used);
	}
	grant.entry = NULL;
}

/* The round has not come about, or has ended without a result. */
static void
give_all_back(int code, Datum arg)
{
	if (grant.entry == NULL)
		return;
	if (grant.trial)
		(void) ee_breaker_note(&grant.entry->breaker, &grant.breaker,
							   0, 0, 0, true);
	give_back(0);
}
