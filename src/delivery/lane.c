/*
 * lane.c
 *	  Which lane of a subscription an event belongs to.
 *
 * A pure function of the event and of what the subscription's epoch says, so
 * that each event is in one lane whoever looks, and whenever.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/builtins.h"

#include "delivery/lane.h"
#include "ground/config.h"

static int	index_of(Datum key, bool no_key, int64 seq, int concurrency);

/* A bell rings for all; in order, only what has no key can be overtaken. */
EeLane
ee_lane_of(const EeSubscription *subscription, int index, EePriority class)
{
	EeLane		lane;

	lane.number = ee_lane_number(subscription->epoch, index, class);
	lane.index = index;
	lane.class = class;
	lane.normal = ee_extension_priority_oid(EE_PRIORITY_NORMAL);
	lane.concurrency = subscription->concurrency;
	lane.ordered = subscription->lanes_ordered;
	if (class == EE_PRIORITY_NORMAL &&
		(lane.ordered || subscription->kind == EE_SUBSCRIPTION_NOTIFY))
		lane.classes = (1 << EE_N_PRIORITIES) - 1;
	else
		lane.classes = 1 << class;
	/* the exceptions are sorted out one by one, see ee_lane_takes() */
	if (subscription->kind == EE_SUBSCRIPTION_NOTIFY)
		lane.ordered = false;
	return lane;
}

/* As many as the one that asks for most. */
int
ee_lane_members(List *subscriptions, Oid owner)
{
	int			members = 1;
	ListCell   *lc;

	foreach(lc, subscriptions)
	{
		const EeSubscription *subscription = lfirst(lc);

		if (subscription->owner == owner &&
			subscription->status == EE_SUBSCRIPTION_ACTIVE &&
			(subscription->kind == EE_SUBSCRIPTION_HANDLER ||
			 subscription->kind == EE_SUBSCRIPTION_WORKFLOW))
			members = Max(members, subscription->concurrency);
	}
	return Min(members, ee_config_worker_executors_per_role);
}

/*
 * Subscriptions of one lane are spread, so that a slow one does not hold up
 * all others.
 */
int
ee_lane_member(const EeSubscription *subscription, int index, int members)
{
	if (subscription->concurrency == 1)
		return subscription->number % members;
	return index % members;
}

bool
ee_lane_class_exists(const EeSubscription *subscription, EePriority class)
{
	return class == EE_PRIORITY_NORMAL ||
		subscription->kind != EE_SUBSCRIPTION_NOTIFY;
}

bool
ee_lane_takes(const EeLane *lane, TupleTableSlot *slot)
{
	bool		isnull;
	Oid			priority = DatumGetObjectId(slot_getattr(slot,
														 EE_EVENT_PRIORITY,
														 &isnull));
	EePriority	class = priority == lane->normal ? EE_PRIORITY_NORMAL :
		ee_extension_priority_of(priority);

	if (lane->ordered && class != EE_PRIORITY_NORMAL)
	{
		(void) slot_getattr(slot, EE_EVENT_PARTITION_KEY, &isnull);
		if (!isnull)
			class = EE_PRIORITY_NORMAL;
		if (class != lane->class)
			return false;
	}
	if ((lane->classes & (1 << class)) == 0)
		return false;
	if (lane->concurrency > 1)
	{
		Datum		key = slot_getattr(slot, EE_EVENT_PARTITION_KEY, &isnull);
		bool		unused;
		int64		seq = DatumGetInt64(slot_getattr(slot, EE_EVENT_SEQ,
													 &unused));

		return index_of(key, isnull, seq, lane->concurrency) == lane->index;
	}
	return true;
}

int32
ee_lane_for(const EeSubscription *subscription, const EeEvent *event)
{
	bool		no_key = EE_EVENT_IS_NULL(event, EE_EVENT_PARTITION_KEY);
	EePriority	class =
		ee_extension_priority_of(DatumGetObjectId(EE_EVENT_VALUE(event,
																 EE_EVENT_PRIORITY)));

	if (subscription->kind == EE_SUBSCRIPTION_NOTIFY ||
		(subscription->lanes_ordered && !no_key))
		class = EE_PRIORITY_NORMAL;
	return ee_lane_number(subscription->epoch,
						  index_of(EE_EVENT_VALUE(event,
												  EE_EVENT_PARTITION_KEY),
								   no_key,
								   DatumGetInt64(EE_EVENT_VALUE(event,
																EE_EVENT_SEQ)),
								   subscription->concurrency), class);
}

/* By the key; events without one are spread. */
static int
index_of(Datum key, bool no_key, int64 seq, int concurrency)
{
	uint32		hash;

	if (concurrency == 1)
		return 0;
	if (no_key)
		hash = hash_bytes_uint32((uint32) seq);
	else
	{
		text	   *text_key = DatumGetTextPP(key);

		hash = hash_bytes((const unsigned char *) VARDATA_ANY(text_key),
						  VARSIZE_ANY_EXHDR(text_key));
	}
	return hash % concurrency;
}
