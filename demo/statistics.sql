\echo '   Subscriptions:'
\echo
SELECT * FROM event_engine.stat_subscriptions;
\echo '   Workers:'
\echo
SELECT * FROM event_engine.stat_workers;
\echo '   Partitions of the log:'
\echo
SELECT relid AS partition, lower::date AS "from", upper::date AS "to",
	pg_size_pretty(pg_total_relation_size(relid)) AS size
FROM event_engine.event_partitions ORDER BY lower;
