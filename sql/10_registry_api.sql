/* ---- Checks ---- */

CREATE FUNCTION event_engine.check_event_pattern(pattern text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_check_event_pattern';
COMMENT ON FUNCTION event_engine.check_event_pattern(text) IS
	'Returns a name that a definition may have as its pattern, raises an error that says what is wrong otherwise.';

CREATE FUNCTION event_engine.compare_versions(a text, b text) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_compare_versions';
COMMENT ON FUNCTION event_engine.compare_versions(text, text) IS
	'-1, 0 or 1: the order of two semantic versions.';

CREATE FUNCTION event_engine.check_payload_schema(
	payload_schema jsonb,
	options jsonb DEFAULT '{}',
	examples jsonb DEFAULT '[]')
	RETURNS text[]
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'ee_sql_check_payload_schema';
COMMENT ON FUNCTION event_engine.check_payload_schema(jsonb, jsonb, jsonb) IS
	'Compiles a schema and validates examples against it; returns the URIs of the documents that it reaches, raises what is wrong.';

/*
 * check_owner: raises unless a role has the privileges of the owner.
 *
 *	what	of what, as people read it: subscription, workflow
 *	name	and which one
 */
CREATE FUNCTION event_engine.check_owner(caller oid, owner regrole,
		what text, name text)
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT pg_has_role(caller, owner::oid, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of %s "%s"', what, name),
			DETAIL = format('It belongs to role %s.', owner);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_owner(oid, regrole, text, text) IS
	'Internal: raises unless a role has the privileges of an owner.';

/*
 * definition_rank: which of two versions is the current one: the higher one,
 * except that a draft never comes before one that may be published under.
 * Positive when the first comes before the second.
 */
CREATE FUNCTION event_engine.definition_rank(
	version_a text, status_a text, version_b text, status_b text)
	RETURNS integer
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE
	WHEN (status_a = 'draft') <> (status_b = 'draft')
		THEN CASE WHEN status_a = 'draft' THEN -1 ELSE 1 END
	ELSE event_engine.compare_versions(version_a, version_b)
END
$$;
COMMENT ON FUNCTION event_engine.definition_rank(text, text, text, text) IS
	'Internal: positive when the first version is to be the current one rather than the second.';

/*
 * check_definition: what tables and C do not check, all in one place.
 */
CREATE FUNCTION event_engine.check_definition(
	source_types text[], ui_metadata jsonb, status text)
	RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	word text;
BEGIN
	FOREACH word IN ARRAY coalesce(source_types, '{}') LOOP
		IF word IS NULL OR word NOT IN
			('workflow', 'task', 'integration', 'external') THEN
			RAISE EXCEPTION 'unknown source type %',
					coalesce('"' || word || '"', 'null')
				USING ERRCODE = 'VE006', HINT =
				'A source type is one of workflow, task, integration, external.';
		END IF;
	END LOOP;

	IF status NOT IN ('draft', 'active', 'deprecated') THEN
		RAISE EXCEPTION 'unknown status "%"', status
			USING ERRCODE = 'VE006',
			HINT = 'A status is one of draft, active, deprecated.';
	END IF;

	IF ui_metadata IS NULL THEN
		RETURN;
	END IF;
	IF jsonb_typeof(ui_metadata) <> 'object' THEN
		RAISE EXCEPTION 'ui_metadata must be an object'
			USING ERRCODE = 'VE006',
			DETAIL = 'It is of type ' || jsonb_typeof(ui_metadata) || '.';
	END IF;
	FOREACH word IN ARRAY '{icon,color,category,priority}'::text[] LOOP
		IF jsonb_typeof(ui_metadata -> word) NOT IN ('string', 'null') THEN
			RAISE EXCEPTION 'ui_metadata.% must be a string', word
				USING ERRCODE = 'VE006', DETAIL =
				'It is of type ' || jsonb_typeof(ui_metadata -> word) || '.';
		END IF;
	END LOOP;
	IF ui_metadata ->> 'category' = '' THEN
		RAISE EXCEPTION 'ui_metadata.category must not be empty'
			USING ERRCODE = 'VE006';
	END IF;
	IF ui_metadata ->> 'priority' NOT IN ('high', 'medium', 'low') THEN
		RAISE EXCEPTION 'unknown ui_metadata.priority "%"',
				ui_metadata ->> 'priority'
			USING ERRCODE = 'VE006',
			HINT = 'A priority here is one of high, medium, low.';
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_definition(text[], jsonb, text) IS
	'Internal: raises what is wrong with the parts of a definition.';

/*
 * check_definition_schema: check_payload_schema for a definition that is about
 * to be stored: nobody replaces a document that it reaches until it is, for
 * whoever replaces one must see the definition, or be seen by it.
 */
CREATE FUNCTION event_engine.check_definition_schema(
	payload_schema jsonb, options jsonb, examples jsonb)
	RETURNS text[]
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	uris text[];
BEGIN
	uris := event_engine.check_payload_schema(payload_schema, options, examples);
	IF cardinality(uris) = 0 THEN
		RETURN uris;
	END IF;
	PERFORM FROM event_engine.event_schemas AS o
	WHERE o.uri = ANY (uris)
	ORDER BY o.uri COLLATE "C" FOR SHARE;
	/* what was locked may be newer than what was read */
	RETURN event_engine.check_payload_schema(payload_schema, options, examples);
END
$$;
COMMENT ON FUNCTION event_engine.check_definition_schema(jsonb, jsonb, jsonb) IS
	'Internal: check_payload_schema that keeps the documents as they are until the transaction ends.';

/*
 * definition_options: options as given, with what stays: what is sensitive is
 * not forgotten by a version that does not speak of it.
 */
CREATE FUNCTION event_engine.definition_options(current jsonb, given jsonb)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN jsonb_typeof(given) = 'object'
	THEN coalesce((SELECT jsonb_object_agg(o.key, o.value)
		FROM jsonb_each(current) AS o
		WHERE o.key IN ('compatibility', 'sensitive', 'sensitive_subject')),
		'{}') || given
	ELSE given END
$$;
COMMENT ON FUNCTION event_engine.definition_options(jsonb, jsonb) IS
	'Internal: options of a version, with compatibility and what is sensitive as of the current one unless given.';

/* ---- Finding ---- */

/*
 * find_definition: the id of the definition that goes by an id, event_id or
 * pattern, in this order; null when there is none.
 */
CREATE FUNCTION event_engine.find_definition(id_or_pattern text) RETURNS uuid
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT d.id
FROM (
	SELECT 1 AS rank, d.id FROM event_engine.event_definitions AS d
	WHERE d.id = CASE
		WHEN id_or_pattern ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
		THEN id_or_pattern::uuid END
	UNION ALL
	SELECT 2, d.id FROM event_engine.event_definitions AS d
	WHERE d.event_id = id_or_pattern
	UNION ALL
	SELECT 3, d.id FROM event_engine.event_definitions AS d
	WHERE d.pattern = id_or_pattern) AS d
ORDER BY d.rank LIMIT 1
$$;
COMMENT ON FUNCTION event_engine.find_definition(text) IS
	'Internal: the definition with this id, event_id or pattern.';

/*
 * get_event_definition: one definition by id, event_id or pattern, in its
 * current version or the one given.  No row when there is none.
 */
CREATE FUNCTION event_engine.get_event_definition(
	id_or_pattern text, version text DEFAULT NULL)
	RETURNS SETOF event_engine.event_definitions
	LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	d event_engine.event_definitions;
	v event_engine.event_definition_versions;
BEGIN
	SELECT o.* INTO d FROM event_engine.event_definitions AS o
	WHERE o.id = event_engine.find_definition(id_or_pattern);
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF version IS DISTINCT FROM d.version AND version IS NOT NULL THEN
		SELECT o.* INTO v FROM event_engine.event_definition_versions AS o
		WHERE o.definition_id = d.id
			AND o.version = get_event_definition.version;
		IF NOT FOUND THEN
			RETURN;
		END IF;
		d.version := v.version;
		d.source_types := v.source_types;
		d.payload_schema := v.payload_schema;
		d.examples := v.examples;
		d.status := v.status;
		d.options := v.options;
		d.schema_uris := v.schema_uris;
		d.created_at := v.created_at;
		d.updated_at := v.updated_at;
	END IF;
	RETURN NEXT d;
END
$$;
COMMENT ON FUNCTION event_engine.get_event_definition(text, text) IS
	'The definition with this id, event_id or pattern, in its current version or the one given; no row when there is none.';

/*
 * list_event_definitions: definitions that fit a filter, ordered by pattern.
 *
 *	status			one, or an array of them
 *	category		ui_metadata.category
 *	source_type		definitions that a source of this type may emit
 *	pattern_prefix	beginning of the pattern, as it stands
 *	text			found in event_id, name, pattern or description, whatever case
 *	limit, offset	page
 */
CREATE FUNCTION event_engine.list_event_definitions(filter jsonb DEFAULT '{}')
	RETURNS SETOF event_engine.event_definitions
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	word text;
	kind text;
BEGIN
	filter := coalesce(filter, '{}');
	IF jsonb_typeof(filter) <> 'object' THEN
		RAISE EXCEPTION 'filter must be an object'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	FOR word, kind IN
		SELECT f.key, jsonb_typeof(f.value) FROM jsonb_each(filter) AS f
		ORDER BY f.key
	LOOP
		IF word NOT IN ('status', 'category', 'source_type', 'pattern_prefix',
				'text', 'limit', 'offset') THEN
			RAISE EXCEPTION 'unknown key "%" in filter', word
				USING ERRCODE = 'invalid_parameter_value', HINT =
				'Keys are status, category, source_type, pattern_prefix, text, limit, offset.';
		END IF;
		IF kind <> 'null'
			AND kind <> (CASE WHEN word IN ('limit', 'offset') THEN 'number'
				ELSE 'string' END)
			AND NOT (word = 'status' AND kind = 'array') THEN
			RAISE EXCEPTION 'filter.% must not be of type %', word, kind
				USING ERRCODE = 'invalid_parameter_value';
		END IF;
	END LOOP;

	RETURN QUERY
		SELECT d.* FROM event_engine.event_definitions AS d
		WHERE (filter ->> 'status' IS NULL
				OR filter -> 'status' @> to_jsonb(d.status))
			AND (filter ->> 'category' IS NULL
				OR d.ui_metadata ->> 'category' = filter ->> 'category')
			AND (filter ->> 'source_type' IS NULL
				OR d.source_types = '[]'
				OR d.source_types @> (filter -> 'source_type'))
			AND (filter ->> 'pattern_prefix' IS NULL
				OR starts_with(d.pattern, filter ->> 'pattern_prefix'))
			AND (filter ->> 'text' IS NULL
				OR position(lower(filter ->> 'text') IN
					lower(concat_ws(E'\n', d.event_id, d.name, d.pattern,
						d.description))) > 0)
		ORDER BY d.pattern COLLATE "C"
		LIMIT (filter ->> 'limit')::bigint
		OFFSET coalesce((filter ->> 'offset')::bigint, 0);
END
$$;
COMMENT ON FUNCTION event_engine.list_event_definitions(jsonb) IS
	'Definitions by pattern; filter keys: status, category, source_type, pattern_prefix, text, limit, offset.';

/* ---- Registering ---- */

/*
 * place_definition_version: store a version of a definition whose row the
 * caller has locked; d carries the new name, description and ui_metadata.
 * Makes it current if that is its rank.  Returns the new revision.
 * Writes event_definitions, event_definition_versions.
 */
CREATE FUNCTION event_engine.place_definition_version(
	d event_engine.event_definitions,
	v event_engine.event_definition_versions)
	RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	new_revision integer;
BEGIN
	IF v.version = d.version OR
		event_engine.definition_rank(v.version, v.status,
			d.version, d.status) > 0 THEN
		UPDATE event_engine.event_definitions AS o
		SET name = d.name,
			description = d.description,
			ui_metadata = d.ui_metadata,
			version = v.version,
			source_types = v.source_types,
			payload_schema = v.payload_schema,
			examples = v.examples,
			status = v.status,
			options = v.options,
			schema_uris = v.schema_uris
		WHERE o.id = d.id
		RETURNING o.revision INTO new_revision;
	ELSE
		INSERT INTO event_engine.event_definition_versions AS o
			(definition_id, version, source_types, payload_schema, examples,
			 status, options, schema_uris)
		VALUES (d.id, v.version, v.source_types, v.payload_schema, v.examples,
			v.status, v.options, v.schema_uris)
		ON CONFLICT ON CONSTRAINT event_definition_versions_pkey DO UPDATE
			SET source_types = excluded.source_types,
				payload_schema = excluded.payload_schema,
				examples = excluded.examples,
				status = excluded.status,
				options = excluded.options,
				schema_uris = excluded.schema_uris,
				updated_at = clock_timestamp();
		/* somebody who edits the definition must notice */
		UPDATE event_engine.event_definitions AS o
		SET name = d.name,
			description = d.description,
			ui_metadata = d.ui_metadata,
			updated_at = clock_timestamp()
		WHERE o.id = d.id
		RETURNING o.revision INTO new_revision;
	END IF;
	RETURN new_revision;
END
$$;
COMMENT ON FUNCTION event_engine.place_definition_version(
	event_engine.event_definitions, event_engine.event_definition_versions) IS
	'Internal: stores a version of a definition and makes it current if that is its rank.';

/*
 * register_event_definition: say what events of a pattern look like.
 *
 *	pattern			letters, digits, _ and -, in segments separated by . or :
 *	payload_schema	JSON Schema; null accepts any payload
 *	version			semantic version
 *	event_id		unique business name; the pattern itself unless given
 *	name			for people; the event_id unless given
 *	source_types	who may emit it; null is anybody
 *	examples		array of payloads, each valid
 *	ui_metadata		{"icon", "color", "category", "priority": high|medium|low}
 *	status			draft | active (unless given) | deprecated
 *	options			{"assert_formats": boolean, "assert_content": boolean,
 *					"compatibility": text, "dialect": text, "strict": boolean,
 *					"sensitive": [path], "sensitive_subject": path};
 *					compatibility and what is sensitive stay as the current
 *					version has them unless given
 *
 * A pattern and version that are there already with the same content: nothing
 * happens; with other content: an error.  A version that is not there yet is
 * added, and is the current one from now on if it is the highest and no draft.
 * Returns the event_id.  Writes event_definitions, event_definition_versions.
 */
CREATE FUNCTION event_engine.register_event_definition(
	pattern text,
	payload_schema jsonb DEFAULT NULL,
	version text DEFAULT '1.0.0',
	event_id text DEFAULT NULL,
	name text DEFAULT NULL,
	description text DEFAULT NULL,
	source_types text[] DEFAULT NULL,
	examples jsonb DEFAULT NULL,
	ui_metadata jsonb DEFAULT NULL,
	status text DEFAULT NULL,
	options jsonb DEFAULT NULL)
	RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_variable
DECLARE
	d event_engine.event_definitions;
	v event_engine.event_definition_versions;
	uris text[];
	other text;
	differs text;
	locked boolean := false;
BEGIN
	IF pattern IS NULL THEN
		RAISE EXCEPTION 'pattern must not be null' USING ERRCODE = 'VE301';
	END IF;
	PERFORM event_engine.check_event_pattern(pattern);
	version := coalesce(version, '1.0.0');
	PERFORM event_engine.compare_versions(version, version);
	PERFORM event_engine.check_definition(source_types, ui_metadata, status);
	IF event_id = '' OR char_length(event_id) > 255 THEN
		RAISE EXCEPTION 'event_id must have 1 to 255 characters'
			USING ERRCODE = 'VE006';
	END IF;

	LOOP
		SELECT o.* INTO d FROM event_engine.event_definitions AS o
		WHERE o.pattern = pattern;

		IF d.id IS NULL THEN
			uris := event_engine.check_definition_schema(payload_schema,
				coalesce(options, '{}'), coalesce(examples, '[]'));

			/* a name must not lead to two definitions */
			SELECT o.pattern INTO other
			FROM event_engine.event_definitions AS o
			WHERE o.event_id IN (pattern, coalesce(event_id, pattern))
				OR o.pattern = event_id
			LIMIT 1;
			IF FOUND AND other <> pattern THEN
				RAISE EXCEPTION 'event_id "%" is taken',
						coalesce(event_id, pattern)
					USING ERRCODE = 'VE006',
					DETAIL = format('It names the definition of pattern "%s".', other),
					HINT = 'Choose another event_id.';
			END IF;

			INSERT INTO event_engine.event_definitions AS o
				(event_id, name, description, pattern, version, source_types,
				 payload_schema, examples, ui_metadata, status, options,
				 schema_uris)
			VALUES (coalesce(event_id, pattern),
				coalesce(name, event_id, pattern), description, pattern,
				version, to_jsonb(coalesce(source_types, '{}')),
				payload_schema, coalesce(examples, '[]'),
				coalesce(ui_metadata, '{}'), coalesce(status, 'active'),
				coalesce(options, '{}'), uris)
			ON CONFLICT DO NOTHING
			RETURNING o.* INTO d;
			IF d.id IS NULL THEN
				CONTINUE;		/* another session was quicker */
			END IF;
			INSERT INTO event_engine.event_definition_versions
				(definition_id, version, source_types, payload_schema,
				 examples, status, options, schema_uris)
			VALUES (d.id, d.version, d.source_types, d.payload_schema,
				d.examples, d.status, d.options, d.schema_uris);
			RETURN d.event_id;
		END IF;

		SELECT o.* INTO v FROM event_engine.event_definition_versions AS o
		WHERE o.definition_id = d.id AND o.version = version;
		IF v.version IS NULL AND d.version = version THEN
			v.version := d.version;		/* inserted by hand */
			v.source_types := d.source_types;
			v.payload_schema := d.payload_schema;
			v.examples := d.examples;
			v.status := d.status;
			v.options := d.options;
		END IF;

		IF v.version IS NULL AND NOT locked THEN
			PERFORM FROM event_engine.event_definitions AS o
			WHERE o.id = d.id FOR NO KEY UPDATE;
			locked := FOUND;
			CONTINUE;			/* and look again, now that it stands still */
		END IF;
		EXIT;
	END LOOP;

	IF event_id <> d.event_id THEN
		RAISE EXCEPTION 'event pattern "%" is registered as "%"',
				pattern, d.event_id
			USING ERRCODE = 'VE006',
			DETAIL = format('Its event_id cannot be changed to "%s".', event_id);
	END IF;

	IF v.version IS NOT NULL THEN
		differs := concat_ws(', ',
			CASE WHEN payload_schema IS DISTINCT FROM v.payload_schema
				THEN 'payload_schema' END,
			CASE WHEN to_jsonb(source_types) <> v.source_types
				THEN 'source_types' END,
			CASE WHEN examples <> v.examples THEN 'examples' END,
			CASE WHEN options <> CASE WHEN options ? 'compatibility'
				THEN v.options ELSE v.options - 'compatibility' END
				THEN 'options' END,
			CASE WHEN status <> v.status THEN 'status' END,
			CASE WHEN v.version = d.version AND name <> d.name
				THEN 'name' END,
			CASE WHEN v.version = d.version
				AND description IS DISTINCT FROM d.description
				AND description IS NOT NULL THEN 'description' END,
			CASE WHEN v.version = d.version AND ui_metadata <> d.ui_metadata
				THEN 'ui_metadata' END);
		IF differs <> '' THEN
			RAISE EXCEPTION 'version % of event pattern "%" is already registered with other content',
					version, pattern
				USING ERRCODE = 'VE006',
				DETAIL = format('What differs: %s.', differs),
				HINT = 'Register the new content as a higher version, or call event_engine.update_event_definition().';
		END IF;
		RETURN d.event_id;
	END IF;

	d.name := coalesce(name, d.name);
	d.description := coalesce(description, d.description);
	d.ui_metadata := coalesce(ui_metadata, d.ui_metadata);
	v.version := version;
	v.source_types := to_jsonb(coalesce(source_types, '{}'));
	v.payload_schema := payload_schema;
	v.examples := coalesce(examples, '[]');
	v.status := coalesce(status, 'active');
	v.options := event_engine.definition_options(d.options,
		coalesce(options, '{}'));
	v.schema_uris := event_engine.check_definition_schema(v.payload_schema,
		v.options, v.examples);
	PERFORM event_engine.check_compatibility(d, v);
	PERFORM event_engine.place_definition_version(d, v);
	RETURN d.event_id;
END
$$;
COMMENT ON FUNCTION event_engine.register_event_definition(
	text, jsonb, text, text, text, text, text[], jsonb, jsonb, text, jsonb) IS
	'Says what events of a pattern look like, or adds a version; returns the event_id. The same again changes nothing.';

/*
 * update_event_definition: change a definition; what is null stays.
 *
 *	event_id			its event_id, pattern or id
 *	version				null is the current one; one that is not there yet is
 *						added, taking from the current one what is not given;
 *						of an older one that is no draft only the status can change
 *	expected_revision	refuse if the definition has another revision by now
 *
 * Returns the revision.  Two updates at once wait for one another.
 * Writes event_definitions, event_definition_versions.
 */
CREATE FUNCTION event_engine.update_event_definition(
	event_id text,
	payload_schema jsonb DEFAULT NULL,
	version text DEFAULT NULL,
	name text DEFAULT NULL,
	description text DEFAULT NULL,
	source_types text[] DEFAULT NULL,
	examples jsonb DEFAULT NULL,
	ui_metadata jsonb DEFAULT NULL,
	status text DEFAULT NULL,
	options jsonb DEFAULT NULL,
	expected_revision integer DEFAULT NULL)
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_variable
DECLARE
	before event_engine.event_definitions;
	d event_engine.event_definitions;
	old event_engine.event_definition_versions;
	v event_engine.event_definition_versions;
	content_given boolean := payload_schema IS NOT NULL
		OR source_types IS NOT NULL OR examples IS NOT NULL
		OR options IS NOT NULL;
BEGIN
	PERFORM event_engine.check_definition(source_types, ui_metadata, status);

	SELECT o.* INTO d FROM event_engine.event_definitions AS o
	WHERE o.id = event_engine.find_definition(event_id)
	FOR NO KEY UPDATE;
	IF d.id IS NULL THEN
		RAISE EXCEPTION 'unknown event definition "%"', event_id
			USING ERRCODE = 'VE001',
			HINT = 'Give the event_id, the pattern or the id of a registered definition.';
	END IF;
	IF expected_revision <> d.revision THEN
		RAISE EXCEPTION 'event definition "%" has been changed by somebody else',
				d.event_id
			USING ERRCODE = 'VE003',
			DETAIL = format('Expected revision %s, found revision %s.',
				expected_revision, d.revision),
			HINT = 'Read the definition again and repeat the change.';
	END IF;

	before := d;
	version := coalesce(version, d.version);
	PERFORM event_engine.compare_versions(version, version);
	d.name := coalesce(name, d.name);
	d.description := coalesce(description, d.description);
	d.ui_metadata := coalesce(ui_metadata, d.ui_metadata);

	IF version <> d.version THEN
		SELECT o.* INTO old FROM event_engine.event_definition_versions AS o
		WHERE o.definition_id = d.id AND o.version = version;
		IF FOUND AND old.status <> 'draft' AND content_given THEN
			RAISE EXCEPTION 'version % of event definition "%" is neither current nor a draft',
					version, d.event_id
				USING ERRCODE = 'VE006',
				DETAIL = format('The current version is %s; events may have been published under %s.',
					d.version, version),
				HINT = 'Of such a version only the status can be changed.';
		END IF;
	END IF;

	v := old;
	IF v.version IS NULL THEN
		v.version := version;
		v.source_types := d.source_types;
		v.payload_schema := d.payload_schema;
		v.options := d.options;
		v.status := CASE WHEN version = d.version THEN d.status
			ELSE 'active' END;
		/* examples go with the schema that they are examples of */
		v.examples := CASE WHEN version = d.version
			OR payload_schema IS NULL THEN d.examples ELSE '[]' END;
		v.schema_uris := d.schema_uris;
	END IF;
	v.source_types := coalesce(to_jsonb(source_types), v.source_types);
	v.payload_schema := coalesce(payload_schema, v.payload_schema);
	v.examples := coalesce(examples, v.examples);
	v.status := coalesce(status, v.status);
	v.options := CASE WHEN options IS NULL THEN v.options
		ELSE event_engine.definition_options(d.options, options) END;

	IF d IS NOT DISTINCT FROM before AND (v IS NOT DISTINCT FROM old
		OR (v.version, v.source_types, v.payload_schema, v.examples, v.status,
			v.options) IS NOT DISTINCT FROM
		   (d.version, d.source_types, d.payload_schema, d.examples, d.status,
			d.options)) THEN
		RETURN d.revision;
	END IF;

	IF content_given THEN
		v.schema_uris := event_engine.check_definition_schema(v.payload_schema,
			v.options, v.examples);
	END IF;
	/* a status, or a policy for versions to come, breaks nothing */
	IF version = d.version THEN
		old.version := before.version;
		old.payload_schema := before.payload_schema;
		old.options := before.options;
		old.status := before.status;
	END IF;
	IF old.version IS NULL OR old.status = 'draft'
		OR (old.payload_schema, old.options - 'compatibility') IS DISTINCT FROM
			(v.payload_schema, v.options - 'compatibility') THEN
		PERFORM event_engine.check_compatibility(d, v);
	END IF;
	RETURN event_engine.place_definition_version(d, v);
END
$$;
COMMENT ON FUNCTION event_engine.update_event_definition(
	text, jsonb, text, text, text, text[], jsonb, jsonb, text, jsonb, integer) IS
	'Changes a definition, what is null stays; returns the new revision. A stale expected_revision is refused.';

/* ---- Documents ---- */

/*
 * register_schema: store or replace a document that $ref may point to.
 *
 *	uri			absolute, as references spell it, without fragment
 *	document	object or boolean
 *
 * A document that looks like a schema is compiled, except that it may refer
 * to documents that are registered later.  Definitions that reach it must
 * still compile, and their examples be valid, after it is replaced.
 * Returns the URI.  Writes event_schemas.
 */
CREATE FUNCTION event_engine.register_schema(uri text, document jsonb)
	RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_variable
DECLARE
	state text;
	message text;
	detail text;
	hint text;
	replaced boolean;
	uris text[];
	r record;
BEGIN
	IF uri IS NULL OR document IS NULL THEN
		RAISE EXCEPTION '% must not be null',
				CASE WHEN uri IS NULL THEN 'uri' ELSE 'document' END
			USING ERRCODE = 'VE006';
	END IF;
	uri := regexp_replace(uri, '#$', '');
	IF uri !~ '^[A-Za-z][A-Za-z0-9+.-]*:[^#[:space:]]+$'
		OR octet_length(uri) > 2000 THEN
		RAISE EXCEPTION 'invalid URI "%"', left(uri, 200)
			USING ERRCODE = 'VE006', HINT =
			'Give an absolute URI without fragment, of at most 2000 bytes.';
	END IF;
	IF jsonb_typeof(document) NOT IN ('object', 'boolean') THEN
		RAISE EXCEPTION 'document must be an object or a boolean'
			USING ERRCODE = 'VE102',
			DETAIL = 'It is of type ' || jsonb_typeof(document) || '.';
	END IF;

	INSERT INTO event_engine.event_schemas AS o (uri, document)
	VALUES (uri, document)
	ON CONFLICT ON CONSTRAINT event_schemas_pkey DO NOTHING;
	replaced := NOT FOUND;
	IF replaced THEN
		UPDATE event_engine.event_schemas AS o
		SET document = document, updated_at = clock_timestamp()
		WHERE o.uri = uri AND o.document <> document;
		IF NOT FOUND THEN
			RETURN uri;
		END IF;
	END IF;

	IF jsonb_typeof(document) = 'object' AND document ?| '{$schema,$id,id,$ref,
		$defs,definitions,type,enum,const,properties,required,
		additionalProperties,patternProperties,items,allOf,anyOf,oneOf,not,if,
		format,pattern}'::text[] THEN
		BEGIN
			/* whom it is about is for those to say that refer to it */
			PERFORM event_engine.check_payload_schema(
				jsonb_build_object('$ref', uri), NULL);
		EXCEPTION WHEN SQLSTATE 'VE103' THEN
			NULL;
		END;
	END IF;

	IF NOT replaced THEN
		RETURN uri;
	END IF;
	FOR r IN
		SELECT d.event_id, v.* FROM event_engine.event_definition_versions AS v
		JOIN event_engine.event_definitions AS d ON d.id = v.definition_id
		WHERE v.schema_uris @> ARRAY[uri]
		ORDER BY d.event_id COLLATE "C", v.version COLLATE "C"
	LOOP
		BEGIN
			uris := event_engine.check_payload_schema(r.payload_schema,
				r.options, r.examples);
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
				message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
				hint = PG_EXCEPTION_HINT;
			IF state NOT LIKE 'VE%' THEN
				RAISE;
			END IF;
			RAISE EXCEPTION 'event definition "%" version % would not fit the new document "%": %',
					r.event_id, r.version, uri, message
				USING ERRCODE = state, DETAIL = detail,
				HINT = concat_ws(' ', NULLIF(hint, ''),
					'Register the new document under another URI, and a new version of the definition that refers to it.');
		END;
		IF uris <> r.schema_uris THEN
			UPDATE event_engine.event_definition_versions AS o
			SET schema_uris = uris
			WHERE o.definition_id = r.definition_id AND o.version = r.version;
			UPDATE event_engine.event_definitions AS o
			SET schema_uris = uris
			WHERE o.id = r.definition_id AND o.version = r.version;
		END IF;
	END LOOP;
	RETURN uri;
END
$$;
COMMENT ON FUNCTION event_engine.register_schema(text, jsonb) IS
	'Stores or replaces a document that $ref in payload schemas may point to; returns its URI.';
