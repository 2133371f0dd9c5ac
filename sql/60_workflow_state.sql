/* ------------------------------------------------------------------------
 * Workflows: definitions, their instances, what these wait for, and the
 * steps that they have taken.
 *
 * The instances of a role are woken by that role's dispatcher, a row of
 * subscriptions of kind workflow: "number" is that subscription's, so that
 * what a dispatcher has to look at lies together in the indexes.
 * ------------------------------------------------------------------------ */

/*
 * workflow_definitions: what a workflow does, one row for each version.
 *
 *	name, version		of what start_workflow() starts
 *	owner				the handler is called as this role
 *	number				of the owner's dispatcher
 *	handler				signature of the function that takes the steps; null:
 *						an orchestrator outside the database takes them
 *	options				max_attempts, backoff, timeout_ms, instance_timeout, ...
 *						with defaults filled in
 *	status				active | deprecated: no instance is started of it
 */
CREATE TABLE event_engine.workflow_definitions (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	name varchar(255) COLLATE "C" NOT NULL CHECK (name <> ''),
	version varchar(50) NOT NULL,
	owner regrole NOT NULL,
	number integer NOT NULL,
	handler text,
	description text,
	options jsonb NOT NULL,
	status text NOT NULL DEFAULT 'active'
		CHECK (status IN ('active', 'deprecated')),
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	UNIQUE (name, version)
);
COMMENT ON TABLE event_engine.workflow_definitions IS
	'What workflows do: a handler and its options, one row for each version.';

/* Caches of definitions hear of every change, by whomever. */
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.workflow_definitions FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.workflow_definitions FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.workflow_definitions
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;

/*
 * workflow_instances: one row for each workflow started.
 *
 *	workflow, version	of its definition
 *	status				running		a step is due or under way
 *						waiting		for one of its waits
 *						compensating	undoing what its steps have done
 *						completed, failed, cancelled, timed_out
 *	correlation_key		by which people find it
 *	idempotency_key		starting it again with the same gives this one
 *	input, output		given at the start, and by the last step
 *	state				what the steps keep for each other
 *	step				name of the step to be taken next, or failed at
 *	steps				taken so far
 *	wait_needed			how many of its waits have yet to match until it is
 *						resumed
 *	matched				events of those that have, by the name of the wait
 *	resumption			why the step is taken that is due, has failed, or is
 *						guarded: {"kind", "wait", "events"}
 *	resumption_event	the event of that
 *	attempts			made of the step that is due or failed
 *	next_attempt_at		when that step is due; null: none is.  Of one that is over:
 *						when those of its children are looked for that were locked
 *	last_error, error_details	of the latest attempt that failed
 *	deadline_at			when the whole instance times out
 *	parent_id			of the instance that started it
 *	metadata			correlationId, causationId, ... for the events it publishes
 *
 * A step changes no column that an index needs, save the first one, the last
 * one and those that failed: the room left in the pages lets the new row stay
 * near the old.
 */
CREATE TABLE event_engine.workflow_instances (
	id uuid NOT NULL PRIMARY KEY,
	number integer NOT NULL,
	definition_id uuid NOT NULL,
	workflow varchar(255) COLLATE "C" NOT NULL,
	version varchar(50) NOT NULL,
	status text NOT NULL
		CHECK (status IN ('running', 'waiting', 'compensating', 'completed',
			'failed', 'cancelled', 'timed_out')),
	correlation_key varchar(255) COLLATE "C",
	idempotency_key varchar(255) COLLATE "C",
	input jsonb NOT NULL,
	state jsonb NOT NULL,
	output jsonb,
	step text NOT NULL,
	steps integer NOT NULL DEFAULT 0,
	wait_needed integer NOT NULL DEFAULT 0,
	matched jsonb,
	resumption jsonb,
	resumption_event event_engine.event,
	attempts integer NOT NULL DEFAULT 0,
	next_attempt_at timestamptz,
	last_error text,
	error_details jsonb,
	parent_id uuid,
	deadline_at timestamptz,
	metadata jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	finished_at timestamptz
) WITH (fillfactor = 70);
COMMENT ON TABLE event_engine.workflow_instances IS
	'Workflows that were started: where each of them stands.';
CREATE INDEX workflow_instances_correlation_key_idx
	ON event_engine.workflow_instances (workflow, correlation_key)
	WHERE correlation_key IS NOT NULL;
CREATE UNIQUE INDEX workflow_instances_idempotency_key_idx
	ON event_engine.workflow_instances (workflow, idempotency_key)
	WHERE idempotency_key IS NOT NULL;
CREATE INDEX workflow_instances_next_attempt_at_idx
	ON event_engine.workflow_instances (number, next_attempt_at)
	WHERE next_attempt_at IS NOT NULL;
CREATE INDEX workflow_instances_deadline_at_idx
	ON event_engine.workflow_instances (number, deadline_at)
	WHERE deadline_at IS NOT NULL;
CREATE INDEX workflow_instances_parent_id_idx
	ON event_engine.workflow_instances (parent_id)
	WHERE parent_id IS NOT NULL;

