/*
 * breaker.c
 *	  A circuit breaker.
 *
 * It opens when, within the window, as many attempts have failed as the
 * threshold says, and at least half of the latest ones, and of two events at
 * least.  So a busy subscription of healthy events stays closed though some
 * events in a row are poison, and a quiet one though the same event fails
 * again and again; where whatever handlers depend on is down it opens after
 * 32 failures at most.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "ground/breaker.h"

/* What came of an attempt: the low bits of its entry. */
#define FAILED			1
#define FIRST			2		/* of its event */
#define OUTCOME_BITS	2

/* While somebody else makes the trial. */
#define TRIAL_PAUSE_USECS	(20 * INT64CONST(1000))

static void enter(EeBreaker *breaker, EeBreakerState state, TimestampTz now);
static int	share_of(int n, int total);
static void remember(EeBreaker *breaker, TimestampTz now, int n,
					 uint32 outcome);
static bool is_too_much(const EeBreaker *breaker, const EeBreakerLimit *limit,
						TimestampTz now);

void
ee_breaker_init(EeBreaker *breaker)
{
	memset(breaker, 0, sizeof(EeBreaker));
	SpinLockInit(&breaker->lock);
	breaker->began = breaker->since = GetCurrentTimestamp();
}

/* Closed, with nothing remembered. */
void
ee_breaker_reset(EeBreaker *breaker)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&breaker->lock);
	breaker->opened = 0;
	breaker->began = now;
	enter(breaker, EE_BREAKER_CLOSED, now);
	SpinLockRelease(&breaker->lock);
}

static void
enter(EeBreaker *breaker, EeBreakerState state, TimestampTz now)
{
	breaker->state = state;
	breaker->since = now;
	breaker->n_attempts = 0;
	breaker->next_attempt = 0;
}

EeBreakerVerdict
ee_breaker_ask(EeBreaker *breaker, const EeBreakerLimit *limit,
			   TimestampTz *until)
{
	EeBreakerVerdict verdict = EE_BREAKER_WAIT;
	TimestampTz now;

	/* whoever comes too early for a breaker that opens just now is let in */
	if (limit->threshold == 0 || breaker->state == EE_BREAKER_CLOSED)
		return EE_BREAKER_GO;
	now = GetCurrentTimestamp();
	SpinLockAcquire(&breaker->lock);
	switch (breaker->state)
	{
		case EE_BREAKER_CLOSED:
			verdict = EE_BREAKER_GO;
			break;
		case EE_BREAKER_HALF_OPEN:
			*until = now + TRIAL_PAUSE_USECS;
			break;
		case EE_BREAKER_OPEN:
			/* the clock may have been set, or the recovery shortened */
			breaker->since = Min(breaker->since, now);
			breaker->retry_at = Min(breaker->retry_at,
									breaker->since +
									limit->recovery_ms * INT64CONST(1000));
			*until = breaker->retry_at;
			if (breaker->retry_at <= now)
			{
				breaker->state = EE_BREAKER_HALF_OPEN;
				verdict = EE_BREAKER_TRY;
			}
			break;
	}
	SpinLockRelease(&breaker->lock);
	return verdict;
}

bool
ee_breaker_note(EeBreaker *breaker, const EeBreakerLimit *limit,
				int succeeded, int failed, int first_failed, bool trial)
{
	TimestampTz now;
	bool		changed = false;

	if (!trial && (limit->threshold == 0 || succeeded + failed == 0))
		return false;
	now = GetCurrentTimestamp();
	SpinLockAcquire(&breaker->lock);
	if (trial && breaker->state == EE_BREAKER_HALF_OPEN)
	{
		if (failed > 0)
		{
			enter(breaker, EE_BREAKER_OPEN, now);
			breaker->retry_at = now + limit->recovery_ms * INT64CONST(1000);
		}
		else if (succeeded > 0)
		{
			enter(breaker, EE_BREAKER_CLOSED, now);
			changed = true;
		}
		else
			breaker->state = EE_BREAKER_OPEN;
	}
	else if (breaker->state == EE_BREAKER_CLOSED && limit->threshold > 0)
	{
		int			total = succeeded + failed;
		int			first = share_of(first_failed, total);
		int			again = share_of(failed - first_failed, total);

		remember(breaker, now,
				 Min(total, EE_BREAKER_ATTEMPTS) - first - again, 0);
		remember(breaker, now, first, FAILED | FIRST);
		remember(breaker, now, again, FAILED);
		if (failed > 0 && is_too_much(breaker, limit, now))
		{
			enter(breaker, EE_BREAKER_OPEN, now);
			breaker->retry_at = now + limit->recovery_ms * INT64CONST(1000);
			breaker->opened++;
			changed = true;
		}
	}
	SpinLockRelease(&breaker->lock);
	return changed;
}

/*
 * A round of more than are remembered: as many of each kind as if they had
 * come evenly spread.  In what order they came nobody has kept.
 */
static int
share_of(int n, int total)
{
	if (total <= EE_BREAKER_ATTEMPTS)
		return n;
	return (int) ((int64) n * EE_BREAKER_ATTEMPTS / total);
}

static void
remember(EeBreaker *breaker, TimestampTz now, int n, uint32 outcome)
{
	uint32		at = (uint32) ((now - breaker->began) / 1000);

	for (int i = 0; i < n; i++)
	{
		breaker->attempts[breaker->next_attempt] =
			(at << OUTCOME_BITS) | outcome;
		breaker->next_attempt = (breaker->next_attempt + 1) %
			EE_BREAKER_ATTEMPTS;
	}
	breaker->n_attempts = Min(breaker->n_attempts + n, EE_BREAKER_ATTEMPTS);
}

static bool
is_too_much(const EeBreaker *breaker, const EeBreakerLimit *limit,
			TimestampTz now)
{
	uint32		at = ((uint32) ((now - breaker->began) / 1000)) << OUTCOME_BITS;
	uint32		window = ((uint32) limit->window_ms) << OUTCOME_BITS;
	int			recent = 0;
	int			failed = 0;
	int			first = 0;

	for (int i = 0; i < breaker->n_attempts; i++)
	{
		uint32		attempt = breaker->attempts[i];

		/* the counter of milliseconds may have begun anew */
		if (at - (attempt & ~(uint32) (FAILED | FIRST)) > window)
			continue;
		recent++;
		if (attempt & FAILED)
			failed++;
		if (attempt & FIRST)
			first++;
	}
	return failed >= limit->threshold && failed * 2 >= recent &&
		first >= Min(2, limit->threshold);
}

void
ee_breaker_read(EeBreaker *breaker, EeBreakerState *state,
				TimestampTz *since, TimestampTz *retry_at, uint32 *opened)
{
	SpinLockAcquire(&breaker->lock);
	*state = breaker->state;
	*since = breaker->since;
	*retry_at = breaker->retry_at;
	*opened = breaker->opened;
	SpinLockRelease(&breaker->lock);
}

const char *
ee_breaker_state_name(EeBreakerState state)
{
	switch (state)
	{
		case EE_BREAKER_CLOSED:
			return "closed";
		case EE_BREAKER_OPEN:
			return "open";
		case EE_BREAKER_HALF_OPEN:
			return "half_open";
	}
	return NULL;				/* keep the compiler quiet */
}
