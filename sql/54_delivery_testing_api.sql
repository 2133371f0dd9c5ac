/* ------------------------------------------------------------------------
 * Delivery, one event at a time and on demand: for repairs, and for tests of
 * what is built on it.
 *
 * Faces in C tell the functions with _as the caller's role, as in routing.
 * ------------------------------------------------------------------------ */

/* ---- Where is an event? ---- */

CREATE FUNCTION event_engine.passed_event(number integer, event event_engine.event)
	RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_passed_event';
COMMENT ON FUNCTION event_engine.passed_event(integer, event_engine.event) IS
	'Internal: has the cursor of a subscription gone past an event?';

CREATE FUNCTION event_engine.had_passed_event(number integer, event event_engine.event)
	RETURNS boolean
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_had_passed_event';
COMMENT ON FUNCTION event_engine.had_passed_event(integer, event_engine.event) IS
	'Internal: had the cursor of a subscription gone past an event when the statement began?';

/*
 * What has become of an event that a subscription wants: pending (in the log,
 * not yet reached), leased, dead (a letter that nobody has decided on), done,
 * or the status of its row in deliveries.  Further, where they are known: the
 * latest error, the attempts made, and when another is due or a lease ends.
 */
CREATE FUNCTION event_engine.delivery_state(own event_engine.subscriptions,
		event event_engine.event, OUT state text, OUT error text,
		OUT attempts integer, OUT next_attempt_at timestamptz)
	RETURNS record
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	-- before the rows: what leaves the log from now on is seen as a row or not
	-- taken for passed
	passed CONSTANT boolean := (own.options -> 'immediate')::boolean
		OR event_engine.passed_event(own.number, event);
BEGIN
	-- in one look, as an event goes from one table to the other
	SELECT w.state, w.error, w.attempts, w.next_attempt_at
		INTO state, error, attempts, next_attempt_at
		FROM (SELECT 1 AS nr, d.status AS state, d.last_error AS error,
				d.attempts, d.next_attempt_at
			FROM event_engine.deliveries AS d
			WHERE d.subscription_number = own.number AND d.seq = event.seq
			UNION ALL SELECT 2, 'leased', NULL, l.attempts, l.expires_at
			FROM event_engine.event_leases AS l
			WHERE l.subscription_number = own.number
				AND event.seq = ANY (l.seqs)
			UNION ALL SELECT 3, 'dead', l.error_message, l.retry_count, NULL
			FROM event_engine.event_dead_letters AS l
			WHERE l.subscriber = own.subscriber AND l.seq = event.seq
				AND l.status = 'dead') AS w
		ORDER BY w.nr LIMIT 1;
	IF NOT FOUND THEN
		state := CASE WHEN passed THEN 'done' ELSE 'pending' END;
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.delivery_state(event_engine.subscriptions, event_engine.event) IS
	'Internal: what has become of an event that a subscription wants.';

/* Does it want the event?  A filter that raises an error does not. */
CREATE FUNCTION event_engine.subscription_wants(own event_engine.subscriptions,
		event event_engine.event)
	RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN event_engine.may_subscribe(own.owner::oid, event.pattern,
			event.metadata)
		AND event_engine.event_matches(event, own.match, own.filter_path,
			own.filters);
EXCEPTION WHEN data_exception THEN
	RETURN false;
END
$$;
COMMENT ON FUNCTION event_engine.subscription_wants(event_engine.subscriptions, event_engine.event) IS
	'Internal: whether a subscription wants an event.';

/* ---- One event ---- */

CREATE FUNCTION event_engine.call_handler(number integer,
		event event_engine.event)
	RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_call_handler';
COMMENT ON FUNCTION event_engine.call_handler(integer, event_engine.event) IS
	'Internal: calls the handler of a subscription with an event marked as replayed; false: it has handled another of the same idempotency key.';

CREATE FUNCTION event_engine.process_subscription(number integer)
	RETURNS integer
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_process_subscription';
COMMENT ON FUNCTION event_engine.process_subscription(integer) IS
	'Internal: as process_batch(), whoever calls and whatever the search path.';

CREATE FUNCTION event_engine.process_event_as(caller oid, id uuid,
		subscriber text)
	RETURNS TABLE (subscription text, outcome text, error text)
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	event event_engine.event;
	own event_engine.subscriptions;
	state text;
