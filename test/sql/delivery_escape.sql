-- A handler cannot get more rights than its owner has, whoever lets it run: all
-- that might help is tried by one that a superuser calls in every way there is.
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE SCHEMA escape;
CREATE ROLE regress_boss SUPERUSER LOGIN;
CREATE ROLE regress_escape LOGIN;
GRANT ALL ON SCHEMA escape TO regress_escape;
CALL event_engine.grant_duty('subscriber', 'regress_escape');
CALL event_engine.grant_duty('publisher', 'regress_escape');
CALL event_engine.grant_duty('operator', 'regress_escape');
SELECT event_engine.register_event_definition(p)
	FROM unnest('{escape.at_once,escape.batch,escape.rule,escape.request,escape.request.reply,escape.trigger}'::text[]) AS p;

-- What runs with whose rights, where it is not his who made it.
CREATE TABLE escape.loot (thief name);
-- What was tried, from where, and what came of it.
CREATE TABLE escape.tried (way text, attempt text, outcome text, as_role name);
GRANT ALL ON ALL TABLES IN SCHEMA escape TO PUBLIC;

SET ROLE regress_escape;
CREATE FUNCTION escape.steal() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'regress_escape' THEN
		INSERT INTO escape.loot VALUES (current_user);
	END IF;
	RETURN true;
END $$;
CREATE FUNCTION escape.steal_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM escape.steal();
	RETURN NULL;
END $$;
CREATE TABLE escape.later (n integer);
CREATE CONSTRAINT TRIGGER steal AFTER INSERT ON escape.later DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION escape.steal_trigger();
CREATE FUNCTION escape.chain() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	RESET ROLE;
	PERFORM escape.steal();
END $$;
CREATE FUNCTION escape.with_role() RETURNS void LANGUAGE plpgsql SET role = 'regress_boss' AS $$
BEGIN
	PERFORM escape.steal();
END $$;
CREATE PROCEDURE escape.commits() LANGUAGE plpgsql AS $$
BEGIN
	COMMIT;
	PERFORM escape.steal();
END $$;
CREATE FUNCTION escape.same(jsonb, jsonb) RETURNS boolean LANGUAGE sql AS 'SELECT escape.steal()';
CREATE OPERATOR escape.= (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = escape.same);
CREATE FUNCTION escape.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.now() FROM (SELECT escape.steal()) s';

