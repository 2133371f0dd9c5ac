/* ------------------------------------------------------------------------
 * Operations.
 * ------------------------------------------------------------------------ */

/*
 * event_retention: how long events are kept.  The rule of the most particular
 * pattern holds: the name itself, or else the wildcard with most letters.
 * What no rule is for is kept as event_engine.operations_retention says.
 *
 *	match			the pattern as of a subscription
 *	keep_for		after the end of their partition; null: for ever
 *	archive_table	takes the events before they go
 *	archive_file	they are written to event_engine.operations_archive_directory
 */
CREATE TABLE event_engine.event_retention (
	pattern varchar(255) COLLATE "C" NOT NULL PRIMARY KEY,
	match jsonb NOT NULL,
	keep_for interval CHECK (keep_for > '0'),
	archive_table regclass,
	archive_file boolean NOT NULL DEFAULT false,
	set_by regrole NOT NULL,
	set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CHECK (event_engine.check_match(match, NULL, NULL))
);
COMMENT ON TABLE event_engine.event_retention IS
	'How long events are kept, by pattern.';

/*
 * event_maintenance: what upkeep has done, and what it could not do; kept for
 * 90 days.
 *
 *	task		expire (events leave their partition), drop (an empty partition),
 *				forget (rows that are settled or expired), analyze
 *	object		the partition or table
 *	outcome		done | forced (though a subscription had yet to read them) |
 *				held (somebody needs it) | locked (somebody uses it) | failed;
 *				the latter three at most once an hour
 *	events		how many, an estimate for whole partitions
 *	bytes		given back to the file system
 */
CREATE TABLE event_engine.event_maintenance (
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	task text NOT NULL,
	object text NOT NULL,
	outcome text NOT NULL
		CHECK (outcome IN ('done', 'forced', 'held', 'locked', 'failed')),
	events bigint,
	bytes bigint,
	detail text
);
COMMENT ON TABLE event_engine.event_maintenance IS
	'What upkeep has done, and what it could not do.';
ALTER TABLE event_engine.event_maintenance REPLICA IDENTITY FULL;
CREATE INDEX event_maintenance_at_idx ON event_engine.event_maintenance (at);

/* The server's launcher does not see our tables: it is told of them. */
CREATE FUNCTION event_engine.wake_workers() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_wake_workers';
COMMENT ON FUNCTION event_engine.wake_workers() IS
	'Lets the workers look at this database as soon as the transaction commits.';
SELECT event_engine.wake_workers();
