/*
 * helper.c
 *	  Executors that step in for others of their role that are stuck.
 *
 * The lanes of a role are spread over a few executors, and one whose handler
 * does not come to an end would keep all others of them waiting.  So the
 * router starts another executor of the role when a round takes longer than
 * it can have been meant to.  As long as that goes on the helper delivers the
 * lanes of whoever is stuck, all but the one in hand, whose lock is held.
 * When it gets stuck itself the next helper steps in, up to a limit.
 *
 *		idle -> standing in (a member is stuck, and all helpers before it)
 *			 -> idle (none is any more)
 *			 -> ended (for a while)
 *
 * Who has a lane follows from its lock, so that it does not matter whether
 * two agree on who is stuck.  Each round of a helper begins with what the
 * tables say, and leaves word for the member that what it knows of its lanes
 * is out of date (ee_unit_enter).
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "ground/config.h"
#include "ground/shared.h"
#include "worker/helper.h"

/* A helper that nobody has needed for so long ends. */
#define LINGER_MS	10000

static EeSharedStuck stuck;
static bool active = false;
static TimestampTz needed_at = 0;

static TimestampTz stuck_before(void);

/* A round may take as long as a batch, and what one handler is allowed. */
static TimestampTz
stuck_before(void)
{
	return GetCurrentTimestamp() -
		(ee_config_worker_help_after + ee_config_delivery_batch_time) *
		INT64CONST(1000);
}

bool
ee_helper_look(Oid role, int member)
{
	uint64		before = active ? stuck.members : 0;
	uint32		earlier = (1 << (member - EE_FIRST_HELPER)) - 1;

	ee_shared_executor_stuck(MyDatabaseId, role, stuck_before(), &stuck);
	active = stuck.members != 0 && (stuck.helpers & earlier) == earlier;
	if (active || needed_at == 0)
		needed_at = GetCurrentTimestamp();
	return active && (stuck.members & ~before) != 0;
}

bool
ee_helper_stands_in(int member)
{
	return active && (stuck.members & (UINT64CONST(1) << member)) != 0;
}

bool
ee_helper_is_done(void)
{
	return !active &&
		TimestampDifferenceExceeds(needed_at, GetCurrentTimestamp(),
								   LINGER_MS);
}

TimestampTz
ee_helper_next(bool *any)
{
	TimestampTz before = stuck_before();
	TimestampTz since = ee_shared_executor_busy_since(MyDatabaseId, before,
													  any);

	if (ee_config_worker_helpers_per_role == 0)
		*any = false;
	return since == DT_NOEND || ee_config_worker_helpers_per_role == 0 ?
		DT_NOEND : GetCurrentTimestamp() + (since - before);
}

int
ee_helper_wanted(Oid role, int member)
{
	EeSharedStuck now;

	ee_shared_executor_stuck(MyDatabaseId, role, stuck_before(), &now);
	if ((now.members & (UINT64CONST(1) << member)) == 0)
		return -1;
	for (int i = 0; i < Min(ee_config_worker_helpers_per_role, EE_MAX_HELPERS); i++)
		if ((now.helpers & (1 << i)) == 0)
			return EE_FIRST_HELPER + i;
	return -1;
}
