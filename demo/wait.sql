-- Waits until everybody who is pushed to has been served: for a condition,
-- not for a time.
CREATE PROCEDURE demo.wait() LANGUAGE plpgsql AS $$
DECLARE
	missing text;
	patience constant timestamptz := clock_timestamp() + interval '60 s';
BEGIN
	LOOP
		SELECT string_agg(format('%s: %s of %s', subscriber, served, wanted), ', ') INTO missing
		FROM (VALUES
			('tally',
				(SELECT sum(events) FROM demo.tally),
				(SELECT count(*) FROM event_engine.events)),
			('pull-requests',
				(SELECT sum(times) FROM demo.pull_request_activity),
				(SELECT count(*) FROM event_engine.events
				WHERE pattern IN ('github.pull_request', 'github.pull_request_review', 'github.pull_request_review_comment'))),
			('failures',
				(SELECT count(*) FROM demo.failures),
				(SELECT count(*) FROM event_engine.events
				WHERE pattern IN ('github.check_run', 'github.workflow_job', 'github.workflow_run')
					AND payload @? '$.*.conclusion ? (@ == "failure")')),
			('stars',
				(SELECT count(*) FROM demo.stars) + (SELECT count(*) FROM event_engine.event_dead_letters),
				(SELECT count(*) FROM event_engine.events WHERE pattern = 'github.star'))
		) AS s (subscriber, served, wanted)
		WHERE served IS DISTINCT FROM wanted;
		EXIT WHEN missing IS NULL;
		IF clock_timestamp() > patience THEN
			RAISE EXCEPTION 'still not delivered after a minute: %', missing;
		END IF;
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
CALL demo.wait();
