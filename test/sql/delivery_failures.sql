-- What handlers do wrong harms nobody else.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT event_engine.register_event_definition('fail.test'), event_engine.register_event_definition('fail.loop');
CREATE TABLE done (subscriber text, n integer);
CREATE FUNCTION publish(lower integer, upper integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('fail.test', jsonb_build_object('n', i))) FROM generate_series($1, $2) AS i
$$;
CREATE VIEW outcome AS
	SELECT s.subscriber, s.status,
		(SELECT count(*) FROM done AS d WHERE d.subscriber = s.subscriber) AS effects,
		(SELECT count(DISTINCT d.n) FROM done AS d WHERE d.subscriber = s.subscriber) AS events,
		(SELECT string_agg((d.event).payload ->> 'n' || '/' || d.attempts, ' ' ORDER BY d.seq)
			FROM event_engine.deliveries AS d WHERE d.subscription_number = s.number) AS waiting,
		(SELECT string_agg(COALESCE(d.payload ->> 'n', d.payload ->> 'hop') || '/' || d.retry_count || ': ' || d.error_message, ', ' ORDER BY d.seq)
			FROM event_engine.event_dead_letters AS d WHERE d.subscriber = s.subscriber) AS dead,
		(SELECT concat_ws('/', m.delivered, m.failed, m.dead) FROM event_engine.subscription_cursor_moves AS m
			WHERE m.subscription_number = s.number ORDER BY m.move DESC LIMIT 1) AS totals
	FROM event_engine.subscriptions AS s ORDER BY s.subscriber;

