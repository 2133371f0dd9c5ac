/* ------------------------------------------------------------------------
 * The store: changes of ordinary tables, published as events.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.capture_row() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_capture_row';
COMMENT ON FUNCTION event_engine.capture_row() IS
	'Trigger on captured tables: publishes a change as an event. Made by capture_changes().';

/*
 * capture_type_schema: JSON Schema of what to_jsonb() makes of a type.
 *
 * Wide enough for every value that the column can hold, since what does not
 * fit refuses the row: numbers may be NaN, times infinity.
 */
CREATE FUNCTION event_engine.capture_type_schema(type oid, typmod integer,
		nullable boolean)
	RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	base pg_type;
	kind text;
	schema jsonb := jsonb_build_object('description',
		format_type(type, typmod));
BEGIN
	SELECT t.* INTO base FROM pg_type AS t WHERE t.oid = type;
	WHILE base.typtype = 'd' LOOP
		SELECT t.* INTO base FROM pg_type AS t WHERE t.oid = base.typbasetype;
	END LOOP;
	kind := CASE
		WHEN base.oid = 'boolean'::regtype THEN 'boolean'
		WHEN base.oid IN ('smallint'::regtype, 'integer'::regtype,
			'bigint'::regtype) THEN 'integer'
		WHEN base.oid IN ('real'::regtype, 'double precision'::regtype,
			'numeric'::regtype) THEN 'number'
		WHEN base.oid IN ('json'::regtype, 'jsonb'::regtype) THEN NULL
		WHEN base.typcategory = 'A' THEN 'array'
		WHEN base.typtype = 'c' THEN 'object'
		-- a type of somebody's own may say itself what it looks like
		WHEN EXISTS (SELECT FROM pg_cast AS c WHERE c.castsource = base.oid
			AND c.casttarget = 'json'::regtype AND c.castmethod = 'f') THEN NULL
		ELSE 'string' END;

	IF kind = 'number' THEN
		schema := schema || jsonb_build_object('anyOf', jsonb_build_array(
			jsonb_build_object('type', CASE WHEN nullable
				THEN '["number", "null"]'::jsonb ELSE '"number"' END),
			'{"enum": ["NaN", "Infinity", "-Infinity"]}'::jsonb));
	ELSIF kind IS NOT NULL THEN
		schema := schema || jsonb_build_object('type', CASE WHEN nullable
			THEN jsonb_build_array(kind, 'null') ELSE to_jsonb(kind) END);
	END IF;
	IF base.oid = 'uuid'::regtype THEN
		schema := schema || '{"format": "uuid"}';
	END IF;
	RETURN schema;
END
$$;
COMMENT ON FUNCTION event_engine.capture_type_schema(oid, integer, boolean) IS
	'Internal: JSON Schema of the values of a type.';

/*
 * capture_schema: JSON Schema of the payload of captured changes.
 *
 * No column is required and others are allowed, so that a column can be added
 * or dropped without the table refusing writes.  Only a key is never null.
 */
CREATE FUNCTION event_engine.capture_schema("table" regclass, operation text,
		columns text[], key text[])
	RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	row_schema jsonb;
	key_schema jsonb;
	properties jsonb;
BEGIN
	IF operation = 'truncate' THEN
		properties := '{}';
	ELSE
		SELECT jsonb_build_object('type', 'object', 'properties',
				COALESCE(jsonb_object_agg(a.attname,
					event_engine.capture_type_schema(a.atttypid, a.atttypmod,
						a.attname <> ALL (key) OR NOT a.attnotnull))
					FILTER (WHERE columns IS NULL OR a.attname = ANY (columns)),
					'{}')),
			jsonb_build_object('type', 'object', 'properties',
				COALESCE(jsonb_object_agg(a.attname,
					event_engine.capture_type_schema(a.atttypid, a.atttypmod,
						NOT a.attnotnull))
					FILTER (WHERE a.attname = ANY (key)), '{}'))
		INTO row_schema, key_schema
		FROM pg_attribute AS a
		WHERE a.attrelid = "table" AND a.attnum > 0 AND NOT a.attisdropped
			AND a.attgenerated <> 'v';

		properties := jsonb_build_object('key', key_schema);
		IF operation IN ('insert', 'update') THEN
			properties := properties || jsonb_build_object('new', row_schema);
		END IF;
		IF operation IN ('update', 'delete') THEN
			properties := properties || jsonb_build_object('old', row_schema);
		END IF;
		IF operation = 'update' THEN
			properties := properties
				|| '{"changed": {"type": "array", "items": {"type": "string"}, "minItems": 1}}';
		END IF;
	END IF;
	RETURN jsonb_build_object(
		'$comment', 'derived by event_engine.capture_changes',
		'type', 'object',
		'properties', properties,
		'required', (SELECT COALESCE(jsonb_agg(k.name), '[]')
			FROM jsonb_object_keys(properties) AS k (name)));
