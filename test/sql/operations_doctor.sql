-- doctor() finds what is wrong and names who causes it.  What needs a server of
-- its own is in test/t/023_operations_doctor.pl.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
CREATE FUNCTION find(wanted text DEFAULT '', OUT severity text, OUT code text, OUT what text, OUT who text, OUT since text, OUT cure text)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT f.severity, f.code, regexp_replace(replace(f.what, 'started for ' || current_user, 'started for me'), '@ .*(?=\.)|\d{6,}|[\d,]+ million|\d+ years .*', 'N', 'g'),
		regexp_replace(f.who, current_user, 'me'), CASE WHEN f.since <= clock_timestamp() THEN 'past' ELSE f.since::text END, f.cure
	FROM event_engine.doctor('0') AS f
	-- those are of the server that runs this test
	WHERE f.code ~ wanted AND f.code NOT IN ('fsync_off', 'few_worker_processes', 'long_transaction', 'idle_in_transaction', 'replication_slot')
$$;
SELECT * FROM find();
\set VERBOSITY terse

-- Versions.
BEGIN;
UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'event_engine';
SELECT severity, replace(what, event_engine.library_version(), 'V') AS what, who, cure FROM find('version');
ROLLBACK;
-- Settings of this session.
SET event_engine.validation_enabled = off;
SELECT * FROM find('validation');
RESET event_engine.validation_enabled;
SET event_engine.store_backpressure = delay;
SELECT * FROM find('settings');
RESET event_engine.store_backpressure;

