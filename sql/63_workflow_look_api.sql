/* ------------------------------------------------------------------------
 * Workflows: looking at definitions and instances.
 *
 * Whoever may read event_engine.workflow_instances (the duty reader) sees all
 * of them, and everybody else those of the roles that he is a member of.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.sees_workflows(caller oid, owner oid)
	RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
RETURN has_table_privilege(caller, 'event_engine.workflow_instances', 'SELECT')
	OR pg_has_role(caller, owner, 'USAGE');
COMMENT ON FUNCTION event_engine.sees_workflows(oid, oid) IS
	'Internal: whether a role may see the workflows of another.';

CREATE FUNCTION event_engine.get_workflow_as(caller oid,
		workflow_instance_id uuid)
	RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
SELECT jsonb_build_object(
	'id', i.id, 'workflow', i.workflow, 'version', i.version,
	'status', i.status, 'step', i.step, 'steps', i.steps,
	'correlationKey', i.correlation_key, 'idempotencyKey', i.idempotency_key,
	'input', i.input, 'state', i.state, 'output', i.output,
	'attempts', i.attempts, 'nextAttemptAt', i.next_attempt_at,
	'lastError', i.last_error, 'errorDetails', i.error_details,
	'parentId', i.parent_id, 'deadlineAt', i.deadline_at,
	'metadata', i.metadata, 'createdAt', i.created_at,
	'updatedAt', i.updated_at, 'finishedAt', i.finished_at)
	|| jsonb_build_object(
	'waitNeeded', i.wait_needed,
	'waits', COALESCE((SELECT jsonb_agg(jsonb_build_object('id', w.id,
			'name', w.name, 'pattern', w.pattern, 'condition', w.filter_path,
			'filters', w.filters, 'timeoutAt', w.timeout_at, 'since', w.since,
			'createdAt', w.created_at) ORDER BY w.id)
		FROM event_engine.workflow_waits AS w
		WHERE w.instance_id = i.id), '[]'),
	'history', COALESCE((SELECT jsonb_agg(jsonb_build_object(
			'number', s.step_number, 'attempt', s.attempt, 'step', s.step,
			'resumedBy', s.resumed_by, 'wait', s.wait_name,
			'eventId', s.event_id, 'result', s.result,
			'error', s.error_message, 'details', s.details,
			'startedAt', s.started_at, 'finishedAt', s.finished_at,
			'durationMs', round(extract(epoch
				FROM s.finished_at - s.started_at) * 1000, 3))
			ORDER BY s.step_number, s.started_at, s.attempt)
		FROM event_engine.workflow_steps AS s
		WHERE s.instance_id = i.id), '[]'))
FROM event_engine.workflow_instances AS i
	LEFT JOIN event_engine.workflow_definitions AS d ON d.id = i.definition_id
WHERE i.id = workflow_instance_id
	AND event_engine.sees_workflows(caller, COALESCE(d.owner, 10)::oid)
$$;
COMMENT ON FUNCTION event_engine.get_workflow_as(oid, uuid) IS
	'Does the work of get_workflow() for the given role.';

CREATE FUNCTION event_engine.get_workflow(workflow_instance_id uuid)
	RETURNS jsonb
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.get_workflow(uuid) IS
	'An instance of a workflow, with what it waits for and the steps that it has taken; null when there is none.';

/*
 * list_workflows: instances that fit, newest first.
 *
 *	of_workflow, in_status, with_key, of_version, of_parent	exactly
 *	since, until		bounds of created_at; the upper one is not included
 *	before_id			pass the last id of a page to get the next page
 */
CREATE FUNCTION event_engine.list_workflows_as(caller oid, of_workflow text,
		in_status text, with_key text, of_version text, of_parent uuid,
		since timestamptz, until timestamptz, before_id uuid,
		max_instances integer)
	RETURNS TABLE (id uuid, workflow varchar, version varchar, status text,
		correlation_key varchar, step text, steps integer,
		created_at timestamptz, updated_at timestamptz,
		finished_at timestamptz, last_error text)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
