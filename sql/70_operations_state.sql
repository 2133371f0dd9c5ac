/* ------------------------------------------------------------------------
 * Operations.
 * ------------------------------------------------------------------------ */

/* The server's launcher does not see our tables: it is told of them. */
CREATE FUNCTION event_engine.wake_workers() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_wake_workers';
COMMENT ON FUNCTION event_engine.wake_workers() IS
	'Lets the workers look at this database as soon as the transaction commits.';
SELECT event_engine.wake_workers();
