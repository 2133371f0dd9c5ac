-- Very many subscriptions: what tells of all of them looks at few one by one.
\set SHOW_CONTEXT never
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
SELECT event_engine.register_event_definition(p) AS registered
FROM unnest('{sold,unsold}'::text[]) AS p;
SELECT count(event_engine.subscribe('s' || n, '{sold}',
	filter => format('$.payload.customer == %s', n)))
FROM generate_series(1, 1200) AS n;
SELECT count(event_engine.publish_event('sold', jsonb_build_object('customer', n * 100)))
FROM generate_series(1, 12) AS n;
SELECT event_engine.publish_event('sold', '{"customer": 7}', priority => 'critical') IS NOT NULL AS urgent;

-- Those beyond the ones that are looked at are found by the events there are.
SELECT count(*), min(subscription_number), max(subscription_number)
FROM event_engine.waiting_since('infinity');
SELECT count(*) FROM event_engine.waiting_since('-infinity');
SELECT looks, events, count(w), array_agg(w.subscription_number ORDER BY w.subscription_number) AS numbers
FROM (VALUES (2000, 0), (1000, 0), (0, 10000), (150, 3), (0, 0)) AS v (looks, events)
LEFT JOIN LATERAL event_engine.waiting_since('infinity', looks, events) AS w ON true
GROUP BY looks, events ORDER BY looks, events;
SELECT count(*) AS the_same FROM event_engine.waiting_since('infinity', 2000) AS a
JOIN event_engine.waiting_since('infinity', 0) AS b USING (subscription_number, oldest_at);

-- Each is asked for a bounded number of times, however many there are.
CREATE FUNCTION calls(statement text) RETURNS TABLE (name text, calls bigint)
	LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMPORARY TABLE before AS SELECT f.funcname, f.calls
		FROM pg_stat_xact_user_functions AS f WHERE f.schemaname = 'event_engine';
	EXECUTE statement;
	RETURN QUERY SELECT f.funcname::text, f.calls - COALESCE(b.calls, 0)
		FROM pg_stat_xact_user_functions AS f
		LEFT JOIN before AS b USING (funcname)
		WHERE f.schemaname = 'event_engine'
			AND f.funcname IN ('subscription_backlog', 'passed_event',
				'event_subscriptions', 'epoch_lanes',
				'waiting_since', 'subscription_progress', 'latest_moves')
			AND f.calls > COALESCE(b.calls, 0)
		ORDER BY f.funcname::text COLLATE "C";
	DROP TABLE before;
END $$;
SET track_functions = 'all';
SELECT * FROM calls('SELECT count(*) FROM event_engine.doctor(''0'')');
SELECT * FROM calls('SELECT event_engine.health()');
SELECT * FROM calls('SELECT event_engine.metrics(10)');
RESET track_functions;

-- All subscriptions but so many share their figures.
CREATE FUNCTION series(max_subscribers integer) RETURNS TABLE (family text, own bigint, shared text)
	LANGUAGE sql AS $$
SELECT m[1], count(*) FILTER (WHERE line ~ 'subscriber='),
	string_agg(line, ', ' ORDER BY line COLLATE "C") FILTER (WHERE line !~ 'subscriber=')
FROM regexp_split_to_table(event_engine.metrics(max_subscribers), '\n') AS line,
	regexp_match(line, '^(event_engine_subscription_\w+)') AS m
WHERE line ~ '^event_engine_subscription_' AND line !~ 'oldest_age_seconds \d'
GROUP BY m[1] ORDER BY m[1] COLLATE "C"
$$;
SELECT * FROM series(2000);
SELECT event_engine.pause_subscription('s1200');
SELECT * FROM series(100);
SELECT * FROM series(0);
SELECT count(*) FROM regexp_matches(event_engine.metrics(100), 'subscription_oldest_age_seconds (?!0\n)', 'g');

-- What is told of all at once is what is told of each.
SELECT event_engine.subscribe('lanes', '{sold,unsold}', options => '{"max_in_flight": 3}') IS NOT NULL AS ok;
SELECT count(event_engine.publish_event('unsold', '{}')) FROM generate_series(1, 5);
SELECT count(event_engine.ack_events(receipt))
FROM (SELECT DISTINCT receipt FROM event_engine.receive_events('lanes', 2)) AS r;
SELECT event_engine.run_maintenance();
SELECT count(event_engine.ack_events(receipt))
FROM (SELECT DISTINCT receipt FROM event_engine.receive_events('lanes', 1)) AS r;
SELECT event_engine.publish_event('unsold', '{}', priority => 'low') IS NOT NULL AS ok;
SELECT count(*), count(*) FILTER (WHERE t.delivered = p.delivered + COALESCE(n.delivered, 0) AND t.failed = p.failed
	AND t.dead = p.dead AND t.moved_at = p.moved_at
	AND t.lag = (SELECT last_value FROM event_engine.event_seq) - p.seq) AS agree,
	sum(t.delivered) AS delivered
FROM event_engine.stat_subscriptions AS t
JOIN event_engine.subscriptions AS s USING (subscriber)
JOIN event_engine.subscription_progress() AS p ON p.subscription_number = s.number
LEFT JOIN event_engine.delivery_counts AS n ON n.subscription_number = s.number;
DROP FUNCTION calls(text), series(integer);
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
