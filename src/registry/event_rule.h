/*
 * event_rule.h
 *	  Business rules of a definition: what a schema cannot say.
 */
#ifndef EE_EVENT_RULE_H
#define EE_EVENT_RULE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "ground/envelope.h"

/* The rules of a definition (List of EeRule), in CurrentMemoryContext. */
extern List *ee_event_rule_load(const pg_uuid_t *definition);

/* Are they still what they were? */
extern bool ee_event_rule_unchanged(List *rules, const pg_uuid_t *definition);

/*
 * Run the rules on an event; violations (List of EeViolation) are appended.
 * An error in a rule's function flies, with the rule and the violations found
 * so far in its context.
 */
extern void ee_event_rule_check(List *rules, const EeEvent *event,
								const char *pattern, List **violations);

/* Those that look at payload, pattern and version only, on these. */
extern void ee_event_rule_check_payload(List *rules, Datum pattern,
										Datum version, Jsonb *payload,
										List **violations);

#endif							/* EE_EVENT_RULE_H */
