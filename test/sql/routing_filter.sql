-- The list form of filters.
CREATE FUNCTION holds(term jsonb, payload jsonb) RETURNS boolean
	LANGUAGE sql AS $$
	SELECT event_engine.event_matches(
		ROW('00000000-0000-7000-8000-000000000001', NULL, 'a.b', '1.0.0',
			'{"type": "task", "id": "t1"}', '2026-01-02 03:04:05.678901+00',
			payload, '{"tags": {"a.b": 1}, "userId": "u1"}',
			'2026-01-02 03:04:06+00', 'key 1', NULL, 7, 'high', 'me', NULL, 42,
			NULL)::event_engine.event,
		'[{"type": "wildcard", "value": "#"}]', NULL, jsonb_build_array(term))
$$;

-- operator, value, and the payloads for which $.payload.x holds
CREATE TABLE payloads AS SELECT * FROM unnest(ARRAY[
	'{"x": 5}', '{"x": 5.0}', '{"x": 9007199254740993}', '{"x": "5"}',
	'{"x": "abc"}', '{"x": true}', '{"x": null}', '{"x": [5, "abc", {"y": 1}]}',
	'{"x": {"y": 1, "z": [1, 2]}}', '{"x": []}', '{}', '[]', '5'
]::jsonb[]) WITH ORDINALITY AS p (payload, n);

SELECT t.operator, t.value,
	(SELECT string_agg(p.payload::text, '  ' ORDER BY p.n) FROM payloads AS p
	WHERE holds(jsonb_build_object('field', '$.payload.x',
		'operator', t.operator, 'value', t.value::jsonb), p.payload)) AS holds_for
FROM (VALUES
	('equals', '5'), ('equals', '"5"'), ('equals', 'null'), ('equals', 'true'),
	('equals', '9007199254740992'), ('equals', '{"z": [1, 2], "y": 1}'),
	('equals', '[5, "abc", {"y": 1}]'),
	('not_equals', '5'),
	('contains', '"b"'), ('contains', '""'), ('contains', '5'),
	('contains', '"abc"'), ('contains', '{"y": 1}'), ('contains', '{"z": [2]}'),
	('contains', '["abc"]'), ('contains', '[6]'),
	('gt', '5'), ('gte', '5'), ('lt', '9007199254740993'), ('lte', '5'),
	('gt', '"5"'), ('lt', '"abcd"'),
	('in', '[5, "abc"]'), ('in', '[{"y": 1, "z": [1, 2]}, null]'), ('in', '[]'),
	('not_in', '[5, "abc", null, true, []]'),
	('exists', 'true'), ('exists', 'false'),
	('prefix', '"ab"'), ('suffix', '"bc"'), ('prefix', '"abcd"')
) AS t (operator, value);

-- A field is a member of the envelope and a way down from there.
SELECT t.field, t.value, holds(jsonb_build_object('field', t.field,
	'operator', 'equals', 'value', t.value::jsonb),
	'{"items": [{"price": 1}, {"price": 2}], "a.b": {"c\"d": 3}, "+1": 4, "x": {"id": 5}}')
FROM (VALUES
	('$.payload.items[1].price', '2'), ('payload.items[1].price', '2'),
	('$.payload.items[2].price', '2'), ('$.payload.items.price', '2'),
	('$.payload."a.b"."c\"d"', '3'), ('$.payload["a.b"]["c\"d"]', '3'),
	('$.payload.+1', '4'), ('$["payload"].x.id', '5'), ('$.payload.x[0]', '5'),
	('$.payload.items[1]', '{"price": 2}'),
	('$.metadata.tags."a.b"', '1'), ('metadata.userId', '"u1"'),
	('$.source.type', '"task"'), ('$.pattern', '"a.b"'),
	('$.eventId', '"00000000-0000-7000-8000-000000000001"'),
	('$.id', '"00000000-0000-7000-8000-000000000001"'),
	('$.version', '"1.0.0"'), ('$.timestamp', '"2026-01-02T03:04:05.678901Z"'),
	('$.createdAt', '"2026-01-02T03:04:06.000000Z"'),
	('$.partitionKey', '"key 1"'), ('$.aggregateVersion', '7'),
	('$.priority', '"high"'), ('$.createdBy', '"me"'), ('$.seq', '42')
) AS t (field, value);
SELECT holds('{"field": "$.aggregateType", "operator": "exists"}', '{}') AS type,
	holds('{"field": "$.deliverAt", "operator": "exists", "value": false}', '{}')
		AS no_deliver_at,
	holds('{"field": "$.timestamp", "operator": ">=", "value": "2026-01-02"}', '{}')
		AS since,
	holds('{"field": "$.timestamp", "operator": "<", "value": "2026-01-02T03:04:05.7"}', '{}')
		AS before;

