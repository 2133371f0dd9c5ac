/* ------------------------------------------------------------------------
 * Delivery: what the workers do, callable.
 * ------------------------------------------------------------------------ */

/* Of use to subscribe() and unsubscribe() only. */
CREATE FUNCTION event_engine.start_cursor(number integer, start text)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_start_cursor';
COMMENT ON FUNCTION event_engine.start_cursor(integer, text) IS
	'Internal: gives a subscription its first cursor, at now, beginning or a time.';

CREATE FUNCTION event_engine.lock_subscription(number integer)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_lock_subscription';
COMMENT ON FUNCTION event_engine.lock_subscription(integer) IS
	'Internal: keeps delivery to a subscription out until the transaction ends.';

CREATE FUNCTION event_engine.close_breaker(number integer, id uuid)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_close_breaker';
COMMENT ON FUNCTION event_engine.close_breaker(integer, uuid) IS
	'Internal: closes the circuit breaker of a subscription.';

/*
 * process_batch: deliver in this transaction what is waiting for handlers and
 * bells, as the workers would: for tests, for servers where nothing may be
 * preloaded, for pg_cron.
 *
 *	max_events	stop after so many
 *	subscriber	only to this one; null: to all whose owner's rights the caller
 *				has
 *
 * Result: events delivered.  What fails is retried or becomes a dead letter as
 * usual.  A subscription that a worker is just delivering to is left out.
 */
CREATE FUNCTION event_engine.process_batch(max_events integer DEFAULT 1000,
		subscriber text DEFAULT NULL)
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_process_batch';
COMMENT ON FUNCTION event_engine.process_batch(integer, text) IS
	'Delivers waiting events in this transaction; returns how many.';
