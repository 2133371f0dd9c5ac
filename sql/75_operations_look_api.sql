/* ------------------------------------------------------------------------
 * Operations: where an event is, and what waits.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.subscription_backlog(subscription_number integer,
		max_events bigint, OUT events bigint, OUT oldest_at timestamptz,
		OUT complete boolean)
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_backlog';
COMMENT ON FUNCTION event_engine.subscription_backlog(integer, bigint) IS
	'The events of a subscription that its cursors have yet to pass, up to so many in each lane.';

/*
 * stat_backlog: what waits for each subscription, going by its filters.
 *
 *	events		in the log, not yet taken from it; exactly up to 10,000 a lane
 *				(complete says whether that was all), apart from those that are
 *				retried, delayed, parked or leased
 *	oldest_at	arrival of the oldest of these and those; null: nothing waits
 *	age			of that one
 */
CREATE VIEW event_engine.stat_backlog AS
	SELECT s.subscriber, b.events, b.complete,
		LEAST(b.oldest_at, d.oldest_at, l.oldest_at) AS oldest_at,
		pg_catalog.clock_timestamp() - LEAST(b.oldest_at, d.oldest_at,
			l.oldest_at) AS age
	FROM event_engine.subscriptions AS s
	CROSS JOIN LATERAL event_engine.subscription_backlog(s.number, 10000) AS b
	LEFT JOIN LATERAL (
		SELECT min((e.event).created_at) AS oldest_at
		FROM event_engine.deliveries AS e
		WHERE e.subscription_number = s.number) AS d ON true
	LEFT JOIN LATERAL (
		SELECT min(h.first_at) AS oldest_at
		FROM event_engine.event_leases AS h
		WHERE h.subscription_number = s.number) AS l ON true;
COMMENT ON VIEW event_engine.stat_backlog IS
	'How many events wait for each subscription, and since when.';

/*
 * waiting_since: the active subscriptions that have yet to take an event of
 * the log that came before a time, and when the oldest of those came.
 *
 *	before		of the events
 *	looks		how many subscriptions are looked at one by one: those furthest
 *				behind
 *	events		how many events are looked at for all others, from where the
 *				first of these stands
 *
 * So its cost is bounded, and with no more than looks subscriptions it tells
 * of all.  Beyond, one that is not far behind may be missed.
 */
CREATE FUNCTION event_engine.waiting_since(before timestamptz,
		looks integer DEFAULT 1000, events integer DEFAULT 10000)
	RETURNS TABLE (subscription_number integer, oldest_at timestamptz)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
	furthest integer[];
	next_seq bigint;
BEGIN
	SELECT COALESCE(array_agg(f.number ORDER BY f.place)
				FILTER (WHERE f.place <= waiting_since.looks), '{}'),
			max(f.seq) FILTER (WHERE f.place > waiting_since.looks)
		INTO furthest, next_seq
		FROM (SELECT s.number, p.seq,
				row_number() OVER (ORDER BY p.seq, s.number) AS place
			FROM event_engine.subscriptions AS s
			JOIN event_engine.subscription_progress() AS p
				ON p.subscription_number = s.number
			WHERE s.status = 'active'
				AND NOT COALESCE((s.options -> 'immediate')::boolean, false)
			ORDER BY p.seq, s.number
			LIMIT waiting_since.looks::bigint + 1) AS f;
	RETURN QUERY
		SELECT f.number, b.oldest_at
		FROM unnest(furthest) AS f (number)
		CROSS JOIN LATERAL event_engine.subscription_backlog(f.number, 1) AS b
		WHERE b.oldest_at < waiting_since.before;
	IF next_seq IS NULL THEN
		RETURN;
	END IF;
	-- whom each event concerns, instead of what concerns each of very many
	RETURN QUERY
		SELECT w.number, min(w.created_at)
		FROM (SELECT n.number, e.created_at, e.event
			FROM (SELECT ROW(e.*)::event_engine.event AS event, e.created_at
				FROM event_engine.events AS e
				WHERE e.seq > next_seq AND e.created_at < waiting_since.before
				ORDER BY e.seq LIMIT waiting_since.events) AS e
			CROSS JOIN LATERAL event_engine.event_subscriptions(e.event)
				AS n (number)
			LIMIT waiting_since.events) AS w
		JOIN event_engine.subscriptions AS s ON s.number = w.number
			AND s.status = 'active'
			AND NOT COALESCE((s.options -> 'immediate')::boolean, false)
		WHERE w.number <> ALL (furthest)
			AND NOT event_engine.passed_event(w.number, w.event)
		GROUP BY w.number;
