/*
 * helper.h
 *	  Executors that step in for others of their role that are stuck.
 */
#ifndef EE_HELPER_H
#define EE_HELPER_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "delivery/lane.h"

/* Members of a role from here on are helpers, and have no lanes of their own. */
#define EE_FIRST_HELPER		EE_MAX_CONCURRENCY
#define EE_MAX_HELPERS		16

/* ------------------------------------------------------------- the helper */

/* Look anew who is stuck; true when somebody is who was not. */
extern bool ee_helper_look(Oid role, int member);

/* Is it to deliver for this member now, going by that look? */
extern bool ee_helper_stands_in(int member);

/* Has nobody needed it for a while? */
extern bool ee_helper_is_done(void);

/* ------------------------------------------------------------- the router */

/*
 * When one of the executors in this database may count as stuck that do not
 * yet; DT_NOEND: none.  *any: one does already.
 */
extern TimestampTz ee_helper_next(bool *any);

/* The helper to be started for a member of a role; -1: none. */
extern int	ee_helper_wanted(Oid role, int member);

#endif							/* EE_HELPER_H */
