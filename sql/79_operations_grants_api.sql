/* ------------------------------------------------------------------------
 * Operations: who may publish, subscribe to and read which events.
 *
 * The rows of event_grants say of which events; the privileges on functions
 * and tables that come with them are those of the duties.  The procedures are
 * faces in C, as those of the subscriptions: definer functions do the work
 * and are told the caller's role.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.privilege_of_duty(duty text) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT CASE duty WHEN 'publisher' THEN 'publish'
	WHEN 'subscriber' THEN 'subscribe' WHEN 'reader' THEN 'read'
	WHEN 'unsealer' THEN 'unseal' END
$$;
COMMENT ON FUNCTION event_engine.privilege_of_duty(text) IS
	'Internal: the privilege of event_grants that goes with a duty.';

/* Has a role been granted it, for some events or for all of everybody? */
CREATE FUNCTION event_engine.has_grant(privilege text, role regrole,
		everything boolean)
	RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT EXISTS (SELECT FROM event_engine.event_grants AS g
	WHERE g.grantee = has_grant.role AND g.privilege = has_grant.privilege
		AND (NOT has_grant.everything OR g.tenant IS NULL
			AND g.match = '{"type": "wildcard", "value": "#"}'))
$$;
COMMENT ON FUNCTION event_engine.has_grant(text, regrole, boolean) IS
	'Internal: whether a role itself has been granted a privilege on some events, or on all.';

/*
 * check_granter: EXECUTE lets the faces be called; who has only that, by a
 * GRANT of their own, may not grant.
 */
CREATE FUNCTION event_engine.check_granter(caller oid, owner_only boolean)
	RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pg_has_role(caller, (SELECT e.extowner FROM pg_extension AS e
			WHERE e.extname = 'event_engine'), 'USAGE')
		OR NOT owner_only AND has_function_privilege(caller,
			'event_engine.grant_duty(text, regrole)', 'EXECUTE') THEN
		RETURN;
	END IF;
	RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
		MESSAGE = CASE WHEN owner_only
			THEN 'only the owner of the extension may make admins'
			ELSE 'permission denied to grant or revoke' END,
		HINT = 'Superusers, the owner of the extension and roles with the duty admin may grant.';
END
$$;
COMMENT ON FUNCTION event_engine.check_granter(oid, boolean) IS
	'Internal: raises unless the role may say who may do what.';

/*
 * change_grant: what grant_publish() and its kin do.
 *
 *	granted		true: from now on; false: no more
 *	privilege	publish | subscribe | read | unseal
 *	pattern		a name, a wildcard as of a subscription (# is everything), or
 *				what kind says
 *	tenant		only for events of this tenant; null: of every one
 *	kind		exact | wildcard | prefix | regex; null: by the pattern
 *
 * Writes: event_grants, and the privileges of the duty.
 */
