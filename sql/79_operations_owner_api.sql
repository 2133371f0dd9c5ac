/* ------------------------------------------------------------------------
 * Operations: handing over what belongs to a role, as REASSIGN OWNED does with
 * objects of the server.
 * ------------------------------------------------------------------------ */

/*
 * reassign_owned: all that runs as one role runs as another from now on, and
 * goes on from where it stands.  For superusers.
 *
 *	old_owner	also by its number, where the role is gone
 *
 * A role has one dispatcher for its workflows, with one place in the log: that
 * of the old owner becomes the new one's, who may have none yet.
 *
 * Writes: subscriptions, workflow_definitions, event_rules, event_schedules,
 * event_responders.
 */
CREATE PROCEDURE event_engine.reassign_owned(old_owner regrole,
		new_owner regrole)
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n bigint;
	total bigint := 0;
	runs regclass;
BEGIN
	IF NOT (SELECT r.rolsuper FROM pg_roles AS r
			WHERE r.rolname = current_user) THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = 'must be superuser to reassign what belongs to a role';
	END IF;
	PERFORM FROM pg_roles AS r WHERE r.oid = new_owner::oid;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object',
			MESSAGE = format('role %s does not exist', new_owner);
	END IF;
	IF (SELECT count(*) FROM event_engine.subscriptions AS s
			WHERE s.kind = 'workflow' AND s.owner IN (old_owner, new_owner)
				AND old_owner <> new_owner) > 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('roles %s and %s both have workflows', old_owner,
				new_owner),
			DETAIL = 'Each role has one place in the log for all its workflows.',
			HINT = 'Reassign to a role that has no workflows.';
	END IF;

	-- a batch that is running ends as whom it began
	PERFORM event_engine.lock_subscription(s.number)
		FROM (SELECT s.number FROM event_engine.subscriptions AS s
			WHERE s.owner = old_owner AND s.kind <> 'pull'
			ORDER BY s.number) AS s;
	FOREACH runs IN ARRAY ARRAY['event_engine.subscriptions',
		'event_engine.workflow_definitions', 'event_engine.event_rules',
		'event_engine.event_schedules',
		'event_engine.event_responders']::regclass[]
	LOOP
		EXECUTE format('UPDATE %s SET owner = $2 WHERE owner = $1', runs)
			USING old_owner, new_owner;
		GET DIAGNOSTICS n = ROW_COUNT;
		total := total + n;
	END LOOP;
	UPDATE event_engine.subscriptions AS s
		SET subscriber = left('workflow:' || new_owner::text, 255)
		WHERE s.owner = new_owner AND s.kind = 'workflow';
	RAISE NOTICE '% subscription(s), workflow(s), rule(s), schedule(s) and responder(s) of role % belong to role % now',
		total, old_owner, new_owner;
END
$$;
COMMENT ON PROCEDURE event_engine.reassign_owned(regrole, regrole) IS
	'Gives all subscriptions, workflows, rules, schedules and responders of a role to another.';
