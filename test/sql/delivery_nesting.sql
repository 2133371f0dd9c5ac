-- An error that process_batch() cannot deal with leaves the transaction at the
-- level that it had: in a block with an exception handler, and alone.
SELECT event_engine.register_event_definition('nesting.tried');
CREATE FUNCTION nesting_fails(e jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'this handler fails';
END $$;
CREATE FUNCTION nesting_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'no dead letters today';
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON event_engine.event_dead_letters
	FOR EACH ROW EXECUTE FUNCTION nesting_refuses();
SELECT event_engine.subscribe('nesting', '{nesting.tried}', 'nesting_fails',
	options => '{"max_attempts": 1}') IS NOT NULL AS subscribed;
SELECT event_engine.publish_event('nesting.tried', '{}') IS NOT NULL AS published;

CREATE TABLE nesting_log (line text);
DO $$
BEGIN
	INSERT INTO nesting_log VALUES ('before');
	BEGIN
		INSERT INTO nesting_log VALUES ('inside');
		PERFORM event_engine.process_batch();
	EXCEPTION WHEN raise_exception THEN
		INSERT INTO nesting_log VALUES (SQLERRM);
	END;
	INSERT INTO nesting_log VALUES ('after');
END $$;
SELECT * FROM nesting_log;

SELECT event_engine.process_batch();
SELECT 'still here' AS session;

BEGIN READ ONLY;
SELECT event_engine.process_batch();
ROLLBACK;

DROP TRIGGER refuse ON event_engine.event_dead_letters;
SELECT event_engine.process_batch();
SELECT error_message FROM event_engine.event_dead_letters WHERE subscriber = 'nesting';
DELETE FROM event_engine.event_dead_letters WHERE subscriber = 'nesting';
SELECT event_engine.unsubscribe('nesting');
DROP TABLE nesting_log;
DROP FUNCTION nesting_fails, nesting_refuses;
