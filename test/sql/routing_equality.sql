-- What a condition demands to be equal to a value, and the keys made of it.
CREATE FUNCTION terms(condition text, filters jsonb DEFAULT NULL,
		vars jsonb DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(path || ' = ' || value || CASE WHEN chosen
		THEN ' (chosen)' ELSE '' END, ', ')
	FROM event_engine.equality_terms(condition, filters, vars)
$$;
CREATE FUNCTION event(payload jsonb) RETURNS event_engine.event
	LANGUAGE sql AS $$
	SELECT ROW(NULL, 'e1', 'a.b', NULL, '{"type": "integration"}',
		'2026-01-02 03:04:05+00', payload, '{"userId": "u1"}', NULL, NULL,
		NULL, NULL, 'low', NULL, NULL, 42, NULL)::event_engine.event
$$;

-- Of a path.
SELECT condition, terms(condition) FROM (VALUES
	('$.payload.customer == "c1"'),
	('"c1" == $.payload.customer'),
	('$.payload.status == "paid" && $.payload.invoice_id == 42'),
	('$.payload.a == 1 && ($.payload.b == null && $.payload.c == true)'),
	('$.payload.a == -1.50'),
	('strict $.payload."a.b \"c\"".d == "x"'),
	('$.payload.items[*].sku == "s"'),
	('$.payload.items[0, 2 to last].sku == "s"'),
	('exists($.payload.items[*] ? (@.sku == "s" && @.n > 2))'),
	('exists($.payload ? (@.a == 1).items ? (@.b == 2 && $.payload.c == 3))'),
	('$.payload.items ? (@.sku == "s").n > 5'),
	('$.payload.items ? (@.sku == "s").name like_regex "^a"'),
	('$.payload.x ? (@ == "s") starts with "s"'),
	('$.partitionKey == "p" && $.source.type == "task"'),
	('exists($ ? (@.payload.a == 1))'),
-- nothing that it takes
	('$.payload.a == 1 || $.payload.b == 2'),
	('!($.payload.a == 1)'),
	('($.payload.a == 1) is unknown'),
	('$.payload.a != 1'),
	('$.payload.a == $.payload.b'),
	('$.payload.a + 1 == 2'),
	('$.payload.a.double() == 1'),
	('$.payload.*.a == 1'),
	('$.payload.**.a == 1'),
	('$ == 1'),
	('exists($.payload ? (@.a == 1 || @.b == 1))'),
	('exists($.payload.keyvalue() ? (@.key == "a"))'),
	('$.payload.a == $workflow.input.a')
) AS t (condition);

-- Of a path with a variable: that is how a wait finds its own event.
SELECT condition, terms(condition, NULL, '{"workflow": {"id": "w1",
	"input": {"order_id": 7, "many": [1, 2], "deep": {"x": "y"}}}}')
FROM (VALUES
	('$.payload.status == "x1" && $.payload.order == $workflow.input.order_id'),
	('$workflow.input.deep.x == $.payload.y'),
	('$.payload.a == $workflow.input.many'),
	('$.payload.a == $workflow.input.deep'),
	('$.payload.a == $workflow.input.none'),
	('$.payload.a == $workflow.input.many[0]'),
	('$.payload.a == $workflow.input.order_id.double()')
) AS t (condition);

-- Of the list form.
SELECT terms(NULL, '[{"field": "$.payload.items[2].sku", "operator": "equals", "value": "s"},
	{"field": "source.type", "operator": "eq", "value": "task"},
	{"field": "$.payload.a", "operator": "equals", "value": [1]},
	{"field": "$.payload.b", "operator": "not_equals", "value": 1},
	{"field": "$.payload.b", "operator": "in", "value": [1]},
	{"field": "$.payload.c", "operator": "equals", "value": false}]');

-- Equal values have one key, and only they.
SELECT a, b, event_engine.equality_key('p', '$.payload.x == ' || a)
	= event_engine.equality_key('p', '$.payload.x == ' || b) AS same
FROM (VALUES ('1', '1.0'), ('1', '"1"'), ('true', '"true"'), ('true', '1'),
	('null', '"null"'), ('null', 'false'), ('true', 'false'), ('""', 'null'),
	('0', '-0'), ('100', '1e2'), ('"a"', '"A"')) AS t (a, b);
SELECT count(DISTINCT k) FROM (VALUES
	(event_engine.equality_key('p', '$.payload.x == 1')),
	(event_engine.equality_key('q', '$.payload.x == 1')),
	(event_engine.equality_key('p', '$.payload.y == 1')),
	(event_engine.equality_key('p', '$.payload.x.y == 1')),
	(event_engine.equality_key('p', '$.payload.x > 1')),
	(event_engine.equality_key('q', NULL))) AS t (k);
-- They are stored: the same in every version.
SELECT event_engine.equality_key('order.paid', '$.payload.order == "o-1"'),
	event_engine.equality_key('order.paid', '$.payload.order == 12.50'),
	event_engine.equality_key('order.paid', '$.payload.order == true'),
	event_engine.equality_key('order.paid', NULL);

