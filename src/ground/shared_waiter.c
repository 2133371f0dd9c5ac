/*
 * shared_waiter.c
 *	  Clients that wait for events, and are woken at commit.
 *
 * A client announces what it wants before it looks at the log, as executors
 * do, and so misses nothing.  It is told by its latch alone: it looks again,
 * and finds out why.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"

#include "ground/compat.h"
#include "ground/shared_internal.h"

static EeWaiterSlot *own_slot = NULL;

void
ee_shared_waiters_init(void)
{
	pg_atomic_init_u32(&ee_shared->waiters_end, 0);
	for (int i = 0; i < EE_MAX_WAITERS; i++)
	{
		EeWaiterSlot *waiter = &ee_shared->waiters[i];

		pg_atomic_init_u32(&waiter->dbid, InvalidOid);
		pg_atomic_init_u32(&waiter->procno, EE_NO_PROC);
		for (int w = 0; w < EE_PATTERN_WORDS; w++)
			pg_atomic_init_u64(&waiter->interest.words[w], 0);
	}
}

bool
ee_shared_waiter_attach(void)
{
	if (ee_shared == NULL)
		return false;
	Assert(own_slot == NULL);
	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < EE_MAX_WAITERS && own_slot == NULL; i++)
	{
		EeWaiterSlot *waiter = &ee_shared->waiters[i];

		if (pg_atomic_read_u32(&waiter->dbid) != InvalidOid)
			continue;
		own_slot = waiter;
		pg_atomic_write_u32(&waiter->procno, EE_MY_PROCNO);
		pg_atomic_write_u32(&waiter->dbid, MyDatabaseId);
		if (pg_atomic_read_u32(&ee_shared->waiters_end) <= i)
			pg_atomic_write_u32(&ee_shared->waiters_end, i + 1);
	}
	LWLockRelease(ee_shared->lock);
	return own_slot != NULL;
}

/* A full barrier follows: what is published unseen from here on wakes us. */
void
ee_shared_waiter_store(const EePatternSet *set)
{
	if (own_slot != NULL)
		ee_shared_pattern_store(&own_slot->interest, set);
}

void
ee_shared_waiter_detach(void)
{
	uint32		end;

	if (own_slot == NULL)
		return;
	LWLockAcquire(ee_shared->lock, LW_EXCLUSIVE);
	ee_shared_clear_patterns(&own_slot->interest);
	pg_atomic_write_u32(&own_slot->procno, EE_NO_PROC);
	pg_atomic_write_u32(&own_slot->dbid, InvalidOid);
	own_slot = NULL;
	end = pg_atomic_read_u32(&ee_shared->waiters_end);
	while (end > 0 &&
		   pg_atomic_read_u32(&ee_shared->waiters[end - 1].dbid) == InvalidOid)
		end--;
	pg_atomic_write_u32(&ee_shared->waiters_end, end);
	LWLockRelease(ee_shared->lock);
}

/* Those of this database who want any of these patterns; NULL: all of them. */
void
ee_shared_waiters_wake(const EePatternSet *news)
{
	uint32		end = pg_atomic_read_u32(&ee_shared->waiters_end);

	for (uint32 i = 0; i < end; i++)
	{
		EeWaiterSlot *waiter = &ee_shared->waiters[i];
		bool		wanted = news == NULL;

		if (pg_atomic_read_u32(&waiter->dbid) != MyDatabaseId)
			continue;
		for (int w = 0; w < EE_PATTERN_WORDS && !wanted; w++)
			wanted = news->words[w] != 0 &&
				(news->words[w] &
				 pg_atomic_read_u64(&waiter->interest.words[w])) != 0;
		if (wanted)
			ee_shared_set_latch(pg_atomic_read_u32(&waiter->procno));
	}
}

void
ee_shared_subscription_add(EePatternSet *set, int32 number)
{
	/* no pattern begins with such a character */
	char		name[16];
	int			len = snprintf(name, sizeof(name), "\001%d", number);

	ee_shared_pattern_add(set, name, len, EE_PRIORITY_NORMAL);
}

void
ee_shared_request_add(EePatternSet *set, const pg_uuid_t *id)
{
	char		name[1 + UUID_LEN];

	name[0] = '\002';
	memcpy(name + 1, id->data, UUID_LEN);
	ee_shared_pattern_add(set, name, sizeof(name), EE_PRIORITY_NORMAL);
}
