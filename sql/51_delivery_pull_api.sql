/* ------------------------------------------------------------------------
 * Delivery to clients that pull.
 *
 * A client receives events under a receipt and acknowledges them by it.  All
 * that is known of it is in tables, nothing in the session.  No client waits
 * for another one: rows are taken with SKIP LOCKED, and whoever finds the log
 * being read gets nothing from it.
 *
 * Tables of leases are emptied by TRUNCATE; what is planned right afterwards
 * must not read the whole of them ever after, hence enable_seqscan = off.
 *
 * receive_events() and ack_events() are C for the common case, which is what
 * the rate of a client depends on; what is rare is written here.
 *
 * Faces in C tell the functions with _as the caller's role, as in routing.
 * ------------------------------------------------------------------------ */

/* The wait after so many attempts, as ee_backoff_delay_ms() computes it. */
CREATE FUNCTION event_engine.retry_delay(options jsonb, attempts integer)
	RETURNS interval
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
RETURN make_interval(secs => LEAST(
		COALESCE((options ->> 'backoff_ms')::float8, 1000)
			* COALESCE((options ->> 'backoff_factor')::float8, 2)
				^ LEAST(attempts - 1, 100),
		COALESCE((options ->> 'backoff_max_ms')::float8, 3600000))
	* (1 - COALESCE((options ->> 'jitter')::float8, 0.2) * random())
	/ 1000);
COMMENT ON FUNCTION event_engine.retry_delay(jsonb, integer) IS
	'Internal: how long a subscription waits after so many attempts.';

/* ---- Whose is it? ---- */

/* For whoever has a receipt in hand, number being null when it is void. */
CREATE FUNCTION event_engine.receipt_subscription(caller oid, receipt uuid,
		number integer)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.subscriptions;
BEGIN
	SELECT s.* INTO stored FROM event_engine.subscriptions AS s
		WHERE s.number = receipt_subscription.number;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE402',
			MESSAGE = 'receipt is not current',
			DETAIL = format('The events of %s have been acknowledged or rejected, or their time ran out and they were handed out again under another receipt.',
				COALESCE(receipt::text, 'null')),
			HINT = 'Undo what was done with these events, or rely on its being repeatable; to have more time ask for a longer visibility_timeout or call event_engine.extend_events().';
	END IF;
	PERFORM event_engine.check_owner(caller, stored.owner,
		'subscription', stored.subscriber);
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.receipt_subscription(oid, uuid, integer) IS
	'Internal: the subscription of a receipt, if the caller may settle it.';

/*
 * Nobody else settles or takes over what is under the receipt until the
 * transaction ends.  Whoever was first has changed the rows: then there are
 * none of that receipt.
 */
CREATE FUNCTION event_engine.lock_receipt(caller oid, receipt uuid)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off AS $$
DECLARE
	in_lease integer;
	in_delivery integer;
BEGIN
	SELECT max(l.subscription_number) INTO in_lease
		FROM (SELECT e.subscription_number FROM event_engine.event_leases AS e
			WHERE e.receipt = lock_receipt.receipt FOR UPDATE) AS l;
	SELECT max(l.subscription_number) INTO in_delivery
		FROM (SELECT d.subscription_number FROM event_engine.deliveries AS d
			WHERE d.receipt = lock_receipt.receipt
			ORDER BY d.seq FOR UPDATE) AS l;
	RETURN event_engine.receipt_subscription(caller, receipt,
		COALESCE(in_lease, in_delivery));
END
$$;
COMMENT ON FUNCTION event_engine.lock_receipt(oid, uuid) IS
	'Internal: locks what is under a receipt; raises if it is not current.';

CREATE FUNCTION event_engine.wake_clients(number integer)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_wake_clients';
COMMENT ON FUNCTION event_engine.wake_clients(integer) IS
	'Internal: whoever waits for events of a subscription looks again after the commit.';

/* ---- What is under a receipt ---- */