END
$$;
COMMENT ON FUNCTION event_engine.waiting_since(timestamptz, integer, integer) IS
	'The subscriptions that have yet to take an event that came before a time, at a bounded cost.';

/*
 * event_deliveries: where is this event, for each subscription that it
 * concerns?
 *
 *	state		pending		not yet taken from the log
 *				delayed		not due before next_attempt_at
 *				retrying	failed, and due again at next_attempt_at
 *				parked		behind a failing one of the same key
 *				halted		given up, and its key stands still until a person
 *							has decided on the dead letter
 *				released	that has been discarded: its key goes on next
 *				leased		handed to a pulling client, until next_attempt_at
 *				delivered	done
 *				dead | redriven | discarded		see event_dead_letters
 *				before		arrived before the subscription did
 *	attempts	made so far, where they were counted
 *	finished_at	when it was delivered, for subscriptions with a processing_log
 */
CREATE FUNCTION event_engine.event_deliveries(id uuid,
		OUT subscriber text, OUT state text, OUT attempts integer,
		OUT next_attempt_at timestamptz, OUT last_error text,
		OUT finished_at timestamptz)
	RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE STRICT ROWS 10
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	given event_engine.event;
BEGIN
	SELECT * INTO given FROM event_engine.get_event(event_deliveries.id);
	IF given.id IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE205',
			MESSAGE = format('unknown event "%s"', event_deliveries.id);
	END IF;
	RETURN QUERY
	SELECT s.subscriber::text,
		CASE WHEN t.state = 'retry' THEN 'retrying'
			WHEN t.state <> 'done' THEN t.state
			WHEN x.status IS NOT NULL THEN x.status
			WHEN p.finished_at IS NULL AND given.created_at < s.created_at
				AND s.options ->> 'start' = 'now' THEN 'before'
			ELSE 'delivered' END,
		COALESCE(t.attempts, x.retry_count, p.attempt),
		t.next_attempt_at,
		COALESCE(t.error, x.error_message),
		p.finished_at
	FROM event_engine.subscriptions AS s
	JOIN event_engine.explain_match(given) AS m ON m.subscriber = s.subscriber
	CROSS JOIN LATERAL event_engine.delivery_state(s, given) AS t
	LEFT JOIN LATERAL (
		SELECT x.status, x.retry_count, x.error_message
		FROM event_engine.event_dead_letters AS x
		WHERE x.subscriber = s.subscriber AND x.seq = given.seq
		ORDER BY x.created_at DESC LIMIT 1) AS x ON true
	LEFT JOIN LATERAL (
		SELECT p.finished_at, p.attempt
		FROM event_engine.event_processing_log AS p
		WHERE p.id = given.id AND p.subscriber = s.subscriber
			AND p.outcome = 'delivered'
		ORDER BY p.finished_at DESC LIMIT 1) AS p ON true
	WHERE m.matches OR t.state NOT IN ('pending', 'done')
		OR x.status IS NOT NULL
	ORDER BY s.subscriber;
END
$$;
COMMENT ON FUNCTION event_engine.event_deliveries(uuid) IS
	'Where an event is, for each subscription that it concerns: pending, delivered, retrying, parked, dead, ...';
