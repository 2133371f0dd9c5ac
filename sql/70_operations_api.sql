/* ------------------------------------------------------------------------
 * Operations: upkeep by hand.
 * ------------------------------------------------------------------------ */

/*
 * run_maintenance: what the router does once a minute: partitions ahead of
 * time, sealing those whose time is over, gathering cursors, forgetting
 * expired identifiers.  Needed by hand (or by pg_cron) only where the library
 * is not preloaded.
 */
CREATE FUNCTION event_engine.run_maintenance() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_run_maintenance';
COMMENT ON FUNCTION event_engine.run_maintenance() IS
	'Does the regular upkeep now: partitions, cursors, expired identifiers.';

/*
 * event_workers: those of start_event_worker().  Each holds a lock on its role,
 * as an executor does (role_lock.c; 1025 is EE_LOCK_MEMBERS), and the setting
 * exists only where the library was preloaded.
 */
CREATE VIEW event_engine.event_workers AS
	SELECT l.pid, l.objid AS roleid
	FROM pg_catalog.pg_locks AS l
	WHERE l.locktype = 'object' AND l.granted
		AND l.classid = 'event_engine.subscriptions'::regclass
		AND l.objsubid = 1025
		AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
			WHERE d.datname = pg_catalog.current_database())
		AND pg_catalog.current_setting('event_engine.worker_slots', true) IS NULL;
COMMENT ON VIEW event_engine.event_workers IS
	'The workers of this database that start_event_worker() has started, where the library is not preloaded.';

CREATE FUNCTION event_engine.launch_event_worker(role oid,
		poll_interval interval) RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_launch_event_worker';
COMMENT ON FUNCTION event_engine.launch_event_worker(oid, interval) IS
	'Does the work of start_event_worker().';

/*
 * start_event_worker: a worker for the subscriptions and workflows of a role,
 * where the library cannot be preloaded.  It delivers, and does the upkeep,
 * until the server is restarted or stop_event_worker() is called.
 *
 *	role			whose subscriptions; the caller needs its privileges
 *	poll_interval	how often it looks for news: 10 ms to 1 hour
 *
 * Result: its process id; that of the one there is, if there is one already;
 * null where the library is preloaded, as workers start by themselves there.
 */
CREATE FUNCTION event_engine.start_event_worker(
		role regrole DEFAULT CURRENT_USER::regrole,
		poll_interval interval DEFAULT '100 ms')
	RETURNS integer
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	worker integer := (SELECT w.pid FROM event_engine.event_workers AS w
		WHERE w.roleid = role);
	patience timestamptz := clock_timestamp() + '10 seconds'::interval;
BEGIN
	IF worker IS NOT NULL THEN
		RETURN worker;
	END IF;
	IF NOT event_engine.launch_event_worker(role, poll_interval) THEN
		RAISE NOTICE 'event_engine is preloaded: its workers start by themselves';
		RETURN NULL;
	END IF;
	LOOP
		worker := (SELECT w.pid FROM event_engine.event_workers AS w
			WHERE w.roleid = role);
		IF worker IS NOT NULL THEN
			RETURN worker;
		END IF;
		IF clock_timestamp() > patience THEN
			RAISE object_not_in_prerequisite_state
				USING MESSAGE = format('the worker for role "%s" has not come up', role),
				HINT = 'The server''s log says why: the role must be allowed to log in before PostgreSQL 17, and the extension to be committed.';
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;
COMMENT ON FUNCTION event_engine.start_event_worker(regrole, interval) IS
	'Starts a worker for the subscriptions of a role where the library is not preloaded; returns its process id.';

/* stop_event_worker: true when there was one. */
CREATE FUNCTION event_engine.stop_event_worker(
		role regrole DEFAULT CURRENT_USER::regrole) RETURNS boolean
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp AS $$
SELECT COALESCE((SELECT pg_terminate_backend(w.pid)
	FROM event_engine.event_workers AS w WHERE w.roleid = role), false)
$$;
COMMENT ON FUNCTION event_engine.stop_event_worker(regrole) IS
	'Ends the worker that start_event_worker() has started; false when there is none.';
