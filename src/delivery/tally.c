/*
 * tally.c
 *	  Count what became of deliveries, for the statistics.
 */
#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "delivery/tally.h"
#include "ground/envelope.h"
#include "ground/shared_subscription.h"
#include "store/metadata.h"

static void tally(const EeSubscription *subscription, Datum pattern,
				  Datum source, TimestampTz since, EeOutcome outcome);

void
ee_tally_slot(const EeSubscription *subscription, TupleTableSlot *slot,
			  EeOutcome outcome)
{
	bool		isnull;
	TimestampTz since =
		DatumGetTimestampTz(slot_getattr(slot, EE_EVENT_CREATED_AT, &isnull));
	Datum		deliver_at = slot_getattr(slot, EE_EVENT_DELIVER_AT, &isnull);

	if (!isnull)
		since = Max(since, DatumGetTimestampTz(deliver_at));
	tally(subscription, slot_getattr(slot, EE_EVENT_PATTERN, &isnull),
		  slot_getattr(slot, EE_EVENT_SOURCE, &isnull), since, outcome);
}

void
ee_tally_event(const EeSubscription *subscription, Datum event,
			   EeOutcome outcome)
{
	EeEvent		deformed;
	TimestampTz since;

	ee_envelope_deform(event, &deformed);
	since = DatumGetTimestampTz(EE_EVENT_VALUE(&deformed,
											   EE_EVENT_CREATED_AT));
	if (!EE_EVENT_IS_NULL(&deformed, EE_EVENT_DELIVER_AT))
		since = Max(since,
					DatumGetTimestampTz(EE_EVENT_VALUE(&deformed,
													   EE_EVENT_DELIVER_AT)));
	tally(subscription, EE_EVENT_VALUE(&deformed, EE_EVENT_PATTERN),
		  EE_EVENT_VALUE(&deformed, EE_EVENT_SOURCE), since, outcome);
}

static void
tally(const EeSubscription *subscription, Datum pattern, Datum source,
	  TimestampTz since, EeOutcome outcome)
{
	text	   *name = DatumGetTextPP(pattern);
	int			len;
	const char *type = ee_metadata_source_type(DatumGetJsonbP(source), &len);

	ee_shared_counter_note(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
						   type, len, outcome, 1);
	if (outcome == EE_OUTCOME_DELIVERED)
	{
		EeSharedSubscription *entry =
			ee_shared_subscription_find(subscription->number,
										&subscription->id);

		ee_histogram_note(&entry->latency, GetCurrentTimestamp() - since);
	}
}
