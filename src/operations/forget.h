/*
 * forget.h
 *	  Rows that are of no more use leave our tables.
 */
#ifndef EE_FORGET_H
#define EE_FORGET_H

#include "postgres.h"

#include "delivery/unit.h"

/* A round of it, many short units rather than a long one. */
extern void ee_forget_run(const EeUnit *unit);

#endif							/* EE_FORGET_H */