SELECT i.id, i.workflow, i.version, i.status, i.correlation_key, i.step,
	i.steps, i.created_at, i.updated_at, i.finished_at, i.last_error
FROM event_engine.workflow_instances AS i
	LEFT JOIN event_engine.workflow_definitions AS d ON d.id = i.definition_id
WHERE ($2 IS NULL OR i.workflow = $2) AND ($3 IS NULL OR i.status = $3)
	AND ($4 IS NULL OR i.correlation_key = $4)
	AND ($5 IS NULL OR i.version = $5) AND ($6 IS NULL OR i.parent_id = $6)
	AND ($7 IS NULL OR i.created_at >= $7) AND ($8 IS NULL OR i.created_at < $8)
	AND ($9 IS NULL OR i.id < $9)
	AND event_engine.sees_workflows($1, COALESCE(d.owner, 10)::oid)
ORDER BY i.id DESC LIMIT $10
$$;
COMMENT ON FUNCTION event_engine.list_workflows_as(oid, text, text, text, text, uuid, timestamptz, timestamptz, uuid, integer) IS
	'Does the work of list_workflows() for the given role.';

CREATE FUNCTION event_engine.list_workflows(of_workflow text DEFAULT NULL,
		in_status text DEFAULT NULL, with_key text DEFAULT NULL,
		of_version text DEFAULT NULL, of_parent uuid DEFAULT NULL,
		since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
		before_id uuid DEFAULT NULL, max_instances integer DEFAULT 100)
	RETURNS TABLE (id uuid, workflow varchar, version varchar, status text,
		correlation_key varchar, step text, steps integer,
		created_at timestamptz, updated_at timestamptz,
		finished_at timestamptz, last_error text)
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.list_workflows(text, text, text, text, uuid, timestamptz, timestamptz, uuid, integer) IS
	'Instances of workflows that fit, newest first, a page at a time.';

CREATE FUNCTION event_engine.list_workflow_definitions_as(caller oid,
		of_name text)
	RETURNS TABLE (name varchar, version varchar, status text, owner regrole,
		handler text, description text, options jsonb, id uuid,
		created_at timestamptz, updated_at timestamptz)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
SELECT d.name, d.version, d.status, d.owner, d.handler, d.description,
	d.options, d.id, d.created_at, d.updated_at
FROM event_engine.workflow_definitions AS d
WHERE ($2 IS NULL OR d.name = $2)
	AND event_engine.sees_workflows($1, d.owner::oid)
ORDER BY d.name, d.created_at, d.version
$$;
COMMENT ON FUNCTION event_engine.list_workflow_definitions_as(oid, text) IS
	'Does the work of list_workflow_definitions() for the given role.';

CREATE FUNCTION event_engine.list_workflow_definitions(of_name text DEFAULT NULL)
	RETURNS TABLE (name varchar, version varchar, status text, owner regrole,
		handler text, description text, options jsonb, id uuid,
		created_at timestamptz, updated_at timestamptz)
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.list_workflow_definitions(text) IS
	'The workflows that are registered, all versions.';

/* ---- Instances that are over ---- */

/* The caller has them locked. */
CREATE FUNCTION event_engine.forget_instances(ids uuid[])
	RETURNS bigint
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM event_engine.workflow_steps AS s
		WHERE s.instance_id = ANY (ids);
	DELETE FROM event_engine.workflow_compensations AS c
		WHERE c.instance_id = ANY (ids);
	DELETE FROM event_engine.workflow_instances AS i WHERE i.id = ANY (ids);
	SELECT COALESCE(cardinality(ids), 0)::bigint
$$;
COMMENT ON FUNCTION event_engine.forget_instances(uuid[]) IS
	'Internal: deletes instances that are over, with their history.';

