-- The view catalog: everything that the catalogs say of the extension, one row
-- (object, what, value) for each of it, without OIDs.  That two installations
-- are the same is asked by comparing the rows.

CREATE TEMP VIEW member AS
	SELECT d.classid, d.objid, i.type || ' ' || i.identity AS object
	FROM pg_depend AS d JOIN pg_extension AS e ON d.refobjid = e.oid,
		pg_identify_object(d.classid, d.objid, d.objsubid) AS i
	WHERE e.extname = 'event_engine' AND d.refclassid = 'pg_extension'::regclass
		AND d.deptype = 'e'
	UNION
	-- what belongs to its tables
	SELECT t.classid, t.objid, i.type || ' ' || i.identity
	FROM pg_depend AS d JOIN pg_extension AS e ON d.refobjid = e.oid
	JOIN pg_depend AS t ON d.classid = 'pg_class'::regclass
			AND t.refclassid = d.classid AND t.refobjid = d.objid
			AND t.deptype IN ('a', 'i') AND t.classid <> 'pg_attrdef'::regclass
			AND t.classid <> 'pg_class'::regclass
		OR d.classid = 'pg_class'::regclass AND t.refclassid = d.classid
			AND t.refobjid = d.objid AND t.deptype = 'a'
			AND t.classid = 'pg_class'::regclass,
		pg_identify_object(t.classid, t.objid, t.objsubid) AS i
	WHERE e.extname = 'event_engine' AND d.refclassid = 'pg_extension'::regclass
		AND d.deptype = 'e'
		-- partitions of the log come with time
		AND NOT EXISTS (SELECT FROM pg_inherits AS p WHERE p.inhrelid = t.objid
			AND t.classid = 'pg_class'::regclass);

-- Privileges in words, in order.
CREATE FUNCTION pg_temp.rights(acl aclitem[]) RETURNS text LANGUAGE sql AS $$
SELECT string_agg(format('%s%s by %s to %s', a.privilege_type,
		CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END, a.grantor::regrole,
		CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END), ', '
	ORDER BY a.grantee::regrole::text COLLATE "C", a.privilege_type COLLATE "C")
FROM aclexplode(acl) AS a
$$;

CREATE TEMP VIEW catalog AS
SELECT m.object, f.what, f.value
FROM member AS m
LEFT JOIN pg_init_privs AS i ON i.classoid = m.classid AND i.objoid = m.objid
	AND i.objsubid = 0,
	LATERAL (VALUES ('comment', obj_description(m.objid, m.classid::regclass::name)),
		('initial privileges', pg_temp.rights(i.initprivs))) AS f (what, value)
UNION ALL
SELECT m.object, f.what, f.value
FROM member AS m JOIN pg_proc AS p
	ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid,
	LATERAL (VALUES
		('definition', CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END),
		('owner', p.proowner::regrole::text),
		('privileges', pg_temp.rights(coalesce(p.proacl,
			acldefault('f', p.proowner))))) AS f (what, value)
UNION ALL
SELECT m.object, f.what, f.value
FROM member AS m JOIN pg_class AS c
	ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
LEFT JOIN pg_sequence AS s ON s.seqrelid = c.oid,
	LATERAL (VALUES ('kind', c.relkind::text),
		('persistence', c.relpersistence::text),
		('options', c.reloptions::text),
		('row security', c.relrowsecurity || ', forced: ' || c.relforcerowsecurity),
		('replica identity', c.relreplident::text),
		('access method', (SELECT a.amname FROM pg_am AS a WHERE a.oid = c.relam)),
		('partitioned by', pg_get_partkeydef(c.oid)),
		('partition of', (SELECT i.inhparent::regclass || ' ' ||
			pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i
			WHERE i.inhrelid = c.oid)),
		('view', CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) END),
		('index', CASE c.relkind WHEN 'i' THEN pg_get_indexdef(c.oid) END),
		('sequence', CASE c.relkind WHEN 'S' THEN row(s.seqtypid::regtype, s.seqstart,
			s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)::text END),
		('owner', c.relowner::regrole::text),
		('privileges', pg_temp.rights(coalesce(c.relacl, acldefault(
			CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)))))
		AS f (what, value)
