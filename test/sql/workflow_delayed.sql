-- Events with a deliver_at come to pass for workflows when they are due.
SET client_min_messages = warning;
SELECT count(event_engine.register_event_definition(p)) FROM unnest('{delayed.a,delayed.b}'::text[]) AS p;
CREATE TABLE delayed_took (n serial, key text, kind text, payload jsonb);
CREATE FUNCTION delayed_step(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'start' THEN
		RETURN i.input -> 'answer';
	END IF;
	IF (r.event).payload ? 'fail' AND i.correlation_key = 'fails' AND r.attempt < 2 THEN
		RAISE 'the step fails';
	END IF;
	INSERT INTO public.delayed_took (key, kind, payload)
		VALUES (i.correlation_key, r.kind, (r.event).payload);
	IF i.input ? 'then' THEN
		RETURN event_engine.wait_for('delayed.a', name => 'again');
	END IF;
	RETURN event_engine.complete();
END $$;
SELECT event_engine.register_workflow('delayed', 'delayed_step', options => '{"backoff_ms": 0}') IS NOT NULL AS ok;
CREATE FUNCTION delayed_start(key text, answer jsonb, more jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
	SELECT event_engine.start_workflow('delayed', more || jsonb_build_object('answer', answer || '{"step": "resumed"}'), key) $$;
CREATE FUNCTION delayed_publish(pattern text, payload jsonb, after interval DEFAULT '1 h') RETURNS boolean LANGUAGE sql AS $$
	SELECT event_engine.publish_event(pattern, payload, deliver_at => clock_timestamp() + after) IS NOT NULL $$;
CREATE FUNCTION delayed_took() RETURNS SETOF text LANGUAGE sql AS $$
	WITH t AS (DELETE FROM delayed_took RETURNING *)
	SELECT concat_ws(' ', key, kind, payload) FROM t ORDER BY key, n $$;
CREATE VIEW delayed_rows AS SELECT d.status, (d.event).payload FROM event_engine.deliveries AS d
	JOIN event_engine.subscriptions AS s ON s.number = d.subscription_number AND s.kind = 'workflow' ORDER BY d.seq;

-- not before it is due; then for whoever waits, since before it or after it was published
SELECT delayed_start('before', event_engine.wait_for('delayed.a', '$.payload.id == 1'));
SELECT event_engine.process_batch() AS steps;
SELECT delayed_publish('delayed.a', '{"id": 1}');
SELECT event_engine.process_batch() AS steps;
SELECT delayed_start('after', event_engine.wait_for('delayed.a', '$.payload.id == 1'), '{"then": true}'),
	delayed_start('other', event_engine.wait_for('delayed.a', '$.payload.id == 2')),
	delayed_start('past', event_engine.wait_for('delayed.a', '$.payload.id == 1', since => now() - interval '1 h')),
	delayed_start('set', event_engine.wait_for_all(ARRAY[event_engine.wait_for('delayed.a', '$.payload.id == 1', name => 'one'),
		event_engine.wait_for('delayed.a', '$.payload.id == 1', name => 'two')]));
SELECT event_engine.process_batch() AS steps;
SELECT event_engine.process_batch() AS steps;
SELECT * FROM delayed_took();
SELECT * FROM delayed_rows;
SELECT event_engine.make_due();
SELECT event_engine.process_batch() AS steps;
SELECT * FROM delayed_took();
SELECT * FROM delayed_rows;
-- once: who waits again, or for more of them, is not given it again
SELECT event_engine.process_batch() AS steps;
SELECT correlation_key, status, (SELECT count(*) FROM event_engine.workflow_waits AS w WHERE w.instance_id = i.id) AS waits
	FROM event_engine.workflow_instances AS i WHERE finished_at IS NULL ORDER BY 1;
SELECT count(event_engine.cancel_workflow(id)) FROM event_engine.workflow_instances WHERE finished_at IS NULL;

-- by the clock itself; who waits only after it was due waits for another
SELECT delayed_start('clock', event_engine.wait_for('delayed.a', '$.payload.id == 3'));
SELECT event_engine.process_batch() AS steps;
SELECT delayed_publish('delayed.a', '{"id": 3}', '1 s');
SELECT event_engine.process_batch() AS steps;
CREATE PROCEDURE delayed_wait() LANGUAGE plpgsql AS $$
BEGIN
	WHILE EXISTS (SELECT FROM event_engine.deliveries WHERE next_attempt_at > clock_timestamp()) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
CALL delayed_wait();
SELECT delayed_start('late', event_engine.wait_for('delayed.a', '$.payload.id == 3'));
SELECT event_engine.process_batch() AS steps;
SELECT event_engine.process_batch() AS steps;
SELECT * FROM delayed_took();
SELECT * FROM delayed_rows;
SELECT correlation_key FROM event_engine.workflow_instances WHERE finished_at IS NULL;
SELECT count(event_engine.cancel_workflow(id)) FROM event_engine.workflow_instances WHERE finished_at IS NULL;

-- nobody waits for it: only its row goes
SELECT delayed_publish('delayed.a', '{"id": 4}');
SELECT event_engine.process_batch() AS steps;
SELECT * FROM delayed_rows;
SELECT event_engine.make_due();
SELECT event_engine.process_batch() AS steps;
SELECT * FROM delayed_rows;

-- more waits than a round takes steps
SELECT event_engine.update_subscription(subscriber, options => '{"batch_size": 3}')
	FROM event_engine.subscriptions WHERE kind = 'workflow';
SELECT count(delayed_start('many ' || g, event_engine.wait_for('delayed.b'))) FROM generate_series(1, 10) AS g;
SELECT event_engine.process_batch() AS steps;
SELECT delayed_publish('delayed.b', '{}');
SELECT event_engine.process_batch() AS steps;
SELECT event_engine.make_due();
SELECT event_engine.process_batch(4) AS steps;
SELECT * FROM delayed_rows;
SELECT event_engine.process_batch() AS steps;
SELECT count(*), count(DISTINCT took) FROM delayed_took() AS took;
SELECT * FROM delayed_rows;

-- a step that fails harms no other, and is taken again; nor does a condition
-- that raises an error
SELECT delayed_start('fails', event_engine.wait_for('delayed.a', '$.payload.id == 5')),
	delayed_start('holds', event_engine.wait_for('delayed.a', '$.payload.id == 5')),
	delayed_start('raises', event_engine.wait_for('delayed.a', '$.payload.id == 5 && $.payload.text.double() > 1'));
CALL event_engine.run_pending();
SELECT delayed_publish('delayed.a', '{"id": 5, "fail": true, "text": "none"}');
SELECT event_engine.process_batch() AS steps;
SELECT event_engine.make_due();
CALL event_engine.run_pending();
SELECT * FROM delayed_took();
SELECT s.attempt, s.resumed_by, s.result, s.error_message
	FROM event_engine.workflow_steps AS s JOIN event_engine.workflow_instances AS i ON i.id = s.instance_id
	WHERE i.correlation_key = 'fails' ORDER BY s.step_number, s.attempt;
SELECT * FROM delayed_rows;

-- triggers: it starts a workflow once, and cancels those that run when it is due
SELECT event_engine.create_workflow_trigger('delayed', 'delayed.a', correlation_key => '$.payload.key',
	event_condition => '$.payload.start == true') AS start,
	event_engine.create_workflow_trigger('delayed', 'delayed.a', 'CANCEL', correlation_key => '$.payload.key',
	event_condition => '$.payload.stop == true') AS cancel \gset
SELECT delayed_start('cancelled', event_engine.wait_for('delayed.b'));
SELECT delayed_publish('delayed.a', '{"key": "started", "start": true}'),
	delayed_publish('delayed.a', '{"key": "cancelled", "stop": true}');
CALL event_engine.run_pending();
CREATE VIEW delayed_instances AS SELECT correlation_key, status FROM event_engine.workflow_instances
	WHERE correlation_key IN ('started', 'cancelled') ORDER BY 1;
SELECT * FROM delayed_instances;
SELECT event_engine.make_due();
CALL event_engine.run_pending();
SELECT * FROM delayed_instances;
SELECT * FROM delayed_rows;

SELECT event_engine.drop_workflow_trigger(t) FROM unnest(ARRAY[:'start', :'cancel']::uuid[]) AS t;
DROP VIEW delayed_instances, delayed_rows;
TRUNCATE event_engine.workflow_instances, event_engine.workflow_steps, event_engine.workflow_waits, event_engine.workflow_wait_keys,
	event_engine.workflow_definitions, event_engine.workflow_trigger_failures;
SELECT event_engine.unsubscribe('workflow:' || current_user);
DROP FUNCTION delayed_start, delayed_publish, delayed_step, delayed_took;
DROP PROCEDURE delayed_wait;
DROP TABLE delayed_took;
DELETE FROM event_engine.event_definitions WHERE pattern ~ '^(delayed|workflow)\.';