BEGIN
	SELECT e.* INTO event FROM event_engine.get_event(id) AS e;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE205',
			MESSAGE = format('unknown event %s', COALESCE(id::text, 'null'));
	END IF;
	IF process_event_as.subscriber IS NOT NULL THEN
		own := event_engine.own_subscription(caller,
			process_event_as.subscriber);
		IF own.kind <> 'handler' THEN
			RAISE EXCEPTION USING ERRCODE = 'VE403',
				MESSAGE = format('subscription "%s" has no handler',
					own.subscriber),
				DETAIL = format('It is of kind %s.', own.kind);
		END IF;
	END IF;

	FOR own IN SELECT s.* FROM event_engine.subscriptions AS s
		WHERE s.kind = 'handler' AND s.status = 'active'
			AND pg_has_role(caller, s.owner::oid, 'USAGE')
			AND (process_event_as.subscriber IS NULL
				OR s.subscriber = process_event_as.subscriber)
		ORDER BY s.number
	LOOP
		CONTINUE WHEN NOT event_engine.subscription_wants(own, event);
		SELECT s.state INTO state
			FROM event_engine.delivery_state(own, event) AS s;
		IF state = 'done' THEN
			BEGIN
				outcome := CASE
					WHEN event_engine.call_handler(own.number, event)
					THEN 'replayed' ELSE 'duplicate' END;
				error := NULL;
			EXCEPTION WHEN OTHERS THEN
				outcome := 'failed';
				error := SQLERRM;
			END;
		ELSE
			IF state = 'dead' THEN
				PERFORM event_engine.redrive_dead_letters(ids => ARRAY(
					SELECT l.id FROM event_engine.event_dead_letters AS l
					WHERE l.subscriber = own.subscriber
						AND l.seq = event.seq AND l.status = 'dead'));
			END IF;
			UPDATE event_engine.deliveries AS d
				SET next_attempt_at = '-infinity'
				WHERE d.subscription_number = own.number AND d.seq = event.seq
					AND d.status IN ('retry', 'delayed');
			PERFORM event_engine.process_subscription(own.number);
			SELECT CASE s.state WHEN 'done' THEN 'delivered' ELSE s.state END,
					s.error
				INTO outcome, error
				FROM event_engine.delivery_state(own, event) AS s;
		END IF;
		subscription := own.subscriber;
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION event_engine.process_event_as(oid, uuid, text) IS
	'Does the work of process_event() for the given role.';

/*
 * process_event: one event, here and now, for the handlers that want it and
 * whose owner's rights the caller has.
 *
 *	id			of the event
 *	subscriber	only for this one; null: for all
 *
 * Where it waits in the log the subscription is worked off up to it, as its
 * order demands; where it waits for another attempt, or is a dead letter, it
 * is tried now; where it has been delivered the handler is called again, the
 * event being marked as replayed.
 *
 * Result, a row for each subscription: outcome is delivered, replayed, failed
 * (the handler called again, and raised an error: nothing is written down),
 * duplicate (not called, as another event of the same idempotency key has been
 * handled within the window), or what has become of it otherwise: retry, dead, parked, pending (somebody
 * else is delivering, or it is not committed); error: of the latest attempt.
 */
CREATE FUNCTION event_engine.process_event(id uuid,
		subscriber text DEFAULT NULL)
	RETURNS TABLE (subscription text, outcome text, error text)
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.process_event(uuid, text) IS
	'Delivers one event now, or again; returns what became of it for each subscription.';

/* ---- Everything that waits ---- */

CREATE FUNCTION event_engine.make_due_as(caller oid, subscriber text)
	RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n bigint;
	steps bigint;
BEGIN
	UPDATE event_engine.deliveries AS d
		SET next_attempt_at = clock_timestamp()
		FROM event_engine.subscriptions AS s
		WHERE s.number = d.subscription_number
			AND d.status IN ('retry', 'delayed')
			AND d.next_attempt_at > clock_timestamp()
			AND pg_has_role(caller, s.owner::oid, 'USAGE')
			AND (make_due_as.subscriber IS NULL
				OR s.subscriber = make_due_as.subscriber);
	GET DIAGNOSTICS n = ROW_COUNT;
	UPDATE event_engine.workflow_instances AS i
		SET next_attempt_at = clock_timestamp()
		FROM event_engine.subscriptions AS s
		WHERE s.number = i.number
			AND i.next_attempt_at > clock_timestamp()
			AND i.finished_at IS NULL
			AND pg_has_role(caller, s.owner::oid, 'USAGE')
			AND (make_due_as.subscriber IS NULL
				OR s.subscriber = make_due_as.subscriber);
	GET DIAGNOSTICS steps = ROW_COUNT;
	n := n + steps;
	IF n > 0 THEN
		PERFORM event_engine.wake_workers();
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.make_due_as(oid, text) IS
	'Does the work of make_due() for the given role.';