-- Subscriptions.
SELECT event_engine.register_event_definition('doctor.test');
CREATE FUNCTION fail(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no way'; END $$;
CREATE FUNCTION gone(e event_engine.event) RETURNS void LANGUAGE sql AS '';
SELECT event_engine.subscribe('one', '{doctor.test}', 'fail', options => '{"max_attempts": 1}') IS NOT NULL;
SELECT * FROM find('preload|subscription');
SELECT event_engine.publish_event('doctor.test', '{}', partition_key => 'k') IS NOT NULL FROM generate_series(1, 3);
SELECT severity, code, what, who, since, cure FROM find('subscription');
SELECT event_engine.process_batch();
SELECT * FROM find('dead|subscription');
UPDATE event_engine.event_dead_letters SET created_at = created_at - interval '2 hours';
SELECT severity, what FROM find('dead');
-- the cure can be run as it stands
SELECT split_part(cure, ' or ', 2) AS cure FROM find('dead') \gset
SELECT :cure
SELECT * FROM find('dead');
SELECT event_engine.pause_subscription('one', 'a holiday');
SELECT * FROM find('subscription');
SELECT event_engine.resume_subscription('one');
SELECT event_engine.update_subscription('one', options => '{"ordered": true, "on_dead_letter": "halt"}');
SELECT event_engine.publish_event('doctor.test', '{}', partition_key => 'k') IS NOT NULL FROM generate_series(1, 3);
SELECT event_engine.process_batch();
SELECT event_engine.process_batch();
SELECT * FROM find('halted');
SELECT event_engine.unsubscribe('one');
TRUNCATE event_engine.event_dead_letters;
SELECT event_engine.subscribe('two', '{doctor.test}', 'fail', options => '{"max_attempts": 9, "backoff_ms": 3600000, "circuitBreaker": {"threshold": 3, "recoveryMs": 3600000}}') IS NOT NULL;
SELECT event_engine.publish_event('doctor.test', '{}') IS NOT NULL FROM generate_series(1, 5);
SELECT event_engine.process_batch();
SELECT * FROM find('breaker');
SELECT event_engine.unsubscribe('two');
SELECT event_engine.subscribe('three', '{doctor.test}', 'gone') IS NOT NULL;
DROP FUNCTION gone;
SELECT event_engine.publish_event('doctor.test', '{}') IS NOT NULL;
SELECT event_engine.process_batch();
SELECT severity, code, regexp_replace(what, '".*"', '"..."') AS what, who, since, cure FROM find('broken');
SELECT event_engine.unsubscribe('three');

-- The log.
SELECT event_engine.run_maintenance();
SELECT * FROM find('partition');
BEGIN;
DELETE FROM event_engine.event_partitions WHERE lower > now();
SELECT * FROM find('partition');
DELETE FROM event_engine.event_partitions;
SELECT * FROM find('partition');
ROLLBACK;
CREATE FUNCTION attach_past() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
CREATE TABLE event_engine.events_20010101 (LIKE event_engine.events_default INCLUDING ALL);
INSERT INTO event_engine.events_20010101 (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
SELECT gen_random_uuid(), 'doctor.test', '{}', '2001-01-01', '{}', '{}', '2001-01-01', 'normal', 'test', nextval('event_engine.event_seq'), pg_current_xact_id();
ALTER TABLE event_engine.events ATTACH PARTITION event_engine.events_20010101 FOR VALUES FROM ('2001-01-01') TO ('2001-01-02');
INSERT INTO event_engine.event_partitions (relid, lower, upper) VALUES ('event_engine.events_20010101', '2001-01-01', '2001-01-02');
END $$;
SELECT event_engine.subscribe('four', '{doctor.test}', 'fail') IS NOT NULL;
SELECT event_engine.pause_subscription('four', 'no');
SELECT attach_past();
SELECT * FROM find('partition');
SELECT event_engine.set_retention('#', '1 day');
SELECT event_engine.run_maintenance();
SELECT * FROM find('partition|retention');
SELECT event_engine.unsubscribe('four');
CREATE TABLE archive (LIKE event_engine.events);
SELECT event_engine.set_retention('#', '1 day', archive_table => 'archive');
DROP TABLE archive;
SELECT event_engine.run_maintenance();
SELECT * FROM find('partition|retention');
SELECT event_engine.set_retention('#', '1 day');
SELECT event_engine.run_maintenance();
SELECT * FROM find('partition|retention');
ALTER TABLE event_engine.events_default DISABLE TRIGGER ALL;
INSERT INTO event_engine.events_default (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
SELECT gen_random_uuid(), 'doctor.test', '{}', now(), '{}', '{}', '1999-01-01', 'normal', 'test', nextval('event_engine.event_seq'), pg_current_xact_id();
ALTER TABLE event_engine.events_default ENABLE TRIGGER ALL;
SELECT * FROM find('default');
ALTER TABLE event_engine.deliveries SET (autovacuum_enabled = off);
SELECT * FROM find('autovacuum');
ALTER TABLE event_engine.deliveries RESET (autovacuum_enabled);
BEGIN;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'event_engine.deliveries_due_idx'::regclass;
SELECT * FROM find('index');
ROLLBACK;
BEGIN;
UPDATE pg_class SET relfrozenxid = ((txid_current() % 4294967296 + 4294967296 - 1900000000) % 4294967296)::text::xid
WHERE oid = 'event_engine.deliveries'::regclass;
SELECT * FROM find('xid');
ROLLBACK;
BEGIN;
INSERT INTO event_engine.event_milestones SELECT now() + interval '1 day', 1, pg_current_snapshot(), 0;
SELECT severity, code, who, cure FROM find('clock');
ROLLBACK;

-- Readers may ask, others not.
CREATE ROLE regress_patient;
SET ROLE regress_patient;
SELECT * FROM event_engine.doctor();
RESET ROLE;
CALL event_engine.grant_duty('reader', 'regress_patient');
SET ROLE regress_patient;
SELECT count(*) > 0 AS asked FROM event_engine.doctor('0');
RESET ROLE;
CALL event_engine.revoke_duty('reader', 'regress_patient');
DROP ROLE regress_patient;
DROP FUNCTION find, attach_past, fail;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;

-- The page tells of each finding, and of no other.
\getenv srcdir PG_ABS_SRCDIR
\set file :srcdir '/../docs/doctor.md'
\set page `cat :'file'`
CREATE TEMP TABLE codes AS SELECT DISTINCT c[1] AS code FROM string_to_table(:'page', E'\n') AS line,
	regexp_matches(split_part(line, '|', 2), '`(\w+)`', 'g') AS c WHERE line LIKE '| `%';
CREATE TEMP VIEW source AS SELECT string_agg(prosrc, '') AS text FROM pg_proc WHERE proname ~ '^doctor_';
SELECT code AS unknown FROM codes, source WHERE strpos(text, quote_literal(code)) = 0 AND code !~ '^(queue|retention)_';
SELECT DISTINCT c[1] AS untold FROM source, regexp_matches(text, $$(?:'(?:critical|warning|notice)'(?: END)?,|THEN|ELSE)\s*'([a-z]+_[a-z_]+)'$$, 'g') AS c
WHERE NOT EXISTS (SELECT FROM codes WHERE code = c[1]) AND c[1] !~ '_$' ORDER BY 1;
DROP VIEW source;
DROP TABLE codes;
