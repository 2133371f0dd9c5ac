/* ------------------------------------------------------------------------
 * Operations: turn events about the engine itself on and off.
 * ------------------------------------------------------------------------ */

/* What can be told: the patterns are system. and these. */
CREATE FUNCTION event_engine.system_events()
	RETURNS TABLE (event text, description text, properties jsonb)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 16
	SET search_path = pg_catalog, pg_temp AS $$
VALUES
	('config.changed', 'An administrator has changed what is configured.',
		'{"action": {"type": "string"}, "object": {"type": "object"},
		  "changed": {"type": "array"}, "old": {"type": "object"},
		  "new": {"type": "object"}, "details": {"type": "object"},
		  "by": {"type": "object"}}'::jsonb),
	('access.granted', 'A role was given rights.',
		'{"role": {"type": "string"}, "by": {"type": "object"}}'),
	('access.revoked', 'Rights were taken from a role.',
		'{"role": {"type": "string"}, "by": {"type": "object"}}'),
	('access.denied', 'Somebody was refused what he may not do.',
		'{"message": {"type": "string"}, "count": {"type": "integer"},
		  "at": {"type": "string"}, "missed": {"type": "integer"},
		  "by": {"type": "object"}}'),
	('service.started', 'The router of this database has started.',
		'{"version": {"type": "string"}, "pid": {"type": "integer"},
		  "database": {"type": "string"}, "serverStartedAt": {"type": "string"}}'),
	('service.stopped', 'The router of this database was told to stop.',
		'{"version": {"type": "string"}, "pid": {"type": "integer"},
		  "database": {"type": "string"}, "serverStartedAt": {"type": "string"}}'),
	('worker.failed', 'A worker has ended with an error.',
		'{"role": {"type": "string"}, "pid": {"type": "integer"},
		  "count": {"type": "integer"}, "at": {"type": "string"}}'),
	('subscription.broken', 'A subscription waits to be mended.',
		'{"subscriber": {"type": "string"}, "owner": {"type": "string"},
		  "reason": {"type": "string"}}'),
	('circuit.opened', 'Too many attempts of a subscription have failed.',
		'{"subscriber": {"type": "string"}, "at": {"type": "string"}}'),
	('circuit.closed', 'A subscription is delivered to again.',
		'{"subscriber": {"type": "string"}, "at": {"type": "string"}}'),
	('queue.high', 'The queue is longer than its high watermark, or full.',
		'{"subscriber": {"type": "string"}, "depth": {"type": "integer"},
		  "at": {"type": "string"}}'),
	('queue.normal', 'The queue is short again.',
		'{"depth": {"type": "integer"}, "at": {"type": "string"}}'),
	('dead_letter.created', 'An event was given up for a subscription.',
		'{"id": {"type": "string"}, "subscriber": {"type": "string"},
		  "eventId": {"type": "string"}, "pattern": {"type": "string"},
		  "error": {"type": "string"}, "attempts": {"type": "integer"}}'),
	('upkeep.held', 'Events cannot leave the log, as somebody needs them.',
		'{"task": {"type": "string"}, "object": {"type": "string"}}'),
	('upkeep.forced', 'Events have left the log before somebody had read them.',
		'{"task": {"type": "string"}, "object": {"type": "string"}}'),
	('upkeep.failed', 'A task of the upkeep has failed.',
		'{"task": {"type": "string"}, "object": {"type": "string"}}')
$$;
COMMENT ON FUNCTION event_engine.system_events() IS
	'Internal: what is published about the engine itself, as system.<event>.';

CREATE FUNCTION event_engine.check_system_events(events text[])
	RETURNS SETOF text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	unknown text;
BEGIN
	SELECT COALESCE(e.name, 'null') INTO unknown FROM unnest(events) AS e (name)
		WHERE e.name IS NULL OR NOT EXISTS (SELECT
			FROM event_engine.system_events() AS s
			WHERE e.name IN ('system.' || s.event, s.event))
		LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('there is no event "%s" about the engine', unknown),
			HINT = format('There are %s.', (SELECT string_agg(s.event, ', ')
				FROM event_engine.system_events() AS s));
	END IF;
	RETURN QUERY SELECT 'system.' || s.event
		FROM event_engine.system_events() AS s
		WHERE events IS NULL OR s.event = ANY (events)
			OR 'system.' || s.event = ANY (events);
END
$$;
COMMENT ON FUNCTION event_engine.check_system_events(text[]) IS
	'Internal: the patterns meant; raises when there are no such events.';

/*
 * enable_audit: publish what administrators do, what is denied to whom, and
 * what befalls the engine.  To be run by the extension's owner or a superuser.
 *
 *	events	config.changed, access.denied, ...; null: all
 *
 * Their definitions are made, or made active again.
 */
CREATE PROCEDURE event_engine.enable_audit(events text[] DEFAULT NULL)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted record;
	stored event_engine.event_definitions;
BEGIN
	FOR wanted IN
		SELECT c.pattern, s.description, jsonb_build_object('type', 'object',
				'properties', s.properties) AS schema
		FROM event_engine.check_system_events(events) AS c (pattern)
		JOIN event_engine.system_events() AS s
			ON c.pattern = 'system.' || s.event
		-- what enables the others is told
		ORDER BY c.pattern <> 'system.config.changed', c.pattern
	LOOP
		SELECT d.* INTO stored FROM event_engine.event_definitions AS d
			WHERE d.pattern = wanted.pattern;
		IF NOT FOUND THEN
			PERFORM event_engine.register_event_definition(wanted.pattern,
				wanted.schema, event_id => 'event_engine.' || wanted.pattern,
				name => wanted.pattern, description => wanted.description,
				source_types => '{integration}');
		ELSIF stored.event_id <> 'event_engine.' || wanted.pattern THEN
			RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
				MESSAGE = format('event pattern "%s" is in use', wanted.pattern),
				DETAIL = format('It belongs to event definition "%s".',
					stored.event_id);
		ELSIF stored.status <> 'active' THEN
			PERFORM event_engine.update_event_definition(stored.event_id,
				status => 'active');
		END IF;
	END LOOP;
END
$$;
COMMENT ON PROCEDURE event_engine.enable_audit(text[]) IS
	'Publishes what administrators do, what is denied, and what befalls the engine, as events system.*.';

/* disable_audit: no more of them.  What was published stays. */
CREATE PROCEDURE event_engine.disable_audit(events text[] DEFAULT NULL)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- the last that is heard of it
	PERFORM event_engine.audit_action('disabled', 'audit',
		COALESCE(array_to_string(events, ','), '*'));
	PERFORM event_engine.update_event_definition(d.event_id,
			status => 'deprecated')
		FROM event_engine.check_system_events(events) AS c (pattern)
		JOIN event_engine.event_definitions AS d ON d.pattern = c.pattern
			AND d.event_id = 'event_engine.' || c.pattern
		WHERE d.status = 'active'
		ORDER BY c.pattern = 'system.config.changed', c.pattern;
END
$$;
COMMENT ON PROCEDURE event_engine.disable_audit(text[]) IS
	'Ends what enable_audit() began, for all or some of its events.';