CREATE TABLE escape.attempts (nth integer GENERATED ALWAYS AS IDENTITY, attempt text);
INSERT INTO escape.attempts (attempt) VALUES
	-- to be somebody else
	('SET ROLE regress_boss'), ('SET LOCAL ROLE regress_boss'), ('RESET ROLE'), ('SET ROLE NONE'),
	('SET SESSION AUTHORIZATION regress_boss'), ('RESET SESSION AUTHORIZATION'),
	($$SELECT set_config('role', 'none', false)$$), ($$SELECT set_config('session_authorization', 'regress_boss', false)$$),
	($$UPDATE pg_settings SET setting = 'none' WHERE name = 'role'$$),
	('SELECT escape.chain()'), ('SELECT escape.with_role()'),
	('RESET ALL'),
	-- to leave something for who comes after
	($$SELECT set_config('search_path', 'escape, pg_catalog', false)$$),
	($$SELECT set_config('row_security', 'off', false)$$),
	($$SELECT set_config('session_replication_role', 'replica', false)$$),
	($$SELECT set_config('event_engine.delivery_immediate', 'on', false)$$),
	($$SELECT set_config('event_engine.validation_enabled', 'off', false)$$),
	($$SELECT set_config('default_transaction_read_only', 'on', false)$$),
	('SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE'),
	('CREATE TEMP TABLE pg_class (oid oid)'), ('CREATE TEMP VIEW pg_roles AS SELECT escape.steal()'),
	('CREATE TEMP SEQUENCE later'), ('SELECT 1 AS x INTO TEMP subscriptions'),
	('CREATE DOMAIN pg_temp.date AS pg_catalog.date CHECK (escape.steal())'),
	($$CREATE TYPE pg_temp.text AS ENUM ('a')$$),
	('INSERT INTO escape.later VALUES (1)'),
	('SET CONSTRAINTS ALL DEFERRED'), ('INSERT INTO escape.later VALUES (2)'),
	('DECLARE loot CURSOR WITH HOLD FOR SELECT escape.steal()'),
	('PREPARE loot AS SELECT escape.steal()'), ('DEALLOCATE ALL'), ('CLOSE ALL'),
	('LISTEN loot'), ('UNLISTEN *'),
	('DISCARD ALL'), ('DISCARD TEMP'), ('DISCARD PLANS'),
	('CALL escape.commits()'), ('COMMIT'), ('ROLLBACK'), ('SAVEPOINT s'),
	('DO $x$ BEGIN COMMIT; END $x$'),
	($$PREPARE TRANSACTION 'loot'$$),
	-- to have more
	('ALTER ROLE regress_escape SUPERUSER'), ('GRANT regress_boss TO regress_escape'),
	('ALTER FUNCTION escape.steal() OWNER TO regress_boss'),
	('CREATE EVENT TRIGGER loot ON ddl_command_end EXECUTE FUNCTION escape.steal_trigger()'),
	('CREATE TRIGGER loot AFTER INSERT ON event_engine.events FOR EACH ROW EXECUTE FUNCTION escape.steal_trigger()'),
	('CREATE TRIGGER loot AFTER INSERT ON event_engine.subscriptions FOR EACH ROW EXECUTE FUNCTION escape.steal_trigger()'),
	('CREATE RULE loot AS ON INSERT TO event_engine.events DO ALSO SELECT escape.steal()'),
	('CREATE FUNCTION event_engine.steal() RETURNS void LANGUAGE sql AS ''SELECT'''),
	('CREATE OR REPLACE FUNCTION event_engine.event_time(id uuid) RETURNS timestamptz LANGUAGE sql AS ''SELECT now()'''),
	('CREATE CAST (jsonb AS date) WITH FUNCTION escape.same(jsonb, jsonb)'),
	($$ALTER SYSTEM SET shared_preload_libraries = ''$$), ('ALTER ROLE ALL SET search_path = escape'),
	($$LOAD 'plpgsql'$$), ($$COPY escape.loot TO PROGRAM 'true'$$), ($$COPY escape.loot FROM '/etc/passwd'$$),
	($$SELECT pg_read_file('PG_VERSION')$$), ($$SELECT lo_export(0, '/tmp/loot')$$),
	('UPDATE event_engine.subscriptions SET owner = 10'), ('DELETE FROM event_engine.events'),
	('SELECT 1 FROM event_engine.event_keys'), ('DROP EXTENSION event_engine CASCADE'),
	-- what does the work for a role that it is told
	($$SELECT event_engine.subscribe_as(10, 'loot', '{escape.batch}', 'escape.handle(event_engine.event)', NULL, NULL, NULL, NULL, NULL, '{}')$$),
	($$SELECT event_engine.update_subscription_as(10, 'boss', NULL, 'escape.handle(event_engine.event)', NULL, NULL, NULL, NULL, '{}')$$),
	($$SELECT event_engine.update_subscription('boss', handler => 'escape.handle(event_engine.event)')$$),
	($$SELECT event_engine.own_subscription(10, 'boss')$$),
	($$SELECT event_engine.unsubscribe('boss')$$),
	($$SELECT event_engine.replay_events('boss')$$),
	($$SELECT event_engine.set_retention('#', '1 day', archive_table => 'escape.archive')$$),
	($$SELECT event_engine.process_batch()$$),
	($$CALL event_engine.grant_duty('reader', 'regress_escape')$$);

-- Tries everything, and writes down what came of it.
CREATE FUNCTION escape.try(way text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	a record;
	result text;
BEGIN
	FOR a IN SELECT * FROM escape.attempts ORDER BY nth LOOP
		BEGIN
			EXECUTE a.attempt;
			result := 'done';
		EXCEPTION WHEN OTHERS THEN
			result := SQLSTATE;
		END;
		PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true);
		INSERT INTO escape.tried VALUES (way, a.attempt, result, current_user);
	END LOOP;
	PERFORM escape.steal();
	RETURN true;
