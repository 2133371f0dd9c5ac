/* ------------------------------------------------------------------------
 * Workflows: triggers that could not be fired at once.
 * ------------------------------------------------------------------------ */

/*
 * workflow_postponed_triggers: somebody else had an instance locked that was
 * to be cancelled, or fired triggers of the same workflow.  The dispatcher
 * goes on, and fires these every few milliseconds, those of a workflow in
 * order.
 *
 *	nr			in the order in which the events were met
 *	number		of the dispatcher
 *	seq, event	the event
 */
CREATE TABLE event_engine.workflow_postponed_triggers (
	nr bigint NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	number integer NOT NULL,
	workflow varchar(255) COLLATE "C" NOT NULL,
	trigger_id uuid NOT NULL,
	seq bigint NOT NULL,
	event event_engine.event NOT NULL,
	UNIQUE (number, workflow, trigger_id, seq)
);
COMMENT ON TABLE event_engine.workflow_postponed_triggers IS
	'Events for which a trigger is fired as soon as nobody is in the way.';
