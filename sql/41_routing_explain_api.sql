/* ------------------------------------------------------------------------
 * Routing: explain who gets what, and try a filter on history.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.explain_match(event event_engine.event)
	RETURNS TABLE (subscriber text, matches boolean, reason text)
	LANGUAGE c STABLE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_explain_match';
COMMENT ON FUNCTION event_engine.explain_match(event_engine.event) IS
	'Whom an event reaches, and why the others not.';

/* Asked by the policies of what is kept of deliveries. */
CREATE FUNCTION event_engine.has_subscribed(subscriber text, number integer,
		pattern text, metadata jsonb)
	RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED COST 100
	AS 'MODULE_PATHNAME', 'ee_sql_has_subscribed';
COMMENT ON FUNCTION event_engine.has_subscribed(text, integer, text, jsonb) IS
	'Whether the subscription, by name or by number, is one of the current user''s, and its owner may have such an event.';

CREATE FUNCTION event_engine.pattern_subscribers(pattern text)
	RETURNS SETOF text
	LANGUAGE c STABLE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_pattern_subscribers';
COMMENT ON FUNCTION event_engine.pattern_subscribers(text) IS
	'Who has subscribed to events of this name, filters aside.';

/*
 * The cost does not grow with the number of subscriptions whose filters demand
 * other values than the event has.
 */
CREATE FUNCTION event_engine.event_subscribers(event event_engine.event)
	RETURNS SETOF text
	LANGUAGE c STABLE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_event_subscribers';
COMMENT ON FUNCTION event_engine.event_subscribers(event_engine.event) IS
	'Whom an event reaches, found by the values that it has.';

/* An event that has not happened; times are now. */
CREATE FUNCTION event_engine.match_event(pattern text, payload jsonb,
		metadata jsonb DEFAULT '{}', source jsonb DEFAULT NULL)
	RETURNS TABLE (subscriber text, matches boolean, reason text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT m.subscriber, m.matches, m.reason
	FROM event_engine.explain_match(ROW(gen_random_uuid(), NULL, pattern,
		NULL, COALESCE(source, jsonb_build_object('type', 'external',
			'id', current_user)), clock_timestamp(), payload,
		COALESCE(metadata, '{}'), clock_timestamp(), NULL, NULL, NULL,
		'normal', current_user, NULL, NULL, NULL)::event_engine.event) AS m
$$;
COMMENT ON FUNCTION event_engine.match_event(text, jsonb, jsonb, jsonb) IS
	'Whom an event like this would reach, and why the others not.';

CREATE FUNCTION event_engine.match_event(id uuid)
	RETURNS TABLE (subscriber text, matches boolean, reason text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	event event_engine.event;
BEGIN
	SELECT e.* INTO event FROM event_engine.readable_events AS e
		WHERE e.id = match_event.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE205',
			MESSAGE = format('unknown event "%s"', id);
	END IF;
	RETURN QUERY SELECT m.subscriber, m.matches, m.reason
		FROM event_engine.explain_match(event) AS m;
END
$$;
COMMENT ON FUNCTION event_engine.match_event(uuid) IS
	'Whom a stored event reaches, and why the others not.';

/*
 * Try patterns and filters on the newest events before subscribing.
 *
 *	matched, tested		how many of how many
 *	examples			envelopes of the newest that matched
 */
CREATE FUNCTION event_engine.test_filter(patterns text[] DEFAULT '{}',
		filter text DEFAULT NULL, filters jsonb DEFAULT NULL,
		match jsonb DEFAULT NULL, max_events integer DEFAULT 1000,
		max_examples integer DEFAULT 3,
		OUT matched bigint, OUT tested bigint, OUT examples jsonb)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted CONSTANT jsonb := NULLIF(
		event_engine.subscription_match(patterns, match), '[]');
BEGIN
	IF ltrim(filter, E' \t\n') LIKE '[%' THEN
		filters := filter::jsonb;
		filter := NULL;
	END IF;
	WITH newest AS (
		SELECT e.* FROM event_engine.readable_events AS e
		ORDER BY e.seq DESC LIMIT max_events
	), tried AS (
		SELECT n.seq, n::event_engine.event AS event,
			event_engine.event_matches(n::event_engine.event,
				COALESCE(wanted, '[{"type": "wildcard", "value": "#"}]'),
				NULLIF(btrim(filter), ''), filters) AS matches
		FROM (SELECT ROW(w.*)::event_engine.event AS n, w.seq
			FROM newest AS w) AS n
	)
	SELECT count(*) FILTER (WHERE t.matches), count(*),
			(SELECT COALESCE(jsonb_agg(event_engine.event_envelope(x.event)
				ORDER BY x.seq DESC), '[]')
			FROM (SELECT y.event, y.seq FROM tried AS y WHERE y.matches
				ORDER BY y.seq DESC LIMIT max_examples) AS x)
		INTO matched, tested, examples
		FROM tried AS t;
END
$$;
COMMENT ON FUNCTION event_engine.test_filter(text[], text, jsonb, jsonb, integer, integer) IS
	'Tries patterns and filters on the newest events: how many match, and some of them.';
