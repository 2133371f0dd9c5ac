/* ------------------------------------------------------------------------
 * Delivery: events published on a schedule, by pg_cron.
 *
 * pg_cron knows one time zone.  So a schedule's job runs more often than the
 * schedule, once an hour as a rule, and asks whether an occurrence by the
 * clock of the schedule's own zone has passed since it last asked.  A job
 * that came late, or not at all while the server was down, is thus made good
 * by the next one.
 *
 * Faces in C tell the functions with _as the caller's role, as in routing.
 * What talks to pg_cron runs with the caller's rights, as the job will.
 * ------------------------------------------------------------------------ */

/* ---- What a schedule means ---- */

/*
 * The numbers that a field of a schedule stands for: *, a, a-b, a-b/n, * /n,
 * a/n, and lists of these; names stand for low, low + 1, ...
 */
CREATE FUNCTION event_engine.schedule_field(field text, low integer,
		high integer, names text[])
	RETURNS integer[]
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	term text;
	part text[];
	first integer;
	last integer;
	step integer;
	found integer[] := '{}';
BEGIN
	FOREACH term IN ARRAY string_to_array(lower(field), ',') LOOP
		part := regexp_match(term,
			'^(\*|([0-9]{1,2}|[a-z]{3})(-([0-9]{1,2}|[a-z]{3}))?)(/([0-9]{1,2}))?$');
		IF part IS NULL THEN
			RETURN NULL;
		END IF;
		first := CASE WHEN part[1] = '*' THEN low
			WHEN part[2] ~ '[a-z]' THEN array_position(names, part[2]) - 1 + low
			ELSE part[2]::integer END;
		last := CASE WHEN part[1] = '*' THEN high
			WHEN part[4] ~ '[a-z]' THEN array_position(names, part[4]) - 1 + low
			WHEN part[4] IS NOT NULL THEN part[4]::integer
			WHEN part[6] IS NOT NULL THEN high
			ELSE first END;
		step := COALESCE(part[6]::integer, 1);
		IF (first BETWEEN low AND high AND last BETWEEN first AND high
			AND step > 0) IS NOT TRUE THEN
			RETURN NULL;
		END IF;
		found := found || ARRAY(SELECT generate_series(first, last, step));
	END LOOP;
	RETURN NULLIF(found, '{}');
END
$$;
COMMENT ON FUNCTION event_engine.schedule_field(text, integer, integer, text[]) IS
	'Internal: the numbers that a field of a schedule stands for; null when it is none.';

/*
 * A schedule taken apart.  any_day: where both the days of the month and of
 * the week are restricted, either will do, as cron has always had it.
 * by_elapsed: the hours are unrestricted, so it goes on by elapsed time where
 * clocks are changed.
 */
CREATE FUNCTION event_engine.parse_schedule(schedule text,
		OUT minutes integer[], OUT hours integer[], OUT days integer[],
		OUT months integer[], OUT weekdays integer[], OUT any_day boolean,
		OUT by_elapsed boolean)
	RETURNS record
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fields CONSTANT text[] := regexp_split_to_array(btrim(CASE lower(schedule)
		WHEN '@hourly' THEN '0 * * * *'
		WHEN '@daily' THEN '0 0 * * *'
		WHEN '@midnight' THEN '0 0 * * *'
		WHEN '@weekly' THEN '0 0 * * 0'
		WHEN '@monthly' THEN '0 0 1 * *'
		WHEN '@yearly' THEN '0 0 1 1 *'
		WHEN '@annually' THEN '0 0 1 1 *'
		ELSE schedule END), '\s+');
	problem text;