CREATE FUNCTION event_engine.leased_events(lease event_engine.event_leases)
	RETURNS SETOF event_engine.event
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT e.* FROM event_engine.events AS e
	WHERE e.created_at BETWEEN lease.first_at AND lease.last_at
		AND e.seq = ANY (lease.seqs)
	ORDER BY e.seq
$$;
COMMENT ON FUNCTION event_engine.leased_events(event_engine.event_leases) IS
	'Internal: the events of a lease, read from the log.';

/*
 * Take events from under a locked receipt (ids; null: all): they are gone
 * from event_leases and deliveries.
 *
 * Result: the events with the attempts made, when they were handed out, and
 * when they failed first.
 */
CREATE FUNCTION event_engine.take_leased(receipt uuid, ids uuid[])
	RETURNS TABLE (event event_engine.event, attempts integer,
		leased_at timestamptz, first_failed_at timestamptz)
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
	lease event_engine.event_leases;
	rest bigint[];
BEGIN
	FOR lease IN SELECT l.* FROM event_engine.event_leases AS l
		WHERE l.receipt = take_leased.receipt ORDER BY l.attempts DESC
	LOOP
		RETURN QUERY SELECT ROW(e.*)::event_engine.event, lease.attempts,
				lease.leased_at, NULL::timestamptz
			FROM event_engine.leased_events(lease) AS e
			WHERE ids IS NULL OR e.id = ANY (ids);
		rest := NULL;
		IF ids IS NOT NULL THEN
			SELECT array_agg(s.seq ORDER BY s.seq) INTO rest
				FROM (SELECT unnest(lease.seqs) EXCEPT
					SELECT e.seq FROM event_engine.leased_events(lease) AS e
					WHERE e.id = ANY (ids)) AS s (seq);
		END IF;
		IF rest IS NULL THEN
			DELETE FROM event_engine.event_leases AS l
				WHERE l.receipt = lease.receipt AND l.attempts = lease.attempts;
		ELSIF cardinality(rest) < cardinality(lease.seqs) THEN
			UPDATE event_engine.event_leases AS l SET seqs = rest
				WHERE l.receipt = lease.receipt AND l.attempts = lease.attempts;
		END IF;
	END LOOP;
	RETURN QUERY DELETE FROM event_engine.deliveries AS d
		WHERE d.receipt = take_leased.receipt
			AND (ids IS NULL OR d.id = ANY (ids))
		RETURNING d.event, d.attempts, d.updated_at, d.first_failed_at;
END
$$;
COMMENT ON FUNCTION event_engine.take_leased(uuid, uuid[]) IS
	'Internal: takes events from under a receipt.';

/* ---- What means the same ---- */

CREATE FUNCTION event_engine.delivery_key(event event_engine.event, path text)
	RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_delivery_key';
COMMENT ON FUNCTION event_engine.delivery_key(event_engine.event, text) IS
	'Internal: the idempotency key of an event, by the path of a subscription.';

/* What a client has acknowledged; the first of a key counts. */
CREATE FUNCTION event_engine.note_keys(own event_engine.subscriptions,
		events event_engine.event[])
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO event_engine.delivery_keys AS d (subscription_number, key, seq,
			expires_at)
		SELECT DISTINCT ON (k.key) own.number, k.key, k.seq,
			clock_timestamp() + interval '1 millisecond' * COALESCE(
				(own.options ->> 'idempotency_window_ms')::float8, 604800000)
		FROM (SELECT event_engine.delivery_key(ROW(e.*)::event_engine.event,
					own.options ->> 'idempotency_key') AS key, e.seq
				FROM unnest(events) AS e) AS k
		WHERE k.key IS NOT NULL
		ORDER BY k.key, k.seq
		ON CONFLICT ON CONSTRAINT delivery_keys_pkey DO UPDATE
			SET seq = excluded.seq, expires_at = excluded.expires_at
			WHERE d.seq = excluded.seq OR d.expires_at <= clock_timestamp()
