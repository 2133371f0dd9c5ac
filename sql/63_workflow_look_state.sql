/* ------------------------------------------------------------------------
 * Workflows: finding instances that are over.
 * ------------------------------------------------------------------------ */

CREATE INDEX workflow_instances_finished_at_idx
	ON event_engine.workflow_instances (definition_id, finished_at)
	WHERE finished_at IS NOT NULL;
