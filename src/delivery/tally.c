/*
 * tally.c
 *	  Count what became of deliveries, for the statistics.
 */
#include "postgres.h"

#include "utils/jsonb.h"

#include "delivery/tally.h"
#include "ground/envelope.h"
#include "store/metadata.h"

static void tally(Datum pattern, Datum source, EeOutcome outcome);

void
ee_tally_slot(TupleTableSlot *slot, EeOutcome outcome)
{
	bool		isnull;
	Datum		pattern = slot_getattr(slot, EE_EVENT_PATTERN, &isnull);

	tally(pattern, slot_getattr(slot, EE_EVENT_SOURCE, &isnull), outcome);
}

void
ee_tally_event(Datum event, EeOutcome outcome)
{
	EeEvent		deformed;

	ee_envelope_deform(event, &deformed);
	tally(EE_EVENT_VALUE(&deformed, EE_EVENT_PATTERN),
		  EE_EVENT_VALUE(&deformed, EE_EVENT_SOURCE), outcome);
}

static void
tally(Datum pattern, Datum source, EeOutcome outcome)
{
	text	   *name = DatumGetTextPP(pattern);
	int			len;
	const char *type = ee_metadata_source_type(DatumGetJsonbP(source), &len);

	ee_shared_counter_note(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
						   type, len, outcome, 1);
}
