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

CREATE FUNCTION event_engine.begin_epoch(number integer, epoch integer)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_begin_epoch';
COMMENT ON FUNCTION event_engine.begin_epoch(integer, integer) IS
	'Internal: events from here on are assigned to lanes by another rule.';

/* The running one is over: its totals go on, its cursors do not. */
CREATE FUNCTION event_engine.begin_next_epoch(number integer)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp AS $$
	UPDATE event_engine.subscription_cursors AS o
		SET delivered = o.delivered + t.delivered, failed = o.failed + t.failed,
			dead = o.dead + t.dead, moved_at = t.moved_at
		FROM event_engine.subscriptions AS s,
			LATERAL (SELECT sum(l.delivered)::bigint AS delivered,
				sum(l.failed)::bigint AS failed, sum(l.dead)::bigint AS dead,
				max(l.moved_at) AS moved_at
			FROM (SELECT DISTINCT ON (m.lane) m.* FROM (
					SELECT a.lane, a.move, a.delivered, a.failed, a.dead, a.moved_at
					FROM event_engine.subscription_cursor_moves AS a
					WHERE a.subscription_number = s.number
						AND a.lane / 1024 = s.epoch
					UNION ALL
					SELECT g.lane, g.move, g.delivered, g.failed, g.dead, g.moved_at
					FROM event_engine.subscription_cursors AS g
					WHERE g.subscription_number = s.number
						AND g.lane / 1024 = s.epoch) AS m
				ORDER BY m.lane, m.move DESC) AS l) AS t
		WHERE s.number = begin_next_epoch.number
			AND o.subscription_number = s.number
			AND o.lane = (s.epoch + 1) * 1024 + 1023;
	DELETE FROM event_engine.subscription_cursor_moves AS a
		USING event_engine.subscriptions AS s
		WHERE s.number = begin_next_epoch.number
			AND a.subscription_number = s.number AND a.lane / 1024 = s.epoch;
	DELETE FROM event_engine.subscription_cursors AS g
		USING event_engine.subscriptions AS s
		WHERE s.number = begin_next_epoch.number
			AND g.subscription_number = s.number AND g.lane / 1024 = s.epoch;
	UPDATE event_engine.subscriptions AS s
		SET epoch = s.epoch + 1, epochs = s.epochs - 0
		WHERE s.number = begin_next_epoch.number;
$$;
COMMENT ON FUNCTION event_engine.begin_next_epoch(integer) IS
	'Internal: all lanes of the running epoch have come to its end.';

CREATE FUNCTION event_engine.lock_subscription(number integer)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_lock_subscription';
COMMENT ON FUNCTION event_engine.lock_subscription(integer) IS
	'Internal: keeps delivery to a subscription out until the transaction ends.';

/*
 * drain_subscription: wait until all that was published before the call has
 * been settled, while delivery goes on, then pause the subscription.
 *
 *	timeout		how long to wait; then VE408 is raised, and nothing paused
 *
 * Not within a transaction block: it commits between its looks.
 */
CREATE PROCEDURE event_engine.drain_subscription(subscriber text,
		timeout interval DEFAULT '1 minute')
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_drain_subscription';
COMMENT ON PROCEDURE event_engine.drain_subscription(text, interval) IS
	'Waits until all that was published so far is settled, then pauses the subscription.';

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
