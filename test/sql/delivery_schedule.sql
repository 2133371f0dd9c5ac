-- Events on a schedule: what a schedule means, and what its job does.  That
-- pg_cron runs it is tried by test/t/016_delivery_schedule.pl.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET timezone = 'UTC';

-- What it means.
CREATE FUNCTION pg_temp.times(schedule text, zone text, after timestamptz, until timestamptz)
	RETURNS SETOF text LANGUAGE sql AS $$
	SELECT to_char(t AT TIME ZONE 'UTC', 'Dy MM-DD HH24:MI') || 'Z = ' || to_char(t AT TIME ZONE zone, 'Dy MM-DD HH24:MI')
	FROM event_engine.schedule_times(schedule, zone, after, until) AS t
$$;
SELECT * FROM pg_temp.times('30 9 * * 1-5', 'Europe/Berlin', '2026-03-26', '2026-03-31');
-- clocks are put forward: 02:30 is skipped, and comes an hour later by the clock
SELECT * FROM pg_temp.times('30 2 * * *', 'Europe/Berlin', '2026-03-28', '2026-03-31');
-- clocks are put back: 02:30 is there twice, and comes once
SELECT * FROM pg_temp.times('30 2 * * *', 'Europe/Berlin', '2026-10-24', '2026-10-27');
-- every hour is every hour
SELECT * FROM pg_temp.times('0 * * * *', 'Europe/Berlin', '2026-03-28 22:00', '2026-03-29 03:00');
SELECT * FROM pg_temp.times('0 * * * *', 'Europe/Berlin', '2026-10-24 22:00', '2026-10-25 03:00');
SELECT count(*) FROM pg_temp.times('*/10 * * * *', 'Europe/Berlin', '2026-10-24', '2026-10-26');
-- half an hour, in a zone half an hour off
SELECT * FROM pg_temp.times('0 3 * * *', 'Australia/Lord_Howe', '2026-04-03', '2026-04-06');
SELECT count(*) FROM pg_temp.times('*/15 * * * *', 'Australia/Lord_Howe', '2026-04-03', '2026-04-06');
-- days of the month or of the week
SELECT * FROM pg_temp.times('0 12 13 * fri', 'UTC', '2026-02-01', '2026-02-28');
SELECT * FROM pg_temp.times('0 0 1,15 jan-feb *', 'UTC', '2025-12-31', '2026-12-31');
SELECT * FROM pg_temp.times('5-59/20 4 * * 7', 'UTC', '2026-06-01', '2026-06-14');
SELECT * FROM pg_temp.times('@monthly', 'Asia/Kathmandu', '2026-01-15', '2026-03-15');
SELECT event_engine.next_schedule_time('0 0 29 2 *', 'UTC', '2026-01-01');
SELECT event_engine.next_schedule_time('0 0 31 2 *', 'UTC', '2026-01-01');
SELECT s, event_engine.schedule_of_job(s, z) FROM (VALUES ('30 9 * * 1-5', 'Europe/Berlin'), ('0 9 * * *', 'Asia/Kolkata'),
	('0 9 * * *', 'Australia/Lord_Howe'), ('@daily', 'America/New_York'), ('@daily', 'Asia/Kolkata'), ('*/5 * * * *', 'UTC')) AS v (s, z);

-- What it cannot be.
SELECT event_engine.schedule_times(s, 'UTC', '2026-01-01', '2026-01-02')
FROM (VALUES ('60 * * * *')) AS v (s);
SELECT event_engine.schedule_times('* 24 * * *', 'UTC', '2026-01-01', '2026-01-02');
SELECT event_engine.schedule_times('* * 0 * *', 'UTC', '2026-01-01', '2026-01-02');
SELECT event_engine.schedule_times('* * * foo *', 'UTC', '2026-01-01', '2026-01-02');
SELECT event_engine.schedule_times('* * * * 8', 'UTC', '2026-01-01', '2026-01-02');
SELECT event_engine.schedule_times('5-1 * * * *', 'UTC', '2026-01-01', '2026-01-02');
SELECT event_engine.schedule_times('*/0 * * * *', 'UTC', '2026-01-01', '2026-01-02');
SELECT event_engine.schedule_times('* * * *', 'UTC', '2026-01-01', '2026-01-02');
SELECT event_engine.schedule_times(NULL, 'UTC', '2026-01-01', '2026-01-02');