UNION ALL
-- Columns by their order, whatever was dropped between them.
SELECT m.object, 'column ' || a.attname,
	concat_ws(' ', row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) || '.',
		format_type(a.atttypid, a.atttypmod), 'COLLATE ' || nullif(a.attcollation, 0)::regcollation,
		'STORAGE', a.attstorage, 'COMPRESSION ' || nullif(a.attcompression::text, ''),
		'IDENTITY ' || nullif(a.attidentity::text, ''), 'GENERATED ' || nullif(a.attgenerated::text, ''),
		CASE WHEN a.attnotnull THEN 'NOT NULL' END,
		'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid),
		-- without what a server notes for itself
		(SELECT string_agg(o, ', ') FROM unnest(a.attoptions) AS o WHERE o NOT LIKE 'pg!_%' ESCAPE '!'),
		pg_temp.rights(a.attacl), col_description(a.attrelid, a.attnum))
FROM member AS m JOIN pg_attribute AS a
	ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid
	AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
UNION ALL
SELECT m.object, 'constraint', concat_ws(' ', pg_get_constraintdef(c.oid),
	CASE WHEN NOT c.convalidated THEN 'not validated' END)
FROM member AS m JOIN pg_constraint AS c
	ON m.classid = 'pg_constraint'::regclass AND c.oid = m.objid
UNION ALL
SELECT m.object, 'trigger', pg_get_triggerdef(t.oid) || concat(' enabled: ', t.tgenabled)
FROM member AS m JOIN pg_trigger AS t
	ON m.classid = 'pg_trigger'::regclass AND t.oid = m.objid
UNION ALL
SELECT m.object, 'rule', pg_get_ruledef(r.oid) || concat(' enabled: ', r.ev_enabled)
FROM member AS m JOIN pg_rewrite AS r
	ON m.classid = 'pg_rewrite'::regclass AND r.oid = m.objid AND r.rulename <> '_RETURN'
UNION ALL
SELECT m.object, 'policy', concat_ws(' ', p.polcmd, p.polpermissive,
	p.polroles::regrole[]::text, 'USING ' || pg_get_expr(p.polqual, p.polrelid),
	'WITH CHECK ' || pg_get_expr(p.polwithcheck, p.polrelid))
FROM member AS m JOIN pg_policy AS p
	ON m.classid = 'pg_policy'::regclass AND p.oid = m.objid
UNION ALL
SELECT m.object, f.what, f.value
FROM member AS m JOIN pg_type AS t
	ON m.classid = 'pg_type'::regclass AND t.oid = m.objid,
	LATERAL (VALUES ('owner', t.typowner::regrole::text),
		('privileges', pg_temp.rights(coalesce(t.typacl, acldefault('T', t.typowner)))),
		('domain of', CASE t.typtype WHEN 'd' THEN concat_ws(' ',
			format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault) END),
		('labels', (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
			FROM pg_enum AS e WHERE e.enumtypid = t.oid)),
		('attributes', (SELECT string_agg(concat_ws(' ', a.attname,
				format_type(a.atttypid, a.atttypmod), 'COLLATE ' || nullif(a.attcollation, 0)::regcollation),
				', ' ORDER BY a.attnum)
			FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
			WHERE c.oid = t.typrelid AND c.relkind = 'c' AND a.attnum > 0
				AND NOT a.attisdropped))) AS f (what, value)
UNION ALL
SELECT m.object, 'privileges', pg_temp.rights(n.nspacl)
FROM member AS m JOIN pg_namespace AS n
	ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
UNION ALL
SELECT 'extension', f.what, f.value
FROM pg_extension AS e,
	LATERAL (VALUES ('version', e.extversion), ('relocatable', e.extrelocatable::text),
		('schema', e.extnamespace::regnamespace::text), ('owner', e.extowner::regrole::text))
		AS f (what, value)
WHERE e.extname = 'event_engine'
UNION ALL
SELECT 'extension', 'dumps ' || d.relation::regclass, d.condition
FROM pg_extension AS e, unnest(e.extconfig, e.extcondition) AS d (relation, condition)
WHERE e.extname = 'event_engine';
