-- Events that mean the same to a subscription are handled once.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT event_engine.register_event_definition('same.test');
CREATE TABLE done (at bigint GENERATED ALWAYS AS IDENTITY, subscriber text, n integer);
CREATE TABLE bad (n integer);
CREATE FUNCTION one(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.done (subscriber, n) VALUES ('one', (e.payload ->> 'n')::integer);
	IF EXISTS (SELECT FROM public.bad WHERE n = (e.payload ->> 'n')::integer) THEN RAISE 'bad'; END IF;
END $$;
CREATE FUNCTION several(e event_engine.event[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.done (subscriber, n) SELECT 'several', (x.payload ->> 'n')::integer FROM unnest(e) AS x;
	IF EXISTS (SELECT FROM unnest(e) AS x JOIN public.bad AS b ON b.n = (x.payload ->> 'n')::integer) THEN RAISE 'bad'; END IF;
END $$;
CREATE VIEW outcome AS SELECT subscriber, string_agg(n::text, ' ' ORDER BY at) AS n FROM done GROUP BY subscriber ORDER BY subscriber;
CREATE FUNCTION publish(n integer, number text) RETURNS boolean LANGUAGE sql AS
	$$ SELECT event_engine.publish_event('same.test', jsonb_build_object('n', n, 'number', number)) IS NOT NULL $$;

SELECT event_engine.subscribe('wrong', '{same.test}', 'one', options => '{"idempotencyKey": "$.payload["}');
SELECT event_engine.subscribe('wrong', '{same.test}', 'one', options => '{"idempotencyKey": 1}');
SELECT count(event_engine.subscribe(h, '{same.test}', h, options => '{"idempotencyKey": "$.payload.number", "backoff_ms": 3600000}'))
	FROM unnest('{one,several}'::text[]) AS h;
-- in one batch, and in a later one; null is a key, and what is not there is none
SELECT publish(1, 'a'), publish(2, 'b'), publish(3, 'a'), publish(4, NULL), publish(5, NULL);
SELECT event_engine.publish_event('same.test', '{"n": 6}') IS NOT NULL, event_engine.publish_event('same.test', '{"n": 7}') IS NOT NULL;
SELECT event_engine.process_batch() > 0;
SELECT publish(8, 'b'), publish(9, repeat('long', 1000)), publish(10, repeat('long', 1000));
SELECT event_engine.process_batch() > 0;
SELECT * FROM outcome;
TRUNCATE done;
-- one that fails leaves no key: the next is handled, and it is not any more
INSERT INTO bad VALUES (11);
SELECT publish(11, 'c'), publish(12, 'd'), publish(13, 'c');
SELECT event_engine.process_batch() > 0;
DELETE FROM bad;
UPDATE event_engine.deliveries SET next_attempt_at = now();
SELECT event_engine.process_batch() > 0;
SELECT * FROM outcome;
SELECT count(*) FROM event_engine.deliveries;
TRUNCATE done;
-- after the window it counts as new
UPDATE event_engine.delivery_keys SET expires_at = now() WHERE key = '"d"';
SELECT publish(14, 'd'), publish(15, 'd');
SELECT event_engine.process_batch() > 0;
SELECT * FROM outcome;
UPDATE event_engine.delivery_keys SET expires_at = now() WHERE key <> '"d"';
SELECT event_engine.run_maintenance();
SELECT key, count(*) FROM event_engine.delivery_keys GROUP BY key;
SELECT event_engine.unsubscribe(s.subscriber) FROM event_engine.subscriptions AS s ORDER BY s.subscriber;
SELECT count(*) FROM event_engine.delivery_keys;
TRUNCATE done;

-- a handler in the publisher's transaction
SELECT count(event_engine.subscribe('one', '{same.test}', 'one', options => '{"idempotencyKey": "$.payload.number", "immediate": true}'));
SELECT publish(21, 'a'), publish(22, 'a');
SELECT publish(23, 'a'), publish(24, 'b');
INSERT INTO bad VALUES (25);
SELECT publish(25, 'c');
SELECT publish(26, 'c');
SELECT * FROM outcome;
TRUNCATE done, bad;
SELECT event_engine.unsubscribe('one');

-- one event on demand: it may come again itself, not another of its key
SELECT count(event_engine.subscribe('one', '{same.test}', 'one', options => '{"idempotencyKey": "$.payload.number", "max_attempts": 1}'));
SELECT event_engine.publish_event('same.test', '{"n": 31, "number": "a"}') AS first \gset
SELECT event_engine.publish_event('same.test', '{"n": 32, "number": "a"}') AS second \gset
SELECT event_engine.process_batch();
SELECT outcome FROM event_engine.process_event(:'first');
SELECT outcome FROM event_engine.process_event(:'second');
UPDATE event_engine.delivery_keys SET expires_at = now();
SELECT outcome FROM event_engine.process_event(:'second');
SELECT outcome FROM event_engine.process_event(:'first');
SELECT * FROM outcome;
TRUNCATE done;
SELECT event_engine.unsubscribe('one');

-- a client: by what it has acknowledged
SELECT count(event_engine.subscribe('pulled', '{same.test}', options => '{"idempotencyKey": "$.payload.number", "backoff_ms": 0}'));
CREATE FUNCTION receive(OUT receipt uuid, OUT n text) LANGUAGE sql AS
	$$ SELECT (array_agg(r.receipt))[1], string_agg(r.payload ->> 'n', ' ' ORDER BY r.seq) FROM event_engine.receive_events('pulled', 10) AS r $$;
SELECT publish(41, 'a'), publish(42, 'b');
SELECT receipt, n FROM receive() \gset
\echo :n
-- those of 41 and 42 are not acknowledged, so others of their keys are handed out
SELECT publish(43, 'a'), event_engine.publish_event('same.test', '{"n": 44}') IS NOT NULL;
SELECT receipt AS other, n FROM receive() \gset
\echo :n
SELECT event_engine.ack_events(:'receipt');
-- from the log, and from what was handed back
SELECT publish(45, 'a'), publish(46, 'b'), publish(47, 'c'), event_engine.publish_event('same.test', '{"n": 48}') IS NOT NULL;
SELECT event_engine.nack_events(:'other');
SELECT receipt, n FROM receive() \gset
\echo :n
SELECT n FROM receive();
SELECT event_engine.ack_events(:'receipt', (SELECT array_agg(id) FROM event_engine.events WHERE payload ->> 'n' IN ('44', '47')));
SELECT event_engine.ack_events(:'receipt');
-- two of a key at once; whoever is handed nothing else gets nothing
SELECT publish(51, 'd'), publish(52, 'd');
SELECT receipt, n FROM receive() \gset
\echo :n
SELECT event_engine.ack_events(:'receipt');
SELECT publish(53, 'd'), publish(54, 'c');
SELECT n FROM receive();
-- a lease that has run out
UPDATE event_engine.delivery_keys SET expires_at = now();
SELECT publish(55, 'd'), publish(56, 'd');
SELECT receipt AS first FROM event_engine.receive_events('pulled', 1) \gset
SELECT receipt AS second FROM event_engine.receive_events('pulled', 1) \gset
SELECT event_engine.ack_events(:'first');
SELECT event_engine.extend_events(:'second', '0') IS NOT NULL;
SELECT n FROM receive();
SELECT key, count(*) FROM event_engine.delivery_keys WHERE expires_at > now() GROUP BY key ORDER BY key;
SELECT count(*) FROM event_engine.event_leases;
SELECT count(*) FROM event_engine.deliveries;
-- all are in the totals
SELECT n FROM receive();
SELECT delivered, failed, dead FROM event_engine.stat_subscriptions WHERE subscriber = 'pulled';
SELECT event_engine.unsubscribe('pulled');
DROP FUNCTION receive;

DROP VIEW outcome;
DROP TABLE done, bad;
DROP FUNCTION one, several, publish;
DELETE FROM event_engine.event_definitions;
