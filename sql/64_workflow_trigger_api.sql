/* ------------------------------------------------------------------------
 * Workflows: triggers.  Which event a trigger wants is asked in C
 * (src/workflow/trigger.c); what it then does is written here.  It is done in
 * the transaction in which the dispatcher moves its cursor past the event.
 * ------------------------------------------------------------------------ */

/* ---- Fire ---- */

/* What a path finds: nothing is null, several are an array. */
CREATE FUNCTION event_engine.trigger_value(envelope jsonb, path text)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN (SELECT CASE count(*) WHEN 0 THEN 'null' WHEN 1 THEN (array_agg(v))[1]
		ELSE jsonb_agg(v) END
	FROM jsonb_path_query(envelope, path::jsonpath) AS v);
COMMENT ON FUNCTION event_engine.trigger_value(jsonb, text) IS
	'Internal: what a path of a trigger finds in an envelope.';

/* Is this member of a mapping a path?  All else is a constant. */
CREATE FUNCTION event_engine.trigger_is_path(value jsonb)
	RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN jsonb_typeof(value) = 'string'
	AND value #>> '{}' ~ '^\s*((strict|lax)\s+)?\$';
COMMENT ON FUNCTION event_engine.trigger_is_path(jsonb) IS
	'Internal: whether a member of a trigger''s input mapping is a path.';

