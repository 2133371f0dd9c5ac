/*
 * shared_hold.c
 *	  Keep our workers out of a database for a while.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procarray.h"

#include "ground/shared_internal.h"
#include "ground/waits.h"

static bool signal_workers(Oid dbid);

bool
ee_shared_hold_exists(Oid dbid)
{
	for (int i = 0; i < EE_MAX_HOLDS; i++)
	{
		EeHold	   *hold = &ee_shared->holds[i];

		if (hold->dbid == dbid && BackendPidGetProc(hold->pid) != NULL)
			return true;
	}
	return false;
}

/*
 * End our workers in a database and let none start until it is released or
 * this backend ends.  Waits until they are gone; interruptible, the caller
 * releases then.  With all holds taken the workers are ended all the same.
 */
void
ee_shared_hold_database(Oid dbid)
{
	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < EE_MAX_HOLDS; i++)
	{
		EeHold	   *hold = &ee_shared->holds[i];

		if (!OidIsValid(hold->dbid) || BackendPidGetProc(hold->pid) == NULL)
		{
			hold->dbid = dbid;
			hold->pid = MyProcPid;
			break;
		}
	}
	LWLockRelease(ee_shared->lock);

	while (signal_workers(dbid))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 10L, ee_waits_event(EE_WAIT_HOLD));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* True while there is one that has not ended. */
static bool
signal_workers(Oid dbid)
{
	bool		any = false;

	LWLockAcquire(ee_shared->lock, LW_SHARED);
	for (int i = 0; i < EE_MAX_DATABASES; i++)
	{
		EeDatabaseSlot *db = &ee_shared->databases[i];

		if (pg_atomic_read_u32(&db->dbid) == dbid &&
			db->state == EE_SLOT_RUNNING)
		{
			kill(db->pid, SIGTERM);
			any = true;
		}
	}
	for (int i = 0; i < ee_shared->n_workers; i++)
	{
		EeWorkerSlot *worker = &ee_shared->workers[i];

		if (pg_atomic_read_u32(&worker->dbid) == dbid &&
			worker->state == EE_SLOT_RUNNING)
		{
			kill(worker->pid, SIGTERM);
			any = true;
		}
	}
	LWLockRelease(ee_shared->lock);
	return any;
}

void
ee_shared_release_database(Oid dbid)
{
	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < EE_MAX_HOLDS; i++)
		if (ee_shared->holds[i].dbid == dbid && ee_shared->holds[i].pid == MyProcPid)
			ee_shared->holds[i].dbid = InvalidOid;
	LWLockRelease(ee_shared->lock);
	pg_atomic_write_u32(&ee_shared->launcher_request, 1);
	ee_shared_set_latch(pg_atomic_read_u32(&ee_shared->launcher_procno));
}
