/*
 * workflow_compensations: how to undo what the steps of a workflow have done.
 *
 *	position	in the order of registration; undone in reverse
 *	step		that registered it
 *	handler		signature of a function of the argument
 *	status		registered | done | failed: a person is to look at it
 *	attempts, last_error	of the latest ones
 *	outcome		what the workflow is once all is undone; null until it begins
 */
CREATE TABLE event_engine.workflow_compensations (
	instance_id uuid NOT NULL,
	position integer NOT NULL,
	step text NOT NULL,
	handler text NOT NULL,
	argument jsonb NOT NULL,
	status text NOT NULL DEFAULT 'registered'
		CHECK (status IN ('registered', 'done', 'failed')),
	attempts integer NOT NULL DEFAULT 0,
	last_error text,
	outcome text,
	registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	finished_at timestamptz,
	PRIMARY KEY (instance_id, position)
);
COMMENT ON TABLE event_engine.workflow_compensations IS
	'How to undo what the steps of workflows have done, and how far that has come.';
