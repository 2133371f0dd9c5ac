-- Steps are taken: what a handler is given, what it answers, what it does
-- itself, and what becomes of one that fails.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT event_engine.register_event_definition('step.go'), event_engine.register_event_definition('step.done');
CREATE VIEW instances AS SELECT workflow, correlation_key AS key, status, step, steps, state, output, wait_needed AS needed, last_error
	FROM event_engine.workflow_instances ORDER BY id;
CREATE VIEW history AS SELECT i.correlation_key AS key, s.step_number AS no, s.attempt AS try, s.step, s.resumed_by, s.wait_name, s.event_seq IS NOT NULL AS event, s.result, s.error_message
	FROM event_engine.workflow_steps AS s JOIN event_engine.workflow_instances AS i ON i.id = s.instance_id ORDER BY i.id, s.step_number, s.started_at;
CREATE FUNCTION start(workflow text, key text, input jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS
	$$ SELECT event_engine.start_workflow(workflow, input, key) $$;
CREATE FUNCTION go(n integer) RETURNS void LANGUAGE sql AS
	$$ SELECT event_engine.publish_event('step.go', jsonb_build_object('n', n)) $$;
-- until nothing more happens
CREATE PROCEDURE work() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		COMMIT;
		EXIT WHEN event_engine.process_batch() = 0;
	END LOOP;
END $$;
CREATE PROCEDURE forget() LANGUAGE sql AS $$
	DELETE FROM event_engine.workflow_instances; DELETE FROM event_engine.workflow_waits; DELETE FROM event_engine.workflow_steps
$$;
-- as if so much time had passed
CREATE PROCEDURE time_passes() LANGUAGE sql AS $$
	UPDATE event_engine.workflow_waits SET timeout_at = timeout_at - interval '30 days' WHERE timeout_at IS NOT NULL;
	UPDATE event_engine.workflow_instances SET next_attempt_at = next_attempt_at - interval '30 days' WHERE next_attempt_at IS NOT NULL;
	UPDATE event_engine.workflow_instances SET deadline_at = deadline_at - interval '30 days' WHERE deadline_at IS NOT NULL
$$;

-- ---- what it is given, and state
CREATE FUNCTION given(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'start' THEN
		RETURN event_engine.wait_for('step.go', '$.payload.n == $workflow.input.n', name => 'mine', next_step => 'second',
			state => jsonb_build_object('first', to_jsonb(i) - 'id' - 'created_at', 'why', to_jsonb(r)));
	END IF;
	RETURN event_engine.complete(jsonb_build_object('payload', (r.event).payload, 'why', to_jsonb(r) - 'event', 'steps', i.steps, 'step', i.step), i.state || '{"last": true}');
END $$;
SELECT event_engine.register_workflow('given', 'given') IS NOT NULL AS registered;
SELECT start('given', 'a', '{"n": 1}'), start('given', 'b', '{"n": 2}'), start('given', 'c', '{"n": "2"}');
CALL work();
SELECT go(2), go(3), go(2);
CALL work();
SELECT key, status, jsonb_pretty(state) AS state, jsonb_pretty(output) AS output FROM instances WHERE key = 'b';
SELECT key, status, steps FROM instances;
SELECT * FROM history;
SELECT go(1);
CALL work();
SELECT key, status, output -> 'payload' AS payload FROM instances;
CALL forget();

-- ---- sets, sleeps and time-outs
CREATE FUNCTION sets(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	waits jsonb[] := ARRAY[event_engine.wait_for('step.go', '$.payload.n == 1', name => 'one'), event_engine.wait_for('step.go', '$.payload.n == 2', name => 'two'),
		event_engine.wait_for('step.go', '$.payload.n == 3', name => 'three'), event_engine.sleep_for('1 day', name => 'too late')];
BEGIN
	IF i.step = 'start' THEN
		RETURN CASE i.input ->> 'of' WHEN 'any' THEN event_engine.wait_for_any(waits, 'then') WHEN 'all' THEN event_engine.wait_for_all(waits, 'then')
			WHEN 'sleep' THEN event_engine.sleep_for('1 day', 'then') WHEN 'timeout' THEN event_engine.wait_for('step.go', '$.payload.n == 77', timeout => '1 day', next_step => 'then')
			ELSE event_engine.wait_for_n(2, waits, 'then') END;
	END IF;
	RETURN event_engine.complete(jsonb_build_object('by', r.kind, 'wait', r.wait, 'n', (r.event).payload -> 'n', 'events',
		(SELECT jsonb_object_agg(e.key, e.value #> '{payload,n}') FROM jsonb_each(r.events) AS e)));
END $$;
SELECT event_engine.register_workflow('sets', 'sets') IS NOT NULL AS registered;
SELECT start('sets', of, jsonb_build_object('of', of)) FROM unnest('{any,all,two,sleep,timeout}'::text[]) AS of;
CALL work();
SELECT key, status, needed FROM instances;
SELECT go(3);
CALL work();
SELECT key, status, needed, output FROM instances;
SELECT go(3), go(1);
CALL work();
SELECT key, status, needed, output FROM instances;
CALL time_passes();
CALL work();
SELECT key, status, needed, output FROM instances;
SELECT count(*) AS waits FROM event_engine.workflow_waits;
CALL forget();

-- ---- on at once, and failing on purpose
CREATE FUNCTION chain(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN i.steps < 3 THEN event_engine.continue_with('step ' || i.steps + 1, jsonb_build_object('steps', i.steps)) ELSE event_engine.fail('that was it', '{"why": 1}', '{}') END
$$;
SELECT event_engine.register_workflow('chain', 'chain') IS NOT NULL AS registered;
SELECT start('chain', 'chain');
CALL work();
SELECT * FROM instances;
SELECT * FROM history;
SELECT event_engine.resume_workflow(id) FROM event_engine.workflow_instances;
CALL work();
SELECT count(*), max(no) AS last FROM history;
CALL forget();

-- ---- errors are tried again, whole, with nothing left of the attempt
CREATE TABLE effects (n integer);
CREATE FUNCTION fails(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.effects VALUES (r.attempt);
	PERFORM event_engine.publish_event('step.done', '{}');
	IF i.step = 'start' THEN
		RETURN event_engine.wait_for('step.go', next_step => 'fail');
	ELSIF r.attempt < (i.input ->> 'until')::integer THEN
		RAISE EXCEPTION USING MESSAGE = 'not yet', DETAIL = 'It is too early.', HINT = 'Wait.', ERRCODE = 'XX123';
	END IF;
	RETURN event_engine.complete(jsonb_build_object('n', (r.event).payload -> 'n', 'wait', r.wait, 'attempt', r.attempt));
END $$;
SELECT event_engine.register_workflow('fails', 'fails', options => '{"max_attempts": 3, "backoff_ms": 3600000}') IS NOT NULL AS registered;
SELECT start('fails', 'third time', '{"until": 3}'), start('fails', 'never', '{"until": 9}');
CALL work();
TRUNCATE effects;
SELECT go(5), go(6);
CALL work();
SELECT key, status, last_error FROM instances;
CALL time_passes();
CALL work();
CALL time_passes();
CALL work();
SELECT key, status, last_error, output FROM instances;
SELECT error_details - 'context' - 'durationMs' AS details, attempts FROM event_engine.workflow_instances WHERE last_error IS NOT NULL;
SELECT * FROM history WHERE step = 'fail';
SELECT * FROM effects;
-- a person mends it
CREATE OR REPLACE FUNCTION fails(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT event_engine.complete(jsonb_build_object('n', (r.event).payload -> 'n', 'wait', r.wait, 'attempt', r.attempt)) $$;
SELECT event_engine.resume_workflow(id) FROM event_engine.workflow_instances WHERE status = 'failed';
CALL work();
SELECT key, status, last_error, output FROM instances;
CALL forget();

-- ---- answers that are none
CREATE FUNCTION says(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS $$ SELECT i.input -> 'says' $$;
SELECT event_engine.register_workflow('says', 'says', options => '{"max_attempts": 1}') IS NOT NULL AS registered;
SELECT start('says', a.answer::text, jsonb_build_object('says', a.answer)) FROM unnest(ARRAY['1', '[]', '{}', '{"do": 1}', '{"do": "dance"}', '{"do": "wait"}',
	'{"do": "wait", "waits": []}', '{"do": "wait", "waits": [1]}', '{"do": "wait", "waits": [{}]}', '{"do": "wait", "waits": [{"pattern": "step.unknown"}]}',
	'{"do": "wait", "waits": [{"pattern": "step.go", "condition": "$.x"}]}', '{"do": "wait", "waits": [{"pattern": "step.go", "until": 1}]}',
	'{"do": "wait", "waits": [{"pattern": "step.go"}, {"pattern": "step.go"}], "needed": 2}', '{"do": "wait", "waits": [{"pattern": "step.go"}], "needed": 2}',
	'{"do": "wait", "waits": [{"pattern": "step.go", "timeoutAt": "soon"}]}',
	'{"do": "complete", "say": "goodbye"}']::jsonb[]) AS a (answer);
SELECT start('says', 'nothing');
CALL work();
SELECT i.key, i.status, i.last_error, w.error_details ->> 'detail' AS detail FROM instances AS i JOIN event_engine.workflow_instances AS w ON w.correlation_key = i.key ORDER BY w.id;
CALL forget();

-- ---- what a handler does itself
CREATE PROCEDURE plain(i event_engine.workflow_instance, r event_engine.workflow_resumption) LANGUAGE plpgsql AS $$
BEGIN
	CASE i.step
		WHEN 'start' THEN
			PERFORM event_engine.set_workflow_state(i.id, '{"n": 1}');
			PERFORM event_engine.register_workflow_wait(i.id, 'step.go', '$.payload.n == $workflow.state.n', next_step => 'go');
			BEGIN
				PERFORM event_engine.set_workflow_state(i.id, '{"n": 2}');
				PERFORM event_engine.complete_workflow(i.id);
				RAISE EXCEPTION 'never mind';
			EXCEPTION WHEN raise_exception THEN NULL;
			END;
		WHEN 'go' THEN
			PERFORM event_engine.sleep_workflow(i.id, '1 hour', next_step => 'end');
		ELSE
			PERFORM event_engine.complete_workflow(i.id, jsonb_build_object('by', r.kind, 'state', i.state));
	END CASE;
END $$;
SELECT event_engine.register_workflow('plain', 'plain') IS NOT NULL AS registered;
CREATE FUNCTION acts(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	CASE i.correlation_key
		WHEN 'cancels itself' THEN
			PERFORM event_engine.cancel_workflow(i.id, 'no more');
			RETURN event_engine.wait_for('step.go');
		WHEN 'completes itself' THEN
			PERFORM event_engine.complete_workflow(i.id, '{"itself": true}');
			RETURN event_engine.complete('{"answered": true}');
		WHEN 'fails itself' THEN
			PERFORM event_engine.fail_workflow(i.id, 'on purpose', '{"d": 1}');
			RETURN NULL;
		WHEN 'waits and waits' THEN
			IF i.step <> 'start' THEN
				RETURN event_engine.complete(jsonb_build_object('wait', r.wait));
			END IF;
			PERFORM event_engine.register_workflow_wait(i.id, 'step.go', '$.payload.n == 8', name => 'registered');
			RETURN event_engine.wait_for('step.go', '$.payload.n == 9', name => 'answered', next_step => 'then');
		WHEN 'starts itself' THEN
			IF i.steps = 0 AND i.input ->> 'depth' < '3' THEN
				PERFORM event_engine.start_workflow(i.workflow, jsonb_build_object('depth', (i.input ->> 'depth')::integer + 1), i.correlation_key);
			END IF;
			RETURN event_engine.complete(i.input);
		WHEN 'drops its handler' THEN
			DROP FUNCTION public.acts(event_engine.workflow_instance, event_engine.workflow_resumption);
			RETURN event_engine.continue_with('never');
		WHEN 'deletes its definition' THEN
			DELETE FROM event_engine.workflow_definitions WHERE name = i.workflow;
			RETURN event_engine.continue_with('never');
		WHEN 'deletes itself' THEN
			DELETE FROM event_engine.workflow_instances WHERE id = i.id;
			RETURN event_engine.complete();
		WHEN 'takes too long' THEN
			PERFORM pg_sleep(60);
		WHEN 'processes' THEN
			PERFORM event_engine.process_batch();
		WHEN 'sets' THEN
			PERFORM set_config('work_mem', '123MB', false);
			RETURN event_engine.complete();
		WHEN 'is large' THEN
			IF i.step = 'start' THEN
				RETURN event_engine.wait_for('step.go', '$.payload.n == 8', next_step => 'then', state => (SELECT to_jsonb(string_agg(md5(g::text), '')) FROM generate_series(1, 330000) AS g));
			END IF;
			RETURN event_engine.complete(to_jsonb(length(i.state #>> '{}')), '{}');
	END CASE;
END $$;
SELECT event_engine.register_workflow('acts', 'acts', options => '{"max_attempts": 1}') IS NOT NULL AS registered;
SELECT event_engine.register_workflow('long', 'acts', options => '{"max_attempts": 1, "timeout_ms": 20}') IS NOT NULL AS registered;
SELECT start('long', 'takes too long');
SELECT start('plain', 'plain'), start('acts', 'is large');
SELECT start('acts', key, '{"depth": 1}') FROM unnest('{cancels itself,completes itself,fails itself,waits and waits,starts itself,processes,sets,deletes itself}'::text[]) AS key;
CALL work();
SHOW work_mem;
SELECT workflow, key, status, step, steps, CASE WHEN key = 'is large' THEN pg_size_pretty(length(state::text)::bigint) ELSE state::text END AS state, output, last_error FROM instances;
SELECT go(8), go(1);
CALL work();
CALL time_passes();
CALL work();
SELECT workflow, key, status, step, steps, state, output FROM instances WHERE key IN ('plain', 'is large', 'waits and waits');
SELECT status, last_error FROM instances WHERE workflow = 'long';
SELECT * FROM history WHERE key <> 'starts itself';
SELECT count(*) AS waits FROM event_engine.workflow_waits;
-- the definition goes in another transaction than the step
SELECT start('acts', 'drops its handler');
CALL work();
SELECT key, status, last_error FROM instances WHERE key LIKE '% its %';
SELECT start('plain', 'deletes its definition');
DELETE FROM event_engine.workflow_definitions WHERE name = 'plain';
CALL work();
SELECT key, status, last_error FROM instances WHERE key LIKE '% its %';
CALL forget();

-- ---- an orchestrator outside, and deadlines
SELECT event_engine.register_workflow('outside', options => '{"instance_timeout": "20 days"}') IS NOT NULL AS registered;
SELECT start('outside', 'told'), start('outside', 'late'), start('given', 'cancelled', '{"n": 1}');
CALL work();
SELECT key, status, steps FROM instances;
SELECT event_engine.register_workflow_wait(id, 'step.go', '$.payload.n == 4', next_step => 'next') IS NOT NULL AS registered
	FROM event_engine.workflow_instances WHERE correlation_key = 'told';
SELECT event_engine.cancel_workflow(id) FROM event_engine.workflow_instances WHERE correlation_key = 'cancelled';
SELECT go(4), go(1);
CALL work();
SELECT key, status, step, steps FROM instances;
SELECT resumption, (resumption_event).payload FROM event_engine.workflow_instances WHERE correlation_key = 'told';
SELECT event_engine.complete_workflow(id) FROM event_engine.workflow_instances WHERE correlation_key = 'told';
CALL time_passes();
CALL work();
SELECT key, status, step, steps FROM instances;
SELECT * FROM history;

CALL forget();
DELETE FROM event_engine.workflow_definitions;
SELECT count(event_engine.unsubscribe(subscriber)) FROM event_engine.subscriptions WHERE kind = 'workflow';
DROP VIEW history, instances;
DROP TABLE effects;
DROP PROCEDURE work, forget, time_passes, plain;
DROP FUNCTION start, go, given, sets, chain, fails, says;
