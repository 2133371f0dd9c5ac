/* ------------------------------------------------------------------------
 * Routing: conditions that look at sensitive values, which are stored
 * encrypted: they do not mean what they say.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.sensitive_terms(pattern text, filter text,
		filters jsonb)
	RETURNS text[]
	LANGUAGE c STABLE
	AS 'MODULE_PATHNAME', 'ee_sql_sensitive_terms';
COMMENT ON FUNCTION event_engine.sensitive_terms(text, text, jsonb) IS
	'Internal: the paths by which a condition looks at what is sensitive in events of a pattern; null where there are none.';

/* Of each definition that a subscription matches, by each of its patterns. */
CREATE FUNCTION event_engine.sensitive_in_filter(match jsonb, filter text,
		filters jsonb)
	RETURNS TABLE (pattern text, terms text[])
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
WITH entries AS (
	SELECT m.entry, NULLIF(COALESCE(filters, '[]')
		|| COALESCE(m.entry -> 'filters', '[]'), '[]') AS filters
	FROM jsonb_array_elements(match) AS m (entry)
)
SELECT d.pattern::text,
	event_engine.sensitive_terms(d.pattern::text, filter, e.filters)
FROM entries AS e
JOIN event_engine.event_definitions AS d ON d.pattern = e.entry ->> 'value'
WHERE e.entry ->> 'type' = 'exact'
	AND (filter IS NOT NULL OR e.filters IS NOT NULL)
UNION ALL
SELECT d.pattern::text,
	event_engine.sensitive_terms(d.pattern::text, filter, e.filters)
FROM entries AS e
JOIN event_engine.event_definitions AS d ON event_engine.event_matches(
	jsonb_populate_record(NULL::event_engine.event,
		jsonb_build_object('pattern', d.pattern)),
	jsonb_build_array(e.entry - 'filters'), NULL, NULL)
WHERE e.entry ->> 'type' <> 'exact'
	AND (filter IS NOT NULL OR e.filters IS NOT NULL)
$$;
COMMENT ON FUNCTION event_engine.sensitive_in_filter(jsonb, text, jsonb) IS
	'Internal: the definitions that a condition is for, and by which paths it looks at what is sensitive in their events.';

/*
 * sensitive_looks: where a condition looks at what is sensitive, as people
 * read it, and whether it does so in every definition that it is for; null
 * where it does not.
 */
CREATE FUNCTION event_engine.sensitive_looks(match jsonb, filter text,
		filters jsonb, OUT found text, OUT every boolean)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
SELECT string_agg(format('%s of event "%s"', array_to_string(f.terms, ', '),
		f.pattern), '; ' ORDER BY f.pattern) FILTER (WHERE f.terms IS NOT NULL),
	bool_and(f.terms IS NOT NULL)
FROM event_engine.sensitive_in_filter(match, filter, filters) AS f
$$;
COMMENT ON FUNCTION event_engine.sensitive_looks(jsonb, text, jsonb) IS
	'Internal: where a condition looks at what is sensitive, and whether in all events that it is for.';

/*
 * check_sensitive_filter: raises where a condition looks at sensitive values
 * in events of all definitions that it is for, and warns where it does so in
 * those of some.
 *
 *	what	it is, for the message
 */
CREATE FUNCTION event_engine.check_sensitive_filter(match jsonb, filter text,
		filters jsonb, what text)
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	looks record;
	hint CONSTANT text := 'Conditions see events as they are stored. Use what may be known, or look at the value in the handler, which is given it if its owner may unseal it; whether it exists may be asked.';
BEGIN
	SELECT l.found, l.every INTO looks
	FROM event_engine.sensitive_looks(match, filter, filters) AS l;
	IF looks.found IS NULL THEN
		RETURN;
	END IF;
	IF looks.every THEN
		RAISE EXCEPTION USING ERRCODE = 'VE302',
			MESSAGE = what || ' looks at sensitive data, which is stored encrypted',
			DETAIL = format('It looks at %s.', looks.found), HINT = hint;
	END IF;
	RAISE WARNING USING ERRCODE = 'VE302',
		MESSAGE = what || ' looks at data that is sensitive in some of the events, and stored encrypted there',
		DETAIL = format('It looks at %s.', looks.found), HINT = hint;
END
$$;
COMMENT ON FUNCTION event_engine.check_sensitive_filter(jsonb, text, jsonb, text) IS
	'Internal: raises, or warns, where a condition looks at sensitive data.';
