-- The extension installs, into a schema of its own that it has made itself.
\set SHOW_CONTEXT never
CREATE SCHEMA event_engine;
CREATE EXTENSION event_engine;
\set SHOW_CONTEXT errors
DROP SCHEMA event_engine;
CREATE EXTENSION event_engine;
SELECT extname, extnamespace::regnamespace, extrelocatable
	FROM pg_extension WHERE extname = 'event_engine';

-- What belongs to the extension.
CREATE TEMP VIEW members AS
	SELECT classid, objid, objsubid
	FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'event_engine');

-- Every object tells what it is for (row types and arrays are their table's).
SELECT pg_describe_object(classid, objid, objsubid) AS without_comment
FROM members
WHERE obj_description(objid, classid::regclass::name) IS NULL
	AND classid IN ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_class'::regclass,
		'pg_namespace'::regclass, 'pg_operator'::regclass)
	AND NOT (classid = 'pg_class'::regclass
		AND (SELECT relkind FROM pg_class WHERE oid = objid) IN ('i', 'I', 'c', 'S'))
	AND NOT (classid = 'pg_type'::regclass
		AND (SELECT typrelid <> 0 OR typcategory = 'A' FROM pg_type WHERE oid = objid)
		AND (SELECT coalesce((SELECT relkind <> 'c' FROM pg_class WHERE oid = typrelid), true)
			FROM pg_type WHERE oid = objid))
ORDER BY 1;

-- Who runs with its owner's rights resolves no name through the caller's path.
SELECT p.oid::regprocedure AS definer_without_path
FROM pg_proc p JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
WHERE prosecdef AND NOT coalesce(
	'search_path=pg_catalog, pg_temp' = ANY (proconfig), false)
ORDER BY 1::text;

-- Neither does what is not C, since anybody's path may be set when it runs.
SELECT p.oid::regprocedure AS function_without_path
FROM pg_proc p
	JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname NOT IN ('c', 'internal') AND p.prosqlbody IS NULL AND NOT coalesce(
	'search_path=pg_catalog, pg_temp' = ANY (proconfig), false)
ORDER BY 1::text;

-- Nothing lies outside the schema.
SELECT pg_describe_object(classid, objid, objsubid) AS outside
FROM members
WHERE (pg_identify_object(classid, objid, objsubid)).schema <> 'event_engine'
ORDER BY 1;

-- A dump takes along every table and sequence but these, and nothing twice.
SELECT c.oid::regclass AS not_dumped
FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
	JOIN pg_extension e ON e.extname = 'event_engine'
WHERE c.relkind IN ('r', 'S') AND (e.extconfig IS NULL OR c.oid <> ALL (e.extconfig))
ORDER BY c.oid::regclass::text;
-- What the log is made of can be made again one by one.
SELECT count(*) AS indexes_of_the_parent FROM pg_index WHERE indrelid = 'event_engine.events'::regclass;
