/*
 * client_wait.c
 *	  Let a client wait in a procedure, holding nothing.
 *
 * Only a procedure can give up its snapshot: while it waits it has no
 * snapshot, no lock and no transaction id, and keeps VACUUM from nothing.  A
 * look is a short transaction:
 *
 *		look -> what is waited for is there: done
 *			 -> not yet: commit, wait, look again
 *
 * What woke us is not told: a publisher's commit, a change, or nothing (a
 * slow poll finds what nobody tells of).
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "delivery/client_wait.h"
#include "ground/shared.h"
#include "ground/waits.h"

/* How often to look where nobody wakes us, and where somebody does. */
#define POLL_INTERVAL_MS		50
#define SLOW_POLL_INTERVAL_MS	1000
#define MAX_WAIT_USECS			(24 * USECS_PER_HOUR)

static bool look_and_wait(EeClientLook look, void *arg, TimestampTz end,
						  bool attached);
static void detach(int code, Datum arg);
static long next_wait(TimestampTz next_look, TimestampTz end, bool attached);

void
ee_client_wait_check(FunctionCallInfo fcinfo, const char *name,
					 const char *hint)
{
	PreventCommandIfReadOnly(psprintf("%s()", name));
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s() cannot be called in a transaction block", name),
				 errdetail("Whoever waits in a transaction keeps VACUUM from its work."),
				 errhint("%s", hint)));
}

TimestampTz
ee_client_wait_end(FunctionCallInfo fcinfo, int argument, const char *name)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end;

	if (!PG_ARGISNULL(argument))
	{
		end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													  TimestampTzGetDatum(now),
													  PG_GETARG_DATUM(argument)));
		if (end >= now && end - now <= MAX_WAIT_USECS)
			return end;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be from 0 to 24 hours", name)));
}

bool
ee_client_wait(EeClientLook look, void *arg, TimestampTz end)
{
	bool		attached = ee_shared_waiter_attach();
	bool		found;

	PG_ENSURE_ERROR_CLEANUP(detach, (Datum) 0);
	{
		found = look_and_wait(look, arg, end, attached);
	}
	PG_END_ENSURE_ERROR_CLEANUP(detach, (Datum) 0);
	ee_shared_waiter_detach();
	return found;
}

/* Apart, so that nothing here is inlined into what a longjmp may clobber. */
static pg_noinline bool
look_and_wait(EeClientLook look, void *arg, TimestampTz end, bool attached)
{
	for (;;)
	{
		TimestampTz next_look = DT_NOEND;
		bool		found;
		long		wait;

		/* whoever publishes from here on sets it again */
		ResetLatch(MyLatch);
		found = look(arg, &next_look);
		wait = found ? 0 : next_wait(next_look, end, attached);
		SPI_commit();
		if (wait == 0)
			return found;
		Assert(!TransactionIdIsValid(MyProc->xmin));
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 wait, ee_waits_event(EE_WAIT_AWAIT));
		CHECK_FOR_INTERRUPTS();
	}
}

static void
detach(int code, Datum arg)
{
	ee_shared_waiter_detach();
}

/* Milliseconds until the next look; 0 when the time is up. */
static long
next_wait(TimestampTz next_look, TimestampTz end, bool attached)
{
	TimestampTz now = GetCurrentTimestamp();
	long		wait = TimestampDifferenceMilliseconds(now, end);

	if (wait <= 0)
		return 0;
	wait = Min(wait, attached ? SLOW_POLL_INTERVAL_MS : POLL_INTERVAL_MS);
	if (next_look < end)
		wait = Min(wait, TimestampDifferenceMilliseconds(now, next_look));
	return Max(wait, 1);
}
