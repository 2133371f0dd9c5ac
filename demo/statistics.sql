\echo '   Subscriptions:'
\echo
WITH position AS (
	SELECT DISTINCT ON (subscription_number) *
	FROM (TABLE event_engine.subscription_cursors UNION ALL TABLE event_engine.subscription_cursor_moves) AS c
	ORDER BY subscription_number, move DESC)
SELECT s.subscriber, s.kind, s.status, p.delivered + c.delivered AS delivered, p.failed + c.failed AS failures,
	p.dead + c.dead AS dead_letters, p.move AS transactions
FROM event_engine.subscriptions AS s
JOIN position AS p ON p.subscription_number = s.number
CROSS JOIN LATERAL (SELECT COALESCE(sum(c.delivered), 0) AS delivered, COALESCE(sum(c.failed), 0) AS failed,
	COALESCE(sum(c.dead), 0) AS dead
	FROM event_engine.delivery_counts AS c WHERE c.subscription_number = s.number) AS c
ORDER BY s.number;

\echo '   Workers:'
\echo
SELECT backend_type, count(*), string_agg(DISTINCT datname, ', ') AS database, string_agg(DISTINCT usename, ', ') AS role
FROM pg_stat_activity WHERE backend_type LIKE 'event_engine%' GROUP BY backend_type ORDER BY backend_type DESC;

\echo '   Partitions of the log:'
\echo
SELECT p.relid AS partition, p.lower::date AS "from", p.upper::date AS "to", e.events,
	pg_size_pretty(pg_total_relation_size(p.relid)) AS size_with_indexes
FROM event_engine.event_partitions AS p
LEFT JOIN (SELECT tableoid, count(*) AS events FROM event_engine.events GROUP BY tableoid) AS e ON e.tableoid = p.relid
ORDER BY p.lower;
