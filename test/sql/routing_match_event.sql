-- Whom an event reaches, and why the others not.
\set SHOW_CONTEXT never
INSERT INTO event_engine.subscriptions (subscriber, owner, kind, match, filter_path, filters, options, status)
	SELECT s.subscriber, current_user::regrole, 'pull', s.match::jsonb, s.path, s.filters::jsonb, '{}',
		COALESCE(s.status, 'active')
	FROM (VALUES
		('exact', '[{"type": "exact", "value": "order.created"}]', NULL, NULL, NULL),
		('other', '[{"type": "exact", "value": "order.paid"}, {"type": "prefix", "value": "ship"},
			{"type": "regex", "value": "^x"}, {"type": "wildcard", "value": "*"},
			{"type": "exact", "value": "a"}, {"type": "exact", "value": "b"}]', NULL, NULL, NULL),
		('large', '[{"type": "wildcard", "value": "order.#"}]', '$.payload.amount > 1000', NULL, NULL),
		('german', '[{"type": "wildcard", "value": "#"}]', NULL,
			'[{"field": "payload.country", "operator": "in", "value": ["DE", "AT"]},
			{"field": "payload.vip", "operator": "exists"}]', NULL),
		('either', '[{"type": "prefix", "value": "order.", "filters": [{"field": "payload.amount", "operator": "lt", "value": 10}]},
			{"type": "regex", "value": "created$", "filters": [{"field": "source.type", "operator": "==", "value": "task"}]}]', NULL, NULL, NULL),
		('paused', '[{"type": "wildcard", "value": "order.*"}]', NULL, NULL, 'paused'),
		('broken', '[{"type": "wildcard", "value": "order.*"}]', NULL, NULL, 'broken')
	) AS s (subscriber, match, path, filters, status);
SELECT * FROM event_engine.match_event('order.created', '{"amount": 50, "country": "FR"}');
SELECT * FROM event_engine.match_event('order.created', '{"amount": 5000, "country": "AT", "vip": true}',
	source => '{"type": "task", "id": "t1"}');
SELECT subscriber, reason FROM event_engine.match_event('order.created',
	jsonb_build_object('country', repeat('x', 200))) WHERE subscriber = 'german';
SELECT * FROM event_engine.pattern_subscribers('order.created');
SELECT * FROM event_engine.match_event(NULL, '{}');
SELECT * FROM event_engine.match_event('00000000-0000-7000-8000-000000000009'::uuid);

-- What changes is seen at once, and forgotten when it is rolled back.
BEGIN;
SELECT count(*) FROM event_engine.pattern_subscribers('order.created');
SAVEPOINT a;
DELETE FROM event_engine.subscriptions WHERE subscriber = 'exact';
SELECT count(*) FROM event_engine.pattern_subscribers('order.created');
ROLLBACK TO a;
SELECT count(*) FROM event_engine.pattern_subscribers('order.created');
UPDATE event_engine.subscriptions SET match = '[{"type": "exact", "value": "order.paid"}]' WHERE subscriber = 'exact';
SELECT count(*) FROM event_engine.pattern_subscribers('order.created');
ROLLBACK;
SELECT count(*) FROM event_engine.pattern_subscribers('order.created');
TRUNCATE event_engine.subscriptions;
SELECT count(*) FROM event_engine.pattern_subscribers('order.created');

-- A thousand subscriptions: only those concerned are found.
INSERT INTO event_engine.subscriptions (subscriber, owner, kind, match, options)
	SELECT 's' || i, current_user::regrole, 'pull', jsonb_build_array(jsonb_build_object(
		'type', (ARRAY['exact', 'wildcard', 'prefix', 'regex'])[1 + i % 4],
		'value', format((ARRAY['m%s.created', 'm%s.*', 'm%s.', '^m%s\.'])[1 + i % 4], i / 4))), '{}'
	FROM generate_series(1, 1000) AS i;
SELECT * FROM event_engine.pattern_subscribers('m100.created');
SELECT count(*), count(*) FILTER (WHERE m.matches) AS matches
	FROM event_engine.match_event('m100.created', '{}') AS m;
DELETE FROM event_engine.subscriptions;

-- The matcher remembers many names, and forgets rather than grow.
SELECT count(*) AS tried, count(*) FILTER (WHERE event_engine.event_matches(
	jsonb_populate_record(NULL::event_engine.event, jsonb_build_object('pattern', 'n.' || i % 10000)),
	'[{"type": "regex", "value": "7$"}, {"type": "wildcard", "value": "n.3"}]')) AS matching
FROM generate_series(1, 20000) AS i;

-- Tried on history before anybody subscribes, and asked about a stored event.
SELECT event_engine.register_event_definition('trial.created');
SELECT event_engine.register_event_definition('trial.paid');
SELECT count(event_engine.publish_event(p, jsonb_build_object('amount', i)))
	FROM generate_series(1, 20) AS i, unnest('{trial.created,trial.paid}'::text[]) AS p;
SELECT matched, tested, (SELECT jsonb_agg(x -> 'payload') FROM jsonb_array_elements(examples) AS x) AS examples
	FROM event_engine.test_filter('{trial.created}', '$.payload.amount > 15', max_events => 40);
SELECT matched, tested, jsonb_array_length(examples) AS examples
	FROM event_engine.test_filter(filter => '[{"field": "payload.amount", "operator": "<=", "value": 19}]',
		max_events => 10, max_examples => 100);
SELECT matched, tested FROM event_engine.test_filter(match => '{"type": "prefix", "value": "trial.p"}',
	filters => '[{"field": "payload.amount", "operator": "lt", "value": 6}]', max_events => 40);
SELECT matched, tested, examples FROM event_engine.test_filter('{trial.refunded}', max_events => 40);
SELECT * FROM event_engine.test_filter(filter => '$.payload.amount');
SELECT event_engine.subscribe('large', '{trial.*}', filter => '$.payload.amount > 19') IS NOT NULL AS ok;
SELECT e.payload, m.* FROM event_engine.events AS e, event_engine.match_event(e.id) AS m
	WHERE e.pattern = 'trial.paid' AND e.payload ->> 'amount' IN ('1', '20') ORDER BY e.seq;
SELECT event_engine.unsubscribe('large');