-- All scalars that a path leads to, each once.
SELECT payload, cardinality(event_engine.event_equality_keys(event(payload),
	'p', '$.payload.a.b'))
FROM unnest(ARRAY['{"a": {"b": 1}}', '{"a": {"b": [1, 1.0, 2, [3]]}}',
	'{"a": [{"b": 1}, {"b": 2}, {"c": 3}, 4]}', '[[{"a": [[{"b": null}]]}]]',
	'{"a": {"b": {}}}', '{"a": 1}', '1', '{}']::jsonb[]) AS payload;
SELECT cardinality(event_engine.event_equality_keys(event('{}'), 'p', path))
FROM unnest(ARRAY['$.eventId', '$.seq', '$.source.type', '$.metadata.userId',
	'$.payload', '$.aggregateType', '$.nothing', '$.pattern.x']) AS path;
SELECT event_engine.event_equality_keys(event('{}'), 'p', '$.payload.**');
-- Deep nesting and many elements.
SELECT cardinality(event_engine.event_equality_keys(event(jsonb_build_object(
		'a', (SELECT jsonb_agg(jsonb_build_object('b', i % 1000))
			FROM generate_series(1, 20000) AS i),
		'c', (repeat('[', 5000) || '1' || repeat(']', 5000))::jsonb)), 'p', path))
FROM unnest(ARRAY['$.payload.a.b', '$.payload.c']) AS path;

/*
 * No match is missed: documents and conditions at random; where a condition
 * holds, each of its terms has its key among those of the event.
 */
CREATE FUNCTION pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql AS $$
	SELECT choices[1 + floor(random() * cardinality(choices))::int]
