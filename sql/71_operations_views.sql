/* ------------------------------------------------------------------------
 * Operations: what is going on.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.worker_slots(
		OUT kind text, OUT slot integer, OUT dbid oid, OUT roleid oid,
		OUT pid integer, OUT state text, OUT started_at timestamptz,
		OUT events bigint, OUT batches bigint, OUT failures bigint,
		OUT busy_since timestamptz)
	RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'ee_sql_worker_slots';
COMMENT ON FUNCTION event_engine.worker_slots() IS
	'The processes of event_engine in this server; none where the library was not preloaded.';

/*
 * stat_workers: of all databases.
 *
 *	kind		launcher (one a server), router (one a database), executor (one
 *				a role with subscriptions, while there is work), worker (where
 *				the library is not preloaded: start_event_worker(), of this
 *				database)
 *	state		starting | running | busy
 *	events, batches, failures	of an executor since it was started; failures
 *				are rounds that were rolled back
 *	busy_for	since when it has been at its round: a batch of one subscription
 */
CREATE VIEW event_engine.stat_workers AS
	SELECT w.kind, d.datname AS database, r.rolname AS role, w.pid, w.state,
		w.started_at, w.events, w.batches, w.failures,
		pg_catalog.clock_timestamp() - w.busy_since AS busy_for
	FROM event_engine.worker_slots() AS w
	LEFT JOIN pg_catalog.pg_database AS d ON d.oid = w.dbid
	LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = w.roleid
	UNION ALL
	SELECT 'worker', pg_catalog.current_database(), r.rolname, w.pid,
		'running', a.backend_start, NULL, NULL, NULL, NULL
	FROM event_engine.event_workers AS w
	LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = w.roleid
	LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = w.pid;
COMMENT ON VIEW event_engine.stat_workers IS
	'The processes of event_engine in this server, and what they are doing.';

CREATE FUNCTION event_engine.subscription_counters(
		number integer, id uuid, OUT since timestamptz, OUT delivered bigint,
		OUT failed bigint, OUT delivered_rate float8, OUT failed_rate float8,
		OUT latency_p50 float8, OUT latency_p95 float8, OUT latency_p99 float8,
		OUT latency_buckets bigint[], OUT latency_sum float8,
		OUT in_flight integer, OUT breaker text, OUT breaker_since timestamptz,
		OUT breaker_retry_at timestamptz, OUT breaker_opened bigint)
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_counters';
COMMENT ON FUNCTION event_engine.subscription_counters(integer, uuid) IS
	'What processes know together of a subscription: counted since the server was started, in flight where that is limited, and its circuit breaker.';

/* A function of its own for the sake of its estimate, which is of few rows. */
CREATE FUNCTION event_engine.epoch_lanes(epochs jsonb) RETURNS SETOF integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 4
	SET search_path = pg_catalog, pg_temp AS $$
SELECT generate_series(0, (epochs -> 0 ->> 'concurrency')::integer * 4 - 1)
$$;
COMMENT ON FUNCTION event_engine.epoch_lanes(jsonb) IS
	'The lanes of the present epoch of a subscription.';

/*
 * stat_subscriptions
 *
 *	delivered, failed, dead		events, over the life of the subscription;
 *				failed counts attempts
 *	pending, parked, leased		events that are retried or delayed, that wait
 *				behind one of the same key, that a pulling client holds
 *	dead_letters	that nobody has decided on
 *	lag			positions of the log not yet looked at: an upper bound of the
 *				events that wait, since they may be of other patterns; it
 *				stays when nothing of the subscription's is among them; of the
 *				lane that is furthest behind
 *	last_error	of the latest failure that is still to be retried
 *	moved_at	when the subscription last got on in the log
 *	delivered_rate, failed_rate		per second, over about the last minute
 *	latency_p50, latency_p95, latency_p99	milliseconds from the arrival of an
 *				event to its delivery, over the last five to ten minutes; null
 *				where nothing was delivered
 *	breaker		closed | open | half_open; of kind handler
 *	breaker_retry_at	when an attempt is made again
 *
 * The rates and latencies are known where the library was preloaded.
 */