BEGIN
	IF cardinality(fields) = 5 THEN
		minutes := event_engine.schedule_field(fields[1], 0, 59, NULL);
		hours := event_engine.schedule_field(fields[2], 0, 23, NULL);
		days := event_engine.schedule_field(fields[3], 1, 31, NULL);
		months := event_engine.schedule_field(fields[4], 1, 12,
			'{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}');
		weekdays := event_engine.schedule_field(fields[5], 0, 7,
			'{sun,mon,tue,wed,thu,fri,sat}');
		problem := CASE WHEN minutes IS NULL
				THEN format('"%s" is no minute (0-59).', fields[1])
			WHEN hours IS NULL THEN format('"%s" is no hour (0-23).', fields[2])
			WHEN days IS NULL
				THEN format('"%s" is no day of the month (1-31).', fields[3])
			WHEN months IS NULL
				THEN format('"%s" is no month (1-12, jan-dec).', fields[4])
			WHEN weekdays IS NULL
				THEN format('"%s" is no day of the week (0-7, sun-sat).', fields[5])
			END;
	ELSE
		problem := 'It has five fields: minute, hour, day of month, month, day of week.';
	END IF;
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE406',
			MESSAGE = format('invalid schedule "%s"', COALESCE(schedule, 'null')),
			DETAIL = problem;
	END IF;
	any_day := fields[3] !~ '^\*' AND fields[5] !~ '^\*';
	by_elapsed := fields[2] ~ '^\*';
	-- 7 is Sunday as well
	weekdays := CASE WHEN 7 = ANY (weekdays) THEN weekdays || 0 ELSE weekdays END;
END
$$;
COMMENT ON FUNCTION event_engine.parse_schedule(text) IS
	'Internal: a schedule taken apart, or an error that says what is wrong.';

/*
 * schedule_times: when a schedule occurs, after a time and until another.
 *
 * A time that a clock put forward skips occurs as much later as the clock
 * was put; one that a clock put back shows twice occurs once.  Where the
 * hours are unrestricted it occurs by elapsed time all the same.
 */
CREATE FUNCTION event_engine.schedule_times(schedule text, time_zone text,
		after timestamptz, until timestamptz)
	RETURNS SETOF timestamptz
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	parsed CONSTANT record := event_engine.parse_schedule(schedule);
	first_day CONSTANT date := ((after AT TIME ZONE time_zone) - '1 day'::interval)::date;
	last_day CONSTANT date := ((until AT TIME ZONE time_zone) + '1 day'::interval)::date;
BEGIN
	RETURN QUERY
	WITH day AS (
		SELECT first_day + n AS day
		FROM generate_series(0, last_day - first_day) AS n
	), fitting AS (
		SELECT d.day FROM day AS d
		WHERE extract(month FROM d.day)::integer = ANY (parsed.months)
			AND CASE WHEN parsed.any_day
				THEN extract(day FROM d.day)::integer = ANY (parsed.days)
					OR extract(dow FROM d.day)::integer = ANY (parsed.weekdays)
				ELSE extract(day FROM d.day)::integer = ANY (parsed.days)
					AND extract(dow FROM d.day)::integer = ANY (parsed.weekdays)
				END
	), local AS (
		SELECT f.day + make_time(h.hour, m.minute, 0) AS at
		FROM fitting AS f
		CROSS JOIN unnest(parsed.hours) AS h (hour)
		CROSS JOIN unnest(parsed.minutes) AS m (minute)
	), instant AS (
		SELECT l.at AT TIME ZONE time_zone AS at FROM local AS l
		UNION
		-- the hour that a clock shows twice
		SELECT e.at
		FROM local AS l
		CROSS JOIN LATERAL (
			SELECT (l.at AT TIME ZONE time_zone) + s.shift AS at
			FROM unnest('{-1 hour,-30 minutes,30 minutes,1 hour}'::interval[])
				AS s (shift)) AS e
		WHERE parsed.by_elapsed AND (e.at AT TIME ZONE time_zone) = l.at
	)
	SELECT i.at FROM instant AS i
	WHERE i.at > after AND i.at <= until
	ORDER BY i.at;
END
$$;
COMMENT ON FUNCTION event_engine.schedule_times(text, text, timestamptz, timestamptz) IS
	'When a schedule occurs by the clock of a time zone, after a time and until another.';

/* The first occurrence after a time; null when there is none for years. */
CREATE FUNCTION event_engine.next_schedule_time(schedule text,
		time_zone text, after timestamptz)
	RETURNS timestamptz
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found timestamptz;
	span interval;