CREATE FUNCTION event_engine.change_grant_as(caller oid, granted boolean,
		privilege text, pattern text, role regrole, tenant text, kind text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	of_match jsonb;
	duty CONSTANT text := CASE privilege WHEN 'publish' THEN 'publisher'
		WHEN 'subscribe' THEN 'subscriber' WHEN 'read' THEN 'reader'
		WHEN 'unseal' THEN 'unsealer' END;
BEGIN
	PERFORM event_engine.check_granter(caller, false);
	PERFORM event_engine.check_duty(duty, role);
	IF pattern IS NULL OR tenant = '' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = CASE WHEN pattern IS NULL THEN 'pattern must not be null'
				ELSE 'tenant must not be empty' END,
			HINT = CASE WHEN pattern IS NULL
				THEN 'The pattern of all events is ''#''.'
				ELSE 'Leave it out, or give null, for all tenants.' END;
	END IF;
	of_match := jsonb_build_object('value', pattern, 'type', COALESCE(kind,
		CASE WHEN pattern ~ '[*#]' THEN 'wildcard' ELSE 'exact' END));
	PERFORM event_engine.check_grant_match(of_match);

	IF granted THEN
		INSERT INTO event_engine.event_grants
			(grantee, privilege, pattern, match, tenant, granted_by)
		VALUES (role, privilege, pattern, of_match, tenant, caller::regrole)
		ON CONFLICT DO NOTHING;
	ELSE
		DELETE FROM event_engine.event_grants AS g
			WHERE g.grantee = role AND g.privilege = privilege
				AND g.match = of_match AND g.tenant IS NOT DISTINCT FROM tenant;
		IF NOT FOUND THEN
			RAISE WARNING USING ERRCODE = '01006',
				MESSAGE = format('role %s had not been granted this, so nothing is revoked',
					role),
				HINT = 'A grant is revoked with the pattern, the tenant and the kind that it was made with; event_engine.list_grants() shows them.';
		END IF;
	END IF;
	PERFORM event_engine.settle_duty(duty, role,
		event_engine.has_grant(privilege, role, false),
		event_engine.has_grant(privilege, role, true));
END
$$;
COMMENT ON FUNCTION event_engine.change_grant_as(oid, boolean, text, text, regrole, text, text) IS
	'Does the work of change_grant() for the given role.';

CREATE FUNCTION event_engine.change_grant(granted boolean, privilege text,
		pattern text, role regrole, tenant text, kind text)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.change_grant(boolean, text, text, regrole, text, text) IS
	'What grant_publish(), revoke_publish() and their kin call.';

CREATE PROCEDURE event_engine.grant_publish(pattern text, role regrole,
		tenant text DEFAULT NULL, kind text DEFAULT NULL)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.change_grant(true, 'publish', pattern, role,
		tenant, kind);
END
$$;
COMMENT ON PROCEDURE event_engine.grant_publish(text, regrole, text, text) IS
	'Lets a role publish events of a pattern, of one tenant or of all.';

CREATE PROCEDURE event_engine.revoke_publish(pattern text, role regrole,
		tenant text DEFAULT NULL, kind text DEFAULT NULL)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.change_grant(false, 'publish', pattern, role,
		tenant, kind);
END
$$;
COMMENT ON PROCEDURE event_engine.revoke_publish(text, regrole, text, text) IS
	'Takes back that a role may publish events of a pattern, of one tenant or of all.';

CREATE PROCEDURE event_engine.grant_subscribe(pattern text, role regrole,
		tenant text DEFAULT NULL, kind text DEFAULT NULL)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.change_grant(true, 'subscribe', pattern, role,
		tenant, kind);
END
$$;
COMMENT ON PROCEDURE event_engine.grant_subscribe(text, regrole, text, text) IS
	'Lets a role subscribe to events of a pattern, of one tenant or of all.';

CREATE PROCEDURE event_engine.revoke_subscribe(pattern text, role regrole,
		tenant text DEFAULT NULL, kind text DEFAULT NULL)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.change_grant(false, 'subscribe', pattern, role,
		tenant, kind);
END
$$;
COMMENT ON PROCEDURE event_engine.revoke_subscribe(text, regrole, text, text) IS
	'Takes back that a role may subscribe to events of a pattern, of one tenant or of all.';

CREATE PROCEDURE event_engine.grant_read(pattern text, role regrole,
		tenant text DEFAULT NULL, kind text DEFAULT NULL)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.change_grant(true, 'read', pattern, role,
		tenant, kind);
END
$$;
COMMENT ON PROCEDURE event_engine.grant_read(text, regrole, text, text) IS
	'Lets a role read events of a pattern, of one tenant or of all.';

CREATE PROCEDURE event_engine.revoke_read(pattern text, role regrole,
		tenant text DEFAULT NULL, kind text DEFAULT NULL)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.change_grant(false, 'read', pattern, role,
		tenant, kind);
END
$$;
COMMENT ON PROCEDURE event_engine.revoke_read(text, regrole, text, text) IS
	'Takes back that a role may read events of a pattern, of one tenant or of all.';

CREATE PROCEDURE event_engine.grant_unseal(pattern text, role regrole,
		tenant text DEFAULT NULL, kind text DEFAULT NULL)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.change_grant(true, 'unseal', pattern, role,
		tenant, kind);
END
$$;
COMMENT ON PROCEDURE event_engine.grant_unseal(text, regrole, text, text) IS
	'Shows a role sensitive data in events of a pattern, of one tenant or of all.';

CREATE PROCEDURE event_engine.revoke_unseal(pattern text, role regrole,
		tenant text DEFAULT NULL, kind text DEFAULT NULL)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.change_grant(false, 'unseal', pattern, role,
		tenant, kind);
END
$$;
COMMENT ON PROCEDURE event_engine.revoke_unseal(text, regrole, text, text) IS
	'Takes back that a role is shown sensitive data in events of a pattern, of one tenant or of all.';

/*
 * list_grants: what a role may do, by its own grants and by those of roles
 * whose privileges it has.
 *
 *	role	null: the caller; others are shown to those who may read event_grants
 */
CREATE FUNCTION event_engine.list_grants_as(caller oid, of_role regrole,
		OUT privilege text, OUT pattern text, OUT kind text, OUT tenant text,
		OUT grantee regrole, OUT granted_by regrole,
		OUT granted_at timestamptz)
	RETURNS SETOF record
	LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	asked CONSTANT oid := COALESCE(of_role::oid, caller);
	owner CONSTANT oid := (SELECT e.extowner FROM pg_extension AS e
		WHERE e.extname = 'event_engine');
BEGIN
	IF NOT pg_has_role(caller, asked, 'MEMBER')
		AND NOT has_table_privilege(caller, 'event_engine.event_grants',
			'SELECT') THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('permission denied to list the grants of role %s',
				asked::regrole);
	END IF;
	IF pg_has_role(asked, owner, 'USAGE') THEN
		RETURN QUERY SELECT p.privilege, '#', 'wildcard', NULL::text,
			owner::regrole, NULL::regrole, NULL::timestamptz
		FROM unnest('{publish,subscribe,read,unseal}'::text[]) AS p (privilege);
		RETURN;
	END IF;
	RETURN QUERY
	SELECT g.privilege, g.pattern::text, g.match ->> 'type', g.tenant,
		g.grantee, g.granted_by, g.granted_at
	FROM event_engine.event_grants AS g
	JOIN pg_roles AS a ON a.oid = g.grantee
	WHERE pg_has_role(asked, g.grantee::oid, 'USAGE')
	ORDER BY array_position('{publish,subscribe,read,unseal}', g.privilege),
		g.pattern, g.tenant NULLS FIRST, a.rolname;
END
$$;
COMMENT ON FUNCTION event_engine.list_grants_as(oid, regrole) IS
	'Does the work of list_grants() for the given role.';

CREATE FUNCTION event_engine.list_grants(role regrole DEFAULT NULL,
		OUT privilege text, OUT pattern text, OUT kind text, OUT tenant text,
		OUT grantee regrole, OUT granted_by regrole,
		OUT granted_at timestamptz)
	RETURNS SETOF record
	LANGUAGE c STABLE ROWS 20
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.list_grants(regrole) IS
	'Which events a role may publish, subscribe to, read and unseal, through which role, and who granted it.';
