/*
 * lock_within.c
 *	  Wait for a lock, but not for long.
 *
 * The wait is the server's own, in the queue of the lock, so it ends at the
 * moment the lock is free, and pg_blocking_pids() tells of it.  It is bounded
 * by lock_timeout, whose error ends a subtransaction; only who has to wait
 * begins one.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "ground/lock_within.h"
#include "ground/subtransaction.h"

typedef struct Wanted
{
	const LOCKTAG *tag;
	LOCKMODE	mode;
	int			ms;
} Wanted;

static void wait_for_lock(void *arg);

bool
ee_lock_within(const LOCKTAG *tag, LOCKMODE mode, int ms)
{
	Wanted		wanted = {tag, mode, ms};
	ErrorData  *error;

	if (LockAcquire(tag, mode, false, true) != LOCKACQUIRE_NOT_AVAIL)
		return true;
	if (ms == 0)
		return false;
	error = ee_subtransaction_run(wait_for_lock, &wanted);
	if (error == NULL)
		return true;
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

static void
wait_for_lock(void *arg)
{
	const Wanted *wanted = arg;
	int			nest_level = NewGUCNestLevel();
	char		ms[16];

	snprintf(ms, sizeof(ms), "%d", wanted->ms);
	(void) set_config_option("lock_timeout", ms, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) LockAcquire(wanted->tag, wanted->mode, false, false);
	AtEOXact_GUC(true, nest_level);
}
