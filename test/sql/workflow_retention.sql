-- Workflows that are over leave when their time is over, those that failed do not.
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE FUNCTION kept_step(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN i.input ? 'fail' THEN event_engine.fail('as told')
		WHEN i.input ? 'wait' THEN event_engine.sleep_for('1 year') ELSE event_engine.complete() END $$;
SELECT count(event_engine.register_workflow(n, 'kept_step')) FROM unnest('{kept_default,kept_short,kept_for_ever}'::text[]) AS n;
SELECT event_engine.update_workflow('kept_short', '1.0.0', options => '{"keep_for": "2 hours"}'),
	event_engine.update_workflow('kept_for_ever', '1.0.0', options => '{"keep_for": 0}');
SELECT name, options -> 'keep_for_ms' AS keep_for_ms FROM event_engine.workflow_definitions ORDER BY name;
SELECT count(event_engine.start_workflow(n, input)) FROM unnest('{kept_default,kept_short,kept_for_ever}'::text[]) AS n,
	unnest('{"{}","{}","{\"fail\": 1}","{\"wait\": 1}"}'::jsonb[]) AS input;
CALL event_engine.run_pending();
CREATE VIEW kept AS SELECT i.workflow, i.status, count(*), sum((SELECT count(*) FROM event_engine.workflow_steps AS s WHERE s.instance_id = i.id)) AS steps
	FROM event_engine.workflow_instances AS i WHERE i.workflow LIKE 'kept%' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM kept;

-- maintenance: by the option, as the setting is 0
SELECT event_engine.run_maintenance();
SELECT count(*) FROM event_engine.workflow_instances WHERE workflow LIKE 'kept%';
UPDATE event_engine.workflow_instances SET finished_at = finished_at - interval '3 hours' WHERE finished_at IS NOT NULL;
SELECT event_engine.run_maintenance();
SELECT * FROM kept;
SELECT outcome, events FROM event_engine.event_maintenance WHERE object = 'workflow_instances';
-- by the setting, so many at once
SELECT event_engine.forget_workflows('4 hours', 10);
SELECT event_engine.forget_workflows('1 hour', 1);
SELECT event_engine.forget_workflows('1 hour', 10);
SELECT event_engine.forget_workflows(NULL, 10);
SELECT * FROM kept;
SELECT count(*) FROM event_engine.workflow_steps AS s WHERE NOT EXISTS (SELECT FROM event_engine.workflow_instances AS i WHERE i.id = s.instance_id);
-- as the setting says again; and what is no time
SELECT event_engine.update_workflow('kept_for_ever', '1.0.0', options => '{"keep_for": null}');
SELECT event_engine.update_workflow('kept_for_ever', '1.0.0', options => '{"keep_for": "-1 day"}');
SELECT event_engine.update_workflow('kept_for_ever', '1.0.0', options => '{"keep_for_ms": "long"}');
SELECT event_engine.forget_workflows('1 hour', 10);

SELECT count(event_engine.cancel_workflow(id)) FROM event_engine.workflow_instances WHERE finished_at IS NULL;
DROP VIEW kept;
TRUNCATE event_engine.workflow_instances, event_engine.workflow_steps, event_engine.workflow_waits, event_engine.workflow_definitions;
SELECT event_engine.unsubscribe('workflow:' || current_user);
DROP FUNCTION kept_step;
DELETE FROM event_engine.event_maintenance WHERE object = 'workflow_instances';
DELETE FROM event_engine.event_definitions WHERE pattern LIKE 'workflow.%';
