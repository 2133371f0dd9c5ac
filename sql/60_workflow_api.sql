/* ------------------------------------------------------------------------
 * Workflows: definitions, and looking at instances.
 *
 * The public functions that change definitions are faces in C, which tell the
 * definer function of the same name with _as whose call it is.
 * ------------------------------------------------------------------------ */

/* ---- What a definition may say ---- */

/*
 * Options of a workflow in canonical form, laid over base; without a base,
 * over the defaults.
 *
 *	max_attempts, backoff_ms, backoff_factor, backoff_max_ms, jitter, or
 *	retryPolicy				of a step that fails, as of a subscription
 *	timeout_ms				of one step
 *	instance_timeout_ms		of all of an instance; also instance_timeout, an
 *							interval; 0: none
 *	keep_for_ms				how long instances stay once they are over; also
 *							keep_for, an interval; 0: for ever, null: as
 *							event_engine.workflow_retention says
 */
CREATE FUNCTION event_engine.workflow_options(options jsonb,
		base jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result jsonb := COALESCE(base, jsonb_build_object('max_attempts', 5,
		'backoff_ms', 1000, 'backoff_factor', 2, 'backoff_max_ms', 3600000,
		'jitter', 0.2, 'timeout_ms', 30000, 'instance_timeout_ms', 0));
	timeout interval;
	option record;
BEGIN
	IF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = 'options must be a JSON object';
	END IF;
	FOR option IN SELECT o.key, o.value FROM jsonb_each(options) AS o LOOP
		IF option.key IN ('retryPolicy', 'retry_policy') THEN
			result := result || (SELECT COALESCE(jsonb_object_agg(k.key, k.value), '{}')
				FROM jsonb_each(event_engine.subscription_options(
					jsonb_build_object('retryPolicy', option.value), '{}')) AS k);
		ELSIF option.key IN ('instance_timeout', 'instanceTimeout') THEN
			timeout := (option.value #>> '{}')::interval;
			result := result || jsonb_build_object('instance_timeout_ms',
				COALESCE(round(extract(epoch FROM timeout) * 1000), 0));
		ELSIF option.key IN ('instance_timeout_ms', 'instanceTimeoutMs') THEN
			result := result
				|| jsonb_build_object('instance_timeout_ms', option.value);
		ELSIF option.key IN ('keep_for', 'keepFor') THEN
			timeout := (option.value #>> '{}')::interval;
			result := result || jsonb_build_object('keep_for_ms',
				round(extract(epoch FROM timeout) * 1000));
		ELSIF option.key IN ('keep_for_ms', 'keepForMs') THEN
			result := result || jsonb_build_object('keep_for_ms', option.value);
		ELSIF option.key IN ('max_attempts', 'maxAttempts', 'backoff_ms',
				'backoffMs', 'backoff_factor', 'backoffFactor',
				'backoff_max_ms', 'backoffMaxMs', 'maxBackoffMs',
				'exponential_backoff', 'exponentialBackoff', 'jitter',
				'timeout', 'timeout_ms', 'timeoutMs') THEN
			result := result
				|| event_engine.subscription_option(option.key, option.value);
		ELSE
			RAISE EXCEPTION USING ERRCODE = 'VE503',
				MESSAGE = format('unknown option "%s" of a workflow', option.key),
				HINT = 'Options are max_attempts, backoff_ms, backoff_factor, backoff_max_ms, jitter, timeout_ms, instance_timeout, keep_for, retryPolicy {maxAttempts, backoffMs, exponentialBackoff, jitter}.';
		END IF;
	END LOOP;
	IF jsonb_typeof(result -> 'instance_timeout_ms') <> 'number'
		OR (result ->> 'instance_timeout_ms')::numeric
			NOT BETWEEN 0 AND 315360000000 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = 'invalid value of option "instance_timeout"',
			DETAIL = 'It must be between nothing and ten years.';
	END IF;
	IF jsonb_typeof(result -> 'keep_for_ms') NOT IN ('number', 'null')
		OR (result ->> 'keep_for_ms')::numeric
			NOT BETWEEN 0 AND 3153600000000 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = 'invalid value of option "keep_for"',
			DETAIL = 'It must be between nothing and a hundred years.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION event_engine.workflow_options(jsonb, jsonb) IS
	'Options of a workflow in canonical form, defaults filled in.';

/* Raises what forbids a function as handler of a role's workflow. */
CREATE FUNCTION event_engine.check_workflow_handler(owner oid,
		handler regprocedure)
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	function record;
	problem text;
BEGIN
	SELECT p.prokind, p.proretset, p.prorettype, p.pronargs,
			p.proargtypes::oid[] AS arguments, n.nspname
		INTO function
		FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
		WHERE p.oid = handler;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('handler %s does not exist', handler);
	END IF;
	problem := CASE
		WHEN function.prokind NOT IN ('f', 'p')
			THEN 'It is neither a function nor a procedure.'
		WHEN function.proretset THEN 'It returns a set.'
		WHEN function.pronargs <> 2
			OR function.arguments[0] <> 'event_engine.workflow_instance'::regtype
			OR function.arguments[1] <> 'event_engine.workflow_resumption'::regtype
			THEN 'It must take event_engine.workflow_instance and event_engine.workflow_resumption.'
		WHEN function.prorettype NOT IN ('jsonb'::regtype, 'void'::regtype)
			THEN 'It must return jsonb, or void.'
		WHEN function.nspname LIKE 'pg\_temp\_%'
			THEN 'It is temporary: no other session can call it.'
		END;
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('function %s cannot take the steps of a workflow',
				handler),
			DETAIL = problem;
	END IF;
	IF NOT has_function_privilege(owner, handler, 'EXECUTE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('permission denied for function %s', handler),
			DETAIL = format('Role %s owns the workflow and would run it.',
				owner::regrole);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_workflow_handler(oid, regprocedure) IS
	'Internal: raises what forbids a function as handler of a role''s workflow.';

/* The function found under a name that was given; null where none was. */
CREATE FUNCTION event_engine.named_workflow_handler(given text,
		function regprocedure)
	RETURNS regprocedure
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF given IS NOT NULL AND function IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('handler "%s" does not exist', given),
			DETAIL = 'The handler of a workflow takes event_engine.workflow_instance and event_engine.workflow_resumption.',
			HINT = 'Create the function first, and name its schema unless that is in the search path.';
	END IF;
	RETURN function;
END
$$;
COMMENT ON FUNCTION event_engine.named_workflow_handler(text, regprocedure) IS
	'Internal: the function found under a name, or an error.';

/* By name or signature, as visible to the caller. */
CREATE FUNCTION event_engine.find_workflow_handler(handler text)
	RETURNS regprocedure
	LANGUAGE sql STABLE
RETURN event_engine.named_workflow_handler(handler,
	to_regprocedure(CASE WHEN handler LIKE '%(%' THEN handler
		ELSE handler || '(event_engine.workflow_instance,event_engine.workflow_resumption)'
		END));
COMMENT ON FUNCTION event_engine.find_workflow_handler(text) IS
	'The function meant by the name or signature of a workflow''s handler, as the caller sees it.';

/* ---- Register, update, deprecate ---- */

/* The version of that workflow, locked, if the caller may change it. */
CREATE FUNCTION event_engine.own_workflow(caller oid, name text, version text)
	RETURNS event_engine.workflow_definitions
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.workflow_definitions;
BEGIN
	SELECT d.* INTO stored FROM event_engine.workflow_definitions AS d
		WHERE d.name = own_workflow.name AND d.version = own_workflow.version
		FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE501',
			MESSAGE = format('unknown version "%s" of workflow "%s"', version,
				name);
	END IF;
	PERFORM event_engine.check_owner(caller, stored.owner, 'workflow', name);
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.own_workflow(oid, text, text) IS
	'Internal: locks a version of a workflow that the caller may change.';

CREATE FUNCTION event_engine.register_workflow_as(caller oid, name text,
		handler regprocedure, version text, description text, options jsonb)
	RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	draft event_engine.workflow_definitions;
	stored event_engine.workflow_definitions;
BEGIN
	IF name IS NULL OR name = '' OR length(name) > 255 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = 'invalid name of a workflow',
			DETAIL = 'A name has 1 to 255 characters.';
	END IF;
	IF version IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = 'version of a workflow must not be null';
	END IF;
	-- an error of its own where it is none
	PERFORM event_engine.compare_versions(version, version);
	draft.name := name;
	draft.version := version;
	draft.description := description;
	draft.options := event_engine.workflow_options(options);

	-- all versions of a workflow belong to one role
	SELECT d.owner INTO draft.owner
		FROM event_engine.workflow_definitions AS d
		WHERE d.name = draft.name LIMIT 1;
	draft.owner := COALESCE(draft.owner, caller::regrole);
	PERFORM event_engine.check_owner(caller, draft.owner, 'workflow', name);
	IF handler IS NOT NULL THEN
		PERFORM event_engine.check_workflow_handler(draft.owner, handler);
		draft.handler := handler::text;
	END IF;
	draft.number := event_engine.ensure_dispatcher(draft.owner);
	PERFORM event_engine.register_workflow_events();

	LOOP
		INSERT INTO event_engine.workflow_definitions AS d (name, version,
				owner, number, handler, description, options)
			VALUES (draft.name, draft.version, draft.owner, draft.number,
				draft.handler, draft.description, draft.options)
			ON CONFLICT ON CONSTRAINT workflow_definitions_name_version_key
				DO NOTHING
			RETURNING d.* INTO stored;
		IF FOUND THEN
			RETURN stored.id;
		END IF;
		SELECT d.* INTO stored FROM event_engine.workflow_definitions AS d
			WHERE d.name = draft.name AND d.version = draft.version;
		EXIT WHEN FOUND;
	END LOOP;
	IF (stored.owner, stored.handler, stored.description, stored.options)
		IS DISTINCT FROM
		(draft.owner, draft.handler, draft.description, draft.options) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = format('version "%s" of workflow "%s" exists and is defined otherwise',
				draft.version, draft.name),
			HINT = 'Change it with event_engine.update_workflow(), or register another version.';
	END IF;
	RETURN stored.id;
END
$$;
COMMENT ON FUNCTION event_engine.register_workflow_as(oid, text, regprocedure, text, text, jsonb) IS
	'Does the work of register_workflow() for the given role.';

CREATE FUNCTION event_engine.register_workflow(name text,
		handler regprocedure, version text DEFAULT '1.0.0',
		description text DEFAULT NULL, options jsonb DEFAULT '{}')
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.register_workflow(text, regprocedure, text, text, jsonb) IS
	'Registers a version of a workflow; the same with the handler as text.';

/*
 * register_workflow
 *
 *	name		of the workflow; all its versions belong to the role that
 *				registered the first
 *	handler		function of (event_engine.workflow_instance,
 *				event_engine.workflow_resumption) that takes its steps, by name
 *				or signature; null: an orchestrator outside takes them
 *	version		start_workflow() starts the highest; instances stay on theirs
 *	options		see workflow_options()
 *
 * Result: the id; the same definition again gives the same id.
 * Writes: workflow_definitions, and the role's dispatcher in subscriptions.
 */
CREATE FUNCTION event_engine.register_workflow(name text,
		handler text DEFAULT NULL, version text DEFAULT '1.0.0',
		description text DEFAULT NULL, options jsonb DEFAULT '{}')
	RETURNS uuid
	LANGUAGE sql
RETURN event_engine.register_workflow(name,
	event_engine.find_workflow_handler(handler), version, description, options);
COMMENT ON FUNCTION event_engine.register_workflow(text, text, text, text, jsonb) IS
	'Registers a version of a workflow: a function that takes its steps.';

CREATE FUNCTION event_engine.update_workflow_as(caller oid, name text,
		version text, handler regprocedure, description text, options jsonb,
		status text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old event_engine.workflow_definitions;
BEGIN
	old := event_engine.own_workflow(caller, name, version);
	IF handler IS NOT NULL THEN
		PERFORM event_engine.check_workflow_handler(old.owner, handler);
	END IF;
	IF status NOT IN ('active', 'deprecated') THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = format('unknown status "%s" of a workflow', status),
			HINT = 'A status is one of active, deprecated.';
	END IF;
	UPDATE event_engine.workflow_definitions AS d
		SET handler = COALESCE(update_workflow_as.handler::text, d.handler),
			description = COALESCE(update_workflow_as.description,
				d.description),
			options = event_engine.workflow_options(
				COALESCE(update_workflow_as.options, '{}'), d.options),
			status = COALESCE(update_workflow_as.status, d.status),
			updated_at = clock_timestamp()
		WHERE d.id = old.id;
END
$$;
COMMENT ON FUNCTION event_engine.update_workflow_as(oid, text, text, regprocedure, text, jsonb, text) IS
	'Does the work of update_workflow() for the given role.';

CREATE FUNCTION event_engine.update_workflow(name text, version text,
		handler regprocedure, description text DEFAULT NULL,
		options jsonb DEFAULT NULL, status text DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.update_workflow(text, text, regprocedure, text, jsonb, text) IS
	'Changes a version of a workflow; the same with the handler as text.';

/*
 * update_workflow: null leaves things as they are; options are laid over
 * those that are set.  Running instances go on by what is changed.
 */
CREATE FUNCTION event_engine.update_workflow(name text, version text,
		handler text DEFAULT NULL, description text DEFAULT NULL,
		options jsonb DEFAULT NULL, status text DEFAULT NULL)
	RETURNS void
	LANGUAGE sql
RETURN event_engine.update_workflow(name, version,
	event_engine.find_workflow_handler(handler), description, options, status);
COMMENT ON FUNCTION event_engine.update_workflow(text, text, text, text, jsonb, text) IS
	'Changes a version of a workflow, for the instances that run as well.';

CREATE FUNCTION event_engine.deprecate_workflow(name text, version text)
	RETURNS void
	LANGUAGE sql
RETURN event_engine.update_workflow(name, version, status => 'deprecated');
COMMENT ON FUNCTION event_engine.deprecate_workflow(text, text) IS
	'Has no instance started of a version any more; those that run go on.';

/* ---- Instances ---- */

/*
 * start_workflow
 *
 *	name			of the workflow
 *	input			what it is to work on
 *	correlation_key	by which it is found: the number of an order
 *	idempotency_key	starting it again with the same one gives the instance
 *					that there is, and starts none
 *	version			null: the highest that is active
 *
 * Result: the id of the instance.  Its first step is taken after the commit.
 */
CREATE FUNCTION event_engine.start_workflow(name text,
		input jsonb DEFAULT '{}', correlation_key text DEFAULT NULL,
		idempotency_key text DEFAULT NULL, version text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_start_workflow';
COMMENT ON FUNCTION event_engine.start_workflow(text, jsonb, text, text, text) IS
	'Starts a workflow; its first step is taken after the commit.';

CREATE FUNCTION event_engine.cancel_workflow(workflow_instance_id uuid,
		reason text DEFAULT NULL)
	RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_cancel_workflow';
COMMENT ON FUNCTION event_engine.cancel_workflow(uuid, text) IS
	'Ends a workflow; false when it was over already.';

CREATE FUNCTION event_engine.resume_workflow(workflow_instance_id uuid)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_resume_workflow';
COMMENT ON FUNCTION event_engine.resume_workflow(uuid) IS
	'Takes the step at which a workflow has failed once more, with all its attempts.';

CREATE FUNCTION event_engine.move_workflow(workflow_instance_id uuid,
		version text)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_move_workflow';
COMMENT ON FUNCTION event_engine.move_workflow(uuid, text) IS
	'Has an instance go on by another version of its workflow.';

CREATE FUNCTION event_engine.pass_time_as(caller oid,
		workflow_instance_id uuid, duration interval)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	instance event_engine.workflow_instances;
	owner regrole;
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
	IF duration IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = '22004',
			MESSAGE = 'duration must not be null';
	END IF;
	UPDATE event_engine.workflow_waits AS w
		SET timeout_at = w.timeout_at - duration
		WHERE w.instance_id = instance.id AND w.timeout_at IS NOT NULL;
	UPDATE event_engine.workflow_instances AS i
		SET deadline_at = i.deadline_at - duration,
			next_attempt_at = i.next_attempt_at - duration
		WHERE i.id = instance.id;
	PERFORM event_engine.wake_workers();
END
$$;
COMMENT ON FUNCTION event_engine.pass_time_as(oid, uuid, interval) IS
	'Does the work of pass_time() for the given role.';

/*
 * pass_time: for tests, as if so much time had passed for a workflow: its
 * sleeps, time-outs and further attempts are due by so much earlier.
 * Writes: workflow_waits, workflow_instances.
 */
CREATE FUNCTION event_engine.pass_time(workflow_instance_id uuid,
		duration interval)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.pass_time(uuid, interval) IS
	'As if so much time had passed for a workflow: its sleeps, time-outs and further attempts are due earlier. For tests.';

/* ---- The plain style, and orchestrators outside ---- */

/*
 * register_workflow_wait
 *
 *	workflow_instance_id	which is resumed
 *	event_pattern			registered, or a wildcard
 *	filter_condition		SQL/JSON path predicate over the envelope; the
 *							instance is $workflow {id, workflow, version,
 *							correlationKey, input, state}
 *	timeout					then it is resumed without an event
 *	name					of the wait; by default the pattern
 *	since					events of the past from then on match as well
 *	next_step				name of the step to be taken then
 *	filters					further condition, a filter list
 *	needed					how many waits of the instance must match until it
 *							is resumed; 1 unless it was said before
 *
 * Result: the id of the wait.
 */
CREATE FUNCTION event_engine.register_workflow_wait(workflow_instance_id uuid,
		event_pattern text, filter_condition text DEFAULT NULL,
		timeout interval DEFAULT NULL, name text DEFAULT NULL,
		since timestamptz DEFAULT NULL, next_step text DEFAULT NULL,
		filters jsonb DEFAULT NULL, needed integer DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_register_workflow_wait';
COMMENT ON FUNCTION event_engine.register_workflow_wait(uuid, text, text, interval, text, timestamptz, text, jsonb, integer) IS
	'Has a workflow wait for an event that was not yet visible.';

CREATE FUNCTION event_engine.cancel_workflow_wait(workflow_instance_id uuid,
		wait_id uuid)
	RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_cancel_workflow_wait';
COMMENT ON FUNCTION event_engine.cancel_workflow_wait(uuid, uuid) IS
	'Takes a wait back; false when it is over already.';

CREATE FUNCTION event_engine.sleep_workflow(workflow_instance_id uuid,
		duration interval DEFAULT NULL, until timestamptz DEFAULT NULL,
		name text DEFAULT NULL, next_step text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_sleep_workflow';
COMMENT ON FUNCTION event_engine.sleep_workflow(uuid, interval, timestamptz, text, text) IS
	'Has a workflow sleep for a while, or until a time.';

CREATE FUNCTION event_engine.set_workflow_state(workflow_instance_id uuid,
		state jsonb)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_set_workflow_state';
COMMENT ON FUNCTION event_engine.set_workflow_state(uuid, jsonb) IS
	'Replaces the state of a workflow.';

/*
 * report_progress: how far a step has come, as an event task.progress, which
 * is there once this transaction has committed.
 *
 *	progress	what the payload has as progress
 */
CREATE FUNCTION event_engine.report_progress(workflow_instance_id uuid,
		progress jsonb)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_report_progress';
COMMENT ON FUNCTION event_engine.report_progress(uuid, jsonb) IS
	'Publishes how far a step of a workflow has come, as task.progress.';

CREATE FUNCTION event_engine.complete_workflow(workflow_instance_id uuid,
		output jsonb DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_complete_workflow';
COMMENT ON FUNCTION event_engine.complete_workflow(uuid, jsonb) IS
	'Ends a workflow that has done its work.';

CREATE FUNCTION event_engine.fail_workflow(workflow_instance_id uuid,
		message text, details jsonb DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_fail_workflow';
COMMENT ON FUNCTION event_engine.fail_workflow(uuid, text, jsonb) IS
	'Ends a workflow that cannot do its work, without further attempts.';