-- One bad event of a hundred, whatever the handler takes: it alone is retried.
CREATE FUNCTION one(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO done VALUES ('one', (e.payload ->> 'n')::integer);
	IF e.payload ->> 'n' = '50' THEN RAISE 'indigestible'; END IF;
END $$;
CREATE FUNCTION several(e event_engine.event[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO done SELECT 'several', (x.payload ->> 'n')::integer FROM unnest(e) AS x;
	IF EXISTS (SELECT FROM unnest(e) AS x WHERE x.payload ->> 'n' = '50') THEN RAISE 'indigestible'; END IF;
END $$;
CREATE FUNCTION envelope(e jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO done VALUES ('envelope', (e #>> '{payload,n}')::integer);
	IF e #>> '{payload,n}' = '50' THEN RAISE 'indigestible'; END IF;
END $$;
SELECT count(event_engine.subscribe(h, ARRAY['fail.test'], h, options => '{"max_attempts": 3, "backoff_ms": 3600000}'))
	FROM unnest(ARRAY['one', 'several', 'envelope']) AS h;
SELECT publish(1, 100);
SELECT event_engine.process_batch();
SELECT * FROM outcome;
-- it is tried again, and given up in the end
UPDATE event_engine.deliveries SET next_attempt_at = now();
SELECT event_engine.process_batch();
SELECT subscriber, waiting, dead, totals FROM outcome;
-- a last attempt that was counted before it was made, and cut off, is made again
UPDATE event_engine.deliveries SET next_attempt_at = now(), attempts = attempts + (handled.kind = 'one')::integer
	FROM (SELECT number, subscriber::text AS kind FROM event_engine.subscriptions) AS handled WHERE subscription_number = handled.number;
SELECT event_engine.process_batch();
SELECT subscriber, effects, waiting, dead, totals FROM outcome;
SELECT event_engine.unsubscribe(s.subscriber) FROM event_engine.subscriptions AS s;
TRUNCATE done, event_engine.event_dead_letters;

-- Many bad ones: each alone is retried, all others have their effects once
CREATE FUNCTION is_bad(e jsonb) RETURNS boolean LANGUAGE sql AS
	$$ SELECT (e ->> 'n')::integer % 7 = 0 AND current_setting('test.mended', true) IS DISTINCT FROM 'yes' $$;
CREATE OR REPLACE FUNCTION one(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO done VALUES ('one', (e.payload ->> 'n')::integer);
	IF public.is_bad(e.payload) THEN RAISE 'bad'; END IF;
END $$;
CREATE OR REPLACE FUNCTION several(e event_engine.event[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO done SELECT 'several', (x.payload ->> 'n')::integer FROM unnest(e) AS x;
	IF EXISTS (SELECT FROM unnest(e) AS x WHERE public.is_bad(x.payload)) THEN RAISE 'bad'; END IF;
END $$;
CREATE OR REPLACE FUNCTION envelope(e jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO done VALUES ('envelope', (e #>> '{payload,n}')::integer);
	IF public.is_bad(e -> 'payload') THEN RAISE 'bad'; END IF;
END $$;
CREATE VIEW summary AS
	SELECT o.subscriber, o.effects, o.events, o.totals, d.waiting, d.wrong, d.attempts FROM outcome AS o
	JOIN event_engine.subscriptions AS s USING (subscriber) CROSS JOIN LATERAL (
		SELECT count(*) AS waiting, count(*) FILTER (WHERE ((d.event).payload ->> 'n')::integer % 7 <> 0) AS wrong,
			max(d.attempts) AS attempts
		FROM event_engine.deliveries AS d WHERE d.subscription_number = s.number) AS d ORDER BY o.subscriber;
SELECT count(event_engine.subscribe(h, ARRAY['fail.test'], h, options => '{"max_attempts": 3, "backoff_ms": 3600000, "processing_log": true, "breaker_threshold": 0}'))
	FROM unnest(ARRAY['one', 'several', 'envelope']) AS h;
SELECT publish(1, 500);
SELECT event_engine.process_batch(100000);
SELECT * FROM summary;
-- they fail again, in one round
UPDATE event_engine.deliveries SET next_attempt_at = now();
SELECT event_engine.process_batch(100000);
SELECT * FROM summary;
-- some succeed: no more than are asked for
SET test.mended = 'yes';
UPDATE event_engine.deliveries SET next_attempt_at = now();
SELECT event_engine.process_batch(30, 'one'), event_engine.process_batch(100000, 'several');
SELECT * FROM summary;
SELECT event_engine.process_batch(100000);
SELECT * FROM summary;
SELECT subscriber, outcome, attempt, count(*) FROM event_engine.event_processing_log GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
-- all of them bad, each given up at once
RESET test.mended;
SELECT event_engine.update_subscription(s.subscriber, options => '{"max_attempts": 1}') FROM event_engine.subscriptions AS s ORDER BY s.subscriber;
SELECT count(event_engine.publish_event('fail.test', jsonb_build_object('n', 7 * i))) FROM generate_series(1, 200) AS i;
SELECT event_engine.process_batch(100000);
SELECT * FROM summary;
SELECT subscriber, count(*), count(DISTINCT seq) FROM event_engine.event_dead_letters GROUP BY 1 ORDER BY 1;
SELECT event_engine.unsubscribe(s.subscriber) FROM event_engine.subscriptions AS s ORDER BY s.subscriber;
DROP VIEW summary;
DROP FUNCTION is_bad;
TRUNCATE done, event_engine.event_dead_letters, event_engine.event_processing_log;
CREATE OR REPLACE FUNCTION one(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO done VALUES ('one', (e.payload ->> 'n')::integer);
END $$;

-- What is wrong only when constraints are checked
CREATE TABLE parent (n integer PRIMARY KEY);
CREATE TABLE child (n integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
INSERT INTO parent SELECT generate_series(1, 10);
DELETE FROM parent WHERE n = 7;
CREATE FUNCTION adopt(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO child VALUES ((e.payload ->> 'n')::integer) $$;
SELECT event_engine.subscribe('deferred', ARRAY['fail.test'], 'adopt', options => '{"max_attempts": 1}') IS NOT NULL;
SELECT publish(1, 10);
SELECT event_engine.process_batch();
SELECT string_agg(n::text, ' ' ORDER BY n) FROM child;
SELECT dead, totals FROM outcome;
SELECT event_engine.unsubscribe('deferred');
DROP FUNCTION adopt;
DROP TABLE child, parent;
TRUNCATE event_engine.event_dead_letters;

-- Slower than its time-out: cancelled, and nothing else is
CREATE FUNCTION slow(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF e.payload ->> 'n' = '2' THEN PERFORM pg_sleep(3600); END IF;
	INSERT INTO done VALUES ('slow', (e.payload ->> 'n')::integer);
END $$;
SELECT event_engine.subscribe('slow', ARRAY['fail.test'], 'slow', options => '{"max_attempts": 1, "timeout_ms": 500}') IS NOT NULL;
SELECT publish(1, 3);
SELECT event_engine.process_batch();
SELECT effects, events, dead FROM outcome;
SELECT event_engine.unsubscribe('slow');
TRUNCATE done, event_engine.event_dead_letters;
-- but when somebody cancels process_batch() itself, no event is to blame
SELECT event_engine.subscribe('slow', ARRAY['fail.test'], 'slow', options => '{"timeout_ms": 0}') IS NOT NULL;
SELECT publish(1, 3);
SET statement_timeout = '200ms';
SELECT event_engine.process_batch();
RESET statement_timeout;
SELECT effects, waiting, dead FROM outcome;
SELECT event_engine.unsubscribe('slow');

-- Its settings, role and advisory locks end with it
CREATE FUNCTION messy(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'nowhere', false), set_config('work_mem', '64kB', false);
	INSERT INTO public.done VALUES ('messy', (e.payload ->> 'n')::integer);
END $$;
SELECT event_engine.subscribe('messy', ARRAY['fail.test'], 'messy', options => '{"max_attempts": 1}') IS NOT NULL;
SELECT publish(1, 2);
SET work_mem = '4MB';
SELECT event_engine.process_batch();
SHOW work_mem;
SELECT effects, dead FROM outcome;
CREATE OR REPLACE FUNCTION messy(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN SET ROLE pg_monitor; END $$;
SELECT publish(3, 3);
SELECT event_engine.process_batch();
SELECT current_user = session_user AS still_me;
SELECT dead FROM outcome;
SELECT event_engine.unsubscribe('messy');
TRUNCATE done, event_engine.event_dead_letters;

-- Publishes what it subscribes to: ends at the limit of hops
CREATE FUNCTION loop(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO done VALUES ('loop', (e.payload ->> 'hop')::integer);
	PERFORM event_engine.publish_event('fail.loop', jsonb_build_object('hop', (e.payload ->> 'hop')::integer + 1));
END $$;
SELECT event_engine.subscribe('loop', ARRAY['fail.loop'], 'loop', options => '{"max_attempts": 1}') IS NOT NULL;
SELECT event_engine.publish_event('fail.loop', '{"hop": 1}') IS NOT NULL;
DO $$
BEGIN
	-- what a transaction has published it cannot deliver itself
	FOR i IN 1 .. 200 LOOP
		EXIT WHEN event_engine.process_batch() = 0;
		COMMIT;
	END LOOP;
END $$;
SELECT effects, events, waiting, dead FROM outcome;
SELECT event_engine.unsubscribe('loop');
TRUNCATE done, event_engine.event_dead_letters;

-- Removes its own subscription
CREATE FUNCTION suicide(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO done VALUES ('suicide', (e.payload ->> 'n')::integer);
	PERFORM event_engine.unsubscribe('suicide');
END $$;
SELECT event_engine.subscribe('suicide', ARRAY['fail.test'], 'suicide', options => '{"batch_size": 1, "max_attempts": 1}') IS NOT NULL;
SELECT publish(1, 3);
SELECT event_engine.process_batch();
SELECT count(*) FROM done;
SELECT subscriber FROM event_engine.subscriptions;
DO $$ BEGIN PERFORM event_engine.unsubscribe(s.subscriber) FROM event_engine.subscriptions AS s; END $$;
TRUNCATE done, event_engine.event_dead_letters;

-- Its handler is dropped: the subscription is broken, its events wait
CREATE FUNCTION gone(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
SELECT event_engine.subscribe('gone', ARRAY['fail.test'], 'gone', options => '{"max_attempts": 2, "backoff_ms": 0}') IS NOT NULL;
SELECT event_engine.subscribe('one', ARRAY['fail.test'], 'one') IS NOT NULL;
SELECT publish(1, 1);
SELECT event_engine.process_batch(1, 'one');
SELECT event_engine.process_batch(1, 'gone');
DROP FUNCTION gone;
SELECT publish(2, 3);
SELECT event_engine.process_batch();
SELECT subscriber, status, effects, waiting, dead FROM outcome;
SELECT status_reason FROM event_engine.subscriptions WHERE subscriber = 'gone';
SELECT event_engine.resume_subscription('gone');
CREATE FUNCTION gone(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO done VALUES ('gone', (e.payload ->> 'n')::integer) $$;
SELECT event_engine.resume_subscription('gone');
SELECT event_engine.process_batch();
SELECT subscriber, status, effects, waiting, dead FROM outcome;
-- the same when only a retry is due
CREATE OR REPLACE FUNCTION gone(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
SELECT event_engine.update_subscription('gone', options => '{"backoff_ms": 3600000, "max_attempts": 2}');
SELECT publish(4, 4);
SELECT event_engine.process_batch();
DROP FUNCTION gone;
UPDATE event_engine.deliveries SET next_attempt_at = now();
SELECT event_engine.process_batch();
SELECT subscriber, status, effects, waiting, dead FROM outcome;
SELECT event_engine.unsubscribe(s.subscriber) FROM event_engine.subscriptions AS s ORDER BY s.subscriber;
TRUNCATE done, event_engine.event_dead_letters;

-- A filter that raises (a date is compared with a time and its zone): a dead letter of that event, and the rest goes on
SELECT event_engine.subscribe('one', ARRAY['fail.test'], 'one', filter => '$.payload.at.datetime() < "2026-01-01T00:00:00+00:00".datetime()',
	options => '{"max_attempts": 5}') IS NOT NULL;
SELECT event_engine.subscribe('puller', ARRAY['fail.test'], filter => '$.payload.at.datetime() < "2026-01-01T00:00:00+00:00".datetime()') IS NOT NULL;
SELECT count(event_engine.publish_event('fail.test', e)) FROM unnest(ARRAY[
	'{"n": 1, "at": "2025-01-01T00:00:00+00:00"}', '{"n": 2, "at": "2025-01-01T00:00:00+00:00"}', '{"n": 3, "at": "2025-01-01"}', '{"n": 4, "at": "2027-01-01T00:00:00+00:00"}',
	'{"n": 5, "at": "2025-01-01T00:00:00+00:00"}', '{"n": 6, "at": "2025-01-01"}', '{"n": 7, "at": "2025-01-01"}', '{"n": 8, "at": "2025-01-01T00:00:00+00:00"}']::jsonb[]) AS e;
SELECT event_engine.process_batch();
SELECT string_agg(payload ->> 'n', ' ' ORDER BY seq) FROM event_engine.receive_events('puller', 3);
SELECT string_agg(payload ->> 'n', ' ' ORDER BY seq) FROM event_engine.receive_events('puller', 3);
SELECT * FROM outcome;
SELECT event_engine.unsubscribe(s.subscriber) FROM event_engine.subscriptions AS s ORDER BY s.subscriber;

DROP VIEW outcome;
DROP TABLE done;
DROP FUNCTION publish, one, several, envelope, slow, messy, loop, suicide;
TRUNCATE event_engine.event_dead_letters;
DELETE FROM event_engine.event_definitions;
