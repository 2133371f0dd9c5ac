/*
 * debug_point.c
 *	  Named places where a test can make a process stop, fail or die.
 */
#include "postgres.h"

#include "ground/debug_point.h"

#ifdef EE_DEBUG

#include <signal.h>

#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/guc.h"

#define WAIT_KEY	7823

static char *setting = NULL;

static void wait_for_key(void);

void
ee_debug_point_init(void)
{
	DefineCustomStringVariable("event_engine.debug_point",
							   "Where to stop, fail or die, for tests.",
							   NULL, &setting, "", PGC_SUSET, 0,
							   NULL, NULL, NULL);
}

void
ee_debug_point(const char *name)
{
	size_t		len = strlen(name);
	const char *action;

	if (setting == NULL || strncmp(setting, name, len) != 0 ||
		setting[len] != ':')
		return;
	action = setting + len + 1;
	if (strcmp(action, "error") == 0)
		elog(ERROR, "debug point \"%s\"", name);
	else if (strcmp(action, "fatal") == 0)
		elog(FATAL, "debug point \"%s\"", name);
	else if (strcmp(action, "kill") == 0)
		kill(MyProcPid, SIGKILL);
	else if (strcmp(action, "wait") == 0)
		wait_for_key();
}

static void
wait_for_key(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, WAIT_KEY, 1);
	(void) LockAcquire(&tag, ShareLock, false, false);
	LockRelease(&tag, ShareLock, false);
}

#endif							/* EE_DEBUG */
