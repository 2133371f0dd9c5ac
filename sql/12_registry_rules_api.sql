/* ---- Business rules ---- */

/* add_event_rule, as whom it is called.  Writes event_rules. */
CREATE FUNCTION event_engine.add_event_rule_as(
	caller oid, pattern text, name text, path text, function regprocedure,
	message text, sort_order integer, enabled boolean)
	RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_variable
DECLARE
	definition uuid;
	p record;
	problem text;
	old event_engine.event_rules;
BEGIN
	SELECT d.id INTO definition FROM event_engine.event_definitions AS d
	WHERE d.pattern = pattern FOR KEY SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'unknown event pattern %',
				coalesce('"' || pattern || '"', 'null')
			USING ERRCODE = 'VE001',
			HINT = 'Register it with event_engine.register_event_definition().';
	END IF;
	IF coalesce(name, '') !~ '^[A-Za-z0-9_.:-]{1,100}$' THEN
		RAISE EXCEPTION 'invalid name of a rule' USING ERRCODE = 'VE006',
			HINT = 'Use 1 to 100 letters a-z, digits, _, ., : and -.';
	END IF;
	IF (path IS NULL) = (function IS NULL) THEN
		RAISE EXCEPTION 'a rule is either a path or a function'
			USING ERRCODE = 'VE006';
	END IF;
	IF function IS NOT NULL THEN
		SELECT o.prokind, o.proretset, o.pronargs, o.prorettype,
				o.proargtypes[0] AS argument, n.nspname
			INTO p
		FROM pg_proc AS o JOIN pg_namespace AS n ON n.oid = o.pronamespace
		WHERE o.oid = function;
		problem := CASE
			WHEN NOT FOUND THEN 'It does not exist.'
			WHEN p.prokind <> 'f' OR p.proretset OR p.pronargs <> 1
				OR p.argument <> 'event_engine.event'::regtype
				THEN 'The function of a rule takes one argument, of type event_engine.event.'
			WHEN p.prorettype NOT IN ('boolean'::regtype, 'text'::regtype)
				THEN 'The function of a rule returns boolean or text.'
			WHEN p.nspname LIKE 'pg\_temp\_%'
				THEN 'It is temporary: no other session can call it.' END;
		IF problem IS NOT NULL THEN
			RAISE EXCEPTION 'function % cannot be a rule', function
				USING ERRCODE = 'VE006', DETAIL = problem;
		END IF;
		IF NOT has_function_privilege(caller, function, 'EXECUTE') THEN
			RAISE EXCEPTION 'permission denied for function %', function
				USING ERRCODE = '42501', DETAIL = format(
				'Role %s owns the rule and would run it.', caller::regrole);
		END IF;
	END IF;

	SELECT o.* INTO old FROM event_engine.event_rules AS o
	WHERE o.definition_id = definition AND o.name = name FOR UPDATE;
	IF FOUND THEN
		PERFORM event_engine.check_owner(caller, old.owner, 'rule', old.name);
	END IF;
	INSERT INTO event_engine.event_rules AS o (definition_id, name,
		sort_order, path, function, owner, message, enabled)
	VALUES (definition, name, coalesce(sort_order, 0), path, function::text,
		caller::regrole, message, coalesce(enabled, true))
	ON CONFLICT ON CONSTRAINT event_rules_pkey DO UPDATE
		SET sort_order = excluded.sort_order, path = excluded.path,
			function = excluded.function, owner = excluded.owner,
			message = excluded.message, enabled = excluded.enabled,
			updated_at = clock_timestamp()
		WHERE (o.sort_order, o.path, o.function, o.owner, o.message, o.enabled)
			IS DISTINCT FROM (excluded.sort_order, excluded.path,
			excluded.function, excluded.owner, excluded.message,
			excluded.enabled)
			AND pg_has_role(caller, o.owner::oid, 'USAGE');
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION event_engine.add_event_rule_as(
	oid, text, text, text, regprocedure, text, integer, boolean) IS
	'Internal: add_event_rule on behalf of a role.';

/*
 * add_event_rule: what events of a pattern must keep beside their schema.
 *
 *	pattern		of a registered definition; the rule holds for all versions
 *	name		one that is there already is replaced
 *	path		SQL/JSON path predicate over the envelope; or
 *	function	takes event_engine.event; returns boolean, false is a
 *				violation, or text, which says what is wrong.  Null is fine.
 *				Runs as the role that adds the rule, whoever publishes.
 *	message		what is said when it does not hold
 *	sort_order	lower ones run first
 *
 * Returns whether anything changed.  Writes event_rules.
 */
CREATE FUNCTION event_engine.add_event_rule(
	pattern text,
	name text,
	path text DEFAULT NULL,
	function regprocedure DEFAULT NULL,
	message text DEFAULT NULL,
	sort_order integer DEFAULT 0,
	enabled boolean DEFAULT true)
	RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.add_event_rule(
	text, text, text, regprocedure, text, integer, boolean) IS
	'Adds or replaces a rule that events of a pattern must keep: a path predicate over the envelope, or a function of the event.';

/* remove_event_rule, as whom it is called.  Writes event_rules. */
CREATE FUNCTION event_engine.remove_event_rule_as(
	caller oid, pattern text, name text)
	RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_variable
DECLARE
	old event_engine.event_rules;
BEGIN
	SELECT o.* INTO old
	FROM event_engine.event_rules AS o
	JOIN event_engine.event_definitions AS d ON d.id = o.definition_id
	WHERE d.pattern = pattern AND o.name = name FOR UPDATE OF o;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM event_engine.check_owner(caller, old.owner, 'rule', old.name);
	DELETE FROM event_engine.event_rules AS o
	WHERE o.definition_id = old.definition_id AND o.name = old.name;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION event_engine.remove_event_rule_as(oid, text, text) IS
	'Internal: remove_event_rule on behalf of a role.';

/*
 * remove_event_rule: false when there is none.  For the role that added it,
 * members of that role, and superusers.
 */
CREATE FUNCTION event_engine.remove_event_rule(pattern text, name text)
	RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.remove_event_rule(text, text) IS
	'Removes a rule of a pattern; false when there is none.';

/* list_event_rules: of a pattern, or (null) all. */
CREATE FUNCTION event_engine.list_event_rules(of_pattern text DEFAULT NULL)
	RETURNS TABLE (pattern text, name text, sort_order integer, path text,
		function text, owner regrole, message text, enabled boolean)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
SELECT d.pattern::text, o.name, o.sort_order, o.path, o.function, o.owner,
	o.message, o.enabled
FROM event_engine.event_rules AS o
JOIN event_engine.event_definitions AS d ON d.id = o.definition_id
WHERE $1 IS NULL OR d.pattern = $1
ORDER BY d.pattern COLLATE "C", o.sort_order, o.name COLLATE "C"
$$;
COMMENT ON FUNCTION event_engine.list_event_rules(text) IS
	'The rules of a pattern, or of all.';
