/* ------------------------------------------------------------------------
 * Delivery: cursors, and the exceptions.  A delivery that succeeds writes
 * one cursor move for its whole batch, and nothing per event.
 * ------------------------------------------------------------------------ */

/*
 * subscription_cursors: where the lanes of a subscription stood when their
 * moves were last gathered, one row each; updated about once a minute at most.
 *
 *	lane			epoch * 1024 + index * 4 + class (0 critical to 3 low); the
 *					last of an epoch (1023) is where its lanes begin that have no
 *					row yet, and its totals are those of the epochs before
 *
 * A cursor is (low position, high position, seq): all that was visible at
 * low is consumed, and of what became visible between low and high all up to
 * seq.  high is null between two ranges.  A position is a snapshot, the
 * highest seq handed out when it was taken, and the base_seq of then.
 *
 *	move			counts the moves of this cursor, ever
 *	delivered, failed, dead		totals over the life of the subscription
 */
CREATE TABLE event_engine.subscription_cursors (
	subscription_number integer NOT NULL,
	lane integer NOT NULL,
	move bigint NOT NULL,
	low_snapshot pg_snapshot NOT NULL,
	low_seq bigint NOT NULL,
	low_base_seq bigint NOT NULL,
	high_snapshot pg_snapshot,
	high_seq bigint,
	high_base_seq bigint,
	seq bigint NOT NULL,
	delivered bigint NOT NULL,
	failed bigint NOT NULL,
	dead bigint NOT NULL,
	moved_at timestamptz NOT NULL,
	PRIMARY KEY (subscription_number, lane)
);
COMMENT ON TABLE event_engine.subscription_cursors IS
	'Where each lane of a subscription stood when its moves were last gathered.';

/*
 * subscription_cursor_moves: the same columns, appended to by every batch in
 * the transaction of its effects, gathered into subscription_cursors and
 * emptied by TRUNCATE.  Nothing in it is updated, or deleted save where a
 * subscription or an epoch ends, hence a
 * snapshot held open elsewhere costs it nothing.
 */
CREATE TABLE event_engine.subscription_cursor_moves (
	subscription_number integer NOT NULL,
	lane integer NOT NULL,
	move bigint NOT NULL,
	low_snapshot pg_snapshot NOT NULL,
	low_seq bigint NOT NULL,
	low_base_seq bigint NOT NULL,
	high_snapshot pg_snapshot,
	high_seq bigint,
	high_base_seq bigint,
	seq bigint NOT NULL,
	delivered bigint NOT NULL,
	failed bigint NOT NULL,
	dead bigint NOT NULL,
	moved_at timestamptz NOT NULL
);
COMMENT ON TABLE event_engine.subscription_cursor_moves IS
	'Moves of cursors since they were last gathered; the latest one counts.';
/* Nothing else identifies a row, should all tables be published one day. */
ALTER TABLE event_engine.subscription_cursor_moves REPLICA IDENTITY FULL;
CREATE UNIQUE INDEX subscription_cursor_moves_idx
	ON event_engine.subscription_cursor_moves (subscription_number, lane, move);

/*
 * deliveries: only the exceptions.
 *
 *	status			retry		failed before, due at next_attempt_at
 *					delayed		not due before deliver_at
 *					parked		behind a failing event of the same key
 *					halted		a dead letter that holds up its key until a
 *								person redrives or discards it
 *					released	discarded: those behind it follow
 *					leased		handed to a pulling client until next_attempt_at
 *	attempts		made so far
 *	receipt			of the lease: who holds it may acknowledge
 *	last_error...	of the latest attempt
 *	event			the event itself, so that a retry reads one row
 *	partition_key	the event's, where it holds up later ones of that key
 */