-- Without pg_cron.
SELECT event_engine.register_event_definition('report.due');
SELECT event_engine.schedule_event('reports', '0 9 * * *', 'report.due');

-- With something that looks like it.
SELECT event_engine.store_schedule('reports', '0 9 * * *', 'report.due', '{}', 'CET+1', '{}', NULL, NULL, NULL);
SELECT event_engine.store_schedule('reports', '0 9 * * *', 'report.gone', '{}', 'UTC', '{}', NULL, NULL, NULL);
SELECT event_engine.store_schedule('', '0 9 * * *', 'report.due', '{}', 'UTC', '{}', NULL, NULL, NULL);
SELECT event_engine.store_schedule('reports', '0 9 * *', 'report.due', '{}', 'UTC', '{}', NULL, NULL, NULL);
SELECT event_engine.store_schedule('reports', '0 9 * * *', 'report.due', '{"kind": "daily"}', 'Europe/Berlin', '{}', NULL, 'daily', 'low');
SELECT name, owner = current_user::regrole AS mine, schedule, time_zone, pattern, payload, active, next_at > now() AS next, published_at
FROM event_engine.list_event_schedules();

-- The job: nothing, once, and not twice; late, and after a long time.
UPDATE event_engine.event_schedules SET checked_at = '2026-07-01 06:30Z';
SELECT event_engine.run_event_schedule('reports', '2026-07-01 06:59:59Z') IS NOT NULL AS published;
SELECT event_engine.run_event_schedule('reports', '2026-07-01 07:00:03Z') IS NOT NULL AS published;
SELECT event_engine.run_event_schedule('reports', '2026-07-01 07:00:03Z') IS NOT NULL AS published;
SELECT event_engine.run_event_schedule('reports', '2026-07-01 08:00:03Z') IS NOT NULL AS published;
SELECT event_engine.run_event_schedule('reports', '2026-07-02 07:40Z') IS NOT NULL AS published;
SELECT event_engine.run_event_schedule('reports', '2026-07-20 06:59Z') IS NOT NULL AS published;
SELECT event_engine.run_event_schedule('reports', '2026-07-21 07:00Z') IS NOT NULL AS published;
SELECT "timestamp", payload, partition_key, priority FROM event_engine.events WHERE pattern = 'report.due' ORDER BY seq;
SELECT published_at IS NOT NULL AS published, event_id = (SELECT id FROM event_engine.events WHERE pattern = 'report.due' ORDER BY seq DESC LIMIT 1) AS latest
FROM event_engine.list_event_schedules();

-- Paused; what fell into the pause is left out.
SELECT active FROM event_engine.activate_schedule('reports', false);
SELECT event_engine.run_event_schedule('reports', '2026-07-22 07:00Z');
SELECT name, active, next_at FROM event_engine.list_event_schedules();
SELECT active, checked_at > now() - interval '1 minute' AS from_now FROM event_engine.activate_schedule('reports', true);

-- Its owner's alone.
CREATE ROLE regress_scheduler;
CALL event_engine.grant_duty('publisher', 'regress_scheduler');
SET ROLE regress_scheduler;
SELECT event_engine.run_event_schedule('reports');
SELECT event_engine.unschedule_event('reports');
SELECT event_engine.store_schedule('reports', '0 9 * * *', 'report.due', '{}', 'UTC', '{}', NULL, NULL, NULL);
SELECT count(*) FROM event_engine.list_event_schedules();
SELECT event_engine.store_schedule('mine', '0 9 * * *', 'report.due', '{}', 'UTC', '{}', NULL, NULL, NULL);
SELECT name FROM event_engine.list_event_schedules();
SELECT event_engine.unschedule_event('mine');
RESET ROLE;
SELECT event_engine.run_event_schedule('gone');
SELECT event_engine.unschedule_event('reports');
SELECT count(*) FROM event_engine.list_event_schedules();
CALL event_engine.revoke_duty('publisher', 'regress_scheduler');
DROP ROLE regress_scheduler;