BEGIN
	-- a leap day may be eight years away
	FOREACH span IN ARRAY '{2 days,40 days,400 days,3000 days}'::interval[] LOOP
		SELECT min(t.at) INTO found
			FROM event_engine.schedule_times(schedule, time_zone, after,
				after + span) AS t (at);
		EXIT WHEN found IS NOT NULL;
	END LOOP;
	RETURN found;
END
$$;
COMMENT ON FUNCTION event_engine.next_schedule_time(text, text, timestamptz) IS
	'The first time that a schedule occurs after a time.';

/*
 * How often pg_cron has to ask: in the schedule's minutes of each hour, if
 * the clocks of its zone and ours are always whole hours apart; else always.
 */
CREATE FUNCTION event_engine.schedule_of_job(schedule text, time_zone text)
	RETURNS text
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN EXISTS (SELECT
		FROM generate_series(0, 120) AS n
		CROSS JOIN LATERAL (SELECT clock_timestamp()
			+ make_interval(months => n::integer) AS at) AS t
		WHERE extract(minute FROM (t.at AT TIME ZONE time_zone)
			- (t.at AT TIME ZONE COALESCE(
				current_setting('cron.timezone', true), 'UTC'))) <> 0)
	THEN '* * * * *'
	-- @daily and its kin
	WHEN schedule !~ '\s' THEN '0 * * * *'
	ELSE (regexp_split_to_array(btrim(schedule), '\s+'))[1] || ' * * * *' END;
COMMENT ON FUNCTION event_engine.schedule_of_job(text, text) IS
	'Internal: when pg_cron runs the job of a schedule.';

/* ---- pg_cron ---- */

/* The settings of pg_cron may be read by superusers only. */
CREATE FUNCTION event_engine.check_scheduler() RETURNS void
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	home CONSTANT text := current_setting('cron.database_name', true);
BEGIN
	IF EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
		RETURN;
	END IF;
	RAISE EXCEPTION USING ERRCODE = 'VE407',
		MESSAGE = 'pg_cron is not installed in this database',
		DETAIL = 'Events are published on a schedule by jobs of pg_cron.',
		HINT = CASE
			WHEN NOT EXISTS (SELECT FROM pg_available_extensions AS a
				WHERE a.name = 'pg_cron')
			THEN 'Install its package (Debian: postgresql-15-cron), add pg_cron to shared_preload_libraries and restart the server; or let any other scheduler call event_engine.publish_event().'
			WHEN home IS NULL
			THEN 'Add pg_cron to shared_preload_libraries, restart the server, and CREATE EXTENSION pg_cron.'
			WHEN home <> current_database()
			THEN format('It lives in database "%s" by the setting cron.database_name: set it to "%s", restart the server, and CREATE EXTENSION pg_cron here.',
				home, current_database())
			ELSE 'CREATE EXTENSION pg_cron.' END;
END
$$;
COMMENT ON FUNCTION event_engine.check_scheduler() IS
	'Internal: raises what is missing for events on a schedule.';

/* The job, made new or removed. */
CREATE FUNCTION event_engine.set_schedule_job(name text, schedule text,
		time_zone text, active boolean)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	job CONSTANT text := 'event_engine:' || name;
BEGIN
	PERFORM event_engine.check_scheduler();
	IF active THEN
		EXECUTE 'SELECT cron.schedule($1::text, $2::text, $3::text)'
			USING job, event_engine.schedule_of_job(schedule, time_zone),
				format('SELECT event_engine.run_event_schedule(%L)', name);
	ELSE
		EXECUTE 'SELECT cron.unschedule(j.jobid) FROM cron.job AS j
			WHERE j.jobname = $1 AND j.username = current_user' USING job;
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.set_schedule_job(text, text, text, boolean) IS
	'Internal: makes or removes the job of a schedule.';

/* ---- Schedule, pause, resume, remove ---- */

