/* ------------------------------------------------------------------------
 * The store: ways in, and ways to look.
 * ------------------------------------------------------------------------ */

/*
 * publish_event: store an event in the caller's transaction.
 *
 *	pattern			of a registered definition
 *	payload			validated against the definition's schema
 *	metadata		correlationId (made if absent), causationId, traceId,
 *					userId, context, tags
 *	source			{"type", "id", "name"}; default: the publishing role
 *	event_id		the publisher's own identifier; published again within the
 *					window nothing is stored and the first event's id returned
 *	timestamp		when it happened; default: now
 *	version			of the definition; default: the current one
 *	partition_key	events of one key keep their order
 *	aggregate_type, aggregate_version	for event-sourced publishers
 *	priority		critical, high, normal or low
 *	deliver_at		not to be delivered before
 *
 * Result: the event's id, a UUID of version 7.
 * Errors: VE001 unknown pattern, VE002 unknown version, VE004 draft, VE101
 * payload not valid, VE201 event not valid, VE202 payload too large.
 */
CREATE FUNCTION event_engine.publish_event(
	pattern text,
	payload jsonb,
	metadata jsonb DEFAULT '{}',
	source jsonb DEFAULT NULL,
	event_id text DEFAULT NULL,
	"timestamp" timestamptz DEFAULT NULL,
	version text DEFAULT NULL,
	partition_key text DEFAULT NULL,
	aggregate_type text DEFAULT NULL,
	aggregate_version bigint DEFAULT NULL,
	priority event_engine.event_priority DEFAULT NULL,
	deliver_at timestamptz DEFAULT NULL
) RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_publish_event';
COMMENT ON FUNCTION event_engine.publish_event(text, jsonb, jsonb, jsonb, text,
	timestamptz, text, text, text, bigint, event_engine.event_priority,
	timestamptz) IS
	'Validates an event and stores it in the caller''s transaction; returns its id.';

/*
 * publish_events: store an array of events, all or none, in their order.
 *
 *	events		[{"pattern", "payload", "metadata", "source", "eventId",
 *				"timestamp", "version", "partitionKey", "aggregateType",
 *				"aggregateVersion", "priority", "deliverAt"}, ...]
 *
 * Result: their ids in the same order.  Errors as of publish_event; the
 * violations of all events are reported together, each with its index.
 */
CREATE FUNCTION event_engine.publish_events(events jsonb) RETURNS SETOF uuid
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_publish_events';
COMMENT ON FUNCTION event_engine.publish_events(jsonb) IS
	'Validates and stores an array of events, all or none; returns their ids.';
