-- What the four kinds of patterns match.
CREATE FUNCTION named(name text) RETURNS event_engine.event LANGUAGE sql AS $$
	SELECT jsonb_populate_record(NULL::event_engine.event,
		jsonb_build_object('pattern', name))
$$;
CREATE FUNCTION matches(type text, value text, name text) RETURNS boolean
	LANGUAGE sql AS $$
	SELECT event_engine.event_matches(named(name),
		jsonb_build_array(jsonb_build_object('type', type, 'value', value)))
$$;

SELECT type, value, name, matches(type, value, name)
FROM (VALUES
	('exact', 'invoice.created', 'invoice.created'),
	('exact', 'invoice.created', 'invoice.created.v2'),
	('exact', 'invoice.created', 'Invoice.created'),
	('exact', 'inventory:product.created', 'inventory:product.created'),
	('exact', 'inventory:product.created', 'inventory.product.created'),
	('wildcard', 'invoice.*', 'invoice.created'),
	('wildcard', 'invoice.*', 'invoice'),
	('wildcard', 'invoice.*', 'invoice.line.created'),
	('wildcard', '*.created', 'invoice.created'),
	('wildcard', 'invoice.#', 'invoice'),
	('wildcard', 'invoice.#', 'invoice.line.created'),
	('wildcard', 'invoice.#', 'invoices.created'),
	('wildcard', '#.created', 'created'),
	('wildcard', '#.created', 'a.b.c.created'),
	('wildcard', '#.created', 'a.created.b'),
	('wildcard', 'a.#.z', 'a.z'),
	('wildcard', 'a.#.z', 'a.z.b.z'),
	('wildcard', 'a.#.z', 'a.z.b'),
	('wildcard', '#.b.#.d.#', 'a.b.c.d.e'),
	('wildcard', '#.b.#.d.#', 'd.c.b.a'),
	('wildcard', '*.#', 'a'),
	('wildcard', '#', 'anything.at:all'),
	('wildcard', 'inventory:*.created', 'inventory:product.created'),
	('wildcard', 'inventory.*.created', 'inventory:product.created'),
	('prefix', 'invoice.', 'invoice.created'),
	('prefix', 'inv', 'invoice.created'),
	('prefix', 'invoice.created', 'invoice.created'),
	('prefix', 'invoice.created', 'invoice'),
	('regex', '^invoice\.(created|paid)$', 'invoice.paid'),
	('regex', '^invoice\.(created|paid)$', 'invoice.paid.late'),
	('regex', 'paid', 'invoice.paid.late'),
	('regex', '(?i)INVOICE', 'invoice.paid')
) AS t (type, value, name);

-- Every wildcard pattern of up to four segments against every name of up to
-- four: the trie agrees with the definition of AMQP, one by one ...
CREATE FUNCTION amqp(p text[], n text[]) RETURNS boolean
	LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF cardinality(p) = 0 THEN
		RETURN cardinality(n) = 0;
	ELSIF p[1] = '#' THEN
		RETURN amqp(p[2:], n) OR (cardinality(n) > 0 AND amqp(p, n[2:]));
	END IF;
	RETURN cardinality(n) > 0 AND p[1] IN ('*', n[1]) AND amqp(p[2:], n[2:]);
END
$$;
CREATE TABLE segments AS
	WITH RECURSIVE s (list) AS (
		SELECT ARRAY[x] FROM unnest('{a,b,*,#}'::text[]) AS x
		UNION ALL
		SELECT s.list || x FROM s, unnest('{a,b,*,#}'::text[]) AS x
		WHERE cardinality(s.list) < 4
	) SELECT list, array_to_string(list, '.') AS text FROM s;
SELECT count(*) AS combinations,
	count(*) FILTER (WHERE matches) AS matching,
	count(*) FILTER (WHERE matches <> expected) AS wrong
FROM (SELECT matches('wildcard', p.text, n.text) AS matches,
		amqp(p.list, n.list) AS expected
	FROM segments AS p, segments AS n
	WHERE p.text ~ '[*#]' AND n.text !~ '[*#]') AS t;

-- ... and all in one trie, among exact names and prefixes.
INSERT INTO event_engine.subscriptions (subscriber, owner, kind, match, options)
	SELECT format('%s %s', m.type, m.text), current_user::regrole, 'pull',
		jsonb_build_array(jsonb_build_object('type', m.type, 'value', m.text)), '{}'
	FROM (SELECT CASE WHEN s.text ~ '[*#]' THEN 'wildcard' ELSE 'exact' END
				AS type, s.text FROM segments AS s
		UNION ALL
		SELECT 'prefix', s.text FROM segments AS s WHERE s.text !~ '[*#]') AS m;
SELECT count(*) AS found, count(*) FILTER (WHERE f.subscriber IS NULL) AS missed,
	count(*) FILTER (WHERE e.subscriber IS NULL) AS too_many
FROM (SELECT n.text AS name, format('wildcard %s', p.text) AS subscriber
		FROM segments AS p, segments AS n
		WHERE n.text !~ '[*#]' AND p.text ~ '[*#]' AND amqp(p.list, n.list)
		UNION ALL
		SELECT n.text, format('exact %s', n.text) FROM segments AS n
		WHERE n.text !~ '[*#]'
		UNION ALL
		SELECT n.text, format('prefix %s', p.text)
		FROM segments AS p, segments AS n
		WHERE n.text !~ '[*#]' AND p.text !~ '[*#]'
			AND starts_with(n.text, p.text)) AS e
	FULL JOIN (SELECT n.text AS name, s AS subscriber
		FROM segments AS n, event_engine.pattern_subscribers(n.text) AS s
		WHERE n.text !~ '[*#]') AS f USING (name, subscriber);
DELETE FROM event_engine.subscriptions;
SELECT count(*) FROM event_engine.pattern_subscribers('a.b');

-- Many '#' do not blow up.
SELECT matches('wildcard', repeat('#.a.', 60) || 'z', repeat('a.', 110) || 'b');

-- What is no pattern is refused, with its place.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT event_engine.check_match(m::jsonb, NULL, NULL)
	FROM (VALUES ('[]')) AS t (m);
SELECT event_engine.check_match('{"type": "exact", "value": "a"}', NULL, NULL);
SELECT event_engine.check_match('["a"]', NULL, NULL);
SELECT event_engine.check_match('[{"type": "exact", "value": "a"}, {"type": "glob", "value": "a*"}]', NULL, NULL);
SELECT event_engine.check_match('[{"type": "exact"}]', NULL, NULL);
SELECT event_engine.check_match('[{"type": "exact", "value": "a", "filter": []}]', NULL, NULL);
SELECT event_engine.check_match('[{"type": "exact", "value": "a b"}]', NULL, NULL);
SELECT event_engine.check_match('[{"type": "exact", "value": "a..b"}]', NULL, NULL);
SELECT event_engine.check_match('[{"type": "wildcard", "value": "invoice.cre*"}]', NULL, NULL);
SELECT event_engine.check_match('[{"type": "prefix", "value": ""}]', NULL, NULL);
SELECT event_engine.check_match('[{"type": "prefix", "value": "inv*"}]', NULL, NULL);
SELECT event_engine.check_match('[{"type": "regex", "value": "inv("}]', NULL, NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT event_engine.check_match(jsonb_build_array(jsonb_build_object(
	'type', 'regex', 'value', repeat('a', 501))), NULL, NULL);

DROP TABLE segments;
DROP FUNCTION named(text), matches(text, text, text), amqp(text[], text[]);
