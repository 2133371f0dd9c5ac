-- What administrators do is published as events, once somebody has asked for it.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
SET application_name = 'audit test';
CREATE ROLE regress_audit LOGIN;
CREATE SCHEMA audit AUTHORIZATION regress_audit;
CREATE FUNCTION audit.handle(e event_engine.event) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION audit.answer(e jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION audit.step(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE sql AS 'SELECT event_engine.complete()';

-- Nothing of it until then.
SELECT event_engine.register_event_definition(p) FROM unnest('{audit.one,audit.two,audit.two.reply}'::text[]) AS p;
SELECT count(*) FROM event_engine.events;
CALL event_engine.enable_audit('{config.altered}');
CALL event_engine.enable_audit('{NULL}');
CALL event_engine.enable_audit('{config.changed, system.access.granted}');
SELECT pattern, status, source_types FROM event_engine.event_definitions WHERE pattern LIKE 'system.%' ORDER BY 1;
CALL event_engine.enable_audit();
SELECT count(*) FILTER (WHERE status = 'active') = count(*) AS active, count(*) FROM event_engine.event_definitions WHERE pattern LIKE 'system.%';

-- What was told since last asked.
CREATE TABLE audit.told (seq bigint);
INSERT INTO audit.told VALUES (0);
GRANT ALL ON audit.told TO PUBLIC;
CREATE FUNCTION audit.news() RETURNS TABLE (event text, action text, type text, name text, old text, new text, details text, role text)
	LANGUAGE sql AS $$
	WITH u AS (UPDATE audit.told SET seq = (SELECT max(seq) FROM event_engine.events) RETURNING 1)
	SELECT substr(e.pattern, 8), e.payload ->> 'action', e.payload #>> '{object,type}', e.payload #>> '{object,name}',
		e.payload ->> 'old', e.payload ->> 'new', COALESCE(e.payload ->> 'details', e.payload ->> 'duty', e.payload ->> 'privilege', e.payload ->> 'changed'),
		e.payload #>> '{by,role}'
	FROM event_engine.events AS e WHERE e.seq > (SELECT t.seq FROM audit.told AS t) AND e.pattern LIKE 'system.%'
		AND EXISTS (SELECT FROM u) ORDER BY e.seq $$;
SELECT count(*) > 10 AS enabling_is_told FROM audit.news();

-- Definitions, documents, rules.
SELECT event_engine.register_event_definition('audit.three', '{"type": "object"}', examples => '[{"secret": 1}]');
SELECT event_engine.update_event_definition('audit.three', description => 'a third');
SELECT event_engine.update_event_definition('audit.three', description => 'a third');
SELECT event_engine.register_schema('https://example.org/s', '{"type": "string"}');
SELECT event_engine.add_event_rule('audit.three', 'positive', path => '$.payload.n > 0');
SELECT event_engine.remove_event_rule('audit.three', 'positive');
SELECT event, action, type, name, old::jsonb - 'definition_id' AS old, new::jsonb - 'definition_id' AS new, details FROM audit.news();
DELETE FROM event_engine.event_definitions WHERE pattern = 'audit.three';
TRUNCATE event_engine.event_schemas;
SELECT event, action, type, name FROM audit.news();

-- Subscriptions, by whom they were really changed.
SELECT event_engine.subscribe('audit', '{audit.one}', 'audit.handle') IS NOT NULL AS subscribed;
SELECT event_engine.update_subscription('audit', options => '{"batch_size": 7}');
SELECT event_engine.pause_subscription('audit', 'for a while');
SELECT event_engine.resume_subscription('audit');
SELECT event_engine.resume_subscription('audit');
SELECT event_engine.seek_subscription('audit', 'beginning');
SELECT event_engine.replay_events('audit', since => '2020-01-01') IS NOT NULL AS replayed;
SELECT event_engine.cancel_replay(id) FROM event_engine.event_replays;
UPDATE event_engine.subscriptions SET status = 'broken', status_reason = 'test' WHERE subscriber = 'audit';
SELECT event_engine.unsubscribe('audit');
SELECT event, action, type, name, left(old, 60) AS old, CASE WHEN action = 'changed' THEN left(new, 60) END AS new, details FROM audit.news();
CALL event_engine.grant_duty('subscriber', 'regress_audit');
SET ROLE regress_audit;
SELECT event_engine.subscribe('audit', '{audit.one}') IS NOT NULL AS subscribed;
RESET ROLE;
SELECT event, action, name, details, role FROM audit.news();
SELECT payload -> 'by' ->> 'sessionUser' = session_user AS session, payload #>> '{by,application}' AS application,
	(payload #>> '{by,pid}')::int = pg_backend_pid() AS pid, metadata ->> 'userId' AS "userId", partition_key, source, created_by = current_user AS by_owner
	FROM event_engine.events ORDER BY seq DESC LIMIT 1;
SELECT event_engine.unsubscribe('audit');
CALL event_engine.revoke_duty('subscriber', 'regress_audit');
SELECT event, action, name, details, role FROM audit.news();

-- Retention, responders, schedules without what they publish, workflows.
SELECT event_engine.set_retention('audit.#', '10 days');
SELECT event_engine.set_retention('audit.#', '20 days');
SELECT event_engine.reset_retention('audit.#');
SELECT event_engine.register_query_responder('audit.two', 'audit.answer');
SELECT event_engine.remove_query_responder('audit.two');
INSERT INTO event_engine.event_schedules (name, owner, schedule, time_zone, pattern, payload, metadata)
	VALUES ('hourly', current_user::regrole, '0 * * * *', 'UTC', 'audit.one', '{"secret": 1}', '{}');
UPDATE event_engine.event_schedules SET payload = '{"secret": 2}';
UPDATE event_engine.event_schedules SET checked_at = now(), published_at = now();
DELETE FROM event_engine.event_schedules;
SELECT event, action, type, name, details, concat(old, new) LIKE '%secret%' AS indiscreet FROM audit.news();
SELECT event_engine.register_workflow('audit', 'audit.step') IS NOT NULL AS registered;
SELECT event_engine.create_workflow_trigger('audit', 'audit.one', 'START') AS id \gset
SELECT event_engine.update_workflow_trigger(:'id', enabled => false);
SELECT event_engine.drop_workflow_trigger(:'id');
SELECT event_engine.deprecate_workflow('audit', '1.0.0');
-- waits change what the dispatcher matches, and that is no news
SELECT event, action, type, CASE WHEN type <> 'subscription' AND type <> 'definition' THEN name END AS name, details FROM audit.news()
	WHERE name NOT LIKE 'workflow.%';

-- Dead letters: what is given up, and what is decided.
CREATE FUNCTION audit.fail(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
SELECT event_engine.subscribe('failing', '{audit.one, system.#}', 'audit.fail', options => '{"max_attempts": 1, "processing_log": true}') IS NOT NULL AS subscribed;
SELECT event_engine.publish_event('audit.one', '{}') IS NOT NULL AS published;
CALL event_engine.run_pending('failing');
SELECT e.payload - '{id,eventId}'::text[] AS letter, e.metadata -> 'hops' AS hops, count(*)
	FROM event_engine.events AS e WHERE e.pattern = 'system.dead_letter.created' GROUP BY 1, 2;
-- a handler that fails about events of the engine feeds itself with none
SELECT event_type, count(*) FROM event_engine.event_dead_letters GROUP BY 1 ORDER BY 1;
CALL event_engine.run_pending('failing');
SELECT count(*) FROM event_engine.events AS e WHERE e.pattern = 'system.dead_letter.created';
SELECT event_engine.discard_dead_letters(event_type => 'audit.one');
SELECT event, action, type, name, details FROM audit.news() WHERE event = 'config.changed' AND type = 'dead_letters';
SELECT event_engine.unsubscribe('failing');

-- Whose keys were erased, and keys that were brought.
INSERT INTO event_engine.event_subject_keys (id, subject, key)
	VALUES ('00000000-0000-4000-8000-000000000001', 'somebody', '\x00');
SELECT erased FROM event_engine.erase_subject('somebody');
SELECT erased FROM event_engine.erase_subject('somebody');
SELECT event_engine.import_subject_keys(array_agg(k)) AS nothing_new FROM event_engine.export_subject_keys() AS k;
SELECT event_engine.import_subject_keys(ARRAY[ROW('00000000-0000-4000-8000-000000000002',
	'nobody', NULL, now(), now())::event_engine.event_subject_keys]);
SELECT event, action, type, name, details FROM audit.news() WHERE type LIKE 'subject%';

-- Broken, and upkeep that is held.
SELECT event_engine.subscribe('breaking', '{audit.one}', 'audit.fail') IS NOT NULL AS subscribed;
DROP FUNCTION audit.fail;
SELECT event_engine.publish_event('audit.one', '{}') IS NOT NULL AS published;
SELECT event_engine.process_batch(subscriber => 'breaking');
SELECT payload - 'owner' AS broken FROM event_engine.events WHERE pattern = 'system.subscription.broken' ORDER BY seq DESC LIMIT 1;
INSERT INTO event_engine.event_maintenance (task, object, outcome, detail) VALUES ('expire', 'p', 'held', 'somebody'), ('expire', 'p', 'done', NULL), ('expire', 'p', 'locked', NULL);
SELECT pattern, payload FROM event_engine.events WHERE pattern LIKE 'system.upkeep.%';
SELECT event_engine.unsubscribe('breaking');

-- Nobody else publishes them, nor stands in their way by a schema of his own.
SELECT event_engine.publish_event('system.config.changed', '{}');
INSERT INTO event_engine.events (pattern, payload) VALUES ('system.config.changed', '{}');
SELECT event_engine.update_event_definition('event_engine.system.config.changed', payload_schema => '{"required": ["nothing"]}', version => '2.0.0');
SELECT event_engine.register_event_definition('audit.four');
SELECT count(*) FROM event_engine.events WHERE version = '2.0.0';
SELECT event_engine.update_event_definition('event_engine.system.config.changed', payload_schema => 'true', version => '3.0.0');

-- A change that is rolled back was none; rows that a restore brings are older.
BEGIN;
SELECT event_engine.register_event_definition('audit.five');
ROLLBACK;
SELECT count(*) FROM audit.news() WHERE name = 'audit.five';
INSERT INTO event_engine.event_definitions (event_id, pattern, name, version, created_at) VALUES ('restored', 'audit.restored', 'r', '1.0.0', now() - interval '1 day');
SELECT count(*) FROM audit.news() WHERE name = 'audit.restored';

-- The last that is heard.
CALL event_engine.disable_audit('{config.changed}');
SELECT event_engine.register_event_definition('audit.six');
SELECT event, action, type, name FROM audit.news();
CALL event_engine.enable_audit('{config.changed}');
SELECT event_engine.register_event_definition('audit.seven');
SELECT event, action, type, name FROM audit.news();
CALL event_engine.disable_audit();
CALL event_engine.disable_audit();
SELECT count(*) FROM event_engine.event_definitions WHERE pattern LIKE 'system.%' AND status = 'active';
SET ROLE regress_audit;
CALL event_engine.enable_audit();
RESET ROLE;

-- Whose pattern it is already keeps it.
DROP EXTENSION event_engine CASCADE;
CREATE EXTENSION event_engine;
SELECT event_engine.register_event_definition('system.config.changed');
CALL event_engine.enable_audit();
SELECT event_engine.publish_event('system.config.changed', '{}') IS NOT NULL AS published;
DROP EXTENSION event_engine CASCADE;
DROP SCHEMA audit CASCADE;
DROP ROLE regress_audit;
CREATE EXTENSION event_engine;