END
$$;
COMMENT ON FUNCTION event_engine.capture_schema(regclass, text, text[], text[]) IS
	'Internal: JSON Schema of the payload of captured changes of a table.';

/* The columns that identify a row: primary key, or replica identity's index. */
CREATE FUNCTION event_engine.capture_key("table" regclass) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT COALESCE((
	SELECT array_agg(a.attname::text ORDER BY k.position)
	FROM (SELECT i.* FROM pg_index AS i
		WHERE i.indrelid = "table" AND i.indisvalid
			AND (i.indisprimary OR i.indisreplident)
		ORDER BY i.indisprimary DESC LIMIT 1) AS i
	CROSS JOIN LATERAL unnest(i.indkey::smallint[])
		WITH ORDINALITY AS k (number, position)
	JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
	WHERE k.position <= i.indnkeyatts), '{}')
$$;
COMMENT ON FUNCTION event_engine.capture_key(regclass) IS
	'Internal: the columns that identify a row of a table.';

/* Registers what is missing, and brings what was derived up to date. */
CREATE FUNCTION event_engine.register_captured(caller oid, "table" regclass,
		pattern text, operation text, schema jsonb, register boolean)
	RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	definition event_engine.event_definitions;
	version text;
BEGIN
	SELECT d.* INTO definition FROM event_engine.event_definitions AS d
		WHERE d.pattern = register_captured.pattern;
	IF definition.id IS NOT NULL AND (NOT register
		OR definition.payload_schema IS NOT DISTINCT FROM schema
		OR definition.payload_schema ->> '$comment'
			IS DISTINCT FROM schema ->> '$comment') THEN
		RETURN;
	END IF;
	IF NOT register THEN
		RAISE EXCEPTION USING ERRCODE = 'VE001',
			MESSAGE = format('unknown event pattern "%s"', pattern),
			DETAIL = format('Changes of table %s would be published under it.',
				"table"),
			HINT = 'Register it with event_engine.register_event_definition(), or leave out register => false.';
	END IF;
	IF NOT (SELECT bool_and(has_function_privilege(caller, p.oid, 'EXECUTE'))
		FROM pg_proc AS p
		WHERE p.pronamespace = 'event_engine'::regnamespace
			AND p.proname = 'register_event_definition') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('permission denied to register event pattern "%s"',
				pattern),
			HINT = 'Have it registered by who may, as event_engine.capture_schema() says, and pass register => false.';
	END IF;
	IF definition.id IS NULL THEN
		PERFORM event_engine.register_event_definition(pattern, schema,
			name => format('%s %s', "table", split_part(pattern, '.', -1)),
			description => format('A row of table %s was %s.', "table",
				split_part(pattern, '.', -1)),
			source_types => '{integration}');
	ELSE
		version := format('%s.%s.0', split_part(definition.version, '.', 1),
			split_part(definition.version, '.', 2)::integer + 1);
		PERFORM event_engine.update_event_definition(definition.event_id,
			payload_schema => schema, version => version,
			expected_revision => definition.revision);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.register_captured(oid, regclass, text, text, jsonb, boolean) IS
	'Internal: sees to it that captured changes have a definition.';

CREATE FUNCTION event_engine.capture_changes_as(caller oid, "table" regclass,
		pattern_prefix text, operations text[], columns text[], key text[],
		register boolean)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	relation pg_class;
	schema name;
	prefix text;
	operation text;
	unknown text;
	argument jsonb;
	word text;