/* The input of the instance. */
CREATE FUNCTION event_engine.trigger_input(mapping jsonb, envelope jsonb)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN mapping IS NULL THEN envelope -> 'payload'
	ELSE (SELECT COALESCE(jsonb_object_agg(m.key,
			CASE WHEN event_engine.trigger_is_path(m.value)
				THEN event_engine.trigger_value(envelope, m.value #>> '{}')
				ELSE m.value END), '{}')
		FROM jsonb_each(mapping) AS m) END;
COMMENT ON FUNCTION event_engine.trigger_input(jsonb, jsonb) IS
	'Internal: the input that a trigger makes of an event.';

CREATE FUNCTION event_engine.trigger_key(path text, envelope jsonb)
	RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN path IS NOT NULL
	THEN event_engine.trigger_value(envelope, path) #>> '{}' END;
COMMENT ON FUNCTION event_engine.trigger_key(text, jsonb) IS
	'Internal: the correlation key that a trigger makes of an event.';

/*
 * Would a path of the trigger raise an error?  Asked without raising it, so
 * that no subtransaction is needed where none does.
 */
CREATE FUNCTION event_engine.trigger_raises(t event_engine.workflow_event_triggers,
		envelope jsonb)
	RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN (SELECT COALESCE(bool_or(jsonb_path_exists(envelope, p.path::jsonpath,
		'{}', true) IS NULL), false)
	FROM (SELECT m.value #>> '{}'
			FROM jsonb_each(COALESCE(t.input_mapping, '{}')) AS m
			WHERE event_engine.trigger_is_path(m.value)
		UNION ALL SELECT t.correlation_key WHERE t.correlation_key IS NOT NULL
		UNION ALL SELECT t.event_condition WHERE t.event_condition IS NOT NULL
			AND t.trigger_type = 'START') AS p (path));
COMMENT ON FUNCTION event_engine.trigger_raises(event_engine.workflow_event_triggers, jsonb) IS
	'Internal: whether a path of a trigger raises an error for an event.';

CREATE FUNCTION event_engine.trigger_failed(t event_engine.workflow_event_triggers,
		event event_engine.event, message text, details jsonb)
	RETURNS text
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO event_engine.workflow_trigger_failures (trigger_id, workflow,
			event, error_message, error_details)
		VALUES (t.id, t.workflow, event, message, details)
		RETURNING 'failed'
$$;
COMMENT ON FUNCTION event_engine.trigger_failed(event_engine.workflow_event_triggers, event_engine.event, text, jsonb) IS
	'Internal: writes down that a trigger could not be fired for an event.';

/* As $workflow in the condition of a trigger that cancels. */
CREATE FUNCTION event_engine.workflow_variables(i event_engine.workflow_instances)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object('workflow', jsonb_build_object('id', i.id,
	'workflow', i.workflow, 'version', i.version, 'input', i.input,
	'state', i.state, 'correlationKey', i.correlation_key));
COMMENT ON FUNCTION event_engine.workflow_variables(event_engine.workflow_instances) IS
	'Internal: an instance as conditions see it.';

/*
 * Nobody is waited for, neither a client that has an instance locked nor
 * another lane: what would have to be is busy, and the trigger is fired later.
 */
CREATE FUNCTION event_engine.trigger_turn(t event_engine.workflow_event_triggers)
	RETURNS boolean
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
RETURN pg_try_advisory_xact_lock(
	hashtextextended('event_engine trigger ' || t.workflow, 0));
COMMENT ON FUNCTION event_engine.trigger_turn(event_engine.workflow_event_triggers) IS
	'Internal: whether no other transaction fires triggers of the workflow.';

CREATE FUNCTION event_engine.trigger_takes(instances uuid[])
	RETURNS boolean
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT count(*) = cardinality(instances) FROM (
		SELECT FROM event_engine.workflow_instances AS i
		WHERE i.id = ANY (instances) FOR UPDATE SKIP LOCKED) AS l
$$;
COMMENT ON FUNCTION event_engine.trigger_takes(uuid[]) IS
	'Internal: locks instances, unless somebody else has one locked.';

CREATE FUNCTION event_engine.fire_start(t event_engine.workflow_event_triggers,
		event event_engine.event, envelope jsonb, key text)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	running uuid;
	others uuid[];
BEGIN
	IF jsonb_path_match(envelope, COALESCE(t.event_condition, 'true')::jsonpath,
			'{}', true) IS NOT TRUE AND t.event_condition IS NOT NULL THEN
		RETURN 'skipped';
	END IF;
	PERFORM FROM event_engine.workflow_definitions AS d
		WHERE d.name = t.workflow AND d.status = 'active'
			AND (t.version IS NULL OR d.version = t.version);
	IF NOT FOUND THEN
		RETURN event_engine.trigger_failed(t, event,
			format('workflow "%s" has no active version%s', t.workflow,
				' ' || t.version), NULL);
	END IF;
	IF t.policy <> 'always' THEN
		-- one at a time: who comes second sees what the first has started
		IF NOT event_engine.trigger_turn(t) THEN
			RETURN 'busy';
		END IF;
		others := ARRAY(SELECT i.id FROM event_engine.workflow_instances AS i
			WHERE i.workflow = t.workflow AND i.finished_at IS NULL
				AND i.correlation_key IS NOT DISTINCT FROM key
			ORDER BY i.id);
		IF t.policy = 'if_none_running' AND others <> '{}' THEN
			RETURN 'skipped';
		END IF;
		IF NOT event_engine.trigger_takes(others) THEN
			RETURN 'busy';
		END IF;
		PERFORM event_engine.cancel_workflow(o.id,
				format('started again because of event %s', event.id))
			FROM unnest(others) AS o (id);
	END IF;
	running := event_engine.start_workflow(t.workflow,
		event_engine.trigger_input(t.input_mapping, envelope), key, NULL,
		t.version);
	IF event.deliver_at > clock_timestamp() THEN
		UPDATE event_engine.workflow_instances AS i
			SET next_attempt_at = event.deliver_at WHERE i.id = running;
	END IF;
	RETURN 'started';
END
$$;
COMMENT ON FUNCTION event_engine.fire_start(event_engine.workflow_event_triggers, event_engine.event, jsonb, text) IS
	'Internal: starts a workflow because of an event.';

CREATE FUNCTION event_engine.fire_cancel(t event_engine.workflow_event_triggers,
		event event_engine.event, envelope jsonb, key text)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	running event_engine.workflow_instances;
	holds boolean;
	wanted uuid[] := '{}';
	unknown uuid[] := '{}';
BEGIN
	IF NOT event_engine.trigger_turn(t) THEN
		RETURN 'busy';
	END IF;
	FOR running IN SELECT i.* FROM event_engine.workflow_instances AS i
		WHERE i.workflow = t.workflow AND i.finished_at IS NULL
			AND (t.correlation_key IS NULL OR i.correlation_key = key)
			AND (t.version IS NULL OR i.version = t.version)
		ORDER BY i.id
	LOOP
		holds := t.event_condition IS NULL OR jsonb_path_match(envelope,
			t.event_condition::jsonpath,
			event_engine.workflow_variables(running), true);
		IF holds IS NULL THEN
			unknown := unknown || running.id;
		ELSIF holds THEN
			wanted := wanted || running.id;
		END IF;
	END LOOP;
	IF NOT event_engine.trigger_takes(wanted) THEN
		RETURN 'busy';
	END IF;
	PERFORM event_engine.trigger_failed(t, event, format(
			'condition of a trigger is neither true nor false for workflow %s',
			u.id), jsonb_build_object('condition', t.event_condition))
		FROM unnest(unknown) AS u (id);
	PERFORM event_engine.cancel_workflow(w.id,
			format('cancelled by event %s', event.id))
		FROM unnest(wanted) AS w (id);
	RETURN CASE WHEN wanted <> '{}' THEN 'cancelled'
		WHEN unknown <> '{}' THEN 'failed' ELSE 'skipped' END;
END
$$;
COMMENT ON FUNCTION event_engine.fire_cancel(event_engine.workflow_event_triggers, event_engine.event, jsonb, text) IS
	'Internal: cancels the workflows that an event is meant for.';

/*
 * try_trigger: what a trigger does because of an event.  What is wrong with
 * its paths is written down as its failure, and harms nobody else.
 *
 * Result: started, cancelled, skipped, failed; or busy, then it did nothing.
 */
CREATE FUNCTION event_engine.try_trigger(id uuid, event event_engine.event)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	t event_engine.workflow_event_triggers;
	envelope jsonb := event_engine.event_envelope(event);
	key text;
	code text;
	message text;
	detail text;
BEGIN
	SELECT w.* INTO t FROM event_engine.workflow_event_triggers AS w
		WHERE w.id = id;
	IF NOT FOUND OR NOT t.enabled THEN
		RETURN 'skipped';
	END IF;
	IF event_engine.trigger_raises(t, envelope) THEN
		BEGIN
			PERFORM event_engine.trigger_input(t.input_mapping, envelope),
				event_engine.trigger_key(t.correlation_key, envelope);
			PERFORM jsonb_path_match(envelope, t.event_condition::jsonpath);
			message := 'a path of the trigger fails';
		EXCEPTION WHEN data_exception OR feature_not_supported THEN
			GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE,
				message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
		END;
		RETURN event_engine.trigger_failed(t, event, message,
			jsonb_strip_nulls(jsonb_build_object('sqlstate', code,
				'detail', NULLIF(detail, ''))));
	END IF;
	IF COALESCE((event.metadata ->> 'hops')::numeric, 0)
		>= current_setting('event_engine.store_hop_limit')::integer THEN
		RETURN event_engine.trigger_failed(t, event, format(
			'events and workflows have caused one another %s times over',
			event.metadata ->> 'hops'), jsonb_build_object('sqlstate', 'VE206'));
	END IF;
	key := event_engine.trigger_key(t.correlation_key, envelope);
	IF length(key) > 255 OR key = '' THEN
		RETURN event_engine.trigger_failed(t, event,
			'correlation key of a workflow must have 1 to 255 characters',
			NULL);
	END IF;
	IF t.trigger_type = 'START' THEN
		RETURN event_engine.fire_start(t, event, envelope, key);
	END IF;
	RETURN event_engine.fire_cancel(t, event, envelope, key);
END
$$;
COMMENT ON FUNCTION event_engine.try_trigger(uuid, event_engine.event) IS
	'Internal: what a trigger does because of an event, unless somebody is in the way.';

/*
 * fire_trigger: the same; or later, where somebody is in the way, or where
 * others of the same workflow are to be fired later.
 */
CREATE FUNCTION event_engine.fire_trigger(id uuid, event event_engine.event)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result text := 'busy';
BEGIN
	PERFORM FROM event_engine.workflow_postponed_triggers AS p
		JOIN event_engine.workflow_event_triggers AS t
			ON t.number = p.number AND t.workflow = p.workflow
		WHERE t.id = fire_trigger.id;
	IF NOT FOUND THEN
		result := event_engine.try_trigger(id, event);
	END IF;
	IF result = 'busy' THEN
		INSERT INTO event_engine.workflow_postponed_triggers
				(number, workflow, trigger_id, seq, event)
			SELECT t.number, t.workflow, t.id, event.seq, event
			FROM event_engine.workflow_event_triggers AS t
			WHERE t.id = fire_trigger.id
			ON CONFLICT DO NOTHING;
		result := 'postponed';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION event_engine.fire_trigger(uuid, event_engine.event) IS
	'Internal: what a trigger does because of an event, now or later.';

/*
 * True: it is done.  Those of a workflow are fired one after the other.  All
 * lanes of a dispatcher come by here: the row is locked before it is looked
 * at, or the second would fire what the first has fired and taken out.
 */
CREATE FUNCTION event_engine.fire_postponed_trigger(postponed bigint)
	RETURNS boolean
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p event_engine.workflow_postponed_triggers;
BEGIN
	SELECT o.* INTO p FROM event_engine.workflow_postponed_triggers AS o
		WHERE o.nr = postponed FOR UPDATE SKIP LOCKED;
	PERFORM FROM event_engine.workflow_postponed_triggers AS o
		WHERE o.number = p.number AND o.workflow = p.workflow AND o.nr < p.nr;
	IF p.nr IS NULL OR FOUND
		OR event_engine.try_trigger(p.trigger_id, p.event) = 'busy' THEN
		RETURN false;
	END IF;
	DELETE FROM event_engine.workflow_postponed_triggers AS o
		WHERE o.nr = postponed;
	RETURN true;
END
$$;
COMMENT ON FUNCTION event_engine.fire_postponed_trigger(bigint) IS
	'Internal: fires a trigger that could not be fired before.';

/* ---- Create, change, remove ---- */

/* The trigger, locked, if the caller may change it. */
CREATE FUNCTION event_engine.own_trigger(caller oid, id uuid)
	RETURNS event_engine.workflow_event_triggers
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.workflow_event_triggers;
	owner regrole;
BEGIN
	SELECT t.* INTO stored FROM event_engine.workflow_event_triggers AS t
		WHERE t.id = own_trigger.id FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE507',
			MESSAGE = format('unknown trigger %s', COALESCE(id::text, 'null')),
			HINT = 'event_engine.list_workflow_triggers() shows them.';
	END IF;
	SELECT s.owner INTO owner FROM event_engine.subscriptions AS s
		WHERE s.number = stored.number;
	PERFORM event_engine.check_owner(caller, owner,
		'workflow', stored.workflow);
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.own_trigger(oid, uuid) IS
	'Internal: locks a trigger that the caller may change.';

/* Raises what is wrong with a trigger. */
CREATE FUNCTION event_engine.check_trigger(t event_engine.workflow_event_triggers)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	part record;
	problem text := CASE
		WHEN t.trigger_type IS NULL OR t.trigger_type NOT IN ('START', 'CANCEL')
			THEN 'A trigger_type is one of START, CANCEL.'
		WHEN t.policy IS NULL
				OR t.policy NOT IN ('always', 'if_none_running', 'restart')
			THEN 'A policy is one of always, if_none_running, restart.'
		WHEN t.trigger_type = 'CANCEL'
				AND (t.input_mapping IS NOT NULL OR t.policy <> 'always')
			THEN 'input_mapping and policy are for triggers that start workflows.'
		WHEN t.trigger_type = 'CANCEL' AND t.correlation_key IS NULL
				AND t.event_condition IS NULL
			THEN 'It would cancel all instances: give a correlation_key or an event_condition.'
		WHEN jsonb_typeof(t.input_mapping) <> 'object'
			THEN 'input_mapping is an object of names and paths.' END;
BEGIN
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE507', MESSAGE = 'invalid trigger',
			DETAIL = problem;
	END IF;
	PERFORM event_engine.check_match(
		event_engine.subscription_match(ARRAY[t.event_pattern::text], NULL),
		CASE t.trigger_type WHEN 'START' THEN t.event_condition END, NULL);
	IF t.event_pattern !~ '[*#]' AND NOT EXISTS (
		SELECT FROM event_engine.event_definitions AS d
		WHERE d.pattern = t.event_pattern) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE001',
			MESSAGE = format('unknown event pattern "%s"', t.event_pattern),
			HINT = 'Register it with event_engine.register_event_definition().';
	END IF;
	FOR part IN
		SELECT 'input_mapping.' || m.key AS name, m.value #>> '{}' AS path
			FROM jsonb_each(COALESCE(t.input_mapping, '{}')) AS m
			WHERE event_engine.trigger_is_path(m.value)
		UNION ALL SELECT 'correlation_key', t.correlation_key
		UNION ALL SELECT 'event_condition', t.event_condition
	LOOP
		BEGIN
			PERFORM part.path::jsonpath;
		EXCEPTION WHEN OTHERS THEN
			RAISE EXCEPTION USING ERRCODE = 'VE507',
				MESSAGE = format('%s of a trigger is not an SQL/JSON path: %s',
					part.name, part.path), DETAIL = SQLERRM;
		END;
	END LOOP;
END
$$;
COMMENT ON FUNCTION event_engine.check_trigger(event_engine.workflow_event_triggers) IS
	'Internal: raises what is wrong with a trigger.';

/* What a trigger asks of events must be there to be asked for. */
CREATE FUNCTION event_engine.check_sensitive_trigger(
		t event_engine.workflow_event_triggers)
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	match CONSTANT jsonb := event_engine.subscription_match(
		ARRAY[t.event_pattern::text], NULL);
BEGIN
	PERFORM event_engine.check_sensitive_filter(match, t.event_condition,
		NULL, 'event_condition of a trigger');
	PERFORM event_engine.check_sensitive_filter(match,
		t.correlation_key || ' == null', NULL, 'correlation_key of a trigger');
END
$$;
COMMENT ON FUNCTION event_engine.check_sensitive_trigger(event_engine.workflow_event_triggers) IS
	'Internal: raises, or warns, where a trigger asks for sensitive data.';

CREATE FUNCTION event_engine.create_workflow_trigger_as(caller oid,
		workflow text, event_pattern text, trigger_type text,
		event_condition text, input_mapping jsonb, correlation_key text,
		policy text, enabled boolean, priority integer, description text,
		version text)
	RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	definition event_engine.workflow_definitions;
	t event_engine.workflow_event_triggers;
BEGIN
	SELECT d.* INTO definition FROM event_engine.workflow_definitions AS d
		WHERE d.name = workflow AND (create_workflow_trigger_as.version IS NULL
			OR d.version = create_workflow_trigger_as.version)
		ORDER BY d.created_at DESC LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE501',
			MESSAGE = format('unknown workflow %s',
				COALESCE('"' || workflow || '"', 'null')),
			HINT = 'Register it with event_engine.register_workflow().';
	END IF;
	PERFORM event_engine.check_owner(caller, definition.owner,
		'workflow', workflow);
	t.workflow := definition.name;
	t.version := version;
	t.number := definition.number;
	t.event_pattern := event_pattern;
	t.trigger_type := upper(trigger_type);
	t.event_condition := event_condition;
	t.input_mapping := input_mapping;
	t.correlation_key := correlation_key;
	t.policy := policy;
	PERFORM event_engine.check_trigger(t);
	PERFORM event_engine.check_sensitive_trigger(t);
	INSERT INTO event_engine.workflow_event_triggers AS n
		(workflow_definition_id, workflow, version, number, event_pattern,
		trigger_type, event_condition, input_mapping, correlation_key, policy,
		enabled, priority, description, since_seq)
	SELECT definition.id, t.workflow, t.version, t.number, t.event_pattern,
		t.trigger_type, t.event_condition, t.input_mapping, t.correlation_key,
		t.policy, COALESCE(create_workflow_trigger_as.enabled, true),
		COALESCE(create_workflow_trigger_as.priority, 100),
		create_workflow_trigger_as.description, s.last_value
	FROM event_engine.event_seq AS s
	RETURNING n.id INTO t.id;
	PERFORM event_engine.cover_patterns(t.number, ARRAY[t.event_pattern::text]);
	RETURN t.id;
END
$$;
COMMENT ON FUNCTION event_engine.create_workflow_trigger_as(oid, text, text, text, text, jsonb, text, text, boolean, integer, text, text) IS
	'Does the work of create_workflow_trigger() for the given role.';

/*
 * create_workflow_trigger: have events start a workflow, or cancel it.  For
 * its owner.  See workflow_event_triggers for the parameters.
 *
 * Result: the trigger's id.
 */
CREATE FUNCTION event_engine.create_workflow_trigger(workflow text,
		event_pattern text, trigger_type text DEFAULT 'START',
		event_condition text DEFAULT NULL, input_mapping jsonb DEFAULT NULL,
		correlation_key text DEFAULT NULL, policy text DEFAULT 'always',
		enabled boolean DEFAULT true, priority integer DEFAULT 100,
		description text DEFAULT NULL, version text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.create_workflow_trigger(text, text, text, text, jsonb, text, text, boolean, integer, text, text) IS
	'Has events start a workflow, or cancel it.';

CREATE FUNCTION event_engine.update_workflow_trigger_as(caller oid, id uuid,
		event_condition text, input_mapping jsonb, correlation_key text,
		policy text, enabled boolean, priority integer, description text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t event_engine.workflow_event_triggers;
	now_enabled boolean;
	latest bigint := (SELECT s.last_value FROM event_engine.event_seq AS s);
BEGIN
	t := event_engine.own_trigger(caller, id);
	now_enabled := COALESCE(enabled, t.enabled);
	t.event_condition := COALESCE(event_condition, t.event_condition);
	t.input_mapping := COALESCE(input_mapping, t.input_mapping);
	t.correlation_key := COALESCE(correlation_key, t.correlation_key);
	t.policy := COALESCE(policy, t.policy);
	PERFORM event_engine.check_trigger(t);
	IF event_condition IS NOT NULL OR correlation_key IS NOT NULL THEN
		PERFORM event_engine.check_sensitive_trigger(t);
	END IF;
	-- what comes while it is disabled is not made good
	UPDATE event_engine.workflow_event_triggers AS o
		SET event_condition = t.event_condition,
			input_mapping = t.input_mapping,
			correlation_key = t.correlation_key, policy = t.policy,
			priority = COALESCE(update_workflow_trigger_as.priority, o.priority),
			description = COALESCE(update_workflow_trigger_as.description,
				o.description),
			since = CASE WHEN now_enabled AND NOT o.enabled
				THEN pg_current_snapshot() ELSE o.since END,
			since_seq = CASE WHEN now_enabled AND NOT o.enabled
				THEN latest ELSE o.since_seq END,
			enabled = now_enabled, updated_at = clock_timestamp()
		WHERE o.id = t.id;
END
$$;
COMMENT ON FUNCTION event_engine.update_workflow_trigger_as(oid, uuid, text, jsonb, text, text, boolean, integer, text) IS
	'Does the work of update_workflow_trigger() for the given role.';

/* Null leaves things as they are. */
CREATE FUNCTION event_engine.update_workflow_trigger(id uuid,
		event_condition text DEFAULT NULL, input_mapping jsonb DEFAULT NULL,
		correlation_key text DEFAULT NULL, policy text DEFAULT NULL,
		enabled boolean DEFAULT NULL, priority integer DEFAULT NULL,
		description text DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.update_workflow_trigger(uuid, text, jsonb, text, text, boolean, integer, text) IS
	'Changes a trigger, or enables or disables it.';

CREATE FUNCTION event_engine.drop_workflow_trigger_as(caller oid, id uuid)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t event_engine.workflow_event_triggers;
BEGIN
	t := event_engine.own_trigger(caller, id);
	DELETE FROM event_engine.workflow_event_triggers AS o WHERE o.id = t.id;
END
$$;
COMMENT ON FUNCTION event_engine.drop_workflow_trigger_as(oid, uuid) IS
	'Does the work of drop_workflow_trigger() for the given role.';

CREATE FUNCTION event_engine.drop_workflow_trigger(id uuid)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.drop_workflow_trigger(uuid) IS
	'Removes a trigger.';

CREATE FUNCTION event_engine.list_workflow_triggers(of_workflow text DEFAULT NULL)
	RETURNS TABLE (id uuid, workflow text, version text, owner regrole,
		event_pattern text, trigger_type text, event_condition text,
		input_mapping jsonb, correlation_key text, policy text,
		enabled boolean, priority integer, description text, failures bigint)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
SELECT t.id, t.workflow::text, t.version::text, s.owner, t.event_pattern::text,
	t.trigger_type, t.event_condition, t.input_mapping, t.correlation_key,
	t.policy, t.enabled, t.priority, t.description,
	(SELECT count(*) FROM event_engine.workflow_trigger_failures AS f
		WHERE f.trigger_id = t.id AND f.status = 'failed')
FROM event_engine.workflow_event_triggers AS t
LEFT JOIN event_engine.subscriptions AS s ON s.number = t.number
WHERE of_workflow IS NULL OR t.workflow = of_workflow
ORDER BY t.workflow, t.priority, t.created_at
$$;
COMMENT ON FUNCTION event_engine.list_workflow_triggers(text) IS
	'The triggers of a workflow, or of all, in the order in which they fire.';

CREATE FUNCTION event_engine.retry_trigger_failures_as(caller oid,
		trigger_id uuid)
	RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t event_engine.workflow_event_triggers;
	failure event_engine.workflow_trigger_failures;
	n bigint := 0;
BEGIN
	t := event_engine.own_trigger(caller, trigger_id);
	FOR failure IN SELECT f.* FROM event_engine.workflow_trigger_failures AS f
		WHERE f.trigger_id = t.id AND f.status = 'failed'
		ORDER BY f.created_at, f.id FOR UPDATE
	LOOP
		UPDATE event_engine.workflow_trigger_failures AS f
			SET status = 'retried', status_changed_at = clock_timestamp()
			WHERE f.id = failure.id;
		IF event_engine.fire_trigger(t.id, failure.event) <> 'failed' THEN
			n := n + 1;
		END IF;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.retry_trigger_failures_as(oid, uuid) IS
	'Does the work of retry_trigger_failures() for the given role.';

/* Result: for how many events it has not failed this time. */
CREATE FUNCTION event_engine.retry_trigger_failures(trigger_id uuid)
	RETURNS bigint
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.retry_trigger_failures(uuid) IS
	'Fires a trigger for the events for which it has failed.';

CREATE FUNCTION event_engine.discard_trigger_failures_as(caller oid,
		trigger_id uuid)
	RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t event_engine.workflow_event_triggers;
	n bigint;
BEGIN
	t := event_engine.own_trigger(caller, trigger_id);
	UPDATE event_engine.workflow_trigger_failures AS f
		SET status = 'discarded', status_changed_at = clock_timestamp()
		WHERE f.trigger_id = t.id AND f.status = 'failed';
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.discard_trigger_failures_as(oid, uuid) IS
	'Does the work of discard_trigger_failures() for the given role.';

CREATE FUNCTION event_engine.discard_trigger_failures(trigger_id uuid)
	RETURNS bigint
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.discard_trigger_failures(uuid) IS
	'Has the failures of a trigger be as they are; returns how many.';
