/* ------------------------------------------------------------------------
 * Dead letters: put back, or set aside.
 *
 * A letter may be touched by whoever may change its subscription: its owner,
 * members of that role, superusers.  Letters of a subscription that is gone
 * are a superuser's.
 * ------------------------------------------------------------------------ */

/* The event of a letter: from the log, or, once retention has dropped it
 * there, from the letter. */
CREATE FUNCTION event_engine.dead_letter_event(
		letter event_engine.event_dead_letters)
	RETURNS event_engine.event
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
RETURN COALESCE((SELECT ROW(e.*)::event_engine.event
		FROM event_engine.events AS e
		WHERE e.created_at = letter.original_created_at
			AND e.seq = letter.seq),
	-- the envelope has the id where the publisher gave no event_id
	ROW((letter.envelope ->> 'id')::uuid,
		NULLIF(letter.envelope ->> 'eventId', letter.envelope ->> 'id'),
		letter.envelope ->> 'pattern', letter.envelope ->> 'version',
		letter.envelope -> 'source',
		(letter.envelope ->> 'timestamp')::timestamptz,
		letter.envelope -> 'payload', letter.envelope -> 'metadata',
		(letter.envelope ->> 'createdAt')::timestamptz,
		letter.envelope ->> 'partitionKey',
		letter.envelope ->> 'aggregateType',
		(letter.envelope ->> 'aggregateVersion')::bigint,
		(letter.envelope ->> 'priority')::event_engine.event_priority,
		letter.envelope ->> 'createdBy',
		(letter.envelope ->> 'deliverAt')::timestamptz, letter.seq,
		NULL)::event_engine.event);
COMMENT ON FUNCTION event_engine.dead_letter_event(event_engine.event_dead_letters) IS
	'The event of a dead letter, as handlers take it.';

/*
 * The letters meant, locked, oldest first: dead ones that the caller may
 * touch and that fit all that is given.  Raises when nothing is given, and
 * when a subscriber is named whose letters are not the caller's.
 */
CREATE FUNCTION event_engine.own_dead_letters(caller oid, ids uuid[],
		subscriber text, event_type text, max_letters integer, filter text)
	RETURNS SETOF event_engine.event_dead_letters
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	is_superuser CONSTANT boolean := (SELECT r.rolsuper FROM pg_roles AS r
		WHERE r.oid = caller);
	condition CONSTANT jsonpath := filter::jsonpath;
	holder regrole;
BEGIN
	IF ids IS NULL AND subscriber IS NULL AND event_type IS NULL
		AND filter IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'no dead letters are named',
			HINT = 'Give ids, subscriber, event_type or filter.';
	END IF;
	IF max_letters < 0 THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'max_letters must not be negative';
	END IF;
	IF subscriber IS NOT NULL THEN
		SELECT s.owner INTO holder FROM event_engine.subscriptions AS s
			WHERE s.subscriber = own_dead_letters.subscriber;
		IF NOT FOUND AND NOT is_superuser THEN
			RAISE EXCEPTION USING ERRCODE = 'VE303',
				MESSAGE = format('unknown subscription "%s"', subscriber),
				HINT = 'Dead letters of a subscription that is gone are for superusers.';
		END IF;
		PERFORM event_engine.check_owner(caller, holder,
			'subscription', subscriber);
	END IF;

	RETURN QUERY SELECT l.* FROM event_engine.event_dead_letters AS l
		WHERE l.status = 'dead'
			AND (ids IS NULL OR l.id = ANY (ids))
			AND (own_dead_letters.subscriber IS NULL
				OR l.subscriber = own_dead_letters.subscriber)
			AND (own_dead_letters.event_type IS NULL
				OR l.event_type = own_dead_letters.event_type)
			AND (condition IS NULL OR jsonb_path_match(l.envelope
				|| jsonb_build_object('error', jsonb_build_object('message',
					l.error_message) || COALESCE(l.error_details, '{}')),
				condition, '{}', true))
			AND (is_superuser OR EXISTS (
				SELECT FROM event_engine.subscriptions AS s
				WHERE s.subscriber = l.subscriber
					AND pg_has_role(caller, s.owner::oid, 'USAGE')))
		ORDER BY l.created_at, l.seq LIMIT max_letters
		FOR UPDATE OF l;