$$;
COMMENT ON FUNCTION event_engine.note_keys(event_engine.subscriptions, event_engine.event[]) IS
	'Internal: writes down the idempotency keys of events that were acknowledged.';

/*
 * Under a receipt nobody has seen yet: what means the same as events that
 * were acknowledged counts as acknowledged too.  Result: their ids.
 */
CREATE FUNCTION event_engine.pass_over(own event_engine.subscriptions,
		receipt uuid)
	RETURNS SETOF uuid
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off AS $$
DECLARE
	known uuid[];
BEGIN
	SELECT array_agg((x.event).id) INTO known
		FROM (SELECT ROW(e.*)::event_engine.event AS event
				FROM event_engine.event_leases AS l,
					event_engine.leased_events(l) AS e
				WHERE l.receipt = pass_over.receipt
			UNION ALL SELECT d.event FROM event_engine.deliveries AS d
				WHERE d.receipt = pass_over.receipt) AS x
		JOIN event_engine.delivery_keys AS k
			ON k.subscription_number = own.number
			AND k.key = event_engine.delivery_key(x.event,
				own.options ->> 'idempotency_key')
			AND k.seq <> (x.event).seq AND k.expires_at > clock_timestamp();
	IF known IS NOT NULL THEN
		PERFORM event_engine.take_leased(receipt, known);
		INSERT INTO event_engine.delivery_counts AS c
			VALUES (own.number, cardinality(known), 0, 0);
	END IF;
	RETURN QUERY SELECT unnest(known);
END
$$;
COMMENT ON FUNCTION event_engine.pass_over(event_engine.subscriptions, uuid) IS
	'Internal: settles what means the same as events that were acknowledged.';

/* ---- Giving up ---- */

CREATE FUNCTION event_engine.bury_events(own event_engine.subscriptions,
		events event_engine.event[], attempts integer[], message text,
		details jsonb)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO event_engine.event_dead_letters AS l (subscriber, event_id,
			event_type, payload, envelope, seq, error_message, error_details,
			retry_count, original_created_at)
		SELECT own.subscriber, COALESCE((e.event).event_id,
				(e.event).id::text), (e.event).pattern, (e.event).payload,
			event_engine.event_envelope(e.event), (e.event).seq, message,
			details, e.attempts, (e.event).created_at
		FROM (SELECT events[i] AS event, attempts[i] AS attempts
			FROM generate_subscripts(events, 1) AS i) AS e;
	INSERT INTO event_engine.event_processing_log AS p (subscriber, id,
			pattern, outcome, attempt, error_message, started_at, finished_at)
		SELECT own.subscriber, (e.event).id, (e.event).pattern, 'dead',
			e.attempts, message, clock_timestamp(), clock_timestamp()
		FROM (SELECT events[i] AS event, attempts[i] AS attempts
			FROM generate_subscripts(events, 1) AS i) AS e
		WHERE (own.options -> 'processing_log')::boolean;
$$;
COMMENT ON FUNCTION event_engine.bury_events(event_engine.subscriptions, event_engine.event[], integer[], text, jsonb) IS
	'Internal: makes events dead letters of a subscription.';

/*
 * Under a receipt nobody has seen yet: what the owner may not subscribe to any
 * more is given up.  Result: their ids.
 */
CREATE FUNCTION event_engine.withhold_events(own event_engine.subscriptions,
		receipt uuid)
	RETURNS SETOF uuid
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	refused uuid[];
	events event_engine.event[];
	attempts integer[];
BEGIN
	SELECT array_agg((x.event).id) INTO refused
		FROM (SELECT ROW(e.*)::event_engine.event AS event
				FROM event_engine.event_leases AS l,
					event_engine.leased_events(l) AS e
				WHERE l.receipt = withhold_events.receipt
			UNION ALL SELECT d.event FROM event_engine.deliveries AS d
				WHERE d.receipt = withhold_events.receipt) AS x
		WHERE NOT event_engine.may_subscribe(own.owner::oid,
			(x.event).pattern, (x.event).metadata);
	IF refused IS NOT NULL THEN
		SELECT array_agg(t.event), array_agg(t.attempts)
			INTO events, attempts
			FROM event_engine.take_leased(receipt, refused) AS t;
		PERFORM event_engine.bury_events(own, events, attempts,
			format('role "%s" may not subscribe to this event any more',
				own.owner::text), NULL);
		INSERT INTO event_engine.delivery_counts AS c
			VALUES (own.number, 0, 0, cardinality(refused));
	END IF;
	RETURN QUERY SELECT unnest(refused);
