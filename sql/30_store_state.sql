/* ------------------------------------------------------------------------
 * The store: one append-only log, partitioned by time of arrival.
 * ------------------------------------------------------------------------ */

CREATE TYPE event_engine.event_priority AS ENUM
	('critical', 'high', 'normal', 'low');
COMMENT ON TYPE event_engine.event_priority IS
	'How urgent an event is; an urgent one overtakes a backlog.';

/* The order of publishing.  It is not the order of commit: readers never
 * advance by it alone, see log_cursor.c. */
CREATE SEQUENCE event_engine.event_seq;
COMMENT ON SEQUENCE event_engine.event_seq IS
	'Position of an event in the log, taken when it is published.';

/*
 * event: what a handler is given, one column for each of events.
 *
 *	id					assigned: UUID version 7, ordered by time within a backend
 *	event_id			the publisher's own identifier, unique within the
 *						deduplication window; null where none was given
 *	pattern, version	which definition the event was validated against
 *	source				{"type", "id", "name"}: who says so
 *	timestamp			when it happened, as the publisher says
 *	payload, metadata	what happened, and the specification's metadata
 *	created_at			when it arrived: the clock at publish
 *	partition_key		ordering key: events of one key keep their order
 *	aggregate_type, aggregate_version	of event-sourced publishers
 *	created_by			role that published
 *	deliver_at			not to be delivered before
 *	seq, xid			position in the log: order of publishing, and the
 *						top-level transaction that published
 */
CREATE TYPE event_engine.event AS (
	id uuid,
	event_id varchar(255) COLLATE "C",
	pattern varchar(255) COLLATE "C",
	version varchar(50),
	source jsonb,
	"timestamp" timestamptz,
	payload jsonb,
	metadata jsonb,
	created_at timestamptz,
	partition_key varchar(255) COLLATE "C",
	aggregate_type varchar(255),
	aggregate_version bigint,
	priority event_engine.event_priority,
	created_by text,
	deliver_at timestamptz,
	seq bigint,
	xid xid8
);
COMMENT ON TYPE event_engine.event IS
	'An event as stored and as handed to handlers.';

