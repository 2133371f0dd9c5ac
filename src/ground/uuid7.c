/*
 * uuid7.c
 *	  UUIDs of version 7: ordered by time (RFC 9562, section 5.7).
 *
 * 48 bits of milliseconds, 12 bits of the fraction below (method 3 of
 * section 6.2), 62 random bits.  Two of the same backend within one step of
 * the fraction, or after the clock went back, are told apart by stepping the
 * fraction on, so they stay in order.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "ground/uuid7.h"

#define UNIX_TO_POSTGRES_USECS \
	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)
#define FRACTION_STEPS	4096

static void random_bytes(uint8 *to, int n);

void
ee_uuid7_generate(pg_uuid_t *uuid, TimestampTz now)
{
	static uint64 previous = 0;
	uint64		usecs = (uint64) (now + UNIX_TO_POSTGRES_USECS);
	uint64		ticks = (usecs / 1000) * FRACTION_STEPS +
		((usecs % 1000) * FRACTION_STEPS) / 1000;
	uint64		msecs;
	uint32		fraction;

	if (ticks <= previous)
		ticks = previous + 1;
	previous = ticks;
	msecs = ticks / FRACTION_STEPS;
	fraction = ticks % FRACTION_STEPS;

	for (int i = 0; i < 6; i++)
		uuid->data[i] = (uint8) (msecs >> (40 - 8 * i));
	uuid->data[6] = 0x70 | (fraction >> 8);
	uuid->data[7] = fraction & 0xff;
	random_bytes(uuid->data + 8, 8);
	uuid->data[8] = 0x80 | (uuid->data[8] & 0x3f);
}

TimestampTz
ee_uuid7_timestamp(const pg_uuid_t *uuid)
{
	uint64		msecs = 0;
	uint32		fraction = ((uuid->data[6] & 0x0f) << 8) | uuid->data[7];

	for (int i = 0; i < 6; i++)
		msecs = (msecs << 8) | uuid->data[i];
	return (TimestampTz) (msecs * 1000 + (fraction * 1000) / FRACTION_STEPS) -
		UNIX_TO_POSTGRES_USECS;
}

void
ee_uuid7_to_text(const pg_uuid_t *uuid, char *text)
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		*text++ = hex[uuid->data[i] >> 4];
		*text++ = hex[uuid->data[i] & 0x0f];
	}
}

/* The kernel's randomness, fetched a few hundred bytes at a time. */
static void
random_bytes(uint8 *to, int n)
{
	static uint8 pool[512];
	static int	left = 0;

	if (left < n)
	{
		if (!pg_strong_random(pool, sizeof(pool)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
		left = sizeof(pool);
	}
	left -= n;
	memcpy(to, pool + left, n);
}
