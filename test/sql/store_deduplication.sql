-- An event_id published again within the window gives the first event's id and stores nothing.
SELECT event_engine.register_event_definition('dedup.a');
SELECT event_engine.register_event_definition('dedup.b');
SELECT event_engine.publish_event('dedup.a', '{"n": 1}', event_id => 'dedup-1') AS first \gset
SELECT event_engine.publish_event('dedup.a', '{"n": 2}', event_id => 'dedup-1') = :'first' AS same;
-- whatever its pattern: the identifier is the publisher's
SELECT event_engine.publish_event('dedup.b', '{"n": 3}', event_id => 'dedup-1') = :'first' AS same;
-- letters count
SELECT event_engine.publish_event('dedup.a', '{"n": 4}', event_id => 'DEDUP-1') = :'first' AS same;
SELECT event_engine.publish_event('dedup.a', '{"n": 5}') = event_engine.publish_event('dedup.a', '{"n": 5}') AS same;
SELECT payload, event_id FROM event_engine.events WHERE pattern LIKE 'dedup.%' ORDER BY seq;

-- Among many, and against one another.
SELECT array_agg(id = :'first' ORDER BY n) AS first, count(DISTINCT id) AS different
	FROM event_engine.publish_events('[
		{"pattern": "dedup.b", "payload": {"n": 6}, "eventId": "dedup-6"},
		{"pattern": "dedup.b", "payload": {"n": 7}, "eventId": "dedup-1"},
		{"pattern": "dedup.b", "payload": {"n": 8}, "eventId": "dedup-6"},
		{"pattern": "dedup.b", "payload": {"n": 9}}]') WITH ORDINALITY AS e (id, n);
SELECT payload FROM event_engine.events WHERE pattern = 'dedup.b' ORDER BY seq;

-- What rolled back was not seen.
BEGIN;
SELECT event_engine.publish_event('dedup.a', '{"n": 10}', event_id => 'dedup-10') IS NOT NULL AS ok;
SAVEPOINT s;
SELECT event_engine.publish_event('dedup.a', '{"n": 11}', event_id => 'dedup-11') IS NOT NULL AS ok;
ROLLBACK TO s;
SELECT event_engine.publish_event('dedup.a', '{"n": 12}', event_id => 'dedup-11') IS NOT NULL AS ok;
COMMIT;
BEGIN;
SELECT event_engine.publish_event('dedup.a', '{"n": 13}', event_id => 'dedup-13') IS NOT NULL AS ok;
ROLLBACK;
SELECT event_engine.publish_event('dedup.a', '{"n": 14}', event_id => 'dedup-13') IS NOT NULL AS ok;
SELECT payload, event_id FROM event_engine.events WHERE event_id IN ('dedup-10', 'dedup-11', 'dedup-13') ORDER BY seq;

-- One that is not valid does not use up its identifier.
\set VERBOSITY terse
SELECT event_engine.publish_event('dedup.a', '{"n": 15}', event_id => 'dedup-15', metadata => '[]');
\set VERBOSITY default
SELECT event_engine.publish_event('dedup.a', '{"n": 16}', event_id => 'dedup-15') IS NOT NULL AS ok;
SELECT payload FROM event_engine.events WHERE event_id = 'dedup-15';

-- After the window it is new, before upkeep has forgotten it and after.
UPDATE event_engine.event_keys SET expires_at = now() - '1 second'::interval WHERE event_id = 'dedup-1';
SELECT event_engine.publish_event('dedup.a', '{"n": 17}', event_id => 'dedup-1') AS second \gset
SELECT :'second' <> :'first' AS new, event_engine.publish_event('dedup.a', '{"n": 18}', event_id => 'dedup-1') = :'second' AS same;
UPDATE event_engine.event_keys SET expires_at = now() - '1 second'::interval WHERE event_id = 'dedup-1';
SELECT event_engine.run_maintenance();
SELECT count(*) FROM event_engine.event_keys WHERE event_id = 'dedup-1';
SELECT event_engine.publish_event('dedup.a', '{"n": 19}', event_id => 'dedup-1') NOT IN (:'first', :'second') AS new;
SELECT expires_at - now() BETWEEN '6 days 23:59' AND '7 days 00:01' AS a_week
	FROM event_engine.event_keys WHERE event_id = 'dedup-1';

-- Each tenant has identifiers of its own, and so have events without one.
SELECT event_engine.publish_event('dedup.a', '{"n": 30}', event_id => 'dedup-30') AS nobodys \gset
SELECT event_engine.publish_event('dedup.a', '{"n": 31}', event_id => 'dedup-30', metadata => '{"tags": {"tenant": "acme"}}') AS acmes \gset
SELECT event_engine.publish_event('dedup.b', '{"n": 32}', event_id => 'dedup-30', metadata => '{"tags": {"tenant": "acme"}}') = :'acmes' AS same;
SELECT event_engine.publish_event('dedup.a', '{"n": 33}', event_id => 'dedup-30', metadata => '{"tags": {"tenant": "globex"}}') NOT IN (:'nobodys', :'acmes') AS new;
SELECT event_engine.publish_event('dedup.a', '{"n": 34}', event_id => 'dedup-30', metadata => '{"tags": {"tenant": 7}}') = :'nobodys' AS same;
INSERT INTO event_engine.events (pattern, payload, event_id, metadata)
	VALUES ('dedup.a', '{"n": 35}', 'dedup-30', '{"tags": {"tenant": "acme"}}'), ('dedup.a', '{"n": 36}', 'dedup-30', '{"tags": {"tenant": "initech"}}');
SELECT payload, event_engine.event_tenant(metadata) AS tenant FROM event_engine.events WHERE event_id = 'dedup-30' ORDER BY seq;
SELECT event_id, tenant FROM event_engine.event_keys WHERE event_id = 'dedup-30' ORDER BY tenant;
