/* ------------------------------------------------------------------------
 * Workflows: the dispatcher of a role, which resumes its workflows.
 *
 * It is an ordinary row of subscriptions, of kind workflow, so that cursors,
 * lanes, waking, pause and statistics are those of all subscriptions.
 * ------------------------------------------------------------------------ */

/*
 * ensure_dispatcher: the number of a role's dispatcher, made where there is
 * none.  It begins with nothing to match: see cover_patterns().
 *
 * Writes: subscriptions, and the cursor.
 */
CREATE FUNCTION event_engine.ensure_dispatcher(owner oid)
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	dispatcher CONSTANT text := left('workflow:' || owner::regrole::text, 255);
	stored event_engine.subscriptions;
BEGIN
	LOOP
		SELECT s.* INTO stored FROM event_engine.subscriptions AS s
			WHERE s.owner = ensure_dispatcher.owner AND s.kind = 'workflow';
		IF FOUND THEN
			RETURN stored.number;
		END IF;
		IF EXISTS (SELECT FROM event_engine.subscriptions AS s
				WHERE s.subscriber = dispatcher) THEN
			RAISE EXCEPTION USING ERRCODE = 'VE304',
				MESSAGE = format('subscription "%s" is not the dispatcher of role %s',
					dispatcher, owner::regrole),
				HINT = 'Subscribe under another name instead of it.';
		END IF;
		IF current_setting('server_version_num')::integer < 170000
			AND NOT (SELECT r.rolcanlogin FROM pg_roles AS r
				WHERE r.oid = ensure_dispatcher.owner) THEN
			RAISE EXCEPTION USING ERRCODE = 'VE304',
				MESSAGE = format('role %s may not log in and cannot have a worker',
					owner::regrole),
				DETAIL = 'Steps of workflows are run by a worker as their owner; before PostgreSQL 17 that role must be allowed to log in.',
				HINT = 'ALTER ROLE ... LOGIN, or register the workflow as another role.';
		END IF;

		INSERT INTO event_engine.subscriptions AS s (subscriber, owner, kind,
				match, options)
			VALUES (dispatcher, owner::regrole, 'workflow', '[]',
				event_engine.subscription_options('{}'))
			ON CONFLICT ON CONSTRAINT subscriptions_subscriber_key DO NOTHING
			RETURNING s.* INTO stored;
		IF FOUND THEN
			PERFORM event_engine.start_cursor(stored.number, 'now');
			RETURN stored.number;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION event_engine.ensure_dispatcher(oid) IS
	'Internal: the number of the subscription that resumes a role''s workflows, made where there is none.';

/*
 * cover_patterns: have the dispatcher read events of these patterns as well.
 * A matcher holds 10000 patterns: a role that waits for more kinds of events
 * reads them all.
 */
CREATE FUNCTION event_engine.cover_patterns(number integer, patterns text[])
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known text[];
BEGIN
	SELECT s.patterns INTO known FROM event_engine.subscriptions AS s
		WHERE s.number = cover_patterns.number;
	IF known @> cover_patterns.patterns OR known = '{#}' THEN
		RETURN;
	END IF;
	-- as of now: somebody else may be adding others
	SELECT s.patterns INTO known FROM event_engine.subscriptions AS s
		WHERE s.number = cover_patterns.number FOR UPDATE;
	SELECT CASE WHEN '#' = ANY (known) OR count(DISTINCT p.pattern) > 5000
			THEN '{#}'::text[]
			ELSE array_agg(DISTINCT p.pattern) END
		INTO known
		FROM unnest(known || cover_patterns.patterns) AS p (pattern);
	UPDATE event_engine.subscriptions AS s
		SET patterns = known,
			match = event_engine.subscription_match(known, NULL),
			updated_at = clock_timestamp()
		WHERE s.number = cover_patterns.number;
END
$$;
COMMENT ON FUNCTION event_engine.cover_patterns(integer, text[]) IS
	'Internal: has a dispatcher read events of these patterns as well.';

/* Raises where workflows need the dispatcher. */
CREATE FUNCTION event_engine.check_dispatcher_unused(number integer,
		subscriber text)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM event_engine.workflow_definitions AS d
			WHERE d.number = check_dispatcher_unused.number) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('dispatcher "%s" is needed by workflows',
				subscriber),
			HINT = 'event_engine.pause_subscription() stops them for a while.';
	END IF;
	DELETE FROM event_engine.workflow_wait_keys AS k
		WHERE k.number = check_dispatcher_unused.number;
END
$$;
COMMENT ON FUNCTION event_engine.check_dispatcher_unused(integer, text) IS
	'Internal: raises where workflows need the dispatcher that is to be removed.';

/*
 * dispatcher_due: when the workflows of a dispatcher next have something to
 * do by the clock; null: not as far as is known.  Its columns are indexed.
 */
CREATE FUNCTION event_engine.dispatcher_due(number integer)
	RETURNS timestamptz
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT LEAST(
		(SELECT i.next_attempt_at FROM event_engine.workflow_instances AS i
			WHERE i.number = dispatcher_due.number
				AND i.next_attempt_at IS NOT NULL
			ORDER BY i.next_attempt_at LIMIT 1),
		(SELECT i.deadline_at FROM event_engine.workflow_instances AS i
			WHERE i.number = dispatcher_due.number
				AND i.deadline_at IS NOT NULL
			ORDER BY i.deadline_at LIMIT 1),
		(SELECT w.timeout_at FROM event_engine.workflow_waits AS w
			WHERE w.number = dispatcher_due.number
				AND w.timeout_at IS NOT NULL
			ORDER BY w.timeout_at LIMIT 1),
		(SELECT p.created_at FROM event_engine.workflow_postponed AS p
			JOIN event_engine.workflow_instances AS i ON i.id = p.instance_id
			WHERE p.number = dispatcher_due.number LIMIT 1),
		(SELECT now() FROM event_engine.workflow_late AS l
			WHERE l.number = dispatcher_due.number LIMIT 1),
		(SELECT now() FROM event_engine.workflow_postponed_triggers AS p
			WHERE p.number = dispatcher_due.number LIMIT 1))
$$;
COMMENT ON FUNCTION event_engine.dispatcher_due(integer) IS
	'Internal: when the workflows of a dispatcher next have something to do by the clock.';
