/* ------------------------------------------------------------------------
 * Privileges: PUBLIC has what is said here, and nothing else.  What a duty
 * consists of is said by the view duties, and given by grant_duty().
 * ------------------------------------------------------------------------ */

REVOKE ALL ON ALL ROUTINES IN SCHEMA event_engine FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA event_engine FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA event_engine FROM PUBLIC;

/* Names may be looked up, and functions be written that take an event. */
GRANT USAGE ON SCHEMA event_engine TO PUBLIC;
GRANT USAGE ON TYPE
	event_engine.event,
	event_engine.event_priority,
	event_engine.finding,
	event_engine.received_event,
	event_engine.schema_break,
	event_engine.validation_error,
	event_engine.workflow_instance,
	event_engine.workflow_resumption
TO PUBLIC;

/* Pure functions of their arguments. */
GRANT EXECUTE ON FUNCTION
	event_engine.jsonschema_is_valid(jsonb, jsonb, text),
	event_engine.jsonschema_errors(jsonb, jsonb, text),
	event_engine.jsonschema_is_valid_with(jsonb, jsonb, jsonb, text),
	event_engine.jsonschema_errors_with(jsonb, jsonb, jsonb, text),
	event_engine.jsonschema_check(jsonb, text, boolean),
	event_engine.jsonschema_output(jsonb, jsonb, text, text),
	event_engine.check_event_pattern(text),
	event_engine.compare_versions(text, text),
	event_engine.event_time(uuid)
TO PUBLIC;

/* What the handlers of workflows answer. */
GRANT EXECUTE ON FUNCTION
	event_engine.wait_for(text, text, interval, text, timestamptz, text, jsonb, jsonb, timestamptz),
	event_engine.wait_for_n(integer, jsonb[], text, jsonb),
	event_engine.wait_for_any(jsonb[], text, jsonb),
	event_engine.wait_for_all(jsonb[], text, jsonb),
	event_engine.wait_for_children(uuid[], integer, interval, text, jsonb),
	event_engine.sleep_until(timestamptz, text, jsonb, text),
	event_engine.sleep_for(interval, text, jsonb, text),
	event_engine.continue_with(text, jsonb),
	event_engine.complete(jsonb, jsonb),
	event_engine.fail(text, jsonb, jsonb)
TO PUBLIC;

/* The condition of a trigger, asked in the name of whoever inserts. */
GRANT EXECUTE ON FUNCTION event_engine.delivers_immediately() TO PUBLIC;