-- Other spellings of operators.
SELECT o AS operator, holds(jsonb_build_object('field', 'payload.x',
	'operator', o, 'value', 5), '{"x": 5}')
FROM unnest('{eq,==,=,ne,!=,<>,notEquals,>,>=,<,<=,anything-but}'::text[]) AS o;
SELECT o AS operator, holds(jsonb_build_object('field', 'payload.x',
	'operator', o, 'value', v), '{"x": "abc"}')
FROM (VALUES ('startsWith', '"a"'::jsonb), ('starts_with', '"b"'),
	('endsWith', '"c"'), ('ends_with', '"b"'), ('nin', '["b"]'),
	('notIn', '["abc"]'), ('anything-but', '["abc"]')) AS t (o, v);

-- All terms must hold; a filter of one pattern leaves the others alone.
SELECT event_engine.event_matches(e, '[{"type": "exact", "value": "a"}]', NULL,
		'[{"field": "payload.x", "operator": "gt", "value": 1},
		{"field": "payload.x", "operator": "lt", "value": 3}]') AS between,
	event_engine.event_matches(e, '[{"type": "exact", "value": "a",
		"filters": [{"field": "payload.x", "operator": "gt", "value": 2}]}]')
		AS filtered,
	event_engine.event_matches(e, '[{"type": "exact", "value": "a",
		"filters": [{"field": "payload.x", "operator": "gt", "value": 2}]},
		{"type": "prefix", "value": "a", "filters": []}]') AS either
FROM (SELECT jsonb_populate_record(NULL::event_engine.event,
	jsonb_build_object('pattern', 'a', 'payload', jsonb_build_object('x', x))) AS e
	FROM generate_series(1, 3) AS x) AS t;

-- What is no filter is refused, with its place and what is allowed.
\set SHOW_CONTEXT never
CREATE FUNCTION check_filters(filters jsonb) RETURNS boolean LANGUAGE sql AS $$
	SELECT event_engine.check_match('[{"type": "wildcard", "value": "#"}]', NULL, filters)
$$;
SELECT check_filters('{"field": "payload.x"}');
SELECT check_filters('[5]');
SELECT check_filters('[{"operator": "equals", "value": 1}]');
SELECT check_filters('[{"field": "payload.x", "operator": "exists"}, {"field": "payload.x", "value": 1}]');
\echo :LAST_ERROR_SQLSTATE
SELECT check_filters('[{"field": "payload.x", "operator": "matches", "value": 1}]');
SELECT check_filters('[{"field": "payload.x", "operator": "equals"}]');
SELECT check_filters('[{"field": "payload.x", "operator": "equals", "value": 1, "case": true}]');
SELECT check_filters('[{"field": "payload.x", "operator": "gt", "value": [1]}]');
SELECT check_filters('[{"field": "payload.x", "operator": "in", "value": 1}]');
SELECT check_filters('[{"field": "payload.x", "operator": "exists", "value": 1}]');
SELECT check_filters('[{"field": "payload.x", "operator": "prefix", "value": 1}]');
SELECT check_filters('[{"field": "$.amount", "operator": "gt", "value": 1}]');
SELECT check_filters('[{"field": "$.pattern.x", "operator": "gt", "value": 1}]');
SELECT check_filters('[{"field": "$.payload.items[*].x", "operator": "gt", "value": 1}]');
SELECT check_filters('[{"field": "$.payload.*", "operator": "gt", "value": 1}]');
SELECT check_filters('[{"field": "$.payload..x", "operator": "gt", "value": 1}]');
SELECT check_filters('[{"field": "$.payload.\"x", "operator": "gt", "value": 1}]');
SELECT check_filters('[{"field": "$.payload[1", "operator": "gt", "value": 1}]');
SELECT check_filters('[{"field": "$.payload[1]x", "operator": "gt", "value": 1}]');
SELECT check_filters('[{"field": "$.payload[4294967297]", "operator": "gt", "value": 1}]');
SELECT check_filters('[{"field": "", "operator": "gt", "value": 1}]');

DROP TABLE payloads;
DROP FUNCTION holds(jsonb, jsonb), check_filters(jsonb);
