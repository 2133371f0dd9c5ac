/* ------------------------------------------------------------------------
 * Registry: which events a role may publish, subscribe to and read.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.check_grant_match(match jsonb) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_check_grant_match';
COMMENT ON FUNCTION event_engine.check_grant_match(jsonb) IS
	'Internal: raises what is wrong with the pattern of a grant, or is true.';

/*
 * event_grants: what is allowed; what no row allows is refused.
 *
 *	grantee		the role; roles that have its privileges may do it as well
 *	privilege	publish | subscribe | read | unseal (sensitive data)
 *	pattern		of the events, as people read it
 *	match		the same as of a subscription:
 *				{"type": "exact|wildcard|prefix|regex", "value": text}
 *	tenant		whose events (metadata.tags.tenant); null: everybody's
 *	granted_by	who said so
 */
CREATE TABLE event_engine.event_grants (
	grantee regrole NOT NULL,
	privilege text NOT NULL
		CHECK (privilege IN ('publish', 'subscribe', 'read', 'unseal')),
	pattern varchar(255) COLLATE "C" NOT NULL,
	match jsonb NOT NULL CHECK (event_engine.check_grant_match(match)),
	tenant text COLLATE "C" CHECK (tenant <> ''),
	granted_by regrole NOT NULL,
	granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	UNIQUE NULLS NOT DISTINCT (grantee, privilege, match, tenant)
);
COMMENT ON TABLE event_engine.event_grants IS
	'Which events a role may publish, subscribe to and read; what no row allows is refused.';
ALTER TABLE event_engine.event_grants REPLICA IDENTITY FULL;

/* Every session hears of every change, by whomever. */
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_grants FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.event_grants FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.event_grants
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;

/*
 * Where this is an update: before there were grants, whoever could call
 * publish_event or insert published everything, and so on.  Of a new
 * extension nothing of this is there yet.
 */
INSERT INTO event_engine.event_grants
	(grantee, privilege, pattern, match, granted_by)
SELECT DISTINCT h.grantee, h.privilege, '#',
	'{"type": "wildcard", "value": "#"}'::jsonb, h.owner
FROM (
	SELECT a.grantee, p.proowner AS owner,
		CASE WHEN p.proname IN ('publish_event', 'publish_events')
			THEN 'publish' ELSE 'subscribe' END AS privilege
	FROM pg_catalog.pg_proc AS p,
		pg_catalog.aclexplode(p.proacl) AS a
	WHERE p.pronamespace = 'event_engine'::regnamespace
		AND p.proname IN ('publish_event', 'publish_events', 'subscribe',
			'register_workflow', 'register_query_responder')
	UNION ALL
	SELECT a.grantee, c.relowner,
		CASE a.privilege_type WHEN 'INSERT' THEN 'publish'
			WHEN 'SELECT' THEN 'read' END
	FROM pg_catalog.pg_class AS c,
		pg_catalog.aclexplode(c.relacl) AS a
	WHERE c.relnamespace = 'event_engine'::regnamespace
		AND c.relname = 'events') AS h
WHERE h.grantee NOT IN (0, h.owner) AND h.privilege IS NOT NULL;