CREATE TABLE event_engine.events (
	id uuid NOT NULL,
	event_id varchar(255) COLLATE "C",
	pattern varchar(255) COLLATE "C" NOT NULL,
	version varchar(50),
	source jsonb NOT NULL,
	"timestamp" timestamptz NOT NULL,
	payload jsonb NOT NULL,
	metadata jsonb NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	partition_key varchar(255) COLLATE "C",
	aggregate_type varchar(255),
	aggregate_version bigint,
	priority event_engine.event_priority NOT NULL,
	created_by text NOT NULL,
	deliver_at timestamptz,
	seq bigint NOT NULL,
	xid xid8 NOT NULL
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE event_engine.events IS
	'Every event, append-only, partitioned by created_at. INSERT and COPY are validated like publish_event.';

CREATE FUNCTION event_engine.receive_row() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_receive_row';
COMMENT ON FUNCTION event_engine.receive_row() IS
	'Trigger on events: receives what INSERT and COPY bring.';

CREATE FUNCTION event_engine.refuse_change() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_refuse_change';
COMMENT ON FUNCTION event_engine.refuse_change() IS
	'Trigger on events: what is stored stays as it is.';

CREATE TRIGGER event_engine_receive BEFORE INSERT ON event_engine.events
	FOR EACH ROW EXECUTE FUNCTION event_engine.receive_row();
/* also of what logical replication brings, so that it is refused */
ALTER TABLE event_engine.events ENABLE ALWAYS TRIGGER event_engine_receive;
CREATE TRIGGER event_engine_refuse_change BEFORE UPDATE OR DELETE
	ON event_engine.events
	FOR EACH ROW EXECUTE FUNCTION event_engine.refuse_change();
CREATE TRIGGER event_engine_refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE
	ON event_engine.events
	FOR EACH STATEMENT EXECUTE FUNCTION event_engine.refuse_change();

/* Takes what finds no partition; a safety net, normally empty. */
CREATE TABLE event_engine.events_default PARTITION OF event_engine.events
	DEFAULT;
COMMENT ON TABLE event_engine.events_default IS
	'Events that found no partition; normally empty.';
CREATE TRIGGER event_engine_refuse_truncate BEFORE TRUNCATE
	ON event_engine.events_default
	EXECUTE FUNCTION event_engine.refuse_change();

/*
 * Each partition has indexes of its own, like those of the default one; the
 * parent has none.  A dump makes the parent with the extension and a
 * partition's indexes one by one: had the parent any, they would be there
 * already.
 */
/* Values of id and created_at agree: whoever has an id knows its partition. */
ALTER TABLE event_engine.events_default ADD CONSTRAINT events_default_pkey
	PRIMARY KEY (id, created_at);
/* The log in order; and what one transaction published (late commits). */
CREATE INDEX events_default_seq_idx ON event_engine.events_default (seq);
CREATE INDEX events_default_xid_seq_idx ON event_engine.events_default (xid, seq);
/* A rare pattern is read without touching the others. */
CREATE INDEX events_default_pattern_seq_idx ON event_engine.events_default (pattern, seq);
/* So are urgent and low ones: in order, and what one transaction published. */
CREATE INDEX events_default_priority_seq_idx ON event_engine.events_default (priority, seq)
	WHERE priority <> 'normal';
CREATE INDEX events_default_priority_xid_idx ON event_engine.events_default (xid, seq)
	WHERE priority <> 'normal';
CREATE INDEX events_default_correlation_idx ON event_engine.events_default
	((metadata ->> 'correlationId'));
CREATE INDEX events_default_event_id_idx ON event_engine.events_default (event_id)
	WHERE event_id IS NOT NULL;
CREATE INDEX events_default_partition_key_idx ON event_engine.events_default (partition_key, seq)
	WHERE partition_key IS NOT NULL;
CREATE INDEX events_default_timestamp_idx ON event_engine.events_default
	USING brin ("timestamp", created_at);

/*
 * event_partitions: what readers may know of a partition without opening it.
 *
 *	relid				the partition
 *	lower, upper		bounds of created_at; null for the default partition
 *	sealed_at			since when no row can be added any more
 *	min_seq, max_seq	of a sealed partition; null when it holds no event
 *	expires_at			of a sealed one: when retention has to look at it next;
 *						null: not reckoned
 *	expiry_rules		which rules of retention that was reckoned by
 *	emptied_at			since when retention has left nothing in it
 */
CREATE TABLE event_engine.event_partitions (
	relid regclass NOT NULL PRIMARY KEY,
	lower timestamptz,
	upper timestamptz,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	sealed_at timestamptz,
	min_seq bigint,
	max_seq bigint,
	expires_at timestamptz,
	expiry_rules bigint,
	emptied_at timestamptz
);
COMMENT ON TABLE event_engine.event_partitions IS
	'Bounds and state of the partitions of events.';

/*
 * event_keys: publishers' identifiers seen, for deduplication.
 *
 *	event_id	the identifier
 *	id			the event first stored under it
 *	expires_at	from then on the identifier counts as new
 *	tenant		of the event, whose identifiers are its own; '': it has none
 */
CREATE TABLE event_engine.event_keys (
	event_id varchar(255) COLLATE "C" NOT NULL,
	id uuid NOT NULL,
	expires_at timestamptz NOT NULL,
	tenant text COLLATE "C" NOT NULL DEFAULT '',
	PRIMARY KEY (event_id, tenant)
);
COMMENT ON TABLE event_engine.event_keys IS
	'Identifiers of publishers within the deduplication window.';
CREATE INDEX event_keys_expires_at_idx ON event_engine.event_keys (expires_at);

/*
 * event_log_state: one row, which cluster the transaction ids in the log
 * belong to.
 *
 *	system_identifier	of the cluster that writes now; 0: restored, and not yet
 *						used
 *	base_seq			events up to here were written by another cluster: they
 *						are committed, and their xid says nothing
 */
CREATE TABLE event_engine.event_log_state (
	singleton boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (singleton),
	system_identifier bigint NOT NULL,
	base_seq bigint NOT NULL
);
COMMENT ON TABLE event_engine.event_log_state IS
	'Which cluster the transaction ids in the log belong to.';
INSERT INTO event_engine.event_log_state (system_identifier, base_seq)
	SELECT system_identifier, 0 FROM pg_catalog.pg_control_system();
CREATE FUNCTION event_engine.restore_log_state() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_restore_log_state';
COMMENT ON FUNCTION event_engine.restore_log_state() IS
	'Trigger on event_log_state: the row of a dump says that the log comes from another cluster.';
CREATE TRIGGER event_engine_restore BEFORE INSERT
	ON event_engine.event_log_state
	FOR EACH ROW EXECUTE FUNCTION event_engine.restore_log_state();

/*
 * event_milestones: positions in the log, about one a second while events
 * flow: where a replay "since 10:00" begins.
 *
 *	seq			highest seq handed out when the snapshot was taken
 *	snapshot	what was visible then
 *	base_seq	event_log_state.base_seq then
 */
CREATE TABLE event_engine.event_milestones (
	created_at timestamptz NOT NULL,
	seq bigint NOT NULL,
	snapshot pg_snapshot NOT NULL,
	base_seq bigint NOT NULL
);
COMMENT ON TABLE event_engine.event_milestones IS
	'Positions in the log by time, for seek and replay.';
ALTER TABLE event_engine.event_milestones REPLICA IDENTITY FULL;
CREATE INDEX event_milestones_created_at_idx
	ON event_engine.event_milestones (created_at);
