-- What is for tests of what is built on it.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE SCHEMA kit;
SELECT event_engine.register_event_definition(p) FROM unnest('{kit.asked, kit.answered, kit.failed}'::text[]) AS p;
CREATE TABLE kit.seen (pattern text, n integer);
CREATE FUNCTION kit.answer(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO kit.seen VALUES (e.pattern, (e.payload ->> 'n')::integer);
	PERFORM event_engine.publish_event('kit.answered', e.payload);
END $$;
CREATE FUNCTION kit.note(e event_engine.event) RETURNS void LANGUAGE sql AS $$
	INSERT INTO kit.seen VALUES (e.pattern, (e.payload ->> 'n')::integer)
$$;
CREATE FUNCTION kit.fail(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'not today';
END $$;
SELECT event_engine.subscribe('asked', '{kit.asked}', 'kit.answer') IS NOT NULL AS subscribed;
SELECT event_engine.subscribe('answered', '{kit.answered}', 'kit.note') IS NOT NULL AS subscribed;
SELECT event_engine.subscribe('failed', '{kit.failed}', 'kit.fail',
	options => '{"max_attempts": 3, "backoff_ms": 3600000}') IS NOT NULL AS subscribed;

-- Assert published.
BEGIN;
SELECT event_engine.assert_published('kit.asked');
ROLLBACK;
BEGIN;
SELECT event_engine.publish_event('kit.asked', '{"n": 1}') IS NOT NULL AS published;
SELECT event_engine.assert_published('kit.asked');
SELECT event_engine.assert_published('kit.*', '$.payload.n == 1', 1);
SELECT event_engine.assert_published('kit.answered', times => 0);
SAVEPOINT here;
SELECT event_engine.assert_published('kit.asked', '$.payload.n == 2');
ROLLBACK TO here;
SELECT event_engine.assert_published('kit.asked', times => 2);
ROLLBACK TO here;
COMMIT;
SELECT event_engine.assert_published('kit.asked', since => now() - interval '1 hour');
SELECT event_engine.assert_published('kit.asked', since => now() + interval '1 hour');

-- Run everything pending: what handlers publish as well.
CALL event_engine.run_pending();
TABLE kit.seen;
CALL event_engine.run_pending();
-- Nothing is lost in a transaction block, but what it published stays.
BEGIN;
SELECT event_engine.publish_event('kit.asked', '{"n": 2}') IS NOT NULL AS published;
CALL event_engine.run_pending();
COMMIT;
CALL event_engine.run_pending(subscriber => 'answered');
CALL event_engine.run_pending(subscriber => 'asked');
CALL event_engine.run_pending();
SELECT event_engine.publish_event('kit.asked', '{"n": 3}', deliver_at => now() + interval '1 day') IS NOT NULL AS published;
CALL event_engine.run_pending();
CALL event_engine.run_pending(ahead => true);
SELECT * FROM kit.seen WHERE n > 1;

-- Wait for an event, and for its delivery.
CALL event_engine.wait_for_event('kit.#', timeout => '0 s');
SELECT event_engine.publish_event('kit.asked', '{"n": 4}') AS id \gset
CALL event_engine.wait_for_event('kit.asked', filter => '$.payload.n == 4', since => now() - interval '1 hour', id => NULL) \gset found_
SELECT :'found_id' = :'id' AS found;
CALL event_engine.wait_for_event('kit.asked', filter => '$.payload.n == 5', since => now() - interval '1 hour', timeout => '0.1 s');
CALL event_engine.wait_for_delivery(:'id', timeout => '0.1 s');
CALL event_engine.run_pending();
CALL event_engine.wait_for_delivery(:'id');
CALL event_engine.wait_for_delivery(:'id', subscriber => 'asked');
\set VERBOSITY terse
CALL event_engine.wait_for_delivery(:'id', subscriber => 'failed');
SELECT event_engine.publish_event('kit.failed', '{"n": 5}') AS id \gset
CALL event_engine.run_pending();
CALL event_engine.wait_for_delivery(:'id', timeout => '0.1 s');
CALL event_engine.run_pending(ahead => true);
CALL event_engine.wait_for_delivery(:'id');
SELECT retry_count, error_message FROM event_engine.event_dead_letters WHERE subscriber = 'failed';
CALL event_engine.wait_for_event('kit.asked', timeout => NULL);

-- Inside a function it may not commit, and works all the same.
DO $$ BEGIN PERFORM event_engine.publish_event('kit.asked', '{"n": 6}'); END $$;
CREATE FUNCTION kit.run() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	CALL event_engine.run_pending(delivered => n);
	RETURN n;
END $$;
SELECT kit.run();

SELECT event_engine.unsubscribe(s) FROM unnest('{asked,answered,failed}'::text[]) AS s;
DELETE FROM event_engine.event_dead_letters;
DROP SCHEMA kit CASCADE;
