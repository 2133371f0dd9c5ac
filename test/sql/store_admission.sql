-- How many events a role may publish.  (The queue's depth needs the router:
-- see test/t/016_store_backpressure.pl.)
\set VERBOSITY verbose
SET client_min_messages = warning;
SELECT event_engine.register_event_definition('admission.test');
SELECT event_engine.register_event_definition('admission.caused');
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'fine';
EXCEPTION WHEN SQLSTATE 'VE207' THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(': ', SQLSTATE, SQLERRM, regexp_replace(hint, '\d+', 'some'));
END $$;
CREATE TABLE events_wanted AS SELECT jsonb_agg(jsonb_build_object('pattern', 'admission.test', 'payload', '{}'::jsonb)) AS ten
	FROM generate_series(1, 10);

-- Three at once, then one in 100 s
CREATE ROLE regress_admission;
SET event_engine.store_publish_rate_limit = 0.01;
SET event_engine.store_publish_rate_burst = 3;
SELECT replace(outcome($$SELECT event_engine.publish_event('admission.test', '{}')$$), session_user, 'me') FROM generate_series(1, 3);
SELECT replace(outcome($$SELECT event_engine.publish_event('admission.test', '{}')$$), session_user, 'me');
-- whatever way it takes, and whoever it acts as
SELECT replace(outcome($$INSERT INTO event_engine.events (pattern, payload) VALUES ('admission.test', '{}')$$), session_user, 'me');
SELECT replace(outcome($$SELECT event_engine.publish_events(ten) FROM events_wanted$$), session_user, 'me');
-- an event that is not valid is told so
\set VERBOSITY terse
SELECT event_engine.publish_event('admission.test', '{}', source => '{"type": 1}');
SELECT count(*) FROM event_engine.events WHERE pattern = 'admission.test';

-- A call is let through whole where one event would be, and what follows waits for its debt
SET event_engine.store_publish_rate_limit = 1000;
SET event_engine.store_publish_rate_action = delay;
SELECT event_engine.publish_event('admission.test', '{}') IS NOT NULL FROM generate_series(1, 3);
SET event_engine.store_publish_rate_limit = 100;
SET event_engine.store_publish_rate_burst = 1;
CREATE TABLE clock AS SELECT clock_timestamp() AS began;
SELECT count(*) FROM events_wanted, event_engine.publish_events(ten);
SELECT event_engine.publish_event('admission.test', '{}') IS NOT NULL;
SELECT clock_timestamp() - began >= '95 milliseconds' AS waited FROM clock;
-- who waits can be cancelled
SET event_engine.store_publish_rate_limit = 0.001;
SET statement_timeout = '300ms';
SELECT event_engine.publish_event('admission.test', '{}') IS NOT NULL FROM generate_series(1, 2);
RESET statement_timeout;

-- What handlers publish is not counted
SET event_engine.store_publish_rate_action = refuse;
CREATE FUNCTION cause(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ SELECT event_engine.publish_event('admission.caused', '{}') $$;
SELECT event_engine.subscribe('cause', '{admission.test}', 'cause', options => '{"start": "beginning"}') IS NOT NULL;
SELECT event_engine.process_batch() > 3;
SELECT count(*) > 3 FROM event_engine.events WHERE pattern = 'admission.caused';

-- Only who may set it
SET SESSION AUTHORIZATION regress_admission;
SET event_engine.store_publish_rate_limit = 0;
SET event_engine.store_backpressure = off;
RESET SESSION AUTHORIZATION;
SELECT * FROM event_engine.queue_pressure();

SELECT event_engine.unsubscribe('cause');
DROP FUNCTION cause, outcome;
DROP TABLE events_wanted, clock;
DROP ROLE regress_admission;
