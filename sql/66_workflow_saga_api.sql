/* ------------------------------------------------------------------------
 * Workflows: compensations and children.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.compensate_with_as(caller oid,
		workflow_instance_id uuid, handler regprocedure, argument jsonb)
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	instance event_engine.workflow_instances;
	owner regrole;
	registered integer;
BEGIN
	SELECT i.* INTO instance FROM event_engine.workflow_instances AS i
		WHERE i.id = workflow_instance_id FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE502',
			MESSAGE = format('workflow instance %s does not exist',
				COALESCE(workflow_instance_id::text, 'null'));
	END IF;
	SELECT d.owner INTO owner FROM event_engine.workflow_definitions AS d
		WHERE d.id = instance.definition_id;
	PERFORM event_engine.check_owner(caller, owner,
		'workflow', instance.workflow);
	IF instance.status NOT IN ('running', 'waiting') THEN
		RAISE EXCEPTION USING ERRCODE = 'VE504',
			MESSAGE = format('workflow "%s" is %s already', instance.workflow,
				instance.status);
	END IF;
	IF handler IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = 'handler of a compensation does not exist',
			DETAIL = 'It is a function with one argument, of type jsonb.',
			HINT = 'Create the function first, and name its schema unless that is in the search path.';
	END IF;
	IF NOT has_function_privilege(owner::oid, handler, 'EXECUTE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('permission denied for function %s', handler),
			DETAIL = format('Role %s owns the workflow and would run it.',
				owner);
	END IF;
	INSERT INTO event_engine.workflow_compensations AS c (instance_id,
			position, step, handler, argument)
		SELECT instance.id, COALESCE(max(o.position), 0) + 1, instance.step,
				compensate_with_as.handler::text, COALESCE(compensate_with_as.argument, 'null')
			FROM event_engine.workflow_compensations AS o
			WHERE o.instance_id = instance.id
		RETURNING c.position INTO registered;
	RETURN registered;
END
$$;
COMMENT ON FUNCTION event_engine.compensate_with_as(oid, uuid, regprocedure, jsonb) IS
	'Does the work of compensate_with() for the given role.';

CREATE FUNCTION event_engine.compensate_with(workflow_instance_id uuid,
		handler regprocedure, argument jsonb DEFAULT '{}')
	RETURNS integer
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.compensate_with(uuid, regprocedure, jsonb) IS
	'Registers how to undo what a step has done; the same with the function itself.';

/*
 * compensate_with: how to undo what a step has done.  When the workflow
 * fails, is cancelled, or times out, what is registered is called in reverse
 * order, each in a transaction of its own, as the workflow's owner, and tried
 * again like a step.
 *
 *	handler		function of one jsonb, by name or signature
 *	argument	given to it
 *
 * Result: the position.
 */
CREATE FUNCTION event_engine.compensate_with(workflow_instance_id uuid,
		handler text, argument jsonb DEFAULT '{}')
	RETURNS integer
	LANGUAGE sql
RETURN event_engine.compensate_with(workflow_instance_id,
	to_regprocedure(CASE WHEN handler LIKE '%(%' THEN handler
		ELSE handler || '(jsonb)' END), argument);
COMMENT ON FUNCTION event_engine.compensate_with(uuid, text, jsonb) IS
	'Registers how to undo what a step has done.';

/* ---- Children ---- */

/*
 * start_child_workflow: start a workflow for another one, which may wait for
 * it by wait_for_children().  Where the parent fails, is cancelled, or times
 * out, children that run are cancelled; one that is to outlive it is started
 * by start_workflow().
 */
CREATE FUNCTION event_engine.start_child_workflow(parent_id uuid, name text,
		input jsonb DEFAULT '{}', correlation_key text DEFAULT NULL,
		idempotency_key text DEFAULT NULL, version text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_start_child_workflow';
COMMENT ON FUNCTION event_engine.start_child_workflow(uuid, text, jsonb, text, text, text) IS
	'Starts a workflow as the child of another.';

/*
 * wait_for_children: answer of a step: wait until so many of the children are
 * over (null: all), in whatever way.  The step that follows finds the events
 * workflow.finished in its resumption, the waits being named "child 1", ...
 */
CREATE FUNCTION event_engine.wait_for_children(children uuid[],
		needed integer DEFAULT NULL, timeout interval DEFAULT NULL,
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN event_engine.wait_for_n(COALESCE(needed, cardinality(children)),
	(SELECT array_agg(event_engine.wait_for('workflow.finished',
			condition => format('$.payload.id == "%s"', c.id),
			name => 'child ' || c.position, timeout => timeout,
			since => event_engine.event_time(c.id)) ORDER BY c.position)
		FROM unnest(children) WITH ORDINALITY AS c (id, position)),
	next_step, state);
COMMENT ON FUNCTION event_engine.wait_for_children(uuid[], integer, interval, text, jsonb) IS
	'Answer of a step: wait for child workflows.';
