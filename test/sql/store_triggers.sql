-- Triggers that others put on the log fire for every way in, as whoever
-- publishes, and may publish themselves.
CREATE ROLE regress_ee_publisher;
CALL event_engine.grant_duty('publisher', 'regress_ee_publisher');
SELECT event_engine.register_event_definition('trigger.cause');
SELECT event_engine.register_event_definition('trigger.effect');

CREATE TABLE store_trigger_log (fired text, pattern text, role name);
GRANT INSERT ON store_trigger_log TO regress_ee_publisher;
CREATE FUNCTION store_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.store_trigger_log
		VALUES (TG_WHEN, NEW.pattern, current_user);
	IF TG_WHEN = 'AFTER' AND NEW.pattern = 'trigger.cause' THEN
		PERFORM event_engine.publish_event('trigger.effect', NEW.payload);
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER a_before BEFORE INSERT ON event_engine.events
	FOR EACH ROW EXECUTE FUNCTION store_trigger();
CREATE TRIGGER z_after AFTER INSERT ON event_engine.events
	FOR EACH ROW EXECUTE FUNCTION store_trigger();

SET ROLE regress_ee_publisher;
SELECT event_engine.publish_event('trigger.cause', '{"n": 1}') IS NOT NULL AS published;
SELECT count(*) FROM event_engine.publish_events('[
	{"pattern": "trigger.cause", "payload": {"n": 2}},
	{"pattern": "trigger.cause", "payload": {"n": 3}}]');
RESET ROLE;
INSERT INTO event_engine.events (pattern, payload) VALUES ('trigger.cause', '{"n": 4}');
SELECT fired, pattern, role = 'regress_ee_publisher' AS as_publisher FROM store_trigger_log;
SELECT pattern, payload FROM event_engine.events WHERE pattern LIKE 'trigger.%' ORDER BY seq;

-- what a trigger adds of its own is received like anything else
CREATE OR REPLACE FUNCTION store_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_WHEN = 'AFTER' AND NEW.pattern = 'trigger.cause' THEN
		INSERT INTO event_engine.events (pattern, payload)
			VALUES ('trigger.unknown', '{}');
	END IF;
	RETURN NEW;
END $$;
SELECT event_engine.publish_event('trigger.cause', '{"n": 5}');

-- what one of several events leads to leaves the others as they are
CREATE OR REPLACE FUNCTION store_trigger() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER AS $$
BEGIN
	IF TG_WHEN = 'BEFORE' AND NEW.pattern = 'trigger.cause' THEN
		PERFORM event_engine.publish_event('trigger.effect', NEW.payload);
	END IF;
	RETURN NEW;
END $$;
SET ROLE regress_ee_publisher;
SELECT count(*) FROM event_engine.publish_events('[
	{"pattern": "trigger.cause", "payload": {"n": 6}},
	{"pattern": "trigger.cause", "payload": {"n": 7}}]');
RESET ROLE;
SELECT payload, pattern, created_by = 'regress_ee_publisher' AS by_publisher,
	source ->> 'id' = 'regress_ee_publisher' AS from_publisher
FROM event_engine.events WHERE payload -> 'n' > '5' AND pattern LIKE 'trigger.%'
ORDER BY payload, pattern;

-- nor can the log be widened
BEGIN;
ALTER TABLE event_engine.events ADD COLUMN note text NOT NULL DEFAULT '';
\set VERBOSITY sqlstate
SELECT event_engine.publish_event('trigger.effect', '{}');
\set VERBOSITY default
ROLLBACK;

DROP TRIGGER a_before ON event_engine.events;
DROP TRIGGER z_after ON event_engine.events;
DROP FUNCTION store_trigger;
DROP TABLE store_trigger_log;
DROP OWNED BY regress_ee_publisher;
DROP ROLE regress_ee_publisher;
