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

DROP VIEW outcome;
DROP TABLE done, bad;
DROP FUNCTION one, several, publish;
DELETE FROM event_engine.event_definitions;
