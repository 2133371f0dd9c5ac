/* ------------------------------------------------------------------------
 * Operations: retention.
 *
 * A partition of the log is looked at when its newest events have come of age.
 * Where all of them have, it is emptied and dropped; where only those of some
 * patterns have, the others are written anew.  See src/operations/retention.c.
 * ------------------------------------------------------------------------ */

/*
 * set_retention: how long events are kept.
 *
 *	pattern			a name, or a wildcard as of a subscription; # is all of them
 *	keep_for		at least so long, and at most a partition longer; null: for ever
 *	archive_table	they are inserted there before they go; it has the columns of
 *					events, belongs to the extension's owner or a superuser, and
 *					the caller may insert into it
 *	archive_file	they are copied to a file of the server before they go, in
 *					event_engine.operations_archive_directory
 */
CREATE FUNCTION event_engine.set_retention_as(caller oid, pattern text,
		keep_for interval, archive_table regclass, archive_file boolean)
	RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF pattern IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE301',
			MESSAGE = 'pattern must not be null',
			HINT = 'The pattern of all events is ''#''.';
	END IF;
	IF keep_for <= '0' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('events cannot be kept for %s', keep_for),
			HINT = 'Give an interval above 0, or null to keep them for ever.';
	END IF;
	IF archive_table IS NOT NULL THEN
		PERFORM event_engine.check_archive(archive_table);
		IF NOT has_table_privilege(caller, archive_table, 'INSERT') THEN
			RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
				MESSAGE = format('permission denied for table %s', archive_table),
				DETAIL = format('Role %s does not have INSERT on it.',
					caller::regrole);
		END IF;
	END IF;
	IF archive_file
		AND current_setting('event_engine.operations_archive_directory') = '' THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = 'there is no directory for archives of events',
			HINT = 'Set event_engine.operations_archive_directory to one that the server may write to.';
	END IF;
	INSERT INTO event_engine.event_retention AS r
		(pattern, match, keep_for, archive_table, archive_file, set_by)
	VALUES (set_retention_as.pattern,
		event_engine.subscription_match(ARRAY[set_retention_as.pattern], NULL),
		set_retention_as.keep_for, set_retention_as.archive_table,
		COALESCE(set_retention_as.archive_file, false), caller::regrole)
	ON CONFLICT (pattern) DO UPDATE SET keep_for = excluded.keep_for,
		archive_table = excluded.archive_table,
		archive_file = excluded.archive_file, set_by = excluded.set_by,
		set_at = excluded.set_at;
END
$$;
COMMENT ON FUNCTION event_engine.set_retention_as(oid, text, interval, regclass, boolean) IS
	'Does the work of set_retention() for the given role.';

CREATE FUNCTION event_engine.set_retention(pattern text, keep_for interval,
		archive_table regclass DEFAULT NULL,
		archive_file boolean DEFAULT false)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.set_retention(text, interval, regclass, boolean) IS
	'Says how long events of a pattern are kept, and where they go then.';

CREATE FUNCTION event_engine.reset_retention(pattern text) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
WITH gone AS (DELETE FROM event_engine.event_retention AS r
	WHERE r.pattern = reset_retention.pattern RETURNING 1)
SELECT EXISTS (SELECT FROM gone)
$$;
COMMENT ON FUNCTION event_engine.reset_retention(text) IS
	'Takes back what set_retention said of a pattern; false: it had said nothing.';

/*
 * check_archive: upkeep inserts with the rights of the extension's owner, so
 * nobody else may have put triggers on the table or its partitions.
 */
CREATE FUNCTION event_engine.check_archive(archive_table regclass)
	RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	trusted CONSTANT oid[] := ARRAY(SELECT r.oid FROM pg_roles AS r
		WHERE r.rolsuper
		UNION ALL
		SELECT e.extowner FROM pg_extension AS e
		WHERE e.extname = 'event_engine');
	missing text;
	foreign_trigger name;
