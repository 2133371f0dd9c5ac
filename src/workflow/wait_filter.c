/*
 * wait_filter.c
 *	  Is there no wait with this key?  Asked before the index of keys is.
 *
 * Where waits are many, looking up a key in their index takes what it takes
 * to fetch a page from outside of the processor's caches, and most events end
 * no wait.  So a dispatcher has a Bloom filter of the keys of its waits: two
 * or three bits are looked at instead.  It holds all waits that the lane's
 * latest batch could see, and those that have become visible since are added
 * when they are looked back for (look_back.c), before any event is asked
 * about.  Keys of waits that are over stay in it, which costs a look into the
 * index now and then, until as many have been added as it was made for.
 *
 *		nothing known --(so much was asked that reading the keys pays)-->
 *		known --(full)--> nothing known
 *
 * The keys are read from the index alone, whoever sees them: more than there
 * are does no harm.  An entry of the index is there before its wait can be
 * seen.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ground/compat.h"
#include "workflow/wait_filter.h"

/* An index of fewer pages stays in the processor's caches. */
#define MIN_PAGES		32
/* Reading a page of keys is worth it where so many look-ups were spared. */
#define PAGE_COST		4
/* More than a page ever has. */
#define KEYS_PER_PAGE	400
/* A lane's bits, kB at most. */
#define MAX_KILOBYTES	(64 * 1024)

static void forget(EeWaitFilter *filter);
static void read_keys(EeWaitFilter *filter, Relation waits,
					  Relation key_index, int32 number, int64 max,
					  MemoryContext parent);

void
ee_wait_filter_prepare(EeWaitFilter *filter, Relation waits,
					   Relation key_index, int32 number, MemoryContext parent)
{
	int64		pages;

	if (filter->bits != NULL && filter->n > filter->max)
		forget(filter);
	if (filter->bits != NULL || filter->asked < MIN_PAGES * PAGE_COST)
		return;
	pages = RelationGetNumberOfBlocks(key_index);
	if (pages >= MIN_PAGES && filter->asked >= pages * PAGE_COST)
		read_keys(filter, waits, key_index, number,
				  pages * KEYS_PER_PAGE, parent);
}

static void
forget(EeWaitFilter *filter)
{
	MemoryContextDelete(filter->context);
	memset(filter, 0, sizeof(EeWaitFilter));
}

static void
read_keys(EeWaitFilter *filter, Relation waits, Relation key_index,
		  int32 number, int64 max, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_engine wait filter",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	EeWaitFilter made;
	IndexScanDesc scan;
	ScanKeyData key;

	memset(&made, 0, sizeof(made));
	made.context = context;
	made.max = max;
	made.bits = bloom_create(max, MAX_KILOBYTES, 0);
	MemoryContextSwitchTo(old);
	scan = ee_index_beginscan(waits, key_index, SnapshotAny, 1, 0);
	scan->xs_want_itup = true;
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(number));
	index_rescan(scan, &key, 1, NULL, 0);
	while (index_getnext_tid(scan, ForwardScanDirection) != NULL)
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		ee_wait_filter_add(&made,
						   DatumGetInt64(index_getattr(scan->xs_itup, 2,
													   scan->xs_itupdesc,
													   &isnull)));
	}
	index_endscan(scan);
	MemoryContextSetParent(context, parent);
	*filter = made;
}

void
ee_wait_filter_add(EeWaitFilter *filter, int64 key)
{
	if (filter->bits == NULL || !ee_wait_filter_lacks(filter, key))
		return;
	bloom_add_element(filter->bits, (unsigned char *) &key, sizeof(key));
	filter->n++;
}

bool
ee_wait_filter_lacks(EeWaitFilter *filter, int64 key)
{
	if (filter->bits == NULL)
	{
		filter->asked++;
		return false;
	}
	return bloom_lacks_element(filter->bits, (unsigned char *) &key,
							   sizeof(key));
}
