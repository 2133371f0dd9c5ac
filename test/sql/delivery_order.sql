-- Events of one key keep their order, whatever fails; other keys do not wait.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT event_engine.register_event_definition('order.test');
CREATE TABLE done (at bigint GENERATED ALWAYS AS IDENTITY, subscriber text, key text, n integer);
CREATE TABLE bad (key text, n integer);
CREATE FUNCTION one(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.done (subscriber, key, n) VALUES ('one', e.partition_key, (e.payload ->> 'n')::integer);
	IF EXISTS (SELECT FROM public.bad WHERE key = e.partition_key AND n = (e.payload ->> 'n')::integer) THEN
		RAISE 'bad';
	END IF;
END $$;
CREATE FUNCTION several(e event_engine.event[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.done (subscriber, key, n) SELECT 'several', x.partition_key, (x.payload ->> 'n')::integer FROM unnest(e) AS x;
	IF EXISTS (SELECT FROM unnest(e) AS x JOIN public.bad AS b ON b.key = x.partition_key AND b.n = (x.payload ->> 'n')::integer) THEN
		RAISE 'bad';
	END IF;
END $$;
-- events lower to upper of the keys, by turns
CREATE FUNCTION publish(lower integer, upper integer, VARIADIC keys text[]) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('order.test', jsonb_build_object('n', i), partition_key => k))
	FROM generate_series(lower, upper) AS i, unnest(keys) AS k
$$;
CREATE VIEW outcome AS
	SELECT subscriber, key, string_agg(n::text, ' ' ORDER BY at) AS n FROM done GROUP BY subscriber, key ORDER BY subscriber, key;
CREATE VIEW waiting AS
	SELECT s.subscriber, d.partition_key AS key, string_agg((d.event).payload ->> 'n' || ' ' || d.status || ' ' || d.attempts, ', ' ORDER BY d.seq) AS waiting
	FROM event_engine.deliveries AS d JOIN event_engine.subscriptions AS s ON s.number = d.subscription_number
	GROUP BY s.subscriber, d.partition_key ORDER BY s.subscriber, d.partition_key;
CREATE FUNCTION make_due() RETURNS void LANGUAGE sql AS
	$$ UPDATE event_engine.deliveries SET next_attempt_at = now() WHERE status IN ('retry', 'delayed') $$;

-- Only what is handled can be ordered
SELECT event_engine.subscribe('puller', '{order.test}', options => '{"ordered": true}');
SELECT event_engine.subscribe('bell', '{order.test}', channel => 'bell', options => '{"ordered": true}');
SELECT event_engine.subscribe('one', '{order.test}', 'one', options => '{"on_dead_letter": "stop"}');

SELECT count(event_engine.subscribe(h, ARRAY['order.test'], h, options => '{"ordered": true, "max_attempts": 3, "backoff_ms": 3600000}'))
	FROM unnest(ARRAY['one', 'several']) AS h;
INSERT INTO bad VALUES ('b', 2), ('b', 4), ('d', 1);
SELECT publish(1, 5, 'a', 'b', 'c', NULL);
SELECT event_engine.process_batch();
SELECT * FROM outcome;
SELECT * FROM waiting;
SELECT subscriber, partition_key, status, attempts, last_error, parked FROM event_engine.held_up_keys ORDER BY subscriber;
-- later ones wait as well, in the batch that fails and in those after it
SELECT publish(6, 7, 'b', 'd', 'a');
SELECT event_engine.process_batch();
SELECT * FROM waiting;
-- it fails again
SELECT make_due();
SELECT event_engine.process_batch();
SELECT * FROM waiting;
-- it succeeds: the others follow, until the next that fails
DELETE FROM bad WHERE n = 2;
SELECT make_due();
SELECT event_engine.process_batch();
SELECT * FROM outcome WHERE key = 'b';
SELECT * FROM waiting;
-- it is given up: the rest follows nevertheless
SELECT make_due();
SELECT event_engine.process_batch();
SELECT make_due();
SELECT event_engine.process_batch();
SELECT * FROM outcome;
SELECT * FROM waiting;
SELECT subscriber, payload, retry_count FROM event_engine.event_dead_letters ORDER BY subscriber, seq;
-- and the key is free
SELECT publish(8, 8, 'b');
SELECT event_engine.process_batch();
SELECT * FROM outcome WHERE key = 'b';
-- a dead letter that is redriven holds up what comes after it
SELECT event_engine.redrive_dead_letters(subscriber => 'one');
SELECT event_engine.process_batch(subscriber => 'one');
SELECT publish(9, 9, 'b');
SELECT event_engine.process_batch(subscriber => 'one');
SELECT * FROM waiting;
DELETE FROM bad;
SELECT make_due();
SELECT event_engine.process_batch(subscriber => 'one');
SELECT * FROM outcome WHERE key = 'b' AND subscriber = 'one';
SELECT event_engine.unsubscribe(s.subscriber) FROM event_engine.subscriptions AS s ORDER BY s.subscriber;
TRUNCATE done, bad, event_engine.event_dead_letters;

-- A key that is halted waits for a person
SELECT count(event_engine.subscribe(h, ARRAY['order.test'], h, options => '{"ordered": true, "onDeadLetter": "halt", "max_attempts": 1}'))
	FROM unnest(ARRAY['one', 'several']) AS h;
INSERT INTO bad VALUES ('a', 1), ('b', 1);
SELECT publish(1, 3, 'a', 'b', 'c');
SELECT event_engine.process_batch();
SELECT publish(4, 4, 'a', 'b', 'c');
SELECT event_engine.process_batch();
SELECT * FROM outcome;
SELECT * FROM waiting;
SELECT subscriber, partition_key, status, next_attempt_at, parked FROM event_engine.held_up_keys ORDER BY 1, 2;
-- redriven too early, it halts it again
SELECT event_engine.redrive_dead_letters(subscriber => 'one', max_letters => 1);
SELECT event_engine.process_batch();
SELECT * FROM waiting;
-- redriven after the repair
DELETE FROM bad WHERE key = 'a';
SELECT event_engine.redrive_dead_letters(ids => array_agg(id)) FROM event_engine.event_dead_letters
	WHERE status = 'dead' AND envelope ->> 'partitionKey' = 'a';
SELECT event_engine.process_batch();
SELECT * FROM outcome WHERE key = 'a';
-- discarded
SELECT event_engine.discard_dead_letters(event_type => 'order.test');
SELECT * FROM waiting;
SELECT event_engine.process_batch();
SELECT * FROM outcome WHERE key = 'b';
SELECT * FROM waiting;
SELECT subscriber, delivered, failed, dead FROM event_engine.stat_subscriptions ORDER BY subscriber;
-- when nobody is to be waited for any more
INSERT INTO bad VALUES ('a', 5);
SELECT publish(5, 7, 'a');
SELECT event_engine.process_batch();
SELECT * FROM waiting;
SELECT event_engine.update_subscription('one', options => '{"on_dead_letter": "continue"}');
SELECT event_engine.update_subscription('several', options => '{"ordered": false}');
SELECT event_engine.process_batch();
SELECT * FROM waiting;
SELECT * FROM outcome WHERE key = 'a';
SELECT event_engine.unsubscribe(s.subscriber) FROM event_engine.subscriptions AS s ORDER BY s.subscriber;
TRUNCATE done, bad, event_engine.event_dead_letters;

-- What failed before the subscription was ordered
SELECT event_engine.subscribe('one', '{order.test}', 'one', options => '{"backoff_ms": 3600000}') IS NOT NULL;
INSERT INTO bad SELECT 'a', generate_series(1, 2);
SELECT publish(1, 3, 'a', 'b');
SELECT event_engine.process_batch();
SELECT event_engine.update_subscription('one', options => '{"ordered": true}');
SELECT publish(4, 4, 'a', 'b');
SELECT event_engine.process_batch();
SELECT * FROM waiting;
DELETE FROM bad;
SELECT make_due();
SELECT event_engine.process_batch();
SELECT * FROM outcome;

-- An event with a deliver_at is outside of the order, by its publisher's wish
INSERT INTO bad VALUES ('a', 6), ('a', 8);
SELECT event_engine.publish_event('order.test', '{"n": 5}', partition_key => 'a', deliver_at => clock_timestamp() + '1 hour') IS NOT NULL;
SELECT event_engine.publish_event('order.test', '{"n": 6}', partition_key => 'a', deliver_at => clock_timestamp() + '1 hour') IS NOT NULL;
SELECT publish(7, 9, 'a');
SELECT event_engine.process_batch();
SELECT * FROM waiting;
UPDATE event_engine.deliveries SET next_attempt_at = now() WHERE status = 'delayed';
SELECT event_engine.process_batch();
SELECT * FROM waiting;
DELETE FROM bad;
SELECT make_due();
SELECT event_engine.process_batch();
SELECT * FROM outcome WHERE key = 'a';
TRUNCATE done;

-- Many behind one, and no more at a time than are asked for
INSERT INTO bad VALUES ('a', 1);
SELECT publish(1, 200, 'a');
SELECT event_engine.process_batch();
SELECT status, count(*) FROM event_engine.deliveries GROUP BY status ORDER BY status;
DELETE FROM bad;
SELECT make_due();
SELECT event_engine.process_batch(10), event_engine.process_batch(1), event_engine.process_batch(60);
SELECT status, count(*) FROM event_engine.deliveries GROUP BY status ORDER BY status;
SELECT publish(201, 201, 'a');
SELECT event_engine.process_batch();
SELECT count(*), count(DISTINCT n), bool_and(n = position) AS in_order FROM (SELECT n, row_number() OVER (ORDER BY at) AS position FROM done) AS d;
SELECT * FROM waiting;
TRUNCATE done;

-- A person removes the row that the others wait for
INSERT INTO bad VALUES ('a', 1);
SELECT publish(1, 3, 'a');
SELECT event_engine.process_batch();
DELETE FROM event_engine.deliveries WHERE status = 'retry';
SELECT event_engine.process_batch();
SELECT * FROM outcome;
SELECT * FROM waiting;

SELECT event_engine.unsubscribe('one');
DROP VIEW outcome, waiting;
DROP TABLE done, bad;
DROP FUNCTION one, several, publish, make_due;
DELETE FROM event_engine.event_definitions;