CREATE VIEW event_engine.stat_subscriptions AS
	SELECT s.subscriber, s.kind, s.status, s.status_reason, s.owner,
		c.delivered + COALESCE(n.delivered, 0) AS delivered,
		c.failed + COALESCE(n.failed, 0) AS failed,
		c.dead + COALESCE(n.dead, 0) AS dead,
		COALESCE(d.pending, 0) AS pending,
		COALESCE(d.parked, 0) AS parked,
		COALESCE(d.leased, 0) + COALESCE(l.leased, 0) AS leased,
		COALESCE(x.dead_letters, 0) AS dead_letters,
		CASE WHEN (s.options -> 'immediate')::boolean THEN 0
			ELSE GREATEST(p.last - c.seq, 0) END AS lag,
		d.next_attempt_at, d.last_error, c.moved_at,
		COALESCE(r.delivered_rate, 0) AS delivered_rate,
		COALESCE(r.failed_rate, 0) AS failed_rate,
		r.latency_p50, r.latency_p95, r.latency_p99,
		CASE WHEN s.kind = 'handler' THEN COALESCE(r.breaker, 'closed') END
			AS breaker,
		r.breaker_retry_at
	FROM event_engine.subscriptions AS s
	CROSS JOIN (SELECT CASE WHEN q.is_called THEN q.last_value
			ELSE q.last_value - 1 END AS last
		FROM event_engine.event_seq AS q) AS p
	LEFT JOIN event_engine.subscription_cursors AS o
		ON o.subscription_number = s.number AND o.lane = s.epoch * 1024 + 1023
	CROSS JOIN LATERAL (
		SELECT o.delivered + COALESCE(sum(m.delivered), 0)::bigint AS delivered,
			o.failed + COALESCE(sum(m.failed), 0)::bigint AS failed,
			o.dead + COALESCE(sum(m.dead), 0)::bigint AS dead,
			-- urgent and low events are few: their idle lanes stay behind
			min(CASE WHEN m.move IS NULL THEN o.low_seq
				WHEN m.high_seq IS NULL THEN m.low_seq
				ELSE GREATEST(m.low_seq, LEAST(m.seq, m.high_seq)) END)
				FILTER (WHERE l.lane % 4 = 2) AS seq,
			GREATEST(o.moved_at, max(m.moved_at)) AS moved_at
		FROM event_engine.epoch_lanes(s.epochs) AS l (lane)
		LEFT JOIN LATERAL (
			(SELECT a.move, a.low_seq, a.high_seq, a.seq, a.delivered,
				a.failed, a.dead, a.moved_at
			FROM event_engine.subscription_cursor_moves AS a
			WHERE a.subscription_number = s.number
				AND a.lane = s.epoch * 1024 + l.lane
			ORDER BY a.move DESC LIMIT 1)
			UNION ALL
			(SELECT g.move, g.low_seq, g.high_seq, g.seq, g.delivered,
				g.failed, g.dead, g.moved_at
			FROM event_engine.subscription_cursors AS g
			WHERE g.subscription_number = s.number
				AND g.lane = s.epoch * 1024 + l.lane)
			ORDER BY move DESC LIMIT 1) AS m ON true) AS c
	LEFT JOIN (
		SELECT o.subscription_number, sum(o.delivered)::bigint AS delivered,
			sum(o.failed)::bigint AS failed, sum(o.dead)::bigint AS dead
		FROM event_engine.delivery_counts AS o
		GROUP BY o.subscription_number) AS n ON n.subscription_number = s.number
	LEFT JOIN (
		SELECT e.subscription_number,
			count(*) FILTER (WHERE e.status IN ('retry', 'delayed')) AS pending,
			count(*) FILTER (WHERE e.status = 'parked') AS parked,
			count(*) FILTER (WHERE e.status = 'leased') AS leased,
			min(e.next_attempt_at) FILTER (WHERE e.status IN ('retry', 'delayed'))
				AS next_attempt_at,
			(array_agg(e.last_error ORDER BY e.updated_at DESC)
				FILTER (WHERE e.last_error IS NOT NULL))[1] AS last_error
		FROM event_engine.deliveries AS e
		GROUP BY e.subscription_number) AS d ON d.subscription_number = s.number
	LEFT JOIN (
		SELECT h.subscription_number,
			sum(cardinality(h.seqs))::bigint AS leased
		FROM event_engine.event_leases AS h
		GROUP BY h.subscription_number) AS l ON l.subscription_number = s.number
	LEFT JOIN (
		SELECT t.subscriber, count(*) AS dead_letters
		FROM event_engine.event_dead_letters AS t
		WHERE t.status = 'dead'
		GROUP BY t.subscriber) AS x ON x.subscriber = s.subscriber
	CROSS JOIN LATERAL event_engine.subscription_counters(s.number, s.id) AS r;
