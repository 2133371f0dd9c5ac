-- What somebody has in the search path is never run with the rights of the
-- owner of the log.
CREATE ROLE regress_ee_mallory;
CALL event_engine.grant_duty('operator', 'regress_ee_mallory');
CREATE SCHEMA evil AUTHORIZATION regress_ee_mallory;
SET ROLE regress_ee_mallory;
CREATE FUNCTION evil.step(timestamptz, timestamptz) RETURNS timestamptz
LANGUAGE sql AS 'SELECT $2';
CREATE FUNCTION evil.final(timestamptz) RETURNS timestamptz
LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'run as %', current_user;
	RETURN NULL;
END $$;
CREATE AGGREGATE evil.max(timestamptz) (sfunc = evil.step,
	stype = timestamptz, finalfunc = evil.final);
RESET ROLE;

-- without partitions the upkeep makes them
BEGIN;
DO $$
DECLARE
	partition regclass;
BEGIN
	FOR partition IN SELECT inhrelid::regclass FROM pg_inherits
		WHERE inhparent = 'event_engine.events'::regclass
			AND inhrelid <> 'event_engine.events_default'::regclass
	LOOP
		EXECUTE format('DROP TABLE %s', partition);
	END LOOP;
	DELETE FROM event_engine.event_partitions;
END $$;
SET LOCAL ROLE regress_ee_mallory;
SET LOCAL search_path = evil, pg_catalog;
SELECT event_engine.run_maintenance();
RESET ROLE;
SELECT count(*) > 0 AS made FROM event_engine.event_partitions;
ROLLBACK;

DROP SCHEMA evil CASCADE;
DROP OWNED BY regress_ee_mallory;
DROP ROLE regress_ee_mallory;
