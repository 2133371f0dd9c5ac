\echo '   tally, called with batches of github.#; the five most frequent:'
\echo
SELECT pattern, events, of_all FROM (SELECT *, sum(events) OVER () AS of_all FROM demo.tally) AS t
ORDER BY events DESC, pattern LIMIT 5;

\echo '   pull-requests, called with one event of three patterns at a time:'
\echo
SELECT event, sum(times) AS events,
	round(extract(epoch FROM min(fastest)) * 1000, 2) AS "fastest, ms",
	regexp_replace(string_agg(action || ' ' || times, ', ' ORDER BY times DESC, action), '^(.{50}\w*).*', '\1 ...') AS actions
FROM demo.pull_request_activity GROUP BY event ORDER BY event;

\echo '   failures, called with envelopes that pass its SQL/JSON path:'
\echo
TABLE demo.failures ORDER BY failed_at;

\echo '   stars, whose function cannot digest a star that is taken away:'
\echo
SELECT 'stored' AS outcome, NULL AS attempts, repository AS what FROM demo.stars
UNION ALL
SELECT 'dead letter', retry_count, error_message FROM event_engine.event_dead_letters WHERE subscriber = 'stars'
ORDER BY 1 DESC;
