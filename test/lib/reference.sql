-- docs/reference.md, as the table reference (nr, line), from what the catalogs
-- say and, for SQLSTATEs, the variables errors_h and errors_md: the texts of
-- src/ground/errors.h and docs/errors.md.  The settings that need a restart
-- are there only when the library is preloaded.
LOAD 'event_engine';
SET search_path = pg_catalog, pg_temp;
SET intervalstyle = postgres;
SET datestyle = ISO;
SET timezone = UTC;

CREATE TEMP VIEW member AS
	SELECT d.classid, d.objid, obj_description(d.objid, d.classid::regclass::name) AS comment
	FROM pg_depend AS d JOIN pg_extension AS e ON d.refobjid = e.oid
	WHERE e.extname = 'event_engine' AND d.refclassid = 'pg_extension'::regclass
		AND d.deptype = 'e'
		-- what is there for the others, and for nobody else
		AND obj_description(d.objid, d.classid::regclass::name)
			!~ '^(Internal|Trigger|Does the work of)';

-- Who may use it: by what duty, or everybody.
CREATE FUNCTION pg_temp.usable_by(thing oid, rights aclitem[]) RETURNS text
LANGUAGE sql AS $$
SELECT CASE
	WHEN EXISTS (SELECT FROM aclexplode(rights) AS a WHERE a.grantee = 0) THEN 'For everybody.'
	ELSE coalesce('Duties: ' || string_agg(DISTINCT d.duty, ', ' ORDER BY d.duty) || '.',
		'For the extension''s owner.') END
FROM event_engine.duties AS d WHERE d.oid = thing
$$;

-- Arguments or results, without what a default says twice; many go below each other.
CREATE FUNCTION pg_temp.in_lines(list text) RETURNS text LANGUAGE sql AS $$
SELECT CASE
	WHEN length(short) > 60 AND short ~ '^TABLE'
		THEN regexp_replace(regexp_replace(short, '^TABLE\(', E'TABLE(\n        '),
			', (?=[a-z_]+ [a-z])', E',\n        ', 'g')
	WHEN length(short) > 60
		THEN E'\n        ' || regexp_replace(short,
			', (?=((IN|OUT|INOUT|VARIADIC) )?[a-z_]+ [a-z])', E',\n        ', 'g')
	ELSE short END
FROM regexp_replace(list,
	'(NULL|'')::(double precision|[a-z_.]+( with(out)? time zone)?)(\[\])?', '\1', 'g') AS short
$$;

-- A block of the page for each object, in sections.
CREATE TEMP VIEW block AS
SELECT 1 AS section, p.proname::text AS name, pg_get_function_identity_arguments(p.oid) AS more,
	CASE WHEN row_number() OVER (PARTITION BY p.proname
			ORDER BY pg_get_function_identity_arguments(p.oid) COLLATE "C") = 1
		THEN format(E'### %s\n\n', p.proname) ELSE '' END
	|| format(E'    %s%s(%s)%s\n\n%s %s',
		CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END, p.proname,
		pg_temp.in_lines(pg_get_function_arguments(p.oid)),
		' → ' || pg_temp.in_lines(pg_get_function_result(p.oid)),
		m.comment, pg_temp.usable_by(p.oid, p.proacl)) AS text
FROM member AS m JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
UNION ALL
SELECT 2, format('%s %s', o.oprname, o.oid::regoperator), '',
	format(E'### %s\n\n    %s %s %s → %s\n\n%s', o.oprname,
		nullif(o.oprleft, 0)::regtype, o.oprname, o.oprright::regtype, o.oprresult::regtype, m.comment)
FROM member AS m JOIN pg_operator AS o ON m.classid = 'pg_operator'::regclass AND m.objid = o.oid
UNION ALL
SELECT CASE c.relkind WHEN 'v' THEN 4 WHEN 'c' THEN 3 ELSE 5 END, c.relname, '',
	format(E'### %s\n\n%s%s\n\n| column | type |\n|---|---|\n%s', c.relname,
		obj_description(c.oid, 'pg_class'),
		CASE WHEN c.relkind <> 'c' THEN ' ' || pg_temp.usable_by(c.oid, c.relacl) END,
		string_agg(format('| `%s` | %s%s |', a.attname, format_type(a.atttypid, a.atttypmod),
			': ' || col_description(c.oid, a.attnum)), E'\n' ORDER BY a.attnum))
FROM member AS m
	JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
		AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
		OR m.classid = 'pg_type'::regclass AND c.relkind = 'c' AND c.reltype = m.objid
	JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY c.oid, c.relname, c.relkind, c.relacl
UNION ALL
SELECT 6, s.name, '', format('| `%s` | `%s` | %s | %s |', s.name, concat_ws(' ', s.boot_val, s.unit),
	CASE s.context WHEN 'sighup' THEN 'reload' WHEN 'postmaster' THEN 'restart' ELSE s.context END,
	concat_ws(' ', s.short_desc, s.extra_desc))
FROM pg_settings AS s
WHERE s.name LIKE 'event_engine.%' AND s.name <> 'event_engine.debug_point'
UNION ALL
SELECT 7, header.code, '', format('| `%s` | %s | %s |', header.code, header.name, manual.cause)
FROM (SELECT lower(replace(part[1], '_', ' ')),
		'VE' || part[2] || part[3] || part[4]
	FROM regexp_matches(:'errors_h',
		'#define EE_ERRCODE_(\w+)\s+MAKE_SQLSTATE\(''V'',''E'',''(.)'',''(.)'',''(.)''\)', 'g') AS part)
		AS header (name, code)
	JOIN (SELECT part[1], part[2]
		FROM regexp_matches(:'errors_md', '^\| `(VE...)` \| ([^|\n]*) \|', 'gn') AS part)
		AS manual (code, cause) USING (code);

CREATE TEMP VIEW page AS
SELECT 0 AS section, $page$# Reference

Every function, table, view, type, setting and SQLSTATE on one page. `make reference`
makes it from the comments in the catalogs, and the test `operations_reference` holds
it against them. The pages of the rooms say how to use these; [security](security.md)
says what a duty is, [settings](settings.md) and [errors](errors.md) say more of these.$page$ AS text
UNION ALL
SELECT s.nr, concat(E'## ', s.heading, E'\n\n', s.head,
	string_agg(b.text, s.between ORDER BY b.name COLLATE "C", b.more COLLATE "C"))
FROM (VALUES (1, 'Functions and procedures', '', E'\n\n'), (2, 'Operators', '', E'\n\n'),
		(3, 'Types', '', E'\n\n'), (4, 'Views', '', E'\n\n'), (5, 'Tables', '', E'\n\n'),
		(6, 'Settings', E'| setting | default | changed by | what |\n|---|---|---|---|\n', E'\n'),
		(7, 'SQLSTATEs', E'| code | name | cause |\n|---|---|---|\n', E'\n'))
		AS s (nr, heading, head, between)
	JOIN block AS b ON b.section = s.nr
GROUP BY s.nr, s.heading, s.head;

CREATE TEMP TABLE reference AS
SELECT l.nr, l.line
FROM (SELECT string_agg(text, E'\n\n' ORDER BY section) AS text FROM page) AS p,
	string_to_table(p.text, E'\n') WITH ORDINALITY AS l (line, nr);
RESET search_path;
RESET intervalstyle;
RESET datestyle;
RESET timezone;
