-- Waits until everybody who is pushed to has been served: a condition, no time.
CREATE PROCEDURE demo.wait() LANGUAGE plpgsql AS $$
DECLARE
	missing text;
	patience constant timestamptz := clock_timestamp() + interval '60 s';
BEGIN
	LOOP
		SELECT string_agg(format('%s: %s of %s', subscriber, served, wanted), ', ') INTO missing
		FROM (
			SELECT s.subscriber, t.delivered + t.dead AS served,
				(SELECT count(*) FROM event_engine.events AS e
				WHERE event_engine.event_matches(ROW(e.*)::event_engine.event, s.match, s.filter_path, s.filters)) AS wanted
			FROM event_engine.subscriptions AS s
			JOIN event_engine.stat_subscriptions AS t USING (subscriber)
			WHERE s.kind <> 'pull') AS x
		WHERE served < wanted;
		EXIT WHEN missing IS NULL;
		IF clock_timestamp() > patience THEN
			RAISE EXCEPTION 'still not delivered after a minute: %', missing;
		END IF;
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
CALL demo.wait();