/*
 * workflow_waits: what instances wait for.  A row is gone once its wait has
 * matched, timed out or been cancelled, or another of the instance resumed it.
 *
 *	name			what the steps call it
 *	pattern			of the event, exact or a wildcard; null: it sleeps
 *	filter_path, filters	the condition: SQL/JSON path predicate over the
 *					envelope, and filter list; what they said of the workflow is
 *					resolved
 *	key				hash of the pattern and of the path and value of one
 *					equality that the condition requires; of the pattern alone
 *					where it requires none
 *	timeout_at		when the instance is resumed without an event
 *	snapshot, seq, base_seq		position in the log when it was registered: it
 *					matches events that this does not see
 *	since			and those of the past that arrived from then on
 *	variables		{"workflow": {...}} where the condition speaks of $workflow
 *	xid				the top-level transaction that registered it
 */
CREATE TABLE event_engine.workflow_waits (
	id uuid NOT NULL PRIMARY KEY,
	instance_id uuid NOT NULL,
	number integer NOT NULL,
	name text NOT NULL,
	pattern varchar(255) COLLATE "C",
	filter_path text,
	filters jsonb,
	key bigint,
	timeout_at timestamptz,
	snapshot pg_snapshot,
	seq bigint,
	base_seq bigint,
	since timestamptz,
	variables jsonb,
	xid xid8 NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CHECK ((pattern IS NULL) = (key IS NULL)),
	CHECK ((pattern IS NULL) = (snapshot IS NULL)),
	CHECK (pattern IS NOT NULL OR timeout_at IS NOT NULL)
);
COMMENT ON TABLE event_engine.workflow_waits IS
	'What workflows wait for: events, and moments.';
CREATE INDEX workflow_waits_instance_id_idx
	ON event_engine.workflow_waits (instance_id);
CREATE INDEX workflow_waits_key_idx
	ON event_engine.workflow_waits (number, key) WHERE key IS NOT NULL;
CREATE INDEX workflow_waits_timeout_at_idx
	ON event_engine.workflow_waits (number, timeout_at)
	WHERE timeout_at IS NOT NULL;
/* those that a reader of the log has not seen before */
CREATE INDEX workflow_waits_xid_idx
	ON event_engine.workflow_waits (number, base_seq, xid)
	WHERE pattern IS NOT NULL;

/*
 * workflow_wait_keys: by which paths the keys of waits were made, so that
 * the same keys can be made of an event.  A row stays once it is there.
 *
 *	pattern		of waits; exact or a wildcard
 *	path		members from the envelope down, '' where the key is that of the
 *				pattern alone
 */
CREATE TABLE event_engine.workflow_wait_keys (
	number integer NOT NULL,
	pattern varchar(255) COLLATE "C" NOT NULL,
	path text COLLATE "C" NOT NULL,
	PRIMARY KEY (number, pattern, path)
);
COMMENT ON TABLE event_engine.workflow_wait_keys IS
	'By which paths of which patterns the keys of waits are made.';
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.workflow_wait_keys FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.workflow_wait_keys FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.workflow_wait_keys
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;

/*
 * workflow_steps: what instances have done, one row for each attempt.
 *
 *	step_number, step	the how-manieth, and its name
 *	resumed_by			start | event | timeout | sleep | step (the one before) |
 *						child | signal | compensation | call (of a function)
 *	attempt				of this step, from 1
 *	wait_name			of the wait that ended
 *	event_id, event_seq	of the event that resumed it
 *	result				wait | sleep | completed | failed | cancelled |
 *						timed_out | retry | told (an orchestrator outside)
 *	error_message, details	what went wrong, whole
 */
CREATE TABLE event_engine.workflow_steps (
	instance_id uuid NOT NULL,
	step_number integer NOT NULL,
	attempt integer NOT NULL,
	step text NOT NULL,
	resumed_by text NOT NULL,
	wait_name text,
	event_id uuid,
	event_seq bigint,
	result text NOT NULL,
	error_message text,
	details jsonb,
	started_at timestamptz NOT NULL,
	finished_at timestamptz NOT NULL
);
COMMENT ON TABLE event_engine.workflow_steps IS
	'The steps that workflows have taken: why, when, and what came of it.';
ALTER TABLE event_engine.workflow_steps REPLICA IDENTITY FULL;
CREATE INDEX workflow_steps_instance_id_idx
	ON event_engine.workflow_steps (instance_id, step_number, attempt);

/*
 * workflow_instance: an instance as its handler sees it.
 */
CREATE TYPE event_engine.workflow_instance AS (
	id uuid,
	workflow varchar(255) COLLATE "C",
	version varchar(50),
	step text,
	steps integer,
	status text,
	input jsonb,
	state jsonb,
	correlation_key varchar(255) COLLATE "C",
	parent_id uuid,
	created_at timestamptz
);
COMMENT ON TYPE event_engine.workflow_instance IS
	'A workflow as the function that takes its steps sees it.';

/*
 * workflow_resumption: why a step is taken.
 *
 *	kind		start | event | timeout | sleep | step | child | signal |
 *				compensation
 *	wait		name of the wait that ended
 *	event		that ended it
 *	events		envelopes by the name of the wait, where several were needed
 *	attempt		from 1
 */
CREATE TYPE event_engine.workflow_resumption AS (
	kind text,
	wait text,
	event event_engine.event,
	events jsonb,
	attempt integer
);
COMMENT ON TYPE event_engine.workflow_resumption IS
	'Why a step of a workflow is taken.';
