/* ------------------------------------------------------------------------
 * Routing: pause, resume, unsubscribe.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.pause_subscription_as(caller oid,
		subscriber text, reason text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old event_engine.subscriptions;
BEGIN
	old := event_engine.own_idle_subscription(caller, subscriber);
	UPDATE event_engine.subscriptions AS s
		SET status = 'paused', status_reason = reason,
			updated_at = clock_timestamp()
		WHERE s.number = old.number
			AND (s.status, s.status_reason)
				IS DISTINCT FROM ('paused', reason);
END
$$;
COMMENT ON FUNCTION event_engine.pause_subscription_as(oid, text, text) IS
	'Does the work of pause_subscription() for the given role.';

CREATE FUNCTION event_engine.pause_subscription(subscriber text,
		reason text DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.pause_subscription(text, text) IS
	'Stops delivery to a subscription; its events wait in the log.';

CREATE FUNCTION event_engine.resume_subscription_as(caller oid,
		subscriber text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old event_engine.subscriptions;
BEGIN
	old := event_engine.own_subscription(caller, subscriber);
	IF old.kind = 'handler' THEN
		IF to_regprocedure(old.handler) IS NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'VE401',
				MESSAGE = format('handler %s does not exist', old.handler),
				HINT = 'Create the function, or name another with event_engine.update_subscription().';
		END IF;
		PERFORM event_engine.check_handler(old.owner,
			old.handler::regprocedure);
	END IF;
	PERFORM event_engine.close_breaker(old.number, old.id);
	UPDATE event_engine.subscriptions AS s
		SET status = 'active', status_reason = NULL,
			updated_at = clock_timestamp()
		WHERE s.number = old.number AND s.status <> 'active';
END
$$;
COMMENT ON FUNCTION event_engine.resume_subscription_as(oid, text) IS
	'Does the work of resume_subscription() for the given role.';

CREATE FUNCTION event_engine.resume_subscription(subscriber text)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.resume_subscription(text) IS
	'Delivers to a paused or broken subscription again, from where it stands, and closes its circuit breaker.';

/*
 * The lock is taken before the row: a batch that runs holds the lock, and
 * may want the row.
 */
CREATE FUNCTION event_engine.unsubscribe_as(caller oid, subscriber text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted integer;
	old event_engine.subscriptions;
BEGIN
	SELECT s.number INTO wanted FROM event_engine.subscriptions AS s
		WHERE s.subscriber = unsubscribe_as.subscriber
			AND pg_has_role(caller, s.owner::oid, 'USAGE');
	IF FOUND THEN
		PERFORM event_engine.lock_subscription(wanted);
	END IF;
	old := event_engine.own_subscription(caller, subscriber);
	IF old.kind = 'workflow' THEN
		PERFORM event_engine.check_dispatcher_unused(old.number, subscriber);
	END IF;

	DELETE FROM event_engine.subscriptions AS s WHERE s.number = old.number;
	DELETE FROM event_engine.event_leases AS l
		WHERE l.subscription_number = old.number;
	UPDATE event_engine.event_replays AS r
		SET status = 'cancelled', finished_at = clock_timestamp()
		WHERE r.subscription_number = old.number AND r.status = 'running';
	DELETE FROM event_engine.deliveries AS d
		WHERE d.subscription_number = old.number;
	DELETE FROM event_engine.delivery_keys AS k
		WHERE k.subscription_number = old.number;
	DELETE FROM event_engine.delivery_counts AS t
		WHERE t.subscription_number = old.number;
	DELETE FROM event_engine.subscription_cursor_moves AS m
		WHERE m.subscription_number = old.number;
	DELETE FROM event_engine.subscription_cursors AS c
		WHERE c.subscription_number = old.number;
END
$$;
COMMENT ON FUNCTION event_engine.unsubscribe_as(oid, text) IS
	'Does the work of unsubscribe() for the given role.';

CREATE FUNCTION event_engine.unsubscribe(subscriber text)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.unsubscribe(text) IS
	'Removes a subscription with its cursor and its pending deliveries; dead letters stay.';
