-- An updated extension is what a fresh one is.  Where it is not, sql/update/
-- lacks something: sql/README.md tells what has to be said there.
\set SHOW_CONTEXT never
\getenv srcdir PG_ABS_SRCDIR
\set file :srcdir '/lib/catalog.sql'
\set ECHO none
\i :file
\set ECHO all
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
CREATE TEMP TABLE fresh AS SELECT * FROM catalog;
SELECT extversion AS current FROM pg_extension WHERE extname = 'event_engine' \gset

-- What is in the tables from the beginning.
CREATE FUNCTION pg_temp.table_rows() RETURNS TABLE (relation regclass, rows bigint)
LANGUAGE plpgsql AS $$
BEGIN
	FOR relation IN SELECT m.objid FROM member AS m
		JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
		WHERE c.relkind = 'r'
			-- the workers' own
			AND c.relname NOT IN ('event_partitions', 'event_milestones',
				'event_maintenance', 'executor_starts')
	LOOP
		EXECUTE format('SELECT count(*) FROM %s', relation) INTO rows;
		RETURN NEXT;
	END LOOP;
END $$;
CREATE TEMP TABLE fresh_rows AS SELECT relation::text, rows FROM pg_temp.table_rows();

-- The first release, with a library that is newer.
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine VERSION '0.1.0';
-- What the user has given stays, and is the user's.
CREATE ROLE regress_given;
CREATE ROLE regress_duty;
CALL event_engine.grant_duty('publisher', 'regress_duty');
CALL event_engine.grant_duty('reader', 'regress_duty');
GRANT EXECUTE ON FUNCTION event_engine.health() TO regress_given;
GRANT EXECUTE ON FUNCTION event_engine.run_maintenance() TO PUBLIC;
REVOKE EXECUTE ON FUNCTION event_engine.event_time(uuid) FROM PUBLIC;
GRANT SELECT ON event_engine.stat_workers TO regress_given;
ALTER EXTENSION event_engine UPDATE;
SELECT proname, pg_temp.rights(proacl) LIKE '%regress_given%' AS given,
	pg_temp.rights(proacl) LIKE '%PUBLIC%' AS public,
	pg_temp.rights(initprivs) LIKE '%regress_given%' AS not_dumped
FROM pg_proc JOIN pg_init_privs ON objoid = pg_proc.oid
WHERE pronamespace = 'event_engine'::regnamespace
	AND proname IN ('health', 'run_maintenance', 'event_time')
ORDER BY 1;
REVOKE EXECUTE ON FUNCTION event_engine.health() FROM regress_given;
REVOKE EXECUTE ON FUNCTION event_engine.run_maintenance() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION event_engine.event_time(uuid) TO PUBLIC;
SELECT has_table_privilege('regress_given', 'event_engine.stat_workers', 'SELECT');
REVOKE SELECT ON event_engine.stat_workers FROM regress_given;
DROP ROLE regress_given;
-- A duty is given again, with what it needs since.
SELECT event_engine.duties_of('regress_duty');
SELECT count(*) AS not_dumped FROM pg_init_privs AS i, aclexplode(i.initprivs) AS a
WHERE a.grantee = 'regress_duty'::regrole;
CALL event_engine.revoke_duty('publisher', 'regress_duty');
CALL event_engine.revoke_duty('reader', 'regress_duty');
DROP ROLE regress_duty;

SELECT extversion = :'current' AS current FROM pg_extension WHERE extname = 'event_engine';
SELECT updated, object, what, left(regexp_replace(value, '\s+', ' ', 'g'), 300) AS value
FROM ((SELECT 'missing' AS updated, * FROM fresh EXCEPT SELECT 'missing', * FROM catalog)
	UNION ALL
	(SELECT 'too much', * FROM catalog EXCEPT SELECT 'too much', * FROM fresh)) AS d
ORDER BY object, what, updated LIMIT 60;
SELECT f.relation, f.rows AS fresh, r.rows AS updated
FROM fresh_rows AS f FULL JOIN pg_temp.table_rows() AS r ON r.relation::text = f.relation
WHERE f.rows IS DISTINCT FROM r.rows;
SELECT count(*) > 1000 AS whole FROM fresh;
