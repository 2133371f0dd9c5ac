/*
 * subtransaction.h
 *	  Work that may fail without the transaction around it.
 */
#ifndef EE_SUBTRANSACTION_H
#define EE_SUBTRANSACTION_H

#include "postgres.h"

#include "utils/elog.h"

/*
 * Run body(arg) in a subtransaction of its own, in CurrentMemoryContext.
 * NULL: it went well, and is part of the transaction.  Else the error, in
 * CurrentMemoryContext; what was done is undone, and whoever cannot deal with
 * the error raises it again (ReThrowError).
 */
extern ErrorData *ee_subtransaction_run(void (*body) (void *arg), void *arg);

#endif							/* EE_SUBTRANSACTION_H */
