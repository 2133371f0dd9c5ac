/*
 * flow.c
 *	  Rounds of delivery, within what a subscription's limits allow.
 *
 * Whatever process delivers, its rounds pass here: what became of their
 * events is noted where all processes see it.
 */
#include "postgres.h"

#include "delivery/flow.h"
#include "delivery/retry_round.h"
#include "delivery/round.h"
#include "ground/shared_subscription.h"

static EeSharedSubscription *entry_of(const EeDelivery *delivery);
static void note_outcome(const EeDelivery *delivery, const EeRound *round);

EeRound
ee_flow_deliver(EeDelivery *delivery, const EeUnit *unit, int max)
{
	EeRound		round = ee_round_deliver(delivery, unit, max);

	note_outcome(delivery, &round);
	return round;
}

EeRound
ee_flow_retry(EeDelivery *delivery, const EeUnit *unit, int max)
{
	EeRound		round = ee_retry_round(delivery, unit, max);

	note_outcome(delivery, &round);
	return round;
}

static EeSharedSubscription *
entry_of(const EeDelivery *delivery)
{
	return ee_shared_subscription_find(delivery->subscription->number,
									   &delivery->subscription->id);
}

static void
note_outcome(const EeDelivery *delivery, const EeRound *round)
{
	EeSharedSubscription *entry;

	if (round->delivered == 0 && round->failed == 0)
		return;
	entry = entry_of(delivery);
	if (round->delivered > 0)
		pg_atomic_fetch_add_u64(&entry->delivered, round->delivered);
	if (round->failed > 0)
		pg_atomic_fetch_add_u64(&entry->failed, round->failed);
}
