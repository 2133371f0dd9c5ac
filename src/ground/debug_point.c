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

/* of the place that the setting names */
static int	visits = 0;

static bool is_turn(const char *action);
static bool is_action(const char *action, const char *name);
static void assign_setting(const char *value, void *extra);
static void wait_for_key(void);

void
ee_debug_point_init(void)
{
	DefineCustomStringVariable("event_engine.debug_point",
							   "Where to stop, fail or die, for tests.",
							   NULL, &setting, "", PGC_SUSET, 0,
							   NULL, assign_setting, NULL);
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
	if (!is_turn(action))
		return;
	if (is_action(action, "error"))
		elog(ERROR, "debug point \"%s\"", name);
	else if (is_action(action, "fatal"))
		elog(FATAL, "debug point \"%s\"", name);
	else if (is_action(action, "terminate"))
	{
		elog(LOG, "debug point \"%s\"", name);
		kill(MyProcPid, SIGTERM);
	}
	else if (is_action(action, "kill"))
	{
		elog(LOG, "debug point \"%s\"", name);
		kill(MyProcPid, SIGKILL);
	}
	else if (is_action(action, "wait"))
		wait_for_key();
}

/* Has this process been here as often as is asked?  Counts its visits. */
static bool
is_turn(const char *action)
{
	const char *nth = strchr(action, '@');

	return nth == NULL || ++visits == atoi(nth + 1);
}

static bool
is_action(const char *action, const char *name)
{
	size_t		len = strlen(name);

	return strncmp(action, name, len) == 0 &&
		(action[len] == '\0' || action[len] == '@');
}

/* A new setting counts from the beginning. */
static void
assign_setting(const char *value, void *extra)
{
	visits = 0;
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