END
$$;
COMMENT ON FUNCTION event_engine.own_dead_letters(oid, uuid[], text, text, integer, text) IS
	'Internal: locks the dead letters meant that the caller may touch.';

/*
 * An event that waits for another attempt already stays as it is; the letter
 * is done with all the same.
 */
CREATE FUNCTION event_engine.redrive_dead_letters_as(caller oid, ids uuid[],
		subscriber text, event_type text, max_letters integer, filter text,
		rate integer)
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at CONSTANT timestamptz := clock_timestamp();
	locked uuid[];
	n integer;
	redriven text[];
BEGIN
	IF (rate < 1) IS NOT FALSE THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'rate must be at least 1',
			DETAIL = 'It is the number of letters that are due each second.';
	END IF;
	/*
	 * A statement of its own: one letter that was written after the snapshot
	 * of the next would be put back by it, and not be marked.
	 */
	locked := ARRAY(SELECT l.id FROM event_engine.own_dead_letters(caller, ids,
		subscriber, event_type, max_letters, filter) AS l);
	WITH letter AS MATERIALIZED (
		SELECT l.* FROM event_engine.event_dead_letters AS l
			WHERE l.id = ANY (locked)
	), held AS MATERIALIZED (
		-- whoever unsubscribes waits, and removes what is put back here
		SELECT s.number, s.subscriber,
				(s.options -> 'ordered')::boolean AS ordered
			FROM event_engine.subscriptions AS s
			WHERE s.kind NOT IN ('notify', 'workflow')
				AND s.subscriber IN (SELECT l.subscriber FROM letter AS l)
			ORDER BY s.number FOR KEY SHARE
	), due AS (
		-- one letter of an event is enough; the first ones go first
		SELECT x.number, x.event, x.error_message, x.error_details, x.key,
			at + make_interval(secs => (row_number() OVER (
				ORDER BY x.created_at, x.seq) - 1) / rate) AS at,
			-- in order, and behind what waits of the same key
			x.key IS NOT NULL AND (row_number() OVER (
					PARTITION BY x.number, x.key ORDER BY x.seq) > 1
				OR EXISTS (SELECT FROM event_engine.deliveries AS b
					WHERE b.subscription_number = x.number
						AND b.partition_key = x.key AND b.seq < x.seq))
				AS follows
		FROM (SELECT DISTINCT ON (h.number, l.seq) h.number, l.seq,
				l.created_at, l.error_message, l.error_details, e.event,
				CASE WHEN h.ordered THEN (e.event).partition_key END AS key
			FROM letter AS l
				JOIN held AS h ON h.subscriber = l.subscriber
				CROSS JOIN LATERAL (SELECT event_engine.dead_letter_event(
					ROW(l.*)::event_engine.event_dead_letters) AS event
					OFFSET 0) AS e
			ORDER BY h.number, l.seq, l.created_at DESC) AS x
	), put_back AS (
		INSERT INTO event_engine.deliveries AS d (subscription_number, seq, id,
				status, attempts, next_attempt_at, event, last_error,
				error_details, partition_key)
			SELECT x.number, (x.event).seq, (x.event).id,
				CASE WHEN x.follows THEN 'parked' ELSE 'retry' END, 0,
				CASE WHEN x.follows THEN 'infinity' ELSE x.at END, x.event,
				x.error_message, x.error_details, x.key
			FROM due AS x
			-- one that has halted its key is there, in its place
			ON CONFLICT ON CONSTRAINT deliveries_pkey DO UPDATE
				SET status = excluded.status, attempts = excluded.attempts,
					next_attempt_at = excluded.next_attempt_at,
					updated_at = clock_timestamp()
				WHERE d.status = 'halted'
	), done AS (
		UPDATE event_engine.event_dead_letters AS d
			SET status = 'redriven', status_changed_at = clock_timestamp()
			FROM letter AS l JOIN held AS h ON h.subscriber = l.subscriber
			WHERE d.id = l.id
			RETURNING d.subscriber
	)
	SELECT count(*), array_agg(d.subscriber) INTO n, redriven FROM done AS d;
	IF n > 0 THEN
		-- whoever redrives says that the cause is mended
		PERFORM event_engine.close_breaker(s.number, s.id)
			FROM event_engine.subscriptions AS s
			WHERE s.subscriber = ANY (redriven);
		PERFORM event_engine.wake_workers();
		PERFORM event_engine.audit_action('redriven', 'dead_letters',
			COALESCE(redrive_dead_letters_as.subscriber, '*'),
			jsonb_build_object('count', n));
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.redrive_dead_letters_as(oid, uuid[], text, text, integer, text, integer) IS
	'Does the work of redrive_dead_letters() for the given role.';

