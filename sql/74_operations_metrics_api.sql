/* ------------------------------------------------------------------------
 * Operations: metrics for Prometheus, and whatever reads its format.
 * ------------------------------------------------------------------------ */

/*
 * metric_sample: a line of the text exposition format.
 *
 *	labels		name, value, name, value, ...
 *	value		null gives no line
 */
CREATE FUNCTION event_engine.metric_sample(name text, labels text[],
		value float8)
	RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_metric_sample';
COMMENT ON FUNCTION event_engine.metric_sample(text, text[], float8) IS
	'Internal: a line of the text format of Prometheus.';

/* The upper bounds, in seconds, of subscription_counters.latency_buckets. */
CREATE FUNCTION event_engine.latency_bounds() RETURNS float8[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
SELECT array_agg((1 << n) / 1e6 ORDER BY n) || '{Infinity}'::float8[]
FROM generate_series(8, 26, 2) AS n
$$;
COMMENT ON FUNCTION event_engine.latency_bounds() IS
	'Internal: upper bounds of the buckets of latencies, in seconds.';

/*
 * metric_lines: the samples of a family that have these labels, and one more,
 * with a value each.
 *
 *	label, texts	that one more, and its texts; null where there is none
 */
CREATE FUNCTION event_engine.metric_lines(name text, labels text[],
		label text, texts text[], "values" float8[])
	RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
SELECT string_agg(event_engine.metric_sample(name,
	labels || CASE WHEN label IS NOT NULL THEN ARRAY[label, u.text] END,
	u.value), '' ORDER BY u.place)
FROM unnest("values", texts) WITH ORDINALITY AS u (value, text, place)
$$;
COMMENT ON FUNCTION event_engine.metric_lines(text, text[], text, text[], float8[]) IS
	'Internal: lines of the text format of Prometheus that differ in one label.';

/*
 * other_subscriptions: what the subscriptions of higher numbers come to together.
 *
 *	active		whether all are
 *	lag			of the one that is furthest behind
 */
CREATE FUNCTION event_engine.other_subscriptions(after integer,
		OUT active boolean, OUT pending bigint, OUT parked bigint,
		OUT leased bigint, OUT dead_letters bigint, OUT lag bigint)
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off AS $$
WITH others AS MATERIALIZED (
	SELECT s.number, s.subscriber, s.status, s.options
	FROM event_engine.subscriptions AS s WHERE s.number > after
)
SELECT (SELECT bool_and(o.status = 'active') FROM others AS o),
	e.pending, e.parked, e.leased + (SELECT COALESCE(sum(cardinality(h.seqs)), 0)
		FROM event_engine.event_leases AS h
		JOIN others AS o ON o.number = h.subscription_number),
	(SELECT count(*) FROM event_engine.event_dead_letters AS t
		JOIN others AS o ON o.subscriber = t.subscriber
		WHERE t.status = 'dead'),
	(SELECT GREATEST(max(CASE WHEN q.is_called THEN q.last_value
			ELSE q.last_value - 1 END - p.seq), 0)
		FROM event_engine.subscription_progress() AS p
		JOIN others AS o ON o.number = p.subscription_number
			AND NOT COALESCE((o.options -> 'immediate')::boolean, false)
		CROSS JOIN event_engine.event_seq AS q)
FROM (SELECT
		count(*) FILTER (WHERE e.status IN ('retry', 'delayed')) AS pending,
		count(*) FILTER (WHERE e.status = 'parked') AS parked,
		count(*) FILTER (WHERE e.status = 'leased') AS leased
	FROM event_engine.deliveries AS e
	JOIN others AS o ON o.number = e.subscription_number) AS e
$$;
COMMENT ON FUNCTION event_engine.other_subscriptions(integer) IS
	'Internal: what very many subscriptions come to together, for metrics().';

/*
 * metrics: all figures of this database in the text exposition format of
 * Prometheus (version 0.0.4).  One metric stands for one column of a
 * statistics view.  Cheap enough to be read every second; what is counted in
 * shared memory starts anew with the server, as a counter may.
 *
 *	max_subscribers		how many subscriptions have series of their own: the
 *					oldest, so that a new one changes nobody's.  All others
 *					share those without the label: sums, the greatest lag and
 *					age, and whether all are active.  They have no counters, as
 *					a sum would go back with each that leaves; those of the
 *					patterns count all.
 *
 * Each view gives rows of the same shape: a family with its number n, which
 * says where it stands, and lines of it, which stand in order of their labels.
 */
CREATE FUNCTION event_engine.metrics(max_subscribers integer DEFAULT 1000)
	RETURNS text
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off AS $$
DECLARE
	bounds CONSTANT float8[] := event_engine.latency_bounds();
	health CONSTANT jsonb := event_engine.health();
	own text[];
	last integer;
	others boolean;
BEGIN
	SELECT COALESCE(array_agg(s.subscriber::text), '{}'),
			COALESCE(max(s.number), -1)
		INTO own, last
		FROM (SELECT s.subscriber, s.number FROM event_engine.subscriptions AS s
			ORDER BY s.number LIMIT GREATEST(max_subscribers, 0)) AS s;
	others := (health #>> '{registry,subscriptions}')::bigint > cardinality(own);
	RETURN (
	SELECT string_agg(format(E'# HELP %1$s %2$s\n# TYPE %1$s %3$s\n%4$s', f.family,
		f.help, f.type, f.lines), '' ORDER BY f.n)
	FROM (
	SELECT g.n, g.family, g.type, g.help,
		string_agg(g.lines, '' ORDER BY g.labels) AS lines
	FROM (
	SELECT m.n, m.family, 'gauge' AS type, m.help, '{}'::text[] AS labels,
		event_engine.metric_lines(m.family, NULL, m.label, m.texts, m.values) AS lines
	FROM (VALUES
		(1, 'event_engine_info', 'Version of the extension.',
			'version', ARRAY[health ->> 'version'], '{1}'::float8[]),
		(2, 'event_engine_health',
			'1 for the present state of the engine, 0 for the others.',
			'status', '{degraded,healthy,unhealthy}',
			ARRAY[(health ->> 'status' = 'degraded')::integer,
				(health ->> 'status' = 'healthy')::integer,
				(health ->> 'status' = 'unhealthy')::integer])
		) AS m (n, family, help, label, texts, "values")
	UNION ALL
	SELECT m.n, m.family, 'counter', m.help, l.labels,
		event_engine.metric_lines(m.family, l.labels, m.label, m.texts, m.values)
	FROM event_engine.stat_sources AS s
	CROSS JOIN LATERAL (SELECT ARRAY['pattern', s.pattern,
		'source_type', s.source_type]) AS l (labels)
	CROSS JOIN LATERAL (VALUES
		(10, 'event_engine_events_published_total',
			'Events whose transaction committed, since the server was started.',
			NULL, NULL::text[], ARRAY[s.published]::float8[]),
		(11, 'event_engine_events_refused_total',
			'Events that were not valid, since the server was started.',
			NULL, NULL, ARRAY[s.refused]),
		(12, 'event_engine_deliveries_total',
			'Deliveries by outcome, since the server was started.',
			'outcome', '{delivered,failed,dead}',
			ARRAY[s.delivered, s.failed, s.dead])
		) AS m (n, family, help, label, texts, "values")
	UNION ALL
	SELECT m.n, m.family, m.type, m.help, l.labels, CASE WHEN m.label IS NULL
		THEN event_engine.metric_sample(m.family, l.labels, m.values[1])
		ELSE event_engine.metric_lines(m.family, l.labels, m.label, m.texts,
			m.values) END
	FROM (SELECT s.subscriber, s.delivered, s.failed, s.dead,
			s.status = 'active' AS active, s.pending, s.parked, s.leased,
			s.lag, s.dead_letters
		FROM event_engine.stat_subscriptions AS s
		WHERE s.subscriber::text = ANY (own)
		UNION ALL
		SELECT NULL, NULL, NULL, NULL, o.active, o.pending, o.parked, o.leased,
			o.lag, o.dead_letters
		FROM event_engine.other_subscriptions(last) AS o
		WHERE others) AS s
	CROSS JOIN LATERAL (SELECT CASE WHEN s.subscriber IS NULL THEN '{}'
		ELSE ARRAY['subscriber', s.subscriber] END) AS l (labels)
	CROSS JOIN LATERAL (VALUES
		(20, 'event_engine_subscription_delivered_total', 'counter',
			'Events delivered, over the life of the subscription.',
			NULL, NULL::text[], ARRAY[s.delivered]::float8[]),
		(21, 'event_engine_subscription_failed_total', 'counter',
			'Attempts that failed, over the life of the subscription.',
			NULL, NULL, ARRAY[s.failed]),
		(22, 'event_engine_subscription_dead_total', 'counter',
			'Events given up, over the life of the subscription.',
			NULL, NULL, ARRAY[s.dead]),
		(23, 'event_engine_subscription_active', 'gauge',
			'1 while the subscription is active, 0 when it is paused or broken.',
			NULL, NULL, ARRAY[s.active::integer]),
		(24, 'event_engine_subscription_waiting_events', 'gauge',
			'Events that are retried or delayed (pending), parked behind one of their key, or leased.',
			'state', '{pending,parked,leased}',
			ARRAY[s.pending, s.parked, s.leased]),
		(25, 'event_engine_subscription_lag_positions', 'gauge',
			'Positions of the log behind the cursor of the subscription.',
			NULL, NULL, ARRAY[s.lag]),
		(26, 'event_engine_subscription_dead_letters', 'gauge',
			'Dead letters that nobody has decided on.',
			NULL, NULL, ARRAY[s.dead_letters])
		) AS m (n, family, type, help, label, texts, "values")
	UNION ALL
	SELECT 30, m.family, 'gauge',
		'Age of the oldest event in the log that the subscription has yet to take; 0 where there is none.',
		a.labels, event_engine.metric_sample(m.family, a.labels,
			COALESCE(extract(epoch FROM clock_timestamp() - a.oldest_at), 0)::float8)
	FROM (VALUES ('event_engine_subscription_oldest_age_seconds')) AS m (family)
	CROSS JOIN (SELECT ARRAY['subscriber', s.subscriber]::text[] AS labels,
			b.oldest_at
		FROM event_engine.subscriptions AS s
		CROSS JOIN LATERAL event_engine.subscription_backlog(s.number, 1) AS b
		WHERE s.number <= last
		UNION ALL
		SELECT '{}', (SELECT min(w.oldest_at)
			FROM event_engine.waiting_since(clock_timestamp()) AS w
			WHERE w.subscription_number > last)
		WHERE others) AS a
	UNION ALL
	SELECT 31, m.family, 'histogram',
		'Time from the arrival of an event to its delivery.',
		l.labels, event_engine.metric_lines(m.family || '_bucket', l.labels,
				'le', replace(bounds::text, 'Infinity', '+Inf')::text[],
				c.latency_buckets)
			|| event_engine.metric_sample(m.family || '_sum', l.labels,
				c.latency_sum)
			|| event_engine.metric_sample(m.family || '_count', l.labels,
				c.latency_buckets[cardinality(bounds)])
	FROM (VALUES ('event_engine_delivery_latency_seconds')) AS m (family)
	CROSS JOIN event_engine.subscriptions AS s
	CROSS JOIN LATERAL (SELECT ARRAY['subscriber', s.subscriber]) AS l (labels)
	CROSS JOIN LATERAL event_engine.subscription_counters(s.number, s.id) AS c
	WHERE s.number <= last
	UNION ALL
	SELECT 40, m.family, 'gauge',
		'Processes of this database by kind and state; the launcher is the server''s.',
		l.labels, event_engine.metric_sample(m.family, l.labels, count(*))
	FROM (VALUES ('event_engine_workers')) AS m (family)
	CROSS JOIN event_engine.stat_workers AS w
	CROSS JOIN LATERAL (SELECT ARRAY['kind', w.kind, 'state', w.state]) AS l (labels)
	WHERE w.database IS NULL OR w.database = current_database()
	GROUP BY m.family, l.labels
	UNION ALL
	SELECT m.n, m.family, 'gauge', m.help, '{}',
		event_engine.metric_sample(m.family, NULL, m.value)
	FROM (SELECT count(*) AS partitions, COALESCE(sum(p.size), 0) AS bytes
		FROM event_engine.stat_partitions AS p) AS p
	CROSS JOIN LATERAL (VALUES
		(50, 'event_engine_partitions', 'Partitions of the log.',
			p.partitions::float8),
		(51, 'event_engine_log_bytes', 'Size of the log with its indexes.',
			p.bytes)
		) AS m (n, family, help, value)
	) AS g
	GROUP BY g.n, g.family, g.type, g.help) AS f);
END
$$;
COMMENT ON FUNCTION event_engine.metrics(integer) IS
	'All figures of this database in the text format of Prometheus; of so many subscriptions each its own.';
