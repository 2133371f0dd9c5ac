/*
 * router.h
 *	  One a database: starts executors, keeps time, does the upkeep.
 */
#ifndef EE_ROUTER_H
#define EE_ROUTER_H

#include "postgres.h"

extern PGDLLEXPORT void ee_router_main(Datum arg);

#endif							/* EE_ROUTER_H */