END
$$;
COMMENT ON FUNCTION event_engine.withhold_events(event_engine.subscriptions, uuid) IS
	'Internal: gives up what the owner of a subscription may not have any more.';

/* ---- Receive ---- */

/*
 * A receipt is taken over whole or not at all, so that its owner can rely on
 * it: as long as it is current, nobody else has any of its events.  Whoever
 * settles it locks all its rows; one of each is locked already, and the others
 * are not waited for.  Gives those that nobody is settling.
 */
CREATE FUNCTION event_engine.seize_receipts(receipts uuid[])
	RETURNS uuid[]
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seized uuid[] := '{}';
	one uuid;
BEGIN
	FOREACH one IN ARRAY receipts LOOP
		IF (SELECT count(*) FROM event_engine.event_leases AS l
				WHERE l.receipt = one)
			= (SELECT count(*) FROM (SELECT FROM event_engine.event_leases AS l
				WHERE l.receipt = one FOR UPDATE SKIP LOCKED) AS l)
			AND (SELECT count(*) FROM event_engine.deliveries AS d
				WHERE d.receipt = one)
			= (SELECT count(*) FROM (SELECT FROM event_engine.deliveries AS d
				WHERE d.receipt = one FOR UPDATE SKIP LOCKED) AS d)
		THEN
			seized := seized || one;
		END IF;
	END LOOP;
	RETURN seized;
END
$$;
COMMENT ON FUNCTION event_engine.seize_receipts(uuid[]) IS
	'Internal: locks what is under receipts whose time has run out, without waiting.';

/* What is left under seized receipts is due, and nobody can settle it. */
CREATE FUNCTION event_engine.void_receipts(receipts uuid[])
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp AS $$
	UPDATE event_engine.event_leases AS l SET receipt = gen_random_uuid()
		WHERE l.receipt = ANY (receipts);
	UPDATE event_engine.deliveries AS d SET receipt = NULL
		WHERE d.receipt = ANY (receipts);
$$;
COMMENT ON FUNCTION event_engine.void_receipts(uuid[]) IS
	'Internal: nothing can be settled by these receipts any more.';

/*
 * What was handed out or rejected before and is due again: leases whose time
 * has run out, then rows of deliveries.  What has been handed out often
 * enough becomes a dead letter instead.
 */
CREATE FUNCTION event_engine.receive_again(own event_engine.subscriptions,
		receipt uuid, max_events integer, at timestamptz, until timestamptz,
		client text)
	RETURNS SETOF event_engine.received_event
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off AS $$
DECLARE
	allowed CONSTANT integer := (own.options ->> 'max_attempts')::integer;
	details CONSTANT jsonb := jsonb_build_object('sqlstate', 'VE402',
		'hint', 'The client took longer than its visibility_timeout, or died.');
	message CONSTANT text := 'not acknowledged in time';
	wanted integer := max_events;
	lease event_engine.event_leases;
	given event_engine.event_leases;
	buried event_engine.event[];
	counts integer[];
	seized uuid[] := '{}';
	looked_at uuid[] := '{}';
	receipts uuid[];
	positions bigint[];
	n_failed bigint := 0;
	n_dead bigint := 0;
