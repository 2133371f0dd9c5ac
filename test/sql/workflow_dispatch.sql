-- From events to steps: what is found, in which order, and what fails.
SET client_min_messages = warning;
SELECT event_engine.register_event_definition('dispatch.a') IS NOT NULL AS ok;
SELECT event_engine.register_event_definition('dispatch.b') IS NOT NULL AS ok;
CREATE TABLE dispatch_took (n serial, key text, kind text, payload jsonb);
CREATE FUNCTION dispatch_step(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'start' THEN
		RETURN i.input -> 'answer';
	END IF;
	IF (r.event).payload ? 'fail' AND r.attempt < 2 THEN
		RAISE 'the step fails';
	END IF;
	INSERT INTO public.dispatch_took (key, kind, payload)
		VALUES (i.correlation_key, r.kind, (r.event).payload);
	RETURN event_engine.complete();
END $$;
SELECT event_engine.register_workflow('dispatch', 'dispatch_step', options => '{"backoff_ms": 0}') IS NOT NULL AS ok;
CREATE FUNCTION dispatch_start(key text, answer jsonb) RETURNS void LANGUAGE sql AS $$
	SELECT event_engine.start_workflow('dispatch', jsonb_build_object('answer', answer || '{"step": "resumed"}'), key) $$;
CREATE FUNCTION dispatch_took() RETURNS SETOF text LANGUAGE sql AS $$
	WITH t AS (DELETE FROM dispatch_took RETURNING *)
	SELECT concat_ws(' ', key, kind, payload) FROM t ORDER BY n $$;

-- by value and by type, by pattern alone, by wildcard, by list
SELECT dispatch_start('number', event_engine.wait_for('dispatch.a', '$.payload.id == 1')),
	dispatch_start('string', event_engine.wait_for('dispatch.a', '$.payload.id == "1"')),
	dispatch_start('any', event_engine.wait_for('dispatch.b')),
	dispatch_start('wildcard', event_engine.wait_for('dispatch.*', '$.payload.id == 3')),
	dispatch_start('list', event_engine.wait_for('dispatch.a', filters => '[{"field": "$.payload.id", "operator": "equals", "value": 4}]')),
	dispatch_start('rest', event_engine.wait_for('dispatch.a', '$.payload.id == 5 && $.payload.amount > 10')),
	dispatch_start('array', event_engine.wait_for('dispatch.a', '$.payload.ids[*] == 6'));
SELECT event_engine.process_batch() AS steps;
SELECT event_engine.process_batch() AS steps;
SELECT count(event_engine.publish_event('dispatch.a', p::jsonb)) FROM unnest(ARRAY['{"id": 2}', '{"id": "1"}',
	'{"id": 1.0}', '{"id": 3}', '{"id": 4}', '{"id": 5}', '{"id": 5, "amount": 11}', '{"ids": [5, 6]}']) AS p;
SELECT event_engine.process_batch() AS steps;
SELECT * FROM dispatch_took();
SELECT event_engine.publish_event('dispatch.b', '{}') IS NOT NULL AS published;
SELECT event_engine.process_batch() AS steps;
SELECT * FROM dispatch_took();

-- an event that ends more waits than a unit takes steps
SELECT event_engine.update_subscription(subscriber, options => '{"batch_size": 3}')
	FROM event_engine.subscriptions WHERE kind = 'workflow';
SELECT count(dispatch_start('many ' || g, event_engine.wait_for('dispatch.b'))) FROM generate_series(1, 10) AS g;
SELECT event_engine.process_batch() AS steps;
SELECT event_engine.publish_event('dispatch.b', '{}') IS NOT NULL AS published;
SELECT event_engine.process_batch() AS steps;
SELECT count(*), count(DISTINCT took) FROM dispatch_took() AS took;
SELECT event_engine.process_batch() AS steps;

-- a step that fails harms no other, and is taken again
SELECT count(dispatch_start('step ' || g, event_engine.wait_for('dispatch.a', '$.payload.id == ' || g))) FROM generate_series(1, 4) AS g;
SELECT event_engine.process_batch() AS steps;
SELECT count(event_engine.publish_event('dispatch.a', p::jsonb)) FROM unnest(ARRAY['{"id": 1}',
	'{"id": 2, "fail": true}', '{"id": 3}', '{"id": 4}']) AS p;
SELECT event_engine.process_batch() AS steps;
SELECT * FROM dispatch_took();
SELECT i.correlation_key, s.step_number, s.attempt, s.resumed_by, s.result, s.error_message
	FROM event_engine.workflow_steps AS s JOIN event_engine.workflow_instances AS i ON i.id = s.instance_id
	WHERE i.correlation_key = 'step 2' ORDER BY 2, 3;

-- nor does a condition that raises an error
SELECT dispatch_start('raises', event_engine.wait_for('dispatch.a', '$.payload.id == 7 && $.payload.text.double() > 1')),
	dispatch_start('holds', event_engine.wait_for('dispatch.a', '$.payload.id == 7'));
SELECT event_engine.process_batch() AS steps;
SELECT event_engine.publish_event('dispatch.a', '{"id": 7, "text": "none"}') IS NOT NULL AS published;
SELECT event_engine.process_batch() AS steps;
SELECT * FROM dispatch_took();
SELECT event_engine.publish_event('dispatch.a', '{"id": 7, "text": "2"}') IS NOT NULL AS published;
SELECT event_engine.process_batch() AS steps;
SELECT * FROM dispatch_took();

-- an event of the past resumes once, and counts once in a set
SELECT event_engine.publish_event('dispatch.b', '{"past": true}') IS NOT NULL AS published;
SELECT event_engine.process_batch() AS steps;
SELECT dispatch_start('set', event_engine.wait_for_n(2, ARRAY[
	event_engine.wait_for('dispatch.b', '$.payload.past == true', since => now() - interval '1 h', name => 'one'),
	event_engine.wait_for('dispatch.b', '$.payload.past == true', since => now() - interval '1 h', name => 'two')]));
SELECT event_engine.process_batch() AS steps;
SELECT event_engine.process_batch() AS steps;
SELECT * FROM dispatch_took();
SELECT event_engine.publish_event('dispatch.b', '{"past": true}') IS NOT NULL AS published;
SELECT event_engine.process_batch() AS steps;
SELECT key, kind FROM dispatch_took;

-- nothing is left of all this
SELECT count(*) FROM event_engine.workflow_waits;
SELECT count(*) FROM event_engine.workflow_postponed;
SELECT status, count(*) FROM event_engine.workflow_instances WHERE workflow = 'dispatch' GROUP BY 1;
DELETE FROM event_engine.workflow_steps;
DELETE FROM event_engine.workflow_instances;
DELETE FROM event_engine.workflow_definitions WHERE name = 'dispatch';
DROP FUNCTION dispatch_start, dispatch_step, dispatch_took;
DROP TABLE dispatch_took;