BEGIN
	PERFORM FROM pg_class AS c
	WHERE c.oid = archive_table AND c.relkind IN ('r', 'p', 'f');
	IF NOT FOUND OR EXISTS (
		SELECT FROM pg_class AS c
		WHERE c.relowner <> ALL (trusted) AND (c.oid = archive_table
			OR c.oid IN (SELECT t.relid
				FROM pg_partition_tree(archive_table) AS t))) THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('%s cannot be an archive of events', archive_table),
			HINT = 'An archive is a table that belongs to a superuser or to the owner of the extension.';
	END IF;
	-- the right to make triggers can be granted
	SELECT t.tgname INTO foreign_trigger
	FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
	WHERE NOT t.tgisinternal AND p.proowner <> ALL (trusted)
		AND (t.tgrelid = archive_table OR t.tgrelid IN (SELECT a.relid
			FROM pg_partition_tree(archive_table) AS a))
	LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('%s cannot be an archive of events', archive_table),
			DETAIL = format('The function of its trigger "%s" belongs to a role that is no superuser, and would run with the rights of upkeep.',
				foreign_trigger),
			HINT = 'Drop the trigger, and revoke TRIGGER on the table.';
	END IF;
	SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) INTO missing
	FROM pg_attribute AS a
	WHERE a.attrelid = 'event_engine.events'::regclass AND a.attnum > 0
		AND NOT EXISTS (SELECT FROM pg_attribute AS b
			WHERE b.attrelid = archive_table AND b.attname = a.attname
				AND b.atttypid = a.atttypid AND NOT b.attisdropped);
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column',
			MESSAGE = format('%s cannot be an archive of events', archive_table),
			DETAIL = format('It lacks columns, or they are of another type: %s.', missing),
			HINT = 'CREATE TABLE ... (LIKE event_engine.events) makes one.';
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_archive(regclass) IS
	'Internal: raises unless events can be archived in the table.';

/* retention_of: the rule for events of this name. */
CREATE FUNCTION event_engine.retention_of(pattern text,
		OUT rule text, OUT keep_for interval, OUT archive_table regclass,
		OUT archive_file boolean)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
SELECT q.rule, q.keep_for, q.archive_table, q.archive_file
FROM (
	SELECT r.pattern::text AS rule, r.keep_for, r.archive_table, r.archive_file,
		r.pattern = retention_of.pattern AS exact,
		length(translate(r.pattern, '*#', '')) AS letters
	FROM event_engine.event_retention AS r
	WHERE event_engine.event_matches(ROW(NULL, NULL, retention_of.pattern,
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		NULL, NULL, NULL)::event_engine.event, r.match)
	UNION ALL
	SELECT NULL, NULLIF(current_setting('event_engine.operations_retention',
		true)::interval, '0'), NULL, false, false, -1) AS q
ORDER BY q.exact DESC, q.letters DESC, q.rule LIMIT 1
$$;
COMMENT ON FUNCTION event_engine.retention_of(text) IS
	'How long events of this name are kept, and by which rule; rule null: event_engine.operations_retention.';

/* What expires_at of event_partitions was reckoned by. */
CREATE FUNCTION event_engine.retention_rules() RETURNS bigint
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT hashtextextended(COALESCE(string_agg(r::text, '' ORDER BY r.pattern), '')
	|| current_setting('event_engine.operations_retention', true), 0)
FROM event_engine.event_retention AS r
$$;
COMMENT ON FUNCTION event_engine.retention_rules() IS
	'Internal: tells one state of the rules of retention from another.';

/* partition_expiry: the patterns of a partition, and until when each is kept. */
CREATE FUNCTION event_engine.partition_expiry(partition regclass)
	RETURNS TABLE (pattern text, keep_for interval, expires_at timestamptz,
		archive_table regclass, archive_file boolean)
	LANGUAGE plpgsql STABLE ROWS 20
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY EXECUTE format('
		WITH RECURSIVE p (pattern) AS (
			(SELECT e.pattern FROM %1$s AS e ORDER BY e.pattern LIMIT 1)
			UNION ALL
			SELECT (SELECT e.pattern FROM %1$s AS e
				WHERE e.pattern > p.pattern ORDER BY e.pattern LIMIT 1)
			FROM p WHERE p.pattern IS NOT NULL)
		SELECT p.pattern::text, r.keep_for,
			CASE WHEN r.keep_for IS NULL THEN ''infinity''
				ELSE $1 + r.keep_for END, r.archive_table, r.archive_file
		FROM p CROSS JOIN LATERAL event_engine.retention_of(p.pattern) AS r
		WHERE p.pattern IS NOT NULL', partition)
	USING (SELECT p.upper FROM event_engine.event_partitions AS p
		WHERE p.relid = partition);
END
$$;
COMMENT ON FUNCTION event_engine.partition_expiry(regclass) IS
	'Internal: the patterns of the events in a partition, and until when each is kept.';

/*
 * reckon_expiry: when each sealed partition is to be looked at, where that is
 * not known or the rules have changed.  One without events goes as if it had
 * some that no rule is for.
 */
CREATE FUNCTION event_engine.reckon_expiry() RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
UPDATE event_engine.event_partitions AS p
SET expiry_rules = r.rules, expires_at = COALESCE(
	(SELECT min(e.expires_at) FROM event_engine.partition_expiry(p.relid) AS e),
	p.upper + (SELECT d.keep_for FROM event_engine.retention_of('') AS d),
	'infinity')
FROM (SELECT event_engine.retention_rules() AS rules) AS r
WHERE p.sealed_at IS NOT NULL AND p.emptied_at IS NULL
	AND p.expiry_rules IS DISTINCT FROM r.rules
	AND EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = p.relid
		AND i.inhparent = 'event_engine.events'::regclass)
