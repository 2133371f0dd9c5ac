-- Workflows of a database under torture.  Each handler writes down, in the
-- transaction of the step, what it was resumed by; clients write down what they
-- started, cancelled and published.
--
--	flow_effect		a step that was taken
--	flow_undone		a compensation that was made
--	flow_started, flow_cancelled	by clients; the latter with the answer
--	flow_order		events that triggers start and cancel workflows by
--	flow_wait		waits registered by clients, with what they could see
--	flow_meet		events for those
--
-- Whoever waits for an event that must come has no time-out: to miss one is to
-- be stuck, and what one event resumes says which event it wanted.
CREATE TABLE torture.flow_effect (instance uuid, number int, workflow text, step text,
	kind text, event uuid, at timestamptz DEFAULT clock_timestamp(),
	tick bigint DEFAULT nextval('torture.tick'));
CREATE INDEX ON torture.flow_effect (instance, number);
CREATE TABLE torture.flow_undone (instance uuid, k int, tick bigint DEFAULT nextval('torture.tick'));
CREATE TABLE torture.flow_started (instance uuid, workflow text, key text);
CREATE TABLE torture.flow_cancelled (instance uuid, answer boolean);
CREATE TABLE torture.flow_order (key text, what text, event uuid, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE torture.flow_wait (wait uuid, instance uuid, key text, seen pg_snapshot, xid xid8, at timestamptz);
CREATE TABLE torture.flow_meet (key text, event uuid);

SELECT event_engine.register_event_definition('flow.' || w)
FROM unnest('{ask,answer,never,order,stop,once,again,meet}'::text[]) w;

CREATE FUNCTION torture.flow_mood(i event_engine.workflow_instance) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	mood float := random();
BEGIN
	IF mood < 0.03 THEN
		RAISE EXCEPTION 'not in the mood';
	ELSIF mood < 0.1 THEN
		-- found at the commit, one time in a hundred
		INSERT INTO torture.at_commit VALUES ('flow', abs(hashtext(i.id::text)), i.steps, false);
	ELSIF mood < 0.105 THEN
		PERFORM pg_sleep(1);
	ELSIF mood < 0.15 THEN
		PERFORM pg_sleep(0.02);
	END IF;
	IF i.input ? 'poison' AND i.step = 'broken' AND NOT EXISTS (SELECT FROM torture.mended) THEN
		RAISE EXCEPTION 'poisoned workflow';
	END IF;
END $$;

CREATE FUNCTION torture.flow_note(i event_engine.workflow_instance, r event_engine.workflow_resumption)
RETURNS void LANGUAGE sql AS $$
	INSERT INTO torture.flow_effect (instance, number, workflow, step, kind, event)
	VALUES (i.id, i.steps + 1, i.workflow, i.step, r.kind, (r.event).id)
$$;

-- an answer to the k-th question is wanted, and to no other
CREATE FUNCTION torture.flow_check(i event_engine.workflow_instance, r event_engine.workflow_resumption)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF r.kind = 'event' AND ((r.event).payload ->> 'id' IS DISTINCT FROM i.id::text
			OR (r.event).payload -> 'k' IS DISTINCT FROM i.state -> 'k') THEN
		RAISE WARNING 'wrong event for % at %: %', i.id, i.state, (r.event).payload;
		RAISE EXCEPTION 'wrong event' USING ERRCODE = 'XX001';
	END IF;
END $$;

CREATE FUNCTION torture.flow_ask(i event_engine.workflow_instance, k int, how text) RETURNS void LANGUAGE sql AS $$
	SELECT event_engine.publish_event('flow.ask', jsonb_build_object('id', i.id, 'k', k, 'how', how))
$$;
CREATE FUNCTION torture.flow_answer(name text, also text DEFAULT '', timeout interval DEFAULT NULL,
	since timestamptz DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
	SELECT event_engine.wait_for('flow.answer',
		'$.payload.id == $workflow.id && $.payload.k == $workflow.state.k' || also,
		name => name, timeout => timeout, since => since)
$$;

-- asks and is answered; one answer, one of several, all, two of three
CREATE FUNCTION torture.ping(i event_engine.workflow_instance, r event_engine.workflow_resumption)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	k int := coalesce((i.state ->> 'k')::int, 0) + 1;
	how text := (ARRAY['one', 'any', 'all', 'two', 'since'])[1 + floor(random() * 5)];
	kept jsonb := jsonb_build_object('k', k, 'how', how);
BEGIN
	PERFORM torture.flow_note(i, r), torture.flow_check(i, r), torture.flow_mood(i);
	IF i.state ->> 'how' = 'all' AND NOT r.events ?& '{a,b}' OR i.state ->> 'how' = 'two'
			AND (SELECT count(*) FROM jsonb_object_keys(r.events)) <> 2 THEN
		RAISE EXCEPTION 'too few events: %', r.events USING ERRCODE = 'XX001';
	END IF;
	IF k > 3 THEN
		RETURN event_engine.complete(to_jsonb(k));
	END IF;
	PERFORM torture.flow_ask(i, k, how);
	RETURN CASE how
		WHEN 'one' THEN torture.flow_answer('a') || jsonb_build_object('state', kept, 'step', 'answered')
		WHEN 'since' THEN torture.flow_answer('a', since => i.created_at) || jsonb_build_object('state', kept, 'step', 'answered')
		WHEN 'any' THEN event_engine.wait_for_any(ARRAY[event_engine.wait_for('flow.never', name => 'n'),
			torture.flow_answer('a')], 'answered', kept)
		WHEN 'all' THEN event_engine.wait_for_all(ARRAY[torture.flow_answer('a', ' && $.payload.j == 1'),
			torture.flow_answer('b', ' && $.payload.j == 2')], 'answered', kept)
		ELSE event_engine.wait_for_n(2, ARRAY[torture.flow_answer('a'), torture.flow_answer('b'),
			event_engine.wait_for('flow.never', name => 'n')], 'answered', kept)
	END;
END $$;

-- answers at once, late, urgently, twice
CREATE FUNCTION torture.take_flow_answerer(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	urgent boolean := random() < 0.1;
BEGIN
	IF random() < 0.03 THEN
		RAISE EXCEPTION 'not in the mood';
	END IF;
	FOR j IN 1 .. CASE WHEN e.payload ->> 'how' IN ('all', 'two') THEN 2 WHEN random() < 0.1 THEN 2 ELSE 1 END LOOP
		PERFORM event_engine.publish_event('flow.answer', jsonb_build_object('id', e.payload -> 'id',
				'k', e.payload -> 'k', 'j', j),
			deliver_at => CASE WHEN random() < 0.15 THEN clock_timestamp() + random() * interval '600 ms' END,
			priority => (CASE WHEN urgent THEN 'critical' WHEN random() < 0.1 THEN 'low' ELSE 'normal' END)::event_engine.event_priority,
			partition_key => CASE WHEN random() < 0.5 THEN e.payload ->> 'id' END);
	END LOOP;
END $$;

-- event against time-out against cancellation: one of them
CREATE FUNCTION torture.race(i event_engine.workflow_instance, r event_engine.workflow_resumption)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	k int := coalesce((i.state ->> 'k')::int, 0) + 1;
BEGIN
	PERFORM torture.flow_note(i, r), torture.flow_check(i, r), torture.flow_mood(i);
	IF k > 4 THEN
		RETURN event_engine.complete(to_jsonb(k));
	END IF;
	PERFORM torture.flow_ask(i, k, 'one');
	RETURN event_engine.wait_for_any(ARRAY[torture.flow_answer('a', timeout => random() * interval '300 ms'),
		event_engine.sleep_for(random() * interval '300 ms', name => 's')], 'raced', jsonb_build_object('k', k));
END $$;

-- in the plain style; it sleeps, goes on at once, and sleeps
CREATE PROCEDURE torture.sleeper(i event_engine.workflow_instance, r event_engine.workflow_resumption)
LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + random() * interval '400 ms';
BEGIN
	PERFORM torture.flow_note(i, r), torture.flow_mood(i);
	IF r.kind = 'sleep' AND clock_timestamp() < (i.state ->> 'until')::timestamptz THEN
		RAISE EXCEPTION 'awake too early' USING ERRCODE = 'XX001';
	ELSIF i.steps >= 3 THEN
		PERFORM event_engine.complete_workflow(i.id);
	ELSE
		PERFORM event_engine.set_workflow_state(i.id, jsonb_build_object('until', until)),
			event_engine.sleep_workflow(i.id, until => until, next_step => 'awake');
	END IF;
END $$;

CREATE FUNCTION torture.flow_undo(argument jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO torture.flow_undone (instance, k) VALUES ((argument ->> 'id')::uuid, (argument ->> 'k')::int);
	IF random() < 0.05 THEN
		RAISE EXCEPTION 'not in the mood to undo';
	ELSIF argument ? 'poison' AND NOT EXISTS (SELECT FROM torture.mended) THEN
		RAISE EXCEPTION 'poisoned compensation';
	END IF;
END $$;

-- does four things, and ends as its input says
CREATE FUNCTION torture.saga(i event_engine.workflow_instance, r event_engine.workflow_resumption)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM torture.flow_note(i, r);
	IF i.steps < 4 THEN
		PERFORM event_engine.compensate_with(i.id, 'torture.flow_undo', jsonb_build_object('id', i.id, 'k', i.steps + 1)
			|| CASE WHEN i.steps = 1 THEN i.input - 'end' ELSE '{}' END);
	END IF;
	PERFORM torture.flow_mood(i);
	IF i.steps >= 4 THEN
		RETURN CASE i.input ->> 'end' WHEN 'complete' THEN event_engine.complete()
			WHEN 'fail' THEN event_engine.fail('as it was told')
			ELSE event_engine.wait_for('flow.never') END;
	END IF;
	RETURN CASE WHEN random() < 0.7 THEN event_engine.continue_with('saga')
		ELSE event_engine.sleep_for(random() * interval '50 ms') END;
END $$;

CREATE FUNCTION torture.family(i event_engine.workflow_instance, r event_engine.workflow_resumption)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	children uuid[];
BEGIN
	PERFORM torture.flow_note(i, r);
	IF i.step = 'start' THEN
		children := ARRAY[event_engine.start_child_workflow(i.id, 'ping' || (i.input ->> 'of')),
			event_engine.start_child_workflow(i.id, 'sleeper' || (i.input ->> 'of')),
			event_engine.start_child_workflow(i.id, 'saga' || (i.input ->> 'of'), '{"end": "fail"}')];
		PERFORM torture.flow_mood(i);
		RETURN event_engine.wait_for_children(children, next_step => 'grown up');
	END IF;
	PERFORM torture.flow_mood(i);
	IF r.events IS NULL OR (SELECT count(*) FROM jsonb_object_keys(r.events)) <> 3 THEN
		RAISE EXCEPTION 'children are missing: %', r.events USING ERRCODE = 'XX001';
	END IF;
	RETURN event_engine.complete(r.events);
END $$;

CREATE FUNCTION torture.breaks(i event_engine.workflow_instance, r event_engine.workflow_resumption)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM torture.flow_note(i, r);
	PERFORM torture.flow_mood(i);
	RETURN CASE i.step WHEN 'start' THEN event_engine.continue_with('broken') ELSE event_engine.complete() END;
END $$;

-- ended by an event only
CREATE FUNCTION torture.called_off(i event_engine.workflow_instance, r event_engine.workflow_resumption)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM torture.flow_note(i, r), torture.flow_mood(i);
	RETURN event_engine.wait_for('flow.never');
END $$;
CREATE FUNCTION torture.nap(i event_engine.workflow_instance, r event_engine.workflow_resumption)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM torture.flow_note(i, r), torture.flow_mood(i);
	RETURN CASE i.step WHEN 'start' THEN event_engine.sleep_for(random() * interval '300 ms', 'end')
		ELSE event_engine.complete() END;
END $$;

-- clerk has a dispatcher with one lane, smith one with several
CREATE FUNCTION torture.flows(of text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	options jsonb := '{"max_attempts": 1000, "backoff_ms": 10, "backoff_factor": 1.3, "backoff_max_ms": 300, "timeout_ms": 700}';
	name text;
BEGIN
	FOREACH name IN ARRAY '{ping,race,sleeper,family,called_off,nap}'::text[] LOOP
		PERFORM event_engine.register_workflow(name || of, 'torture.' || name, options => options);
	END LOOP;
	PERFORM event_engine.register_workflow('once' || of, 'torture.nap', options => options);
	PERFORM event_engine.register_workflow('again' || of, 'torture.nap', options => options);
	PERFORM event_engine.register_workflow('late' || of, 'torture.saga', options => options || '{"instance_timeout": "400 ms"}');
	PERFORM event_engine.register_workflow('saga' || of, 'torture.saga', options => options || '{"max_attempts": 8}');
	PERFORM event_engine.register_workflow('breaks' || of, 'torture.breaks', options => options || '{"max_attempts": 3}');
	PERFORM event_engine.register_workflow('outside' || of);
	PERFORM event_engine.create_workflow_trigger('called_off' || of, 'flow.order', correlation_key => '$.payload.key');
	PERFORM event_engine.create_workflow_trigger('called_off' || of, 'flow.stop', 'CANCEL', correlation_key => '$.payload.key');
	PERFORM event_engine.create_workflow_trigger('once' || of, 'flow.once', correlation_key => '$.payload.key', policy => 'if_none_running');
	PERFORM event_engine.create_workflow_trigger('again' || of, 'flow.again', correlation_key => '$.payload.key', policy => 'restart');
END $$;
GRANT ALL ON ALL TABLES IN SCHEMA torture TO PUBLIC;
SET ROLE clerk;
SELECT torture.flows('_c');
SET ROLE smith;
SELECT torture.flows('_s');
SELECT event_engine.subscribe('flow_answerer', '{flow.ask}', 'torture.take_flow_answerer',
	options => '{"max_attempts": 1000, "backoff_ms": 20, "backoff_factor": 1.5, "backoff_max_ms": 500}');
RESET ROLE;
SELECT event_engine.update_subscription('workflow:smith', options => '{"concurrency": 3}');
