/*
 * wait_set.c
 *	  Waits that are asked together about a stretch of the log.
 *
 * The log is read once for all of them: by their patterns where those are few,
 * and from where on the one begins that knows least.  What each of them wants
 * of it is asked when the events are matched (wait_match.c).
 */
#include "postgres.h"

#include "lib/qunique.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ground/envelope.h"
#include "routing/match.h"
#include "store/milestone.h"
#include "workflow/wait.h"
#include "workflow/wait_set.h"

/* More patterns than this are not looked up one by one. */
#define MAX_PATTERNS	64
/* Further apart than this two positions are not compared xid by xid. */
#define MAX_COMPARED	10000

static void add_pattern(EeWaitSet *set, TupleTableSlot *slot);
static bool covers(const EeLogPosition *wait, const EeLogPosition *at);
static int	compare_refs(const void *a, const void *b);
static int	compare_xids(const void *a, const void *b);

void
ee_wait_set_init(EeWaitSet *set)
{
	memset(set, 0, sizeof(EeWaitSet));
	set->context = CurrentMemoryContext;
}

void
ee_wait_set_init_from(EeWaitFrom *from)
{
	memset(from, 0, sizeof(EeWaitFrom));
	from->context = CurrentMemoryContext;
	from->position.seq = from->position.base_seq = PG_INT64_MAX;
	from->since = DT_NOEND;
}

/* -------------------------------------------------------------------- which */

void
ee_wait_set_add(EeWaitSet *set, TupleTableSlot *slot)
{
	EeWaitRef  *ref;
	bool		isnull;

	if (set->n == set->allocated)
	{
		set->allocated = Max(set->allocated * 2, 16);
		set->refs = set->refs == NULL ?
			MemoryContextAlloc(set->context,
							   sizeof(EeWaitRef) * set->allocated) :
			repalloc_huge(set->refs, sizeof(EeWaitRef) * set->allocated);
	}
	ref = &set->refs[set->n++];
	ref->key = DatumGetInt64(slot_getattr(slot, EE_WAIT_KEY, &isnull));
	ref->tid = slot->tts_tid;
	set->sorted = false;
	if (!set->any_pattern)
		add_pattern(set, slot);
}

static void
add_pattern(EeWaitSet *set, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		pattern = slot_getattr(slot, EE_WAIT_PATTERN, &isnull);
	char	   *name = TextDatumGetCString(pattern);
	MemoryContext old;

	for (int i = 0; i < set->n_patterns; i++)
		if (strcmp(TextDatumGetCString(set->patterns[i]), name) == 0)
			return;
	if (strpbrk(name, "*#") != NULL || set->n_patterns == MAX_PATTERNS)
	{
		set->any_pattern = true;
		return;
	}
	old = MemoryContextSwitchTo(set->context);
	if (set->patterns == NULL)
		set->patterns = palloc(sizeof(Datum) * MAX_PATTERNS);
	set->patterns[set->n_patterns++] = CStringGetTextDatum(name);
	MemoryContextSwitchTo(old);
}

/* ------------------------------------------------------------ from where on */

/*
 * One position for all: what any of them does not see, it does not see.  An
 * event whose seq is not above the lowest of theirs, and that one does not
 * see, has its xid in that one's xip.
 */
void
ee_wait_set_from(EeWaitFrom *from, const EeLogPosition *position)
{
	EeLogPosition *all = &from->position;

	all->seq = Min(all->seq, position->seq);
	all->base_seq = Min(all->base_seq, position->base_seq);
	while (all->nxip + position->nxip > from->allocated)
	{
		from->allocated = Max(from->allocated * 2, 64);
		all->xip = all->xip == NULL ?
			MemoryContextAlloc(from->context,
							   sizeof(uint64) * from->allocated) :
			repalloc_huge(all->xip, sizeof(uint64) * from->allocated);
	}
	if (position->nxip == 0)
		return;
	memcpy(all->xip + all->nxip, position->xip,
		   sizeof(uint64) * position->nxip);
	all->nxip += position->nxip;
	/* as many are the same */
	if (all->nxip > from->allocated / 2)
	{
		pg_qsort(all->xip, all->nxip, sizeof(uint64), compare_xids);
		all->nxip = qunique(all->xip, all->nxip, sizeof(uint64),
							compare_xids);
	}
}

