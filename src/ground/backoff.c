/*
 * backoff.c
 *	  How long to wait before the next attempt.
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"

#include "ground/backoff.h"
#include "ground/option.h"

void
ee_backoff_read(EeBackoff *backoff, Jsonb *options)
{
	backoff->ms = (int64) ee_option_number(options, "backoff_ms", 1000);
	backoff->factor = ee_option_number(options, "backoff_factor", 2);
	backoff->max_ms =
		(int64) ee_option_number(options, "backoff_max_ms", 3600000);
	backoff->jitter = ee_option_number(options, "jitter", 0.2);
}

/*
 * base * factor^(attempts - 1), capped, less a random share up to jitter.
 */
int64
ee_backoff_delay_ms(const EeBackoff *backoff, int attempts)
{
	double		delay = backoff->ms * pow(backoff->factor, attempts - 1);

	delay = Min(delay, (double) backoff->max_ms);
	delay -= delay * backoff->jitter * pg_prng_double(&pg_global_prng_state);
	return (int64) Max(delay, 0);
}