BEGIN
	relation := event_engine.own_table(caller, "table");
	SELECT n.nspname INTO schema FROM pg_namespace AS n
		WHERE n.oid = relation.relnamespace;
	IF relation.relkind NOT IN ('r', 'p', 'f') THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('"%s" is not a table', relation.relname);
	END IF;
	-- What is checked from here on stays so, and has the name that it has.
	IF relation.relkind <> 'f' THEN
		EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', "table");
		IF to_regclass("table"::text) IS DISTINCT FROM "table" THEN
			RAISE EXCEPTION USING ERRCODE = 'object_in_use',
				MESSAGE = format('table %s is being renamed', "table");
		END IF;
		relation := event_engine.own_table(caller, "table");
	END IF;
	IF schema IN ('event_engine', 'pg_catalog', 'information_schema') THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('changes of table %s cannot be captured', "table"),
			DETAIL = format('It is in schema %s.', schema);
	END IF;
	SELECT c.relation::text INTO unknown
		FROM event_engine.captured_tables AS c
		WHERE c.relation IN (SELECT a.relid FROM pg_partition_ancestors("table") AS a)
			AND c.relation <> "table"
		LIMIT 1;
	IF unknown IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('changes of table %s are captured already', "table"),
			DETAIL = format('It is a partition of table %s.', unknown);
	END IF;

	FOREACH operation IN ARRAY COALESCE(operations, '{}') LOOP
		IF operation IS NULL OR operation NOT IN
			('insert', 'update', 'delete', 'truncate') THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
				MESSAGE = format('unknown operation %s',
					COALESCE('"' || operation || '"', 'null')),
				HINT = 'An operation is one of insert, update, delete, truncate.';
		END IF;
	END LOOP;
	IF COALESCE(cardinality(operations), 0) = 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'operations must not be empty',
			HINT = 'event_engine.stop_capturing() ends it.';
	END IF;
	SELECT c.name INTO unknown
		FROM unnest(columns || key) AS c (name)
		WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
			WHERE a.attrelid = "table" AND a.attname = c.name
				AND a.attnum > 0 AND NOT a.attisdropped
				AND a.attgenerated <> 'v')
		LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column',
			MESSAGE = format('table %s has no column %s', "table",
				COALESCE('"' || unknown || '"', 'null'));
	END IF;
	IF cardinality(columns) = 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'columns must not be empty',
			HINT = 'Null captures all of them.';
	END IF;

	prefix := COALESCE(pattern_prefix,
		CASE WHEN schema <> 'public'
			THEN regexp_replace(schema, '[^A-Za-z0-9_-]', '_', 'g') || '.'
			ELSE '' END
		|| regexp_replace(relation.relname, '[^A-Za-z0-9_-]', '_', 'g'));
	PERFORM event_engine.check_event_pattern(prefix);
	FOREACH operation IN ARRAY operations LOOP
		word := prefix || CASE operation WHEN 'insert' THEN '.inserted'
			WHEN 'update' THEN '.updated' WHEN 'delete' THEN '.deleted'
			ELSE '.truncated' END;
		PERFORM event_engine.register_captured(caller, "table", word,
			operation, event_engine.capture_schema("table", operation, columns,
				COALESCE(key, event_engine.capture_key("table"))),
			COALESCE(register, true));
	END LOOP;

	argument := jsonb_build_object('prefix', prefix, 'table', "table"::oid::bigint);
	IF columns IS NOT NULL THEN
		argument := argument || jsonb_build_object('columns', columns,
			'columnNumbers', event_engine.capture_numbers("table", columns));
	END IF;
	IF key IS NOT NULL THEN
		argument := argument || jsonb_build_object('key', key,
			'keyNumbers', event_engine.capture_numbers("table", key));
	END IF;

	PERFORM event_engine.drop_capture("table");
	-- Triggers fire by name: what others do because of a change comes after it.
	SELECT string_agg(upper(o.name), ' OR ' ORDER BY o.name) INTO word
		FROM unnest(operations) AS o (name) WHERE o.name <> 'truncate';
	IF word IS NOT NULL THEN
		EXECUTE format('CREATE TRIGGER "00_event_engine_capture" AFTER %s ON %s FOR EACH ROW EXECUTE FUNCTION event_engine.capture_row(%L)',
			word, "table", argument);
	END IF;
	IF 'truncate' = ANY (operations) THEN
		EXECUTE format('CREATE TRIGGER "00_event_engine_capture_truncate" AFTER TRUNCATE ON %s EXECUTE FUNCTION event_engine.capture_row(%L)',
			"table", argument);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.capture_changes_as(oid, regclass, text, text[], text[], text[], boolean) IS
	'Does the work of capture_changes() for the given role.';