bool
ee_wait_set_from_wait(EeWaitFrom *from, TupleTableSlot *slot,
					  const EeLogCursor *at)
{
	EeLogPosition position;
	bool		isnull;
	Datum		since = slot_getattr(slot, EE_WAIT_SINCE, &isnull);
	bool		looks_back = !isnull;

	ee_log_position_set_snapshot(&position,
								 slot_getattr(slot, EE_WAIT_SNAPSHOT,
											  &isnull));
	position.seq = DatumGetInt64(slot_getattr(slot, EE_WAIT_SEQ, &isnull));
	position.base_seq = DatumGetInt64(slot_getattr(slot, EE_WAIT_BASE_SEQ,
												   &isnull));
	/* all that the lane has read is visible at one of the two */
	if (!looks_back && covers(&position, at->in_range ? &at->high : &at->low))
		return false;
	if (looks_back)
		from->since = Min(from->since, DatumGetTimestampTz(since));
	ee_wait_set_from(from, &position);
	return true;
}

/* Does the wait's registration see all that is visible where the lane stands? */
static bool
covers(const EeLogPosition *wait, const EeLogPosition *at)
{
	if (wait->base_seq != at->base_seq)
		return wait->base_seq > at->base_seq;
	for (int i = 0; i < wait->nxip; i++)
		if (ee_log_position_sees(at, PG_INT64_MAX, wait->xip[i]))
			return false;
	if (at->xmax > wait->xmax && at->xmax - wait->xmax > MAX_COMPARED)
		return false;
	for (uint64 xid = wait->xmax; xid < at->xmax; xid++)
		if (ee_log_position_sees(at, PG_INT64_MAX, xid))
			return false;
	return true;
}

/* ------------------------------------------------------------------- reading */

EeLogReader *
ee_wait_set_read(EeWaitSet *set, EeWaitFrom *from, const EeLogPosition *to,
				 EePriority class, Snapshot snapshot)
{
	EeLogCursor *range = palloc0(sizeof(EeLogCursor));
	EeLogPosition *all = &from->position;
	bool		by_pattern = class == EE_PRIORITY_NORMAL && !set->any_pattern;

	if (from->since != DT_NOEND)
	{
		EeLogPosition since;

		ee_milestone_position(from->since, &since);
		ee_wait_set_from(from, &since);
	}
	if (all->nxip > 0)
	{
		pg_qsort(all->xip, all->nxip, sizeof(uint64), compare_xids);
		all->nxip = qunique(all->xip, all->nxip, sizeof(uint64),
							compare_xids);
	}
	range->low = *all;
	range->in_range = true;
	range->high = *to;
	return ee_log_reader_begin(range, by_pattern ? set->patterns : NULL,
							   set->n_patterns, class, snapshot);
}

bool
ee_wait_set_match(EeWaitSet *set, EeWaitMatch *match, TupleTableSlot *slot)
{
	if (!set->sorted)
		pg_qsort(set->refs, set->n, sizeof(EeWaitRef), compare_refs);
	set->sorted = true;
	return ee_wait_match_past(match, slot, set->refs, set->n);
}

/* What comes by the log is asked by the matcher; this is what went by. */
bool
ee_wait_set_permits(const EeDelivery *delivery, TupleTableSlot *slot)
{
	EeEvent		event;

	ee_envelope_from_slot(slot, &event);
	return ee_match_permits(delivery->subscription->matcher, &event);
}

static int
compare_refs(const void *a, const void *b)
{
	int64		first = ((const EeWaitRef *) a)->key;
	int64		second = ((const EeWaitRef *) b)->key;

	return first < second ? -1 : first > second;
}

static int
compare_xids(const void *a, const void *b)
{
	uint64		first = *(const uint64 *) a;
	uint64		second = *(const uint64 *) b;

	return first < second ? -1 : first > second;
}