/*
 * make_due: what waits for another attempt, or for its deliver_at, is due
 * now.  Of one subscription, or of all whose owner's rights the caller has.  For
 * the time-outs and sleeps of workflows there is pass_time().
 * Result: how many events, and steps of workflows.
 */
CREATE FUNCTION event_engine.make_due(subscriber text DEFAULT NULL)
	RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.make_due(text) IS
	'Retries and delayed events become due now, and steps of workflows to be tried again; returns how many.';

CREATE FUNCTION event_engine.lock_deliveries_as(caller oid, subscriber text)
	RETURNS void
	LANGUAGE sql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT event_engine.lock_subscription(s.number)
	FROM (SELECT o.number FROM event_engine.subscriptions AS o
		WHERE o.kind <> 'pull' AND o.status = 'active'
			AND pg_has_role(caller, o.owner::oid, 'USAGE')
			AND (lock_deliveries_as.subscriber IS NULL
				OR o.subscriber = lock_deliveries_as.subscriber)
		ORDER BY o.number) AS s
$$;
COMMENT ON FUNCTION event_engine.lock_deliveries_as(oid, text) IS
	'Does the work of lock_deliveries() for the given role.';

CREATE FUNCTION event_engine.lock_deliveries(subscriber text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.lock_deliveries(text) IS
	'Waits for running batches and keeps the workers out until the transaction ends.';

/*
 * run_pending: deliver everything that is pending, and what handlers publish
 * meanwhile, until nothing is left.
 *
 *	subscriber	only this one; null: all whose owner's rights the caller has
 *	ahead		also what is due later: retries, and events with a deliver_at
 *	delivered	out: events delivered here, not counting what workers did
 *
 * Outside of a transaction block each round is a transaction of its own.
 * Inside, what the transaction has published itself, or its handlers, stays:
 * it cannot be delivered before it is committed.
 */
CREATE PROCEDURE event_engine.run_pending(subscriber text DEFAULT NULL,
		ahead boolean DEFAULT false, INOUT delivered bigint DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_run_pending';
COMMENT ON PROCEDURE event_engine.run_pending(text, boolean, bigint) IS
	'Delivers everything that is pending, and what handlers publish meanwhile.';

/* ---- Waiting ---- */

/*
 * wait_for_event: until an event like this has been published.
 *
 *	pattern, filter		as of assert_published()
 *	timeout		then an error is raised
 *	since		counts from then on; null: what is published from now on
 *	id			out: of the first such event
 *
 * Outside of a transaction block no snapshot is held while waiting.
 */
CREATE PROCEDURE event_engine.wait_for_event(pattern text,
		timeout interval DEFAULT '10 s', filter text DEFAULT NULL,
		since timestamptz DEFAULT NULL, INOUT id uuid DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_wait_for_event';
COMMENT ON PROCEDURE event_engine.wait_for_event(text, interval, text, timestamptz, uuid) IS
	'Waits until such an event has been published; raises an error when the time is up.';

CREATE FUNCTION event_engine.first_published(pattern text, filter text,
		after bigint, since timestamptz)
	RETURNS uuid
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	wanted CONSTANT jsonb := event_engine.subscription_match(
		ARRAY[pattern], NULL);
BEGIN
	RETURN (SELECT e.id FROM event_engine.readable_events AS e
		WHERE (after IS NULL OR e.seq > after)
			AND (since IS NULL OR e.created_at >= since)
			AND event_engine.event_matches(ROW(e.*)::event_engine.event,
				wanted, filter)
		ORDER BY e.seq LIMIT 1);
END
$$;
COMMENT ON FUNCTION event_engine.first_published(text, text, bigint, timestamptz) IS
	'The first event like this since a time, or after a position of the log.';

/*
 * undelivered_event: who has not yet had an event, in a line each; null when
 * all have.  Raises assert_failure when somebody has given it up.
 */
CREATE FUNCTION event_engine.undelivered_event_as(caller oid, id uuid,
		subscriber text)
	RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	event event_engine.event;
	own event_engine.subscriptions;
	progress record;
	lines text;
BEGIN
	SELECT e.* INTO event FROM event_engine.get_event(id) AS e;
	IF NOT FOUND THEN
		RETURN format('event %s is not visible', COALESCE(id::text, 'null'));
	END IF;
	IF undelivered_event_as.subscriber IS NOT NULL THEN
		own := event_engine.own_subscription(caller,
			undelivered_event_as.subscriber);
		IF NOT event_engine.subscription_wants(own, event) THEN
			RAISE EXCEPTION USING ERRCODE = 'assert_failure',
				MESSAGE = format('subscription "%s" does not want the event',
					own.subscriber),
				HINT = 'event_engine.match_event() tells why.';
		END IF;
	END IF;
	FOR own IN SELECT s.* FROM event_engine.subscriptions AS s
		WHERE pg_has_role(caller, s.owner::oid, 'USAGE')
			AND (s.subscriber = undelivered_event_as.subscriber
				OR undelivered_event_as.subscriber IS NULL
					AND s.kind = 'handler' AND s.status = 'active')
		ORDER BY s.number
	LOOP
		CONTINUE WHEN NOT event_engine.subscription_wants(own, event);
		SELECT s.* INTO progress FROM event_engine.delivery_state(own, event) AS s;
		IF progress.state = 'dead' THEN
			RAISE EXCEPTION USING ERRCODE = 'assert_failure',
				MESSAGE = format('the event is a dead letter of subscription "%s"',
					own.subscriber),
				DETAIL = progress.error;
		END IF;
		IF progress.state <> 'done' THEN
			lines := concat_ws(E'\n', lines, format('subscription "%s": %s%s',
				own.subscriber, progress.state, ', ' || progress.error));
		END IF;
	END LOOP;
	RETURN lines;
END
$$;
COMMENT ON FUNCTION event_engine.undelivered_event_as(oid, uuid, text) IS
	'Does the work of undelivered_event() for the given role.';

CREATE FUNCTION event_engine.undelivered_event(id uuid, subscriber text)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.undelivered_event(uuid, text) IS
	'Which subscriptions have not yet had an event; null when all have.';

/*
 * wait_for_delivery: until all active handlers that want an event have had
 * it, or one subscription has, of whatever kind.
 *
 *	id			of the event
 *	timeout		then an error is raised, which says who has not had it
 *	subscriber	only this one
 *
 * A dead letter raises an error at once.  Outside of a transaction block no
 * snapshot is held while waiting.
 */
CREATE PROCEDURE event_engine.wait_for_delivery(id uuid,
		timeout interval DEFAULT '10 s', subscriber text DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_wait_for_delivery';
COMMENT ON PROCEDURE event_engine.wait_for_delivery(uuid, interval, text) IS
	'Waits until an event has been delivered; raises an error when the time is up.';

/* ---- What was published? ---- */

/*
 * assert_published: has an event like this been published?
 *
 *	pattern		exact, or with the wildcards * (a segment) and # (any number)
 *	filter		SQL/JSON path predicate over the envelope
 *	times		exactly so often; null: at least once
 *	since		since when; null: in this transaction
 *
 * Result: how many there are.  Raises assert_failure otherwise, saying what
 * has been published instead.  Needs the right to read events.
 */
CREATE FUNCTION event_engine.assert_published(pattern text,
		filter text DEFAULT NULL, times integer DEFAULT NULL,
		since timestamptz DEFAULT NULL)
	RETURNS integer
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	wanted CONSTANT jsonb := event_engine.subscription_match(
		ARRAY[pattern], NULL);
	found integer;
	others text;
BEGIN
	SELECT count(*) FILTER (WHERE event_engine.event_matches(e.event, wanted,
				filter)),
			string_agg(format('%s %s', (e.event).pattern,
				left((e.event).payload::text, 200)),
				E'\n' ORDER BY e.n) FILTER (WHERE e.n <= 10)
		INTO found, others
		FROM (SELECT ROW(l.*)::event_engine.event AS event,
				row_number() OVER (ORDER BY l.seq) AS n
			FROM event_engine.readable_events AS l
			WHERE CASE WHEN since IS NULL
				THEN l.xid = pg_current_xact_id_if_assigned()
				ELSE l.created_at >= since END) AS e;
	IF found = times OR times IS NULL AND found > 0 THEN
		RETURN found;
	END IF;
	RAISE EXCEPTION USING ERRCODE = 'assert_failure',
		MESSAGE = format('event "%s"%s was published %s times, expected %s',
			pattern, ' where ' || filter, found,
			COALESCE(times::text, 'at least one')),
		DETAIL = COALESCE(E'Published were, at most ten of them shown:\n' || others,
			'Nothing was published.');
END
$$;
COMMENT ON FUNCTION event_engine.assert_published(text, text, integer, timestamptz) IS
	'Raises unless such an event was published, in this transaction or since a time.';
