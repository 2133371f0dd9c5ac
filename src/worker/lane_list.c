/*
 * lane_list.c
 *	  What an executor asks of all its lanes.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "ground/config.h"
#include "worker/lane_list.h"
#include "worker/sparse.h"

/* A shorter batch would be all commit. */
#define SLICE_MIN_MS	10

bool
ee_lane_list_behind(List *const *lanes, EeLaneTest ours)
{
	ListCell   *lc;

	for (int class = 0; class < EE_N_PRIORITIES; class++)
		foreach(lc, lanes[class])
		{
			EeDelivery *delivery = lfirst(lc);

			if (delivery->behind && ours(delivery))
				return true;
		}
	return false;
}

/* The lane of class normal does it for the others beside it. */
TimestampTz
ee_lane_list_due(List *const *lanes)
{
	TimestampTz earliest = DT_NOEND;
	ListCell   *lc;

	foreach(lc, lanes[EE_PRIORITY_NORMAL])
	{
		EeDelivery *delivery = lfirst(lc);

		earliest = Min(earliest, delivery->next_due);
	}
	return earliest;
}

TimestampTz
ee_lane_list_ready(List *const *lanes, EeLaneTest ours)
{
	TimestampTz earliest = DT_NOEND;
	ListCell   *lc;

	for (int class = 0; class < EE_N_PRIORITIES; class++)
		foreach(lc, lanes[class])
		{
			EeDelivery *delivery = lfirst(lc);
			TimestampTz wanted = delivery->behind ? DT_NOBEGIN :
				delivery->next_due;

			if (!ours(delivery))
				continue;
			earliest = Min(earliest, Max(wanted, delivery->held_until));
		}
	return earliest;
}

void
ee_lane_list_mark(List *const *lanes, int member)
{
	ListCell   *lc;

	for (int class = 0; class < EE_N_PRIORITIES; class++)
		foreach(lc, lanes[class])
		{
			EeDelivery *delivery = lfirst(lc);

			if (delivery->member != member)
				continue;
			delivery->behind = true;
			delivery->held_until = 0;
			if (delivery->base == delivery)
				delivery->next_due = DT_NOBEGIN;
		}
}

/* Those of class normal last: others rest on them. */
void
ee_lane_list_sleep(List **lanes, int keep)
{
	for (int class = 0; class < EE_N_PRIORITIES; class++)
		if (class != EE_PRIORITY_NORMAL)
			lanes[class] = ee_sparse_sleep(lanes[class], keep);
	lanes[EE_PRIORITY_NORMAL] = ee_sparse_sleep(lanes[EE_PRIORITY_NORMAL],
												keep);
}

int
ee_lane_list_slice(List *of_class,
				   bool (*is_ready) (const EeDelivery *delivery,
									 TimestampTz now))
{
	TimestampTz now = GetCurrentTimestamp();
	int			n = 0;
	ListCell   *lc;

	foreach(lc, of_class)
		if (is_ready(lfirst(lc), now))
			n++;
	return n < 2 ? 0 : Max(ee_config_delivery_batch_time / n,
						   Min(SLICE_MIN_MS, ee_config_delivery_batch_time));
}
