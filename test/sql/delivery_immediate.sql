-- Handlers called in the publisher's transaction: by the option immediate, and
-- for a test by event_engine.delivery_immediate.
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE SCHEMA instant;
SELECT event_engine.register_event_definition(p) FROM unnest('{now.one, now.two, now.loop}'::text[]) AS p;
CREATE TABLE instant.seen (who text, pattern text, n integer, replayed boolean,
	as_role name, caused boolean);
CREATE FUNCTION instant.note(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF e.payload ? 'fail' THEN
		RAISE EXCEPTION 'handler says no' USING ERRCODE = '22000';
	END IF;
	INSERT INTO instant.seen VALUES ('instant', e.pattern, (e.payload ->> 'n')::integer,
		e.metadata ? 'replayed', current_user, e.metadata ? 'causationId');
	-- the event is in the log already
	IF NOT EXISTS (SELECT FROM event_engine.events WHERE id = e.id) THEN
		RAISE EXCEPTION 'not stored';
	END IF;
END $$;
CREATE FUNCTION instant.usual(e jsonb) RETURNS void LANGUAGE sql AS $$
	INSERT INTO instant.seen VALUES ('usual', e ->> 'pattern', (e #>> '{payload,n}')::integer,
		e #> '{metadata,replayed}' IS NOT NULL, current_user, e #> '{metadata,causationId}' IS NOT NULL)
$$;

-- What cannot be.
SELECT event_engine.subscribe('instant', '{now.one}', options => '{"immediate": true}');
SELECT event_engine.subscribe('instant', '{now.one}', 'instant.note',
	options => '{"immediate": true, "start": "beginning"}');
SELECT event_engine.subscribe('instant', '{now.one}', 'instant.note', options => '{"immediate": "yes"}');

SELECT event_engine.subscribe('instant', '{now.one}', 'instant.note', filter => '$.payload.n < 100',
	options => '{"immediate": true}') IS NOT NULL AS subscribed;
SELECT event_engine.update_subscription('instant', options => '{"immediate": false}');

-- By function, by INSERT, by COPY: seen in the same transaction, gone with it.
BEGIN;
SELECT event_engine.publish_event('now.one', '{"n": 1}') IS NOT NULL AS published;
TABLE instant.seen;
SELECT count(*) FROM event_engine.publish_events('[{"pattern": "now.one", "payload": {"n": 2}},
	{"pattern": "now.two", "payload": {"n": 2}}, {"pattern": "now.one", "payload": {"n": 100}}]');
INSERT INTO event_engine.events (pattern, payload) VALUES ('now.one', '{"n": 3}'), ('now.one', '{"n": 4}');
COPY event_engine.events (pattern, payload) FROM stdin;
now.one	{"n": 5}
\.
SELECT n FROM instant.seen;
ROLLBACK;
SELECT count(*) FROM instant.seen;

-- The handler's error is the publisher's, who may catch it.
SELECT event_engine.publish_event('now.one', '{"n": 6, "fail": true}');
DO $$
BEGIN
	PERFORM event_engine.publish_event('now.one', '{"n": 7}');
	BEGIN
		PERFORM event_engine.publish_event('now.one', '{"n": 8, "fail": true}');
	EXCEPTION WHEN data_exception THEN
		NULL;
	END;
	PERFORM event_engine.publish_event('now.one', '{"n": 9}');
END $$;
SELECT n, caused FROM instant.seen;
SELECT payload ->> 'n' AS n FROM event_engine.events WHERE pattern = 'now.one' ORDER BY seq;
-- no worker delivers it again
SELECT event_engine.process_batch();
SELECT count(*) FROM instant.seen;
SELECT lag, pending FROM event_engine.stat_subscriptions WHERE subscriber = 'instant';
TRUNCATE instant.seen;

-- While it is paused its events are kept; so is what is not due.
SELECT event_engine.pause_subscription('instant');
SELECT event_engine.publish_event('now.one', '{"n": 10}') IS NOT NULL AS published;
SELECT event_engine.process_batch();
SELECT event_engine.resume_subscription('instant');
SELECT event_engine.process_batch();
SELECT event_engine.publish_event('now.one', '{"n": 11}', deliver_at => now() + interval '1 hour') IS NOT NULL AS published;
SELECT n FROM instant.seen;
SELECT event_engine.make_due();
SELECT event_engine.process_batch();
SELECT n FROM instant.seen;
TRUNCATE instant.seen;

-- Handlers publish for handlers, until the hop limit.
CREATE FUNCTION instant.again(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO instant.seen VALUES ('again', e.pattern, (e.payload ->> 'n')::integer, false, current_user,
		e.metadata ? 'causationId');
	IF (e.payload ->> 'n')::integer > 0 THEN
		PERFORM event_engine.publish_event('now.loop', jsonb_build_object('n', (e.payload ->> 'n')::integer - 1));
	END IF;
END $$;
SELECT event_engine.subscribe('again', '{now.loop}', 'instant.again', options => '{"immediate": true}') IS NOT NULL AS subscribed;
SELECT event_engine.publish_event('now.loop', '{"n": 2}') IS NOT NULL AS published;
SELECT n, caused FROM instant.seen;
SELECT event_engine.publish_event('now.loop', '{"n": 100}');
SELECT count(*) FROM instant.seen;
SELECT event_engine.unsubscribe('again');
TRUNCATE instant.seen;

-- As its owner, whoever publishes; who may not do more for it.
CREATE ROLE regress_instant LOGIN;
GRANT ALL ON SCHEMA instant TO regress_instant;
GRANT ALL ON instant.seen TO regress_instant;
CALL event_engine.grant_duty('subscriber', 'regress_instant');
CALL event_engine.grant_duty('publisher', 'regress_instant');
SET ROLE regress_instant;
SELECT event_engine.subscribe('owned', '{now.two}', 'instant.usual', options => '{"immediate": true}') IS NOT NULL AS subscribed;
RESET ROLE;
SELECT event_engine.publish_event('now.two', '{"n": 12}') IS NOT NULL AS published;
SELECT who, n, as_role, current_user = session_user AS myself FROM instant.seen;
CREATE FUNCTION instant.sneak(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RESET SESSION AUTHORIZATION;
END $$;
SELECT event_engine.update_subscription('owned', handler => 'instant.sneak');
SELECT event_engine.publish_event('now.two', '{"n": 13}');
-- nor is it led astray by the publisher's search path and temporary tables
CREATE FUNCTION instant.plain(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen VALUES ('plain', e.pattern, (e.payload ->> 'n')::integer);
END $$;
ALTER ROLE regress_instant SET search_path = instant;
SELECT event_engine.update_subscription('owned', handler => 'instant.plain');
CREATE TEMP TABLE seen (LIKE instant.seen);
SET search_path = pg_temp, public;
SELECT event_engine.publish_event('now.two', '{"n": 14}') AS id \gset
SELECT * FROM event_engine.process_event(:'id');
RESET search_path;
SELECT count(*) FROM seen;
SELECT who, n, replayed FROM instant.seen WHERE who = 'plain';
DROP TABLE pg_temp.seen;
SELECT event_engine.unsubscribe('owned');
TRUNCATE instant.seen;

-- For tests: all handlers, in a transaction that cannot commit.
SELECT event_engine.subscribe('usual', '{now.two}', 'instant.usual') IS NOT NULL AS subscribed;
BEGIN;
SET LOCAL event_engine.delivery_immediate = on;
SELECT event_engine.publish_event('now.two', '{"n": 20}') IS NOT NULL AS published;
SELECT who, n FROM instant.seen;
COMMIT;
SELECT count(*) FROM instant.seen;
BEGIN;
SAVEPOINT tried;
SET LOCAL event_engine.delivery_immediate = on;
SELECT event_engine.publish_event('now.two', '{"n": 21}') IS NOT NULL AS published;
ROLLBACK TO tried;
SELECT event_engine.publish_event('now.two', '{"n": 22}') IS NOT NULL AS published;
COMMIT;
BEGIN;
SAVEPOINT tried;
SET LOCAL event_engine.delivery_immediate = on;
SELECT event_engine.publish_event('now.two', '{"n": 23}') IS NOT NULL AS published;
RELEASE tried;
COMMIT;
SELECT event_engine.process_batch();
SELECT who, n FROM instant.seen;
TRUNCATE instant.seen;

-- One event again, or for the first time.
SELECT event_engine.publish_event('now.two', '{"n": 30}') AS id \gset
SELECT * FROM event_engine.process_event(:'id');
SELECT * FROM event_engine.process_event(:'id', 'usual');
SELECT who, n, replayed FROM instant.seen;
BEGIN;
SELECT event_engine.publish_event('now.two', '{"n": 31}') AS id \gset
SELECT * FROM event_engine.process_event(:'id');
ROLLBACK;
SELECT event_engine.process_event('00000000-0000-7000-8000-000000000000');
SELECT event_engine.publish_event('now.two', '{"n": 31}') AS id \gset
SELECT event_engine.process_event(:'id', 'nobody');
CREATE FUNCTION instant.weak(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM instant.seen WHERE who = 'mended') THEN
		RAISE EXCEPTION 'weak today';
	END IF;
END $$;
SELECT event_engine.update_subscription('usual', handler => 'instant.weak', options => '{"max_attempts": 3, "backoff_ms": 3600000}');
SELECT event_engine.publish_event('now.two', '{"n": 32}') AS id \gset
SELECT * FROM event_engine.process_event(:'id');
SELECT * FROM event_engine.process_event(:'id');
SELECT attempts, last_error FROM event_engine.deliveries WHERE id = :'id';
SELECT * FROM event_engine.process_event(:'id');
INSERT INTO instant.seen (who) VALUES ('mended');
SELECT * FROM event_engine.process_event(:'id');
DELETE FROM instant.seen WHERE who = 'mended';
SELECT * FROM event_engine.process_event(:'id');
SELECT count(*) FROM event_engine.deliveries;
SELECT event_engine.unsubscribe('usual');
SELECT event_engine.unsubscribe('instant');
DELETE FROM event_engine.event_dead_letters;
CALL event_engine.revoke_duty('subscriber', 'regress_instant');
CALL event_engine.revoke_duty('publisher', 'regress_instant');
DROP SCHEMA instant CASCADE;
DROP ROLE regress_instant;