/* The table, if it is the caller's. */
CREATE FUNCTION event_engine.own_table(caller oid, "table" regclass)
	RETURNS pg_class
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	relation pg_class;
BEGIN
	SELECT c.* INTO relation FROM pg_class AS c WHERE c.oid = "table";
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_table',
			MESSAGE = 'table must not be null, and must exist';
	END IF;
	IF NOT pg_has_role(caller, relation.relowner, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of table %s', relation.relname);
	END IF;
	RETURN relation;
END
$$;
COMMENT ON FUNCTION event_engine.own_table(oid, regclass) IS
	'Internal: raises unless the role owns the table.';

CREATE FUNCTION event_engine.capture_numbers("table" regclass, names text[])
	RETURNS smallint[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT COALESCE(array_agg(a.attnum ORDER BY n.position), '{}')
FROM unnest(names) WITH ORDINALITY AS n (name, position)
JOIN pg_attribute AS a ON a.attrelid = "table" AND a.attname = n.name
$$;
COMMENT ON FUNCTION event_engine.capture_numbers(regclass, text[]) IS
	'Internal: numbers of columns.';

/*
 * capture_changes: publish each change of a table as an event, in the
 * transaction that makes it.
 *
 *	table			yours
 *	pattern_prefix	events are <prefix>.inserted, .updated, .deleted,
 *					.truncated; the table's name unless given, with its schema
 *					unless that is public
 *	operations		which of insert, update, delete, truncate
 *	columns			captured; null is all, also those added later
 *	key				columns that identify a row and make the partition key;
 *					null is the primary key
 *	register		register definitions that are missing, and bring those that
 *					were derived earlier up to date with the table
 *
 * An update that changes no captured column publishes nothing.  An event that
 * is not valid refuses the change.  Again for the same table: the new way
 * replaces the old one.
 */
CREATE FUNCTION event_engine.capture_changes("table" regclass,
		pattern_prefix text DEFAULT NULL,
		operations text[] DEFAULT '{insert,update,delete}',
		columns text[] DEFAULT NULL, key text[] DEFAULT NULL,
		register boolean DEFAULT true)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.capture_changes(regclass, text, text[], text[], text[], boolean) IS
	'Publishes each change of a table as an event, in the transaction that makes it.';

CREATE FUNCTION event_engine.drop_capture("table" regclass) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	trigger name;
	n integer := 0;
BEGIN
	FOR trigger IN
		SELECT t.tgname FROM pg_trigger AS t
		WHERE t.tgrelid = "table" AND t.tgparentid = 0
			AND t.tgfoid = 'event_engine.capture_row()'::regprocedure
	LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', trigger, "table");
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.drop_capture(regclass) IS
	'Internal: removes the triggers of a captured table.';

CREATE FUNCTION event_engine.stop_capturing_as(caller oid, "table" regclass)
	RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.own_table(caller, "table");
	RETURN event_engine.drop_capture("table") > 0;
END
$$;
COMMENT ON FUNCTION event_engine.stop_capturing_as(oid, regclass) IS
	'Does the work of stop_capturing() for the given role.';

CREATE FUNCTION event_engine.stop_capturing("table" regclass) RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.stop_capturing(regclass) IS
	'Ends capture_changes() of a table; false when there was nothing to end. Definitions and events stay.';

/*
 * captured_tables: what capture_changes() has set up, from the triggers.
 */
CREATE VIEW event_engine.captured_tables AS
	SELECT t.tgrelid::regclass AS relation,
		a.argument ->> 'prefix' AS pattern_prefix,
		array_agg(o.name ORDER BY o.bit) AS operations,
		a.argument -> 'columns' AS columns,
		a.argument -> 'key' AS key,
		bool_and(t.tgenabled <> 'D') AS enabled
	FROM pg_catalog.pg_trigger AS t
	CROSS JOIN LATERAL (SELECT pg_catalog.convert_from(
		pg_catalog.substr(t.tgargs, 1, pg_catalog.length(t.tgargs) - 1),
		pg_catalog.getdatabaseencoding())::jsonb) AS a (argument)
	JOIN (VALUES (4, 'insert'), (16, 'update'), (8, 'delete'),
		(32, 'truncate')) AS o (bit, name) ON t.tgtype & o.bit <> 0
	WHERE t.tgfoid = 'event_engine.capture_row()'::pg_catalog.regprocedure
		AND t.tgparentid = 0 AND t.tgnargs = 1
	GROUP BY t.tgrelid, a.argument;
COMMENT ON VIEW event_engine.captured_tables IS
	'Tables whose changes are published, and how.';
