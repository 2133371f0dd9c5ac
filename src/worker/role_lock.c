/*
 * role_lock.c
 *	  One executor for each member of a role, whatever becomes of shared
 *	  memory.
 *
 * The lock is the session's, as it is to outlast the units.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lock.h"

#include "delivery/lane.h"
#include "ground/extension.h"
#include "worker/role_lock.h"

static LOCKTAG tag;
static Oid	of_role;
static int	of_member;
static bool held = false;

static bool acquire(void);
static void release(int code, Datum arg);

bool
ee_role_lock_claim(Oid role, int member)
{
	of_role = role;
	of_member = member;
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId,
					   ee_extension_relid(EE_REL_SUBSCRIPTIONS), role,
					   EE_LOCK_MEMBERS + member);
	before_shmem_exit(release, (Datum) 0);
	return acquire();
}

static bool
acquire(void)
{
	held = LockAcquire(&tag, ExclusiveLock, true, true) !=
		LOCKACQUIRE_NOT_AVAIL;
	return held;
}

/*
 * Outside of a transaction nobody else releases it: the server takes such
 * locks for those of a command that is under way.
 */
static void
release(int code, Datum arg)
{
	if (held)
		(void) LockRelease(&tag, ExclusiveLock, true);
	held = false;
}

void
ee_role_lock_lose(void)
{
	held = false;
}

void
ee_role_lock_again(void)
{
	if (!acquire())
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("another executor delivers for role %u, member %d",
						of_role, of_member)));
}
