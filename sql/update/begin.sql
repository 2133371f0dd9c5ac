/* event_engine: update script, assembled of sql/update/ and the pieces of sql/ */
\echo Use "ALTER EXTENSION event_engine UPDATE" to load this file. \quit
SET LOCAL search_path = pg_catalog, pg_temp;

/* The version is in pg_extension already. */
DO $$
DECLARE
	library CONSTANT text := event_engine.library_version();
	wanted text;
	owner name;
BEGIN
	SELECT e.extversion, r.rolname INTO STRICT wanted, owner
	FROM pg_extension AS e JOIN pg_roles AS r ON r.oid = e.extowner
	WHERE e.extname = 'event_engine';
	IF event_engine.compare_versions(library, wanted) < 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE702',
			MESSAGE = format('cannot update event_engine to version %s: this session uses the library of version %s',
				wanted, library),
			HINT = CASE WHEN current_setting('shared_preload_libraries') ~ '\yevent_engine\y'
				THEN 'The server has loaded the library when it started: restart it first.'
				ELSE 'Reconnect, so that the library is loaded that is installed now.' END;
	END IF;

	/* What is new belongs to whom the rest belongs to, whoever updates. */
	PERFORM set_config('event_engine_update.role', current_setting('role'), true);
	IF owner <> current_user AND (SELECT r.rolsuper FROM pg_roles AS r
			WHERE r.rolname = owner)
		AND pg_has_role(session_user, owner, 'MEMBER') THEN
		PERFORM set_config('role', owner, true);
	END IF;

	/* Who has which duty, before a duty needs more. */
	PERFORM set_config('event_engine_update.duties',
		COALESCE((SELECT jsonb_agg(jsonb_build_object('role', g.grantee::oid, 'duty', d.duty))
			FROM (SELECT DISTINCT a.grantee FROM event_engine.duties AS u,
					aclexplode(u.acl) AS a
				WHERE a.grantee NOT IN (0, a.grantor)) AS g,
				unnest(event_engine.duties_of(g.grantee)) AS d (duty))::text, '[]'), true);
END
$$;