$$;
CREATE FUNCTION random_json(depth int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF depth = 0 OR random() < 0.2 THEN
		RETURN pick('0', '1', '1.0', '2', '"1"', '"x"', '""', 'true', 'false',
			'null');
	ELSIF random() < 0.4 THEN
		RETURN '[' || (SELECT COALESCE(string_agg(random_json(depth - 1), ', '), '')
			FROM generate_series(1, floor(random() * 4)::int)) || ']';
	END IF;
	RETURN '{' || (SELECT COALESCE(string_agg('"' || k || '": '
			|| random_json(depth - 1), ', '), '')
		FROM unnest(ARRAY['a', 'b', 'c']) AS k WHERE random() < 0.8) || '}';
END
$$;
CREATE FUNCTION random_path(root text, depth int) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	path text := root;
BEGIN
	FOR i IN 1 .. 1 + floor(random() * 3)::int LOOP
		path := path || CASE WHEN depth > 0 AND random() < 0.15
			THEN ' ? (' || random_condition('@', depth - 1) || ')'
			ELSE pick('.a', '.b', '.c', '.a', '.b', '.c', '[*]', '[0]', '[last]',
				'.*', '.**', '.a[1 to 2]', '.size()', '.type()') END;
	END LOOP;
	RETURN path;
END
$$;
CREATE FUNCTION random_condition(root text, depth int) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	literal text := pick('0', '1', '2', '"1"', '"x"', '""', 'true', 'null',
		'$workflow.v', '$workflow.o.w', '$workflow.l');
BEGIN
	IF random() < 0.1 THEN
		root := '$.payload';
	END IF;
	RETURN CASE WHEN depth > 0 AND random() < 0.5 THEN
			CASE pick('and', 'and', 'or', 'not', 'unknown', 'exists')
			WHEN 'and' THEN format('(%s) && (%s)',
				random_condition(root, depth - 1), random_condition(root, depth - 1))
			WHEN 'or' THEN format('(%s) || (%s)',
				random_condition(root, depth - 1), random_condition(root, depth - 1))
			WHEN 'not' THEN format('!(%s)', random_condition(root, depth - 1))
			WHEN 'unknown' THEN format('(%s) is unknown',
				random_condition(root, depth - 1))
			ELSE format('exists(%s)', random_path(root, depth - 1)) END
		WHEN random() < 0.7 THEN random_path(root, depth) || ' == ' || literal
		WHEN random() < 0.5 THEN literal || ' == ' || random_path(root, depth)
		ELSE random_path(root, depth) || pick(' != ', ' > ', ' < ') || literal
	END;
END
$$;
SELECT setseed(0.42);
CREATE TABLE tried AS
SELECT i, pick('lax ', 'lax ', 'strict ') || random_condition('$.payload', 3) AS condition,
	'{"workflow": {"v": 1, "o": {"w": "x"}, "l": [1, 2]}}'::jsonb AS vars
FROM generate_series(1, 3000) AS i;
CREATE TABLE documents AS
SELECT random_json(4)::jsonb AS payload FROM generate_series(1, 150);
WITH terms AS MATERIALIZED (
	SELECT t.i, t.condition, t.vars, e.path, e.value,
		event_engine.equality_key('p', e.path || ' == ' || e.value) AS key
	FROM tried AS t, event_engine.equality_terms(t.condition, NULL, t.vars) AS e
), keys AS MATERIALIZED (
	SELECT d.payload, p.path,
		event_engine.event_equality_keys(event(d.payload), 'p', p.path) AS keys
	FROM documents AS d, (SELECT DISTINCT path FROM terms) AS p
), judged AS (
	SELECT t.*, k.payload, t.key = ANY (k.keys) AS candidate,
		COALESCE(jsonb_path_match(jsonb_build_object('payload', k.payload),
			t.condition::jsonpath, t.vars), false) AS holds
	FROM terms AS t JOIN keys AS k USING (path)
)
SELECT count(*) > 50000 AS enough,
	count(*) FILTER (WHERE holds) > 500 AS enough_hold,
	count(*) FILTER (WHERE candidate AND NOT holds) > 0 AS some_too_many,
	count(*) FILTER (WHERE NOT candidate) > count(*) / 2 AS most_are_spared,
	count(*) FILTER (WHERE holds AND NOT candidate) AS missed
FROM judged;

-- The same of the list form.
WITH terms AS MATERIALIZED (
	SELECT jsonb_build_array(jsonb_build_object('field',
		'$' || replace(replace(f, '[*]', '[0]'), '[last]', '[1]'),
		'operator', 'equals', 'value', v::jsonb)) AS filters
	FROM unnest(ARRAY['.payload', '.payload.a', '.payload.a.b',
			'.payload.a[0].b', '.payload[1].a', '.payload.b[0][1]']) AS f,
		unnest(ARRAY['1', '"1"', '"x"', 'null', 'true', '0']) AS v
), judged AS (
	SELECT event_engine.equality_key('p', NULL, t.filters)
			= ANY (event_engine.event_equality_keys(event(d.payload), 'p', e.path))
			AS candidate,
		event_engine.event_matches(event(d.payload),
			'[{"type": "wildcard", "value": "#"}]', NULL, t.filters) AS holds
	FROM terms AS t, event_engine.equality_terms(NULL, t.filters) AS e,
		documents AS d
)
SELECT count(*) FILTER (WHERE holds) > 10 AS enough_hold,
	count(*) FILTER (WHERE holds AND NOT candidate) AS missed FROM judged;

/*
 * Subscriptions with all these conditions, looked up by the values of an
 * event: those that explain_match() finds by asking each.
 */
CREATE FUNCTION noop(event event_engine.event) RETURNS void LANGUAGE sql AS '';
SELECT event_engine.register_event_definition(p)
FROM unnest(ARRAY['eq.a', 'eq.b']) AS p;
SELECT count(event_engine.subscribe('eq-' || i, CASE WHEN i % 5 > 0
		THEN (ARRAY['{eq.a}', '{eq.b}', '{eq.*}', '{#}', '{eq.a,eq.#}'])[1 + i % 5]::text[]
		ELSE '{}' END, 'noop(event_engine.event)'::regprocedure,
	filter => CASE WHEN i % 7 < 5 THEN condition END,
	match => CASE WHEN i % 5 = 0 THEN jsonb_build_array(jsonb_build_object(
		'type', (ARRAY['exact', 'prefix', 'regex'])[1 + i % 3], 'value', 'eq.a',
		'filters', CASE WHEN i % 2 = 0 THEN '[]'::jsonb ELSE jsonb_build_array(
			jsonb_build_object('field', '$.payload.a', 'operator', 'equals',
				'value', i % 3)) END)) END,
	filters => CASE WHEN i % 4 = 0 THEN jsonb_build_array(jsonb_build_object(
		'field', (ARRAY['$.payload.a', '$.payload.b'])[1 + i % 2],
		'operator', 'equals', 'value', i % 3)) END))
FROM tried WHERE condition !~ 'workflow' AND i % 3 = 0;
WITH events AS MATERIALIZED (
	SELECT ROW(NULL, 'e1', p, NULL, '{"type": "integration"}',
		'2026-01-02 03:04:05+00', payload, '{}', NULL, NULL, NULL, NULL,
		'normal', NULL, NULL, 42, NULL)::event_engine.event AS event, p, payload
	FROM (SELECT d.payload FROM documents AS d LIMIT 50) AS d,
		unnest(ARRAY['eq.a', 'eq.b', 'eq.c.d']) AS p
), judged AS (
	SELECT e.*, COALESCE((SELECT array_agg(s.s) FROM event_engine.event_subscribers(e.event) AS s (s)), '{}') AS found,
		COALESCE((SELECT array_agg(m.subscriber) FROM event_engine.explain_match(e.event) AS m
			WHERE m.matches), '{}') AS asked
	FROM events AS e
)
SELECT count(*) AS events, sum(cardinality(found)) > 5000 AS enough,
	count(*) FILTER (WHERE found <> asked) AS different
FROM judged;

SELECT count(event_engine.unsubscribe(s.subscriber))
FROM event_engine.subscriptions AS s WHERE s.subscriber LIKE 'eq-%';
DROP FUNCTION noop;
DROP TABLE tried, documents;
DROP FUNCTION terms, event, pick, random_json, random_path, random_condition;
