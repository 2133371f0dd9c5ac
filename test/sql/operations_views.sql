-- What is going on: subscriptions, partitions, processes, and all of it at once.
\set SHOW_CONTEXT never
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
SELECT event_engine.health() -> 'stats' AS stats, event_engine.health() -> 'registry' AS registry;
SELECT event_engine.register_event_definition(p) AS registered
FROM unnest('{watched,unwatched}'::text[]) AS p;
CREATE FUNCTION digest(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF e.payload ->> 'n' = '3' THEN
		RAISE EXCEPTION 'three is too many';
	END IF;
END $$;
SELECT event_engine.subscribe('pulled', '{watched}') IS NOT NULL AS ok;
SELECT event_engine.subscribe('paused', '{watched}', 'digest') IS NOT NULL AS ok;
SELECT event_engine.pause_subscription('paused', 'for a while');
SELECT event_engine.subscribe('handled', '{watched}', 'digest',
	options => '{"max_attempts": 1}') IS NOT NULL AS ok;
SELECT subscriber, kind, status, status_reason, owner::text = current_user AS mine, delivered,
	failed, dead, pending, leased, dead_letters, lag, moved_at <= clock_timestamp() AS moved
FROM event_engine.stat_subscriptions ORDER BY subscriber;

SELECT count(event_engine.publish_event('watched', jsonb_build_object('n', n)))
FROM generate_series(1, 5) AS n;
SELECT subscriber, lag FROM event_engine.stat_subscriptions WHERE subscriber = 'paused';
-- By a worker or in this session, whoever is first.
DO $$
BEGIN
	FOR i IN 1 .. 6000 LOOP
		PERFORM event_engine.process_batch(1000, 'handled');
		EXIT WHEN (SELECT delivered = 4 AND dead = 1 FROM event_engine.stat_subscriptions
			WHERE subscriber = 'handled');
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT count(*) FROM event_engine.receive_events('pulled', 2);
SELECT subscriber, delivered, failed, dead, pending, leased, dead_letters, lag
FROM event_engine.stat_subscriptions ORDER BY subscriber;
SELECT count(event_engine.ack_events(receipt))
FROM (SELECT DISTINCT receipt FROM event_engine.event_leases) AS l;
SELECT subscriber, delivered, leased, lag FROM event_engine.stat_subscriptions WHERE subscriber = 'pulled';
-- A pulled event that is rejected is pending until it is handed out again.
SELECT count(event_engine.nack_events(receipt, '1 hour', 'not today'))
FROM (SELECT DISTINCT receipt FROM event_engine.receive_events('pulled', 1)) AS l;
SELECT subscriber, failed, pending, leased, last_error, next_attempt_at > clock_timestamp() AS later
FROM event_engine.stat_subscriptions WHERE subscriber = 'pulled';

-- Partitions: those of the time to come, one with the events, the default one.
SELECT event_engine.run_maintenance();
SELECT count(*) FILTER (WHERE lower IS NULL) AS "default",
	count(*) FILTER (WHERE lower <= clock_timestamp() AND upper > clock_timestamp()) AS current,
	count(*) FILTER (WHERE lower > clock_timestamp()) AS ahead,
	count(sealed_at) AS sealed, bool_and(size > 0) AS sized
FROM event_engine.stat_partitions;

-- Processes: consistent with whether the library was preloaded.
SELECT count(*) = CASE WHEN current_setting('shared_preload_libraries') ~ 'event_engine'
	THEN 1 ELSE 0 END AS launcher
FROM event_engine.stat_workers WHERE kind = 'launcher';
SELECT count(*) FROM event_engine.stat_workers
WHERE state NOT IN ('starting', 'running', 'busy') OR (state = 'busy') <> (busy_for IS NOT NULL)
	OR kind NOT IN ('launcher', 'router', 'executor')
	OR (pid IS NULL) <> (state = 'starting');

-- All of it at once.
SELECT event_engine.health() ->> 'status' IN ('degraded', 'unhealthy') AS status,
	'1 dead letter(s) wait for a decision.' IN (SELECT jsonb_array_elements_text(event_engine.health() -> 'problems')) AS told,
	(event_engine.health() -> 'stats') - 'lastProcessedAt' AS stats,
	event_engine.health() -> 'registry' AS registry;
SELECT jsonb_object_keys(event_engine.health()) AS key ORDER BY 1;
SELECT event_engine.health() -> 'config' AS config;
SELECT event_engine.unsubscribe(s) FROM unnest('{pulled,paused,handled}'::text[]) AS s;
DROP FUNCTION digest(event_engine.event);
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
