/*
 * worker_main.h
 *	  What our processes have in common.
 */
#ifndef EE_WORKER_MAIN_H
#define EE_WORKER_MAIN_H

#include "postgres.h"

#include "delivery/round.h"
#include "ground/waits.h"

/* What a process is told by who starts it, in bgw_extra. */
typedef struct EeWorkerStart
{
	int			index;			/* of its slot */
	uint32		generation;		/* of the slot */
	Oid			dbid;
	Oid			roleid;
	int			member;			/* of the role's executors, from 0 */
	int			poll_interval_ms;	/* of a worker that nobody tells of news */
} EeWorkerStart;

extern void ee_worker_register_launcher(void);

/* Start a process; false when the server has no slot for it. */
extern bool ee_worker_start(const char *function, const char *type,
							const char *name, const EeWorkerStart *start);

/* The same, and the server starts it again so long after it has failed. */
extern bool ee_worker_start_for_long(const char *function, const char *type,
									 const char *name,
									 const EeWorkerStart *start,
									 int restart_s);
extern void ee_worker_read_start(EeWorkerStart *start);

extern void ee_worker_signals(void);
extern void ee_worker_connect(Oid dbid, Oid roleid, const char *name);

/* Wait for the latch; then interrupts, and the configuration if asked. */
extern void ee_worker_wait(long timeout_ms, EeWait what);
extern void ee_worker_reload(void);

/*
 * First of all: wait until the extension is of the version of the library.
 * *waits tells others; it may be NULL.
 */
extern void ee_worker_await_version(volatile bool *waits);

/*
 * A transaction of a worker: with a snapshot, and the extension locked so
 * that it stays.  Ends the process when the extension is gone, or of another
 * version than it was.
 */
extern void ee_worker_begin(void);
extern void ee_worker_commit(void);
extern void ee_worker_abort(void);
extern const EeUnit ee_worker_unit;

/*
 * Would a transaction that writes to this table begin without waiting for
 * anybody?  For who cannot be interrupted.
 */
extern bool ee_worker_is_free(EeRelation relation);

#endif							/* EE_WORKER_MAIN_H */
