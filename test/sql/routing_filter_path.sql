-- The SQL/JSON path form of filters: a predicate over the envelope.
CREATE FUNCTION holds(path text, payload jsonb) RETURNS boolean
	LANGUAGE sql AS $$
	SELECT event_engine.event_matches(
		ROW(NULL, 'e1', 'a.b', NULL, '{"type": "integration"}',
			'2026-01-02 03:04:05+00', payload, '{"userId": "u1"}', NULL, NULL,
			NULL, NULL, 'low', NULL, NULL, 42, NULL)::event_engine.event,
		'[{"type": "wildcard", "value": "#"}]', path)
$$;
SELECT path, holds(path, '{"amount": 1200, "items": [{"sku": "a", "n": 3}, {"sku": "b", "n": 12}], "note": "Urgent!"}')
FROM (VALUES
	('$.payload.amount > 1000'),
	('$.payload.amount > 1000 && $.source.type == "integration"'),
	('$.payload.amount > 1000 && $.source.type == "task"'),
	('exists($.payload.items[*] ? (@.n > 10))'),
	('exists($.payload.items[*] ? (@.n > 100))'),
	('$.payload.items[*].sku == "b"'),
	('$.payload.note like_regex "^urgent" flag "i"'),
	('$.payload.note starts with "Urg"'),
	('!($.priority == "high")'),
	('$.eventId == "e1" && $.seq == 42 && $.timestamp > "2026"'),
	('$.payload.missing > 1'),
	('!exists($.payload.missing)'),
	('$.payload.note > 1'),
	('($.payload.note > 1) is unknown'),
	('strict $.payload.missing > 1'),
	('$.payload.amount / 0 > 1')
) AS t (path);

-- Agrees with jsonb_path_match over the envelope.
SELECT count(*) AS tried, count(*) FILTER (WHERE holds(path, payload)
	IS DISTINCT FROM COALESCE(jsonb_path_match(
		jsonb_build_object('payload', payload, 'pattern', 'a.b'),
		path::jsonpath), false)) AS different
FROM unnest(ARRAY['{"x": 1}', '{"x": [1, 2]}', '{"x": "1"}', '{}',
		'[]']::jsonb[]) AS payload,
	unnest(ARRAY['$.payload.x == 1', '$.payload.x > 1', '$.payload.x[1] == 2',
		'exists($.payload.x)', '$.payload[*].x >= 1',
		'$.payload.x.double() == 1', '$.pattern == "a.b"']) AS path;

-- What cannot be a filter is refused before there are events.
\set SHOW_CONTEXT never
CREATE FUNCTION check_path(path text) RETURNS boolean LANGUAGE sql AS $$
	SELECT event_engine.check_match('[{"type": "wildcard", "value": "#"}]', path, NULL)
$$;
SELECT check_path('$.payload.amount >');
\echo :LAST_ERROR_SQLSTATE
SELECT check_path('$.payload.note like_regex "("');
\echo :LAST_ERROR_SQLSTATE
SELECT check_path('$.payload.amount');
SELECT check_path('$.payload ? (@.amount > 1)');
SELECT check_path('($.payload.amount > 1).type()');
SELECT check_path('$.payload.amount > 1 || $.payload.x == $limit');
SELECT check_path('$.payload.note == "$\"limit"');
SELECT check_path('$.payload.x == "' || repeat('x', 5000) || '"');

DROP FUNCTION holds(text, jsonb), check_path(text);
