-- Steps of workflows are given sensitive data as their owner may see it.
\set SHOW_CONTEXT never
CREATE FUNCTION masked(payload jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$ SELECT regexp_replace(payload::text, 'sealed:1:[A-Za-z0-9+/]{75,}', 'SEALED', 'g') $$;
SELECT event_engine.register_event_definition('flow.secret',
	options => '{"sensitive": ["$.payload.v"], "sensitive_subject": "$.payload.s"}');
CREATE ROLE test_secret_flow LOGIN;
GRANT CREATE ON SCHEMA public TO test_secret_flow;
CALL event_engine.grant_duty('subscriber', 'test_secret_flow');
CREATE TABLE flow_given (how text, payload jsonb);
GRANT ALL ON flow_given TO test_secret_flow;
SET ROLE test_secret_flow;
CREATE FUNCTION secret_flow(i event_engine.workflow_instance, r event_engine.workflow_resumption)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'start' THEN
		RETURN event_engine.wait_for_all(ARRAY[
			event_engine.wait_for('flow.secret', '$.payload.s == "flow 1"', name => 'one'),
			event_engine.wait_for('flow.secret', '$.payload.s == "flow 2"', name => 'two')], 'over');
	END IF;
	INSERT INTO public.flow_given VALUES ('flow', (r.event).payload),
		('flow one', r.events -> 'one' -> 'payload'), ('flow two', r.events -> 'two' -> 'payload');
	RETURN event_engine.complete();
END
$$;
SELECT event_engine.register_workflow('secret_flow', 'public.secret_flow') IS NOT NULL;
RESET ROLE;
SET ROLE test_secret_flow;
SELECT event_engine.start_workflow('secret_flow', '{}') IS NOT NULL;
RESET ROLE;
SELECT event_engine.process_batch() > 0;
SELECT count(event_engine.publish_event('flow.secret', jsonb_build_object('s', 'flow ' || n, 'v', n)))
	FROM generate_series(1, 2) AS n;
SELECT event_engine.process_batch() > 0;
SELECT how, masked(payload) FROM flow_given ORDER BY how;
TRUNCATE flow_given;
CALL event_engine.grant_duty('unsealer', 'test_secret_flow');
SET ROLE test_secret_flow;
SELECT event_engine.start_workflow('secret_flow', '{}') IS NOT NULL;
RESET ROLE;
SELECT event_engine.process_batch() > 0;
SELECT count(event_engine.publish_event('flow.secret', jsonb_build_object('s', 'flow ' || n, 'v', n)))
	FROM generate_series(1, 2) AS n;
SELECT event_engine.process_batch() > 0;
SELECT how, masked(payload) FROM flow_given ORDER BY how;
-- Kept as stored, whoever may see it.
SELECT count(*) FILTER (WHERE payload ->> 'v' ^@ 'sealed:'), count(*) FROM event_engine.events WHERE pattern = 'flow.secret';
DELETE FROM event_engine.workflow_steps;
DELETE FROM event_engine.workflow_instances;
DROP FUNCTION masked;
DROP OWNED BY test_secret_flow CASCADE;
DROP TABLE flow_given;