BEGIN
	WHILE wanted > 0 LOOP
		SELECT l.* INTO lease FROM event_engine.event_leases AS l
			WHERE l.subscription_number = own.number AND l.expires_at <= at
				AND (l.receipt <> ALL (looked_at) OR l.receipt = ANY (seized))
			ORDER BY l.expires_at LIMIT 1 FOR UPDATE SKIP LOCKED;
		EXIT WHEN NOT FOUND;
		IF lease.receipt <> ALL (looked_at) THEN
			looked_at := looked_at || lease.receipt;
			seized := seized
				|| event_engine.seize_receipts(ARRAY[lease.receipt]);
			CONTINUE WHEN lease.receipt <> ALL (seized);
		END IF;
		DELETE FROM event_engine.event_leases AS l
			WHERE l.receipt = lease.receipt AND l.attempts = lease.attempts;

		IF lease.attempts >= allowed THEN
			SELECT array_agg(ROW(e.*)::event_engine.event ORDER BY e.seq)
				INTO buried FROM event_engine.leased_events(lease) AS e;
			PERFORM event_engine.bury_events(own, buried,
				array_fill(lease.attempts, ARRAY[cardinality(buried)]),
				message, details);
			n_failed := n_failed + COALESCE(cardinality(buried), 0);
			n_dead := n_dead + COALESCE(cardinality(buried), 0);
			CONTINUE;
		END IF;

		given := lease;
		given.seqs := lease.seqs[:wanted];
		wanted := wanted - cardinality(given.seqs);
		n_failed := n_failed + cardinality(given.seqs);
		IF cardinality(given.seqs) < cardinality(lease.seqs) THEN
			-- the rest waits for the next who asks; no old receipt is good for it
			INSERT INTO event_engine.event_leases AS l
				SELECT gen_random_uuid(), lease.subscription_number,
					lease.seqs[cardinality(given.seqs) + 1:], lease.first_at,
					lease.last_at, lease.attempts, lease.leased_by,
					lease.leased_at, lease.expires_at;
		END IF;
		INSERT INTO event_engine.event_leases AS l
			VALUES (receive_again.receipt, own.number, given.seqs, given.first_at,
				given.last_at, given.attempts + 1, client, at, until)
			ON CONFLICT ON CONSTRAINT event_leases_pkey DO UPDATE
				SET seqs = l.seqs || excluded.seqs,
					first_at = LEAST(l.first_at, excluded.first_at),
					last_at = GREATEST(l.last_at, excluded.last_at);
		RETURN QUERY SELECT receive_again.receipt, given.attempts + 1, e.id,
				e.event_id, e.pattern, e.version, e.source, e."timestamp",
				e.payload, e.metadata, e.created_at, e.partition_key,
				e.aggregate_type, e.aggregate_version, e.priority,
				e.created_by, e.deliver_at, e.seq
			FROM event_engine.leased_events(given) AS e;
	END LOOP;

	SELECT array_agg(x.seq), COALESCE(array_agg(DISTINCT x.receipt)
			FILTER (WHERE x.receipt <> ALL (seized)), '{}')
		INTO positions, receipts
		FROM (SELECT d.seq, d.receipt FROM event_engine.deliveries AS d
			WHERE d.subscription_number::bigint = own.number
				AND d.next_attempt_at <= at AND d.status = 'leased'
				AND d.attempts >= allowed
			ORDER BY d.next_attempt_at, d.seq LIMIT 1000
			FOR UPDATE SKIP LOCKED) AS x;
	seized := seized || event_engine.seize_receipts(receipts);
	WITH dead AS (
		DELETE FROM event_engine.deliveries AS d
			WHERE d.subscription_number = own.number AND d.seq = ANY (positions)
				AND (d.receipt IS NULL OR d.receipt = ANY (seized))
			RETURNING d.event, d.attempts
	)
	SELECT array_agg(d.event), array_agg(d.attempts) INTO buried, counts
		FROM dead AS d;
	IF buried IS NOT NULL THEN
		PERFORM event_engine.bury_events(own, buried, counts, message, details);
		n_failed := n_failed + cardinality(buried);
		n_dead := n_dead + cardinality(buried);
	END IF;

	IF wanted > 0 THEN
		SELECT array_agg(x.seq), COALESCE(array_agg(DISTINCT x.receipt)
				FILTER (WHERE x.receipt <> ALL (seized)), '{}')
			INTO positions, receipts
			FROM (SELECT d.seq, d.receipt FROM event_engine.deliveries AS d
				WHERE d.subscription_number::bigint = own.number
					AND d.next_attempt_at <= at
					AND (d.status IN ('retry', 'delayed')
						OR d.status = 'leased' AND d.attempts < allowed)
				ORDER BY d.next_attempt_at, d.seq LIMIT wanted
				FOR UPDATE SKIP LOCKED) AS x;
		seized := seized || event_engine.seize_receipts(receipts);
		RETURN QUERY WITH due AS (
			SELECT d.seq, d.status FROM event_engine.deliveries AS d
				WHERE d.subscription_number = own.number
					AND d.seq = ANY (positions)
					AND (d.receipt IS NULL OR d.receipt = ANY (seized))
		), counted AS (
			INSERT INTO event_engine.delivery_counts AS c
				SELECT own.number, 0, count(*), 0 FROM due AS d
				WHERE d.status = 'leased' HAVING count(*) > 0
		), leased AS (
			UPDATE event_engine.deliveries AS d
				SET status = 'leased', attempts = d.attempts + 1,
					next_attempt_at = until, receipt = receive_again.receipt,
					updated_at = at,
					last_error = CASE WHEN d.status = 'leased'
						THEN message ELSE d.last_error END,
					first_failed_at = CASE WHEN d.status = 'leased'
						THEN COALESCE(d.first_failed_at, at)
						ELSE d.first_failed_at END
				FROM due AS x
				WHERE d.subscription_number = own.number AND d.seq = x.seq
				RETURNING d.receipt, d.attempts, d.event
		)
		SELECT l.receipt, l.attempts, (l.event).id, (l.event).event_id,
				(l.event).pattern, (l.event).version, (l.event).source,
				(l.event)."timestamp", (l.event).payload, (l.event).metadata,
				(l.event).created_at, (l.event).partition_key,
				(l.event).aggregate_type, (l.event).aggregate_version,
				(l.event).priority, (l.event).created_by,
				(l.event).deliver_at, (l.event).seq
			FROM leased AS l ORDER BY (l.event).seq;
	END IF;
	IF seized <> '{}' THEN
		PERFORM event_engine.void_receipts(seized);
	END IF;
	IF n_failed > 0 THEN
		INSERT INTO event_engine.delivery_counts AS c
			VALUES (own.number, 0, n_failed, n_dead);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.receive_again(event_engine.subscriptions, uuid, integer, timestamptz, timestamptz, text) IS
	'Internal: events that were handed out or rejected before and are due again.';

