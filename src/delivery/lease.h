/*
 * lease.h
 *	  Keep the tables of leases and counts short.
 */
#ifndef EE_LEASE_H
#define EE_LEASE_H

#include "postgres.h"

/*
 * Write the tables anew that have grown by what is long settled, unless
 * somebody is using them.  Needs a transaction of its own.
 */
extern void ee_lease_gather(void);

#endif							/* EE_LEASE_H */
