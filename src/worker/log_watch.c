/*
 * log_watch.c
 *	  Has anything been committed to the log of which nobody told?
 *
 * The poll of our processes.  It compares the position of the log with that
 * of the last time, so that an idle database costs next to nothing however
 * many subscriptions there are.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "store/log_position.h"
#include "store/milestone.h"
#include "worker/log_watch.h"
#include "worker/worker_main.h"

static MemoryContext position_context = NULL;
static EeLogPosition *last_position = NULL;

static bool look(bool *moved);

bool
ee_log_watch_late(void)
{
	bool		moved;

	return look(&moved);
}

bool
ee_log_watch_any(void)
{
	bool		moved;
	bool		late = look(&moved);

	return late || moved;
}

static bool
look(bool *moved)
{
	EeLogPosition *position;
	MemoryContext context;
	MemoryContext old;
	bool		late = false;

	ee_worker_begin();
	position = ee_log_position_current();
	*moved = last_position == NULL || position->seq != last_position->seq;
	if (last_position != NULL)
	{
		int			n_late;
		uint64	   *xids = ee_log_position_late(last_position, position,
												&n_late);

		late = n_late > 0 && ee_milestone_published(xids, n_late);
	}
	context = AllocSetContextCreate(TopMemoryContext, "event_engine position",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	last_position = palloc(sizeof(EeLogPosition));
	ee_log_position_copy(last_position, position);
	MemoryContextSwitchTo(old);
	if (position_context != NULL)
		MemoryContextDelete(position_context);
	position_context = context;
	ee_worker_commit();
	return late;
}