CREATE FUNCTION event_engine.own_schedule_as(caller oid, name text)
	RETURNS event_engine.event_schedules
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.event_schedules;
BEGIN
	SELECT s.* INTO stored FROM event_engine.event_schedules AS s
		WHERE s.name = own_schedule_as.name FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE406',
			MESSAGE = format('there is no schedule "%s"', name);
	END IF;
	-- the job is the owner's own: no member of the role has it
	IF stored.owner <> caller THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of schedule "%s"', name),
			DETAIL = format('It belongs to role %s.', stored.owner),
			HINT = format('SET ROLE %s first.', stored.owner);
	END IF;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.own_schedule_as(oid, text) IS
	'Does the work of own_schedule() for the given role.';

CREATE FUNCTION event_engine.own_schedule(name text)
	RETURNS event_engine.event_schedules
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.own_schedule(text) IS
	'The schedule of that name, locked, if it is the caller''s.';

CREATE FUNCTION event_engine.store_schedule_as(caller oid, name text,
		schedule text, pattern text, payload jsonb, time_zone text,
		metadata jsonb, source jsonb, partition_key text,
		priority event_engine.event_priority)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.parse_schedule(schedule);
	PERFORM FROM pg_timezone_names AS z
		WHERE lower(z.name) = lower(time_zone);
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE406',
			MESSAGE = format('unknown time zone "%s"', COALESCE(time_zone, 'null')),
			DETAIL = 'A zone has a name, like Europe/Berlin: an offset or an abbreviation does not tell when clocks are changed.',
			HINT = 'pg_timezone_names lists them.';
	END IF;
	PERFORM FROM event_engine.event_definitions AS d
		WHERE d.pattern = store_schedule_as.pattern;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE001',
			MESSAGE = format('unknown event pattern "%s"',
				COALESCE(pattern, 'null'));
	END IF;
	IF name IS NULL OR name = '' OR octet_length(name) > 200 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE406',
			MESSAGE = 'invalid name of a schedule',
			DETAIL = 'A name has 1 to 200 bytes.';
	END IF;
	IF EXISTS (SELECT FROM event_engine.event_schedules AS s
			WHERE s.name = store_schedule_as.name) THEN
		PERFORM event_engine.own_schedule_as(caller, name);
	END IF;
	INSERT INTO event_engine.event_schedules AS s (name, owner, schedule,
			time_zone, pattern, payload, metadata, source, partition_key,
			priority)
		VALUES (name, caller, schedule, time_zone, pattern,
			COALESCE(payload, '{}'), COALESCE(metadata, '{}'), source,
			partition_key, priority)
		ON CONFLICT ON CONSTRAINT event_schedules_pkey DO UPDATE
			SET schedule = excluded.schedule, time_zone = excluded.time_zone,
				pattern = excluded.pattern, payload = excluded.payload,
				metadata = excluded.metadata, source = excluded.source,
				partition_key = excluded.partition_key,
				priority = excluded.priority, active = true,
				checked_at = clock_timestamp()
			WHERE s.owner = excluded.owner;
END
$$;
COMMENT ON FUNCTION event_engine.store_schedule_as(oid, text, text, text, jsonb, text, jsonb, jsonb, text, event_engine.event_priority) IS
	'Does the work of store_schedule() for the given role.';

CREATE FUNCTION event_engine.store_schedule(name text, schedule text,
		pattern text, payload jsonb, time_zone text, metadata jsonb,
		source jsonb, partition_key text,
		priority event_engine.event_priority)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.store_schedule(text, text, text, jsonb, text, jsonb, jsonb, text, event_engine.event_priority) IS
	'Stores a schedule of the caller, without its job.';

/*
 * schedule_event: publish an event again and again, in the caller's name.
 *
 *	name		unique; the same name again replaces the schedule
 *	schedule	as for cron: minute, hour, day of month, month, day of week;
 *				or @hourly, @daily, @weekly, @monthly, @yearly
 *	pattern ... priority	as for publish_event()
 *	time_zone	the schedule is by the clock of this zone, which has a name
 *				like Europe/Berlin
 *
 * The event's timestamp is the time for which it was scheduled.  What fell
 * into a time in which the server was down is published once it is up, the
 * latest occurrence only, unless that is a day old.  Needs pg_cron in this
 * database, usage of its schema, and the right to publish.
 * Writes: event_schedules, and a job of pg_cron.
 */
