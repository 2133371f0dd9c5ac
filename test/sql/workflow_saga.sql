-- What steps have done is undone in reverse, each compensation tried again,
-- and one that cannot is left to a person.  Children are waited for, and end
-- with their parent.
SET client_min_messages = warning;
SELECT count(event_engine.register_event_definition(p)) FROM unnest('{trip.changed}'::text[]) AS p;
CREATE TABLE saga_log (n serial, what text);
CREATE TABLE saga_broken (what text);
CREATE FUNCTION saga_undo(argument jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO saga_log (what) VALUES ('undo ' || (argument #>> '{}'));
	IF EXISTS (SELECT FROM saga_broken AS b WHERE b.what = argument #>> '{}') THEN
		RAISE EXCEPTION 'cannot undo %', argument;
	END IF;
END $$;
CREATE FUNCTION saga_step(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'start' THEN
		INSERT INTO saga_log (what) VALUES ('flight');
		PERFORM event_engine.compensate_with(i.id, 'saga_undo', '"flight"');
		RETURN event_engine.continue_with('hotel');
	ELSIF i.step = 'hotel' THEN
		INSERT INTO saga_log (what) VALUES ('hotel');
		PERFORM event_engine.compensate_with(i.id, 'saga_undo', '"hotel"');
		RETURN CASE i.input ->> 'do' WHEN 'wait' THEN event_engine.wait_for('trip.changed', next_step => 'car') ELSE event_engine.continue_with('car') END;
	ELSIF i.input ->> 'do' = 'fail' THEN
		PERFORM event_engine.compensate_with(i.id, 'saga_undo', '"never"');
		RAISE EXCEPTION 'no car';
	ELSIF i.input ->> 'do' = 'give up' THEN
		RETURN event_engine.fail('no car wanted');
	ELSIF i.input ->> 'do' = 'fail itself' THEN
		PERFORM event_engine.fail_workflow(i.id, 'by itself');
		RETURN NULL;
	END IF;
	RETURN event_engine.complete('"booked"');
END $$;
SELECT event_engine.register_workflow('trip', 'saga_step', options => '{"max_attempts": 2, "backoff_ms": 0}') IS NOT NULL AS registered;
CREATE VIEW saga AS SELECT i.status, i.last_error, (SELECT string_agg(format('%s:%s:%s', c.argument, c.status, c.attempts), ' ' ORDER BY c.position)
	FROM event_engine.workflow_compensations AS c WHERE c.instance_id = i.id) AS compensations, i.next_attempt_at IS NOT NULL AS due
FROM event_engine.workflow_instances AS i ORDER BY i.created_at DESC LIMIT 1;

-- all is well: nothing is undone
SELECT event_engine.start_workflow('trip') IS NOT NULL AS started;
CALL event_engine.run_pending(ahead => true);
SELECT * FROM saga;
SELECT string_agg(what, ', ' ORDER BY n) FROM saga_log;
-- a step that fails for good
TRUNCATE saga_log;
SELECT event_engine.start_workflow('trip', '{"do": "fail"}') AS failed \gset
CALL event_engine.run_pending(ahead => true);
SELECT * FROM saga;
SELECT string_agg(what, ', ' ORDER BY n) FROM saga_log;
SELECT step_number AS nr, step, attempt, resumed_by, result, error_message FROM event_engine.workflow_steps WHERE instance_id = :'failed' ORDER BY step_number, attempt;
SELECT event_engine.resume_workflow(:'failed');
-- one that says so, by its answer or by a call
SELECT event_engine.start_workflow('trip', '{"do": "give up"}') IS NOT NULL AS started;
CALL event_engine.run_pending(ahead => true);
SELECT * FROM saga;
SELECT event_engine.start_workflow('trip', '{"do": "fail itself"}') IS NOT NULL AS started;
CALL event_engine.run_pending(ahead => true);
SELECT * FROM saga;
-- cancelled while it waits
SELECT event_engine.start_workflow('trip', '{"do": "wait"}') AS waiting \gset
CALL event_engine.run_pending();
SELECT event_engine.cancel_workflow(:'waiting', 'not now');
SELECT * FROM saga;
SELECT event_engine.cancel_workflow(:'waiting', 'again');
SELECT step_number AS nr, step, result, error_message FROM event_engine.workflow_steps WHERE instance_id = :'waiting' ORDER BY step_number, attempt;
SELECT event_engine.compensate_with(:'waiting', 'saga_undo');
CALL event_engine.run_pending(ahead => true);
SELECT * FROM saga;
-- a compensation that cannot be made is left to a person
INSERT INTO saga_broken VALUES ('hotel');
SELECT event_engine.start_workflow('trip', '{"do": "give up"}') AS stuck \gset
CALL event_engine.run_pending(ahead => true);
SELECT * FROM saga;
CALL event_engine.run_pending(ahead => true);
SELECT status FROM saga;
TRUNCATE saga_broken;
SELECT event_engine.resume_workflow(:'stuck');
CALL event_engine.run_pending(ahead => true);
SELECT * FROM saga;
-- retries are taken ahead of their time, and time passes when it is asked to
SELECT event_engine.update_workflow('trip', '1.0.0', options => '{"backoff_ms": 3600000}');
SELECT event_engine.start_workflow('trip', '{"do": "fail"}') AS failed \gset
CALL event_engine.run_pending();
SELECT status, due FROM saga;
CALL event_engine.run_pending(ahead => true);
SELECT status, due FROM saga;
SELECT event_engine.update_workflow('trip', '1.0.0', options => '{"backoff_ms": 0}');
CREATE FUNCTION saga_patient(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE i.step WHEN 'start' THEN event_engine.wait_for('trip.changed', timeout => '1 day', next_step => 'sleep')
		WHEN 'sleep' THEN event_engine.sleep_for('3 days', next_step => 'end') ELSE event_engine.complete(to_jsonb(r.kind)) END $$;
SELECT event_engine.register_workflow('patient', 'saga_patient') IS NOT NULL AS registered;
SELECT event_engine.start_workflow('patient') AS patient \gset
CALL event_engine.run_pending(ahead => true);
SELECT event_engine.pass_time(:'patient', '1 day');
CALL event_engine.run_pending();
SELECT status, step FROM event_engine.workflow_instances WHERE id = :'patient';
SELECT event_engine.pass_time(:'patient', '2 days');
CALL event_engine.run_pending();
SELECT status, step FROM event_engine.workflow_instances WHERE id = :'patient';
SELECT event_engine.pass_time(:'patient', '1 day');
CALL event_engine.run_pending();
SELECT status, output FROM event_engine.workflow_instances WHERE id = :'patient';
SELECT tree, detail FROM event_engine.trace_events(:'patient', deliveries => false);
SELECT event_engine.pass_time('00000000-0000-7000-8000-000000000000', '1 day');
SELECT event_engine.pass_time(:'patient', NULL);
-- what is refused
SELECT event_engine.compensate_with(:'stuck', 'saga_undo');
SELECT event_engine.start_workflow('trip', '{"do": "wait"}') AS waiting \gset
SELECT event_engine.compensate_with(:'waiting', 'saga_unknown');
SELECT event_engine.compensate_with('00000000-0000-7000-8000-000000000000', 'saga_undo');
CREATE ROLE saga_other;
CALL event_engine.grant_duty('subscriber', 'saga_other');
SET ROLE saga_other;
SELECT event_engine.compensate_with(:'waiting', 'pg_catalog.jsonb_pretty(jsonb)');
SELECT event_engine.pass_time(:'waiting', '1 day');
RESET ROLE;
CALL event_engine.revoke_duty('subscriber', 'saga_other');
DROP ROLE saga_other;
SELECT event_engine.cancel_workflow(:'waiting');
CALL event_engine.run_pending(ahead => true);

-- what is forgotten is forgotten with it
SELECT event_engine.delete_workflows(clock_timestamp(), 'trip') > 0 AS deleted;
SELECT count(*) FROM event_engine.workflow_compensations;

-- children
CREATE FUNCTION family_step(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	children uuid[];
BEGIN
	IF i.step = 'start' THEN
		SELECT array_agg(event_engine.start_child_workflow(i.id, 'child', to_jsonb(c), correlation_key => c::text))
			INTO children FROM generate_series(1, 3) AS c;
		RETURN CASE i.input ->> 'wait' WHEN 'some' THEN event_engine.wait_for_children(children, 2, next_step => 'end')
			ELSE event_engine.wait_for_children(children, next_step => 'end') END;
	END IF;
	RETURN event_engine.complete((SELECT jsonb_object_agg(e.key, (e.value -> 'payload' ->> 'status') || (e.value -> 'payload' ->> 'correlationKey'))
		FROM jsonb_each(r.events) AS e));
END $$;
CREATE FUNCTION child_step(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN i.input = '3' AND r.kind = 'start' THEN event_engine.wait_for('trip.changed') ELSE event_engine.complete() END $$;
SELECT event_engine.register_workflow('family', 'family_step') IS NOT NULL AND event_engine.register_workflow('child', 'child_step') IS NOT NULL AS registered;
SELECT event_engine.start_workflow('family') AS family \gset
CALL event_engine.run_pending();
SELECT i.workflow, i.status, i.correlation_key AS key, i.parent_id = :'family' AS of_family FROM event_engine.workflow_instances AS i WHERE :'family' IN (i.id, i.parent_id) ORDER BY 1 DESC, 3;
SELECT event_engine.publish_event('trip.changed', '{}') IS NOT NULL AS changed;
CALL event_engine.run_pending();
SELECT status, output FROM event_engine.workflow_instances WHERE id = :'family';
SELECT tree, state FROM event_engine.trace_events(:'family', deliveries => false);
-- some of them are enough
SELECT event_engine.start_workflow('family', '{"wait": "some"}') AS family \gset
CALL event_engine.run_pending();
SELECT status, output FROM event_engine.workflow_instances WHERE id = :'family';
-- they end with their parent
SELECT event_engine.start_workflow('family') AS family \gset
CALL event_engine.run_pending();
SELECT event_engine.cancel_workflow(:'family');
SELECT i.workflow, i.status, i.correlation_key AS key, i.last_error FROM event_engine.workflow_instances AS i WHERE :'family' IN (i.id, i.parent_id) ORDER BY 1 DESC, 3;
SELECT event_engine.start_child_workflow(:'family', 'child');

DROP VIEW saga;
DROP TABLE saga_log, saga_broken;
TRUNCATE event_engine.workflow_instances, event_engine.workflow_steps, event_engine.workflow_waits, event_engine.workflow_wait_keys,
	event_engine.workflow_definitions, event_engine.workflow_compensations;
SELECT event_engine.unsubscribe('workflow:' || current_user);
DROP FUNCTION saga_patient, saga_step, saga_undo, family_step, child_step;
DELETE FROM event_engine.event_definitions WHERE pattern ~ '^(trip|workflow)\.';
