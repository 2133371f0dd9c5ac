/*
 * filter_field.h
 *	  A field of an event that a filter looks at.
 */
#ifndef EE_FILTER_FIELD_H
#define EE_FILTER_FIELD_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "ground/envelope.h"

typedef struct EeFilterField EeFilterField;

/* An event while filters look at it; members are fetched once, on demand. */
typedef struct EeFilterView
{
	const EeEvent *event;
	uint8		state[EE_ENVELOPE_NFIELDS];
	JsonbValue	values[EE_ENVELOPE_NFIELDS];
	Jsonb	   *envelope;
} EeFilterView;

/*
 * Begin to look at an event.  What the view fetches is in the context that
 * is current then.
 */
extern void ee_filter_field_view(EeFilterView *view, const EeEvent *event);

/* The whole event, built once. */
extern Jsonb *ee_filter_field_envelope(EeFilterView *view);

/*
 * Compile a path such as $.payload.items[0].price.  Where it cannot be done
 * the result is NULL and *why a sentence.
 */
extern EeFilterField *ee_filter_field_parse(const char *path, int len,
											char **why);

/* The value found there; false when there is none. */
extern bool ee_filter_field_fetch(const EeFilterField *field,
								  EeFilterView *view, JsonbValue *value);

/* A member of the event, fetched at most once; false when it is absent. */
extern bool ee_filter_field_member(EeFilterView *view, EeEnvelopeField member,
								   JsonbValue *value);

/*
 * The member of the event and the keys that lead to the field (List of
 * char *), positions in arrays left out.
 */
extern List *ee_filter_field_keys(const EeFilterField *field);

#endif							/* EE_FILTER_FIELD_H */
