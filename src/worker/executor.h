/*
 * executor.h
 *	  One a role with subscriptions: delivers, as that role.
 */
#ifndef EE_EXECUTOR_H
#define EE_EXECUTOR_H

#include "postgres.h"

#include "ground/compat.h"

extern PGDLLEXPORT void ee_executor_main(Datum arg);

/*
 * Where the library is not preloaded: nobody tells of news, so the log is
 * looked at in short intervals; nobody shares the lanes of the role; and the
 * upkeep has to be done between the rounds.  Returns never.
 */
typedef struct EeExecutorAlone
{
	int			poll_interval_ms;
	/* has the log grown?  True: something of the role is due */
	bool		(*upkeep) (bool moved);
} EeExecutorAlone;

extern pg_noreturn void ee_executor_run_alone(Oid roleid,
											  const EeExecutorAlone *how);

#endif							/* EE_EXECUTOR_H */
