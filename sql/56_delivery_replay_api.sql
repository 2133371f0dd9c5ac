/* ------------------------------------------------------------------------
 * Delivery: replay, and moving a subscription in the log.
 *
 * Faces in C tell the functions with _as the caller's role, as in routing.
 * ------------------------------------------------------------------------ */

/* Of use to the functions below only; the subscription is locked. */
CREATE FUNCTION event_engine.replay_range(since timestamptz, from_seq bigint,
		OUT low_snapshot pg_snapshot, OUT low_seq bigint,
		OUT low_base_seq bigint, OUT high_snapshot pg_snapshot,
		OUT high_seq bigint, OUT high_base_seq bigint)
	RETURNS record
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_replay_range';
COMMENT ON FUNCTION event_engine.replay_range(timestamptz, bigint) IS
	'Internal: from the latest position known before a time or seq to the present.';

CREATE FUNCTION event_engine.announce_cursors() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_announce_cursors';
COMMENT ON FUNCTION event_engine.announce_cursors() IS
	'Internal: lets whoever delivers read the cursors again.';

/* A subscription that the caller may move, with delivery to it kept out. */
CREATE FUNCTION event_engine.movable_subscription(caller oid, subscriber text)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted integer;
	stored event_engine.subscriptions;
BEGIN
	-- the lock before the row: a batch that runs may want the row
	SELECT s.number INTO wanted FROM event_engine.subscriptions AS s
		WHERE s.subscriber = movable_subscription.subscriber
			AND pg_has_role(caller, s.owner::oid, 'USAGE');
	IF FOUND THEN
		PERFORM event_engine.lock_subscription(wanted);
	END IF;
	stored := event_engine.own_subscription(caller, subscriber);
	IF jsonb_array_length(stored.epochs) > 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE409',
			MESSAGE = format('the concurrency of subscription "%s" is being changed',
				subscriber),
			HINT = 'Try again when its events of before are delivered.';
	END IF;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.movable_subscription(oid, text) IS
	'Internal: a subscription that the caller may move, locked.';

/* ---- Replay ---- */

CREATE FUNCTION event_engine.replay_events_as(caller oid, subscriber text,
		since timestamptz, until timestamptz, from_seq bigint, to_seq bigint,
		patterns text[], filter text, filters jsonb)
	RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own CONSTANT event_engine.subscriptions :=
		event_engine.movable_subscription(caller, subscriber);
	range CONSTANT record := event_engine.replay_range(since, from_seq);
	path text := NULLIF(btrim(filter), '');
	wanted CONSTANT jsonb := event_engine.subscription_match(
		COALESCE(patterns, '{#}'), NULL);
	made uuid;
BEGIN
	IF own.kind = 'notify' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE403',
			MESSAGE = format('nothing can be replayed to subscription "%s"',
				subscriber),
			DETAIL = 'It is of kind notify: a bell, which gives no events.';
	END IF;
	IF own.kind = 'workflow' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE403',
			MESSAGE = format('nothing can be replayed to dispatcher "%s"',
				subscriber),
			DETAIL = 'Workflows are resumed by what they wait for.',
			HINT = 'A wait looks back in the log where it is registered with since.';
	END IF;
	-- a list may be given as text
	IF ltrim(path, E' \t\n') LIKE '[%' AND filters IS NULL THEN
		filters := path::jsonb;
		path := NULL;
	END IF;
	PERFORM event_engine.check_match(wanted, path, filters);
	IF EXISTS (SELECT FROM event_engine.event_replays AS r
			WHERE r.subscription_number = own.number
				AND r.status = 'running') THEN
		RAISE EXCEPTION USING ERRCODE = 'VE409',
			MESSAGE = format('a replay to subscription "%s" is running',
				subscriber),
			HINT = 'Wait for its end, or stop it with event_engine.cancel_replay().';
	END IF;

	INSERT INTO event_engine.event_replays AS r (subscription_number,
			subscriber, created_by, since, until, from_seq, to_seq, match,
			filter_path, filters, low_snapshot, low_seq, low_base_seq,
			high_snapshot, high_seq, high_base_seq, epoch, concurrency,
			ordered)
		VALUES (own.number, own.subscriber, caller, since, until, from_seq,
			to_seq, wanted, path, NULLIF(filters, '[]'), range.low_snapshot,
			range.low_seq, range.low_base_seq, range.high_snapshot,
			range.high_seq, range.high_base_seq, own.epoch,
			(own.epochs -> 0 ->> 'concurrency')::integer,
			(own.epochs -> 0 ->> 'ordered')::boolean)
		RETURNING r.id INTO made;
	-- who is called by publishers has no place in the log
	INSERT INTO event_engine.event_replay_cursors AS c
		SELECT DISTINCT ON (m.lane) made, m.lane, m.low_snapshot, m.low_seq,
			m.low_base_seq, m.high_snapshot, m.high_seq, m.high_base_seq,
			m.seq
		FROM (SELECT g.lane, g.move, g.low_snapshot, g.low_seq,
				g.low_base_seq, g.high_snapshot, g.high_seq, g.high_base_seq,
				g.seq
			FROM event_engine.subscription_cursors AS g
			WHERE g.subscription_number = own.number
			UNION ALL
			SELECT a.lane, a.move, a.low_snapshot, a.low_seq,
				a.low_base_seq, a.high_snapshot, a.high_seq, a.high_base_seq,
				a.seq
			FROM event_engine.subscription_cursor_moves AS a
			WHERE a.subscription_number = own.number) AS m
		WHERE m.lane / 1024 = own.epoch
			AND (own.options -> 'immediate')::boolean IS NOT TRUE
		ORDER BY m.lane, m.move DESC;
	PERFORM event_engine.wake_workers();
	PERFORM event_engine.wake_clients(own.number);
	RETURN made;
