/* ------------------------------------------------------------------------
 * Workflows: events about them, see src/workflow/life_cycle.c.
 * ------------------------------------------------------------------------ */

/*
 * What happens to a workflow: the patterns are workflow. and these; and what
 * happens to a run of its steps, with the whole pattern.
 */
CREATE FUNCTION event_engine.workflow_event_names()
	RETURNS SETOF text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 15
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT unnest('{started,resumed,step_completed,step_failed,waiting,
		compensating,completed,failed,cancelled,timed_out,finished,
		task.started,task.completed,task.failed,task.progress}'::text[])
$$;
COMMENT ON FUNCTION event_engine.workflow_event_names() IS
	'Internal: what happens to a workflow, and is published as workflow.<name>, or as <name> if that has a dot.';

/*
 * Their definitions are made with the first workflow, not with the extension:
 * so they are dumped and restored like all others.  Where somebody has such a
 * pattern already it stays as it is.
 */
CREATE FUNCTION event_engine.register_workflow_events()
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT event_engine.register_event_definition(p.pattern,
		'{"type": "object", "required": ["id", "workflow", "version", "status"],
		  "properties": {"id": {"type": "string"}, "workflow": {"type": "string"},
			"version": {"type": "string"}, "status": {"type": "string"},
			"step": {"type": "string"}, "stepNumber": {"type": "integer"},
			"attempt": {"type": "integer"}, "result": {"type": "string"},
			"resumedBy": {"type": "string"}, "wait": {"type": "string"},
			"error": {"type": "string"}, "durationMs": {"type": "integer"},
			"correlationKey": {"type": "string"}, "parentId": {"type": "string"}}}',
		event_id => 'event_engine.' || p.pattern,
		name => initcap(split_part(p.pattern, '.', 1)) || ' '
			|| replace(split_part(p.pattern, '.', 2), '_', ' '),
		source_types => '{workflow}')
	FROM event_engine.workflow_event_names() AS n (name),
		LATERAL (SELECT CASE WHEN n.name LIKE '%.%' THEN n.name
			ELSE 'workflow.' || n.name END) AS p (pattern)
	WHERE NOT EXISTS (SELECT FROM event_engine.event_definitions AS d
		WHERE d.pattern = p.pattern)
$$;
COMMENT ON FUNCTION event_engine.register_workflow_events() IS
	'Internal: registers the events about workflows.';