CREATE FUNCTION event_engine.check_visibility_timeout(given interval,
		positive boolean)
	RETURNS void
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_check_visibility_timeout';
COMMENT ON FUNCTION event_engine.check_visibility_timeout(interval, boolean) IS
	'Internal: raises what is wrong with a time for handling.';

/*
 * receive_events: the next events of a subscription of kind pull, leased to
 * the caller.
 *
 *	subscriber			its name; for its owner and members of that role
 *	max_events			at most so many
 *	visibility_timeout	not handed to anybody else for so long; then they are
 *						handed out again, under another receipt
 *
 * Result: the events, all under one receipt: first those whose lease has run
 * out, then those whose retry or deliver_at is due, then new ones.  None when
 * there is nothing, the subscription is paused, its rate_limit or
 * max_in_flight allows none, or another transaction is just receiving from it.
 * Writes: event_leases, deliveries, the cursor; event_dead_letters for what
 * has been handed out max_attempts times.
 */
CREATE FUNCTION event_engine.receive_events(subscriber text,
		max_events integer DEFAULT 100,
		visibility_timeout interval DEFAULT '30 seconds')
	RETURNS SETOF event_engine.received_event
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_receive_events';
COMMENT ON FUNCTION event_engine.receive_events(text, integer, interval) IS
	'The next events of a pulled subscription, leased to the caller under a receipt.';

