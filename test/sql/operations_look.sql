-- Where an event is, for each subscription, and what waits since when.
\set SHOW_CONTEXT never
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
SELECT event_engine.register_event_definition(p) AS registered
FROM unnest('{order.placed,order.paid}'::text[]) AS p;
CREATE FUNCTION digest(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF e.payload ? 'fail' THEN
		RAISE EXCEPTION 'cannot digest this';
	END IF;
END $$;
SELECT event_engine.publish_event('order.placed', '{"n": 0}') AS early \gset
SELECT event_engine.subscribe('handled', '{order.*}', 'digest',
	options => '{"max_attempts": 2, "backoff_ms": 3600000, "processing_log": true}') IS NOT NULL AS ok;
SELECT event_engine.subscribe('gives.up', '{order.*}', 'digest',
	options => '{"max_attempts": 1}') IS NOT NULL AS ok;
SELECT event_engine.subscribe('pulled', '{order.placed}') IS NOT NULL AS ok;
SELECT event_engine.subscribe('history', '{order.placed}', options => '{"start": "beginning"}') IS NOT NULL AS ok;
SELECT event_engine.subscribe('large', '{order.placed}', filter => '$.payload.n > 100') IS NOT NULL AS ok;
SELECT event_engine.publish_event('order.placed', '{"n": 1}') AS plain \gset
SELECT event_engine.publish_event('order.placed', '{"n": 200, "fail": true}') AS bad \gset
SELECT event_engine.publish_event('order.placed', '{"n": 3}', deliver_at => clock_timestamp() + interval '1 hour') AS later \gset
SELECT event_engine.publish_event('order.paid', '{}', priority => 'critical') AS urgent \gset

-- Nothing has been taken from the log yet.
SELECT subscriber, events, complete, age > '0' AS waits FROM event_engine.stat_backlog ORDER BY subscriber;
SELECT subscriber, state FROM event_engine.event_deliveries(:'plain');
SELECT subscriber, state FROM event_engine.event_deliveries(:'early');
SELECT subscriber, state FROM event_engine.event_deliveries(:'urgent');

SELECT event_engine.process_batch(100) AS delivered;
SELECT count(*) FROM event_engine.receive_events('pulled', 2);
SELECT subscriber, state, attempts, next_attempt_at > clock_timestamp() AS later, last_error,
	finished_at <= clock_timestamp() AS finished
FROM event_engine.event_deliveries(:'plain');
SELECT subscriber, state, attempts, next_attempt_at > clock_timestamp() AS later, last_error
FROM event_engine.event_deliveries(:'bad');
SELECT subscriber, state, attempts FROM event_engine.event_deliveries(:'later');
SELECT subscriber, state FROM event_engine.event_deliveries(:'urgent');
SELECT subscriber, events, complete, age > '0' AS waits FROM event_engine.stat_backlog ORDER BY subscriber;
SELECT event_engine.discard_dead_letters(array_agg(id)) AS discarded FROM event_engine.event_dead_letters;
SELECT state FROM event_engine.event_deliveries(:'bad') WHERE subscriber = 'gives.up';

-- A handler that was called at once has had it; one that halts its key says so.
SELECT event_engine.subscribe('at.once', '{order.placed}', 'digest',
	options => '{"immediate": true}') IS NOT NULL AS ok;
SELECT event_engine.subscribe('halting', '{order.placed}', 'digest',
	options => '{"ordered": true, "on_dead_letter": "halt", "max_attempts": 1}') IS NOT NULL AS ok;
SELECT event_engine.publish_event('order.placed', '{"n": 5}', partition_key => 'k') AS good \gset
SELECT subscriber, state FROM event_engine.event_deliveries(:'good') WHERE subscriber IN ('at.once', 'halting');
SELECT event_engine.unsubscribe('at.once') AS removed;
SELECT event_engine.publish_event('order.placed', '{"fail": true}', partition_key => 'k') AS head \gset
SELECT event_engine.publish_event('order.placed', '{}', partition_key => 'k') AS next \gset
SELECT event_engine.process_batch(100, 'halting') AS delivered;
SELECT state, attempts, last_error FROM event_engine.event_deliveries(:'head') WHERE subscriber = 'halting';
SELECT state FROM event_engine.event_deliveries(:'next') WHERE subscriber = 'halting';
SELECT event_engine.discard_dead_letters(array_agg(id)) AS discarded FROM event_engine.event_dead_letters
	WHERE subscriber = 'halting';
SELECT state FROM event_engine.event_deliveries(:'head') WHERE subscriber = 'halting';
SELECT event_engine.process_batch(100, 'halting') AS delivered;
SELECT state FROM event_engine.event_deliveries(:'head') WHERE subscriber = 'halting';
SELECT state FROM event_engine.event_deliveries(:'next') WHERE subscriber = 'halting';

-- What this transaction has published is nobody's yet.
BEGIN;
SELECT event_engine.publish_event('order.placed', '{"n": 4}') AS own \gset
SELECT subscriber, state FROM event_engine.event_deliveries(:'own');
SELECT events FROM event_engine.stat_backlog WHERE subscriber = 'history';
ROLLBACK;
SELECT * FROM event_engine.event_deliveries('01a1fd68-4298-7ab0-a809-d3469a4f752c');

DROP FUNCTION digest(event_engine.event);
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