/*
 * redrive_dead_letters: deliver again what had been given up, from the first
 * attempt on.  Letters must fit all that is given.
 *
 *	ids			of event_dead_letters
 *	subscriber	all of this subscription
 *	event_type	all of this pattern
 *	max_letters at most so many, the oldest first
 *	filter		an SQL/JSON path predicate over the envelope, in which $.error has
 *				message, sqlstate, detail, hint, context, attempt, durationMs
 *	rate		so many are due each second
 *
 * Result: how many.  Letters that are not the caller's, and those whose
 * subscription is gone, are left alone.  The letter stays, as redriven; what
 * fails again becomes another one, which names it in previous_id.
 * Writes: deliveries, event_dead_letters.
 */
CREATE FUNCTION event_engine.redrive_dead_letters(ids uuid[] DEFAULT NULL,
		subscriber text DEFAULT NULL, event_type text DEFAULT NULL,
		max_letters integer DEFAULT NULL, filter text DEFAULT NULL,
		rate integer DEFAULT 1000)
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.redrive_dead_letters(uuid[], text, text, integer, text, integer) IS
	'Delivers dead letters again, from the first attempt on; returns how many.';

CREATE FUNCTION event_engine.discard_dead_letters_as(caller oid, ids uuid[],
		subscriber text, event_type text, max_letters integer, filter text)
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	locked uuid[];
	n integer;
	n_released integer;
BEGIN
	-- see redrive_dead_letters_as()
	locked := ARRAY(SELECT l.id FROM event_engine.own_dead_letters(caller, ids,
		discard_dead_letters_as.subscriber,
		discard_dead_letters_as.event_type, max_letters, filter) AS l);
	WITH letter AS MATERIALIZED (
		SELECT l.id, l.subscriber, l.seq
			FROM event_engine.event_dead_letters AS l
			WHERE l.id = ANY (locked)
	), released AS (
		-- those that it has halted follow
		UPDATE event_engine.deliveries AS d
			SET status = 'released', next_attempt_at = clock_timestamp(),
				updated_at = clock_timestamp()
			FROM letter AS l
				JOIN event_engine.subscriptions AS s
					ON s.subscriber = l.subscriber
			WHERE d.subscription_number = s.number AND d.seq = l.seq
				AND d.status = 'halted'
			RETURNING 1
	), done AS (
		UPDATE event_engine.event_dead_letters AS d
			SET status = 'discarded', status_changed_at = clock_timestamp()
			FROM letter AS l WHERE d.id = l.id
			RETURNING 1
	)
	SELECT (SELECT count(*) FROM done AS d), (SELECT count(*) FROM released AS r)
		INTO n, n_released;
	IF n_released > 0 THEN
		PERFORM event_engine.wake_workers();
	END IF;
	IF n > 0 THEN
		PERFORM event_engine.audit_action('discarded', 'dead_letters',
			COALESCE(discard_dead_letters_as.subscriber, '*'),
			jsonb_build_object('count', n));
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.discard_dead_letters_as(oid, uuid[], text, text, integer, text) IS
	'Does the work of discard_dead_letters() for the given role.';

/* discard_dead_letters: nothing more is to be done with them.  Parameters and
 * result as of redrive_dead_letters(); the rows stay, as discarded. */
CREATE FUNCTION event_engine.discard_dead_letters(ids uuid[] DEFAULT NULL,
		subscriber text DEFAULT NULL, event_type text DEFAULT NULL,
		max_letters integer DEFAULT NULL, filter text DEFAULT NULL)
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.discard_dead_letters(uuid[], text, text, integer, text) IS
	'Marks dead letters as not to be delivered any more; returns how many.';
