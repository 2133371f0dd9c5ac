-- Events about workflows: with their correlation, only where somebody wants
-- them, and without end only up to the limit of hops.
SET client_min_messages = warning;
SELECT count(event_engine.register_event_definition(p)) FROM unnest('{job.wanted,job.done,job.noted}'::text[]) AS p;
CREATE FUNCTION life_step(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'start' THEN
		PERFORM event_engine.publish_event('job.noted', '{}');
		RETURN event_engine.wait_for('job.done', condition => '$.payload.job == $workflow.correlationKey', next_step => 'done');
	ELSIF (r.event).payload ? 'fail' THEN
		RAISE EXCEPTION 'cannot be done';
	END IF;
	RETURN event_engine.complete('{"done": true}');
END $$;
SELECT event_engine.register_workflow('job', 'life_step', options => '{"max_attempts": 2, "backoff_ms": 0}') IS NOT NULL AS registered;
SELECT pattern, source_types, status FROM event_engine.event_definitions WHERE pattern ~ '^(workflow|task)\.' ORDER BY pattern;
CREATE VIEW told AS SELECT pattern, payload - 'id' - 'durationMs' - 'workflow' - 'version' AS payload, metadata - 'causationId' AS metadata,
	source ->> 'type' AS source, source ->> 'name' AS name
FROM event_engine.events WHERE pattern ~ '^(workflow|job.noted)' ORDER BY seq;

-- nobody wants them
SELECT event_engine.start_workflow('job', correlation_key => 'j-0') IS NOT NULL AS started;
CALL event_engine.run_pending();
SELECT * FROM told WHERE pattern <> 'job.noted';
-- whatever may want one has it published
SELECT event_engine.subscribe('life-ends', '{workflow.finished}') IS NOT NULL AS subscribed;
SELECT event_engine.publish_event('job.done', '{"job": "j-0"}') IS NOT NULL AS done;
CALL event_engine.run_pending();
SELECT pattern, payload FROM told WHERE pattern <> 'job.noted';
SELECT event_engine.subscribe('life', '{workflow.*}') IS NOT NULL AS subscribed;
CREATE TABLE life_seen AS SELECT max(seq) AS seq FROM event_engine.events;
SELECT event_engine.create_workflow_trigger('job', 'job.wanted', correlation_key => '$.payload.job') AS wanted \gset
SELECT event_engine.publish_event('job.wanted', '{"job": "j-1"}', '{"correlationId": "life"}') IS NOT NULL AS wanted;
CALL event_engine.run_pending();
SELECT event_engine.publish_event('job.done', '{"job": "j-1", "fail": true}', '{"correlationId": "other"}') IS NOT NULL AS done;
CALL event_engine.run_pending(ahead => true);
SELECT event_engine.publish_event('job.wanted', '{"job": "j-2"}', '{"correlationId": "cancelled"}') IS NOT NULL AS wanted;
CALL event_engine.run_pending();
SELECT event_engine.cancel_workflow(id, 'no longer needed') FROM event_engine.workflow_instances WHERE correlation_key = 'j-2';
SELECT pattern, payload ->> 'step' AS step, payload ->> 'attempt' AS attempt, payload ->> 'result' AS result, payload ->> 'resumedBy' AS resumed_by,
	payload ->> 'wait' AS wait, payload ->> 'error' AS error, metadata, name
FROM told OFFSET (SELECT count(*) FROM event_engine.events AS e, life_seen AS s WHERE e.pattern ~ '^(workflow|job.noted)' AND e.seq <= s.seq);
SELECT tree, state, detail FROM event_engine.trace_events('life', deliveries => false);
-- the event that has cancelled a workflow is the cause of its end, by a trigger, a handler or a step of another
CREATE FUNCTION life_stop(e event_engine.event) RETURNS void LANGUAGE sql AS $$
	SELECT event_engine.cancel_workflow(i.id) FROM event_engine.workflow_instances AS i WHERE i.correlation_key = e.payload ->> 'stop' $$;
CREATE FUNCTION life_stops(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'stop' THEN
		PERFORM event_engine.cancel_workflow(o.id) FROM event_engine.workflow_instances AS o WHERE o.correlation_key = 'by step';
		RETURN event_engine.complete();
	END IF;
	RETURN event_engine.wait_for('job.over', next_step => 'stop');
END $$;
SELECT count(event_engine.register_event_definition(p)) FROM unnest('{job.stop,job.halt,job.over}'::text[]) AS p;
SELECT event_engine.subscribe('life-stop', '{job.stop}', 'life_stop') IS NOT NULL AND event_engine.register_workflow('stops', 'life_stops') IS NOT NULL
	AND event_engine.start_workflow('stops') IS NOT NULL AS prepared;
SELECT event_engine.create_workflow_trigger('job', 'job.halt', 'CANCEL', correlation_key => '$.payload.halt') AS halt \gset
SELECT count(event_engine.publish_event('job.wanted', jsonb_build_object('job', k))) FROM unnest('{by trigger,by handler,by step,by hand}'::text[]) AS k;
CALL event_engine.run_pending();
SELECT event_engine.publish_event('job.halt', '{"halt": "by trigger"}') IS NOT NULL AND event_engine.publish_event('job.stop', '{"stop": "by handler"}') IS NOT NULL
	AND event_engine.publish_event('job.over', '{}') IS NOT NULL AS published;
SELECT event_engine.cancel_workflow(id) FROM event_engine.workflow_instances WHERE correlation_key = 'by hand';
CALL event_engine.run_pending();
SELECT e.payload ->> 'correlationKey' AS key, e.pattern, c.pattern AS cause, e.metadata -> 'hops' AS hops
FROM event_engine.events AS e LEFT JOIN event_engine.events AS c ON c.id::text = e.metadata ->> 'causationId'
WHERE e.pattern = 'workflow.cancelled' AND e.payload ->> 'correlationKey' LIKE 'by %' ORDER BY 1;
SELECT event_engine.drop_workflow_trigger(:'halt'), event_engine.unsubscribe('life-stop');

-- the runs of steps, as tasks: what a run publishes that fails is undone, but not that it has failed
SELECT event_engine.subscribe('tasks', '{task.*}') IS NOT NULL AS subscribed;
CREATE FUNCTION life_task(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM event_engine.report_progress(i.id, jsonb_build_object('step', i.step, 'attempt', r.attempt));
	IF i.step = 'start' THEN RETURN event_engine.continue_with('second'); END IF;
	IF r.attempt = 1 THEN RAISE EXCEPTION 'not yet'; END IF;
	RETURN event_engine.complete();
END $$;
SELECT event_engine.register_workflow('tasks', 'life_task', options => '{"max_attempts": 2, "backoff_ms": 0}') IS NOT NULL AS registered;
SELECT event_engine.start_workflow('tasks') AS task \gset
CALL event_engine.run_pending(ahead => true);
SELECT pattern, payload ->> 'step' AS step, payload ->> 'attempt' AS attempt, payload ->> 'result' AS result, payload ->> 'error' AS error, payload -> 'progress' AS progress
FROM event_engine.events WHERE pattern LIKE 'task.%' AND partition_key = :'task' ORDER BY seq;
SELECT event_engine.report_progress(:'task', '{}');
-- steps that are taken outside have begun when they are told
SELECT event_engine.register_workflow('outside', NULL) IS NOT NULL AS registered;
SELECT event_engine.start_workflow('outside') AS task \gset
CALL event_engine.run_pending(ahead => true);
SELECT event_engine.report_progress(:'task', NULL);
SELECT event_engine.report_progress(:'task', '0.5');
SELECT pattern, payload ->> 'result' AS result, payload -> 'progress' AS progress
FROM event_engine.events WHERE pattern LIKE 'task.%' AND partition_key = :'task' ORDER BY seq;
SELECT event_engine.unsubscribe('tasks');

-- none at all
SET event_engine.workflow_events = none;
SELECT event_engine.start_workflow('job') AS quiet \gset
SELECT event_engine.cancel_workflow(:'quiet');
SELECT count(*) FROM event_engine.events WHERE payload ->> 'id' = :'quiet';
SELECT event_engine.unsubscribe(s) FROM unnest('{life,life-ends}'::text[]) AS s;
SET event_engine.workflow_events = 'all';
SELECT event_engine.start_workflow('job') AS loud \gset
SELECT event_engine.cancel_workflow(:'loud');
SELECT count(*) FROM event_engine.events WHERE payload ->> 'id' = :'loud';
RESET event_engine.workflow_events;

-- a workflow that is started by its own end comes to one
CREATE FUNCTION life_loop(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS $$ SELECT event_engine.complete() $$;
SELECT event_engine.register_workflow('loop', 'life_loop') IS NOT NULL AS registered;
SELECT event_engine.create_workflow_trigger('loop', 'workflow.completed', event_condition => '$.payload.workflow == "loop"') AS looping \gset
SET event_engine.store_hop_limit = 5;
SELECT event_engine.start_workflow('loop') IS NOT NULL AS started;
CALL event_engine.run_pending();
SELECT status, metadata -> 'hops' AS hops FROM event_engine.workflow_instances WHERE workflow = 'loop' ORDER BY created_at;
SELECT workflow, error_message, error_details FROM event_engine.workflow_trigger_failures;

SELECT event_engine.drop_workflow_trigger(t) FROM unnest(ARRAY[:'wanted', :'looping']::uuid[]) AS t;
DROP VIEW told;
DROP TABLE life_seen;
TRUNCATE event_engine.workflow_instances, event_engine.workflow_steps, event_engine.workflow_waits, event_engine.workflow_wait_keys,
	event_engine.workflow_definitions, event_engine.workflow_trigger_failures;
SELECT event_engine.unsubscribe('workflow:' || current_user);
DROP FUNCTION life_step, life_loop, life_task, life_stop, life_stops;
DELETE FROM event_engine.event_definitions WHERE pattern ~ '^(job|workflow|task)\.';
