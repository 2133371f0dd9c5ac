-- Instances are started once, waited for, cancelled, and ended by whoever
-- orchestrates them from outside.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT event_engine.register_event_definition('flow.paid');
SELECT event_engine.register_workflow('outside', options => '{"instance_timeout": "1 day"}') IS NOT NULL AS registered;
CREATE VIEW instances AS SELECT workflow, status, correlation_key, idempotency_key, input, state, output, step, steps,
		wait_needed, resumption, attempts, next_attempt_at IS NOT NULL AS due, last_error,
		deadline_at - created_at AS deadline, finished_at IS NOT NULL AS finished
	FROM event_engine.workflow_instances ORDER BY id;
\x on
SELECT event_engine.start_workflow('outside', '{"order": 1}', 'order 1', 'key 1') AS id \gset
SELECT * FROM instances;
\x off
-- the same key is the same instance; another workflow's is another
SELECT event_engine.start_workflow('outside', '{"order": 2}', 'order 2', 'key 1') = :'id' AS same;
SELECT event_engine.start_workflow('outside', NULL, idempotency_key => 'key 2') = :'id' AS same;
SELECT event_engine.start_workflow('outside', correlation_key => '');
SELECT event_engine.start_workflow('outside', idempotency_key => repeat('x', 256));
SELECT correlation_key, input, metadata ->> 'correlationId' = id::text AS own_correlation FROM event_engine.workflow_instances ORDER BY id;

-- a step is due, which nobody may wait in the stead of
SELECT event_engine.register_workflow_wait(:'id', 'flow.paid');
-- as if the orchestrator had been told
UPDATE event_engine.workflow_instances SET next_attempt_at = NULL;
SELECT event_engine.register_workflow_wait(:'id', 'flow.paid', '$.payload.order == $workflow.input.order && $.payload.amount > 3',
	timeout => '1 hour', name => 'paid', next_step => 'ship', since => '2020-01-01') AS wait \gset
SELECT event_engine.register_workflow_wait(:'id', 'flow.*', filters => '[{"field": "$.payload.order", "operator": "equals", "value": 2}]', needed => 2) IS NOT NULL AS registered;
SELECT event_engine.sleep_workflow(:'id', '1 day', next_step => 'later') IS NOT NULL AS registered;
SELECT name, pattern, filter_path, filters, variables #>> '{workflow,correlationKey}' AS key_seen, variables #> '{workflow,input}' AS input_seen,
		variables ? 'state' AS state_seen, key IS NOT NULL AS keyed, timeout_at - created_at < '25 hours' AS timeout, since IS NOT NULL AS since,
		xid = pg_current_xact_id() AS now
	FROM event_engine.workflow_waits ORDER BY id;
SELECT k.pattern, k.path FROM event_engine.workflow_wait_keys AS k ORDER BY k.pattern, k.path;
-- of those the dispatcher reads the events once it sees the waits
SELECT patterns FROM event_engine.subscriptions WHERE kind = 'workflow';
-- keys are equal for equal values, and differ by type, pattern and path
SELECT event_engine.equality_key('flow.paid', '$.payload.order == $workflow.input.order', NULL, '{"workflow": {"input": {"order": 1.0}}}') = key AS same
	FROM event_engine.workflow_waits WHERE name = 'paid';
SELECT status, step, wait_needed FROM event_engine.workflow_instances WHERE id = :'id';
SELECT jsonb_path_query(event_engine.get_workflow(:'id'), '$.waits[*].name') AS waits;
SELECT event_engine.cancel_workflow_wait(:'id', :'wait'), event_engine.cancel_workflow_wait(:'id', :'wait');
SELECT name FROM event_engine.workflow_waits ORDER BY id;

