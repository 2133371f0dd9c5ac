\echo '   tally was called with batches of github.#; the five most frequent:'
\echo
SELECT pattern, events, sum(events) OVER () AS of_all
FROM (SELECT * FROM demo.tally) AS t ORDER BY events DESC, pattern LIMIT 5;

\echo '   pull-requests was called with each event of three patterns:'
\echo
SELECT repository, number, left(title, 32) AS title, cardinality(actions) AS events, reviews, comments,
	actions[1] || COALESCE(' ... ' || CASE WHEN cardinality(actions) > 1 THEN actions[cardinality(actions)] END, '') AS actions
FROM demo.pull_requests ORDER BY cardinality(actions) DESC, repository, number LIMIT 6;

\echo '   triage was called with envelopes of issues opened:'
\echo
SELECT number, left(title, 50) AS title, opened_by FROM demo.triage ORDER BY number;
