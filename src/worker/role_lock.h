/*
 * role_lock.h
 *	  One executor for each member of a role.
 */
#ifndef EE_ROLE_LOCK_H
#define EE_ROLE_LOCK_H

#include "postgres.h"

/* To be that one until the process ends; false: there is another. */
extern bool ee_role_lock_claim(Oid role, int member);

/*
 * Around the abort of a transaction, which releases the locks of the session
 * too; the second raises an error when another has it by now.
 */
extern void ee_role_lock_lose(void);
extern void ee_role_lock_again(void);

#endif							/* EE_ROLE_LOCK_H */
