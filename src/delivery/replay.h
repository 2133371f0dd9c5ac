/*
 * replay.h
 *	  Deliver again what has been delivered.
 */
#ifndef EE_REPLAY_H
#define EE_REPLAY_H

#include "postgres.h"

/*
 * The event (composite) with "replayed": true in its metadata, which the
 * envelope has too; palloc'd.
 */
extern Datum ee_replay_mark(Datum event);

#endif							/* EE_REPLAY_H */
