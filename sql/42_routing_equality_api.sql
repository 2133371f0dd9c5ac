/* ------------------------------------------------------------------------
 * Routing: the keys by which conditions are found that an event may fulfil.
 *
 * A condition has one: a hash of the pattern, and of path and value of the
 * term that its conjunction demands to be equal and that looks most
 * selective, or of the pattern alone where it demands none.  An event has a
 * key for each scalar that the path leads to.  See src/routing/equality.c.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.equality_terms(condition text,
		filters jsonb DEFAULT NULL, vars jsonb DEFAULT NULL)
	RETURNS TABLE (path text, value jsonb, chosen boolean)
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_equality_terms';
COMMENT ON FUNCTION event_engine.equality_terms(text, jsonb, jsonb) IS
	'Internal: what a condition demands to be equal to a value.';

CREATE FUNCTION event_engine.equality_key(pattern text, condition text,
		filters jsonb DEFAULT NULL, vars jsonb DEFAULT NULL)
	RETURNS bigint
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_equality_key';
COMMENT ON FUNCTION event_engine.equality_key(text, text, jsonb, jsonb) IS
	'Internal: the key of a condition on events of a pattern.';

CREATE FUNCTION event_engine.event_equality_keys(event event_engine.event,
		pattern text, path text)
	RETURNS bigint[]
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_event_equality_keys';
COMMENT ON FUNCTION event_engine.event_equality_keys(event_engine.event, text, text) IS
	'Internal: the keys that an event has for a pattern and a path.';