CREATE FUNCTION event_engine.schedule_event(name text, schedule text,
		pattern text, payload jsonb DEFAULT '{}',
		time_zone text DEFAULT 'UTC', metadata jsonb DEFAULT '{}',
		source jsonb DEFAULT NULL, partition_key text DEFAULT NULL,
		priority event_engine.event_priority DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.check_scheduler();
	PERFORM event_engine.store_schedule(name, schedule, pattern, payload,
		time_zone, metadata, source, partition_key, priority);
	PERFORM event_engine.set_schedule_job(name, schedule, time_zone, true);
END
$$;
COMMENT ON FUNCTION event_engine.schedule_event(text, text, text, jsonb, text, jsonb, jsonb, text, event_engine.event_priority) IS
	'Publishes an event on a schedule, by the clock of a time zone.';

CREATE FUNCTION event_engine.activate_schedule_as(caller oid, name text,
		active boolean)
	RETURNS event_engine.event_schedules
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.event_schedules;
BEGIN
	PERFORM event_engine.own_schedule_as(caller, name);
	-- what fell into the pause is not made good
	UPDATE event_engine.event_schedules AS s
		SET active = activate_schedule_as.active,
			checked_at = CASE WHEN s.active = activate_schedule_as.active
				THEN s.checked_at ELSE clock_timestamp() END
		WHERE s.name = activate_schedule_as.name
		RETURNING s.* INTO stored;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.activate_schedule_as(oid, text, boolean) IS
	'Does the work of activate_schedule() for the given role.';

CREATE FUNCTION event_engine.activate_schedule(name text, active boolean)
	RETURNS event_engine.event_schedules
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.activate_schedule(text, boolean) IS
	'Notes that a schedule of the caller is paused or resumed, without its job.';

CREATE FUNCTION event_engine.pause_event_schedule(name text) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.set_schedule_job(s.name, s.schedule, s.time_zone,
			false)
		FROM event_engine.activate_schedule(name, false) AS s;
END
$$;
COMMENT ON FUNCTION event_engine.pause_event_schedule(text) IS
	'Publishes nothing on this schedule until it is resumed.';

CREATE FUNCTION event_engine.resume_event_schedule(name text) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.set_schedule_job(s.name, s.schedule, s.time_zone,
			true)
		FROM event_engine.activate_schedule(name, true) AS s;
END
$$;
COMMENT ON FUNCTION event_engine.resume_event_schedule(text) IS
	'Publishes on this schedule again; what fell into the pause is left out.';

CREATE FUNCTION event_engine.remove_schedule_as(caller oid, name text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.own_schedule_as(caller, name);
	DELETE FROM event_engine.event_schedules AS s
		WHERE s.name = remove_schedule_as.name;
END
$$;
COMMENT ON FUNCTION event_engine.remove_schedule_as(oid, text) IS
	'Does the work of remove_schedule() for the given role.';

CREATE FUNCTION event_engine.remove_schedule(name text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.remove_schedule(text) IS
	'Removes a schedule of the caller, without its job.';

/* Works without pg_cron as well, whose jobs went with it. */
CREATE FUNCTION event_engine.unschedule_event(name text) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.remove_schedule(name);
	IF EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
		PERFORM event_engine.set_schedule_job(name, NULL, NULL, false);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.unschedule_event(text) IS
	'Removes a schedule and its job.';

/* ---- The job ---- */

/* The schedule, if it has something to be published, and for when. */
CREATE FUNCTION event_engine.claim_schedule_as(caller oid, name text,
		at timestamptz, OUT claimed event_engine.event_schedules,
		OUT due timestamptz)
	RETURNS record
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	claimed := event_engine.own_schedule_as(caller, name);
	IF NOT claimed.active OR at <= claimed.checked_at THEN
		RETURN;
	END IF;
	SELECT max(t.at) INTO due
		FROM event_engine.schedule_times(claimed.schedule, claimed.time_zone,
			GREATEST(claimed.checked_at, at - '1 day'::interval), at) AS t (at);
	UPDATE event_engine.event_schedules AS s
		SET checked_at = claim_schedule_as.at
		WHERE s.name = claim_schedule_as.name;
END
$$;
COMMENT ON FUNCTION event_engine.claim_schedule_as(oid, text, timestamptz) IS
	'Does the work of claim_schedule() for the given role.';

CREATE FUNCTION event_engine.claim_schedule(name text, at timestamptz,
		OUT claimed event_engine.event_schedules, OUT due timestamptz)
	RETURNS record
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.claim_schedule(text, timestamptz) IS
	'A schedule of the caller, and for when it is due, if it is.';

CREATE FUNCTION event_engine.note_schedule_as(caller oid, name text,
		event_id uuid)
	RETURNS void
	LANGUAGE sql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
	UPDATE event_engine.event_schedules AS s
		SET published_at = clock_timestamp(), event_id = note_schedule_as.event_id
		WHERE s.name = note_schedule_as.name AND s.owner = caller
$$;
COMMENT ON FUNCTION event_engine.note_schedule_as(oid, text, uuid) IS
	'Does the work of note_schedule() for the given role.';

CREATE FUNCTION event_engine.note_schedule(name text, event_id uuid)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.note_schedule(text, uuid) IS
	'Notes that a schedule of the caller has published.';

/*
 * run_event_schedule: what a schedule's job does: publish, if an occurrence
 * has passed since it was last looked at.  Result: the event's id, or null.
 */
CREATE FUNCTION event_engine.run_event_schedule(name text,
		at timestamptz DEFAULT clock_timestamp())
	RETURNS uuid
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	job record;
	own event_engine.event_schedules;
	id uuid;
BEGIN
	SELECT * INTO job FROM event_engine.claim_schedule(name, at);
	IF job.due IS NULL THEN
		RETURN NULL;
	END IF;
	own := job.claimed;
	id := event_engine.publish_event(pattern => own.pattern::text,
		payload => own.payload, metadata => own.metadata,
		source => own.source, "timestamp" => job.due,
		partition_key => own.partition_key, priority => own.priority);
	PERFORM event_engine.note_schedule(name, id);
	RETURN id;
END
$$;
COMMENT ON FUNCTION event_engine.run_event_schedule(text, timestamptz) IS
	'What the job of a schedule does: publishes if it is time; returns the event''s id.';

/* ---- Looking ---- */

CREATE FUNCTION event_engine.list_event_schedules_as(caller oid)
	RETURNS TABLE (name text, owner regrole, schedule text, time_zone text,
		pattern text, payload jsonb, active boolean, next_at timestamptz,
		published_at timestamptz, event_id uuid)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.name, s.owner, s.schedule, s.time_zone, s.pattern::text,
		s.payload, s.active, CASE WHEN s.active
			THEN event_engine.next_schedule_time(s.schedule, s.time_zone,
				clock_timestamp()) END,
		s.published_at, s.event_id
	FROM event_engine.event_schedules AS s
	WHERE pg_has_role(caller, s.owner::oid, 'USAGE')
		OR has_table_privilege(caller, 'event_engine.event_schedules', 'SELECT')
	ORDER BY s.name
$$;
COMMENT ON FUNCTION event_engine.list_event_schedules_as(oid) IS
	'Does the work of list_event_schedules() for the given role.';

/*
 * list_event_schedules: those of the caller's roles; a reader sees all.
 *
 *	next_at			the next occurrence; null while it is paused
 *	published_at, event_id	of the latest event published
 */
CREATE FUNCTION event_engine.list_event_schedules()
	RETURNS TABLE (name text, owner regrole, schedule text, time_zone text,
		pattern text, payload jsonb, active boolean, next_at timestamptz,
		published_at timestamptz, event_id uuid)
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.list_event_schedules() IS
	'Events published on a schedule: when next, when last.';
