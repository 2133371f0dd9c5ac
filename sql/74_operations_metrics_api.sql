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

/* metric_family: its head, and its samples where there are any. */
CREATE FUNCTION event_engine.metric_family(name text, type text, help text,
		samples text)
	RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
SELECT COALESCE(format(E'# HELP %s %s\n# TYPE %s %s\n%s', name, help, name,
	type, NULLIF(samples, '')), '')
$$;
COMMENT ON FUNCTION event_engine.metric_family(text, text, text, text) IS
	'Internal: a family of metrics in the text format of Prometheus.';

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
 * metrics: all figures of this database in the text exposition format of
 * Prometheus (version 0.0.4).  One metric stands for one column of a
 * statistics view.  Cheap enough to be read every second; what is counted in
 * shared memory starts anew with the server, as a counter may.
 */
CREATE FUNCTION event_engine.metrics() RETURNS text
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off AS $$
DECLARE
	families text := '';
	bounds CONSTANT float8[] := event_engine.latency_bounds();
	health CONSTANT jsonb := event_engine.health();
BEGIN
	families := event_engine.metric_family('event_engine_info', 'gauge',
			'Version of the extension.',
			event_engine.metric_sample('event_engine_info',
				ARRAY['version', health ->> 'version'], 1))
		|| event_engine.metric_family('event_engine_health', 'gauge',
			'1 for the present state of the engine, 0 for the others.',
			(SELECT string_agg(event_engine.metric_sample('event_engine_health',
				ARRAY['status', s], (s = health ->> 'status')::integer), ''
				ORDER BY s)
			FROM unnest('{healthy,degraded,unhealthy}'::text[]) AS s));

	families := families || (
		SELECT event_engine.metric_family('event_engine_events_published_total',
				'counter', 'Events whose transaction committed, since the server was started.',
				string_agg(event_engine.metric_sample('event_engine_events_published_total',
					ARRAY['pattern', s.pattern, 'source_type', s.source_type],
					s.published), '' ORDER BY s.pattern, s.source_type))
			|| event_engine.metric_family('event_engine_events_refused_total',
				'counter', 'Events that were not valid, since the server was started.',
				string_agg(event_engine.metric_sample('event_engine_events_refused_total',
					ARRAY['pattern', s.pattern, 'source_type', s.source_type],
					s.refused), '' ORDER BY s.pattern, s.source_type))
			|| event_engine.metric_family('event_engine_deliveries_total',
				'counter', 'Deliveries by outcome, since the server was started.',
				string_agg(event_engine.metric_sample('event_engine_deliveries_total',
						ARRAY['pattern', s.pattern, 'source_type', s.source_type,
							'outcome', 'delivered'], s.delivered)
					|| event_engine.metric_sample('event_engine_deliveries_total',
						ARRAY['pattern', s.pattern, 'source_type', s.source_type,
							'outcome', 'failed'], s.failed)
					|| event_engine.metric_sample('event_engine_deliveries_total',
						ARRAY['pattern', s.pattern, 'source_type', s.source_type,
							'outcome', 'dead'], s.dead),
					'' ORDER BY s.pattern, s.source_type))
		FROM event_engine.stat_sources AS s);

	families := families || (
		SELECT event_engine.metric_family('event_engine_subscription_delivered_total',
				'counter', 'Events delivered, over the life of the subscription.',
				string_agg(event_engine.metric_sample('event_engine_subscription_delivered_total',
					ARRAY['subscriber', s.subscriber], s.delivered), ''))
			|| event_engine.metric_family('event_engine_subscription_failed_total',
				'counter', 'Attempts that failed, over the life of the subscription.',
				string_agg(event_engine.metric_sample('event_engine_subscription_failed_total',
					ARRAY['subscriber', s.subscriber], s.failed), ''))
			|| event_engine.metric_family('event_engine_subscription_dead_total',
				'counter', 'Events given up, over the life of the subscription.',
				string_agg(event_engine.metric_sample('event_engine_subscription_dead_total',
					ARRAY['subscriber', s.subscriber], s.dead), ''))
			|| event_engine.metric_family('event_engine_subscription_active',
				'gauge', '1 while the subscription is active, 0 when it is paused or broken.',
				string_agg(event_engine.metric_sample('event_engine_subscription_active',
					ARRAY['subscriber', s.subscriber],
					(s.status = 'active')::integer), ''))
			|| event_engine.metric_family('event_engine_subscription_waiting_events',
				'gauge', 'Events that are retried or delayed (pending), parked behind one of their key, or leased.',
				string_agg(event_engine.metric_sample('event_engine_subscription_waiting_events',
						ARRAY['subscriber', s.subscriber, 'state', 'pending'], s.pending)
					|| event_engine.metric_sample('event_engine_subscription_waiting_events',
						ARRAY['subscriber', s.subscriber, 'state', 'parked'], s.parked)
					|| event_engine.metric_sample('event_engine_subscription_waiting_events',
						ARRAY['subscriber', s.subscriber, 'state', 'leased'], s.leased), ''))
			|| event_engine.metric_family('event_engine_subscription_lag_positions',
				'gauge', 'Positions of the log behind the cursor of the subscription.',
				string_agg(event_engine.metric_sample('event_engine_subscription_lag_positions',
					ARRAY['subscriber', s.subscriber], s.lag), ''))
			|| event_engine.metric_family('event_engine_subscription_dead_letters',
				'gauge', 'Dead letters that nobody has decided on.',
				string_agg(event_engine.metric_sample('event_engine_subscription_dead_letters',
					ARRAY['subscriber', s.subscriber], s.dead_letters), ''))
		FROM (SELECT * FROM event_engine.stat_subscriptions
			ORDER BY subscriber) AS s);

	families := families || (
		SELECT event_engine.metric_family('event_engine_subscription_oldest_age_seconds',
			'gauge', 'Age of the oldest event in the log that the subscription has yet to take; 0 where there is none.',
			string_agg(event_engine.metric_sample('event_engine_subscription_oldest_age_seconds',
				ARRAY['subscriber', s.subscriber],
				COALESCE(extract(epoch FROM clock_timestamp() - b.oldest_at), 0)::float8),
				'' ORDER BY s.subscriber))
		FROM event_engine.subscriptions AS s
		CROSS JOIN LATERAL event_engine.subscription_backlog(s.number, 1) AS b);

	families := families || (
		SELECT event_engine.metric_family('event_engine_delivery_latency_seconds',
			'histogram', 'Time from the arrival of an event to its delivery.',
			string_agg((SELECT string_agg(event_engine.metric_sample(
						'event_engine_delivery_latency_seconds_bucket',
						ARRAY['subscriber', s.subscriber, 'le',
							CASE WHEN bounds[i] = 'Infinity' THEN '+Inf'
								ELSE bounds[i]::text END],
						c.latency_buckets[i]), '' ORDER BY i)
					FROM generate_subscripts(bounds, 1) AS i)
				|| event_engine.metric_sample('event_engine_delivery_latency_seconds_sum',
					ARRAY['subscriber', s.subscriber], c.latency_sum)
				|| event_engine.metric_sample('event_engine_delivery_latency_seconds_count',
					ARRAY['subscriber', s.subscriber],
					c.latency_buckets[cardinality(bounds)]),
				'' ORDER BY s.subscriber))
		FROM event_engine.subscriptions AS s
		CROSS JOIN LATERAL event_engine.subscription_counters(s.number, s.id) AS c);

	families := families || (
		SELECT event_engine.metric_family('event_engine_workers', 'gauge',
				'Processes of this database by kind and state; the launcher is the server''s.',
				string_agg(event_engine.metric_sample('event_engine_workers',
					ARRAY['kind', w.kind, 'state', w.state], w.n), ''))
		FROM (SELECT w.kind, w.state, count(*) AS n
			FROM event_engine.stat_workers AS w
			WHERE w.database IS NULL OR w.database = current_database()
			GROUP BY w.kind, w.state ORDER BY w.kind, w.state) AS w);

	RETURN families || (
		SELECT event_engine.metric_family('event_engine_partitions', 'gauge',
				'Partitions of the log.',
				event_engine.metric_sample('event_engine_partitions', NULL, count(*)))
			|| event_engine.metric_family('event_engine_log_bytes', 'gauge',
				'Size of the log with its indexes.',
				event_engine.metric_sample('event_engine_log_bytes', NULL,
					COALESCE(sum(p.size), 0)))
		FROM event_engine.stat_partitions AS p);
END
$$;
COMMENT ON FUNCTION event_engine.metrics() IS
	'All figures of this database in the text format of Prometheus.';
