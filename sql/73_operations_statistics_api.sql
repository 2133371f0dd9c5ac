/* ------------------------------------------------------------------------
 * Operations: figures by pattern and by source, from shared memory.  They
 * count since the server was started, and only where it has preloaded the
 * library.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.pattern_counters(pattern text,
		OUT source_type text, OUT published_at timestamptz,
		OUT published bigint, OUT refused bigint, OUT delivered bigint,
		OUT failed bigint, OUT dead bigint,
		OUT published_rate float8, OUT refused_rate float8,
		OUT delivered_rate float8, OUT failed_rate float8,
		OUT dead_rate float8)
	RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 4
	AS 'MODULE_PATHNAME', 'ee_sql_pattern_counters';
COMMENT ON FUNCTION event_engine.pattern_counters(text) IS
	'What became of the events of a pattern since the server was started, by kind of source.';

/*
 * stat_sources: by pattern and kind of source
 *
 *	source_type		workflow | task | integration | external
 *	published		events whose transaction committed
 *	refused			events that were not valid
 *	delivered, failed, dead		deliveries to handlers and bells, failed
 *					attempts, dead letters; one event may have several
 *	..._rate		per second, over about the last minute
 *	error_rate		share of the attempts that failed, over about the last
 *					minute; null where there was none
 */
CREATE VIEW event_engine.stat_sources AS
	SELECT d.pattern, c.source_type, c.published, c.refused, c.delivered,
		c.failed, c.dead, c.published_rate, c.delivered_rate,
		c.failed_rate / NULLIF(c.delivered_rate + c.failed_rate, 0)
			AS error_rate
	FROM event_engine.event_definitions AS d
	CROSS JOIN LATERAL event_engine.pattern_counters(d.pattern) AS c;
COMMENT ON VIEW event_engine.stat_sources IS
	'What became of the events of each pattern and kind of source since the server was started.';

/*
 * stat_definitions: by pattern; the columns of stat_sources, and
 *
 *	subscriptions	how many want its events, by the name alone
 *	last_published_at	since the server was started
 */
CREATE VIEW event_engine.stat_definitions AS
	SELECT d.pattern, d.event_id, d.version, d.status,
		(SELECT count(*)
			FROM event_engine.pattern_subscribers(d.pattern)) AS subscriptions,
		COALESCE(c.published, 0) AS published,
		COALESCE(c.refused, 0) AS refused,
		COALESCE(c.delivered, 0) AS delivered,
		COALESCE(c.failed, 0) AS failed,
		COALESCE(c.dead, 0) AS dead,
		COALESCE(c.published_rate, 0) AS published_rate,
		COALESCE(c.delivered_rate, 0) AS delivered_rate,
		c.failed_rate / NULLIF(c.delivered_rate + c.failed_rate, 0)
			AS error_rate,
		c.published_at AS last_published_at
	FROM event_engine.event_definitions AS d
	LEFT JOIN LATERAL (
		SELECT max(s.published_at) AS published_at,
			sum(s.published)::bigint AS published,
			sum(s.refused)::bigint AS refused,
			sum(s.delivered)::bigint AS delivered,
			sum(s.failed)::bigint AS failed, sum(s.dead)::bigint AS dead,
			sum(s.published_rate) AS published_rate,
			sum(s.delivered_rate) AS delivered_rate,
			sum(s.failed_rate) AS failed_rate
		FROM event_engine.pattern_counters(d.pattern) AS s) AS c ON true;
COMMENT ON VIEW event_engine.stat_definitions IS
	'What became of the events of each definition since the server was started.';