END $$;
CREATE FUNCTION escape.handle(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN PERFORM escape.try(e.payload ->> 'way'); END $$;
CREATE FUNCTION escape.keep(e event_engine.event) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RETURN escape.try('rule'); END $$;
CREATE FUNCTION escape.answer(e event_engine.event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN PERFORM escape.try('responder'); RETURN '{}'; END $$;
CREATE FUNCTION escape.undo(argument jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN PERFORM escape.try('compensation'); END $$;
CREATE FUNCTION escape.step(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM event_engine.compensate_with(i.id, 'escape.undo', '{}');
	PERFORM escape.try('workflow');
	RETURN event_engine.fail('that was all');
END $$;
RESET ROLE;

CREATE TABLE escape.archive (LIKE event_engine.events);
CREATE FUNCTION escape.idle(e event_engine.event) RETURNS void LANGUAGE sql AS 'SELECT';
SELECT event_engine.subscribe('boss', '{escape.batch}', 'escape.idle') IS NOT NULL AS subscribed;
SET ROLE regress_escape;
SELECT event_engine.subscribe('at_once', '{escape.at_once}', 'escape.handle', options => '{"immediate": true}') IS NOT NULL AS subscribed;
SELECT event_engine.subscribe('batch', '{escape.batch}', 'escape.handle') IS NOT NULL AS subscribed;
SELECT event_engine.add_event_rule('escape.rule', 'keep', function => 'escape.keep(event_engine.event)');
SELECT event_engine.register_query_responder('escape.request', 'escape.answer');
SELECT event_engine.register_workflow('escape', 'escape.step', options => '{"max_attempts": 1}') IS NOT NULL AS registered;
SELECT event_engine.create_workflow_trigger('escape', 'escape.trigger', 'START') IS NOT NULL AS created;
RESET ROLE;

-- What a session would have kept.
CREATE VIEW escape.state AS SELECT current_user = session_user AS myself, current_setting('role') AS role,
	current_setting('search_path') AS search_path, current_setting('row_security') AS row_security,
	current_setting('session_replication_role') AS replication_role, current_setting('event_engine.delivery_immediate') AS immediate,
	current_setting('default_transaction_read_only') AS read_only, current_setting('event_engine.validation_enabled') AS validates,
	current_setting('default_transaction_isolation') AS isolation,
	(SELECT count(*) FROM pg_prepared_statements WHERE name = 'loot') AS prepared,
	(SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors,
	(SELECT count(*) FROM pg_listening_channels()) AS channels,
	(SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema())
	+ (SELECT count(*) FROM pg_type WHERE typnamespace = pg_my_temp_schema()) AS temporary;
SET row_security = on;
SELECT s.*::text AS before FROM escape.state AS s \gset

-- Every way.
SELECT event_engine.publish_event('escape.at_once', '{"way": "immediate"}') IS NOT NULL AS published;
INSERT INTO event_engine.events (pattern, payload) VALUES ('escape.at_once', '{"way": "inserted"}');
SELECT event_engine.publish_event('escape.batch', '{"way": "process_batch"}') IS NOT NULL AS published;
SELECT event_engine.process_batch();
SELECT event_engine.publish_event('escape.batch', '{"way": "run_pending"}') IS NOT NULL AS published;
CALL event_engine.run_pending();
SELECT event_engine.publish_event('escape.batch', '{"way": "process_event"}') AS id \gset
SELECT count(*) FROM event_engine.process_event(:'id');
SELECT event_engine.publish_event('escape.rule', '{}') IS NOT NULL AS published;
SELECT event_engine.query_responder('escape.request', '{}');
SELECT event_engine.publish_event('escape.trigger', '{}') IS NOT NULL AS published;
CALL event_engine.run_pending();
SELECT s.*::text = :'before' AS as_before, myself FROM escape.state AS s;
-- the caller has become somebody else for a while
SET ROLE regress_boss;
SELECT event_engine.publish_event('escape.at_once', '{"way": "as a role"}') IS NOT NULL AS published;
SELECT current_user;
RESET ROLE;
SET SESSION AUTHORIZATION regress_escape;
SELECT event_engine.publish_event('escape.at_once', '{"way": "as its owner"}') IS NOT NULL AS published;
SELECT event_engine.publish_event('escape.batch', '{"way": "process_batch as its owner"}') IS NOT NULL AS published;
SELECT event_engine.process_batch() > 0 AS delivered;
SELECT current_user, session_user;
RESET SESSION AUTHORIZATION;
SELECT s.*::text = :'before' AS as_before, myself FROM escape.state AS s;
SELECT pg_advisory_unlock_all();

-- Nobody was robbed, and from everywhere the same came of it.
TABLE escape.loot;
SELECT way, count(*), bool_and(as_role = 'regress_escape') AS as_owner FROM escape.tried GROUP BY way ORDER BY way COLLATE "C";
SELECT a.nth, a.attempt, string_agg(DISTINCT t.outcome, ' ') AS outcome,
	CASE WHEN count(DISTINCT t.outcome) > 1 THEN string_agg(format('%s: %s', t.way, t.outcome), ', ' ORDER BY t.way COLLATE "C") END AS differs
FROM escape.attempts AS a LEFT JOIN escape.tried AS t USING (attempt) GROUP BY a.nth, a.attempt ORDER BY a.nth;
SELECT subscriber, owner, handler FROM event_engine.subscriptions WHERE subscriber IN ('boss', 'loot');
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_escape';

-- Who may make triggers on an archive does not get the rights of upkeep.
GRANT ALL ON escape.archive TO regress_escape;
SET ROLE regress_escape;
CREATE TRIGGER steal AFTER INSERT ON escape.archive FOR EACH ROW EXECUTE FUNCTION escape.steal_trigger();
RESET ROLE;
SELECT event_engine.set_retention('#', '1 day', archive_table => 'escape.archive');
DROP TRIGGER steal ON escape.archive;
CREATE TABLE escape.parts (LIKE event_engine.events) PARTITION BY LIST (pattern);
CREATE TABLE escape.part PARTITION OF escape.parts DEFAULT;
ALTER TABLE escape.part OWNER TO regress_escape;
SELECT event_engine.set_retention('#', '1 day', archive_table => 'escape.parts');
-- nor does who sets the rules write where he may not
REVOKE ALL ON escape.archive FROM regress_escape;
SET ROLE regress_escape;
SELECT event_engine.set_retention('#', '1 day', archive_table => 'escape.archive');
RESET ROLE;

-- Types with functions of their own, where rows become JSON in a trigger: as whoever writes.
CREATE TABLE escape.captured (id integer PRIMARY KEY);
GRANT ALL ON escape.captured TO PUBLIC;
SET ROLE regress_escape;
CREATE TYPE escape.odd AS ENUM ('a');
CREATE FUNCTION escape.odd_to_json(o escape.odd) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO escape.tried VALUES ('captured', 'cast', 'done', current_user);
	RETURN '{}';
END $$;
CREATE CAST (escape.odd AS json) WITH FUNCTION escape.odd_to_json(escape.odd);
CREATE TABLE escape.mine (id integer PRIMARY KEY, o escape.odd);
GRANT ALL ON escape.mine TO PUBLIC;
SELECT event_engine.capture_changes('escape.captured');
SELECT event_engine.capture_changes('escape.mine', 'escape.mine');
RESET ROLE;
CREATE ROLE regress_passer_by;
GRANT USAGE ON SCHEMA escape TO regress_passer_by;
SET ROLE regress_passer_by;
INSERT INTO escape.mine VALUES (1, 'a');
RESET ROLE;
SELECT attempt, as_role FROM escape.tried WHERE way = 'captured';

SELECT event_engine.unsubscribe(s) FROM unnest('{at_once,batch,boss}'::text[]) AS s;
SELECT event_engine.remove_event_rule('escape.rule', 'keep');
SELECT event_engine.remove_query_responder('escape.request');
SET client_min_messages = warning;
DROP EXTENSION event_engine CASCADE;
DROP SCHEMA escape CASCADE;
DROP OWNED BY regress_escape, regress_boss, regress_passer_by;
DROP ROLE regress_escape, regress_boss, regress_passer_by;
CREATE EXTENSION event_engine;
