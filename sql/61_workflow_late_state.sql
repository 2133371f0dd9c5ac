/* ------------------------------------------------------------------------
 * Workflows: events that fell due before a wait for them could be seen.
 * ------------------------------------------------------------------------ */

/*
 * workflow_late: events that fell due while transactions were open, which may
 * have registered a wait for them that nobody could see.
 *
 *	number		of the dispatcher
 *	seq, event	the event
 *	open		the transactions that are open still, of the cluster that
 *	base_seq	tells
 */
CREATE TABLE event_engine.workflow_late (
	number integer NOT NULL,
	seq bigint NOT NULL,
	open xid8[] NOT NULL,
	base_seq bigint NOT NULL,
	event event_engine.event NOT NULL,
	PRIMARY KEY (number, seq)
);
COMMENT ON TABLE event_engine.workflow_late IS
	'Events that fell due while waits for them may have been about to be committed.';
