/*
 * event_worker.h
 *	  A worker where the library is not preloaded.
 */
#ifndef EE_EVENT_WORKER_H
#define EE_EVENT_WORKER_H

#include "postgres.h"

extern PGDLLEXPORT void ee_event_worker_main(Datum arg);

#endif							/* EE_EVENT_WORKER_H */
