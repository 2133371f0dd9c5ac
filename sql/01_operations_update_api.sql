/* ------------------------------------------------------------------------
 * Operations: what an update of the extension needs before anything else.
 * ------------------------------------------------------------------------ */

/*
 * announce_update: once the update is committed every session looks up again
 * what it knows of the extension, and workers that wait for it go on.
 */
CREATE FUNCTION event_engine.announce_update() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_announce_update';
COMMENT ON FUNCTION event_engine.announce_update() IS
	'Internal: tells every session that the extension is updated.';

/*
 * lock_for_update: lock tables that are to be altered, all or none.
 *
 * Publishers and clients wait for at most half a second at a time, and none of
 * them can be the victim of a deadlock: what has been locked is released before
 * anybody looks for one.
 *
 *	tables		names in schema event_engine
 *	readable	more, which others go on reading; locked first
 *	patience	then it gives up
 */
CREATE FUNCTION event_engine.lock_for_update(tables text[],
		readable text[] DEFAULT '{}',
		patience interval DEFAULT '1 minute')
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	-- its own settings of it end with it
	SET search_path = pg_catalog, pg_temp SET lock_timeout = 0 AS $$
DECLARE
	until CONSTANT timestamptz := clock_timestamp() + patience;
	name text;
	first boolean;
BEGIN
	LOOP
		BEGIN
			first := true;
			FOREACH name IN ARRAY readable || tables LOOP
				PERFORM set_config('lock_timeout',
					CASE WHEN first THEN '300ms' ELSE '30ms' END, true);
				EXECUTE format('LOCK TABLE ONLY event_engine.%I IN %s MODE',
					name, CASE WHEN name = ANY (readable)
						THEN 'SHARE ROW EXCLUSIVE' ELSE 'ACCESS EXCLUSIVE' END);
				first := false;
			END LOOP;
			RETURN;
		EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
			IF clock_timestamp() > until THEN
				RAISE EXCEPTION USING ERRCODE = 'lock_not_available',
					MESSAGE = format('could not lock table event_engine.%I', name),
					DETAIL = format('Transactions that use it have been there for %s.', patience),
					HINT = 'SELECT event_engine.doctor() names those that are open for long; end them, and try again.';
			END IF;
		END;
		/* let through those that have queued up */
		PERFORM pg_sleep(0.05 + random() * 0.1);
	END LOOP;
END
$$;
COMMENT ON FUNCTION event_engine.lock_for_update(text[], text[], interval) IS
	'Internal: locks tables that an update alters, without being in the way for long.';

/*
 * grant_duty_again: what a duty needs since the update, to a role that had it
 * before, for some events or for all.  These are the user's grants and not the extension's, so a dump
 * takes them along.
 */
CREATE FUNCTION event_engine.grant_duty_again(duty text, role regrole)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_grant_duty_again';
COMMENT ON FUNCTION event_engine.grant_duty_again(text, regrole) IS
	'Internal: gives a role what a duty that it has needs since an update.';
