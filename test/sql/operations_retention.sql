-- Events leave the log when they have come of age: by pattern, archived where
-- that is wanted, and never before whoever wants them has read them.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
SELECT count(event_engine.register_event_definition(p))
FROM unnest('{debug.trace,debug.sql,order.placed,audit.login}'::text[]) AS p;
-- n events of each pattern, as if they had arrived on that day
CREATE FUNCTION past(day date, patterns text[], n integer, pad integer DEFAULT 0) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	name text := 'events_' || to_char(day, 'YYYYMMDD');
BEGIN
	EXECUTE format('CREATE TABLE event_engine.%I (LIKE event_engine.events_default INCLUDING ALL)', name);
	EXECUTE format('INSERT INTO event_engine.%I (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
		SELECT gen_random_uuid(), p, ''{}'', $1, jsonb_build_object(''n'', i, ''pad'', COALESCE((SELECT string_agg(md5(r::text), '''') FROM generate_series(1, $4) AS r), ''2001-01-01'')),
			''{}'', $1 + i * interval ''1 second'', ''normal'', ''test'', nextval(''event_engine.event_seq''), pg_current_xact_id()
		FROM unnest($2) AS p, generate_series(1, $3) AS i', name) USING day::timestamptz, patterns, n, pad;
	EXECUTE format('ALTER TABLE event_engine.events ATTACH PARTITION event_engine.%I FOR VALUES FROM (%L) TO (%L)', name, day, day + 1);
	EXECUTE format('INSERT INTO event_engine.event_partitions (relid, lower, upper) VALUES (%L, %L, %L)', 'event_engine.' || name, day, day + 1);
END $$;
CREATE VIEW log AS SELECT created_at::date AS day, pattern, count(*) FROM event_engine.events GROUP BY 1, 2 ORDER BY 1, 2;
CREATE VIEW partitions AS SELECT partition, state, needed_by FROM event_engine.stat_retention ORDER BY lower;
CREATE VIEW notes AS SELECT task, object, outcome, events, bytes > 0 AS bytes, detail
	FROM event_engine.event_maintenance WHERE task <> 'analyze' ORDER BY at;

-- Nothing expires unless somebody says so.
SELECT past('2001-01-01', '{debug.trace,debug.sql,order.placed,audit.login}', 3);
SELECT event_engine.run_maintenance();
TABLE log;
TABLE partitions;

-- The most particular rule holds.
SELECT event_engine.set_retention('#', '3650 days');
SELECT event_engine.set_retention('debug.#', '1 day');
SELECT event_engine.set_retention('audit.*', NULL);
SELECT event_engine.set_retention('debug.sql', '7300 days');
SELECT p, r.* FROM unnest('{debug.trace,debug.sql,order.placed,audit.login,audit}'::text[]) AS p, event_engine.retention_of(p) AS r;
SELECT event_engine.reset_retention('debug.sql'), event_engine.reset_retention('debug.sql');
SELECT event_engine.set_retention('#', '0');
SELECT event_engine.set_retention(NULL, '1 day');
SELECT event_engine.set_retention('a..b', '1 day');
SELECT event_engine.set_retention('#', '1 day', archive_table => 'pg_class');

-- What is kept longer stays, as it was, where it was; and is found as before.
CREATE TABLE before AS SELECT * FROM event_engine.events WHERE pattern = 'audit.login';
SELECT event_engine.run_maintenance();
TABLE log;
TABLE notes;
SELECT count(*) FROM (SELECT * FROM event_engine.events EXCEPT SELECT * FROM before) AS d;
SET enable_seqscan = off;
SELECT count(*) FROM event_engine.events AS e JOIN before AS b USING (id, seq, xid, created_at) WHERE e.pattern = 'audit.login';
RESET enable_seqscan;
SELECT state, expires_at FROM event_engine.stat_retention;
-- a second time there is nothing to do
SELECT event_engine.run_maintenance();
SELECT count(*) FROM notes;
-- payloads out of line too
SELECT past('2001-01-02', '{debug.trace,audit.login}', 5, 500);
SELECT event_engine.run_maintenance();
SELECT day, pattern, count(*), min(length(payload ->> 'pad')) FROM (SELECT created_at::date AS day, * FROM event_engine.events) AS e GROUP BY 1, 2 ORDER BY 1, 2;

-- A rule that changes is heard of; a partition that has nothing left is dropped.
SELECT event_engine.set_retention('audit.*', '10 days');
SELECT event_engine.run_maintenance();
TABLE log;
TABLE partitions;
SELECT task, object, outcome, events, detail FROM notes OFFSET 2;
SELECT to_regclass('event_engine.events_20010101') AS gone, count(*) AS known FROM event_engine.event_partitions WHERE lower < '2002-01-01';
DELETE FROM event_engine.event_maintenance;

-- A query that reads the log keeps its partitions, of this session too.
SELECT past('2001-01-03', '{debug.trace}', 3);
SELECT event_engine.set_retention('debug.#', '100 years');
SELECT event_engine.run_maintenance();
SELECT event_engine.set_retention('debug.#', '1 day');
SELECT count(event_engine.run_maintenance()) FROM event_engine.events;
TABLE partitions;
SELECT event_engine.run_maintenance();
TABLE partitions;
DELETE FROM event_engine.event_maintenance;

-- In a transaction block it stays, empty, as others would wait for the end.
SELECT past('2001-01-03', '{debug.trace}', 3);
BEGIN;
SELECT event_engine.run_maintenance();
COMMIT;
TABLE partitions;
SELECT event_engine.run_maintenance();
TABLE partitions;
TABLE notes;
DELETE FROM event_engine.event_maintenance;

-- Whoever has yet to read an event holds up its partition, with reason.
CREATE TABLE done (subscriber text, n integer);
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.done VALUES (current_setting('test.subscriber'), (e.payload ->> 'n')::integer) $$;
SELECT event_engine.subscribe('slow', '{debug.*}', 'take') IS NOT NULL;
SELECT event_engine.subscribe('idle', '{order.placed}', 'take') IS NOT NULL;
SELECT event_engine.subscribe('picky', '{#}', 'take', filter => '$.payload.n > 100') IS NOT NULL;
SELECT past('2001-01-04', '{debug.trace}', 3);
SELECT event_engine.run_maintenance();
TABLE partitions;
TABLE notes;
-- told once an hour
SELECT event_engine.run_maintenance();
SELECT count(*) FROM notes;
SELECT event_engine.expire_partition('event_engine.events_20010104');
-- paused and broken ones too
SELECT event_engine.pause_subscription('slow', 'for a while');
SELECT event_engine.run_maintenance();
TABLE partitions;
SELECT event_engine.resume_subscription('slow');
-- having read them it lets go; idle and picky ones never moved
SET test.subscriber = 'slow';
SELECT event_engine.process_batch(subscriber => 'slow');
SELECT event_engine.run_maintenance();
TABLE partitions;
TABLE log;
SELECT subscriber, lag FROM event_engine.stat_subscriptions ORDER BY subscriber;
DELETE FROM event_engine.event_maintenance;
-- one that failed is held by its row, not by the log
SELECT event_engine.update_subscription('slow', options => '{"backoff_ms": 0}');
SELECT past('2001-01-05', '{debug.trace}', 1);
SET test.subscriber = '';
CREATE FUNCTION fail(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
SELECT event_engine.update_subscription('slow', handler => 'fail', options => '{"backoff_ms": 3600000}');
SELECT event_engine.process_batch(subscriber => 'slow');
SELECT event_engine.run_maintenance();
TABLE log;
SELECT (event).pattern, status FROM event_engine.deliveries;
SELECT event_engine.unsubscribe('slow');
-- a pulling client holds its events in the log
SELECT event_engine.subscribe('pull', '{debug.*}') IS NOT NULL;
SELECT past('2001-01-06', '{debug.trace}', 1);
CREATE TABLE received AS SELECT receipt FROM event_engine.receive_events('pull', 10);
SELECT event_engine.run_maintenance();
SELECT partition, state, needed_by ~ '^a client of subscription "pull" that holds events until ' AS told FROM partitions;
SELECT event_engine.ack_events(receipt) FROM received;
SELECT event_engine.run_maintenance();
TABLE partitions;
SELECT event_engine.unsubscribe('pull');
-- a replay reads what is there
SELECT past('2001-01-07', '{order.placed}', 2);
SELECT event_engine.subscribe('again', '{order.placed}', 'take', options => '{"start": "now"}') IS NOT NULL;
SELECT event_engine.process_batch(subscriber => 'idle');
SELECT event_engine.replay_events('again', since => '2001-01-01') IS NOT NULL;
SELECT event_engine.run_maintenance();
TABLE partitions;
SELECT event_engine.process_batch(subscriber => 'again');
SELECT event_engine.run_maintenance();
TABLE partitions;
SELECT event_engine.unsubscribe('again');
-- a filter that raises cannot be asked: it stays, and the round goes on
SELECT event_engine.subscribe('raises', '{debug.*}', 'take', filter => '$.payload.pad.datetime() < "2026-01-01T00:00:00+00:00".datetime()') IS NOT NULL;
SELECT past('2001-01-08', '{debug.trace}', 1);
SELECT past('2001-01-09', '{order.placed}', 1);
SELECT event_engine.process_batch(subscriber => 'idle');
DELETE FROM event_engine.event_maintenance;
SELECT event_engine.run_maintenance();
SELECT object, outcome, detail FROM notes;
SELECT event_engine.unsubscribe('raises');
SELECT event_engine.run_maintenance();
TABLE log;

-- A person may force it, or a limit in the configuration.
SELECT past('2001-01-10', '{audit.login,order.placed}', 2);
SELECT event_engine.set_retention('#', NULL);
SELECT event_engine.set_retention('audit.*', NULL);
DELETE FROM event_engine.event_maintenance;
SELECT event_engine.run_maintenance();
SELECT event_engine.expire_partition('event_engine.events_20010110');
SELECT event_engine.expire_partition('event_engine.events_20010110', force => true);
SELECT event_engine.expire_partition('event_engine.events_default');
SELECT event_engine.expire_partition('pg_class');
TABLE partitions;
TABLE log;
TABLE notes;
SELECT event_engine.run_maintenance();
DELETE FROM event_engine.event_maintenance;

-- What goes is archived first, in a table or a file, or both.
CREATE TABLE archive (LIKE event_engine.events);
CREATE TABLE narrow (id uuid);
SELECT event_engine.set_retention('debug.#', '1 day', archive_table => 'narrow');
CREATE ROLE regress_archivist;
ALTER TABLE narrow OWNER TO regress_archivist;
SELECT event_engine.set_retention('debug.#', '1 day', archive_table => 'narrow');
SELECT event_engine.set_retention('debug.#', '1 day', archive_table => 'archive');
SELECT event_engine.set_retention('order.#', '1 day');
SELECT past('2001-01-11', '{debug.trace,order.placed,audit.login}', 2);
SELECT event_engine.process_batch(subscriber => 'idle');
SELECT event_engine.run_maintenance();
SELECT pattern, payload, created_at FROM archive ORDER BY seq;
SELECT pattern, count(*) FROM event_engine.events GROUP BY 1;
-- an archive that is gone or another's keeps the events where they are
ALTER TABLE archive OWNER TO regress_archivist;
SELECT past('2001-01-12', '{debug.trace}', 2);
SELECT event_engine.run_maintenance();
DROP TABLE archive;
SELECT event_engine.run_maintenance();
SELECT object, outcome, events, detail FROM notes;
SELECT event_engine.set_retention('debug.#', '1 day', archive_file => true);
SELECT event_engine.set_retention('debug.#', '1 day');
SELECT event_engine.run_maintenance();
TABLE log;

-- Events that found no partition go one by one.
ALTER TABLE event_engine.events_default DISABLE TRIGGER ALL;
INSERT INTO event_engine.events_default (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
SELECT gen_random_uuid(), p, '{}', now(), '{}', '{}', '1999-01-01', 'normal', 'test', nextval('event_engine.event_seq'), pg_current_xact_id()
FROM unnest('{debug.trace,audit.login}'::text[]) AS p;
INSERT INTO event_engine.events_default (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
SELECT gen_random_uuid(), 'debug.trace', '{}', now(), '{}', '{}', '2199-01-01', 'normal', 'test', nextval('event_engine.event_seq'), pg_current_xact_id();
ALTER TABLE event_engine.events_default ENABLE TRIGGER ALL;
SELECT event_engine.run_maintenance();
TABLE log;
DELETE FROM event_engine.events;
TRUNCATE event_engine.events_default;

-- Other rows that are of no more use.
SELECT event_engine.publish_event('order.placed', '{}', event_id => 'seen') IS NOT NULL;
UPDATE event_engine.event_keys SET expires_at = now();
SELECT event_engine.run_maintenance();
SELECT count(*) FROM event_engine.event_keys;
INSERT INTO event_engine.event_dead_letters (subscriber, event_id, event_type, envelope, seq, error_message, retry_count, original_created_at, status, status_changed_at)
SELECT 'x', s, 'order.placed', '{}', 1, 'no', 1, now(), s, now() - interval '1 year' FROM unnest('{dead,redriven,discarded}'::text[]) AS s;
INSERT INTO event_engine.event_processing_log SELECT 'x', gen_random_uuid(), 'order.placed', 'delivered', 1, NULL, now() - i * interval '1 day', now() - i * interval '1 day'
FROM generate_series(0, 9) AS i;
SELECT event_engine.run_maintenance();
SELECT count(*) FROM event_engine.event_dead_letters;
SELECT count(*) FROM event_engine.event_processing_log;
-- which the settings say, see test/t/022_operations_retention.pl

-- Only who has the duty.
CREATE ROLE regress_keeper;
SET ROLE regress_keeper;
SELECT event_engine.set_retention('#', '1 second');
SELECT event_engine.expire_partition('event_engine.events_default');
RESET ROLE;
CALL event_engine.grant_duty('operator', 'regress_keeper');
SET ROLE regress_keeper;
SELECT event_engine.set_retention('#', '100 years');
SELECT pattern, keep_for, set_by = session_user::regrole AS by_me FROM event_engine.event_retention ORDER BY pattern;
RESET ROLE;
CALL event_engine.revoke_duty('operator', 'regress_keeper');
DROP ROLE regress_keeper;

DROP TABLE narrow, before, received, done;
DROP ROLE regress_archivist;
DROP VIEW log, partitions, notes;
SELECT event_engine.unsubscribe(s) FROM unnest('{idle,picky}'::text[]) AS s;
DROP FUNCTION past, take, fail;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