COMMENT ON VIEW event_engine.stat_subscriptions IS
	'How each subscription is getting on: delivered, failed, waiting, lag.';

/*
 * The latest of the moves of each lane that has any.  From one lane to the
 * next by the index: what it costs goes by the lanes, not by the moves, and
 * the planner cannot know how large a table is that was just emptied.
 */
CREATE FUNCTION event_engine.latest_moves()
	RETURNS TABLE (subscription_number integer, lane integer, low_seq bigint,
		high_seq bigint, seq bigint, delivered bigint, failed bigint,
		dead bigint, moved_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_bitmapscan = off
	SET enable_sort = off AS $$
WITH RECURSIVE latest AS (
	(SELECT m.* FROM event_engine.subscription_cursor_moves AS m
	ORDER BY m.subscription_number DESC, m.lane DESC, m.move DESC LIMIT 1)
	UNION ALL
	SELECT n.* FROM latest AS l
	CROSS JOIN LATERAL (
		SELECT m.* FROM event_engine.subscription_cursor_moves AS m
		WHERE (m.subscription_number, m.lane) < (l.subscription_number, l.lane)
		ORDER BY m.subscription_number DESC, m.lane DESC, m.move DESC
		LIMIT 1) AS n)
SELECT l.subscription_number, l.lane, l.low_seq, l.high_seq, l.seq,
	l.delivered, l.failed, l.dead, l.moved_at
FROM latest AS l
$$;
COMMENT ON FUNCTION event_engine.latest_moves() IS
	'Internal: where the lanes stand that have moved since their moves were last gathered.';

/*
 * subscription_progress: what stat_subscriptions says of the cursors, of all
 * subscriptions at once, for who asks for all of them.
 */
CREATE FUNCTION event_engine.subscription_progress()
	RETURNS TABLE (subscription_number integer, delivered bigint,
		failed bigint, dead bigint, seq bigint, moved_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off AS $$
WITH lanes AS (
	SELECT c.subscription_number, c.lane,
		COALESCE(m.delivered, c.delivered) AS delivered,
		COALESCE(m.failed, c.failed) AS failed,
		COALESCE(m.dead, c.dead) AS dead,
		COALESCE(m.low_seq, c.low_seq) AS low_seq,
		CASE WHEN m.lane IS NULL THEN c.high_seq ELSE m.high_seq END AS high_seq,
		COALESCE(m.seq, c.seq) AS seq,
		COALESCE(m.moved_at, c.moved_at) AS moved_at
	FROM (SELECT COALESCE(g.subscription_number, l.subscription_number)
				AS subscription_number, COALESCE(g.lane, l.lane) AS lane,
			g.delivered, g.failed, g.dead, g.low_seq, g.high_seq, g.seq,
			g.moved_at, l AS moved
		FROM event_engine.subscription_cursors AS g
		FULL JOIN event_engine.latest_moves() AS l
			USING (subscription_number, lane)) AS c
	CROSS JOIN LATERAL (SELECT (c.moved).*) AS m
)
SELECT s.number, sum(l.delivered)::bigint, sum(l.failed)::bigint,
	sum(l.dead)::bigint,
	LEAST(min(CASE WHEN l.high_seq IS NULL THEN l.low_seq
			ELSE GREATEST(l.low_seq, LEAST(l.seq, l.high_seq)) END)
			FILTER (WHERE l.lane % 4 = 2),
		CASE WHEN count(*) FILTER (WHERE l.lane % 4 = 2)
				< (s.epochs -> 0 ->> 'concurrency')::integer
			THEN min(l.low_seq) FILTER (WHERE l.lane % 1024 = 1023) END),
	max(l.moved_at)
FROM event_engine.subscriptions AS s
JOIN lanes AS l ON l.subscription_number = s.number
	AND l.lane / 1024 = s.epoch
GROUP BY s.number, s.epochs
$$;
COMMENT ON FUNCTION event_engine.subscription_progress() IS
	'What the cursors of all subscriptions have come to.';

/*
 * stat_partitions
 *
 *	lower, upper	of created_at; null for the default partition
 *	events			an estimate, as of the latest ANALYZE or vacuum
 *	size			with indexes and TOAST, in bytes
 *	sealed_at		since when it takes no event
 *	min_seq, max_seq	of a sealed one
 */
CREATE VIEW event_engine.stat_partitions AS
	SELECT c.oid::regclass AS partition, p.lower, p.upper,
		NULLIF(c.reltuples, -1)::bigint AS events,
		pg_catalog.pg_total_relation_size(c.oid) AS size,
		p.sealed_at, p.min_seq, p.max_seq
	FROM pg_catalog.pg_inherits AS i
	JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
	LEFT JOIN event_engine.event_partitions AS p ON p.relid = c.oid
	WHERE i.inhparent = 'event_engine.events'::regclass;
COMMENT ON VIEW event_engine.stat_partitions IS
	'The partitions of the log: bounds, size, state.';

CREATE FUNCTION event_engine.queue_pressure(OUT pressure text,
		OUT depth bigint)
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'ee_sql_queue_pressure';
COMMENT ON FUNCTION event_engine.queue_pressure() IS
	'How many events wait for the slowest subscription, and whether that is none, high or full for publishers; known where event_engine.store_max_queue_depth or store_high_watermark is set.';

/*
 * health: is it working?
 *
 *	status		healthy
 *				degraded: something waits for an operator (dead letters, broken
 *				subscriptions)
 *				unhealthy: nothing is being delivered, or by nobody
 *	problems	each in a sentence
 */
CREATE FUNCTION event_engine.health() RETURNS jsonb
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	installed CONSTANT text := (SELECT e.extversion FROM pg_extension AS e
		WHERE e.extname = 'event_engine');
	problems text[] := '{}';
	severe boolean := false;
	workers record;
	totals record;
	registry record;
	queue record;
	stranded bigint;
BEGIN
	SELECT count(*) FILTER (WHERE w.kind = 'launcher') AS launcher,
			count(*) FILTER (WHERE w.kind = 'router' AND w.state <> 'starting'
				AND w.database = current_database()) AS router,
			count(*) FILTER (WHERE w.kind = 'executor'
				AND w.database = current_database()) AS executors,
			count(*) FILTER (WHERE w.kind = 'executor' AND w.state = 'busy'
				AND w.database = current_database()) AS busy,
			count(*) FILTER (WHERE w.kind = 'worker') AS event_workers,
			(SELECT string_agg(DISTINCT s.owner::text, ', ')
				FROM event_engine.subscriptions AS s
				WHERE s.kind <> 'pull' AND s.status = 'active'
					AND s.owner NOT IN (SELECT e.roleid
						FROM event_engine.event_workers AS e)) AS without
		INTO workers FROM event_engine.stat_workers AS w;
	SELECT s.*, p.delivered + n.delivered AS delivered,
			p.failed + n.failed AS failed, p.moved_at,
			(SELECT count(*) FROM event_engine.deliveries AS e
				WHERE e.status IN ('retry', 'delayed')) AS pending
		INTO totals
		FROM (SELECT count(*) AS subscriptions,
				count(*) FILTER (WHERE s.status = 'active') AS active,
				count(*) FILTER (WHERE s.status = 'paused') AS paused,
				count(*) FILTER (WHERE s.status = 'broken') AS broken,
				count(*) FILTER (WHERE s.kind <> 'pull') AS worked,
				count(*) FILTER (WHERE s.kind = 'handler') AS handlers,
				count(*) FILTER (WHERE s.kind = 'handler'
					AND s.status = 'active'
					AND (event_engine.subscription_counters(s.number, s.id)).breaker
						<> 'closed') AS open
			FROM event_engine.subscriptions AS s) AS s,
			(SELECT COALESCE(sum(p.delivered), 0) AS delivered,
				COALESCE(sum(p.failed), 0) AS failed,
				max(p.moved_at) AS moved_at
			FROM event_engine.subscription_progress() AS p) AS p,
			(SELECT COALESCE(sum(n.delivered), 0) AS delivered,
				COALESCE(sum(n.failed), 0) AS failed
			FROM event_engine.delivery_counts AS n
			JOIN event_engine.subscriptions AS s
				ON s.number = n.subscription_number) AS n;
	SELECT count(*) AS definitions INTO registry
		FROM event_engine.event_definitions;
	SELECT count(*) INTO stranded FROM (SELECT FROM event_engine.event_dead_letters
		AS d WHERE d.status = 'dead' LIMIT 100000) AS d;

	IF installed <> event_engine.library_version() THEN
		problems := problems || format('The library is version %s, the extension %s: workers wait for ALTER EXTENSION event_engine UPDATE.',
			event_engine.library_version(), installed);
		severe := true;
	ELSIF NOT current_setting('shared_preload_libraries') ~ '\yevent_engine\y' THEN
		IF workers.without IS NOT NULL THEN
			problems := problems || format('No workers for %s: the library is not preloaded; events are delivered by process_batch() and start_event_worker() only.', workers.without);
			severe := true;
		END IF;
	ELSIF totals.worked > 0 AND workers.launcher = 0 THEN
		problems := problems || 'The launcher is not running.'::text;
		severe := true;
	ELSIF totals.worked > 0 AND workers.router = 0 THEN
		problems := problems || 'The router of this database is not running.'::text;
		severe := true;
	END IF;
	IF NOT current_setting('event_engine.delivery_enabled', true)::boolean THEN
		problems := problems || 'Delivery is turned off by event_engine.delivery_enabled.'::text;
		severe := true;
	END IF;
	problems := problems || ARRAY(SELECT format('The handler of subscription "%s" has been running for more than 5 s.', a.query)
		FROM event_engine.stat_workers AS w
		JOIN pg_stat_activity AS a ON a.pid = w.pid
		WHERE w.kind = 'executor' AND w.database = current_database()
			AND w.busy_for > interval '5 s'
		ORDER BY a.query);
	IF totals.broken > 0 THEN
		problems := problems || format('%s subscription(s) are broken.', totals.broken);
	END IF;
	SELECT q.* INTO queue FROM event_engine.queue_pressure() AS q;
	IF queue.pressure <> 'none' THEN
		problems := problems || format(CASE queue.pressure
			WHEN 'full' THEN 'The queue is full: %s events or more wait for a subscription.'
			ELSE 'The queue is long: %s events or more wait for a subscription.' END,
			queue.depth);
	END IF;
	IF totals.open > 0 THEN
		problems := problems || format('The circuit breaker of %s subscription(s) is open: their handlers fail.', totals.open);
	END IF;
	IF stranded > 0 THEN
		problems := problems || format('%s dead letter(s) wait for a decision.', stranded);
	END IF;
	RETURN jsonb_build_object(
		'status', CASE WHEN severe THEN 'unhealthy'
			WHEN problems <> '{}' THEN 'degraded' ELSE 'healthy' END,
		'service', 'event_engine',
		'version', installed,
		'timestamp', clock_timestamp(),
		'uptime', extract(epoch FROM date_trunc('seconds',
			clock_timestamp() - pg_postmaster_start_time()))::bigint,
		'problems', problems,
		'stats', jsonb_build_object(
			'totalProcessed', totals.delivered + totals.failed,
			'successCount', totals.delivered,
			'errorCount', totals.failed,
			'pendingCount', totals.pending,
			'deadLetterCount', stranded,
			'lastProcessedAt', totals.moved_at),
		'config', jsonb_build_object(
			'enabled', current_setting('event_engine.delivery_enabled')::boolean,
			'pollingInterval', current_setting('event_engine.delivery_poll_interval'),
			'payloadLimit', current_setting('event_engine.store_max_payload'),
			'maxQueueDepth', current_setting('event_engine.store_max_queue_depth')::integer,
			'highWatermark', current_setting('event_engine.store_high_watermark')::integer,
			'backpressure', current_setting('event_engine.store_backpressure'),
			'retention', current_setting('event_engine.operations_retention')),
		'workers', jsonb_build_object(
			'launcher', workers.launcher > 0,
			'router', workers.router > 0,
			'executors', workers.executors,
			'eventWorkers', workers.event_workers,
			'busy', workers.busy),
		'registry', jsonb_build_object(
			'eventTypes', registry.definitions,
			'totalHandlers', totals.handlers,
			'subscriptions', totals.subscriptions,
			'active', totals.active,
			'paused', totals.paused,
			'broken', totals.broken));
END
$$;
COMMENT ON FUNCTION event_engine.health() IS
	'Is it working? Status healthy, degraded or unhealthy, the problems, and figures.';
