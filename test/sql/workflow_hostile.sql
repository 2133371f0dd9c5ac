-- Whatever the handler of a workflow raises or answers, it harms nobody else.
SET client_min_messages = warning;
SELECT count(event_engine.register_event_definition(p)) FROM unnest('{host.go,host.other}'::text[]) AS p;
-- a step is what the input says
CREATE FUNCTION host_step(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	answer jsonb;
BEGIN
	EXECUTE i.input ->> i.step INTO answer USING i, r;
	RETURN answer;
END $$;
SELECT event_engine.register_workflow('host', 'host_step', options => '{"max_attempts": 2, "backoff_ms": 0}') IS NOT NULL AS registered;
CREATE PROCEDURE host_try(what text, VARIADIC steps text[]) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM event_engine.start_workflow('host', jsonb_object(steps), what);
END $$;
CREATE VIEW hosts AS SELECT correlation_key AS what, status, length(last_error) AS error, left(last_error, 60) AS begins, left(output::text, 60) AS output
FROM event_engine.workflow_instances WHERE workflow = 'host' AND correlation_key IS NOT NULL ORDER BY created_at;

-- errors and outputs that no event can hold, with somebody who wants to be told
SELECT event_engine.subscribe('host-ends', '{workflow.*}') IS NOT NULL AS subscribed;
CALL host_try('loud', 'start', $$DO $do$ BEGIN RAISE EXCEPTION USING MESSAGE = repeat('é', 1000000), DETAIL = repeat('d', 1000000), HINT = repeat('h', 1000000); END $do$ $$);
CALL host_try('says so', 'start', $$SELECT event_engine.fail(repeat('x', 2000000))$$);
CALL host_try('large', 'start', $$SELECT event_engine.complete(to_jsonb(repeat('x', 2000000)))$$);
CALL host_try('parent', 'start', $$SELECT event_engine.wait_for_children(ARRAY[event_engine.start_child_workflow(($1).id, 'host',
	'{"start": "SELECT event_engine.complete(to_jsonb(repeat(''x'', 2000000)))"}')], next_step => 'end')$$,
	'end', $$SELECT event_engine.complete((($2).event).payload - '{id,durationMs,parentId}'::text[])$$);
CALL event_engine.run_pending(ahead => true);
SELECT * FROM hosts;
SELECT length(error_details ->> 'detail') AS detail, length(error_details ->> 'hint') AS hint FROM event_engine.workflow_instances WHERE correlation_key = 'loud';
SELECT pattern, length(payload ->> 'error') AS error, payload ? 'output' AS has_output FROM event_engine.events
WHERE pattern IN ('workflow.failed', 'workflow.completed') AND payload ->> 'workflow' = 'host' AND payload ? 'correlationKey' ORDER BY seq;

-- a rule for them, a definition that none of them keeps, fewer hops than they have
SELECT event_engine.add_event_rule('workflow.failed', 'never', '$.payload.id == "none"') IS NOT NULL AS added;
CALL host_try('ruled', 'start', $$SELECT event_engine.fail('ruled')$$);
CALL event_engine.run_pending(ahead => true);
SELECT count(*) FROM event_engine.events WHERE pattern = 'workflow.failed' AND payload ->> 'correlationKey' = 'ruled';
SELECT event_engine.create_workflow_trigger('host', 'host.go', correlation_key => '"hopped"') AS trigger \gset
SELECT event_engine.publish_event('host.go', '{"start": "SELECT event_engine.wait_for(''host.other'', next_step => ''end'')", "end": "SELECT event_engine.complete()"}', '{"hops": 4}') IS NOT NULL AS published;
CALL event_engine.run_pending();
SET event_engine.store_hop_limit = 2;
SELECT event_engine.publish_event('host.other', '{}') IS NOT NULL AS published;
CALL event_engine.run_pending(ahead => true);
RESET event_engine.store_hop_limit;
SELECT * FROM hosts OFFSET 4;
SELECT count(*) FROM event_engine.events WHERE pattern = 'workflow.completed' AND payload ->> 'correlationKey' = 'hopped';
SELECT event_engine.drop_workflow_trigger(:'trigger');
SELECT event_engine.unsubscribe('host-ends');

-- what is no answer, and all of nothing
TRUNCATE event_engine.workflow_instances, event_engine.workflow_steps, event_engine.workflow_waits;
CREATE VIEW answers AS SELECT i.correlation_key AS what, i.status, i.step, i.last_error AS error, left(i.error_details ->> 'detail', 100) AS detail, i.output,
	(SELECT extract(year FROM w.timeout_at) FROM event_engine.workflow_waits AS w WHERE w.instance_id = i.id) AS until
FROM event_engine.workflow_instances AS i ORDER BY i.created_at;
SELECT event_engine.update_workflow('host', '1.0.0', options => '{"max_attempts": 1}');
CALL host_try('null', 'start', $$SELECT NULL::jsonb$$);
CALL host_try('json null', 'start', $$SELECT 'null'::jsonb$$);
CALL host_try('array', 'start', $$SELECT '[]'::jsonb$$);
CALL host_try('unknown', 'start', $$SELECT '{"do": "dance"}'::jsonb$$);
CALL host_try('no list', 'start', $$SELECT '{"do": "wait", "waits": {}}'::jsonb$$);
CALL host_try('no wait', 'start', $$SELECT '{"do": "wait", "waits": [5]}'::jsonb$$);
CALL host_try('no time', 'start', $$SELECT '{"do": "wait", "waits": [{"pattern": "host.go", "since": "noon of yesterday"}]}'::jsonb$$);
CALL host_try('NUL', 'start', $$SELECT '{"do": "complete", "output": "\u0000"}'::jsonb$$);
CALL host_try('no step', 'start', $$SELECT event_engine.continue_with('')$$);
CALL host_try('long step', 'start', $$SELECT event_engine.continue_with(repeat('x', 256))$$);
CALL host_try('long wait', 'start', $$SELECT event_engine.wait_for('host.go', name => repeat('x', 256))$$);
CALL host_try('forever', 'start', $$SELECT event_engine.sleep_until('infinity')$$);
CALL host_try('never', 'start', $$SELECT event_engine.wait_for('host.go', timeout_at => 'infinity')$$);
CALL host_try('long ago', 'start', $$SELECT event_engine.wait_for('host.go', timeout_at => '-infinity', next_step => 'end')$$, 'end', $$SELECT event_engine.complete(to_jsonb(($2).kind))$$);
CALL host_try('before Christ', 'start', $$SELECT event_engine.sleep_until('4000-01-01 BC', next_step => 'end')$$, 'end', $$SELECT event_engine.complete(to_jsonb(($2).kind))$$);
CALL host_try('negative', 'start', $$SELECT event_engine.wait_for('host.go', timeout => '-5 s', next_step => 'end')$$, 'end', $$SELECT event_engine.complete(to_jsonb(($2).kind))$$);
CALL host_try('far', 'start', $$SELECT event_engine.wait_for('host.go', timeout_at => '290000-01-01', since => '4000-01-01 BC')$$);
CALL host_try('too far', 'start', $$SELECT event_engine.wait_for('host.go', timeout => '300000 years')$$);
CALL host_try('many', 'start', $$SELECT event_engine.wait_for_any(ARRAY(SELECT event_engine.wait_for('host.go') FROM generate_series(1, 10000)))$$);
CALL host_try('any of none', 'start', $$SELECT event_engine.wait_for_any('{}')$$);
CALL host_try('all of none', 'start', $$SELECT event_engine.wait_for_all('{}', next_step => 'end')$$, 'end', $$SELECT event_engine.complete(to_jsonb(($2).kind))$$);
CALL host_try('drops us', 'start', $$DO $do$ BEGIN DROP EXTENSION event_engine CASCADE; END $do$ $$);
CALL host_try('no children', 'start', $$SELECT event_engine.wait_for_children('{}', next_step => 'end')$$, 'end', $$SELECT event_engine.complete(to_jsonb(($2).kind))$$);
CALL event_engine.run_pending();
SELECT * FROM answers;

-- the child of somebody else's workflow
SELECT id AS waiting FROM event_engine.workflow_instances WHERE correlation_key = 'never' \gset
CREATE ROLE host_other;
CALL event_engine.grant_duty('subscriber', 'host_other');
SET ROLE host_other;
SELECT event_engine.start_child_workflow(:'waiting', 'host');
RESET ROLE;
CALL event_engine.revoke_duty('subscriber', 'host_other');
DROP ROLE host_other;
BEGIN READ ONLY;
SELECT event_engine.start_child_workflow(:'waiting', 'host');
ROLLBACK;
SELECT event_engine.start_child_workflow(:'waiting', 'host', version => '2.0.0');

-- those that wait for all that happens to workflows are not resumed by what they do themselves
TRUNCATE event_engine.workflow_instances, event_engine.workflow_steps, event_engine.workflow_waits;
CALL host_try('watches', 'start', $$SELECT event_engine.wait_for('#')$$);
CALL host_try('watches, too', 'start', $$SELECT event_engine.wait_for('#')$$);
CALL event_engine.run_pending();
CALL host_try('is seen', 'start', $$SELECT event_engine.continue_with('end')$$, 'end', $$SELECT event_engine.complete()$$);
CALL event_engine.run_pending();
SELECT correlation_key AS what, status, steps > 1 AS has_seen FROM event_engine.workflow_instances ORDER BY created_at;

DROP VIEW hosts, answers;
DROP PROCEDURE host_try;
TRUNCATE event_engine.workflow_instances, event_engine.workflow_steps, event_engine.workflow_waits, event_engine.workflow_wait_keys,
	event_engine.workflow_definitions, event_engine.event_rules;
SELECT event_engine.unsubscribe('workflow:' || current_user);
DROP FUNCTION host_step;
DELETE FROM event_engine.event_definitions WHERE pattern ~ '^(host|workflow|task)\.';