-- what cannot be waited for
SELECT event_engine.register_workflow_wait(:'id', 'flow.unknown');
SELECT event_engine.register_workflow_wait(:'id', NULL);
SELECT event_engine.register_workflow_wait(:'id', '');
SELECT event_engine.register_workflow_wait(:'id', 'flow..*');
SELECT event_engine.register_workflow_wait(:'id', 'flow.paid', '$.payload.order');
SELECT event_engine.register_workflow_wait(:'id', 'flow.paid', '$.payload.order ==');
SELECT event_engine.register_workflow_wait(:'id', 'flow.paid', '$.payload.order == $order');
SELECT event_engine.register_workflow_wait(:'id', 'flow.paid', filters => '[{"field": "x"}]');
SELECT event_engine.register_workflow_wait('00000000-0000-0000-0000-000000000000', 'flow.paid');
SELECT event_engine.register_workflow_wait(NULL, 'flow.paid');
SELECT event_engine.sleep_workflow(:'id');
SELECT event_engine.sleep_workflow(:'id', '1 day', now());
-- a pattern that was not there when the transaction failed is not taken for known
BEGIN;
SELECT event_engine.register_event_definition('flow.new');
SELECT event_engine.register_workflow_wait(:'id', 'flow.new') IS NOT NULL AS registered;
ROLLBACK;
SELECT event_engine.register_event_definition('flow.new');
SELECT event_engine.register_workflow_wait(:'id', 'flow.new') IS NOT NULL AS registered;
SELECT pattern, path FROM event_engine.workflow_wait_keys WHERE pattern = 'flow.new';

-- state and end
SELECT event_engine.set_workflow_state(:'id', '{"a": 1}');
SELECT event_engine.set_workflow_state(:'id', NULL);
SELECT event_engine.resume_workflow(:'id');
SELECT event_engine.complete_workflow(:'id', '{"done": true}');
SELECT event_engine.complete_workflow(:'id');
SELECT event_engine.fail_workflow(:'id', 'too late');
SELECT event_engine.set_workflow_state(:'id', '{}');
SELECT event_engine.cancel_workflow(:'id') AS cancelled;
SELECT count(*) AS waits FROM event_engine.workflow_waits;
SELECT event_engine.start_workflow('outside') AS id2 \gset
SELECT event_engine.cancel_workflow(:'id2', 'no more') AS cancelled;
SELECT event_engine.cancel_workflow(:'id2', 'again') AS cancelled;
SELECT event_engine.start_workflow('outside') AS id3 \gset
SELECT event_engine.fail_workflow(:'id3', 'broken', '{"why": 1}');
SELECT event_engine.resume_workflow(:'id2');
SELECT status, state, output, last_error, error_details, finished_at IS NOT NULL AS finished FROM event_engine.workflow_instances ORDER BY id;
SELECT step_number, resumed_by, result, error_message, details FROM event_engine.workflow_steps ORDER BY started_at;
SELECT event_engine.resume_workflow(:'id3');
SELECT status, next_attempt_at IS NOT NULL AS due, last_error, finished_at FROM event_engine.workflow_instances WHERE id = :'id3';
-- pages
SELECT array_agg(event_engine.start_workflow('outside', correlation_key => 'page')) IS NOT NULL AS started FROM generate_series(1, 5);
SELECT count(*), min(id::text) AS last FROM event_engine.list_workflows('outside', with_key => 'page', max_instances => 3) \gset
SELECT :count AS first, count(*) AS rest FROM event_engine.list_workflows('outside', with_key => 'page', before_id => :'last');

-- those that are over are forgotten, the first to end first
SELECT event_engine.delete_workflows(NULL);
SELECT event_engine.delete_workflows(now() - interval '1 day');
SELECT event_engine.delete_workflows(now() + interval '1 day', 'another');
SELECT event_engine.delete_workflows(now() + interval '1 day', in_status => 'cancelled');
SELECT event_engine.delete_workflows(now() + interval '1 day', max_instances => 1);
SELECT status, count(*) FROM event_engine.workflow_instances GROUP BY status ORDER BY status;
SELECT result, count(*) FROM event_engine.workflow_steps GROUP BY result ORDER BY result;

DROP VIEW instances;
DELETE FROM event_engine.workflow_instances;
DELETE FROM event_engine.workflow_steps;
DELETE FROM event_engine.workflow_definitions;
SELECT count(event_engine.unsubscribe(subscriber)) FROM event_engine.subscriptions WHERE kind = 'workflow';