/*
 * forget_workflows: what maintenance does with instances that ended long ago.
 * Those that failed stay until somebody has looked at them.
 *
 *	keep_for		where the definition does not say; null: for ever
 *	max_instances	at once
 *
 * Result: how many.  Below max_instances: no more at present.
 */
CREATE FUNCTION event_engine.forget_workflows(keep_for interval,
		max_instances integer)
	RETURNS bigint
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	definition record;
	ids uuid[];
	n bigint := 0;
BEGIN
	FOR definition IN SELECT d.id, CASE
				WHEN d.options ->> 'keep_for_ms' IS NULL THEN forget_workflows.keep_for
				WHEN d.options ->> 'keep_for_ms' <> '0' THEN
					(d.options ->> 'keep_for_ms')::double precision
						* interval '1 millisecond' END AS kept
		FROM event_engine.workflow_definitions AS d
	LOOP
		CONTINUE WHEN definition.kept IS NULL;
		SELECT array_agg(o.id) INTO ids FROM (SELECT i.id
			FROM event_engine.workflow_instances AS i
			WHERE i.definition_id = definition.id
				AND i.finished_at < clock_timestamp() - definition.kept
				AND i.status IN ('completed', 'cancelled', 'timed_out')
			ORDER BY i.finished_at LIMIT max_instances - n
			FOR UPDATE SKIP LOCKED) AS o;
		n := n + event_engine.forget_instances(ids);
		EXIT WHEN n >= max_instances;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.forget_workflows(interval, integer) IS
	'Internal: deletes instances whose time to be kept is over.';

/*
 * delete_workflows: forget instances that are over, with their history, those
 * that ended first before the others.
 *
 *	finished_before		which: those that ended before this time
 *	of_workflow, in_status	of this workflow, with this status only
 *	max_instances		how many at once
 *
 * Result: how many were deleted.  Their idempotency keys may be used again.
 */
CREATE FUNCTION event_engine.delete_workflows_as(caller oid,
		finished_before timestamptz, of_workflow text, in_status text,
		max_instances integer)
	RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	upkeep CONSTANT boolean := has_function_privilege(caller,
		'event_engine.run_maintenance()', 'EXECUTE');
	ids uuid[];
BEGIN
	IF finished_before IS NULL OR COALESCE(max_instances, 0) < 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'finished_before must be a time, and max_instances at least 1';
	END IF;
	-- what somebody is resuming is not over
	SELECT array_agg(o.id) INTO ids FROM (SELECT i.id
		FROM event_engine.workflow_instances AS i
		WHERE i.finished_at < delete_workflows_as.finished_before
			AND i.status IN ('completed', 'failed', 'cancelled', 'timed_out')
			AND (of_workflow IS NULL OR i.workflow = of_workflow)
			AND (in_status IS NULL OR i.status = in_status)
			AND (upkeep OR EXISTS (SELECT
				FROM event_engine.workflow_definitions AS d
				WHERE d.id = i.definition_id
					AND pg_has_role(caller, d.owner::oid, 'USAGE')))
		ORDER BY i.finished_at LIMIT max_instances
		FOR UPDATE SKIP LOCKED) AS o;
	IF ids IS NOT NULL THEN
		PERFORM event_engine.audit_action('deleted', 'workflow_instances',
			COALESCE(of_workflow, '*'), jsonb_build_object(
				'count', cardinality(ids), 'status', in_status,
				'finishedBefore', finished_before));
	END IF;
	RETURN event_engine.forget_instances(ids);
END
$$;
COMMENT ON FUNCTION event_engine.delete_workflows_as(oid, timestamptz, text, text, integer) IS
	'Does the work of delete_workflows() for the given role.';

CREATE FUNCTION event_engine.delete_workflows(finished_before timestamptz,
		of_workflow text DEFAULT NULL, in_status text DEFAULT NULL,
		max_instances integer DEFAULT 10000)
	RETURNS bigint
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.delete_workflows(timestamptz, text, text, integer) IS
	'Forgets instances that ended before a time, with their history.';
