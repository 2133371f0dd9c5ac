/* ------------------------------------------------------------------------
 * Delivery: events published on a schedule.
 * ------------------------------------------------------------------------ */

/*
 * event_schedules
 *
 *	name			unique; the job of pg_cron is called event_engine:<name>
 *	owner			publishes: the job runs as this role
 *	schedule		minute, hour, day of month, month, day of week
 *	time_zone		whose clock is meant
 *	pattern ... priority	of the event, as for publish_event()
 *	active			false: paused, and there is no job
 *	checked_at		up to when occurrences have been dealt with
 *	published_at	when it was last published, and the event's id
 */
CREATE TABLE event_engine.event_schedules (
	name text NOT NULL PRIMARY KEY
		CHECK (name <> '' AND octet_length(name) <= 200),
	owner regrole NOT NULL,
	schedule text NOT NULL,
	time_zone text NOT NULL,
	pattern varchar(255) NOT NULL,
	payload jsonb NOT NULL,
	metadata jsonb NOT NULL,
	source jsonb,
	partition_key text,
	priority event_engine.event_priority,
	active boolean NOT NULL DEFAULT true,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	published_at timestamptz,
	event_id uuid
);
COMMENT ON TABLE event_engine.event_schedules IS
	'Events that are published on a schedule.';
