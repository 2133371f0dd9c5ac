/*
 * launcher.h
 *	  One a server: a router for each database with the extension.
 */
#ifndef EE_LAUNCHER_H
#define EE_LAUNCHER_H

#include "postgres.h"

extern PGDLLEXPORT void ee_launcher_main(Datum arg);

#endif							/* EE_LAUNCHER_H */