/*
 * jsonb_to_json: jsonb as json, that is text, the same as jsonb::text and in a
 * third of the time: for clients that take payloads as text.
 *
 *	SELECT receipt, id, pattern, event_engine.jsonb_to_json(payload)
 *	FROM event_engine.receive_events('billing', 1000);
 */
CREATE FUNCTION event_engine.jsonb_to_json(value jsonb) RETURNS json
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_jsonb_to_json';
COMMENT ON FUNCTION event_engine.jsonb_to_json(jsonb) IS
	'Jsonb as json, in a fraction of the time that its output takes.';

/*
 * await_events: wait until there is something to receive.
 *
 *	subscriber		its name; for its owner and members of that role
 *	wait			at most so long
 *	available		set: is there something?  Another client may be faster
 *
 * Nothing is held while waiting, neither a snapshot nor a lock nor a
 * transaction id, so it must not be called within a transaction.
 */
CREATE PROCEDURE event_engine.await_events(subscriber text,
		wait interval DEFAULT '20 seconds', INOUT available boolean DEFAULT NULL)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'ee_sql_await_events';
COMMENT ON PROCEDURE event_engine.await_events(text, interval, boolean) IS
	'Waits until a pulled subscription has something to receive.';

/* ---- Acknowledge, reject, extend ---- */

/*
 * What ack_events() does not do in one statement: some events of a receipt,
 * a subscription that wants a log or has idempotency keys, and to say what is
 * wrong.
 */
CREATE FUNCTION event_engine.ack_events_as(caller oid, receipt uuid,
		ids uuid[])
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own CONSTANT event_engine.subscriptions :=
		event_engine.lock_receipt(caller, receipt);
	n integer;
	done event_engine.event[];
BEGIN
	WITH taken AS MATERIALIZED (
		SELECT t.* FROM event_engine.take_leased(receipt, ids) AS t
	), logged AS (
		INSERT INTO event_engine.event_processing_log AS p (subscriber, id,
				pattern, outcome, attempt, started_at, finished_at)
			SELECT own.subscriber, (t.event).id, (t.event).pattern,
				'delivered', t.attempts, t.leased_at, clock_timestamp()
			FROM taken AS t
			WHERE (own.options -> 'processing_log')::boolean
	)
	SELECT count(*), array_agg(t.event) INTO n, done FROM taken AS t;
	IF n > 0 AND own.options ->> 'idempotency_key' IS NOT NULL THEN
		PERFORM event_engine.note_keys(own, done);
	END IF;
	PERFORM event_engine.wake_clients(own.number);
	IF n > 0 THEN
		INSERT INTO event_engine.delivery_counts AS c
			VALUES (own.number, n, 0, 0);
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.ack_events_as(oid, uuid, uuid[]) IS
	'Does the work of ack_events() for the given role.';

/*
 * ack_events: the events are done with.
 *
 *	receipt		of receive_events()
 *	ids			only these of its events; null: all
 *
 * Result: how many.  Raises VE402 when the receipt is not current: then they
 * may have been handed to somebody else.  In the transaction that holds the
 * effects this makes them happen exactly once.
 */
CREATE FUNCTION event_engine.ack_events(receipt uuid, ids uuid[] DEFAULT NULL)
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_ack_events';
COMMENT ON FUNCTION event_engine.ack_events(uuid, uuid[]) IS
	'Acknowledges events received under a receipt; returns how many.';

CREATE FUNCTION event_engine.nack_events_as(caller oid, receipt uuid,
		delay interval, error text, ids uuid[])
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own CONSTANT event_engine.subscriptions :=
		event_engine.lock_receipt(caller, receipt);
	allowed CONSTANT integer := (own.options ->> 'max_attempts')::integer;
	message CONSTANT text := COALESCE(error, 'rejected by its client');
	n integer;
	n_dead integer;
	buried event_engine.event[];
	counts integer[];
