/* ---- Validating against what is registered ---- */

/*
 * validate_event: what is wrong with a payload, one row for each violation;
 * no row when it is valid.
 *
 *	pattern		a registered one, whatever its status
 *	version		null is the current one
 *
 * A validation setting that is off has no influence here.
 */
CREATE FUNCTION event_engine.validate_event(
	pattern text,
	payload jsonb,
	version text DEFAULT NULL)
	RETURNS SETOF event_engine.validation_error
	LANGUAGE c VOLATILE ROWS 5
	AS 'MODULE_PATHNAME', 'ee_sql_validate_event';
COMMENT ON FUNCTION event_engine.validate_event(text, jsonb, text) IS
	'What is wrong with a payload of an event of this pattern; no row when it is valid.';
