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