BEGIN
	IF delay < '0' THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'delay must not be negative';
	END IF;
	WITH taken AS MATERIALIZED (
		SELECT t.* FROM event_engine.take_leased(receipt, ids) AS t
	), again AS (
		INSERT INTO event_engine.deliveries AS d (subscription_number, seq, id,
				status, attempts, next_attempt_at, event, last_error,
				first_failed_at)
			SELECT own.number, (t.event).seq, (t.event).id, 'retry',
				t.attempts, clock_timestamp() + COALESCE(delay,
					event_engine.retry_delay(own.options, t.attempts)),
				t.event, message, COALESCE(t.first_failed_at, clock_timestamp())
			FROM taken AS t WHERE t.attempts < allowed
	), logged AS (
		INSERT INTO event_engine.event_processing_log AS p (subscriber, id,
				pattern, outcome, attempt, error_message, started_at,
				finished_at)
			SELECT own.subscriber, (t.event).id, (t.event).pattern, 'failed',
				t.attempts, message, t.leased_at, clock_timestamp()
			FROM taken AS t
			WHERE t.attempts < allowed
				AND (own.options -> 'processing_log')::boolean
	)
	SELECT count(*), count(*) FILTER (WHERE t.attempts >= allowed),
			array_agg(t.event) FILTER (WHERE t.attempts >= allowed),
			array_agg(t.attempts) FILTER (WHERE t.attempts >= allowed)
		INTO n, n_dead, buried, counts
		FROM taken AS t;
	PERFORM event_engine.bury_events(own, buried, counts, message, NULL);
	PERFORM event_engine.wake_clients(own.number);
	IF n > 0 THEN
		INSERT INTO event_engine.delivery_counts AS c
			VALUES (own.number, 0, n, n_dead);
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.nack_events_as(oid, uuid, interval, text, uuid[]) IS
	'Does the work of nack_events() for the given role.';

/*
 * nack_events: the events could not be handled; they are handed out again
 * later, or become dead letters when that was attempt number max_attempts.
 *
 *	receipt		of receive_events()
 *	delay		not before; null: the subscription's backoff
 *	error		why, for deliveries.last_error and the dead letter
 *	ids			only these of its events; null: all
 *
 * Result: how many.  Raises VE402 when the receipt is not current.
 */
CREATE FUNCTION event_engine.nack_events(receipt uuid,
		delay interval DEFAULT NULL, error text DEFAULT NULL,
		ids uuid[] DEFAULT NULL)
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.nack_events(uuid, interval, text, uuid[]) IS
	'Rejects events received under a receipt: they are retried, or become dead letters.';

CREATE FUNCTION event_engine.extend_events_as(caller oid, receipt uuid,
		visibility_timeout interval)
	RETURNS timestamptz
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off AS $$
DECLARE
	until CONSTANT timestamptz := clock_timestamp() + visibility_timeout;
	own event_engine.subscriptions;
BEGIN
	PERFORM event_engine.check_visibility_timeout(visibility_timeout, false);
	own := event_engine.lock_receipt(caller, receipt);
	UPDATE event_engine.event_leases AS l SET expires_at = until
		WHERE l.receipt = extend_events_as.receipt;
	UPDATE event_engine.deliveries AS d SET next_attempt_at = until
		WHERE d.receipt = extend_events_as.receipt;
	PERFORM event_engine.wake_clients(own.number);
	RETURN until;
END
$$;
COMMENT ON FUNCTION event_engine.extend_events_as(oid, uuid, interval) IS
	'Does the work of extend_events() for the given role.';

/*
 * extend_events: more time, counted from now; 0 gives the events back at
 * once.  Result: when the time runs out.  Raises VE402 when the receipt is
 * not current.
 */
CREATE FUNCTION event_engine.extend_events(receipt uuid,
		visibility_timeout interval)
	RETURNS timestamptz
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.extend_events(uuid, interval) IS
	'Gives a client more time for the events of a receipt; returns until when.';
