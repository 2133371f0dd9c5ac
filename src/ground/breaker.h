/*
 * breaker.h
 *	  A circuit breaker: after too many failures nothing is tried for a while,
 *	  then one attempt tells whether to go on.
 *
 *		closed ──too many attempts failed──▶ open ──recovery is over──▶
 *		half open ──the trial succeeded──▶ closed
 *				  └──it failed──▶ open
 *				  └──there was nothing to try──▶ open, due at once
 */
#ifndef EE_BREAKER_H
#define EE_BREAKER_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/spin.h"

typedef enum EeBreakerState
{
	EE_BREAKER_CLOSED,
	EE_BREAKER_OPEN,
	EE_BREAKER_HALF_OPEN
} EeBreakerState;

/* When it opens; a threshold of 0: never. */
typedef struct EeBreakerLimit
{
	int			threshold;		/* failures within the window */
	int			window_ms;
	int			recovery_ms;	/* until one attempt is made */
} EeBreakerLimit;

/* The latest attempts that are remembered, and so the highest threshold. */
#define EE_BREAKER_ATTEMPTS	64

/* All is written under the lock. */
typedef struct EeBreaker
{
	slock_t		lock;
	EeBreakerState state;		/* may be read without */
	TimestampTz since;			/* of the state */
	TimestampTz retry_at;		/* open: when to try */
	uint32		opened;			/* how often it has */

	/* the latest attempts, a ring */
	int			n_attempts;
	int			next_attempt;
	uint32		attempts[EE_BREAKER_ATTEMPTS];	/* milliseconds since began,
												 * and what came of it */
	TimestampTz began;
} EeBreaker;

typedef enum EeBreakerVerdict
{
	EE_BREAKER_GO,				/* as you like */
	EE_BREAKER_TRY,				/* one attempt, and say what came of it */
	EE_BREAKER_WAIT				/* not before *until */
} EeBreakerVerdict;

extern void ee_breaker_init(EeBreaker *breaker);
extern void ee_breaker_reset(EeBreaker *breaker);

extern EeBreakerVerdict ee_breaker_ask(EeBreaker *breaker,
									   const EeBreakerLimit *limit,
									   TimestampTz *until);

/*
 * What came of it: attempts that succeeded, that failed, and how many of the
 * latter were an event's first; trial: the verdict had been TRY.  Returns
 * true when the breaker has changed its state, for who tells of it.
 */
extern bool ee_breaker_note(EeBreaker *breaker, const EeBreakerLimit *limit,
							int succeeded, int failed, int first_failed,
							bool trial);

/* Has so much failed in a round that it should end, and ask before another? */
static inline bool
ee_breaker_doubts(const EeBreakerLimit *limit, int succeeded, int failed)
{
	return limit->threshold > 0 && failed >= limit->threshold &&
		failed >= succeeded;
}

/* A copy for readers. */
extern void ee_breaker_read(EeBreaker *breaker, EeBreakerState *state,
							TimestampTz *since, TimestampTz *retry_at,
							uint32 *opened);

extern const char *ee_breaker_state_name(EeBreakerState state);

#endif							/* EE_BREAKER_H */