END
$$;
COMMENT ON FUNCTION event_engine.replay_events_as(oid, text, timestamptz, timestamptz, bigint, bigint, text[], text, jsonb) IS
	'Does the work of replay_events() for the given role.';

/*
 * replay_events: give a subscription again what it has had, beside what is
 * new to it, marked by "replayed": true in the metadata.  No other
 * subscription gets anything.
 *
 *	subscriber		of kind handler or pull
 *	since, until	arrived in this time; the upper bound is not included
 *	from_seq, to_seq	from this position of the log to that, both included
 *	patterns		only these; exact, or with wildcards
 *	filter, filters	only those for which this holds, as for subscribe()
 *
 * What the subscription has not come to yet is left to it: each event that
 * was there when this was called is replayed, or still delivered, and none
 * of them both.  Result: the id of the replay, which goes on by itself.
 * Writes: event_replays, event_replay_cursors; then deliveries.
 */
CREATE FUNCTION event_engine.replay_events(subscriber text,
		since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
		from_seq bigint DEFAULT NULL, to_seq bigint DEFAULT NULL,
		patterns text[] DEFAULT NULL, filter text DEFAULT NULL,
		filters jsonb DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.replay_events(text, timestamptz, timestamptz, bigint, bigint, text[], text, jsonb) IS
	'Gives a subscription past events again, marked as replayed; returns the replay''s id.';

CREATE FUNCTION event_engine.cancel_replay_as(caller oid, id uuid)
	RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found_replay event_engine.event_replays;
BEGIN
	SELECT r.* INTO found_replay FROM event_engine.event_replays AS r
		WHERE r.id = cancel_replay_as.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE409',
			MESSAGE = format('unknown replay %s', COALESCE(id::text, 'null'));
	END IF;
	PERFORM event_engine.movable_subscription(caller, found_replay.subscriber);
	UPDATE event_engine.event_replays AS r
		SET status = 'cancelled', finished_at = clock_timestamp()
		WHERE r.id = cancel_replay_as.id AND r.status = 'running';
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	-- what has been handed over and not been tried yet
	DELETE FROM event_engine.deliveries AS d
		WHERE d.subscription_number = found_replay.subscription_number
			AND d.status = 'retry' AND d.attempts = 0
			AND (d.event).metadata -> 'replayed' = 'true';
	RETURN true;
END
$$;
COMMENT ON FUNCTION event_engine.cancel_replay_as(oid, uuid) IS
	'Does the work of cancel_replay() for the given role.';

/* cancel_replay: nothing of it is delivered any more, but what failed and is
 * retried.  False when it was over already. */
CREATE FUNCTION event_engine.cancel_replay(id uuid) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.cancel_replay(uuid) IS
	'Stops a replay; false when it was over.';

/*
 * stat_replays
 *
 *	replayed	events handed over to delivery
 *	waiting		of these, not delivered yet, for whatever reason
 *	progress	share of its range of the log that has been read
 */
CREATE VIEW event_engine.stat_replays AS
	SELECT r.id, r.subscriber, r.status, r.created_by, r.created_at,
		r.finished_at, r.since, r.until, r.from_seq, r.to_seq, r.replayed,
		(SELECT count(*) FROM event_engine.deliveries AS d
			WHERE r.status IN ('running', 'done')
				AND d.subscription_number = r.subscription_number
				AND (d.event).metadata -> 'replayed' = 'true') AS waiting,
		CASE WHEN r.status = 'done' OR r.high_seq <= r.low_seq THEN 1
			ELSE round(LEAST(GREATEST(r.seq - r.low_seq, 0)::numeric
				/ (r.high_seq - r.low_seq), 1), 3) END AS progress,
		r.error
	FROM event_engine.event_replays AS r;
COMMENT ON VIEW event_engine.stat_replays IS
	'Replays: how far they are, and how they ended.';

/* ---- Seek ---- */

CREATE FUNCTION event_engine.seek_subscription_as(caller oid, subscriber text,
		"to" text, seq bigint)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	own CONSTANT event_engine.subscriptions :=
		event_engine.movable_subscription(caller, subscriber);
	range record;
	totals record;
BEGIN
	IF ("to" IS NULL) = (seq IS NULL) THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'either "to" or seq must be given',
			HINT = '"to" is now, beginning or a timestamp; seq the position of the first event wanted.';
	END IF;
	IF (own.options -> 'immediate')::boolean THEN
		RAISE EXCEPTION USING ERRCODE = 'VE403',
			MESSAGE = format('subscription "%s" has no place in the log',
				subscriber),
			DETAIL = 'Its handler is called by publishers.';
	END IF;
	IF own.kind = 'workflow' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE403',
			MESSAGE = format('dispatcher "%s" cannot be moved', subscriber),
			DETAIL = 'Waits would miss events, or find them only by a look back.';
	END IF;
	range := event_engine.replay_range(
		CASE WHEN "to" NOT IN ('now', 'beginning') THEN "to"::timestamptz END,
		seq);
	IF "to" = 'now' THEN
		range.low_snapshot := range.high_snapshot;
		range.low_seq := range.high_seq;
		range.low_base_seq := range.high_base_seq;
	END IF;

	-- what is behind the new place is met again there
	IF "to" IS DISTINCT FROM 'now' THEN
		DELETE FROM event_engine.deliveries AS d
			WHERE d.subscription_number = own.number
				AND (d.event).seq > range.low_base_seq
				AND NOT pg_visible_in_snapshot((d.event).xid,
					range.low_snapshot)
				AND (seek_subscription_as.seq IS NULL
					OR d.seq >= seek_subscription_as.seq);
		DELETE FROM event_engine.event_leases AS l
			WHERE l.subscription_number = own.number
				AND EXISTS (SELECT FROM unnest(l.seqs) AS u (seq)
					WHERE u.seq > GREATEST(range.low_seq,
						seek_subscription_as.seq - 1));
	END IF;
	WITH moves AS (
		DELETE FROM event_engine.subscription_cursor_moves AS m
			WHERE m.subscription_number = own.number
			RETURNING m.lane, m.move, m.delivered, m.failed, m.dead
	), gathered AS (
		DELETE FROM event_engine.subscription_cursors AS c
			WHERE c.subscription_number = own.number
			RETURNING c.lane, c.move, c.delivered, c.failed, c.dead
	), latest AS (
		SELECT DISTINCT ON (a.lane) a.*
		FROM (SELECT m.* FROM moves AS m
			UNION ALL SELECT g.* FROM gathered AS g) AS a
		WHERE a.lane / 1024 = own.epoch
		ORDER BY a.lane, a.move DESC
	)
	SELECT COALESCE(sum(l.delivered), 0) AS delivered,
			COALESCE(sum(l.failed), 0) AS failed,
			COALESCE(sum(l.dead), 0) AS dead,
			COALESCE(max(l.move), 0) + 1 AS move
		INTO totals FROM latest AS l;
	-- all lanes begin at the new place; numbers go on, so that it is noticed
	INSERT INTO event_engine.subscription_cursors AS c (subscription_number,
			lane, move, low_snapshot, low_seq, low_base_seq, high_snapshot,
			high_seq, high_base_seq, seq, delivered, failed, dead, moved_at)
		VALUES (own.number, own.epoch * 1024 + 1023, totals.move,
			range.low_snapshot, range.low_seq, range.low_base_seq,
			CASE WHEN seq IS NOT NULL THEN range.high_snapshot END,
			CASE WHEN seq IS NOT NULL THEN range.high_seq END,
			CASE WHEN seq IS NOT NULL THEN range.high_base_seq END,
			COALESCE(seq - 1, range.low_seq), totals.delivered,
			totals.failed, totals.dead, clock_timestamp());
	PERFORM event_engine.announce_cursors();
	PERFORM event_engine.wake_workers();
	PERFORM event_engine.wake_clients(own.number);
	PERFORM event_engine.audit_action('moved', 'subscription', own.subscriber,
		jsonb_build_object('to', "to", 'seq', seq));
END
$$;
COMMENT ON FUNCTION event_engine.seek_subscription_as(oid, text, text, bigint) IS
	'Does the work of seek_subscription() for the given role.';

/*
 * seek_subscription: go on from another place in the log.
 *
 *	to		now: leave out all that waits; beginning; or a time: events that
 *			arrived from about a second before it on
 *	seq		instead: from this position of the log on
 *
 * Events behind the new place are delivered, again or for the first time,
 * like new ones: they are not marked.  What waits for another attempt and
 * lies before it stays; what lies behind is met again, so it is forgotten.
 * Receipts of pulling clients for events behind it are void.
 */
CREATE FUNCTION event_engine.seek_subscription(subscriber text,
		"to" text DEFAULT NULL, seq bigint DEFAULT NULL)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.seek_subscription(text, text, bigint) IS
	'Delivers to a subscription from another place in the log on.';