CREATE TABLE event_engine.deliveries (
	subscription_number integer NOT NULL,
	seq bigint NOT NULL,
	id uuid NOT NULL,
	status text NOT NULL
		CHECK (status IN ('retry', 'delayed', 'parked', 'halted', 'released',
			'leased')),
	attempts integer NOT NULL DEFAULT 0,
	next_attempt_at timestamptz NOT NULL,
	receipt uuid,
	event event_engine.event NOT NULL,
	last_error text,
	error_details jsonb,
	first_failed_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	partition_key varchar(255) COLLATE "C",
	PRIMARY KEY (subscription_number, seq)
);
COMMENT ON TABLE event_engine.deliveries IS
	'Deliveries that did not simply succeed: retried, delayed, parked or leased.';
/*
 * An expression, so that a statement says by which index it is to run: one
 * that names the column and seq finds its row by the primary key.  Planned
 * while the table is small it took this one, and read all of a subscription
 * for each row ever after.
 */
CREATE INDEX deliveries_due_idx ON event_engine.deliveries
	((subscription_number::bigint), next_attempt_at, seq);
CREATE INDEX deliveries_partition_key_idx ON event_engine.deliveries
	(subscription_number, partition_key, seq) WHERE partition_key IS NOT NULL;
CREATE INDEX deliveries_receipt_idx ON event_engine.deliveries (receipt)
	WHERE receipt IS NOT NULL;

/*
 * event_leases: events handed to pulling clients and not yet acknowledged,
 * one row for those of a receipt that have been handed out equally often.
 * Events that have a row in deliveries are leased there.
 *
 *	receipt			fences: a late owner's receipt is no longer here
 *	seqs			their positions in the log
 *	first_at, last_at	span of their created_at, to find them in few partitions
 *	attempts		how often they have been handed out, this time included
 *	expires_at		from then on they belong to whoever asks
 */
CREATE TABLE event_engine.event_leases (
	receipt uuid NOT NULL,
	subscription_number integer NOT NULL,
	seqs bigint[] NOT NULL,
	first_at timestamptz NOT NULL,
	last_at timestamptz NOT NULL,
	attempts integer NOT NULL,
	leased_by text NOT NULL,
	leased_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	PRIMARY KEY (receipt, attempts)
);
COMMENT ON TABLE event_engine.event_leases IS
	'Events handed to pulling clients and not yet acknowledged.';
/* a thousand positions: compressing them would cost what reading events does */
ALTER TABLE event_engine.event_leases ALTER seqs SET STORAGE EXTERNAL;
/* a thousand positions: compressing them would cost what reading events does */
ALTER TABLE event_engine.event_leases ALTER seqs SET STORAGE EXTERNAL;
CREATE INDEX event_leases_expires_at_idx ON event_engine.event_leases
	(subscription_number, expires_at);

/*
 * delivery_counts: what became of pulled events, not yet added to the totals
 * of the cursor: whoever settles a receipt does not have the subscription's
 * lock, and the next to read the log has.
 */
CREATE TABLE event_engine.delivery_counts (
	subscription_number integer NOT NULL,
	delivered bigint NOT NULL,
	failed bigint NOT NULL,
	dead bigint NOT NULL
);
COMMENT ON TABLE event_engine.delivery_counts IS
	'Outcomes of pulled events, to be added to the totals of their cursors.';
ALTER TABLE event_engine.delivery_counts REPLICA IDENTITY FULL;
CREATE INDEX delivery_counts_subscription_number_idx
	ON event_engine.delivery_counts (subscription_number);

/*
 * received_event: an event as receive_events() gives it.
 *
 *	receipt		to acknowledge it with; the same for all events of a call
 *	attempts	how often it has been handed out, this time included
 *	id, ...		the columns of event_engine.event, save xid
 */
CREATE TYPE event_engine.received_event AS (
	receipt uuid,
	attempts integer,
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
	seq bigint
);
COMMENT ON TYPE event_engine.received_event IS
	'An event as a pulling client receives it, with the receipt of its lease.';

/*
 * executor_starts: starts of an executor of a role since it was last known to
 * have been through all its subscriptions.  More than one tells that a
 * handler may be taking it down.
 */
