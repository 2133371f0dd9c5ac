-- docs/settings.md names every setting, and tells the truth of each.  (Only a
-- debug build has debug_point.)
LOAD 'event_engine';
\getenv srcdir PG_ABS_SRCDIR
\set file :srcdir '/../docs/settings.md'
\set page `cat :'file'`
CREATE TEMP TABLE page AS SELECT line FROM string_to_table(:'page', E'\n') AS line;

CREATE TEMP VIEW documented AS
	SELECT part[1] AS name, part[2] AS "default", part[3] AS "values", part[4] AS changed_by
	FROM page, regexp_match(line,
		'^\| `(event_engine\.\w+)` \| `([^`]*)` \| ([^|]*) \| (\w+) \|$') AS part
	WHERE part IS NOT NULL;

CREATE TEMP VIEW actual AS
	SELECT name,
		concat_ws(' ', boot_val, unit) AS "default",
		CASE vartype
			WHEN 'bool' THEN 'on, off'
			WHEN 'enum' THEN array_to_string(enumvals, ', ')
			WHEN 'string' THEN 'text'
			ELSE concat_ws(' ', min_val, 'to', max_val, unit)
		END AS "values",
		CASE context
			WHEN 'sighup' THEN 'reload'
			WHEN 'postmaster' THEN 'restart'
			ELSE context
		END AS changed_by
	FROM pg_settings
	WHERE name LIKE 'event_engine.%' AND name <> 'event_engine.debug_point';

SELECT count(*) > 0 AS documented FROM documented;
TABLE actual EXCEPT TABLE documented ORDER BY name;
-- (Those of the workers are there when the library is preloaded; then see
-- test/t/001_operations_load.pl.)
SELECT * FROM documented WHERE changed_by <> 'restart' EXCEPT TABLE actual ORDER BY name;

-- And says in words what each is for.
SELECT name AS without_words FROM actual
WHERE NOT EXISTS (SELECT FROM page
	WHERE line LIKE '- **' || replace(name, 'event_engine.', '') || '**: %')
ORDER BY name;

-- What nobody has defined is refused, misspellings included.
SET event_engine.store_max_payloads = '1MB';
