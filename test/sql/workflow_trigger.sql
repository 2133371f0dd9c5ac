-- Events start workflows and cancel them: each trigger once for each event,
-- by condition, mapping, key and policy; what one of them cannot do harms no
-- other.
SET client_min_messages = warning;
SELECT count(event_engine.register_event_definition(p))
FROM unnest('{order.placed,order.cancelled,order.paid}'::text[]) AS p;
CREATE FUNCTION trigger_step(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS $$
	SELECT event_engine.wait_for('order.paid', condition => '$.payload.order == $workflow.correlationKey') $$;
SELECT event_engine.publish_event('order.placed', '{"order": "o-0"}') IS NOT NULL AS before;
SELECT event_engine.register_workflow('payment', 'trigger_step') IS NOT NULL AS registered;
SELECT event_engine.register_workflow('audit', 'trigger_step') IS NOT NULL AS registered;

-- what is refused
SELECT event_engine.create_workflow_trigger('nothing', 'order.placed');
SELECT event_engine.create_workflow_trigger('payment', 'order.unknown');
SELECT event_engine.create_workflow_trigger('payment', 'order.placed', 'PAUSE');
SELECT event_engine.create_workflow_trigger('payment', 'order.placed', policy => 'sometimes');
SELECT event_engine.create_workflow_trigger('payment', 'order.placed', event_condition => '$.payload.total >');
SELECT event_engine.create_workflow_trigger('payment', 'order.placed', input_mapping => '{"a": "$.payload["}');
SELECT event_engine.create_workflow_trigger('payment', 'order.placed', input_mapping => '[]');
SELECT event_engine.create_workflow_trigger('payment', 'order.cancelled', 'CANCEL');
SELECT event_engine.create_workflow_trigger('payment', 'order.cancelled', 'CANCEL', correlation_key => '$.payload.order', policy => 'restart');

SELECT event_engine.create_workflow_trigger('payment', 'order.placed', event_condition => '$.payload.total > 10',
	input_mapping => '{"customer": "$.payload.customer.name", "lines": "$.payload.lines[*]", "none": "$.payload.none", "source": "shop", "n": 1}',
	correlation_key => '$.payload.order', policy => 'if_none_running', description => 'orders that are worth it') AS start \gset
SELECT event_engine.create_workflow_trigger('audit', 'order.#', priority => 1) AS audit \gset
SELECT event_engine.create_workflow_trigger('payment', 'order.cancelled', 'CANCEL', correlation_key => '$.payload.order',
	event_condition => '$.payload.customer == $workflow.input.customer') AS cancel \gset
SELECT workflow, owner = current_user::regrole AS own, event_pattern, trigger_type, policy, enabled, priority, description, failures
FROM event_engine.list_workflow_triggers() ORDER BY workflow, priority, trigger_type;

CREATE VIEW instances AS SELECT workflow, status, correlation_key AS key, input,
	EXISTS (SELECT FROM event_engine.events AS e WHERE e.id::text = i.metadata ->> 'causationId') AS caused, last_error IS NOT NULL AS error
FROM event_engine.workflow_instances AS i ORDER BY created_at;
SELECT event_engine.publish_event('order.placed', '{"order": "o-1", "total": 20, "customer": {"name": "Ada"}, "lines": [1, 2]}', '{"correlationId": "first"}') IS NOT NULL AS placed;
SELECT event_engine.publish_event('order.placed', '{"order": "o-2", "total": 5}') IS NOT NULL AS cheap;
CALL event_engine.run_pending();
SELECT * FROM instances;
SELECT tree, state FROM event_engine.trace_events('first', deliveries => false);

-- once for each key, until that is over
SELECT event_engine.update_workflow_trigger(:'audit', enabled => false);
SELECT event_engine.publish_event('order.placed', '{"order": "o-1", "total": 20, "customer": {"name": "Bob"}}') IS NOT NULL AS again;
SELECT event_engine.publish_event('order.cancelled', '{"order": "o-1", "customer": "Bob"}') IS NOT NULL AS not_his;
CALL event_engine.run_pending();
SELECT * FROM instances WHERE workflow = 'payment';
SELECT event_engine.publish_event('order.cancelled', '{"order": "o-1", "customer": "Ada"}') IS NOT NULL AS his;
CALL event_engine.run_pending();
SELECT event_engine.publish_event('order.placed', '{"order": "o-1", "total": 20, "customer": {"name": "Cid"}}') IS NOT NULL AS anew;
CALL event_engine.run_pending();
SELECT * FROM instances WHERE workflow = 'payment';
SELECT event_engine.update_workflow_trigger(:'start', policy => 'restart');
SELECT event_engine.publish_event('order.placed', '{"order": "o-1", "total": 20, "customer": {"name": "Dan"}}') IS NOT NULL AS restarted;
CALL event_engine.run_pending();
SELECT * FROM instances WHERE workflow = 'payment' AND status <> 'cancelled';

-- a path that raises is that trigger's failure alone
SELECT event_engine.update_workflow_trigger(:'audit', enabled => true);
SELECT event_engine.create_workflow_trigger('payment', 'order.placed', input_mapping => '{"first": "strict $.payload.lines[9]"}') AS strict \gset
SELECT event_engine.publish_event('order.placed', '{"order": "o-3", "lines": [1]}') IS NOT NULL AS placed;
CALL event_engine.run_pending();
SELECT count(*) FROM instances WHERE workflow = 'audit';
SELECT workflow, (event).payload, error_message, error_details, status FROM event_engine.workflow_trigger_failures;
SELECT failures FROM event_engine.list_workflow_triggers('payment') WHERE id = :'strict';
SELECT event_engine.retry_trigger_failures(:'strict');
SELECT event_engine.update_workflow_trigger(:'strict', input_mapping => '{"first": "$.payload.lines[9]"}');
SELECT event_engine.retry_trigger_failures(:'strict');
SELECT status, count(*) FROM event_engine.workflow_trigger_failures GROUP BY status ORDER BY status;
SELECT input FROM instances ORDER BY input ? 'first' DESC LIMIT 1;
SELECT event_engine.discard_trigger_failures(:'strict');
-- nor is a workflow that cannot be started
SELECT event_engine.deprecate_workflow('payment', '1.0.0');
SELECT event_engine.publish_event('order.placed', '{"order": "o-4", "total": 20}') IS NOT NULL AS placed;
CALL event_engine.run_pending();
SELECT error_message, count(*) FROM event_engine.workflow_trigger_failures WHERE status = 'failed' GROUP BY 1;
SELECT event_engine.discard_trigger_failures(:'start');

-- rights
CREATE ROLE trigger_other;
CALL event_engine.grant_duty('subscriber', 'trigger_other');
SET ROLE trigger_other;
SELECT event_engine.create_workflow_trigger('payment', 'order.placed');
SELECT event_engine.drop_workflow_trigger(:'start');
RESET ROLE;
CALL event_engine.revoke_duty('subscriber', 'trigger_other');
DROP ROLE trigger_other;
SELECT event_engine.drop_workflow_trigger(t) FROM unnest(ARRAY[:'start', :'audit', :'cancel', :'strict']::uuid[]) AS t;
SELECT event_engine.drop_workflow_trigger('00000000-0000-0000-0000-000000000001');

DROP VIEW instances;
TRUNCATE event_engine.workflow_instances, event_engine.workflow_steps, event_engine.workflow_waits, event_engine.workflow_wait_keys,
	event_engine.workflow_definitions, event_engine.workflow_trigger_failures;
SELECT event_engine.unsubscribe('workflow:' || current_user);
DROP FUNCTION trigger_step;
DELETE FROM event_engine.event_definitions WHERE pattern ~ '^(order|workflow)\.';
