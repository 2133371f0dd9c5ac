/*
 * handler_guard.h
 *	  What the server leaves open to a restricted handler.
 */
#ifndef EE_HANDLER_GUARD_H
#define EE_HANDLER_GUARD_H

#include "postgres.h"

/* When the library is loaded. */
extern void ee_handler_guard_init(void);

#endif							/* EE_HANDLER_GUARD_H */
