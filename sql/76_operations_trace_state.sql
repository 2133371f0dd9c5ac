/* The workflows of a correlation are found like its events. */
CREATE INDEX workflow_instances_correlation_idx
	ON event_engine.workflow_instances ((metadata ->> 'correlationId'));