$$;
COMMENT ON FUNCTION event_engine.reckon_expiry() IS
	'Internal: notes when each sealed partition expires.';

/*
 * partition_expired: what of a partition is to go now, as a condition for each
 * place that it is archived in.
 *
 *	everything		whatever its age
 */
CREATE FUNCTION event_engine.partition_expired(partition regclass,
		everything boolean)
	RETURNS TABLE (archive_table regclass, archive_file boolean,
		condition text)
	LANGUAGE sql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
SELECT e.archive_table, e.archive_file, string_agg(CASE
	WHEN everything OR e.expires_at IS NOT NULL
		THEN format('e.pattern = %L', e.pattern)
	-- the default partition has no bounds, so its events go by their own time
	ELSE format('(e.pattern = %L AND e.created_at <= %L)', e.pattern,
		clock_timestamp() - e.keep_for) END, ' OR ')
FROM event_engine.partition_expiry(partition) AS e
WHERE everything OR e.expires_at <= clock_timestamp()
	OR (e.expires_at IS NULL AND e.keep_for IS NOT NULL)
GROUP BY e.archive_table, e.archive_file
$$;
COMMENT ON FUNCTION event_engine.partition_expired(regclass, boolean) IS
	'Internal: what of a partition is to go, by where it is archived.';

/*
 * partition_needed_by: who has yet to read events of a partition: a
 * subscription with its reason, or null.  Positions do not tell, since idle
 * subscriptions do not move: the log is read from there on for an event that
 * it wants.
 */
CREATE FUNCTION event_engine.partition_needed_by(partition regclass)
	RETURNS text
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_partition_needed_by';
COMMENT ON FUNCTION event_engine.partition_needed_by(regclass) IS
	'The subscription, pulling client or replay that has yet to read events of a partition; null: nobody has.';

/*
 * expire_partition: let a sealed partition go now, whatever the age of its
 * events, archived as its rules say.
 *
 *	force		though a subscription has yet to read them
 *
 * Raises where somebody needs or uses it.
 */
CREATE FUNCTION event_engine.expire_partition(partition regclass,
		force boolean DEFAULT false)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'ee_sql_expire_partition';
COMMENT ON FUNCTION event_engine.expire_partition(regclass, boolean) IS
	'Lets a sealed partition of the log go now, whatever the age of its events.';

/*
 * stat_retention: the partitions that no longer take events
 *
 *	expires_at	when its first events come of age; infinity: never
 *	state		kept, due (at the next round of upkeep), held (somebody has yet
 *				to read of it), empty (all its events have gone, and its table goes
 *				when nobody publishes for a moment)
 *	needed_by	who, of one that is due
 */
CREATE VIEW event_engine.stat_retention AS
	SELECT p.relid AS partition, p.lower, p.upper, p.expires_at,
		CASE WHEN p.emptied_at IS NOT NULL THEN 'empty'
			WHEN p.expires_at IS NULL
				OR p.expires_at > pg_catalog.clock_timestamp() THEN 'kept'
			WHEN n.needed_by IS NOT NULL THEN 'held'
			ELSE 'due' END AS state,
		n.needed_by, p.emptied_at
	FROM event_engine.event_partitions AS p
	JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = p.relid
		AND i.inhparent = 'event_engine.events'::regclass
	LEFT JOIN LATERAL (
		SELECT event_engine.partition_needed_by(p.relid) AS needed_by
		WHERE p.emptied_at IS NULL
			AND p.expires_at <= pg_catalog.clock_timestamp()) AS n ON true
	WHERE p.sealed_at IS NOT NULL;
COMMENT ON VIEW event_engine.stat_retention IS
	'When the events of each partition expire, and who holds them up.';
