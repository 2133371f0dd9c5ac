/*
 * client_wait.h
 *	  Let a client wait in a procedure, holding nothing.
 */
#ifndef EE_CLIENT_WAIT_H
#define EE_CLIENT_WAIT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"

/*
 * One look, in a transaction of its own that is committed afterwards: true
 * ends the wait.  It announces what is to wake us (ee_shared_waiter_store)
 * before it looks.  *next_look is far ahead; it may ask for an earlier one.
 */
typedef bool (*EeClientLook) (void *arg, TimestampTz *next_look);

/*
 * Raise an error unless the procedure may commit.  The hint tells what to do
 * in a transaction block instead.
 */
extern void ee_client_wait_check(FunctionCallInfo fcinfo, const char *name,
								 const char *hint);

/* When a wait given as an argument, an interval, is over. */
extern TimestampTz ee_client_wait_end(FunctionCallInfo fcinfo, int argument,
									  const char *name);

/*
 * Look and wait until the look succeeds (true) or the time is up.  To be
 * called connected to SPI, non-atomically: it commits.
 */
extern bool ee_client_wait(EeClientLook look, void *arg, TimestampTz end);

#endif							/* EE_CLIENT_WAIT_H */
