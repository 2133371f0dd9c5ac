/*
 * executor.h
 *	  One a role with subscriptions: delivers, as that role.
 */
#ifndef EE_EXECUTOR_H
#define EE_EXECUTOR_H

#include "postgres.h"

extern PGDLLEXPORT void ee_executor_main(Datum arg);

#endif							/* EE_EXECUTOR_H */
