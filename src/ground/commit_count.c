/*
 * commit_count.c
 *	  Counters in shared memory that count what was committed.
 *
 * What is to be added is noted in the transaction's own memory, apart for
 * each level of subtransactions: a shared counter is touched once a
 * transaction, not once an event.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ground/commit_count.h"

/* How far back a note is looked for before another one is made. */
#define NOTES_SEARCHED	32

typedef struct Note
{
	pg_atomic_uint64 *counter;
	pg_atomic_uint64 *stamp;	/* or NULL */
	int			level;			/* of subtransactions */
	int64		n;
} Note;

static Note *notes = NULL;		/* of this transaction, levels ascending */
static int	n_notes = 0;
static int	max_notes = 0;

static void make_room(void);
static void merge_notes(void);
static int	compare_notes(const void *a, const void *b);
static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId mine,
							 SubTransactionId parent, void *arg);

/* A note that lies deep is not looked for: there are two until they merge. */
void
ee_commit_count_add(pg_atomic_uint64 *counter, pg_atomic_uint64 *stamp,
					int64 n)
{
	int			level = GetCurrentTransactionNestLevel();
	int			end = Max(n_notes - NOTES_SEARCHED, 0);

	for (int i = n_notes - 1; i >= end && notes[i].level == level; i--)
		if (notes[i].counter == counter)
		{
			notes[i].n += n;
			return;
		}
	if (n_notes == max_notes)
		make_room();
	notes[n_notes].counter = counter;
	notes[n_notes].stamp = stamp;
	notes[n_notes].level = level;
	notes[n_notes].n = n;
	n_notes++;
}

static void
make_room(void)
{
	if (notes == NULL)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		notes = MemoryContextAlloc(TopMemoryContext,
								   sizeof(Note) * NOTES_SEARCHED * 2);
		max_notes = NOTES_SEARCHED * 2;
		return;
	}
	merge_notes();
	if (n_notes > max_notes / 2)
	{
		notes = repalloc(notes, sizeof(Note) * max_notes * 2);
		max_notes *= 2;
	}
}

/* Levels stay in their order, the latest last. */
static void
merge_notes(void)
{
	int			kept = 0;

	qsort(notes, n_notes, sizeof(Note), compare_notes);
	for (int i = 1; i < n_notes; i++)
	{
		if (compare_notes(&notes[i], &notes[kept]) == 0)
			notes[kept].n += notes[i].n;
		else
			notes[++kept] = notes[i];
	}
	n_notes = kept + 1;
}

static int
compare_notes(const void *a, const void *b)
{
	const Note *one = a;
	const Note *other = b;

	if (one->level != other->level)
		return one->level < other->level ? -1 : 1;
	if (one->counter != other->counter)
		return one->counter < other->counter ? -1 : 1;
	return 0;
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			for (int i = 0; i < n_notes; i++)
			{
				pg_atomic_fetch_add_u64(notes[i].counter, notes[i].n);
				if (notes[i].stamp != NULL)
					pg_atomic_write_u64(notes[i].stamp,
										GetCurrentTransactionStopTimestamp());
			}
			n_notes = 0;
			break;
		case XACT_EVENT_ABORT:
			n_notes = 0;
			break;
		default:
			break;
	}
}

/* The notes of a level become those of the one above it, or nothing. */
static void
subxact_callback(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (n_notes > 0 && notes[n_notes - 1].level >= level)
			n_notes--;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		for (int i = n_notes - 1; i >= 0 && notes[i].level >= level; i--)
			notes[i].level = level - 1;
}
