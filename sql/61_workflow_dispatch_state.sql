/* ------------------------------------------------------------------------
 * Workflows: what their dispatchers have yet to do.
 * ------------------------------------------------------------------------ */

/*
 * workflow_postponed: events that end a wait of an instance which somebody
 * else had locked.  A dispatcher does not stand still for him: it goes on, and
 * acts on the event when the instance is free.
 *
 *	number		of the dispatcher
 *	wait_id		the wait that the event ends, unless it is over by then
 *	seq, event	the event
 */
CREATE TABLE event_engine.workflow_postponed (
	number integer NOT NULL,
	seq bigint NOT NULL,
	wait_id uuid NOT NULL,
	instance_id uuid NOT NULL,
	event event_engine.event NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (number, seq, wait_id)
);
COMMENT ON TABLE event_engine.workflow_postponed IS
	'Events that resume a workflow as soon as nobody else has it locked.';
