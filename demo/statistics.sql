\echo '   Subscriptions:'
\echo
SELECT subscriber, kind, status, delivered, failed AS failures, pending, leased, dead_letters
FROM event_engine.stat_subscriptions ORDER BY subscriber;

\echo '   Workers:'
\echo
SELECT kind, database, role, state, events, batches, failures FROM event_engine.stat_workers ORDER BY kind;

\echo '   Partitions of the log:'
\echo
ANALYZE event_engine.events;
SELECT partition, lower::date AS "from", upper::date AS "to", events, pg_size_pretty(size) AS size
FROM event_engine.stat_partitions ORDER BY lower;

\echo '   Health:'
\echo
SELECT h ->> 'status' AS status, h #>> '{stats,totalProcessed}' AS processed, h #>> '{stats,errorCount}' AS errors,
	(SELECT string_agg(p, E'\n') FROM jsonb_array_elements_text(h -> 'problems') AS p) AS problems
FROM event_engine.health() AS h;