CREATE TABLE event_engine.executor_starts (
	owner oid NOT NULL,
	member integer NOT NULL,
	starts integer NOT NULL,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (owner, member)
);
COMMENT ON TABLE event_engine.executor_starts IS
	'Starts of executors that have not yet proven to survive their work.';

/*
 * event_dead_letters: deliveries given up.  Self-contained: a row outlives
 * the event's partition and its subscription.
 *
 *	subscriber		who could not digest it
 *	event_id		the event's identifier (its id where it had no event_id)
 *	event_type		its pattern
 *	payload			its payload; envelope holds all the rest
 *	seq				its position in the log
 *	retry_count		attempts made since it was put back, or ever
 *	previous_id		the letter that was redriven when this was made of the same
 *					event: its error and attempts came before these
 *	error_message	of the last attempt; error_details: SQLSTATE, detail,
 *					hint, context, attempt, durationMs
 *	original_created_at	arrival of the event
 *	status			dead | redriven | discarded
 */
CREATE TABLE event_engine.event_dead_letters (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	subscriber varchar(255) NOT NULL,
	event_id varchar(255) NOT NULL,
	event_type varchar(255) NOT NULL,
	payload jsonb,
	envelope jsonb NOT NULL,
	seq bigint NOT NULL,
	error_message text NOT NULL,
	error_details jsonb,
	retry_count integer NOT NULL,
	original_created_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	status text NOT NULL DEFAULT 'dead'
		CHECK (status IN ('dead', 'redriven', 'discarded')),
	status_changed_at timestamptz,
	previous_id uuid
);
COMMENT ON TABLE event_engine.event_dead_letters IS
	'Deliveries given up, whole: an operator redrives or discards them.';
CREATE INDEX event_dead_letters_subscriber_idx
	ON event_engine.event_dead_letters (subscriber, created_at);
CREATE INDEX event_dead_letters_seq_idx
	ON event_engine.event_dead_letters (subscriber, seq);
CREATE INDEX event_dead_letters_settled_idx
	ON event_engine.event_dead_letters (status_changed_at) WHERE status <> 'dead';

/*
 * delivery_keys: what subscriptions with the option idempotency_key have
 * handled, by that key of the events.
 *
 *	key			what the path gives of the envelope, as JSON text; a long one as
 *				md5 of that
 *	seq			of the event that was handled
 *	expires_at	from then on another event with that key is handled again
 */
CREATE TABLE event_engine.delivery_keys (
	subscription_number integer NOT NULL,
	key text COLLATE "C" NOT NULL,
	seq bigint NOT NULL,
	expires_at timestamptz NOT NULL,
	PRIMARY KEY (subscription_number, key)
);
COMMENT ON TABLE event_engine.delivery_keys IS
	'Keys of events that a subscription has handled, within its window.';
CREATE INDEX delivery_keys_expires_at_idx
	ON event_engine.delivery_keys (expires_at);

/*
 * event_processing_log: one row per finished delivery, only for subscriptions
 * with the option processing_log.
 */
CREATE TABLE event_engine.event_processing_log (
	subscriber varchar(255) NOT NULL,
	id uuid NOT NULL,
	pattern varchar(255) NOT NULL,
	outcome text NOT NULL CHECK (outcome IN ('delivered', 'failed', 'dead')),
	attempt integer NOT NULL,
	error_message text,
	started_at timestamptz NOT NULL,
	finished_at timestamptz NOT NULL
);
COMMENT ON TABLE event_engine.event_processing_log IS
	'Finished deliveries of subscriptions that ask for a log.';
ALTER TABLE event_engine.event_processing_log REPLICA IDENTITY FULL;
CREATE INDEX event_processing_log_id_idx
	ON event_engine.event_processing_log (id);
CREATE INDEX event_processing_log_finished_at_idx
	ON event_engine.event_processing_log USING brin (finished_at);
