/* ------------------------------------------------------------------------
 * Workflows: events that start and cancel them.
 * ------------------------------------------------------------------------ */

/*
 * workflow_event_triggers
 *
 *	workflow_definition_id	version of the workflow that was the latest then
 *	workflow, version	what is started or cancelled; version null: the highest
 *						active one is started, instances of any are cancelled
 *	number				of the owner's dispatcher, which fires it
 *	event_pattern		exact or a wildcard
 *	trigger_type		START | CANCEL
 *	event_condition		SQL/JSON path predicate over the envelope; of CANCEL the
 *						instance is $workflow
 *	input_mapping		of START: {name: SQL/JSON path over the envelope, or a
 *						constant}; null: the payload is the input
 *	correlation_key		SQL/JSON path: the key of the instance that is started, or
 *						of those that are cancelled
 *	policy				of START: always | if_none_running | restart, looking at
 *						instances with the same key
 *	priority			lower ones first
 *	since, since_seq	it fires for events that this snapshot does not see
 */
CREATE TABLE event_engine.workflow_event_triggers (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	workflow_definition_id uuid NOT NULL,
	workflow varchar(255) COLLATE "C" NOT NULL,
	version varchar(50),
	number integer NOT NULL,
	event_pattern varchar(255) COLLATE "C" NOT NULL,
	trigger_type text NOT NULL CHECK (trigger_type IN ('START', 'CANCEL')),
	event_condition text,
	input_mapping jsonb CHECK (jsonb_typeof(input_mapping) = 'object'),
	correlation_key text,
	policy text NOT NULL DEFAULT 'always'
		CHECK (policy IN ('always', 'if_none_running', 'restart')),
	enabled boolean NOT NULL DEFAULT true,
	priority integer NOT NULL DEFAULT 100,
	description text,
	since pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),
	since_seq bigint NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE event_engine.workflow_event_triggers IS
	'Which events start workflows, and which cancel them.';
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.workflow_event_triggers FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.workflow_event_triggers FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.workflow_event_triggers
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;

/* Who is running under a key; no step changes these columns. */
CREATE INDEX workflow_instances_running_idx
	ON event_engine.workflow_instances (workflow, correlation_key)
	WHERE finished_at IS NULL;

/*
 * workflow_trigger_failures: events for which a trigger could not be fired,
 * whole, until a person has it tried again or discards it.
 *
 *	status	failed | retried | discarded
 */
CREATE TABLE event_engine.workflow_trigger_failures (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	trigger_id uuid NOT NULL,
	workflow varchar(255) COLLATE "C" NOT NULL,
	event event_engine.event NOT NULL,
	error_message text NOT NULL,
	error_details jsonb,
	status text NOT NULL DEFAULT 'failed'
		CHECK (status IN ('failed', 'retried', 'discarded')),
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	status_changed_at timestamptz
);
COMMENT ON TABLE event_engine.workflow_trigger_failures IS
	'Events for which a trigger could not be fired, to be tried again or discarded.';
CREATE INDEX workflow_trigger_failures_trigger_id_idx
	ON event_engine.workflow_trigger_failures (trigger_id, created_at);
