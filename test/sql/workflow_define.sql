-- Workflows are registered, changed, deprecated, and belong to somebody.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE FUNCTION steps(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE sql AS $$ SELECT event_engine.complete() $$;
CREATE PROCEDURE steps_of_procedure(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	LANGUAGE plpgsql AS $$ BEGIN PERFORM event_engine.complete_workflow(i.id); END $$;
CREATE FUNCTION no_steps(i event_engine.workflow_instance) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION text_steps(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE FUNCTION many_steps(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;

SELECT event_engine.register_workflow('one', 'steps') IS NOT NULL AS registered;
-- the same again is the same; otherwise it is refused
SELECT event_engine.register_workflow('one', 'steps(event_engine.workflow_instance, event_engine.workflow_resumption)')
	= event_engine.register_workflow('one', 'steps'::regproc::regprocedure) AS same;
SELECT event_engine.register_workflow('one', 'steps_of_procedure');
SELECT event_engine.register_workflow('one', 'steps_of_procedure', '1.1.0', 'another',
	'{"max_attempts": 3, "instance_timeout": "2 days", "retryPolicy": {"backoffMs": 5, "exponentialBackoff": false}}') IS NOT NULL AS registered;
SELECT event_engine.register_workflow('outside') IS NOT NULL AS registered;
SELECT name, version, status, owner = current_user::regrole AS own, handler, description, options
	FROM event_engine.list_workflow_definitions() ORDER BY name, version;
-- one dispatcher
SELECT kind, patterns, status FROM event_engine.subscriptions WHERE kind = 'workflow';

-- what cannot be
SELECT event_engine.register_workflow(NULL, 'steps');
SELECT event_engine.register_workflow('', 'steps');
SELECT event_engine.register_workflow(repeat('x', 256), 'steps');
SELECT event_engine.register_workflow('two', 'nothing');
SELECT event_engine.register_workflow('two', 'nothing(int)');
SELECT event_engine.register_workflow('two', 'no_steps(event_engine.workflow_instance)');
SELECT event_engine.register_workflow('two', 'text_steps');
SELECT event_engine.register_workflow('two', 'many_steps');
SELECT event_engine.register_workflow('two', 'steps', 'one');
SELECT event_engine.register_workflow('two', 'steps', NULL);
SELECT event_engine.register_workflow('two', 'steps', options => '[]');
SELECT event_engine.register_workflow('two', 'steps', options => '{"batch_size": 1}');
SELECT event_engine.register_workflow('two', 'steps', options => '{"max_attempts": 0}');
SELECT event_engine.register_workflow('two', 'steps', options => '{"instance_timeout": "-1 day"}');
SELECT event_engine.register_workflow('two', 'steps', options => '{"instance_timeout_ms": "x"}');

-- change
SELECT event_engine.update_workflow('one', '1.1.0', 'steps', options => '{"timeout_ms": 1}');
SELECT handler, description, options -> 'timeout_ms' AS timeout_ms, options -> 'max_attempts' AS max_attempts, status
	FROM event_engine.list_workflow_definitions('one') WHERE version = '1.1.0';
SELECT event_engine.update_workflow('one', '9.0.0', 'steps');
SELECT event_engine.update_workflow('one', '1.1.0', status => 'gone');
SELECT event_engine.update_workflow('one', '1.1.0', 'no_steps(event_engine.workflow_instance)');
-- the highest active version is started
SELECT event_engine.register_workflow('one', 'steps', '1.10.0') IS NOT NULL AS registered;
BEGIN;
SELECT event_engine.start_workflow('one') AS id \gset
SELECT version FROM event_engine.workflow_instances WHERE id = :'id';
SELECT event_engine.deprecate_workflow('one', '1.10.0');
SELECT event_engine.start_workflow('one') AS id2 \gset
SELECT version FROM event_engine.workflow_instances WHERE id = :'id2';
-- it can be moved there nevertheless
SELECT event_engine.move_workflow(:'id2', '1.10.0');
SELECT version FROM event_engine.workflow_instances WHERE id = :'id2';
SAVEPOINT s;
SELECT event_engine.move_workflow(:'id2', '3.0.0');
ROLLBACK TO s;
SELECT event_engine.start_workflow('one', version => '1.10.0');
ROLLBACK;
SELECT event_engine.start_workflow('nobody');
SELECT event_engine.start_workflow('one', version => '7.0.0');
SELECT event_engine.start_workflow(NULL);

-- whose they are
CREATE ROLE workflow_owner LOGIN;
CREATE ROLE workflow_other LOGIN;
CREATE ROLE workflow_nologin;
CALL event_engine.grant_duty('subscriber', 'workflow_owner');
CALL event_engine.grant_duty('subscriber', 'workflow_other');
CALL event_engine.grant_duty('publisher', 'workflow_nologin');
CREATE SCHEMA flow AUTHORIZATION workflow_owner;
SET ROLE workflow_nologin;
SELECT event_engine.register_workflow('mine');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION steps FROM PUBLIC;
SET ROLE workflow_owner;
SELECT event_engine.register_workflow('mine', 'public.steps');
CREATE FUNCTION flow.steps(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE sql AS $$ SELECT event_engine.complete() $$;
-- not in the search path
SELECT event_engine.register_workflow('mine', 'flow.stepz');
SELECT event_engine.register_workflow('mine', 'flow.steps') IS NOT NULL AS registered;
\set VERBOSITY terse
SELECT event_engine.register_workflow('one', 'flow.steps', '5.0.0');
SELECT event_engine.update_workflow('one', '1.0.0', description => 'stolen');
\set VERBOSITY default
SELECT event_engine.start_workflow('mine') AS mine \gset
SELECT name, owner FROM event_engine.list_workflow_definitions();
RESET ROLE;
SELECT count(*) AS dispatchers FROM event_engine.subscriptions WHERE kind = 'workflow';
SET ROLE workflow_other;
SELECT event_engine.cancel_workflow(:'mine');
SELECT event_engine.set_workflow_state(:'mine', '{}');
SELECT event_engine.register_workflow_wait(:'mine', 'x');
SELECT event_engine.get_workflow(:'mine') IS NULL AS unseen;
SELECT count(*) FROM event_engine.list_workflows();
SELECT count(*) FROM event_engine.workflow_instances;
-- starting is for everybody who may publish or subscribe
SELECT event_engine.start_workflow('mine') IS NOT NULL AS started;
RESET ROLE;
CALL event_engine.grant_duty('reader', 'workflow_other');
SET ROLE workflow_other;
SELECT event_engine.get_workflow(:'mine') ->> 'workflow' AS workflow;
SELECT workflow, status FROM event_engine.list_workflows(in_status => 'running');
RESET ROLE;
SELECT has_function_privilege('workflow_nologin', 'event_engine.register_workflow_as(oid, text, regprocedure, text, text, jsonb)', 'EXECUTE');

DELETE FROM event_engine.workflow_instances;
DELETE FROM event_engine.workflow_definitions;
SELECT count(event_engine.unsubscribe(subscriber)) FROM event_engine.subscriptions WHERE kind = 'workflow';
DROP OWNED BY workflow_owner, workflow_other, workflow_nologin;
DROP ROLE workflow_owner, workflow_other, workflow_nologin;
DROP FUNCTION steps, no_steps, text_steps, many_steps;
DROP PROCEDURE steps_of_procedure;
