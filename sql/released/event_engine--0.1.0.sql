/* event_engine: install script, assembled from sql/[0-9][0-9]_*.sql */
\echo Use "CREATE EXTENSION event_engine" to load this file. \quit
SET LOCAL search_path = pg_catalog, pg_temp;

/* The schema is made here, so that an install into a schema that somebody
 * has prepared fails instead of adopting what lies in it. */
CREATE SCHEMA event_engine;
COMMENT ON SCHEMA event_engine IS 'Event processing: registry, log, subscriptions, delivery, workflows.';
/* ------------------------------------------------------------------------
 * The registry: what events look like.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.announce_change() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_announce_change';
COMMENT ON FUNCTION event_engine.announce_change() IS
	'Trigger: tells every session, at commit, that it must look again at the table that changed.';

/*
 * event_definitions: a definition in its current version.
 *
 *	id, event_id		identifier, and the unique business name
 *	name, description	for people
 *	pattern				what publishers and subscribers name it by
 *	version				the current version (semver)
 *	source_types		source.type of those who may emit it; [] is anybody
 *	payload_schema		JSON Schema of the payload; null is any payload
 *	examples			array of payloads; each was valid when it was registered
 *	ui_metadata			{"icon", "color", "category", "priority"}
 *	status				draft | active | deprecated
 *	options				{"assert_formats": boolean, "assert_content": boolean,
 *						"compatibility": text, "dialect": text,
 *						"strict": boolean}
 *	schema_uris			documents of event_schemas that payload_schema reaches
 *	revision			one more with each change (optimistic concurrency)
 */
CREATE TABLE event_engine.event_definitions (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	event_id varchar(255) NOT NULL UNIQUE,
	name text NOT NULL,
	description text,
	pattern varchar(255) NOT NULL UNIQUE
		CHECK (pattern ~ '^[A-Za-z0-9_-]+([.:][A-Za-z0-9_-]+)*$'),
	version varchar(50) NOT NULL,
	source_types jsonb NOT NULL DEFAULT '[]'
		CHECK (jsonb_typeof(source_types) = 'array'),
	payload_schema jsonb,
	examples jsonb NOT NULL DEFAULT '[]'
		CHECK (jsonb_typeof(examples) = 'array'),
	ui_metadata jsonb NOT NULL DEFAULT '{}'
		CHECK (jsonb_typeof(ui_metadata) = 'object'),
	status text NOT NULL DEFAULT 'active'
		CHECK (status IN ('draft', 'active', 'deprecated')),
	options jsonb NOT NULL DEFAULT '{}'
		CHECK (jsonb_typeof(options) = 'object'),
	schema_uris text[] NOT NULL DEFAULT '{}',
	revision integer NOT NULL DEFAULT 1,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE event_engine.event_definitions IS
	'What events look like: each definition in its current version.';
CREATE INDEX event_definitions_schema_uris_idx
	ON event_engine.event_definitions USING gin (schema_uris);

/*
 * event_definition_versions: every version ever registered, the current one
 * included, so that an event can be checked against what was promised when
 * it was published.  Columns as in event_definitions.
 */
CREATE TABLE event_engine.event_definition_versions (
	definition_id uuid NOT NULL
		REFERENCES event_engine.event_definitions ON DELETE CASCADE,
	version varchar(50) NOT NULL,
	source_types jsonb NOT NULL DEFAULT '[]'
		CHECK (jsonb_typeof(source_types) = 'array'),
	payload_schema jsonb,
	examples jsonb NOT NULL DEFAULT '[]'
		CHECK (jsonb_typeof(examples) = 'array'),
	status text NOT NULL DEFAULT 'active'
		CHECK (status IN ('draft', 'active', 'deprecated')),
	options jsonb NOT NULL DEFAULT '{}'
		CHECK (jsonb_typeof(options) = 'object'),
	schema_uris text[] NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (definition_id, version)
);
COMMENT ON TABLE event_engine.event_definition_versions IS
	'Every version of every definition ever registered.';
CREATE INDEX event_definition_versions_schema_uris_idx
	ON event_engine.event_definition_versions USING gin (schema_uris);

/*
 * event_schemas: documents that $ref may point to, shared by definitions.
 *
 *	uri			absolute URI without fragment, as references spell it
 *	document	JSON Schema, or any document that holds some
 */
CREATE TABLE event_engine.event_schemas (
	uri text NOT NULL PRIMARY KEY CHECK (octet_length(uri) <= 2000),
	document jsonb NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE event_engine.event_schemas IS
	'Documents that payload schemas may refer to.';

CREATE TYPE event_engine.schema_break AS (
	path text,
	keyword text,
	old text,
	new text,
	direction text,
	why text
);
COMMENT ON TYPE event_engine.schema_break IS
	'What a change of a schema breaks: JSON pointer through the schemas, keyword, what it said before and says now, backward or forward, and why.';

/* ---- Triggers: the tables may be changed by hand, and stay right ---- */

CREATE FUNCTION event_engine.definition_changes() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	/* publishers must not be the first to find out that it does not compile */
	IF (NEW.payload_schema, NEW.options)
			IS DISTINCT FROM (OLD.payload_schema, OLD.options)
		AND NEW.schema_uris = OLD.schema_uris THEN
		NEW.schema_uris := event_engine.check_payload_schema(
			NEW.payload_schema, NEW.options);
	END IF;
	NEW.revision := OLD.revision + 1;
	NEW.updated_at := clock_timestamp();
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION event_engine.definition_changes() IS
	'Trigger: checks the schema of a definition and counts its revisions.';

/* Not on INSERT: a restore loads the versions itself, after the definitions. */
CREATE FUNCTION event_engine.definition_changed() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.version <> OLD.version THEN
		INSERT INTO event_engine.event_definition_versions AS v
			(definition_id, version, source_types, payload_schema, examples,
			 status, options, schema_uris)
		VALUES (OLD.id, OLD.version, OLD.source_types, OLD.payload_schema,
			OLD.examples, OLD.status, OLD.options, OLD.schema_uris)
		ON CONFLICT (definition_id, version) DO NOTHING;
	END IF;
	INSERT INTO event_engine.event_definition_versions AS v
		(definition_id, version, source_types, payload_schema, examples,
		 status, options, schema_uris)
	VALUES (NEW.id, NEW.version, NEW.source_types, NEW.payload_schema,
		NEW.examples, NEW.status, NEW.options, NEW.schema_uris)
	ON CONFLICT (definition_id, version) DO UPDATE
		SET source_types = excluded.source_types,
			payload_schema = excluded.payload_schema,
			examples = excluded.examples,
			status = excluded.status,
			options = excluded.options,
			schema_uris = excluded.schema_uris,
			updated_at = clock_timestamp()
		WHERE (v.source_types, v.payload_schema, v.examples, v.status,
			   v.options, v.schema_uris)
			IS DISTINCT FROM
			  (excluded.source_types, excluded.payload_schema,
			   excluded.examples, excluded.status, excluded.options,
			   excluded.schema_uris);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION event_engine.definition_changed() IS
	'Trigger: keeps event_definition_versions in step with the current version.';

CREATE TRIGGER definition_changes BEFORE UPDATE OF
	event_id, name, description, pattern, version, source_types,
	payload_schema, examples, ui_metadata, status, options, revision, updated_at
	ON event_engine.event_definitions FOR EACH ROW
	WHEN (OLD.* IS DISTINCT FROM NEW.*)
	EXECUTE FUNCTION event_engine.definition_changes();
CREATE TRIGGER definition_changed AFTER UPDATE
	ON event_engine.event_definitions FOR EACH ROW
	WHEN (OLD.* IS DISTINCT FROM NEW.*)
	EXECUTE FUNCTION event_engine.definition_changed();

/* By row, because a logical replication worker runs no others; repeated
 * messages of one transaction are dropped by the server. */
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_definitions FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.event_definitions FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_definition_versions FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.event_definition_versions FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_schemas FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.event_schemas FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();

ALTER TABLE event_engine.event_definitions
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;
ALTER TABLE event_engine.event_definition_versions
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;
ALTER TABLE event_engine.event_schemas
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;
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

/* definition_options: options as given, with the policy that stays. */
CREATE FUNCTION event_engine.definition_options(current jsonb, given jsonb)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN jsonb_typeof(given) = 'object' AND current ? 'compatibility'
	THEN jsonb_build_object('compatibility', current -> 'compatibility') || given
	ELSE given END
$$;
COMMENT ON FUNCTION event_engine.definition_options(jsonb, jsonb) IS
	'Internal: options of a version, with the kind of compatibility of the current one unless given.';

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
 *					"compatibility": text, "dialect": text, "strict": boolean};
 *					compatibility stays as the current version has it unless
 *					given
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
			PERFORM event_engine.check_payload_schema(
				jsonb_build_object('$ref', uri));
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
/* ---- Compatibility of versions ---- */

/*
 * schema_compatibility: what a change from one schema to another breaks, one
 * row for each break; no row is a proof that there is none.
 *
 *	mode		none | backward (unless given) | forward | full
 *				backward: whatever the old schema accepts, the new one does
 *				forward: whatever the new schema accepts, the old one does
 *	dialect		where a schema names none
 *
 * References lead to the documents that are registered.  A null schema
 * accepts everything.  A row whose why begins with "cannot prove" need not be
 * a break.
 */
CREATE FUNCTION event_engine.schema_compatibility(
	old jsonb,
	new jsonb,
	mode text DEFAULT 'backward',
	dialect text DEFAULT NULL)
	RETURNS SETOF event_engine.schema_break
	LANGUAGE c VOLATILE ROWS 5
	AS 'MODULE_PATHNAME', 'ee_sql_schema_compatibility';
COMMENT ON FUNCTION event_engine.schema_compatibility(jsonb, jsonb, text, text) IS
	'What a change from one JSON Schema to another breaks; no row when it is compatible. mode is backward, forward or full.';

CREATE FUNCTION event_engine.schema_breaks(
	old jsonb, old_options jsonb, new jsonb, new_options jsonb, mode text)
	RETURNS SETOF event_engine.schema_break
	LANGUAGE c VOLATILE ROWS 5
	AS 'MODULE_PATHNAME', 'ee_sql_schema_breaks';
COMMENT ON FUNCTION event_engine.schema_breaks(jsonb, jsonb, jsonb, jsonb, text) IS
	'Internal: schema_compatibility of two versions, each with the options of its definition.';

/*
 * check_compatibility: raises what a version that is about to be stored
 * breaks, if its options ask.  It is compared with what is stored under the
 * same version and with the highest version below it, or all below where
 * compatibility is transitive; never with drafts, since nothing was promised
 * by them, and not while it is a draft itself.
 */
CREATE FUNCTION event_engine.check_compatibility(
	d event_engine.event_definitions,
	v event_engine.event_definition_versions)
	RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	mode text := v.options ->> 'compatibility';
	earlier record;
	lines text;
	detail text;
	versions text;
BEGIN
	IF coalesce(mode, 'none') = 'none' OR v.status = 'draft' THEN
		RETURN;
	END IF;
	FOR earlier IN
		WITH stored AS (
			SELECT o.version, o.payload_schema, o.options
			FROM event_engine.event_definition_versions AS o
			WHERE o.definition_id = d.id AND o.status <> 'draft'
				AND event_engine.compare_versions(o.version, v.version) <= 0)
		SELECT s.version::text, s.payload_schema, s.options
		FROM stored AS s
		WHERE mode LIKE '%\_transitive' OR s.version = v.version
			OR NOT EXISTS (SELECT FROM stored AS o
				WHERE o.version <> v.version
					AND event_engine.compare_versions(o.version, s.version) > 0)
		ORDER BY s.version = v.version DESC, (SELECT count(*)
			FROM stored AS o
			WHERE event_engine.compare_versions(o.version, s.version) > 0)
	LOOP
		CONTINUE WHEN (earlier.payload_schema, earlier.options - 'compatibility')
			IS NOT DISTINCT FROM (v.payload_schema, v.options - 'compatibility');
		SELECT string_agg(format('Version %s, %s, at %s: %s: %s%s%s.',
				earlier.version, b.direction,
				CASE b.path WHEN '' THEN 'the root' ELSE b.path END,
				b.keyword, b.why,
				', old ' || b.old, ', new ' || b.new), E'\n')
			INTO lines
		FROM event_engine.schema_breaks(earlier.payload_schema,
			earlier.options, v.payload_schema, v.options, mode) AS b;
		IF lines IS NOT NULL THEN
			detail := concat_ws(E'\n', detail, lines);
			versions := concat_ws(', ', versions, earlier.version);
		END IF;
	END LOOP;
	IF detail IS NOT NULL THEN
		RAISE EXCEPTION 'version % of event definition "%" is not % compatible with version %',
				v.version, d.event_id,
				replace(regexp_replace(mode, '_transitive$', ''), 'full', 'fully'),
				versions
			USING ERRCODE = 'VE007', DETAIL = detail,
			HINT = 'Change the schema, or give this version the option {"compatibility": "none"}; the next one may ask for it again.';
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_compatibility(
	event_engine.event_definitions, event_engine.event_definition_versions) IS
	'Internal: raises what a version breaks of those before it, if its options ask for compatibility.';
/* ---- Business rules ---- */

CREATE FUNCTION event_engine.check_rule_path(path text) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_check_rule_path';
COMMENT ON FUNCTION event_engine.check_rule_path(text) IS
	'Internal: raises what is wrong with the path of a rule, or is true.';

/*
 * event_rules: what the schema of a definition cannot say.
 *
 *	definition_id	whose events must keep it, in all versions
 *	name			unique in the definition
 *	sort_order		lower ones are run first
 *	path			SQL/JSON path predicate over the envelope; or
 *	function		signature of a function (event_engine.event) that returns
 *					boolean or text
 *	owner			the function runs as this role
 *	message			what is said when it does not hold
 *	enabled			is it run?
 */
CREATE TABLE event_engine.event_rules (
	definition_id uuid NOT NULL
		REFERENCES event_engine.event_definitions ON DELETE CASCADE,
	name text NOT NULL CHECK (name ~ '^[A-Za-z0-9_.:-]{1,100}$'),
	sort_order integer NOT NULL DEFAULT 0,
	path text CHECK (event_engine.check_rule_path(path)),
	function text,
	owner regrole NOT NULL,
	message text,
	enabled boolean NOT NULL DEFAULT true,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (definition_id, name),
	CHECK ((path IS NULL) <> (function IS NULL))
);
COMMENT ON TABLE event_engine.event_rules IS
	'Business rules that events must keep beside the schema of their definition.';

CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_rules FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.event_rules FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.event_rules
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;
/* ---- Business rules ---- */

/* check_rule_owner: raises unless the role may change the rule. */
CREATE FUNCTION event_engine.check_rule_owner(
	caller oid, rule event_engine.event_rules)
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF NOT pg_has_role(caller, rule.owner::oid, 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of rule "%"', rule.name
			USING ERRCODE = '42501',
			DETAIL = format('It belongs to role %s.', rule.owner);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_rule_owner(oid, event_engine.event_rules) IS
	'Internal: raises unless a role may change a rule.';

/* add_event_rule, as whom it is called.  Writes event_rules. */
CREATE FUNCTION event_engine.add_event_rule_as(
	caller oid, pattern text, name text, path text, function regprocedure,
	message text, sort_order integer, enabled boolean)
	RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_variable
DECLARE
	definition uuid;
	p record;
	problem text;
	old event_engine.event_rules;
BEGIN
	SELECT d.id INTO definition FROM event_engine.event_definitions AS d
	WHERE d.pattern = pattern FOR KEY SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'unknown event pattern %',
				coalesce('"' || pattern || '"', 'null')
			USING ERRCODE = 'VE001',
			HINT = 'Register it with event_engine.register_event_definition().';
	END IF;
	IF coalesce(name, '') !~ '^[A-Za-z0-9_.:-]{1,100}$' THEN
		RAISE EXCEPTION 'invalid name of a rule' USING ERRCODE = 'VE006',
			HINT = 'Use 1 to 100 letters a-z, digits, _, ., : and -.';
	END IF;
	IF (path IS NULL) = (function IS NULL) THEN
		RAISE EXCEPTION 'a rule is either a path or a function'
			USING ERRCODE = 'VE006';
	END IF;
	IF function IS NOT NULL THEN
		SELECT o.prokind, o.proretset, o.pronargs, o.prorettype,
				o.proargtypes[0] AS argument, n.nspname
			INTO p
		FROM pg_proc AS o JOIN pg_namespace AS n ON n.oid = o.pronamespace
		WHERE o.oid = function;
		problem := CASE
			WHEN NOT FOUND THEN 'It does not exist.'
			WHEN p.prokind <> 'f' OR p.proretset OR p.pronargs <> 1
				OR p.argument <> 'event_engine.event'::regtype
				THEN 'The function of a rule takes one argument, of type event_engine.event.'
			WHEN p.prorettype NOT IN ('boolean'::regtype, 'text'::regtype)
				THEN 'The function of a rule returns boolean or text.'
			WHEN p.nspname LIKE 'pg\_temp\_%'
				THEN 'It is temporary: no other session can call it.' END;
		IF problem IS NOT NULL THEN
			RAISE EXCEPTION 'function % cannot be a rule', function
				USING ERRCODE = 'VE006', DETAIL = problem;
		END IF;
		IF NOT has_function_privilege(caller, function, 'EXECUTE') THEN
			RAISE EXCEPTION 'permission denied for function %', function
				USING ERRCODE = '42501', DETAIL = format(
				'Role %s owns the rule and would run it.', caller::regrole);
		END IF;
	END IF;

	SELECT o.* INTO old FROM event_engine.event_rules AS o
	WHERE o.definition_id = definition AND o.name = name FOR UPDATE;
	IF FOUND THEN
		PERFORM event_engine.check_rule_owner(caller, old);
	END IF;
	INSERT INTO event_engine.event_rules AS o (definition_id, name,
		sort_order, path, function, owner, message, enabled)
	VALUES (definition, name, coalesce(sort_order, 0), path, function::text,
		caller::regrole, message, coalesce(enabled, true))
	ON CONFLICT ON CONSTRAINT event_rules_pkey DO UPDATE
		SET sort_order = excluded.sort_order, path = excluded.path,
			function = excluded.function, owner = excluded.owner,
			message = excluded.message, enabled = excluded.enabled,
			updated_at = clock_timestamp()
		WHERE (o.sort_order, o.path, o.function, o.owner, o.message, o.enabled)
			IS DISTINCT FROM (excluded.sort_order, excluded.path,
			excluded.function, excluded.owner, excluded.message,
			excluded.enabled)
			AND pg_has_role(caller, o.owner::oid, 'USAGE');
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION event_engine.add_event_rule_as(
	oid, text, text, text, regprocedure, text, integer, boolean) IS
	'Internal: add_event_rule on behalf of a role.';

/*
 * add_event_rule: what events of a pattern must keep beside their schema.
 *
 *	pattern		of a registered definition; the rule holds for all versions
 *	name		one that is there already is replaced
 *	path		SQL/JSON path predicate over the envelope; or
 *	function	takes event_engine.event; returns boolean, false is a
 *				violation, or text, which says what is wrong.  Null is fine.
 *				Runs as the role that adds the rule, whoever publishes.
 *	message		what is said when it does not hold
 *	sort_order	lower ones run first
 *
 * Returns whether anything changed.  Writes event_rules.
 */
CREATE FUNCTION event_engine.add_event_rule(
	pattern text,
	name text,
	path text DEFAULT NULL,
	function regprocedure DEFAULT NULL,
	message text DEFAULT NULL,
	sort_order integer DEFAULT 0,
	enabled boolean DEFAULT true)
	RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.add_event_rule(
	text, text, text, regprocedure, text, integer, boolean) IS
	'Adds or replaces a rule that events of a pattern must keep: a path predicate over the envelope, or a function of the event.';

/* remove_event_rule, as whom it is called.  Writes event_rules. */
CREATE FUNCTION event_engine.remove_event_rule_as(
	caller oid, pattern text, name text)
	RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_variable
DECLARE
	old event_engine.event_rules;
BEGIN
	SELECT o.* INTO old
	FROM event_engine.event_rules AS o
	JOIN event_engine.event_definitions AS d ON d.id = o.definition_id
	WHERE d.pattern = pattern AND o.name = name FOR UPDATE OF o;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM event_engine.check_rule_owner(caller, old);
	DELETE FROM event_engine.event_rules AS o
	WHERE o.definition_id = old.definition_id AND o.name = old.name;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION event_engine.remove_event_rule_as(oid, text, text) IS
	'Internal: remove_event_rule on behalf of a role.';

/*
 * remove_event_rule: false when there is none.  For the role that added it,
 * members of that role, and superusers.
 */
CREATE FUNCTION event_engine.remove_event_rule(pattern text, name text)
	RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.remove_event_rule(text, text) IS
	'Removes a rule of a pattern; false when there is none.';

/* list_event_rules: of a pattern, or (null) all. */
CREATE FUNCTION event_engine.list_event_rules(of_pattern text DEFAULT NULL)
	RETURNS TABLE (pattern text, name text, sort_order integer, path text,
		function text, owner regrole, message text, enabled boolean)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
SELECT d.pattern::text, o.name, o.sort_order, o.path, o.function, o.owner,
	o.message, o.enabled
FROM event_engine.event_rules AS o
JOIN event_engine.event_definitions AS d ON d.id = o.definition_id
WHERE $1 IS NULL OR d.pattern = $1
ORDER BY d.pattern COLLATE "C", o.sort_order, o.name COLLATE "C"
$$;
COMMENT ON FUNCTION event_engine.list_event_rules(text) IS
	'The rules of a pattern, or of all.';
/* ------------------------------------------------------------------------
 * Validation: JSON Schema over jsonb.
 *
 * These functions stand alone: they work without preloading, without
 * registering anything, and in CHECK constraints.
 * ------------------------------------------------------------------------ */

CREATE TYPE event_engine.validation_error AS (
	instance_path text,
	keyword_path text,
	keyword text,
	message text,
	expected text,
	found text
);
COMMENT ON TYPE event_engine.validation_error IS
	'One reason why a value is not valid: JSON pointers into the value and through the schema, the keyword, a message, what was expected and what was found.';

CREATE FUNCTION event_engine.jsonschema_is_valid(schema jsonb, instance jsonb,
	dialect text DEFAULT NULL)
RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'ee_sql_jsonschema_is_valid';
COMMENT ON FUNCTION event_engine.jsonschema_is_valid(jsonb, jsonb, text) IS
	'Is the instance valid against the JSON Schema? dialect (draft4, draft6, draft7, 2019-09, 2020-12, v1) counts where the schema has no $schema; default 2020-12. Null if schema or instance is null.';

CREATE FUNCTION event_engine.jsonschema_errors(schema jsonb, instance jsonb,
	dialect text DEFAULT NULL)
RETURNS SETOF event_engine.validation_error
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 ROWS 5
AS 'MODULE_PATHNAME', 'ee_sql_jsonschema_errors';
COMMENT ON FUNCTION event_engine.jsonschema_errors(jsonb, jsonb, text) IS
	'Every reason why the instance is not valid against the JSON Schema; no row if it is valid.';

CREATE FUNCTION event_engine.jsonschema_output(schema jsonb, instance jsonb,
	format text DEFAULT 'basic', dialect text DEFAULT NULL)
RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'ee_sql_jsonschema_output';
COMMENT ON FUNCTION event_engine.jsonschema_output(jsonb, jsonb, text, text) IS
	'The verdict in an output format of the JSON Schema specification: flag (valid or not), basic (with a list of errors, or of annotations if valid) or detailed (with a tree of them). Null if schema or instance is null.';

CREATE FUNCTION event_engine.jsonschema_check(schema jsonb,
	dialect text DEFAULT NULL, strict boolean DEFAULT false)
RETURNS SETOF event_engine.validation_error
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 ROWS 5
AS 'MODULE_PATHNAME', 'ee_sql_jsonschema_check';
COMMENT ON FUNCTION event_engine.jsonschema_check(jsonb, text, boolean) IS
	'What is wrong with a JSON Schema itself, if strict also keywords and formats that are not known: instance_path points into the schema; no row if it is right.';

CREATE FUNCTION event_engine.jsonschema_is_valid_with(schema jsonb,
	instance jsonb, documents jsonb, dialect text DEFAULT NULL)
RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'ee_sql_jsonschema_is_valid_with';
COMMENT ON FUNCTION event_engine.jsonschema_is_valid_with(jsonb, jsonb, jsonb, text) IS
	'As jsonschema_is_valid, for a schema that refers to other documents, given as an object of schemas by absolute URI. Compiles on each call.';

CREATE FUNCTION event_engine.jsonschema_errors_with(schema jsonb,
	instance jsonb, documents jsonb, dialect text DEFAULT NULL)
RETURNS SETOF event_engine.validation_error
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 ROWS 5
AS 'MODULE_PATHNAME', 'ee_sql_jsonschema_errors_with';
COMMENT ON FUNCTION event_engine.jsonschema_errors_with(jsonb, jsonb, jsonb, text) IS
	'As jsonschema_errors, for a schema that refers to other documents, given as an object of schemas by absolute URI. Compiles on each call.';
/* ---- Validating against what is registered ---- */

/*
 * validate_event: what is wrong with a payload, one row for each violation;
 * no row when it is valid.
 *
 *	pattern		a registered one, whatever its status
 *	version		null is the current one
 *
 * A validation setting that is off has no influence here.
 */
CREATE FUNCTION event_engine.validate_event(
	pattern text,
	payload jsonb,
	version text DEFAULT NULL)
	RETURNS SETOF event_engine.validation_error
	LANGUAGE c VOLATILE ROWS 5
	AS 'MODULE_PATHNAME', 'ee_sql_validate_event';
COMMENT ON FUNCTION event_engine.validate_event(text, jsonb, text) IS
	'What is wrong with a payload of an event of this pattern; no row when it is valid.';
/* ------------------------------------------------------------------------
 * The store: one append-only log, partitioned by time of arrival.
 * ------------------------------------------------------------------------ */

CREATE TYPE event_engine.event_priority AS ENUM
	('critical', 'high', 'normal', 'low');
COMMENT ON TYPE event_engine.event_priority IS
	'How urgent an event is; an urgent one overtakes a backlog.';

/* The order of publishing.  It is not the order of commit: readers never
 * advance by it alone, see log_cursor.c. */
CREATE SEQUENCE event_engine.event_seq;
COMMENT ON SEQUENCE event_engine.event_seq IS
	'Position of an event in the log, taken when it is published.';

/*
 * event: what a handler is given, one column for each of events.
 *
 *	id					assigned: UUID version 7, ordered by time within a backend
 *	event_id			the publisher's own identifier, unique within the
 *						deduplication window; null where none was given
 *	pattern, version	which definition the event was validated against
 *	source				{"type", "id", "name"}: who says so
 *	timestamp			when it happened, as the publisher says
 *	payload, metadata	what happened, and the specification's metadata
 *	created_at			when it arrived: the clock at publish
 *	partition_key		ordering key: events of one key keep their order
 *	aggregate_type, aggregate_version	of event-sourced publishers
 *	created_by			role that published
 *	deliver_at			not to be delivered before
 *	seq, xid			position in the log: order of publishing, and the
 *						top-level transaction that published
 */
CREATE TYPE event_engine.event AS (
	id uuid,
	event_id varchar(255) COLLATE "C",
	pattern varchar(255) COLLATE "C",
	version varchar(50),
	source jsonb,
	"timestamp" timestamptz,
	payload jsonb,
	metadata jsonb,
	created_at timestamptz,
	partition_key varchar(255) COLLATE "C",
	aggregate_type varchar(255),
	aggregate_version bigint,
	priority event_engine.event_priority,
	created_by text,
	deliver_at timestamptz,
	seq bigint,
	xid xid8
);
COMMENT ON TYPE event_engine.event IS
	'An event as stored and as handed to handlers.';

CREATE TABLE event_engine.events (
	id uuid NOT NULL,
	event_id varchar(255) COLLATE "C",
	pattern varchar(255) COLLATE "C" NOT NULL,
	version varchar(50),
	source jsonb NOT NULL,
	"timestamp" timestamptz NOT NULL,
	payload jsonb NOT NULL,
	metadata jsonb NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	partition_key varchar(255) COLLATE "C",
	aggregate_type varchar(255),
	aggregate_version bigint,
	priority event_engine.event_priority NOT NULL,
	created_by text NOT NULL,
	deliver_at timestamptz,
	seq bigint NOT NULL,
	xid xid8 NOT NULL
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE event_engine.events IS
	'Every event, append-only, partitioned by created_at. INSERT and COPY are validated like publish_event.';

CREATE FUNCTION event_engine.receive_row() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_receive_row';
COMMENT ON FUNCTION event_engine.receive_row() IS
	'Trigger on events: receives what INSERT and COPY bring.';

CREATE FUNCTION event_engine.refuse_change() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_refuse_change';
COMMENT ON FUNCTION event_engine.refuse_change() IS
	'Trigger on events: what is stored stays as it is.';

CREATE TRIGGER event_engine_receive BEFORE INSERT ON event_engine.events
	FOR EACH ROW EXECUTE FUNCTION event_engine.receive_row();
CREATE TRIGGER event_engine_refuse_change BEFORE UPDATE OR DELETE
	ON event_engine.events
	FOR EACH ROW EXECUTE FUNCTION event_engine.refuse_change();
CREATE TRIGGER event_engine_refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE
	ON event_engine.events
	FOR EACH STATEMENT EXECUTE FUNCTION event_engine.refuse_change();

/* Takes what finds no partition; a safety net, normally empty. */
CREATE TABLE event_engine.events_default PARTITION OF event_engine.events
	DEFAULT;
COMMENT ON TABLE event_engine.events_default IS
	'Events that found no partition; normally empty.';
CREATE TRIGGER event_engine_refuse_truncate BEFORE TRUNCATE
	ON event_engine.events_default
	EXECUTE FUNCTION event_engine.refuse_change();

/*
 * Each partition has indexes of its own, like those of the default one; the
 * parent has none.  A dump makes the parent with the extension and a
 * partition's indexes one by one: had the parent any, they would be there
 * already.
 */
/* Values of id and created_at agree: whoever has an id knows its partition. */
ALTER TABLE event_engine.events_default ADD CONSTRAINT events_default_pkey
	PRIMARY KEY (id, created_at);
/* The log in order; and what one transaction published (late commits). */
CREATE INDEX events_default_seq_idx ON event_engine.events_default (seq);
CREATE INDEX events_default_xid_seq_idx ON event_engine.events_default (xid, seq);
/* A rare pattern is read without touching the others. */
CREATE INDEX events_default_pattern_seq_idx ON event_engine.events_default (pattern, seq);
/* So are urgent and low ones: in order, and what one transaction published. */
CREATE INDEX events_default_priority_seq_idx ON event_engine.events_default (priority, seq)
	WHERE priority <> 'normal';
CREATE INDEX events_default_priority_xid_idx ON event_engine.events_default (xid, seq)
	WHERE priority <> 'normal';
CREATE INDEX events_default_correlation_idx ON event_engine.events_default
	((metadata ->> 'correlationId'));
CREATE INDEX events_default_event_id_idx ON event_engine.events_default (event_id)
	WHERE event_id IS NOT NULL;
CREATE INDEX events_default_partition_key_idx ON event_engine.events_default (partition_key, seq)
	WHERE partition_key IS NOT NULL;
CREATE INDEX events_default_timestamp_idx ON event_engine.events_default
	USING brin ("timestamp", created_at);

/*
 * event_partitions: what readers may know of a partition without opening it.
 *
 *	relid				the partition
 *	lower, upper		bounds of created_at; null for the default partition
 *	sealed_at			since when no row can be added any more
 *	min_seq, max_seq	of a sealed partition; null when it holds no event
 *	expires_at			of a sealed one: when retention has to look at it next;
 *						null: not reckoned
 *	expiry_rules		which rules of retention that was reckoned by
 *	emptied_at			since when retention has left nothing in it
 */
CREATE TABLE event_engine.event_partitions (
	relid regclass NOT NULL PRIMARY KEY,
	lower timestamptz,
	upper timestamptz,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	sealed_at timestamptz,
	min_seq bigint,
	max_seq bigint,
	expires_at timestamptz,
	expiry_rules bigint,
	emptied_at timestamptz
);
COMMENT ON TABLE event_engine.event_partitions IS
	'Bounds and state of the partitions of events.';

/*
 * event_keys: publishers' identifiers seen, for deduplication.
 *
 *	event_id	the identifier
 *	id			the event first stored under it
 *	expires_at	from then on the identifier counts as new
 */
CREATE TABLE event_engine.event_keys (
	event_id varchar(255) COLLATE "C" NOT NULL PRIMARY KEY,
	id uuid NOT NULL,
	expires_at timestamptz NOT NULL
);
COMMENT ON TABLE event_engine.event_keys IS
	'Identifiers of publishers within the deduplication window.';
CREATE INDEX event_keys_expires_at_idx ON event_engine.event_keys (expires_at);

/*
 * event_log_state: one row, which cluster the transaction ids in the log
 * belong to.
 *
 *	system_identifier	of the cluster that writes now
 *	base_seq			events up to here were written by another cluster: they
 *						are committed, and their xid says nothing
 */
CREATE TABLE event_engine.event_log_state (
	singleton boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (singleton),
	system_identifier bigint NOT NULL,
	base_seq bigint NOT NULL
);
COMMENT ON TABLE event_engine.event_log_state IS
	'Which cluster the transaction ids in the log belong to.';
INSERT INTO event_engine.event_log_state (system_identifier, base_seq)
	SELECT system_identifier, 0 FROM pg_catalog.pg_control_system();

/*
 * event_milestones: positions in the log, about one a second while events
 * flow: where a replay "since 10:00" begins.
 *
 *	seq			highest seq handed out when the snapshot was taken
 *	snapshot	what was visible then
 *	base_seq	event_log_state.base_seq then
 */
CREATE TABLE event_engine.event_milestones (
	created_at timestamptz NOT NULL,
	seq bigint NOT NULL,
	snapshot pg_snapshot NOT NULL,
	base_seq bigint NOT NULL
);
COMMENT ON TABLE event_engine.event_milestones IS
	'Positions in the log by time, for seek and replay.';
CREATE INDEX event_milestones_created_at_idx
	ON event_engine.event_milestones (created_at);
/* ------------------------------------------------------------------------
 * The store: ways in, and ways to look.
 * ------------------------------------------------------------------------ */

/*
 * publish_event: store an event in the caller's transaction.
 *
 *	pattern			of a registered definition
 *	payload			validated against the definition's schema
 *	metadata		correlationId (made if absent), causationId, traceId,
 *					userId, context, tags
 *	source			{"type", "id", "name"}; default: the publishing role
 *	event_id		the publisher's own identifier; published again within the
 *					window nothing is stored and the first event's id returned
 *	timestamp		when it happened; default: now
 *	version			of the definition; default: the current one
 *	partition_key	events of one key keep their order
 *	aggregate_type, aggregate_version	for event-sourced publishers
 *	priority		critical, high, normal or low
 *	deliver_at		not to be delivered before
 *
 * Result: the event's id, a UUID of version 7.
 * Errors: VE001 unknown pattern, VE002 unknown version, VE004 draft, VE101
 * payload not valid, VE201 event not valid, VE202 payload too large.
 */
CREATE FUNCTION event_engine.publish_event(
	pattern text,
	payload jsonb,
	metadata jsonb DEFAULT '{}',
	source jsonb DEFAULT NULL,
	event_id text DEFAULT NULL,
	"timestamp" timestamptz DEFAULT NULL,
	version text DEFAULT NULL,
	partition_key text DEFAULT NULL,
	aggregate_type text DEFAULT NULL,
	aggregate_version bigint DEFAULT NULL,
	priority event_engine.event_priority DEFAULT NULL,
	deliver_at timestamptz DEFAULT NULL
) RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_publish_event';
COMMENT ON FUNCTION event_engine.publish_event(text, jsonb, jsonb, jsonb, text,
	timestamptz, text, text, text, bigint, event_engine.event_priority,
	timestamptz) IS
	'Validates an event and stores it in the caller''s transaction; returns its id.';

/*
 * publish_events: store an array of events, all or none, in their order.
 *
 *	events		[{"pattern", "payload", "metadata", "source", "eventId",
 *				"timestamp", "version", "partitionKey", "aggregateType",
 *				"aggregateVersion", "priority", "deliverAt"}, ...]
 *
 * Result: their ids in the same order.  Errors as of publish_event; the
 * violations of all events are reported together, each with its index.
 */
CREATE FUNCTION event_engine.publish_events(events jsonb) RETURNS SETOF uuid
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_publish_events';
COMMENT ON FUNCTION event_engine.publish_events(jsonb) IS
	'Validates and stores an array of events, all or none; returns their ids.';
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
/* ------------------------------------------------------------------------
 * The store: ways to look.  They run with the caller's rights on events.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.event_time(id uuid) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_event_time';
COMMENT ON FUNCTION event_engine.event_time(uuid) IS
	'The time inside an event''s id; null when it is no UUID of version 7.';

/*
 * get_event: one event by its id; no row when there is none.
 *
 * The time inside the id leads to the partition.  It is ahead of created_at
 * or behind it where the clock was set back, so that all partitions are
 * looked into before it is said that there is no such event.
 */
CREATE FUNCTION event_engine.get_event(id uuid)
	RETURNS SETOF event_engine.event
	LANGUAGE plpgsql STABLE STRICT ROWS 1
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_variable
DECLARE
	at timestamptz := event_engine.event_time(id);
BEGIN
	RETURN QUERY SELECT e.* FROM event_engine.events AS e
		WHERE e.id = id AND e.created_at >= at - '2 s'::interval
			AND e.created_at <= at + '2 s'::interval;
	IF NOT FOUND THEN
		RETURN QUERY SELECT e.* FROM event_engine.events AS e WHERE e.id = id;
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.get_event(uuid) IS
	'The event of that id; no row when there is none.';

/*
 * list_events: events that fit, newest first, or in the order of the log.
 *
 *	pattern			exact, or with the wildcards * (a segment) and # (any number)
 *	source_type		workflow, task, integration or external
 *	since, until	bounds of created_at; the upper one is not included
 *	correlation_id, partition_key, event_id		exactly
 *	source, metadata	contain this
 *	before_seq		newest first from there: pass the last seq of a page to get
 *					the next page
 *	after_seq		instead: in the order of the log from there
 *	max_events		how many
 *
 * A statement is put together from what is given, so that each combination
 * has a plan of its own; values are parameters.
 */
CREATE FUNCTION event_engine.list_events(
		pattern text DEFAULT NULL,
		source_type text DEFAULT NULL,
		since timestamptz DEFAULT NULL,
		until timestamptz DEFAULT NULL,
		correlation_id text DEFAULT NULL,
		partition_key text DEFAULT NULL,
		event_id text DEFAULT NULL,
		source jsonb DEFAULT NULL,
		metadata jsonb DEFAULT NULL,
		before_seq bigint DEFAULT NULL,
		after_seq bigint DEFAULT NULL,
		max_events integer DEFAULT 100)
	RETURNS SETOF event_engine.event
	LANGUAGE plpgsql STABLE ROWS 100
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	patterns text[];
	conditions text;
BEGIN
	IF before_seq IS NOT NULL AND after_seq IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'only one of before_seq and after_seq can be given';
	END IF;
	IF max_events IS NULL OR max_events < 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'max_events must be at least 1';
	END IF;
	IF pattern ~ '[*#]' THEN
		patterns := event_engine.expand_pattern(pattern);
	END IF;
	source := CASE WHEN source_type IS NULL THEN source
		ELSE COALESCE(source, '{}') || jsonb_build_object('type', source_type)
		END;

	conditions := concat_ws(' AND ', 'true',
		CASE WHEN patterns IS NOT NULL THEN 'e.pattern = ANY ($2)'
			WHEN pattern IS NOT NULL THEN 'e.pattern = $1' END,
		CASE WHEN since IS NOT NULL THEN 'e.created_at >= $3' END,
		CASE WHEN until IS NOT NULL THEN 'e.created_at < $4' END,
		CASE WHEN correlation_id IS NOT NULL
			THEN 'e.metadata ->> ''correlationId'' = $5' END,
		CASE WHEN partition_key IS NOT NULL THEN 'e.partition_key = $6' END,
		CASE WHEN event_id IS NOT NULL THEN 'e.event_id = $7' END,
		CASE WHEN source IS NOT NULL THEN 'e.source @> $8' END,
		CASE WHEN metadata IS NOT NULL THEN 'e.metadata @> $9' END,
		CASE WHEN before_seq IS NOT NULL THEN 'e.seq < $10' END,
		CASE WHEN after_seq IS NOT NULL THEN 'e.seq > $11' END);
	RETURN QUERY EXECUTE format(
		'SELECT e.* FROM event_engine.events AS e WHERE %s ORDER BY e.seq %s LIMIT $12',
		conditions, CASE WHEN after_seq IS NULL THEN 'DESC' ELSE 'ASC' END)
		USING pattern, patterns, since, until, correlation_id, partition_key,
			event_id, source, metadata, before_seq, after_seq, max_events;
END
$$;
COMMENT ON FUNCTION event_engine.list_events(text, text, timestamptz, timestamptz, text, text, text, jsonb, jsonb, bigint, bigint, integer) IS
	'Events that fit, newest first, or from after_seq on in the order of the log; a page at a time.';

/* Registered patterns that a wildcard stands for.  What is in the log has
 * been registered, so an index can be asked for each of them. */
CREATE FUNCTION event_engine.expand_pattern(wildcard text) RETURNS text[]
	LANGUAGE plpgsql STABLE STRICT
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN COALESCE((SELECT array_agg(d.pattern::text)
		FROM event_engine.event_definitions AS d
		WHERE event_engine.event_matches(
			jsonb_populate_record(NULL::event_engine.event,
				jsonb_build_object('pattern', d.pattern)),
			jsonb_build_array(jsonb_build_object('type', 'wildcard',
				'value', wildcard)), NULL, NULL)), '{}');
END
$$;
COMMENT ON FUNCTION event_engine.expand_pattern(text) IS
	'The registered patterns that a wildcard stands for.';

/*
 * event_counts: how many events of each pattern arrived in a time; reads
 * them all, so it takes as long as there are events.
 */
CREATE FUNCTION event_engine.event_counts(
		since timestamptz DEFAULT clock_timestamp() - '1 day'::interval,
		until timestamptz DEFAULT NULL)
	RETURNS TABLE (pattern text, events bigint, first_at timestamptz,
		last_at timestamptz)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
SELECT e.pattern::text, count(*), min(e.created_at), max(e.created_at)
FROM event_engine.events AS e
WHERE e.created_at >= COALESCE(since, '-infinity')
	AND e.created_at < COALESCE(until, 'infinity')
GROUP BY e.pattern
ORDER BY 2 DESC, 1
$$;
COMMENT ON FUNCTION event_engine.event_counts(timestamptz, timestamptz) IS
	'How many events of each pattern arrived, of the last day unless said otherwise.';
/* ------------------------------------------------------------------------
 * Routing: who wants which events.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.check_match(match jsonb, filter_path text,
		filters jsonb)
	RETURNS boolean
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_check_match';
COMMENT ON FUNCTION event_engine.check_match(jsonb, text, jsonb) IS
	'Raises what is wrong with patterns and filters of a subscription, or is true.';

/*
 * subscriptions
 *
 *	id, subscriber		identifier, and the unique name people use
 *	number				small identifier, for locks and cursor tables
 *	owner				handlers run as this role
 *	kind				handler | pull | notify | workflow (the dispatcher of a role's
 *						workflows: made by register_workflow(), and its patterns are
 *						those that they use)
 *	patterns			as given: exact names and AMQP wildcards
 *	match				canonical: [{"type": "exact|wildcard|prefix|regex",
 *						"value": text, "filters": [...]}, ...]; one must match
 *	filter_path			SQL/JSON path predicate over the envelope, or null
 *	filters				further filter list over the envelope, or null
 *	handler				signature of the function of kind handler
 *	channel				of kind notify
 *	options				batch_size, max_attempts, backoff, ... with defaults
 *						filled in
 *	status				active | paused | broken (its handler is gone)
 *	status_reason		why it is not active
 *	epoch, epochs		by which rule events are assigned to lanes: number of the
 *						running epoch, and [{"concurrency", "ordered"}, ...] of it
 *						and of those to follow
 */
CREATE TABLE event_engine.subscriptions (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	number integer NOT NULL GENERATED BY DEFAULT AS IDENTITY UNIQUE,
	subscriber varchar(255) NOT NULL UNIQUE,
	owner regrole NOT NULL,
	kind text NOT NULL
		CHECK (kind IN ('handler', 'pull', 'notify', 'workflow')),
	patterns text[] NOT NULL DEFAULT '{}',
	match jsonb NOT NULL,
	filter_path text,
	filters jsonb,
	handler text,
	channel text,
	options jsonb NOT NULL,
	status text NOT NULL DEFAULT 'active'
		CHECK (status IN ('active', 'paused', 'broken')),
	status_reason text,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	epoch integer NOT NULL DEFAULT 0,
	epochs jsonb NOT NULL DEFAULT '[{"concurrency": 1, "ordered": false}]',
	-- one row that cannot be compiled would stop the matching of all
	CHECK (CASE WHEN kind = 'workflow' AND match = '[]' THEN true
		ELSE event_engine.check_match(match, filter_path, filters) END),
	CHECK ((kind = 'handler') = (handler IS NOT NULL)),
	CHECK ((kind = 'notify') = (channel IS NOT NULL))
);
COMMENT ON TABLE event_engine.subscriptions IS
	'Who wants which events, and how they are delivered.';

/* Caches of subscriptions hear of every change, by whomever. */
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.subscriptions FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.subscriptions FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.subscriptions
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;
/* ------------------------------------------------------------------------
 * Routing: subscribe.
 *
 * The public functions that change subscriptions are faces in C: they call
 * the definer function of the same name with _as, which does the work, and
 * tell it the caller's role.  Those are open to nobody (see the end).
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.event_envelope(event event_engine.event)
	RETURNS jsonb
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_event_envelope';
COMMENT ON FUNCTION event_engine.event_envelope(event_engine.event) IS
	'The event as the JSON envelope that handlers of jsonb and pulling clients see.';

/* ---- What a definition may say ---- */

CREATE FUNCTION event_engine.event_matches(event event_engine.event,
		match jsonb, filter_path text DEFAULT NULL, filters jsonb DEFAULT NULL)
	RETURNS boolean
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_event_matches';
COMMENT ON FUNCTION event_engine.event_matches(event_engine.event, jsonb, text, jsonb) IS
	'Whether an event has one of the patterns and passes the filters.';

CREATE FUNCTION event_engine.find_handler(handler text)
	RETURNS regprocedure
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_find_handler';
COMMENT ON FUNCTION event_engine.find_handler(text) IS
	'The function meant by a handler''s name or signature, as the caller sees it.';

/*
 * The canonical form of what is matched.  patterns are exact names, or AMQP
 * wildcards where they hold * or #; match is an object or an array of them.
 */
CREATE FUNCTION event_engine.subscription_match(patterns text[], match jsonb)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN COALESCE((SELECT jsonb_agg(jsonb_build_object(
			'type', CASE WHEN p.pattern ~ '[*#]' THEN 'wildcard'
				ELSE 'exact' END,
			'value', p.pattern) ORDER BY p.position)
		FROM unnest(patterns) WITH ORDINALITY AS p (pattern, position)), '[]')
	|| CASE WHEN match IS NULL THEN '[]'
		WHEN jsonb_typeof(match) = 'array' THEN match
		ELSE jsonb_build_array(match) END;
COMMENT ON FUNCTION event_engine.subscription_match(text[], jsonb) IS
	'Patterns and match objects of a subscription in one list.';

/* One option: its canonical name and value, checked. */
CREATE FUNCTION event_engine.subscription_option(name text, value jsonb)
	RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	canonical CONSTANT text := CASE name
		WHEN 'batchSize' THEN 'batch_size'
		WHEN 'maxAttempts' THEN 'max_attempts'
		WHEN 'backoffMs' THEN 'backoff_ms'
		WHEN 'backoffFactor' THEN 'backoff_factor'
		WHEN 'backoffMaxMs' THEN 'backoff_max_ms'
		WHEN 'maxBackoffMs' THEN 'backoff_max_ms'
		WHEN 'exponentialBackoff' THEN 'exponential_backoff'
		WHEN 'timeout' THEN 'timeout_ms'
		WHEN 'timeoutMs' THEN 'timeout_ms'
		WHEN 'processingLog' THEN 'processing_log'
		WHEN 'deliveryGuarantee' THEN 'delivery_guarantee'
		WHEN 'idempotencyKey' THEN 'idempotency_key'
		WHEN 'idempotencyWindowMs' THEN 'idempotency_window_ms'
		WHEN 'rateLimit' THEN 'rate_limit'
		WHEN 'rateBurst' THEN 'rate_burst'
		WHEN 'maxInFlight' THEN 'max_in_flight'
		WHEN 'breakerThreshold' THEN 'breaker_threshold'
		WHEN 'breakerWindowMs' THEN 'breaker_window_ms'
		WHEN 'breakerRecoveryMs' THEN 'breaker_recovery_ms'
		WHEN 'onDeadLetter' THEN 'on_dead_letter'
		ELSE name END;
	type CONSTANT text := jsonb_typeof(value);
	whole boolean := true;
	lower numeric;
	upper numeric;
	expected text;
BEGIN
	CASE canonical
		WHEN 'batch_size' THEN lower := 1; upper := 100000;
		WHEN 'max_attempts' THEN lower := 1; upper := 1000;
		WHEN 'backoff_ms' THEN lower := 0; upper := 86400000;
		WHEN 'backoff_max_ms' THEN lower := 0; upper := 2592000000;
		WHEN 'timeout_ms' THEN lower := 0; upper := 86400000;
		WHEN 'idempotency_window_ms' THEN lower := 1; upper := 31536000000;
		WHEN 'concurrency' THEN lower := 1; upper := 64;
		WHEN 'rate_limit' THEN lower := 0; upper := 1000000; whole := false;
		WHEN 'rate_burst' THEN lower := 1; upper := 1000000; whole := false;
		WHEN 'max_in_flight' THEN lower := 0; upper := 1000000;
		WHEN 'breaker_threshold' THEN lower := 0; upper := 64;
		WHEN 'breaker_window_ms' THEN lower := 1; upper := 86400000;
		WHEN 'breaker_recovery_ms' THEN lower := 1; upper := 86400000;
		WHEN 'backoff_factor' THEN lower := 1; upper := 100; whole := false;
		WHEN 'jitter' THEN
			IF type = 'boolean' THEN
				RETURN jsonb_build_object('jitter',
					CASE WHEN value::boolean THEN 0.2 ELSE 0 END);
			END IF;
			lower := 0; upper := 1; whole := false;
		WHEN 'exponential_backoff' THEN
			IF type = 'boolean' THEN
				RETURN jsonb_build_object('backoff_factor',
					CASE WHEN value::boolean THEN 2 ELSE 1 END);
			END IF;
			expected := 'true or false';
		WHEN 'processing_log', 'ordered', 'immediate',
				'backpressure' THEN
			IF type <> 'boolean' THEN
				expected := 'true or false';
			END IF;
		WHEN 'start' THEN
			IF type <> 'string' THEN
				expected := '"now", "beginning" or a timestamp';
			ELSIF value #>> '{}' NOT IN ('now', 'beginning') THEN
				-- an error of its own where it is no timestamp
				PERFORM (value #>> '{}')::timestamptz;
			END IF;
		WHEN 'delivery_guarantee' THEN
			value := to_jsonb(replace(value #>> '{}', '-', '_'));
			IF value #>> '{}' NOT IN ('at_most_once', 'at_least_once',
					'exactly_once') THEN
				expected := '"at_most_once", "at_least_once" or "exactly_once"';
			END IF;
		WHEN 'on_dead_letter' THEN
			IF type <> 'string' OR value #>> '{}' NOT IN ('continue', 'halt') THEN
				expected := '"continue" or "halt"';
			END IF;
		WHEN 'idempotency_key' THEN
			IF type <> 'string' THEN
				expected := 'an SQL/JSON path';
			ELSE
				-- an error of its own where it is none
				PERFORM (value #>> '{}')::jsonpath;
			END IF;
		ELSE
			RAISE EXCEPTION USING ERRCODE = 'VE304',
				MESSAGE = format('unknown option "%s"', name),
				HINT = 'Options are batch_size, concurrency, max_attempts, backoff_ms, backoff_factor, backoff_max_ms, jitter, timeout_ms, processing_log, ordered, on_dead_letter, immediate, rate_limit, rate_burst, max_in_flight, backpressure, breaker_threshold, breaker_window_ms, breaker_recovery_ms, start, delivery_guarantee, idempotency_key, idempotency_window_ms, filter, circuitBreaker {threshold, windowMs, recoveryMs}, retryPolicy {maxAttempts, backoffMs, exponentialBackoff, jitter}.';
	END CASE;

	IF lower IS NOT NULL THEN
		IF type <> 'number' OR value::numeric NOT BETWEEN lower AND upper
			OR (whole AND value::numeric <> trunc(value::numeric)) THEN
			expected := format('a%s number from %s to %s',
				CASE WHEN whole THEN ' whole' ELSE '' END, lower, upper);
		ELSE
			value := to_jsonb(trim_scale(value::numeric));
		END IF;
	END IF;
	IF expected IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('invalid value of option "%s"', name),
			DETAIL = format('It must be %s and is %s.', expected, value);
	END IF;
	RETURN jsonb_build_object(canonical, value);
END
$$;
COMMENT ON FUNCTION event_engine.subscription_option(text, jsonb) IS
	'An option of a subscription under its canonical name, checked.';

/*
 * Options in snake_case or in the specification's camelCase, laid over base;
 * without a base, over the defaults.
 */
CREATE FUNCTION event_engine.subscription_options(options jsonb,
		base jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result jsonb := COALESCE(base, jsonb_build_object('batch_size', 5000,
		'max_attempts', 5, 'backoff_ms', 1000, 'backoff_factor', 2,
		'backoff_max_ms', 3600000, 'jitter', 0.2, 'timeout_ms', 30000,
		'processing_log', false, 'start', 'now'));
	policy jsonb := '{}';
	breaker jsonb := '{}';
	option record;
BEGIN
	IF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'options must be a JSON object';
	END IF;

	policy := COALESCE(options -> 'retryPolicy', options -> 'retry_policy', '{}');
	IF jsonb_typeof(policy) <> 'object' OR EXISTS (
			SELECT FROM jsonb_object_keys(policy) AS k (name)
			WHERE k.name NOT IN ('maxAttempts', 'max_attempts', 'backoffMs',
				'backoff_ms', 'backoffFactor', 'backoff_factor',
				'backoffMaxMs', 'maxBackoffMs', 'backoff_max_ms',
				'exponentialBackoff', 'exponential_backoff', 'jitter')) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'invalid value of option "retryPolicy"',
			DETAIL = 'It must be an object with maxAttempts, backoffMs, exponentialBackoff, backoffFactor, maxBackoffMs, jitter.';
	END IF;

	breaker := COALESCE(options -> 'circuitBreaker',
		options -> 'circuit_breaker', '{}');
	IF jsonb_typeof(breaker) <> 'object' OR EXISTS (
			SELECT FROM jsonb_object_keys(breaker) AS k (name)
			WHERE k.name NOT IN ('threshold', 'windowMs', 'window_ms',
				'recoveryMs', 'recovery_ms')) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'invalid value of option "circuitBreaker"',
			DETAIL = 'It must be an object with threshold, windowMs, recoveryMs.';
	END IF;

	FOR option IN
		SELECT o.key, o.value FROM jsonb_each(policy) AS o
		UNION ALL
		SELECT 'breaker_' || CASE o.key WHEN 'windowMs' THEN 'window_ms'
			WHEN 'recoveryMs' THEN 'recovery_ms' ELSE o.key END, o.value
		FROM jsonb_each(breaker) AS o
		UNION ALL
		SELECT o.key, o.value FROM jsonb_each(options) AS o
		WHERE o.key NOT IN ('retryPolicy', 'retry_policy', 'circuitBreaker',
			'circuit_breaker', 'filter')
	LOOP
		result := result
			|| event_engine.subscription_option(option.key, option.value);
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION event_engine.subscription_options(jsonb, jsonb) IS
	'Options of a subscription in canonical form, defaults filled in.';

/* Raises what forbids a function as handler of a role's subscription. */
CREATE FUNCTION event_engine.check_handler(owner oid, handler regprocedure)
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	function record;
	problem text;
BEGIN
	SELECT p.prokind, p.pronargs, p.proargtypes[0] AS argument, p.proretset,
			n.nspname
		INTO function
		FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
		WHERE p.oid = handler;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('handler %s does not exist', handler);
	END IF;

	IF function.prokind <> 'f' THEN
		problem := CASE function.prokind WHEN 'p' THEN 'It is a procedure.'
			WHEN 'a' THEN 'It is an aggregate.'
			ELSE 'It is a window function.' END;
	ELSIF function.proretset THEN
		problem := 'It returns a set.';
	ELSIF function.pronargs <> 1 OR function.argument NOT IN
		('event_engine.event'::regtype, 'event_engine.event[]'::regtype,
		 'jsonb'::regtype) THEN
		problem := 'A handler takes one argument, of type event_engine.event, event_engine.event[] or jsonb.';
	ELSIF function.nspname LIKE 'pg\_temp\_%' THEN
		problem := 'It is temporary: no other session can call it.';
	END IF;
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('function %s cannot be a handler', handler),
			DETAIL = problem;
	END IF;

	IF NOT has_function_privilege(owner, handler, 'EXECUTE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('permission denied for function %s', handler),
			DETAIL = format('Role %s owns the subscription and would run it.',
				owner::regrole);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_handler(oid, regprocedure) IS
	'Raises what forbids a function as handler of a role''s subscription.';

/*
 * The epochs of a subscription, with another one at the end where its options
 * assign events to lanes otherwise than before.
 */
CREATE FUNCTION event_engine.draft_epochs(draft event_engine.subscriptions)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN draft.epochs IS NULL THEN jsonb_build_array(e.epoch)
		WHEN draft.epochs -> -1 = e.epoch THEN draft.epochs
		ELSE draft.epochs || e.epoch END
	FROM (SELECT jsonb_build_object(
		'concurrency', COALESCE(draft.options -> 'concurrency', '1'),
		'ordered', COALESCE(draft.options -> 'ordered', 'false')) AS epoch) AS e
$$;
COMMENT ON FUNCTION event_engine.draft_epochs(event_engine.subscriptions) IS
	'Internal: by which rules the events of a subscription are assigned to lanes.';

/*
 * A subscription as it would be stored: old with what is given laid over it.
 * Null keeps what old has.  patterns and match are replaced together, filter
 * and filters as well; an empty filter is none.
 */
CREATE FUNCTION event_engine.subscription_draft(old event_engine.subscriptions,
		patterns text[], handler regprocedure, filter text, filters jsonb,
		match jsonb, channel text, kind text, options jsonb)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	draft event_engine.subscriptions := old;
	problem text;
	unknown text;
BEGIN
	IF old.kind = 'workflow' AND (patterns IS NOT NULL OR match IS NOT NULL
		OR filter IS NOT NULL OR filters IS NOT NULL OR options ? 'filter') THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('what dispatcher "%s" matches cannot be changed',
				old.subscriber),
			DETAIL = 'It follows from the waits and triggers of its workflows.';
	END IF;
	IF patterns IS NOT NULL OR match IS NOT NULL OR draft.match IS NULL THEN
		draft.patterns := COALESCE(patterns, '{}');
		IF array_position(draft.patterns, NULL) IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'VE301',
				MESSAGE = 'a pattern must not be null';
		END IF;
		draft.match := event_engine.subscription_match(draft.patterns, match);
	END IF;

	-- the specification has the filter among the options
	IF options ? 'filter' THEN
		IF filter IS NOT NULL OR filters IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'VE302',
				MESSAGE = 'filter is given twice',
				DETAIL = 'It is both a parameter and an option.';
		END IF;
		IF jsonb_typeof(options -> 'filter') = 'string' THEN
			filter := options ->> 'filter';
		ELSE
			filters := options -> 'filter';
		END IF;
	END IF;
	-- a list may be given as text
	IF ltrim(filter, E' \t\n') LIKE '[%' THEN
		IF filters IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'VE302',
				MESSAGE = 'filter is given twice',
				DETAIL = 'Both filter and filters are lists.';
		END IF;
		filters := filter::jsonb;
		filter := '';
	END IF;
	IF filter IS NOT NULL OR filters IS NOT NULL THEN
		draft.filter_path := NULLIF(btrim(filter), '');
		draft.filters := NULLIF(filters, '[]');
	END IF;

	draft.kind := COALESCE(kind, draft.kind,
		CASE WHEN handler IS NOT NULL THEN 'handler'
			WHEN channel IS NOT NULL THEN 'notify' ELSE 'pull' END);
	draft.handler := COALESCE(handler::text, draft.handler);
	draft.channel := COALESCE(channel, draft.channel);
	draft.options := event_engine.subscription_options(
		COALESCE(options, '{}'), draft.options);

	problem := CASE
		WHEN draft.kind NOT IN ('handler', 'pull', 'notify')
			AND old.kind IS DISTINCT FROM 'workflow'
			THEN format('There is no kind "%s".', draft.kind)
		WHEN draft.kind = 'handler' AND draft.handler IS NULL
			THEN 'Kind handler needs a handler.'
		WHEN draft.kind <> 'handler' AND draft.handler IS NOT NULL
			THEN format('Kind %s has no handler.', draft.kind)
		WHEN draft.kind = 'notify' AND draft.channel IS NULL
			THEN 'Kind notify needs a channel.'
		WHEN draft.kind <> 'notify' AND draft.channel IS NOT NULL
			THEN format('Kind %s has no channel.', draft.kind)
		WHEN draft.channel = '' OR octet_length(draft.channel) > 63
			THEN 'A channel has 1 to 63 bytes.'
		WHEN draft.kind <> 'handler' AND (draft.options -> 'ordered')::boolean
			THEN format('Kind %s cannot be ordered: only a handler tells when an event is done with.', draft.kind)
		WHEN draft.kind NOT IN ('handler', 'workflow')
			AND (draft.options ->> 'concurrency')::integer > 1
			THEN format('Kind %s has no concurrency.', draft.kind)
		WHEN draft.kind = 'notify' AND draft.options ->> 'delivery_guarantee'
			IN ('at_least_once', 'exactly_once')
			THEN 'Kind notify delivers at most once.'
		WHEN (draft.options -> 'immediate')::boolean AND draft.kind <> 'handler'
			THEN 'Only a handler can be called immediately.'
		WHEN (draft.options -> 'immediate')::boolean
			AND draft.options ->> 'start' <> 'now'
			THEN 'Immediate delivery begins now.'
		WHEN draft.kind <> 'handler' AND draft.options ?| ARRAY[
			'breaker_threshold', 'breaker_window_ms', 'breaker_recovery_ms']
			THEN format(CASE draft.kind
				WHEN 'workflow' THEN 'Kind %s has no circuit breaker: a step that fails harms no other workflow.'
				ELSE 'Kind %s has no circuit breaker, as it makes no attempts.' END,
				draft.kind)
		WHEN draft.kind = 'notify' AND draft.options ? 'max_in_flight'
			THEN 'Kind notify has nothing in flight.'
		END;
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('invalid subscription "%s"', draft.subscriber),
			DETAIL = problem,
			HINT = 'A subscription is of kind handler (a function is called), notify (a channel is notified) or pull (clients call receive_events).';
	END IF;

	IF draft.kind <> 'workflow' THEN
		PERFORM event_engine.check_match(draft.match, draft.filter_path,
			draft.filters);
	END IF;
	SELECT m.entry ->> 'value' INTO unknown
		FROM jsonb_array_elements(draft.match) AS m (entry)
		WHERE m.entry ->> 'type' = 'exact' AND draft.kind <> 'workflow'
			AND NOT EXISTS (SELECT FROM event_engine.event_definitions AS d
				WHERE d.pattern = m.entry ->> 'value')
		LIMIT 1;
	IF unknown IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE001',
			MESSAGE = format('unknown event pattern "%s"', unknown),
			DETAIL = 'An exact pattern must be registered before it is subscribed to.',
			HINT = 'Register it with event_engine.register_event_definition(), or subscribe to a wildcard.';
	END IF;

	draft.epochs := event_engine.draft_epochs(draft);

	IF draft.kind = 'handler' THEN
		PERFORM event_engine.check_handler(draft.owner,
			draft.handler::regprocedure);
	END IF;
	IF draft.kind <> 'pull'
		AND current_setting('server_version_num')::integer < 170000
		AND NOT (SELECT r.rolcanlogin FROM pg_roles AS r
			WHERE r.oid = draft.owner) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('role %s may not log in and cannot have a worker',
				draft.owner),
			DETAIL = format('Subscriptions of kind %s are run by a worker as their owner; before PostgreSQL 17 that role must be allowed to log in.', draft.kind),
			HINT = 'ALTER ROLE ... LOGIN, subscribe as another role, or subscribe without handler and channel and pull.';
	END IF;
	RETURN draft;
END
$$;
COMMENT ON FUNCTION event_engine.subscription_draft(event_engine.subscriptions, text[], regprocedure, text, jsonb, jsonb, text, text, jsonb) IS
	'A subscription as it would be stored, checked.';

/*
 * The subscription of that name, locked, if the caller may change it: its
 * owner, members of that role, and superusers.
 */
CREATE FUNCTION event_engine.own_subscription(caller oid, subscriber text)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.subscriptions;
BEGIN
	SELECT s.* INTO stored FROM event_engine.subscriptions AS s
		WHERE s.subscriber = own_subscription.subscriber
		FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE303',
			MESSAGE = format('unknown subscription "%s"', subscriber);
	END IF;
	IF NOT pg_has_role(caller, stored.owner::oid, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of subscription "%s"', subscriber),
			DETAIL = format('It belongs to role %s.', stored.owner);
	END IF;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.own_subscription(oid, text) IS
	'Locks a subscription that the caller may change.';

/* ---- Subscribe ---- */

CREATE FUNCTION event_engine.subscribe_as(caller oid, subscriber text,
		patterns text[], handler regprocedure, filter text, filters jsonb,
		match jsonb, channel text, kind text, options jsonb)
	RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	draft event_engine.subscriptions;
	stored event_engine.subscriptions;
BEGIN
	IF subscriber IS NULL OR subscriber = '' OR length(subscriber) > 255 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'invalid name of a subscriber',
			DETAIL = 'A name has 1 to 255 characters.';
	END IF;
	draft.subscriber := subscriber;
	draft.owner := caller::regrole;
	draft := event_engine.subscription_draft(draft, patterns, handler, filter,
		filters, match, channel, kind, options);

	-- again if what stood in the way is gone when looked at
	LOOP
		INSERT INTO event_engine.subscriptions AS s (subscriber, owner, kind,
				patterns, match, filter_path, filters, handler, channel,
				options, epochs)
			VALUES (draft.subscriber, draft.owner, draft.kind, draft.patterns,
				draft.match, draft.filter_path, draft.filters, draft.handler,
				draft.channel, draft.options, draft.epochs)
			ON CONFLICT ON CONSTRAINT subscriptions_subscriber_key DO NOTHING
			RETURNING s.* INTO stored;
		IF FOUND THEN
			PERFORM event_engine.start_cursor(stored.number,
				stored.options ->> 'start');
			RETURN stored.id;
		END IF;

		SELECT s.* INTO stored FROM event_engine.subscriptions AS s
			WHERE s.subscriber = draft.subscriber;
		EXIT WHEN FOUND;
	END LOOP;

	IF (stored.owner, stored.kind, stored.patterns, stored.match,
			stored.filter_path, stored.filters, stored.handler,
			stored.channel, stored.options)
		IS DISTINCT FROM
		(draft.owner, draft.kind, draft.patterns, draft.match,
			draft.filter_path, draft.filters, draft.handler,
			draft.channel, draft.options) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('subscription "%s" exists and is defined otherwise',
				draft.subscriber),
			HINT = 'Change it with event_engine.update_subscription(), which keeps its place in the log, or remove it with event_engine.unsubscribe().';
	END IF;
	RETURN stored.id;
END
$$;
COMMENT ON FUNCTION event_engine.subscribe_as(oid, text, text[], regprocedure, text, jsonb, jsonb, text, text, jsonb) IS
	'Does the work of subscribe() for the given role.';

CREATE FUNCTION event_engine.subscribe(subscriber text, patterns text[],
		handler regprocedure, filter text DEFAULT NULL,
		filters jsonb DEFAULT NULL, match jsonb DEFAULT NULL,
		channel text DEFAULT NULL, kind text DEFAULT NULL,
		options jsonb DEFAULT '{}')
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.subscribe(text, text[], regprocedure, text, jsonb, jsonb, text, text, jsonb) IS
	'Subscribes to events; the same with the handler as text.';

/*
 * subscribe
 *
 *	subscriber	unique name
 *	patterns	exact names, AMQP wildcards (* one segment, # any number)
 *	handler		function called with each event, batch or envelope, as a name
 *				or a signature; resolved by the caller's search path, which is
 *				why that is not pinned here: all else was bound when the
 *				extension was created
 *	filter		SQL/JSON path predicate over the envelope, or a filter list
 *				as text
 *	filters		list of {"field", "operator", "value"}
 *	match		{"type": "exact|wildcard|prefix|regex", "value", "filters"}, or
 *				an array of them, beside patterns
 *	channel		of NOTIFY
 *	kind		handler | notify | pull; told from handler and channel
 *	options		see subscription_options()
 *
 * Result: the id; the same definition again gives the same id.
 * Writes: subscriptions, and the cursor.
 */
CREATE FUNCTION event_engine.subscribe(subscriber text,
		patterns text[] DEFAULT '{}', handler text DEFAULT NULL,
		filter text DEFAULT NULL, filters jsonb DEFAULT NULL,
		match jsonb DEFAULT NULL, channel text DEFAULT NULL,
		kind text DEFAULT NULL, options jsonb DEFAULT '{}')
	RETURNS uuid
	LANGUAGE sql
RETURN event_engine.subscribe(subscriber, patterns,
	event_engine.find_handler(handler), filter, filters, match, channel,
	kind, options);
COMMENT ON FUNCTION event_engine.subscribe(text, text[], text, text, jsonb, jsonb, text, text, jsonb) IS
	'Subscribes to events: a function is called, a channel notified, or clients pull.';

/*
 * The same for whoever changes what is delivered, and to whom: waits for a
 * batch that is running, so that nothing of the old kind happens after the
 * change is committed.  Pulling clients are not waited for.  The lock is taken
 * before the row: a batch that runs holds the lock, and may want the row.
 */
CREATE FUNCTION event_engine.own_idle_subscription(caller oid,
		subscriber text)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted integer;
BEGIN
	SELECT s.number INTO wanted FROM event_engine.subscriptions AS s
		WHERE s.subscriber = own_idle_subscription.subscriber
			AND s.kind <> 'pull' AND pg_has_role(caller, s.owner::oid, 'USAGE');
	IF FOUND THEN
		PERFORM event_engine.lock_subscription(wanted);
	END IF;
	RETURN event_engine.own_subscription(caller, subscriber);
END
$$;
COMMENT ON FUNCTION event_engine.own_idle_subscription(oid, text) IS
	'Internal: locks a subscription that the caller may change, and keeps delivery to it out.';

/* ---- Update: what is matched and how; the place in the log stays ---- */

CREATE FUNCTION event_engine.update_subscription_as(caller oid,
		subscriber text, patterns text[], handler regprocedure, filter text,
		filters jsonb, match jsonb, channel text, options jsonb)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old event_engine.subscriptions;
	draft event_engine.subscriptions;
BEGIN
	old := event_engine.own_idle_subscription(caller, subscriber);
	IF options ? 'start' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'option "start" cannot be changed',
			HINT = 'Move the cursor with event_engine.seek_subscription().';
	END IF;
	draft := event_engine.subscription_draft(old, patterns, handler, filter,
		filters, match, channel, NULL, options);
	-- it has no place in the log to go on from
	IF (draft.options -> 'immediate') IS DISTINCT FROM
		(old.options -> 'immediate') THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'option "immediate" cannot be changed',
			HINT = 'Unsubscribe, and subscribe again.';
	END IF;

	UPDATE event_engine.subscriptions AS s
		SET patterns = draft.patterns, match = draft.match,
			filter_path = draft.filter_path, filters = draft.filters,
			handler = draft.handler, channel = draft.channel,
			options = draft.options, epochs = draft.epochs,
			updated_at = clock_timestamp()
		WHERE s.number = old.number;
	PERFORM event_engine.reorder_deliveries(old, draft);
	-- all lanes are locked: what was published until now is theirs
	IF draft.epochs <> old.epochs THEN
		PERFORM event_engine.begin_epoch(old.number,
			old.epoch + jsonb_array_length(old.epochs));
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.update_subscription_as(oid, text, text[], regprocedure, text, jsonb, jsonb, text, jsonb) IS
	'Does the work of update_subscription() for the given role.';

CREATE FUNCTION event_engine.update_subscription(subscriber text,
		patterns text[], handler regprocedure, filter text DEFAULT NULL,
		filters jsonb DEFAULT NULL, match jsonb DEFAULT NULL,
		channel text DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.update_subscription(text, text[], regprocedure, text, jsonb, jsonb, text, jsonb) IS
	'Changes a subscription; the same with the handler as text.';

/*
 * Parameters as of subscribe(); null leaves things as they are.  patterns
 * and match replace both, filter and filters likewise; filter '' removes the
 * filter; options are laid over those that are set.
 */
CREATE FUNCTION event_engine.update_subscription(subscriber text,
		patterns text[] DEFAULT NULL, handler text DEFAULT NULL,
		filter text DEFAULT NULL, filters jsonb DEFAULT NULL,
		match jsonb DEFAULT NULL, channel text DEFAULT NULL,
		options jsonb DEFAULT NULL)
	RETURNS void
	LANGUAGE sql
RETURN event_engine.update_subscription(subscriber, patterns,
	event_engine.find_handler(handler), filter, filters, match, channel,
	options);
COMMENT ON FUNCTION event_engine.update_subscription(text, text[], text, text, jsonb, jsonb, text, jsonb) IS
	'Changes what a subscription matches and how it is delivered, keeping its place in the log.';

CREATE VIEW event_engine.subscription_list AS
	SELECT s.subscriber, s.kind, s.status, s.status_reason, s.owner, s.match,
		s.filter_path, s.filters, s.handler, s.channel, s.options, s.id,
		s.number, s.created_at, s.updated_at
	FROM event_engine.subscriptions AS s;
COMMENT ON VIEW event_engine.subscription_list IS
	'The subscriptions: who, what, how.';

REVOKE ALL ON FUNCTION
	event_engine.subscribe_as(oid, text, text[], regprocedure, text, jsonb, jsonb, text, text, jsonb),
	event_engine.update_subscription_as(oid, text, text[], regprocedure, text, jsonb, jsonb, text, jsonb)
FROM PUBLIC;
/* ------------------------------------------------------------------------
 * Routing: explain who gets what, and try a filter on history.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.explain_match(event event_engine.event)
	RETURNS TABLE (subscriber text, matches boolean, reason text)
	LANGUAGE c STABLE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_explain_match';
COMMENT ON FUNCTION event_engine.explain_match(event_engine.event) IS
	'Whom an event reaches, and why the others not.';

CREATE FUNCTION event_engine.pattern_subscribers(pattern text)
	RETURNS SETOF text
	LANGUAGE c STABLE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_pattern_subscribers';
COMMENT ON FUNCTION event_engine.pattern_subscribers(text) IS
	'Who has subscribed to events of this name, filters aside.';

/*
 * The cost does not grow with the number of subscriptions whose filters demand
 * other values than the event has.
 */
CREATE FUNCTION event_engine.event_subscribers(event event_engine.event)
	RETURNS SETOF text
	LANGUAGE c STABLE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_event_subscribers';
COMMENT ON FUNCTION event_engine.event_subscribers(event_engine.event) IS
	'Whom an event reaches, found by the values that it has.';

/* An event that has not happened; times are now. */
CREATE FUNCTION event_engine.match_event(pattern text, payload jsonb,
		metadata jsonb DEFAULT '{}', source jsonb DEFAULT NULL)
	RETURNS TABLE (subscriber text, matches boolean, reason text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT m.subscriber, m.matches, m.reason
	FROM event_engine.explain_match(ROW(gen_random_uuid(), NULL, pattern,
		NULL, COALESCE(source, jsonb_build_object('type', 'external',
			'id', current_user)), clock_timestamp(), payload,
		COALESCE(metadata, '{}'), clock_timestamp(), NULL, NULL, NULL,
		'normal', current_user, NULL, NULL, NULL)::event_engine.event) AS m
$$;
COMMENT ON FUNCTION event_engine.match_event(text, jsonb, jsonb, jsonb) IS
	'Whom an event like this would reach, and why the others not.';

CREATE FUNCTION event_engine.match_event(id uuid)
	RETURNS TABLE (subscriber text, matches boolean, reason text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	event event_engine.event;
BEGIN
	SELECT e.* INTO event FROM event_engine.events AS e
		WHERE e.id = match_event.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE205',
			MESSAGE = format('unknown event "%s"', id);
	END IF;
	RETURN QUERY SELECT m.subscriber, m.matches, m.reason
		FROM event_engine.explain_match(event) AS m;
END
$$;
COMMENT ON FUNCTION event_engine.match_event(uuid) IS
	'Whom a stored event reaches, and why the others not.';

/*
 * Try patterns and filters on the newest events before subscribing.
 *
 *	matched, tested		how many of how many
 *	examples			envelopes of the newest that matched
 */
CREATE FUNCTION event_engine.test_filter(patterns text[] DEFAULT '{}',
		filter text DEFAULT NULL, filters jsonb DEFAULT NULL,
		match jsonb DEFAULT NULL, max_events integer DEFAULT 1000,
		max_examples integer DEFAULT 3,
		OUT matched bigint, OUT tested bigint, OUT examples jsonb)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted CONSTANT jsonb := NULLIF(
		event_engine.subscription_match(patterns, match), '[]');
BEGIN
	IF ltrim(filter, E' \t\n') LIKE '[%' THEN
		filters := filter::jsonb;
		filter := NULL;
	END IF;
	WITH newest AS (
		SELECT e.* FROM event_engine.events AS e
		ORDER BY e.seq DESC LIMIT max_events
	), tried AS (
		SELECT n.seq, n::event_engine.event AS event,
			event_engine.event_matches(n::event_engine.event,
				COALESCE(wanted, '[{"type": "wildcard", "value": "#"}]'),
				NULLIF(btrim(filter), ''), filters) AS matches
		FROM (SELECT ROW(w.*)::event_engine.event AS n, w.seq
			FROM newest AS w) AS n
	)
	SELECT count(*) FILTER (WHERE t.matches), count(*),
			(SELECT COALESCE(jsonb_agg(event_engine.event_envelope(x.event)
				ORDER BY x.seq DESC), '[]')
			FROM (SELECT y.event, y.seq FROM tried AS y WHERE y.matches
				ORDER BY y.seq DESC LIMIT max_examples) AS x)
		INTO matched, tested, examples
		FROM tried AS t;
END
$$;
COMMENT ON FUNCTION event_engine.test_filter(text[], text, jsonb, jsonb, integer, integer) IS
	'Tries patterns and filters on the newest events: how many match, and some of them.';
/* ------------------------------------------------------------------------
 * Routing: the keys by which conditions are found that an event may fulfil.
 *
 * A condition has one: a hash of the pattern, and of path and value of the
 * term that its conjunction demands to be equal and that looks most
 * selective, or of the pattern alone where it demands none.  An event has a
 * key for each scalar that the path leads to.  See src/routing/equality.c.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.equality_terms(condition text,
		filters jsonb DEFAULT NULL, vars jsonb DEFAULT NULL)
	RETURNS TABLE (path text, value jsonb, chosen boolean)
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_equality_terms';
COMMENT ON FUNCTION event_engine.equality_terms(text, jsonb, jsonb) IS
	'Internal: what a condition demands to be equal to a value.';

CREATE FUNCTION event_engine.equality_key(pattern text, condition text,
		filters jsonb DEFAULT NULL, vars jsonb DEFAULT NULL)
	RETURNS bigint
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_equality_key';
COMMENT ON FUNCTION event_engine.equality_key(text, text, jsonb, jsonb) IS
	'Internal: the key of a condition on events of a pattern.';

CREATE FUNCTION event_engine.event_equality_keys(event event_engine.event,
		pattern text, path text)
	RETURNS bigint[]
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_event_equality_keys';
COMMENT ON FUNCTION event_engine.event_equality_keys(event_engine.event, text, text) IS
	'Internal: the keys that an event has for a pattern and a path.';
/* ------------------------------------------------------------------------
 * Routing: pause, resume, unsubscribe.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.pause_subscription_as(caller oid,
		subscriber text, reason text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old event_engine.subscriptions;
BEGIN
	old := event_engine.own_idle_subscription(caller, subscriber);
	UPDATE event_engine.subscriptions AS s
		SET status = 'paused', status_reason = reason,
			updated_at = clock_timestamp()
		WHERE s.number = old.number
			AND (s.status, s.status_reason)
				IS DISTINCT FROM ('paused', reason);
END
$$;
COMMENT ON FUNCTION event_engine.pause_subscription_as(oid, text, text) IS
	'Does the work of pause_subscription() for the given role.';

CREATE FUNCTION event_engine.pause_subscription(subscriber text,
		reason text DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.pause_subscription(text, text) IS
	'Stops delivery to a subscription; its events wait in the log.';

CREATE FUNCTION event_engine.resume_subscription_as(caller oid,
		subscriber text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old event_engine.subscriptions;
BEGIN
	old := event_engine.own_subscription(caller, subscriber);
	IF old.kind = 'handler' THEN
		IF to_regprocedure(old.handler) IS NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'VE401',
				MESSAGE = format('handler %s does not exist', old.handler),
				HINT = 'Create the function, or name another with event_engine.update_subscription().';
		END IF;
		PERFORM event_engine.check_handler(old.owner,
			old.handler::regprocedure);
	END IF;
	PERFORM event_engine.close_breaker(old.number, old.id);
	UPDATE event_engine.subscriptions AS s
		SET status = 'active', status_reason = NULL,
			updated_at = clock_timestamp()
		WHERE s.number = old.number AND s.status <> 'active';
END
$$;
COMMENT ON FUNCTION event_engine.resume_subscription_as(oid, text) IS
	'Does the work of resume_subscription() for the given role.';

CREATE FUNCTION event_engine.resume_subscription(subscriber text)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.resume_subscription(text) IS
	'Delivers to a paused or broken subscription again, from where it stands, and closes its circuit breaker.';

/*
 * The lock is taken before the row: a batch that runs holds the lock, and
 * may want the row.
 */
CREATE FUNCTION event_engine.unsubscribe_as(caller oid, subscriber text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted integer;
	old event_engine.subscriptions;
BEGIN
	SELECT s.number INTO wanted FROM event_engine.subscriptions AS s
		WHERE s.subscriber = unsubscribe_as.subscriber
			AND pg_has_role(caller, s.owner::oid, 'USAGE');
	IF FOUND THEN
		PERFORM event_engine.lock_subscription(wanted);
	END IF;
	old := event_engine.own_subscription(caller, subscriber);
	IF old.kind = 'workflow' THEN
		PERFORM event_engine.check_dispatcher_unused(old.number, subscriber);
	END IF;

	DELETE FROM event_engine.subscriptions AS s WHERE s.number = old.number;
	DELETE FROM event_engine.event_leases AS l
		WHERE l.subscription_number = old.number;
	UPDATE event_engine.event_replays AS r
		SET status = 'cancelled', finished_at = clock_timestamp()
		WHERE r.subscription_number = old.number AND r.status = 'running';
	DELETE FROM event_engine.deliveries AS d
		WHERE d.subscription_number = old.number;
	DELETE FROM event_engine.delivery_keys AS k
		WHERE k.subscription_number = old.number;
	DELETE FROM event_engine.delivery_counts AS t
		WHERE t.subscription_number = old.number;
	DELETE FROM event_engine.subscription_cursor_moves AS m
		WHERE m.subscription_number = old.number;
	DELETE FROM event_engine.subscription_cursors AS c
		WHERE c.subscription_number = old.number;
END
$$;
COMMENT ON FUNCTION event_engine.unsubscribe_as(oid, text) IS
	'Does the work of unsubscribe() for the given role.';

CREATE FUNCTION event_engine.unsubscribe(subscriber text)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.unsubscribe(text) IS
	'Removes a subscription with its cursor and its pending deliveries; dead letters stay.';

REVOKE ALL ON FUNCTION
	event_engine.pause_subscription_as(oid, text, text),
	event_engine.resume_subscription_as(oid, text),
	event_engine.unsubscribe_as(oid, text)
FROM PUBLIC;
/* ------------------------------------------------------------------------
 * Delivery: cursors, and the exceptions.  A delivery that succeeds writes
 * one cursor move for its whole batch, and nothing per event.
 * ------------------------------------------------------------------------ */

/*
 * subscription_cursors: where the lanes of a subscription stood when their
 * moves were last gathered, one row each; updated about once a minute at most.
 *
 *	lane			epoch * 1024 + index * 4 + class (0 critical to 3 low); the
 *					last of an epoch (1023) is where its lanes begin that have no
 *					row yet, and its totals are those of the epochs before
 *
 * A cursor is (low position, high position, seq): all that was visible at
 * low is consumed, and of what became visible between low and high all up to
 * seq.  high is null between two ranges.  A position is a snapshot, the
 * highest seq handed out when it was taken, and the base_seq of then.
 *
 *	move			counts the moves of this cursor, ever
 *	delivered, failed, dead		totals over the life of the subscription
 */
CREATE TABLE event_engine.subscription_cursors (
	subscription_number integer NOT NULL,
	lane integer NOT NULL,
	move bigint NOT NULL,
	low_snapshot pg_snapshot NOT NULL,
	low_seq bigint NOT NULL,
	low_base_seq bigint NOT NULL,
	high_snapshot pg_snapshot,
	high_seq bigint,
	high_base_seq bigint,
	seq bigint NOT NULL,
	delivered bigint NOT NULL,
	failed bigint NOT NULL,
	dead bigint NOT NULL,
	moved_at timestamptz NOT NULL,
	PRIMARY KEY (subscription_number, lane)
);
COMMENT ON TABLE event_engine.subscription_cursors IS
	'Where each lane of a subscription stood when its moves were last gathered.';

/*
 * subscription_cursor_moves: the same columns, appended to by every batch in
 * the transaction of its effects, gathered into subscription_cursors and
 * emptied by TRUNCATE.  Nothing in it is updated, or deleted save where a
 * subscription or an epoch ends, hence a
 * snapshot held open elsewhere costs it nothing.
 */
CREATE TABLE event_engine.subscription_cursor_moves (
	subscription_number integer NOT NULL,
	lane integer NOT NULL,
	move bigint NOT NULL,
	low_snapshot pg_snapshot NOT NULL,
	low_seq bigint NOT NULL,
	low_base_seq bigint NOT NULL,
	high_snapshot pg_snapshot,
	high_seq bigint,
	high_base_seq bigint,
	seq bigint NOT NULL,
	delivered bigint NOT NULL,
	failed bigint NOT NULL,
	dead bigint NOT NULL,
	moved_at timestamptz NOT NULL
);
COMMENT ON TABLE event_engine.subscription_cursor_moves IS
	'Moves of cursors since they were last gathered; the latest one counts.';
CREATE UNIQUE INDEX subscription_cursor_moves_idx
	ON event_engine.subscription_cursor_moves (subscription_number, lane, move);

/*
 * deliveries: only the exceptions.
 *
 *	status			retry		failed before, due at next_attempt_at
 *					delayed		not due before deliver_at
 *					parked		behind a failing event of the same key
 *					halted		a dead letter that holds up its key until a
 *								person redrives or discards it
 *					released	discarded: those behind it follow
 *					leased		handed to a pulling client until next_attempt_at
 *	attempts		made so far
 *	receipt			of the lease: who holds it may acknowledge
 *	last_error...	of the latest attempt
 *	event			the event itself, so that a retry reads one row
 *	partition_key	the event's, where it holds up later ones of that key
 */
CREATE TABLE event_engine.deliveries (
	subscription_number integer NOT NULL,
	seq bigint NOT NULL,
	id uuid NOT NULL,
	status text NOT NULL
		CHECK (status IN ('retry', 'delayed', 'parked', 'halted', 'released',
			'leased')),
	attempts integer NOT NULL DEFAULT 0,
	next_attempt_at timestamptz NOT NULL,
	receipt uuid,
	event event_engine.event NOT NULL,
	last_error text,
	error_details jsonb,
	first_failed_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	partition_key varchar(255) COLLATE "C",
	PRIMARY KEY (subscription_number, seq)
);
COMMENT ON TABLE event_engine.deliveries IS
	'Deliveries that did not simply succeed: retried, delayed, parked or leased.';
/*
 * An expression, so that a statement says by which index it is to run: one
 * that names the column and seq finds its row by the primary key.  Planned
 * while the table is small it took this one, and read all of a subscription
 * for each row ever after.
 */
CREATE INDEX deliveries_due_idx ON event_engine.deliveries
	((subscription_number::bigint), next_attempt_at, seq);
CREATE INDEX deliveries_partition_key_idx ON event_engine.deliveries
	(subscription_number, partition_key, seq) WHERE partition_key IS NOT NULL;
CREATE INDEX deliveries_receipt_idx ON event_engine.deliveries (receipt)
	WHERE receipt IS NOT NULL;

/*
 * event_leases: events handed to pulling clients and not yet acknowledged,
 * one row for those of a receipt that have been handed out equally often.
 * Events that have a row in deliveries are leased there.
 *
 *	receipt			fences: a late owner's receipt is no longer here
 *	seqs			their positions in the log
 *	first_at, last_at	span of their created_at, to find them in few partitions
 *	attempts		how often they have been handed out, this time included
 *	expires_at		from then on they belong to whoever asks
 */
CREATE TABLE event_engine.event_leases (
	receipt uuid NOT NULL,
	subscription_number integer NOT NULL,
	seqs bigint[] NOT NULL,
	first_at timestamptz NOT NULL,
	last_at timestamptz NOT NULL,
	attempts integer NOT NULL,
	leased_by text NOT NULL,
	leased_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	PRIMARY KEY (receipt, attempts)
);
COMMENT ON TABLE event_engine.event_leases IS
	'Events handed to pulling clients and not yet acknowledged.';
/* a thousand positions: compressing them would cost what reading events does */
ALTER TABLE event_engine.event_leases ALTER seqs SET STORAGE EXTERNAL;
/* a thousand positions: compressing them would cost what reading events does */
ALTER TABLE event_engine.event_leases ALTER seqs SET STORAGE EXTERNAL;
CREATE INDEX event_leases_expires_at_idx ON event_engine.event_leases
	(subscription_number, expires_at);

/*
 * delivery_counts: what became of pulled events, not yet added to the totals
 * of the cursor: whoever settles a receipt does not have the subscription's
 * lock, and the next to read the log has.
 */
CREATE TABLE event_engine.delivery_counts (
	subscription_number integer NOT NULL,
	delivered bigint NOT NULL,
	failed bigint NOT NULL,
	dead bigint NOT NULL
);
COMMENT ON TABLE event_engine.delivery_counts IS
	'Outcomes of pulled events, to be added to the totals of their cursors.';
CREATE INDEX delivery_counts_subscription_number_idx
	ON event_engine.delivery_counts (subscription_number);

/*
 * received_event: an event as receive_events() gives it.
 *
 *	receipt		to acknowledge it with; the same for all events of a call
 *	attempts	how often it has been handed out, this time included
 *	id, ...		the columns of event_engine.event, save xid
 */
CREATE TYPE event_engine.received_event AS (
	receipt uuid,
	attempts integer,
	id uuid,
	event_id varchar(255) COLLATE "C",
	pattern varchar(255) COLLATE "C",
	version varchar(50),
	source jsonb,
	"timestamp" timestamptz,
	payload jsonb,
	metadata jsonb,
	created_at timestamptz,
	partition_key varchar(255) COLLATE "C",
	aggregate_type varchar(255),
	aggregate_version bigint,
	priority event_engine.event_priority,
	created_by text,
	deliver_at timestamptz,
	seq bigint
);
COMMENT ON TYPE event_engine.received_event IS
	'An event as a pulling client receives it, with the receipt of its lease.';

/*
 * executor_starts: starts of an executor of a role since it was last known to
 * have been through all its subscriptions.  More than one tells that a
 * handler may be taking it down.
 */
CREATE TABLE event_engine.executor_starts (
	owner oid NOT NULL,
	member integer NOT NULL,
	starts integer NOT NULL,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (owner, member)
);
COMMENT ON TABLE event_engine.executor_starts IS
	'Starts of executors that have not yet proven to survive their work.';

/*
 * event_dead_letters: deliveries given up.  Self-contained: a row outlives
 * the event's partition and its subscription.
 *
 *	subscriber		who could not digest it
 *	event_id		the event's identifier (its id where it had no event_id)
 *	event_type		its pattern
 *	payload			its payload; envelope holds all the rest
 *	seq				its position in the log
 *	retry_count		attempts made since it was put back, or ever
 *	previous_id		the letter that was redriven when this was made of the same
 *					event: its error and attempts came before these
 *	error_message	of the last attempt; error_details: SQLSTATE, detail,
 *					hint, context, attempt, durationMs
 *	original_created_at	arrival of the event
 *	status			dead | redriven | discarded
 */
CREATE TABLE event_engine.event_dead_letters (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	subscriber varchar(255) NOT NULL,
	event_id varchar(255) NOT NULL,
	event_type varchar(255) NOT NULL,
	payload jsonb,
	envelope jsonb NOT NULL,
	seq bigint NOT NULL,
	error_message text NOT NULL,
	error_details jsonb,
	retry_count integer NOT NULL,
	original_created_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	status text NOT NULL DEFAULT 'dead'
		CHECK (status IN ('dead', 'redriven', 'discarded')),
	status_changed_at timestamptz,
	previous_id uuid
);
COMMENT ON TABLE event_engine.event_dead_letters IS
	'Deliveries given up, whole: an operator redrives or discards them.';
CREATE INDEX event_dead_letters_subscriber_idx
	ON event_engine.event_dead_letters (subscriber, created_at);
CREATE INDEX event_dead_letters_seq_idx
	ON event_engine.event_dead_letters (subscriber, seq);
CREATE INDEX event_dead_letters_settled_idx
	ON event_engine.event_dead_letters (status_changed_at) WHERE status <> 'dead';

/*
 * delivery_keys: what subscriptions with the option idempotency_key have
 * handled, by that key of the events.
 *
 *	key			what the path gives of the envelope, as JSON text; a long one as
 *				md5 of that
 *	seq			of the event that was handled
 *	expires_at	from then on another event with that key is handled again
 */
CREATE TABLE event_engine.delivery_keys (
	subscription_number integer NOT NULL,
	key text COLLATE "C" NOT NULL,
	seq bigint NOT NULL,
	expires_at timestamptz NOT NULL,
	PRIMARY KEY (subscription_number, key)
);
COMMENT ON TABLE event_engine.delivery_keys IS
	'Keys of events that a subscription has handled, within its window.';
CREATE INDEX delivery_keys_expires_at_idx
	ON event_engine.delivery_keys (expires_at);

/*
 * event_processing_log: one row per finished delivery, only for subscriptions
 * with the option processing_log.
 */
CREATE TABLE event_engine.event_processing_log (
	subscriber varchar(255) NOT NULL,
	id uuid NOT NULL,
	pattern varchar(255) NOT NULL,
	outcome text NOT NULL CHECK (outcome IN ('delivered', 'failed', 'dead')),
	attempt integer NOT NULL,
	error_message text,
	started_at timestamptz NOT NULL,
	finished_at timestamptz NOT NULL
);
COMMENT ON TABLE event_engine.event_processing_log IS
	'Finished deliveries of subscriptions that ask for a log.';
CREATE INDEX event_processing_log_id_idx
	ON event_engine.event_processing_log (id);
CREATE INDEX event_processing_log_finished_at_idx
	ON event_engine.event_processing_log USING brin (finished_at);
/* ------------------------------------------------------------------------
 * Delivery: what the workers do, callable.
 * ------------------------------------------------------------------------ */

/* Of use to subscribe() and unsubscribe() only. */
CREATE FUNCTION event_engine.start_cursor(number integer, start text)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_start_cursor';
COMMENT ON FUNCTION event_engine.start_cursor(integer, text) IS
	'Internal: gives a subscription its first cursor, at now, beginning or a time.';

CREATE FUNCTION event_engine.begin_epoch(number integer, epoch integer)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_begin_epoch';
COMMENT ON FUNCTION event_engine.begin_epoch(integer, integer) IS
	'Internal: events from here on are assigned to lanes by another rule.';

/* The running one is over: its totals go on, its cursors do not. */
CREATE FUNCTION event_engine.begin_next_epoch(number integer)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp AS $$
	UPDATE event_engine.subscription_cursors AS o
		SET delivered = o.delivered + t.delivered, failed = o.failed + t.failed,
			dead = o.dead + t.dead, moved_at = t.moved_at
		FROM event_engine.subscriptions AS s,
			LATERAL (SELECT sum(l.delivered)::bigint AS delivered,
				sum(l.failed)::bigint AS failed, sum(l.dead)::bigint AS dead,
				max(l.moved_at) AS moved_at
			FROM (SELECT DISTINCT ON (m.lane) m.* FROM (
					SELECT a.lane, a.move, a.delivered, a.failed, a.dead, a.moved_at
					FROM event_engine.subscription_cursor_moves AS a
					WHERE a.subscription_number = s.number
						AND a.lane / 1024 = s.epoch
					UNION ALL
					SELECT g.lane, g.move, g.delivered, g.failed, g.dead, g.moved_at
					FROM event_engine.subscription_cursors AS g
					WHERE g.subscription_number = s.number
						AND g.lane / 1024 = s.epoch) AS m
				ORDER BY m.lane, m.move DESC) AS l) AS t
		WHERE s.number = begin_next_epoch.number
			AND o.subscription_number = s.number
			AND o.lane = (s.epoch + 1) * 1024 + 1023;
	DELETE FROM event_engine.subscription_cursor_moves AS a
		USING event_engine.subscriptions AS s
		WHERE s.number = begin_next_epoch.number
			AND a.subscription_number = s.number AND a.lane / 1024 = s.epoch;
	DELETE FROM event_engine.subscription_cursors AS g
		USING event_engine.subscriptions AS s
		WHERE s.number = begin_next_epoch.number
			AND g.subscription_number = s.number AND g.lane / 1024 = s.epoch;
	UPDATE event_engine.subscriptions AS s
		SET epoch = s.epoch + 1, epochs = s.epochs - 0
		WHERE s.number = begin_next_epoch.number;
$$;
COMMENT ON FUNCTION event_engine.begin_next_epoch(integer) IS
	'Internal: all lanes of the running epoch have come to its end.';

CREATE FUNCTION event_engine.lock_subscription(number integer)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_lock_subscription';
COMMENT ON FUNCTION event_engine.lock_subscription(integer) IS
	'Internal: keeps delivery to a subscription out until the transaction ends.';

/*
 * drain_subscription: wait until all that was published before the call has
 * been settled, while delivery goes on, then pause the subscription.
 *
 *	timeout		how long to wait; then VE408 is raised, and nothing paused
 *
 * Not within a transaction block: it commits between its looks.
 */
CREATE PROCEDURE event_engine.drain_subscription(subscriber text,
		timeout interval DEFAULT '1 minute')
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_drain_subscription';
COMMENT ON PROCEDURE event_engine.drain_subscription(text, interval) IS
	'Waits until all that was published so far is settled, then pauses the subscription.';

CREATE FUNCTION event_engine.close_breaker(number integer, id uuid)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_close_breaker';
COMMENT ON FUNCTION event_engine.close_breaker(integer, uuid) IS
	'Internal: closes the circuit breaker of a subscription.';

/*
 * process_batch: deliver in this transaction what is waiting for handlers and
 * bells, as the workers would: for tests, for servers where nothing may be
 * preloaded, for pg_cron.
 *
 *	max_events	stop after so many
 *	subscriber	only to this one; null: to all whose owner's rights the caller
 *				has
 *
 * Result: events delivered.  What fails is retried or becomes a dead letter as
 * usual.  A subscription that a worker is just delivering to is left out.
 */
CREATE FUNCTION event_engine.process_batch(max_events integer DEFAULT 1000,
		subscriber text DEFAULT NULL)
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_process_batch';
COMMENT ON FUNCTION event_engine.process_batch(integer, text) IS
	'Delivers waiting events in this transaction; returns how many.';
/* ------------------------------------------------------------------------
 * Delivery to clients that pull.
 *
 * A client receives events under a receipt and acknowledges them by it.  All
 * that is known of it is in tables, nothing in the session.  No client waits
 * for another one: rows are taken with SKIP LOCKED, and whoever finds the log
 * being read gets nothing from it.
 *
 * Tables of leases are emptied by TRUNCATE; what is planned right afterwards
 * must not read the whole of them ever after, hence enable_seqscan = off.
 *
 * receive_events() and ack_events() are C for the common case, which is what
 * the rate of a client depends on; what is rare is written here.
 *
 * Faces in C tell the functions with _as the caller's role, as in routing.
 * ------------------------------------------------------------------------ */

/* The wait after so many attempts, as ee_retry_delay_ms() computes it. */
CREATE FUNCTION event_engine.retry_delay(options jsonb, attempts integer)
	RETURNS interval
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
RETURN make_interval(secs => LEAST(
		COALESCE((options ->> 'backoff_ms')::float8, 1000)
			* COALESCE((options ->> 'backoff_factor')::float8, 2)
				^ LEAST(attempts - 1, 100),
		COALESCE((options ->> 'backoff_max_ms')::float8, 3600000))
	* (1 - COALESCE((options ->> 'jitter')::float8, 0.2) * random())
	/ 1000);
COMMENT ON FUNCTION event_engine.retry_delay(jsonb, integer) IS
	'Internal: how long a subscription waits after so many attempts.';

/* ---- Whose is it? ---- */

/* For whoever has a receipt in hand, number being null when it is void. */
CREATE FUNCTION event_engine.receipt_subscription(caller oid, receipt uuid,
		number integer)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.subscriptions;
BEGIN
	SELECT s.* INTO stored FROM event_engine.subscriptions AS s
		WHERE s.number = receipt_subscription.number;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE402',
			MESSAGE = 'receipt is not current',
			DETAIL = format('The events of %s have been acknowledged or rejected, or their time ran out and they were handed out again under another receipt.',
				COALESCE(receipt::text, 'null')),
			HINT = 'Undo what was done with these events, or rely on its being repeatable; to have more time ask for a longer visibility_timeout or call event_engine.extend_events().';
	END IF;
	IF NOT pg_has_role(caller, stored.owner::oid, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of subscription "%s"',
				stored.subscriber),
			DETAIL = format('It belongs to role %s.', stored.owner);
	END IF;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.receipt_subscription(oid, uuid, integer) IS
	'Internal: the subscription of a receipt, if the caller may settle it.';

/*
 * Nobody else settles or takes over what is under the receipt until the
 * transaction ends.  Whoever was first has changed the rows: then there are
 * none of that receipt.
 */
CREATE FUNCTION event_engine.lock_receipt(caller oid, receipt uuid)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off AS $$
DECLARE
	in_lease integer;
	in_delivery integer;
BEGIN
	SELECT max(l.subscription_number) INTO in_lease
		FROM (SELECT e.subscription_number FROM event_engine.event_leases AS e
			WHERE e.receipt = lock_receipt.receipt FOR UPDATE) AS l;
	SELECT max(l.subscription_number) INTO in_delivery
		FROM (SELECT d.subscription_number FROM event_engine.deliveries AS d
			WHERE d.receipt = lock_receipt.receipt
			ORDER BY d.seq FOR UPDATE) AS l;
	RETURN event_engine.receipt_subscription(caller, receipt,
		COALESCE(in_lease, in_delivery));
END
$$;
COMMENT ON FUNCTION event_engine.lock_receipt(oid, uuid) IS
	'Internal: locks what is under a receipt; raises if it is not current.';

CREATE FUNCTION event_engine.wake_clients(number integer)
	RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_wake_clients';
COMMENT ON FUNCTION event_engine.wake_clients(integer) IS
	'Internal: whoever waits for events of a subscription looks again after the commit.';

/* ---- What is under a receipt ---- */

CREATE FUNCTION event_engine.leased_events(lease event_engine.event_leases)
	RETURNS SETOF event_engine.event
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT e.* FROM event_engine.events AS e
	WHERE e.created_at BETWEEN lease.first_at AND lease.last_at
		AND e.seq = ANY (lease.seqs)
	ORDER BY e.seq
$$;
COMMENT ON FUNCTION event_engine.leased_events(event_engine.event_leases) IS
	'Internal: the events of a lease, read from the log.';

/*
 * Take events from under a locked receipt (ids; null: all): they are gone
 * from event_leases and deliveries.
 *
 * Result: the events with the attempts made, when they were handed out, and
 * when they failed first.
 */
CREATE FUNCTION event_engine.take_leased(receipt uuid, ids uuid[])
	RETURNS TABLE (event event_engine.event, attempts integer,
		leased_at timestamptz, first_failed_at timestamptz)
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
	lease event_engine.event_leases;
	rest bigint[];
BEGIN
	FOR lease IN SELECT l.* FROM event_engine.event_leases AS l
		WHERE l.receipt = take_leased.receipt ORDER BY l.attempts DESC
	LOOP
		RETURN QUERY SELECT ROW(e.*)::event_engine.event, lease.attempts,
				lease.leased_at, NULL::timestamptz
			FROM event_engine.leased_events(lease) AS e
			WHERE ids IS NULL OR e.id = ANY (ids);
		rest := NULL;
		IF ids IS NOT NULL THEN
			SELECT array_agg(s.seq ORDER BY s.seq) INTO rest
				FROM (SELECT unnest(lease.seqs) EXCEPT
					SELECT e.seq FROM event_engine.leased_events(lease) AS e
					WHERE e.id = ANY (ids)) AS s (seq);
		END IF;
		IF rest IS NULL THEN
			DELETE FROM event_engine.event_leases AS l
				WHERE l.receipt = lease.receipt AND l.attempts = lease.attempts;
		ELSIF cardinality(rest) < cardinality(lease.seqs) THEN
			UPDATE event_engine.event_leases AS l SET seqs = rest
				WHERE l.receipt = lease.receipt AND l.attempts = lease.attempts;
		END IF;
	END LOOP;
	RETURN QUERY DELETE FROM event_engine.deliveries AS d
		WHERE d.receipt = take_leased.receipt
			AND (ids IS NULL OR d.id = ANY (ids))
		RETURNING d.event, d.attempts, d.updated_at, d.first_failed_at;
END
$$;
COMMENT ON FUNCTION event_engine.take_leased(uuid, uuid[]) IS
	'Internal: takes events from under a receipt.';

/* ---- What means the same ---- */

CREATE FUNCTION event_engine.delivery_key(event event_engine.event, path text)
	RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_delivery_key';
COMMENT ON FUNCTION event_engine.delivery_key(event_engine.event, text) IS
	'Internal: the idempotency key of an event, by the path of a subscription.';

/* What a client has acknowledged; the first of a key counts. */
CREATE FUNCTION event_engine.note_keys(own event_engine.subscriptions,
		events event_engine.event[])
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO event_engine.delivery_keys AS d (subscription_number, key, seq,
			expires_at)
		SELECT DISTINCT ON (k.key) own.number, k.key, k.seq,
			clock_timestamp() + interval '1 millisecond' * COALESCE(
				(own.options ->> 'idempotency_window_ms')::float8, 604800000)
		FROM (SELECT event_engine.delivery_key(ROW(e.*)::event_engine.event,
					own.options ->> 'idempotency_key') AS key, e.seq
				FROM unnest(events) AS e) AS k
		WHERE k.key IS NOT NULL
		ORDER BY k.key, k.seq
		ON CONFLICT ON CONSTRAINT delivery_keys_pkey DO UPDATE
			SET seq = excluded.seq, expires_at = excluded.expires_at
			WHERE d.seq = excluded.seq OR d.expires_at <= clock_timestamp()
$$;
COMMENT ON FUNCTION event_engine.note_keys(event_engine.subscriptions, event_engine.event[]) IS
	'Internal: writes down the idempotency keys of events that were acknowledged.';

/*
 * Under a receipt nobody has seen yet: what means the same as events that
 * were acknowledged counts as acknowledged too.  Result: their ids.
 */
CREATE FUNCTION event_engine.pass_over(own event_engine.subscriptions,
		receipt uuid)
	RETURNS SETOF uuid
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off AS $$
DECLARE
	known uuid[];
BEGIN
	SELECT array_agg((x.event).id) INTO known
		FROM (SELECT ROW(e.*)::event_engine.event AS event
				FROM event_engine.event_leases AS l,
					event_engine.leased_events(l) AS e
				WHERE l.receipt = pass_over.receipt
			UNION ALL SELECT d.event FROM event_engine.deliveries AS d
				WHERE d.receipt = pass_over.receipt) AS x
		JOIN event_engine.delivery_keys AS k
			ON k.subscription_number = own.number
			AND k.key = event_engine.delivery_key(x.event,
				own.options ->> 'idempotency_key')
			AND k.seq <> (x.event).seq AND k.expires_at > clock_timestamp();
	IF known IS NOT NULL THEN
		PERFORM event_engine.take_leased(receipt, known);
		INSERT INTO event_engine.delivery_counts AS c
			VALUES (own.number, cardinality(known), 0, 0);
	END IF;
	RETURN QUERY SELECT unnest(known);
END
$$;
COMMENT ON FUNCTION event_engine.pass_over(event_engine.subscriptions, uuid) IS
	'Internal: settles what means the same as events that were acknowledged.';

/* ---- Giving up ---- */

CREATE FUNCTION event_engine.bury_events(own event_engine.subscriptions,
		events event_engine.event[], attempts integer[], message text,
		details jsonb)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO event_engine.event_dead_letters AS l (subscriber, event_id,
			event_type, payload, envelope, seq, error_message, error_details,
			retry_count, original_created_at)
		SELECT own.subscriber, COALESCE((e.event).event_id,
				(e.event).id::text), (e.event).pattern, (e.event).payload,
			event_engine.event_envelope(e.event), (e.event).seq, message,
			details, e.attempts, (e.event).created_at
		FROM (SELECT events[i] AS event, attempts[i] AS attempts
			FROM generate_subscripts(events, 1) AS i) AS e;
	INSERT INTO event_engine.event_processing_log AS p (subscriber, id,
			pattern, outcome, attempt, error_message, started_at, finished_at)
		SELECT own.subscriber, (e.event).id, (e.event).pattern, 'dead',
			e.attempts, message, clock_timestamp(), clock_timestamp()
		FROM (SELECT events[i] AS event, attempts[i] AS attempts
			FROM generate_subscripts(events, 1) AS i) AS e
		WHERE (own.options -> 'processing_log')::boolean;
$$;
COMMENT ON FUNCTION event_engine.bury_events(event_engine.subscriptions, event_engine.event[], integer[], text, jsonb) IS
	'Internal: makes events dead letters of a subscription.';

/* ---- Receive ---- */

/*
 * A receipt is taken over whole or not at all, so that its owner can rely on
 * it: as long as it is current, nobody else has any of its events.  Whoever
 * settles it locks all its rows; one of each is locked already, and the others
 * are not waited for.  Gives those that nobody is settling.
 */
CREATE FUNCTION event_engine.seize_receipts(receipts uuid[])
	RETURNS uuid[]
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seized uuid[] := '{}';
	one uuid;
BEGIN
	FOREACH one IN ARRAY receipts LOOP
		IF (SELECT count(*) FROM event_engine.event_leases AS l
				WHERE l.receipt = one)
			= (SELECT count(*) FROM (SELECT FROM event_engine.event_leases AS l
				WHERE l.receipt = one FOR UPDATE SKIP LOCKED) AS l)
			AND (SELECT count(*) FROM event_engine.deliveries AS d
				WHERE d.receipt = one)
			= (SELECT count(*) FROM (SELECT FROM event_engine.deliveries AS d
				WHERE d.receipt = one FOR UPDATE SKIP LOCKED) AS d)
		THEN
			seized := seized || one;
		END IF;
	END LOOP;
	RETURN seized;
END
$$;
COMMENT ON FUNCTION event_engine.seize_receipts(uuid[]) IS
	'Internal: locks what is under receipts whose time has run out, without waiting.';

/* What is left under seized receipts is due, and nobody can settle it. */
CREATE FUNCTION event_engine.void_receipts(receipts uuid[])
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp AS $$
	UPDATE event_engine.event_leases AS l SET receipt = gen_random_uuid()
		WHERE l.receipt = ANY (receipts);
	UPDATE event_engine.deliveries AS d SET receipt = NULL
		WHERE d.receipt = ANY (receipts);
$$;
COMMENT ON FUNCTION event_engine.void_receipts(uuid[]) IS
	'Internal: nothing can be settled by these receipts any more.';

/*
 * What was handed out or rejected before and is due again: leases whose time
 * has run out, then rows of deliveries.  What has been handed out often
 * enough becomes a dead letter instead.
 */
CREATE FUNCTION event_engine.receive_again(own event_engine.subscriptions,
		receipt uuid, max_events integer, at timestamptz, until timestamptz,
		client text)
	RETURNS SETOF event_engine.received_event
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off AS $$
DECLARE
	allowed CONSTANT integer := (own.options ->> 'max_attempts')::integer;
	details CONSTANT jsonb := jsonb_build_object('sqlstate', 'VE402',
		'hint', 'The client took longer than its visibility_timeout, or died.');
	message CONSTANT text := 'not acknowledged in time';
	wanted integer := max_events;
	lease event_engine.event_leases;
	given event_engine.event_leases;
	buried event_engine.event[];
	counts integer[];
	seized uuid[] := '{}';
	looked_at uuid[] := '{}';
	receipts uuid[];
	positions bigint[];
	n_failed bigint := 0;
	n_dead bigint := 0;
BEGIN
	WHILE wanted > 0 LOOP
		SELECT l.* INTO lease FROM event_engine.event_leases AS l
			WHERE l.subscription_number = own.number AND l.expires_at <= at
				AND (l.receipt <> ALL (looked_at) OR l.receipt = ANY (seized))
			ORDER BY l.expires_at LIMIT 1 FOR UPDATE SKIP LOCKED;
		EXIT WHEN NOT FOUND;
		IF lease.receipt <> ALL (looked_at) THEN
			looked_at := looked_at || lease.receipt;
			seized := seized
				|| event_engine.seize_receipts(ARRAY[lease.receipt]);
			CONTINUE WHEN lease.receipt <> ALL (seized);
		END IF;
		DELETE FROM event_engine.event_leases AS l
			WHERE l.receipt = lease.receipt AND l.attempts = lease.attempts;

		IF lease.attempts >= allowed THEN
			SELECT array_agg(ROW(e.*)::event_engine.event ORDER BY e.seq)
				INTO buried FROM event_engine.leased_events(lease) AS e;
			PERFORM event_engine.bury_events(own, buried,
				array_fill(lease.attempts, ARRAY[cardinality(buried)]),
				message, details);
			n_failed := n_failed + COALESCE(cardinality(buried), 0);
			n_dead := n_dead + COALESCE(cardinality(buried), 0);
			CONTINUE;
		END IF;

		given := lease;
		given.seqs := lease.seqs[:wanted];
		wanted := wanted - cardinality(given.seqs);
		n_failed := n_failed + cardinality(given.seqs);
		IF cardinality(given.seqs) < cardinality(lease.seqs) THEN
			-- the rest waits for the next who asks; no old receipt is good for it
			INSERT INTO event_engine.event_leases AS l
				SELECT gen_random_uuid(), lease.subscription_number,
					lease.seqs[cardinality(given.seqs) + 1:], lease.first_at,
					lease.last_at, lease.attempts, lease.leased_by,
					lease.leased_at, lease.expires_at;
		END IF;
		INSERT INTO event_engine.event_leases AS l
			VALUES (receive_again.receipt, own.number, given.seqs, given.first_at,
				given.last_at, given.attempts + 1, client, at, until)
			ON CONFLICT ON CONSTRAINT event_leases_pkey DO UPDATE
				SET seqs = l.seqs || excluded.seqs,
					first_at = LEAST(l.first_at, excluded.first_at),
					last_at = GREATEST(l.last_at, excluded.last_at);
		RETURN QUERY SELECT receive_again.receipt, given.attempts + 1, e.id,
				e.event_id, e.pattern, e.version, e.source, e."timestamp",
				e.payload, e.metadata, e.created_at, e.partition_key,
				e.aggregate_type, e.aggregate_version, e.priority,
				e.created_by, e.deliver_at, e.seq
			FROM event_engine.leased_events(given) AS e;
	END LOOP;

	SELECT array_agg(x.seq), COALESCE(array_agg(DISTINCT x.receipt)
			FILTER (WHERE x.receipt <> ALL (seized)), '{}')
		INTO positions, receipts
		FROM (SELECT d.seq, d.receipt FROM event_engine.deliveries AS d
			WHERE d.subscription_number::bigint = own.number
				AND d.next_attempt_at <= at AND d.status = 'leased'
				AND d.attempts >= allowed
			ORDER BY d.next_attempt_at, d.seq LIMIT 1000
			FOR UPDATE SKIP LOCKED) AS x;
	seized := seized || event_engine.seize_receipts(receipts);
	WITH dead AS (
		DELETE FROM event_engine.deliveries AS d
			WHERE d.subscription_number = own.number AND d.seq = ANY (positions)
				AND (d.receipt IS NULL OR d.receipt = ANY (seized))
			RETURNING d.event, d.attempts
	)
	SELECT array_agg(d.event), array_agg(d.attempts) INTO buried, counts
		FROM dead AS d;
	IF buried IS NOT NULL THEN
		PERFORM event_engine.bury_events(own, buried, counts, message, details);
		n_failed := n_failed + cardinality(buried);
		n_dead := n_dead + cardinality(buried);
	END IF;

	IF wanted > 0 THEN
		SELECT array_agg(x.seq), COALESCE(array_agg(DISTINCT x.receipt)
				FILTER (WHERE x.receipt <> ALL (seized)), '{}')
			INTO positions, receipts
			FROM (SELECT d.seq, d.receipt FROM event_engine.deliveries AS d
				WHERE d.subscription_number::bigint = own.number
					AND d.next_attempt_at <= at
					AND (d.status IN ('retry', 'delayed')
						OR d.status = 'leased' AND d.attempts < allowed)
				ORDER BY d.next_attempt_at, d.seq LIMIT wanted
				FOR UPDATE SKIP LOCKED) AS x;
		seized := seized || event_engine.seize_receipts(receipts);
		RETURN QUERY WITH due AS (
			SELECT d.seq, d.status FROM event_engine.deliveries AS d
				WHERE d.subscription_number = own.number
					AND d.seq = ANY (positions)
					AND (d.receipt IS NULL OR d.receipt = ANY (seized))
		), counted AS (
			INSERT INTO event_engine.delivery_counts AS c
				SELECT own.number, 0, count(*), 0 FROM due AS d
				WHERE d.status = 'leased' HAVING count(*) > 0
		), leased AS (
			UPDATE event_engine.deliveries AS d
				SET status = 'leased', attempts = d.attempts + 1,
					next_attempt_at = until, receipt = receive_again.receipt,
					updated_at = at,
					last_error = CASE WHEN d.status = 'leased'
						THEN message ELSE d.last_error END,
					first_failed_at = CASE WHEN d.status = 'leased'
						THEN COALESCE(d.first_failed_at, at)
						ELSE d.first_failed_at END
				FROM due AS x
				WHERE d.subscription_number = own.number AND d.seq = x.seq
				RETURNING d.receipt, d.attempts, d.event
		)
		SELECT l.receipt, l.attempts, (l.event).id, (l.event).event_id,
				(l.event).pattern, (l.event).version, (l.event).source,
				(l.event)."timestamp", (l.event).payload, (l.event).metadata,
				(l.event).created_at, (l.event).partition_key,
				(l.event).aggregate_type, (l.event).aggregate_version,
				(l.event).priority, (l.event).created_by,
				(l.event).deliver_at, (l.event).seq
			FROM leased AS l ORDER BY (l.event).seq;
	END IF;
	IF seized <> '{}' THEN
		PERFORM event_engine.void_receipts(seized);
	END IF;
	IF n_failed > 0 THEN
		INSERT INTO event_engine.delivery_counts AS c
			VALUES (own.number, 0, n_failed, n_dead);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.receive_again(event_engine.subscriptions, uuid, integer, timestamptz, timestamptz, text) IS
	'Internal: events that were handed out or rejected before and are due again.';

CREATE FUNCTION event_engine.check_visibility_timeout(given interval,
		positive boolean)
	RETURNS void
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_check_visibility_timeout';
COMMENT ON FUNCTION event_engine.check_visibility_timeout(interval, boolean) IS
	'Internal: raises what is wrong with a time for handling.';

/*
 * receive_events: the next events of a subscription of kind pull, leased to
 * the caller.
 *
 *	subscriber			its name; for its owner and members of that role
 *	max_events			at most so many
 *	visibility_timeout	not handed to anybody else for so long; then they are
 *						handed out again, under another receipt
 *
 * Result: the events, all under one receipt: first those whose lease has run
 * out, then those whose retry or deliver_at is due, then new ones.  None when
 * there is nothing, the subscription is paused, its rate_limit or
 * max_in_flight allows none, or another transaction is just receiving from it.
 * Writes: event_leases, deliveries, the cursor; event_dead_letters for what
 * has been handed out max_attempts times.
 */
CREATE FUNCTION event_engine.receive_events(subscriber text,
		max_events integer DEFAULT 100,
		visibility_timeout interval DEFAULT '30 seconds')
	RETURNS SETOF event_engine.received_event
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_receive_events';
COMMENT ON FUNCTION event_engine.receive_events(text, integer, interval) IS
	'The next events of a pulled subscription, leased to the caller under a receipt.';

/*
 * await_events: wait until there is something to receive.
 *
 *	subscriber		its name; for its owner and members of that role
 *	wait			at most so long
 *	available		set: is there something?  Another client may be faster
 *
 * Nothing is held while waiting, neither a snapshot nor a lock nor a
 * transaction id, so it must not be called within a transaction.
 */
CREATE PROCEDURE event_engine.await_events(subscriber text,
		wait interval DEFAULT '20 seconds', INOUT available boolean DEFAULT NULL)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'ee_sql_await_events';
COMMENT ON PROCEDURE event_engine.await_events(text, interval, boolean) IS
	'Waits until a pulled subscription has something to receive.';

/* ---- Acknowledge, reject, extend ---- */

/*
 * What ack_events() does not do in one statement: some events of a receipt,
 * a subscription that wants a log or has idempotency keys, and to say what is
 * wrong.
 */
CREATE FUNCTION event_engine.ack_events_as(caller oid, receipt uuid,
		ids uuid[])
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own CONSTANT event_engine.subscriptions :=
		event_engine.lock_receipt(caller, receipt);
	n integer;
	done event_engine.event[];
BEGIN
	WITH taken AS MATERIALIZED (
		SELECT t.* FROM event_engine.take_leased(receipt, ids) AS t
	), logged AS (
		INSERT INTO event_engine.event_processing_log AS p (subscriber, id,
				pattern, outcome, attempt, started_at, finished_at)
			SELECT own.subscriber, (t.event).id, (t.event).pattern,
				'delivered', t.attempts, t.leased_at, clock_timestamp()
			FROM taken AS t
			WHERE (own.options -> 'processing_log')::boolean
	)
	SELECT count(*), array_agg(t.event) INTO n, done FROM taken AS t;
	IF n > 0 AND own.options ->> 'idempotency_key' IS NOT NULL THEN
		PERFORM event_engine.note_keys(own, done);
	END IF;
	PERFORM event_engine.wake_clients(own.number);
	IF n > 0 THEN
		INSERT INTO event_engine.delivery_counts AS c
			VALUES (own.number, n, 0, 0);
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.ack_events_as(oid, uuid, uuid[]) IS
	'Does the work of ack_events() for the given role.';

/*
 * ack_events: the events are done with.
 *
 *	receipt		of receive_events()
 *	ids			only these of its events; null: all
 *
 * Result: how many.  Raises VE402 when the receipt is not current: then they
 * may have been handed to somebody else.  In the transaction that holds the
 * effects this makes them happen exactly once.
 */
CREATE FUNCTION event_engine.ack_events(receipt uuid, ids uuid[] DEFAULT NULL)
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_ack_events';
COMMENT ON FUNCTION event_engine.ack_events(uuid, uuid[]) IS
	'Acknowledges events received under a receipt; returns how many.';

CREATE FUNCTION event_engine.nack_events_as(caller oid, receipt uuid,
		delay interval, error text, ids uuid[])
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own CONSTANT event_engine.subscriptions :=
		event_engine.lock_receipt(caller, receipt);
	allowed CONSTANT integer := (own.options ->> 'max_attempts')::integer;
	message CONSTANT text := COALESCE(error, 'rejected by its client');
	n integer;
	n_dead integer;
	buried event_engine.event[];
	counts integer[];
BEGIN
	IF delay < '0' THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'delay must not be negative';
	END IF;
	WITH taken AS MATERIALIZED (
		SELECT t.* FROM event_engine.take_leased(receipt, ids) AS t
	), again AS (
		INSERT INTO event_engine.deliveries AS d (subscription_number, seq, id,
				status, attempts, next_attempt_at, event, last_error,
				first_failed_at)
			SELECT own.number, (t.event).seq, (t.event).id, 'retry',
				t.attempts, clock_timestamp() + COALESCE(delay,
					event_engine.retry_delay(own.options, t.attempts)),
				t.event, message, COALESCE(t.first_failed_at, clock_timestamp())
			FROM taken AS t WHERE t.attempts < allowed
	), logged AS (
		INSERT INTO event_engine.event_processing_log AS p (subscriber, id,
				pattern, outcome, attempt, error_message, started_at,
				finished_at)
			SELECT own.subscriber, (t.event).id, (t.event).pattern, 'failed',
				t.attempts, message, t.leased_at, clock_timestamp()
			FROM taken AS t
			WHERE t.attempts < allowed
				AND (own.options -> 'processing_log')::boolean
	)
	SELECT count(*), count(*) FILTER (WHERE t.attempts >= allowed),
			array_agg(t.event) FILTER (WHERE t.attempts >= allowed),
			array_agg(t.attempts) FILTER (WHERE t.attempts >= allowed)
		INTO n, n_dead, buried, counts
		FROM taken AS t;
	PERFORM event_engine.bury_events(own, buried, counts, message, NULL);
	PERFORM event_engine.wake_clients(own.number);
	IF n > 0 THEN
		INSERT INTO event_engine.delivery_counts AS c
			VALUES (own.number, 0, n, n_dead);
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.nack_events_as(oid, uuid, interval, text, uuid[]) IS
	'Does the work of nack_events() for the given role.';

/*
 * nack_events: the events could not be handled; they are handed out again
 * later, or become dead letters when that was attempt number max_attempts.
 *
 *	receipt		of receive_events()
 *	delay		not before; null: the subscription's backoff
 *	error		why, for deliveries.last_error and the dead letter
 *	ids			only these of its events; null: all
 *
 * Result: how many.  Raises VE402 when the receipt is not current.
 */
CREATE FUNCTION event_engine.nack_events(receipt uuid,
		delay interval DEFAULT NULL, error text DEFAULT NULL,
		ids uuid[] DEFAULT NULL)
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.nack_events(uuid, interval, text, uuid[]) IS
	'Rejects events received under a receipt: they are retried, or become dead letters.';

CREATE FUNCTION event_engine.extend_events_as(caller oid, receipt uuid,
		visibility_timeout interval)
	RETURNS timestamptz
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off AS $$
DECLARE
	until CONSTANT timestamptz := clock_timestamp() + visibility_timeout;
	own event_engine.subscriptions;
BEGIN
	PERFORM event_engine.check_visibility_timeout(visibility_timeout, false);
	own := event_engine.lock_receipt(caller, receipt);
	UPDATE event_engine.event_leases AS l SET expires_at = until
		WHERE l.receipt = extend_events_as.receipt;
	UPDATE event_engine.deliveries AS d SET next_attempt_at = until
		WHERE d.receipt = extend_events_as.receipt;
	PERFORM event_engine.wake_clients(own.number);
	RETURN until;
END
$$;
COMMENT ON FUNCTION event_engine.extend_events_as(oid, uuid, interval) IS
	'Does the work of extend_events() for the given role.';

/*
 * extend_events: more time, counted from now; 0 gives the events back at
 * once.  Result: when the time runs out.  Raises VE402 when the receipt is
 * not current.
 */
CREATE FUNCTION event_engine.extend_events(receipt uuid,
		visibility_timeout interval)
	RETURNS timestamptz
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.extend_events(uuid, interval) IS
	'Gives a client more time for the events of a receipt; returns until when.';

REVOKE ALL ON FUNCTION
	event_engine.ack_events_as(oid, uuid, uuid[]),
	event_engine.nack_events_as(oid, uuid, interval, text, uuid[]),
	event_engine.extend_events_as(oid, uuid, interval)
FROM PUBLIC;
/* ------------------------------------------------------------------------
 * Dead letters: put back, or set aside.
 *
 * A letter may be touched by whoever may change its subscription: its owner,
 * members of that role, superusers.  Letters of a subscription that is gone
 * are a superuser's.
 * ------------------------------------------------------------------------ */

/* The event of a letter: from the log, or, once retention has dropped it
 * there, from the letter. */
CREATE FUNCTION event_engine.dead_letter_event(
		letter event_engine.event_dead_letters)
	RETURNS event_engine.event
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
RETURN COALESCE((SELECT ROW(e.*)::event_engine.event
		FROM event_engine.events AS e
		WHERE e.created_at = letter.original_created_at
			AND e.seq = letter.seq),
	-- the envelope has the id where the publisher gave no event_id
	ROW((letter.envelope ->> 'id')::uuid,
		NULLIF(letter.envelope ->> 'eventId', letter.envelope ->> 'id'),
		letter.envelope ->> 'pattern', letter.envelope ->> 'version',
		letter.envelope -> 'source',
		(letter.envelope ->> 'timestamp')::timestamptz,
		letter.envelope -> 'payload', letter.envelope -> 'metadata',
		(letter.envelope ->> 'createdAt')::timestamptz,
		letter.envelope ->> 'partitionKey',
		letter.envelope ->> 'aggregateType',
		(letter.envelope ->> 'aggregateVersion')::bigint,
		(letter.envelope ->> 'priority')::event_engine.event_priority,
		letter.envelope ->> 'createdBy',
		(letter.envelope ->> 'deliverAt')::timestamptz, letter.seq,
		NULL)::event_engine.event);
COMMENT ON FUNCTION event_engine.dead_letter_event(event_engine.event_dead_letters) IS
	'The event of a dead letter, as handlers take it.';

/*
 * The letters meant, locked, oldest first: dead ones that the caller may
 * touch and that fit all that is given.  Raises when nothing is given, and
 * when a subscriber is named whose letters are not the caller's.
 */
CREATE FUNCTION event_engine.own_dead_letters(caller oid, ids uuid[],
		subscriber text, event_type text, max_letters integer, filter text)
	RETURNS SETOF event_engine.event_dead_letters
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	is_superuser CONSTANT boolean := (SELECT r.rolsuper FROM pg_roles AS r
		WHERE r.oid = caller);
	condition CONSTANT jsonpath := filter::jsonpath;
	holder regrole;
BEGIN
	IF ids IS NULL AND subscriber IS NULL AND event_type IS NULL
		AND filter IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'no dead letters are named',
			HINT = 'Give ids, subscriber, event_type or filter.';
	END IF;
	IF max_letters < 0 THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'max_letters must not be negative';
	END IF;
	IF subscriber IS NOT NULL THEN
		SELECT s.owner INTO holder FROM event_engine.subscriptions AS s
			WHERE s.subscriber = own_dead_letters.subscriber;
		IF NOT FOUND AND NOT is_superuser THEN
			RAISE EXCEPTION USING ERRCODE = 'VE303',
				MESSAGE = format('unknown subscription "%s"', subscriber),
				HINT = 'Dead letters of a subscription that is gone are for superusers.';
		END IF;
		IF NOT pg_has_role(caller, holder::oid, 'USAGE') THEN
			RAISE EXCEPTION USING ERRCODE = '42501',
				MESSAGE = format('must be owner of subscription "%s"',
					subscriber),
				DETAIL = format('It belongs to role %s.', holder);
		END IF;
	END IF;

	RETURN QUERY SELECT l.* FROM event_engine.event_dead_letters AS l
		WHERE l.status = 'dead'
			AND (ids IS NULL OR l.id = ANY (ids))
			AND (own_dead_letters.subscriber IS NULL
				OR l.subscriber = own_dead_letters.subscriber)
			AND (own_dead_letters.event_type IS NULL
				OR l.event_type = own_dead_letters.event_type)
			AND (condition IS NULL OR jsonb_path_match(l.envelope
				|| jsonb_build_object('error', jsonb_build_object('message',
					l.error_message) || COALESCE(l.error_details, '{}')),
				condition, '{}', true))
			AND (is_superuser OR EXISTS (
				SELECT FROM event_engine.subscriptions AS s
				WHERE s.subscriber = l.subscriber
					AND pg_has_role(caller, s.owner::oid, 'USAGE')))
		ORDER BY l.created_at, l.seq LIMIT max_letters
		FOR UPDATE OF l;
END
$$;
COMMENT ON FUNCTION event_engine.own_dead_letters(oid, uuid[], text, text, integer, text) IS
	'Internal: locks the dead letters meant that the caller may touch.';

/*
 * An event that waits for another attempt already stays as it is; the letter
 * is done with all the same.
 */
CREATE FUNCTION event_engine.redrive_dead_letters_as(caller oid, ids uuid[],
		subscriber text, event_type text, max_letters integer, filter text,
		rate integer)
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at CONSTANT timestamptz := clock_timestamp();
	locked uuid[];
	n integer;
	redriven text[];
BEGIN
	IF (rate < 1) IS NOT FALSE THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'rate must be at least 1',
			DETAIL = 'It is the number of letters that are due each second.';
	END IF;
	/*
	 * A statement of its own: one letter that was written after the snapshot
	 * of the next would be put back by it, and not be marked.
	 */
	locked := ARRAY(SELECT l.id FROM event_engine.own_dead_letters(caller, ids,
		subscriber, event_type, max_letters, filter) AS l);
	WITH letter AS MATERIALIZED (
		SELECT l.* FROM event_engine.event_dead_letters AS l
			WHERE l.id = ANY (locked)
	), held AS MATERIALIZED (
		-- whoever unsubscribes waits, and removes what is put back here
		SELECT s.number, s.subscriber,
				(s.options -> 'ordered')::boolean AS ordered
			FROM event_engine.subscriptions AS s
			WHERE s.kind NOT IN ('notify', 'workflow')
				AND s.subscriber IN (SELECT l.subscriber FROM letter AS l)
			ORDER BY s.number FOR KEY SHARE
	), due AS (
		-- one letter of an event is enough; the first ones go first
		SELECT x.number, x.event, x.error_message, x.error_details, x.key,
			at + make_interval(secs => (row_number() OVER (
				ORDER BY x.created_at, x.seq) - 1) / rate) AS at,
			-- in order, and behind what waits of the same key
			x.key IS NOT NULL AND (row_number() OVER (
					PARTITION BY x.number, x.key ORDER BY x.seq) > 1
				OR EXISTS (SELECT FROM event_engine.deliveries AS b
					WHERE b.subscription_number = x.number
						AND b.partition_key = x.key AND b.seq < x.seq))
				AS follows
		FROM (SELECT DISTINCT ON (h.number, l.seq) h.number, l.seq,
				l.created_at, l.error_message, l.error_details, e.event,
				CASE WHEN h.ordered THEN (e.event).partition_key END AS key
			FROM letter AS l
				JOIN held AS h ON h.subscriber = l.subscriber
				CROSS JOIN LATERAL (SELECT event_engine.dead_letter_event(
					ROW(l.*)::event_engine.event_dead_letters) AS event
					OFFSET 0) AS e
			ORDER BY h.number, l.seq, l.created_at DESC) AS x
	), put_back AS (
		INSERT INTO event_engine.deliveries AS d (subscription_number, seq, id,
				status, attempts, next_attempt_at, event, last_error,
				error_details, partition_key)
			SELECT x.number, (x.event).seq, (x.event).id,
				CASE WHEN x.follows THEN 'parked' ELSE 'retry' END, 0,
				CASE WHEN x.follows THEN 'infinity' ELSE x.at END, x.event,
				x.error_message, x.error_details, x.key
			FROM due AS x
			-- one that has halted its key is there, in its place
			ON CONFLICT ON CONSTRAINT deliveries_pkey DO UPDATE
				SET status = excluded.status, attempts = excluded.attempts,
					next_attempt_at = excluded.next_attempt_at,
					updated_at = clock_timestamp()
				WHERE d.status = 'halted'
	), done AS (
		UPDATE event_engine.event_dead_letters AS d
			SET status = 'redriven', status_changed_at = clock_timestamp()
			FROM letter AS l JOIN held AS h ON h.subscriber = l.subscriber
			WHERE d.id = l.id
			RETURNING d.subscriber
	)
	SELECT count(*), array_agg(d.subscriber) INTO n, redriven FROM done AS d;
	IF n > 0 THEN
		-- whoever redrives says that the cause is mended
		PERFORM event_engine.close_breaker(s.number, s.id)
			FROM event_engine.subscriptions AS s
			WHERE s.subscriber = ANY (redriven);
		PERFORM event_engine.wake_workers();
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.redrive_dead_letters_as(oid, uuid[], text, text, integer, text, integer) IS
	'Does the work of redrive_dead_letters() for the given role.';

/*
 * redrive_dead_letters: deliver again what had been given up, from the first
 * attempt on.  Letters must fit all that is given.
 *
 *	ids			of event_dead_letters
 *	subscriber	all of this subscription
 *	event_type	all of this pattern
 *	max_letters at most so many, the oldest first
 *	filter		an SQL/JSON path predicate over the envelope, in which $.error has
 *				message, sqlstate, detail, hint, context, attempt, durationMs
 *	rate		so many are due each second
 *
 * Result: how many.  Letters that are not the caller's, and those whose
 * subscription is gone, are left alone.  The letter stays, as redriven; what
 * fails again becomes another one, which names it in previous_id.
 * Writes: deliveries, event_dead_letters.
 */
CREATE FUNCTION event_engine.redrive_dead_letters(ids uuid[] DEFAULT NULL,
		subscriber text DEFAULT NULL, event_type text DEFAULT NULL,
		max_letters integer DEFAULT NULL, filter text DEFAULT NULL,
		rate integer DEFAULT 1000)
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.redrive_dead_letters(uuid[], text, text, integer, text, integer) IS
	'Delivers dead letters again, from the first attempt on; returns how many.';

CREATE FUNCTION event_engine.discard_dead_letters_as(caller oid, ids uuid[],
		subscriber text, event_type text, max_letters integer, filter text)
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	locked uuid[];
	n integer;
	n_released integer;
BEGIN
	-- see redrive_dead_letters_as()
	locked := ARRAY(SELECT l.id FROM event_engine.own_dead_letters(caller, ids,
		discard_dead_letters_as.subscriber,
		discard_dead_letters_as.event_type, max_letters, filter) AS l);
	WITH letter AS MATERIALIZED (
		SELECT l.id, l.subscriber, l.seq
			FROM event_engine.event_dead_letters AS l
			WHERE l.id = ANY (locked)
	), released AS (
		-- those that it has halted follow
		UPDATE event_engine.deliveries AS d
			SET status = 'released', next_attempt_at = clock_timestamp(),
				updated_at = clock_timestamp()
			FROM letter AS l
				JOIN event_engine.subscriptions AS s
					ON s.subscriber = l.subscriber
			WHERE d.subscription_number = s.number AND d.seq = l.seq
				AND d.status = 'halted'
			RETURNING 1
	), done AS (
		UPDATE event_engine.event_dead_letters AS d
			SET status = 'discarded', status_changed_at = clock_timestamp()
			FROM letter AS l WHERE d.id = l.id
			RETURNING 1
	)
	SELECT (SELECT count(*) FROM done AS d), (SELECT count(*) FROM released AS r)
		INTO n, n_released;
	IF n_released > 0 THEN
		PERFORM event_engine.wake_workers();
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.discard_dead_letters_as(oid, uuid[], text, text, integer, text) IS
	'Does the work of discard_dead_letters() for the given role.';

/* discard_dead_letters: nothing more is to be done with them.  Parameters and
 * result as of redrive_dead_letters(); the rows stay, as discarded. */
CREATE FUNCTION event_engine.discard_dead_letters(ids uuid[] DEFAULT NULL,
		subscriber text DEFAULT NULL, event_type text DEFAULT NULL,
		max_letters integer DEFAULT NULL, filter text DEFAULT NULL)
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.discard_dead_letters(uuid[], text, text, integer, text) IS
	'Marks dead letters as not to be delivered any more; returns how many.';

REVOKE ALL ON FUNCTION
	event_engine.redrive_dead_letters_as(oid, uuid[], text, text, integer, text, integer),
	event_engine.discard_dead_letters_as(oid, uuid[], text, text, integer, text)
FROM PUBLIC;
/* ------------------------------------------------------------------------
 * Delivery in the publisher's transaction.
 *
 * What is published by function is handed over in C.  Rows that come by
 * INSERT and COPY are handed over once their statement is done; as long as
 * nobody wants that, a row costs one call of a function that compares.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.delivers_immediately() RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_delivers_immediately';
COMMENT ON FUNCTION event_engine.delivers_immediately() IS
	'Whether handlers are called where events are published.';

CREATE FUNCTION event_engine.deliver_row() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_deliver_row';
COMMENT ON FUNCTION event_engine.deliver_row() IS
	'Trigger on events: calls handlers with what INSERT and COPY have brought.';

CREATE TRIGGER event_engine_deliver AFTER INSERT ON event_engine.events
	FOR EACH ROW WHEN (event_engine.delivers_immediately())
	EXECUTE FUNCTION event_engine.deliver_row();

/* Publishers ask for it after every change of the subscriptions. */
CREATE INDEX subscriptions_immediate_idx ON event_engine.subscriptions (number)
	WHERE options @> '{"immediate": true}';
/* ------------------------------------------------------------------------
 * Delivery in order: what is held up.
 * ------------------------------------------------------------------------ */

/*
 * What waits in deliveries, after the options ordered and on_dead_letter of
 * its subscription have changed.  The caller keeps delivery to it out.
 */
CREATE FUNCTION event_engine.reorder_deliveries(
		old event_engine.subscriptions, new event_engine.subscriptions)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was_ordered CONSTANT boolean :=
		COALESCE((old.options -> 'ordered')::boolean, false);
	is_ordered CONSTANT boolean :=
		COALESCE((new.options -> 'ordered')::boolean, false);
	at CONSTANT timestamptz := clock_timestamp();
BEGIN
	IF is_ordered AND NOT was_ordered THEN
		-- what has failed before holds up its key, the first of each
		UPDATE event_engine.deliveries AS d
			SET partition_key = (d.event).partition_key
			WHERE d.subscription_number = old.number AND d.status = 'retry';
		UPDATE event_engine.deliveries AS d
			SET status = 'parked', next_attempt_at = 'infinity'
			WHERE d.subscription_number = old.number
				AND d.partition_key IS NOT NULL
				AND EXISTS (SELECT FROM event_engine.deliveries AS b
					WHERE b.subscription_number = old.number
						AND b.partition_key = d.partition_key
						AND b.seq < d.seq);
	ELSIF was_ordered AND NOT is_ordered THEN
		DELETE FROM event_engine.deliveries AS d
			WHERE d.subscription_number = old.number
				AND d.status IN ('halted', 'released');
		UPDATE event_engine.deliveries AS d
			SET partition_key = NULL,
				status = CASE d.status WHEN 'parked' THEN 'retry'
					ELSE d.status END,
				next_attempt_at = LEAST(d.next_attempt_at, at)
			WHERE d.subscription_number = old.number
				AND d.partition_key IS NOT NULL;
	END IF;
	IF is_ordered AND new.options ->> 'on_dead_letter' IS DISTINCT FROM 'halt'
	THEN
		UPDATE event_engine.deliveries AS d
			SET status = 'released', next_attempt_at = at
			WHERE d.subscription_number = old.number AND d.status = 'halted';
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.reorder_deliveries(event_engine.subscriptions, event_engine.subscriptions) IS
	'Internal: what becomes of deliveries when a subscription gets an order or loses it.';

/*
 * held_up_keys: keys of ordered subscriptions whose events wait.
 *
 *	status		retry: the first is tried again at next_attempt_at
 *				halted: it has been given up, and a person is to decide on
 *				its dead letter
 *	seq, id		of the first; attempts made at it, and the latest error
 *	parked		how many wait behind it
 *	since		when the first failed first
 */
CREATE VIEW event_engine.held_up_keys AS
	SELECT s.subscriber, h.partition_key, h.status, h.seq, h.id, h.attempts,
		h.next_attempt_at, h.last_error, h.first_failed_at AS since,
		h.parked
	FROM (SELECT DISTINCT ON (d.subscription_number, d.partition_key)
			d.subscription_number, d.partition_key, d.status, d.seq, d.id,
			d.attempts, NULLIF(d.next_attempt_at, 'infinity')
				AS next_attempt_at, d.last_error, d.first_failed_at,
			count(*) OVER (PARTITION BY d.subscription_number,
				d.partition_key) - 1 AS parked
		FROM event_engine.deliveries AS d
		WHERE d.partition_key IS NOT NULL
		ORDER BY d.subscription_number, d.partition_key, d.seq) AS h
	JOIN event_engine.subscriptions AS s ON s.number = h.subscription_number;
COMMENT ON VIEW event_engine.held_up_keys IS
	'Keys of ordered subscriptions whose events wait behind one that failed.';
/* ------------------------------------------------------------------------
 * Delivery, one event at a time and on demand: for repairs, and for tests of
 * what is built on it.
 *
 * Faces in C tell the functions with _as the caller's role, as in routing.
 * ------------------------------------------------------------------------ */

/* ---- Where is an event? ---- */

CREATE FUNCTION event_engine.passed_event(number integer, event event_engine.event)
	RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_passed_event';
COMMENT ON FUNCTION event_engine.passed_event(integer, event_engine.event) IS
	'Internal: has the cursor of a subscription gone past an event?';

/*
 * What has become of an event that a subscription wants: pending (in the log,
 * not yet reached), leased, dead (a letter that nobody has decided on), done,
 * or the status of its row in deliveries.  Further, where they are known: the
 * latest error, the attempts made, and when another is due or a lease ends.
 */
CREATE FUNCTION event_engine.delivery_state(own event_engine.subscriptions,
		event event_engine.event, OUT state text, OUT error text,
		OUT attempts integer, OUT next_attempt_at timestamptz)
	RETURNS record
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT d.status, d.last_error, d.attempts, d.next_attempt_at
		INTO state, error, attempts, next_attempt_at
		FROM event_engine.deliveries AS d
		WHERE d.subscription_number = own.number AND d.seq = event.seq;
	IF FOUND THEN
		RETURN;
	END IF;
	SELECT 'leased', l.attempts, l.expires_at
		INTO state, attempts, next_attempt_at
		FROM event_engine.event_leases AS l
		WHERE l.subscription_number = own.number
			AND event.seq = ANY (l.seqs) LIMIT 1;
	IF FOUND THEN
		RETURN;
	END IF;
	SELECT 'dead', l.error_message, l.retry_count INTO state, error, attempts
		FROM event_engine.event_dead_letters AS l
		WHERE l.subscriber = own.subscriber AND l.seq = event.seq
			AND l.status = 'dead' LIMIT 1;
	IF NOT FOUND THEN
		state := CASE WHEN (own.options -> 'immediate')::boolean
			OR event_engine.passed_event(own.number, event)
			THEN 'done' ELSE 'pending' END;
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.delivery_state(event_engine.subscriptions, event_engine.event) IS
	'Internal: what has become of an event that a subscription wants.';

/* Does it want the event?  A filter that raises an error does not. */
CREATE FUNCTION event_engine.subscription_wants(own event_engine.subscriptions,
		event event_engine.event)
	RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN event_engine.event_matches(event, own.match, own.filter_path,
		own.filters);
EXCEPTION WHEN data_exception THEN
	RETURN false;
END
$$;
COMMENT ON FUNCTION event_engine.subscription_wants(event_engine.subscriptions, event_engine.event) IS
	'Internal: whether a subscription wants an event.';

/* ---- One event ---- */

CREATE FUNCTION event_engine.call_handler(number integer,
		event event_engine.event)
	RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_call_handler';
COMMENT ON FUNCTION event_engine.call_handler(integer, event_engine.event) IS
	'Internal: calls the handler of a subscription with an event marked as replayed; false: it has handled another of the same idempotency key.';

CREATE FUNCTION event_engine.process_subscription(number integer)
	RETURNS integer
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_process_subscription';
COMMENT ON FUNCTION event_engine.process_subscription(integer) IS
	'Internal: as process_batch(), whoever calls and whatever the search path.';

CREATE FUNCTION event_engine.process_event_as(caller oid, id uuid,
		subscriber text)
	RETURNS TABLE (subscription text, outcome text, error text)
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	event event_engine.event;
	own event_engine.subscriptions;
	state text;
BEGIN
	SELECT e.* INTO event FROM event_engine.get_event(id) AS e;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE205',
			MESSAGE = format('unknown event %s', COALESCE(id::text, 'null'));
	END IF;
	IF process_event_as.subscriber IS NOT NULL THEN
		own := event_engine.own_subscription(caller,
			process_event_as.subscriber);
		IF own.kind <> 'handler' THEN
			RAISE EXCEPTION USING ERRCODE = 'VE403',
				MESSAGE = format('subscription "%s" has no handler',
					own.subscriber),
				DETAIL = format('It is of kind %s.', own.kind);
		END IF;
	END IF;

	FOR own IN SELECT s.* FROM event_engine.subscriptions AS s
		WHERE s.kind = 'handler' AND s.status = 'active'
			AND pg_has_role(caller, s.owner::oid, 'USAGE')
			AND (process_event_as.subscriber IS NULL
				OR s.subscriber = process_event_as.subscriber)
		ORDER BY s.number
	LOOP
		CONTINUE WHEN NOT event_engine.subscription_wants(own, event);
		SELECT s.state INTO state
			FROM event_engine.delivery_state(own, event) AS s;
		IF state = 'done' THEN
			BEGIN
				outcome := CASE
					WHEN event_engine.call_handler(own.number, event)
					THEN 'replayed' ELSE 'duplicate' END;
				error := NULL;
			EXCEPTION WHEN OTHERS THEN
				outcome := 'failed';
				error := SQLERRM;
			END;
		ELSE
			IF state = 'dead' THEN
				PERFORM event_engine.redrive_dead_letters(ids => ARRAY(
					SELECT l.id FROM event_engine.event_dead_letters AS l
					WHERE l.subscriber = own.subscriber
						AND l.seq = event.seq AND l.status = 'dead'));
			END IF;
			UPDATE event_engine.deliveries AS d
				SET next_attempt_at = '-infinity'
				WHERE d.subscription_number = own.number AND d.seq = event.seq
					AND d.status IN ('retry', 'delayed');
			PERFORM event_engine.process_subscription(own.number);
			SELECT CASE s.state WHEN 'done' THEN 'delivered' ELSE s.state END,
					s.error
				INTO outcome, error
				FROM event_engine.delivery_state(own, event) AS s;
		END IF;
		subscription := own.subscriber;
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION event_engine.process_event_as(oid, uuid, text) IS
	'Does the work of process_event() for the given role.';

/*
 * process_event: one event, here and now, for the handlers that want it and
 * whose owner's rights the caller has.
 *
 *	id			of the event
 *	subscriber	only for this one; null: for all
 *
 * Where it waits in the log the subscription is worked off up to it, as its
 * order demands; where it waits for another attempt, or is a dead letter, it
 * is tried now; where it has been delivered the handler is called again, the
 * event being marked as replayed.
 *
 * Result, a row for each subscription: outcome is delivered, replayed, failed
 * (the handler called again, and raised an error: nothing is written down),
 * duplicate (not called, as another event of the same idempotency key has been
 * handled within the window), or what has become of it otherwise: retry, dead, parked, pending (somebody
 * else is delivering, or it is not committed); error: of the latest attempt.
 */
CREATE FUNCTION event_engine.process_event(id uuid,
		subscriber text DEFAULT NULL)
	RETURNS TABLE (subscription text, outcome text, error text)
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.process_event(uuid, text) IS
	'Delivers one event now, or again; returns what became of it for each subscription.';

/* ---- Everything that waits ---- */

CREATE FUNCTION event_engine.make_due_as(caller oid, subscriber text)
	RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n bigint;
BEGIN
	UPDATE event_engine.deliveries AS d
		SET next_attempt_at = clock_timestamp()
		FROM event_engine.subscriptions AS s
		WHERE s.number = d.subscription_number
			AND d.status IN ('retry', 'delayed')
			AND d.next_attempt_at > clock_timestamp()
			AND pg_has_role(caller, s.owner::oid, 'USAGE')
			AND (make_due_as.subscriber IS NULL
				OR s.subscriber = make_due_as.subscriber);
	GET DIAGNOSTICS n = ROW_COUNT;
	IF n > 0 THEN
		PERFORM event_engine.wake_workers();
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.make_due_as(oid, text) IS
	'Does the work of make_due() for the given role.';

/*
 * make_due: what waits for another attempt, or for its deliver_at, is due
 * now.  Of one subscription, or of all whose owner's rights the caller has.
 * Result: how many events.
 */
CREATE FUNCTION event_engine.make_due(subscriber text DEFAULT NULL)
	RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.make_due(text) IS
	'Retries and delayed events become due now; returns how many.';

CREATE FUNCTION event_engine.lock_deliveries_as(caller oid, subscriber text)
	RETURNS void
	LANGUAGE sql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT event_engine.lock_subscription(s.number)
	FROM (SELECT o.number FROM event_engine.subscriptions AS o
		WHERE o.kind <> 'pull' AND o.status = 'active'
			AND pg_has_role(caller, o.owner::oid, 'USAGE')
			AND (lock_deliveries_as.subscriber IS NULL
				OR o.subscriber = lock_deliveries_as.subscriber)
		ORDER BY o.number) AS s
$$;
COMMENT ON FUNCTION event_engine.lock_deliveries_as(oid, text) IS
	'Does the work of lock_deliveries() for the given role.';

CREATE FUNCTION event_engine.lock_deliveries(subscriber text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.lock_deliveries(text) IS
	'Waits for running batches and keeps the workers out until the transaction ends.';

/*
 * run_pending: deliver everything that is pending, and what handlers publish
 * meanwhile, until nothing is left.
 *
 *	subscriber	only this one; null: all whose owner's rights the caller has
 *	ahead		also what is due later: retries, and events with a deliver_at
 *	delivered	out: events delivered here, not counting what workers did
 *
 * Outside of a transaction block each round is a transaction of its own.
 * Inside, what the transaction has published itself, or its handlers, stays:
 * it cannot be delivered before it is committed.
 */
CREATE PROCEDURE event_engine.run_pending(subscriber text DEFAULT NULL,
		ahead boolean DEFAULT false, INOUT delivered bigint DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_run_pending';
COMMENT ON PROCEDURE event_engine.run_pending(text, boolean, bigint) IS
	'Delivers everything that is pending, and what handlers publish meanwhile.';

/* ---- Waiting ---- */

/*
 * wait_for_event: until an event like this has been published.
 *
 *	pattern, filter		as of assert_published()
 *	timeout		then an error is raised
 *	since		counts from then on; null: what is published from now on
 *	id			out: of the first such event
 *
 * Outside of a transaction block no snapshot is held while waiting.
 */
CREATE PROCEDURE event_engine.wait_for_event(pattern text,
		timeout interval DEFAULT '10 s', filter text DEFAULT NULL,
		since timestamptz DEFAULT NULL, INOUT id uuid DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_wait_for_event';
COMMENT ON PROCEDURE event_engine.wait_for_event(text, interval, text, timestamptz, uuid) IS
	'Waits until such an event has been published; raises an error when the time is up.';

CREATE FUNCTION event_engine.first_published(pattern text, filter text,
		after bigint, since timestamptz)
	RETURNS uuid
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	wanted CONSTANT jsonb := event_engine.subscription_match(
		ARRAY[pattern], NULL);
BEGIN
	RETURN (SELECT e.id FROM event_engine.events AS e
		WHERE (after IS NULL OR e.seq > after)
			AND (since IS NULL OR e.created_at >= since)
			AND event_engine.event_matches(ROW(e.*)::event_engine.event,
				wanted, filter)
		ORDER BY e.seq LIMIT 1);
END
$$;
COMMENT ON FUNCTION event_engine.first_published(text, text, bigint, timestamptz) IS
	'The first event like this since a time, or after a position of the log.';

/*
 * undelivered_event: who has not yet had an event, in a line each; null when
 * all have.  Raises assert_failure when somebody has given it up.
 */
CREATE FUNCTION event_engine.undelivered_event_as(caller oid, id uuid,
		subscriber text)
	RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	event event_engine.event;
	own event_engine.subscriptions;
	progress record;
	lines text;
BEGIN
	SELECT e.* INTO event FROM event_engine.get_event(id) AS e;
	IF NOT FOUND THEN
		RETURN format('event %s is not visible', COALESCE(id::text, 'null'));
	END IF;
	IF undelivered_event_as.subscriber IS NOT NULL THEN
		own := event_engine.own_subscription(caller,
			undelivered_event_as.subscriber);
		IF NOT event_engine.subscription_wants(own, event) THEN
			RAISE EXCEPTION USING ERRCODE = 'assert_failure',
				MESSAGE = format('subscription "%s" does not want the event',
					own.subscriber),
				HINT = 'event_engine.match_event() tells why.';
		END IF;
	END IF;
	FOR own IN SELECT s.* FROM event_engine.subscriptions AS s
		WHERE pg_has_role(caller, s.owner::oid, 'USAGE')
			AND (s.subscriber = undelivered_event_as.subscriber
				OR undelivered_event_as.subscriber IS NULL
					AND s.kind = 'handler' AND s.status = 'active')
		ORDER BY s.number
	LOOP
		CONTINUE WHEN NOT event_engine.subscription_wants(own, event);
		SELECT s.* INTO progress FROM event_engine.delivery_state(own, event) AS s;
		IF progress.state = 'dead' THEN
			RAISE EXCEPTION USING ERRCODE = 'assert_failure',
				MESSAGE = format('the event is a dead letter of subscription "%s"',
					own.subscriber),
				DETAIL = progress.error;
		END IF;
		IF progress.state <> 'done' THEN
			lines := concat_ws(E'\n', lines, format('subscription "%s": %s%s',
				own.subscriber, progress.state, ', ' || progress.error));
		END IF;
	END LOOP;
	RETURN lines;
END
$$;
COMMENT ON FUNCTION event_engine.undelivered_event_as(oid, uuid, text) IS
	'Does the work of undelivered_event() for the given role.';

CREATE FUNCTION event_engine.undelivered_event(id uuid, subscriber text)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.undelivered_event(uuid, text) IS
	'Which subscriptions have not yet had an event; null when all have.';

/*
 * wait_for_delivery: until all active handlers that want an event have had
 * it, or one subscription has, of whatever kind.
 *
 *	id			of the event
 *	timeout		then an error is raised, which says who has not had it
 *	subscriber	only this one
 *
 * A dead letter raises an error at once.  Outside of a transaction block no
 * snapshot is held while waiting.
 */
CREATE PROCEDURE event_engine.wait_for_delivery(id uuid,
		timeout interval DEFAULT '10 s', subscriber text DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_wait_for_delivery';
COMMENT ON PROCEDURE event_engine.wait_for_delivery(uuid, interval, text) IS
	'Waits until an event has been delivered; raises an error when the time is up.';

/* ---- What was published? ---- */

/*
 * assert_published: has an event like this been published?
 *
 *	pattern		exact, or with the wildcards * (a segment) and # (any number)
 *	filter		SQL/JSON path predicate over the envelope
 *	times		exactly so often; null: at least once
 *	since		since when; null: in this transaction
 *
 * Result: how many there are.  Raises assert_failure otherwise, saying what
 * has been published instead.  Needs the right to read events.
 */
CREATE FUNCTION event_engine.assert_published(pattern text,
		filter text DEFAULT NULL, times integer DEFAULT NULL,
		since timestamptz DEFAULT NULL)
	RETURNS integer
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	wanted CONSTANT jsonb := event_engine.subscription_match(
		ARRAY[pattern], NULL);
	found integer;
	others text;
BEGIN
	SELECT count(*) FILTER (WHERE event_engine.event_matches(e.event, wanted,
				filter)),
			string_agg(format('%s %s', (e.event).pattern,
				left((e.event).payload::text, 200)),
				E'\n' ORDER BY e.n) FILTER (WHERE e.n <= 10)
		INTO found, others
		FROM (SELECT ROW(l.*)::event_engine.event AS event,
				row_number() OVER (ORDER BY l.seq) AS n
			FROM event_engine.events AS l
			WHERE CASE WHEN since IS NULL
				THEN l.xid = pg_current_xact_id_if_assigned()
				ELSE l.created_at >= since END) AS e;
	IF found = times OR times IS NULL AND found > 0 THEN
		RETURN found;
	END IF;
	RAISE EXCEPTION USING ERRCODE = 'assert_failure',
		MESSAGE = format('event "%s"%s was published %s times, expected %s',
			pattern, ' where ' || filter, found,
			COALESCE(times::text, 'at least one')),
		DETAIL = COALESCE(E'Published were, at most ten of them shown:\n' || others,
			'Nothing was published.');
END
$$;
COMMENT ON FUNCTION event_engine.assert_published(text, text, integer, timestamptz) IS
	'Raises unless such an event was published, in this transaction or since a time.';

REVOKE ALL ON FUNCTION
	event_engine.process_event_as(oid, uuid, text),
	event_engine.make_due_as(oid, text),
	event_engine.lock_deliveries_as(oid, text),
	event_engine.undelivered_event_as(oid, uuid, text)
FROM PUBLIC;
/* ------------------------------------------------------------------------
 * Delivery: events published on a schedule.
 * ------------------------------------------------------------------------ */

/*
 * event_schedules
 *
 *	name			unique; the job of pg_cron is called event_engine:<name>
 *	owner			publishes: the job runs as this role
 *	schedule		minute, hour, day of month, month, day of week
 *	time_zone		whose clock is meant
 *	pattern ... priority	of the event, as for publish_event()
 *	active			false: paused, and there is no job
 *	checked_at		up to when occurrences have been dealt with
 *	published_at	when it was last published, and the event's id
 */
CREATE TABLE event_engine.event_schedules (
	name text NOT NULL PRIMARY KEY
		CHECK (name <> '' AND octet_length(name) <= 200),
	owner regrole NOT NULL,
	schedule text NOT NULL,
	time_zone text NOT NULL,
	pattern varchar(255) NOT NULL,
	payload jsonb NOT NULL,
	metadata jsonb NOT NULL,
	source jsonb,
	partition_key text,
	priority event_engine.event_priority,
	active boolean NOT NULL DEFAULT true,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	published_at timestamptz,
	event_id uuid
);
COMMENT ON TABLE event_engine.event_schedules IS
	'Events that are published on a schedule.';
/* ------------------------------------------------------------------------
 * Delivery: events published on a schedule, by pg_cron.
 *
 * pg_cron knows one time zone.  So a schedule's job runs more often than the
 * schedule, once an hour as a rule, and asks whether an occurrence by the
 * clock of the schedule's own zone has passed since it last asked.  A job
 * that came late, or not at all while the server was down, is thus made good
 * by the next one.
 *
 * Faces in C tell the functions with _as the caller's role, as in routing.
 * What talks to pg_cron runs with the caller's rights, as the job will.
 * ------------------------------------------------------------------------ */

/* ---- What a schedule means ---- */

/*
 * The numbers that a field of a schedule stands for: *, a, a-b, a-b/n, * /n,
 * a/n, and lists of these; names stand for low, low + 1, ...
 */
CREATE FUNCTION event_engine.schedule_field(field text, low integer,
		high integer, names text[])
	RETURNS integer[]
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	term text;
	part text[];
	first integer;
	last integer;
	step integer;
	found integer[] := '{}';
BEGIN
	FOREACH term IN ARRAY string_to_array(lower(field), ',') LOOP
		part := regexp_match(term,
			'^(\*|([0-9]{1,2}|[a-z]{3})(-([0-9]{1,2}|[a-z]{3}))?)(/([0-9]{1,2}))?$');
		IF part IS NULL THEN
			RETURN NULL;
		END IF;
		first := CASE WHEN part[1] = '*' THEN low
			WHEN part[2] ~ '[a-z]' THEN array_position(names, part[2]) - 1 + low
			ELSE part[2]::integer END;
		last := CASE WHEN part[1] = '*' THEN high
			WHEN part[4] ~ '[a-z]' THEN array_position(names, part[4]) - 1 + low
			WHEN part[4] IS NOT NULL THEN part[4]::integer
			WHEN part[6] IS NOT NULL THEN high
			ELSE first END;
		step := COALESCE(part[6]::integer, 1);
		IF (first BETWEEN low AND high AND last BETWEEN first AND high
			AND step > 0) IS NOT TRUE THEN
			RETURN NULL;
		END IF;
		found := found || ARRAY(SELECT generate_series(first, last, step));
	END LOOP;
	RETURN NULLIF(found, '{}');
END
$$;
COMMENT ON FUNCTION event_engine.schedule_field(text, integer, integer, text[]) IS
	'Internal: the numbers that a field of a schedule stands for; null when it is none.';

/*
 * A schedule taken apart.  any_day: where both the days of the month and of
 * the week are restricted, either will do, as cron has always had it.
 * by_elapsed: the hours are unrestricted, so it goes on by elapsed time where
 * clocks are changed.
 */
CREATE FUNCTION event_engine.parse_schedule(schedule text,
		OUT minutes integer[], OUT hours integer[], OUT days integer[],
		OUT months integer[], OUT weekdays integer[], OUT any_day boolean,
		OUT by_elapsed boolean)
	RETURNS record
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fields CONSTANT text[] := regexp_split_to_array(btrim(CASE lower(schedule)
		WHEN '@hourly' THEN '0 * * * *'
		WHEN '@daily' THEN '0 0 * * *'
		WHEN '@midnight' THEN '0 0 * * *'
		WHEN '@weekly' THEN '0 0 * * 0'
		WHEN '@monthly' THEN '0 0 1 * *'
		WHEN '@yearly' THEN '0 0 1 1 *'
		WHEN '@annually' THEN '0 0 1 1 *'
		ELSE schedule END), '\s+');
	problem text;
BEGIN
	IF cardinality(fields) = 5 THEN
		minutes := event_engine.schedule_field(fields[1], 0, 59, NULL);
		hours := event_engine.schedule_field(fields[2], 0, 23, NULL);
		days := event_engine.schedule_field(fields[3], 1, 31, NULL);
		months := event_engine.schedule_field(fields[4], 1, 12,
			'{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}');
		weekdays := event_engine.schedule_field(fields[5], 0, 7,
			'{sun,mon,tue,wed,thu,fri,sat}');
		problem := CASE WHEN minutes IS NULL
				THEN format('"%s" is no minute (0-59).', fields[1])
			WHEN hours IS NULL THEN format('"%s" is no hour (0-23).', fields[2])
			WHEN days IS NULL
				THEN format('"%s" is no day of the month (1-31).', fields[3])
			WHEN months IS NULL
				THEN format('"%s" is no month (1-12, jan-dec).', fields[4])
			WHEN weekdays IS NULL
				THEN format('"%s" is no day of the week (0-7, sun-sat).', fields[5])
			END;
	ELSE
		problem := 'It has five fields: minute, hour, day of month, month, day of week.';
	END IF;
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE406',
			MESSAGE = format('invalid schedule "%s"', COALESCE(schedule, 'null')),
			DETAIL = problem;
	END IF;
	any_day := fields[3] !~ '^\*' AND fields[5] !~ '^\*';
	by_elapsed := fields[2] ~ '^\*';
	-- 7 is Sunday as well
	weekdays := CASE WHEN 7 = ANY (weekdays) THEN weekdays || 0 ELSE weekdays END;
END
$$;
COMMENT ON FUNCTION event_engine.parse_schedule(text) IS
	'Internal: a schedule taken apart, or an error that says what is wrong.';

/*
 * schedule_times: when a schedule occurs, after a time and until another.
 *
 * A time that a clock put forward skips occurs as much later as the clock
 * was put; one that a clock put back shows twice occurs once.  Where the
 * hours are unrestricted it occurs by elapsed time all the same.
 */
CREATE FUNCTION event_engine.schedule_times(schedule text, time_zone text,
		after timestamptz, until timestamptz)
	RETURNS SETOF timestamptz
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	parsed CONSTANT record := event_engine.parse_schedule(schedule);
	first_day CONSTANT date := ((after AT TIME ZONE time_zone) - '1 day'::interval)::date;
	last_day CONSTANT date := ((until AT TIME ZONE time_zone) + '1 day'::interval)::date;
BEGIN
	RETURN QUERY
	WITH day AS (
		SELECT first_day + n AS day
		FROM generate_series(0, last_day - first_day) AS n
	), fitting AS (
		SELECT d.day FROM day AS d
		WHERE extract(month FROM d.day)::integer = ANY (parsed.months)
			AND CASE WHEN parsed.any_day
				THEN extract(day FROM d.day)::integer = ANY (parsed.days)
					OR extract(dow FROM d.day)::integer = ANY (parsed.weekdays)
				ELSE extract(day FROM d.day)::integer = ANY (parsed.days)
					AND extract(dow FROM d.day)::integer = ANY (parsed.weekdays)
				END
	), local AS (
		SELECT f.day + make_time(h.hour, m.minute, 0) AS at
		FROM fitting AS f
		CROSS JOIN unnest(parsed.hours) AS h (hour)
		CROSS JOIN unnest(parsed.minutes) AS m (minute)
	), instant AS (
		SELECT l.at AT TIME ZONE time_zone AS at FROM local AS l
		UNION
		-- the hour that a clock shows twice
		SELECT e.at
		FROM local AS l
		CROSS JOIN LATERAL (
			SELECT (l.at AT TIME ZONE time_zone) + s.shift AS at
			FROM unnest('{-1 hour,-30 minutes,30 minutes,1 hour}'::interval[])
				AS s (shift)) AS e
		WHERE parsed.by_elapsed AND (e.at AT TIME ZONE time_zone) = l.at
	)
	SELECT i.at FROM instant AS i
	WHERE i.at > after AND i.at <= until
	ORDER BY i.at;
END
$$;
COMMENT ON FUNCTION event_engine.schedule_times(text, text, timestamptz, timestamptz) IS
	'When a schedule occurs by the clock of a time zone, after a time and until another.';

/* The first occurrence after a time; null when there is none for years. */
CREATE FUNCTION event_engine.next_schedule_time(schedule text,
		time_zone text, after timestamptz)
	RETURNS timestamptz
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found timestamptz;
	span interval;
BEGIN
	-- a leap day may be eight years away
	FOREACH span IN ARRAY '{2 days,40 days,400 days,3000 days}'::interval[] LOOP
		SELECT min(t.at) INTO found
			FROM event_engine.schedule_times(schedule, time_zone, after,
				after + span) AS t (at);
		EXIT WHEN found IS NOT NULL;
	END LOOP;
	RETURN found;
END
$$;
COMMENT ON FUNCTION event_engine.next_schedule_time(text, text, timestamptz) IS
	'The first time that a schedule occurs after a time.';

/*
 * How often pg_cron has to ask: in the schedule's minutes of each hour, if
 * the clocks of its zone and ours are always whole hours apart; else always.
 */
CREATE FUNCTION event_engine.schedule_of_job(schedule text, time_zone text)
	RETURNS text
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN EXISTS (SELECT
		FROM generate_series(0, 120) AS n
		CROSS JOIN LATERAL (SELECT clock_timestamp()
			+ make_interval(months => n::integer) AS at) AS t
		WHERE extract(minute FROM (t.at AT TIME ZONE time_zone)
			- (t.at AT TIME ZONE COALESCE(
				current_setting('cron.timezone', true), 'UTC'))) <> 0)
	THEN '* * * * *'
	-- @daily and its kin
	WHEN schedule !~ '\s' THEN '0 * * * *'
	ELSE (regexp_split_to_array(btrim(schedule), '\s+'))[1] || ' * * * *' END;
COMMENT ON FUNCTION event_engine.schedule_of_job(text, text) IS
	'Internal: when pg_cron runs the job of a schedule.';

/* ---- pg_cron ---- */

/* The settings of pg_cron may be read by superusers only. */
CREATE FUNCTION event_engine.check_scheduler() RETURNS void
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	home CONSTANT text := current_setting('cron.database_name', true);
BEGIN
	IF EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
		RETURN;
	END IF;
	RAISE EXCEPTION USING ERRCODE = 'VE407',
		MESSAGE = 'pg_cron is not installed in this database',
		DETAIL = 'Events are published on a schedule by jobs of pg_cron.',
		HINT = CASE
			WHEN NOT EXISTS (SELECT FROM pg_available_extensions AS a
				WHERE a.name = 'pg_cron')
			THEN 'Install its package (Debian: postgresql-15-cron), add pg_cron to shared_preload_libraries and restart the server; or let any other scheduler call event_engine.publish_event().'
			WHEN home IS NULL
			THEN 'Add pg_cron to shared_preload_libraries, restart the server, and CREATE EXTENSION pg_cron.'
			WHEN home <> current_database()
			THEN format('It lives in database "%s" by the setting cron.database_name: set it to "%s", restart the server, and CREATE EXTENSION pg_cron here.',
				home, current_database())
			ELSE 'CREATE EXTENSION pg_cron.' END;
END
$$;
COMMENT ON FUNCTION event_engine.check_scheduler() IS
	'Internal: raises what is missing for events on a schedule.';

/* The job, made new or removed. */
CREATE FUNCTION event_engine.set_schedule_job(name text, schedule text,
		time_zone text, active boolean)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	job CONSTANT text := 'event_engine:' || name;
BEGIN
	PERFORM event_engine.check_scheduler();
	IF active THEN
		EXECUTE 'SELECT cron.schedule($1::text, $2::text, $3::text)'
			USING job, event_engine.schedule_of_job(schedule, time_zone),
				format('SELECT event_engine.run_event_schedule(%L)', name);
	ELSE
		EXECUTE 'SELECT cron.unschedule(j.jobid) FROM cron.job AS j
			WHERE j.jobname = $1 AND j.username = current_user' USING job;
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.set_schedule_job(text, text, text, boolean) IS
	'Internal: makes or removes the job of a schedule.';

/* ---- Schedule, pause, resume, remove ---- */

CREATE FUNCTION event_engine.own_schedule_as(caller oid, name text)
	RETURNS event_engine.event_schedules
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.event_schedules;
BEGIN
	SELECT s.* INTO stored FROM event_engine.event_schedules AS s
		WHERE s.name = own_schedule_as.name FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE406',
			MESSAGE = format('there is no schedule "%s"', name);
	END IF;
	-- the job is the owner's own: no member of the role has it
	IF stored.owner <> caller THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of schedule "%s"', name),
			DETAIL = format('It belongs to role %s.', stored.owner),
			HINT = format('SET ROLE %s first.', stored.owner);
	END IF;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.own_schedule_as(oid, text) IS
	'Does the work of own_schedule() for the given role.';

CREATE FUNCTION event_engine.own_schedule(name text)
	RETURNS event_engine.event_schedules
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.own_schedule(text) IS
	'The schedule of that name, locked, if it is the caller''s.';

CREATE FUNCTION event_engine.store_schedule_as(caller oid, name text,
		schedule text, pattern text, payload jsonb, time_zone text,
		metadata jsonb, source jsonb, partition_key text,
		priority event_engine.event_priority)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.parse_schedule(schedule);
	PERFORM FROM pg_timezone_names AS z
		WHERE lower(z.name) = lower(time_zone);
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE406',
			MESSAGE = format('unknown time zone "%s"', COALESCE(time_zone, 'null')),
			DETAIL = 'A zone has a name, like Europe/Berlin: an offset or an abbreviation does not tell when clocks are changed.',
			HINT = 'pg_timezone_names lists them.';
	END IF;
	PERFORM FROM event_engine.event_definitions AS d
		WHERE d.pattern = store_schedule_as.pattern;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE001',
			MESSAGE = format('unknown event pattern "%s"',
				COALESCE(pattern, 'null'));
	END IF;
	IF name IS NULL OR name = '' OR octet_length(name) > 200 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE406',
			MESSAGE = 'invalid name of a schedule',
			DETAIL = 'A name has 1 to 200 bytes.';
	END IF;
	IF EXISTS (SELECT FROM event_engine.event_schedules AS s
			WHERE s.name = store_schedule_as.name) THEN
		PERFORM event_engine.own_schedule_as(caller, name);
	END IF;
	INSERT INTO event_engine.event_schedules AS s (name, owner, schedule,
			time_zone, pattern, payload, metadata, source, partition_key,
			priority)
		VALUES (name, caller, schedule, time_zone, pattern,
			COALESCE(payload, '{}'), COALESCE(metadata, '{}'), source,
			partition_key, priority)
		ON CONFLICT ON CONSTRAINT event_schedules_pkey DO UPDATE
			SET schedule = excluded.schedule, time_zone = excluded.time_zone,
				pattern = excluded.pattern, payload = excluded.payload,
				metadata = excluded.metadata, source = excluded.source,
				partition_key = excluded.partition_key,
				priority = excluded.priority, active = true,
				checked_at = clock_timestamp()
			WHERE s.owner = excluded.owner;
END
$$;
COMMENT ON FUNCTION event_engine.store_schedule_as(oid, text, text, text, jsonb, text, jsonb, jsonb, text, event_engine.event_priority) IS
	'Does the work of store_schedule() for the given role.';

CREATE FUNCTION event_engine.store_schedule(name text, schedule text,
		pattern text, payload jsonb, time_zone text, metadata jsonb,
		source jsonb, partition_key text,
		priority event_engine.event_priority)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.store_schedule(text, text, text, jsonb, text, jsonb, jsonb, text, event_engine.event_priority) IS
	'Stores a schedule of the caller, without its job.';

/*
 * schedule_event: publish an event again and again, in the caller's name.
 *
 *	name		unique; the same name again replaces the schedule
 *	schedule	as for cron: minute, hour, day of month, month, day of week;
 *				or @hourly, @daily, @weekly, @monthly, @yearly
 *	pattern ... priority	as for publish_event()
 *	time_zone	the schedule is by the clock of this zone, which has a name
 *				like Europe/Berlin
 *
 * The event's timestamp is the time for which it was scheduled.  What fell
 * into a time in which the server was down is published once it is up, the
 * latest occurrence only, unless that is a day old.  Needs pg_cron in this
 * database, usage of its schema, and the right to publish.
 * Writes: event_schedules, and a job of pg_cron.
 */
CREATE FUNCTION event_engine.schedule_event(name text, schedule text,
		pattern text, payload jsonb DEFAULT '{}',
		time_zone text DEFAULT 'UTC', metadata jsonb DEFAULT '{}',
		source jsonb DEFAULT NULL, partition_key text DEFAULT NULL,
		priority event_engine.event_priority DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.check_scheduler();
	PERFORM event_engine.store_schedule(name, schedule, pattern, payload,
		time_zone, metadata, source, partition_key, priority);
	PERFORM event_engine.set_schedule_job(name, schedule, time_zone, true);
END
$$;
COMMENT ON FUNCTION event_engine.schedule_event(text, text, text, jsonb, text, jsonb, jsonb, text, event_engine.event_priority) IS
	'Publishes an event on a schedule, by the clock of a time zone.';

CREATE FUNCTION event_engine.activate_schedule_as(caller oid, name text,
		active boolean)
	RETURNS event_engine.event_schedules
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.event_schedules;
BEGIN
	PERFORM event_engine.own_schedule_as(caller, name);
	-- what fell into the pause is not made good
	UPDATE event_engine.event_schedules AS s
		SET active = activate_schedule_as.active,
			checked_at = CASE WHEN s.active = activate_schedule_as.active
				THEN s.checked_at ELSE clock_timestamp() END
		WHERE s.name = activate_schedule_as.name
		RETURNING s.* INTO stored;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.activate_schedule_as(oid, text, boolean) IS
	'Does the work of activate_schedule() for the given role.';

CREATE FUNCTION event_engine.activate_schedule(name text, active boolean)
	RETURNS event_engine.event_schedules
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.activate_schedule(text, boolean) IS
	'Notes that a schedule of the caller is paused or resumed, without its job.';

CREATE FUNCTION event_engine.pause_event_schedule(name text) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.set_schedule_job(s.name, s.schedule, s.time_zone,
			false)
		FROM event_engine.activate_schedule(name, false) AS s;
END
$$;
COMMENT ON FUNCTION event_engine.pause_event_schedule(text) IS
	'Publishes nothing on this schedule until it is resumed.';

CREATE FUNCTION event_engine.resume_event_schedule(name text) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.set_schedule_job(s.name, s.schedule, s.time_zone,
			true)
		FROM event_engine.activate_schedule(name, true) AS s;
END
$$;
COMMENT ON FUNCTION event_engine.resume_event_schedule(text) IS
	'Publishes on this schedule again; what fell into the pause is left out.';

CREATE FUNCTION event_engine.remove_schedule_as(caller oid, name text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.own_schedule_as(caller, name);
	DELETE FROM event_engine.event_schedules AS s
		WHERE s.name = remove_schedule_as.name;
END
$$;
COMMENT ON FUNCTION event_engine.remove_schedule_as(oid, text) IS
	'Does the work of remove_schedule() for the given role.';

CREATE FUNCTION event_engine.remove_schedule(name text)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.remove_schedule(text) IS
	'Removes a schedule of the caller, without its job.';

/* Works without pg_cron as well, whose jobs went with it. */
CREATE FUNCTION event_engine.unschedule_event(name text) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.remove_schedule(name);
	IF EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
		PERFORM event_engine.set_schedule_job(name, NULL, NULL, false);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.unschedule_event(text) IS
	'Removes a schedule and its job.';

/* ---- The job ---- */

/* The schedule, if it has something to be published, and for when. */
CREATE FUNCTION event_engine.claim_schedule_as(caller oid, name text,
		at timestamptz, OUT claimed event_engine.event_schedules,
		OUT due timestamptz)
	RETURNS record
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	claimed := event_engine.own_schedule_as(caller, name);
	IF NOT claimed.active OR at <= claimed.checked_at THEN
		RETURN;
	END IF;
	SELECT max(t.at) INTO due
		FROM event_engine.schedule_times(claimed.schedule, claimed.time_zone,
			GREATEST(claimed.checked_at, at - '1 day'::interval), at) AS t (at);
	UPDATE event_engine.event_schedules AS s
		SET checked_at = claim_schedule_as.at
		WHERE s.name = claim_schedule_as.name;
END
$$;
COMMENT ON FUNCTION event_engine.claim_schedule_as(oid, text, timestamptz) IS
	'Does the work of claim_schedule() for the given role.';

CREATE FUNCTION event_engine.claim_schedule(name text, at timestamptz,
		OUT claimed event_engine.event_schedules, OUT due timestamptz)
	RETURNS record
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.claim_schedule(text, timestamptz) IS
	'A schedule of the caller, and for when it is due, if it is.';

CREATE FUNCTION event_engine.note_schedule_as(caller oid, name text,
		event_id uuid)
	RETURNS void
	LANGUAGE sql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
	UPDATE event_engine.event_schedules AS s
		SET published_at = clock_timestamp(), event_id = note_schedule_as.event_id
		WHERE s.name = note_schedule_as.name AND s.owner = caller
$$;
COMMENT ON FUNCTION event_engine.note_schedule_as(oid, text, uuid) IS
	'Does the work of note_schedule() for the given role.';

CREATE FUNCTION event_engine.note_schedule(name text, event_id uuid)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.note_schedule(text, uuid) IS
	'Notes that a schedule of the caller has published.';

/*
 * run_event_schedule: what a schedule's job does: publish, if an occurrence
 * has passed since it was last looked at.  Result: the event's id, or null.
 */
CREATE FUNCTION event_engine.run_event_schedule(name text,
		at timestamptz DEFAULT clock_timestamp())
	RETURNS uuid
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	job record;
	own event_engine.event_schedules;
	id uuid;
BEGIN
	SELECT * INTO job FROM event_engine.claim_schedule(name, at);
	IF job.due IS NULL THEN
		RETURN NULL;
	END IF;
	own := job.claimed;
	id := event_engine.publish_event(pattern => own.pattern::text,
		payload => own.payload, metadata => own.metadata,
		source => own.source, "timestamp" => job.due,
		partition_key => own.partition_key, priority => own.priority);
	PERFORM event_engine.note_schedule(name, id);
	RETURN id;
END
$$;
COMMENT ON FUNCTION event_engine.run_event_schedule(text, timestamptz) IS
	'What the job of a schedule does: publishes if it is time; returns the event''s id.';

/* ---- Looking ---- */

CREATE FUNCTION event_engine.list_event_schedules_as(caller oid)
	RETURNS TABLE (name text, owner regrole, schedule text, time_zone text,
		pattern text, payload jsonb, active boolean, next_at timestamptz,
		published_at timestamptz, event_id uuid)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.name, s.owner, s.schedule, s.time_zone, s.pattern::text,
		s.payload, s.active, CASE WHEN s.active
			THEN event_engine.next_schedule_time(s.schedule, s.time_zone,
				clock_timestamp()) END,
		s.published_at, s.event_id
	FROM event_engine.event_schedules AS s
	WHERE pg_has_role(caller, s.owner::oid, 'USAGE')
		OR has_table_privilege(caller, 'event_engine.event_schedules', 'SELECT')
	ORDER BY s.name
$$;
COMMENT ON FUNCTION event_engine.list_event_schedules_as(oid) IS
	'Does the work of list_event_schedules() for the given role.';

/*
 * list_event_schedules: those of the caller's roles; a reader sees all.
 *
 *	next_at			the next occurrence; null while it is paused
 *	published_at, event_id	of the latest event published
 */
CREATE FUNCTION event_engine.list_event_schedules()
	RETURNS TABLE (name text, owner regrole, schedule text, time_zone text,
		pattern text, payload jsonb, active boolean, next_at timestamptz,
		published_at timestamptz, event_id uuid)
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.list_event_schedules() IS
	'Events published on a schedule: when next, when last.';

REVOKE ALL ON FUNCTION
	event_engine.own_schedule_as(oid, text),
	event_engine.store_schedule_as(oid, text, text, text, jsonb, text, jsonb, jsonb, text, event_engine.event_priority),
	event_engine.activate_schedule_as(oid, text, boolean),
	event_engine.remove_schedule_as(oid, text),
	event_engine.claim_schedule_as(oid, text, timestamptz),
	event_engine.note_schedule_as(oid, text, uuid),
	event_engine.list_event_schedules_as(oid)
FROM PUBLIC;
/* ------------------------------------------------------------------------
 * Delivery: replay to a subscription of what it has had before.
 * ------------------------------------------------------------------------ */

/*
 * event_replays: a row each; at most one of a subscription is running.
 *
 *	subscriber, created_by, created_at	whose, and who asked
 *	since, until, from_seq, to_seq	bounds as given; upper bounds in time are
 *						not included, those in seq are
 *	match, filter_path, filters		what is wanted of what it matches
 *	status				running | done (all handed over) | cancelled | failed
 *	error				of a filter, where it failed
 *	low_..., high_...	the range of the log: from a position not after the
 *						beginning to what was visible when it was made
 *	seq					where it stands in that range
 *	replayed			events handed over to delivery so far
 *	epoch, concurrency, ordered		which lane of the subscription an event
 *						belonged to then
 */
CREATE TABLE event_engine.event_replays (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	subscription_number integer NOT NULL,
	subscriber varchar(255) NOT NULL,
	created_by regrole NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	since timestamptz,
	until timestamptz,
	from_seq bigint,
	to_seq bigint,
	match jsonb NOT NULL,
	filter_path text,
	filters jsonb,
	status text NOT NULL DEFAULT 'running'
		CHECK (status IN ('running', 'done', 'cancelled', 'failed')),
	error text,
	low_snapshot pg_snapshot NOT NULL,
	low_seq bigint NOT NULL,
	low_base_seq bigint NOT NULL,
	high_snapshot pg_snapshot NOT NULL,
	high_seq bigint NOT NULL,
	high_base_seq bigint NOT NULL,
	seq bigint NOT NULL DEFAULT 0,
	replayed bigint NOT NULL DEFAULT 0,
	epoch integer NOT NULL,
	concurrency integer NOT NULL,
	ordered boolean NOT NULL,
	finished_at timestamptz,
	CHECK (event_engine.check_match(match, filter_path, filters))
);
COMMENT ON TABLE event_engine.event_replays IS
	'Replays of past events to subscriptions, running and over.';
CREATE UNIQUE INDEX event_replays_running_idx
	ON event_engine.event_replays (subscription_number)
	WHERE status = 'running';

/* Whoever delivers hears of replays that begin and end, not of their steps. */
CREATE TRIGGER announce_change AFTER INSERT OR DELETE OR UPDATE OF status
	ON event_engine.event_replays FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.event_replays
	ENABLE ALWAYS TRIGGER announce_change;

/*
 * event_replay_cursors: where the lanes of the subscription stood when the
 * replay was made.  What they had not come to then they deliver themselves.
 * Columns as of subscription_cursors.
 */
CREATE TABLE event_engine.event_replay_cursors (
	replay_id uuid NOT NULL
		REFERENCES event_engine.event_replays ON DELETE CASCADE,
	lane integer NOT NULL,
	low_snapshot pg_snapshot NOT NULL,
	low_seq bigint NOT NULL,
	low_base_seq bigint NOT NULL,
	high_snapshot pg_snapshot,
	high_seq bigint,
	high_base_seq bigint,
	seq bigint NOT NULL,
	PRIMARY KEY (replay_id, lane)
);
COMMENT ON TABLE event_engine.event_replay_cursors IS
	'Where the lanes of a subscription stood when its replay was made.';
/* ------------------------------------------------------------------------
 * Delivery: replay, and moving a subscription in the log.
 *
 * Faces in C tell the functions with _as the caller's role, as in routing.
 * ------------------------------------------------------------------------ */

/* Of use to the functions below only; the subscription is locked. */
CREATE FUNCTION event_engine.replay_range(since timestamptz, from_seq bigint,
		OUT low_snapshot pg_snapshot, OUT low_seq bigint,
		OUT low_base_seq bigint, OUT high_snapshot pg_snapshot,
		OUT high_seq bigint, OUT high_base_seq bigint)
	RETURNS record
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_replay_range';
COMMENT ON FUNCTION event_engine.replay_range(timestamptz, bigint) IS
	'Internal: from the latest position known before a time or seq to the present.';

CREATE FUNCTION event_engine.announce_cursors() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_announce_cursors';
COMMENT ON FUNCTION event_engine.announce_cursors() IS
	'Internal: lets whoever delivers read the cursors again.';

/* A subscription that the caller may move, with delivery to it kept out. */
CREATE FUNCTION event_engine.movable_subscription(caller oid, subscriber text)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted integer;
	stored event_engine.subscriptions;
BEGIN
	-- the lock before the row: a batch that runs may want the row
	SELECT s.number INTO wanted FROM event_engine.subscriptions AS s
		WHERE s.subscriber = movable_subscription.subscriber
			AND pg_has_role(caller, s.owner::oid, 'USAGE');
	IF FOUND THEN
		PERFORM event_engine.lock_subscription(wanted);
	END IF;
	stored := event_engine.own_subscription(caller, subscriber);
	IF jsonb_array_length(stored.epochs) > 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE409',
			MESSAGE = format('the concurrency of subscription "%s" is being changed',
				subscriber),
			HINT = 'Try again when its events of before are delivered.';
	END IF;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.movable_subscription(oid, text) IS
	'Internal: a subscription that the caller may move, locked.';

/* ---- Replay ---- */

CREATE FUNCTION event_engine.replay_events_as(caller oid, subscriber text,
		since timestamptz, until timestamptz, from_seq bigint, to_seq bigint,
		patterns text[], filter text, filters jsonb)
	RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own CONSTANT event_engine.subscriptions :=
		event_engine.movable_subscription(caller, subscriber);
	range CONSTANT record := event_engine.replay_range(since, from_seq);
	path text := NULLIF(btrim(filter), '');
	wanted CONSTANT jsonb := event_engine.subscription_match(
		COALESCE(patterns, '{#}'), NULL);
	made uuid;
BEGIN
	IF own.kind = 'notify' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE403',
			MESSAGE = format('nothing can be replayed to subscription "%s"',
				subscriber),
			DETAIL = 'It is of kind notify: a bell, which gives no events.';
	END IF;
	IF own.kind = 'workflow' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE403',
			MESSAGE = format('nothing can be replayed to dispatcher "%s"',
				subscriber),
			DETAIL = 'Workflows are resumed by what they wait for.',
			HINT = 'A wait looks back in the log where it is registered with since.';
	END IF;
	-- a list may be given as text
	IF ltrim(path, E' \t\n') LIKE '[%' AND filters IS NULL THEN
		filters := path::jsonb;
		path := NULL;
	END IF;
	PERFORM event_engine.check_match(wanted, path, filters);
	IF EXISTS (SELECT FROM event_engine.event_replays AS r
			WHERE r.subscription_number = own.number
				AND r.status = 'running') THEN
		RAISE EXCEPTION USING ERRCODE = 'VE409',
			MESSAGE = format('a replay to subscription "%s" is running',
				subscriber),
			HINT = 'Wait for its end, or stop it with event_engine.cancel_replay().';
	END IF;

	INSERT INTO event_engine.event_replays AS r (subscription_number,
			subscriber, created_by, since, until, from_seq, to_seq, match,
			filter_path, filters, low_snapshot, low_seq, low_base_seq,
			high_snapshot, high_seq, high_base_seq, epoch, concurrency,
			ordered)
		VALUES (own.number, own.subscriber, caller, since, until, from_seq,
			to_seq, wanted, path, NULLIF(filters, '[]'), range.low_snapshot,
			range.low_seq, range.low_base_seq, range.high_snapshot,
			range.high_seq, range.high_base_seq, own.epoch,
			(own.epochs -> 0 ->> 'concurrency')::integer,
			(own.epochs -> 0 ->> 'ordered')::boolean)
		RETURNING r.id INTO made;
	-- who is called by publishers has no place in the log
	INSERT INTO event_engine.event_replay_cursors AS c
		SELECT DISTINCT ON (m.lane) made, m.lane, m.low_snapshot, m.low_seq,
			m.low_base_seq, m.high_snapshot, m.high_seq, m.high_base_seq,
			m.seq
		FROM (SELECT g.lane, g.move, g.low_snapshot, g.low_seq,
				g.low_base_seq, g.high_snapshot, g.high_seq, g.high_base_seq,
				g.seq
			FROM event_engine.subscription_cursors AS g
			WHERE g.subscription_number = own.number
			UNION ALL
			SELECT a.lane, a.move, a.low_snapshot, a.low_seq,
				a.low_base_seq, a.high_snapshot, a.high_seq, a.high_base_seq,
				a.seq
			FROM event_engine.subscription_cursor_moves AS a
			WHERE a.subscription_number = own.number) AS m
		WHERE m.lane / 1024 = own.epoch
			AND (own.options -> 'immediate')::boolean IS NOT TRUE
		ORDER BY m.lane, m.move DESC;
	PERFORM event_engine.wake_workers();
	PERFORM event_engine.wake_clients(own.number);
	RETURN made;
END
$$;
COMMENT ON FUNCTION event_engine.replay_events_as(oid, text, timestamptz, timestamptz, bigint, bigint, text[], text, jsonb) IS
	'Does the work of replay_events() for the given role.';

/*
 * replay_events: give a subscription again what it has had, beside what is
 * new to it, marked by "replayed": true in the metadata.  No other
 * subscription gets anything.
 *
 *	subscriber		of kind handler or pull
 *	since, until	arrived in this time; the upper bound is not included
 *	from_seq, to_seq	from this position of the log to that, both included
 *	patterns		only these; exact, or with wildcards
 *	filter, filters	only those for which this holds, as for subscribe()
 *
 * What the subscription has not come to yet is left to it: each event that
 * was there when this was called is replayed, or still delivered, and none
 * of them both.  Result: the id of the replay, which goes on by itself.
 * Writes: event_replays, event_replay_cursors; then deliveries.
 */
CREATE FUNCTION event_engine.replay_events(subscriber text,
		since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
		from_seq bigint DEFAULT NULL, to_seq bigint DEFAULT NULL,
		patterns text[] DEFAULT NULL, filter text DEFAULT NULL,
		filters jsonb DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.replay_events(text, timestamptz, timestamptz, bigint, bigint, text[], text, jsonb) IS
	'Gives a subscription past events again, marked as replayed; returns the replay''s id.';

CREATE FUNCTION event_engine.cancel_replay_as(caller oid, id uuid)
	RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found_replay event_engine.event_replays;
BEGIN
	SELECT r.* INTO found_replay FROM event_engine.event_replays AS r
		WHERE r.id = cancel_replay_as.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE409',
			MESSAGE = format('unknown replay %s', COALESCE(id::text, 'null'));
	END IF;
	PERFORM event_engine.movable_subscription(caller, found_replay.subscriber);
	UPDATE event_engine.event_replays AS r
		SET status = 'cancelled', finished_at = clock_timestamp()
		WHERE r.id = cancel_replay_as.id AND r.status = 'running';
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	-- what has been handed over and not been tried yet
	DELETE FROM event_engine.deliveries AS d
		WHERE d.subscription_number = found_replay.subscription_number
			AND d.status = 'retry' AND d.attempts = 0
			AND (d.event).metadata -> 'replayed' = 'true';
	RETURN true;
END
$$;
COMMENT ON FUNCTION event_engine.cancel_replay_as(oid, uuid) IS
	'Does the work of cancel_replay() for the given role.';

/* cancel_replay: nothing of it is delivered any more, but what failed and is
 * retried.  False when it was over already. */
CREATE FUNCTION event_engine.cancel_replay(id uuid) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.cancel_replay(uuid) IS
	'Stops a replay; false when it was over.';

/*
 * stat_replays
 *
 *	replayed	events handed over to delivery
 *	waiting		of these, not delivered yet, for whatever reason
 *	progress	share of its range of the log that has been read
 */
CREATE VIEW event_engine.stat_replays AS
	SELECT r.id, r.subscriber, r.status, r.created_by, r.created_at,
		r.finished_at, r.since, r.until, r.from_seq, r.to_seq, r.replayed,
		(SELECT count(*) FROM event_engine.deliveries AS d
			WHERE r.status IN ('running', 'done')
				AND d.subscription_number = r.subscription_number
				AND (d.event).metadata -> 'replayed' = 'true') AS waiting,
		CASE WHEN r.status = 'done' OR r.high_seq <= r.low_seq THEN 1
			ELSE round(LEAST(GREATEST(r.seq - r.low_seq, 0)::numeric
				/ (r.high_seq - r.low_seq), 1), 3) END AS progress,
		r.error
	FROM event_engine.event_replays AS r;
COMMENT ON VIEW event_engine.stat_replays IS
	'Replays: how far they are, and how they ended.';

/* ---- Seek ---- */

CREATE FUNCTION event_engine.seek_subscription_as(caller oid, subscriber text,
		"to" text, seq bigint)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	own CONSTANT event_engine.subscriptions :=
		event_engine.movable_subscription(caller, subscriber);
	range record;
	totals record;
BEGIN
	IF ("to" IS NULL) = (seq IS NULL) THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'either "to" or seq must be given',
			HINT = '"to" is now, beginning or a timestamp; seq the position of the first event wanted.';
	END IF;
	IF (own.options -> 'immediate')::boolean THEN
		RAISE EXCEPTION USING ERRCODE = 'VE403',
			MESSAGE = format('subscription "%s" has no place in the log',
				subscriber),
			DETAIL = 'Its handler is called by publishers.';
	END IF;
	IF own.kind = 'workflow' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE403',
			MESSAGE = format('dispatcher "%s" cannot be moved', subscriber),
			DETAIL = 'Waits would miss events, or find them only by a look back.';
	END IF;
	range := event_engine.replay_range(
		CASE WHEN "to" NOT IN ('now', 'beginning') THEN "to"::timestamptz END,
		seq);
	IF "to" = 'now' THEN
		range.low_snapshot := range.high_snapshot;
		range.low_seq := range.high_seq;
		range.low_base_seq := range.high_base_seq;
	END IF;

	-- what is behind the new place is met again there
	IF "to" IS DISTINCT FROM 'now' THEN
		DELETE FROM event_engine.deliveries AS d
			WHERE d.subscription_number = own.number
				AND (d.event).seq > range.low_base_seq
				AND NOT pg_visible_in_snapshot((d.event).xid,
					range.low_snapshot)
				AND (seek_subscription_as.seq IS NULL
					OR d.seq >= seek_subscription_as.seq);
		DELETE FROM event_engine.event_leases AS l
			WHERE l.subscription_number = own.number
				AND EXISTS (SELECT FROM unnest(l.seqs) AS u (seq)
					WHERE u.seq > GREATEST(range.low_seq,
						seek_subscription_as.seq - 1));
	END IF;
	WITH moves AS (
		DELETE FROM event_engine.subscription_cursor_moves AS m
			WHERE m.subscription_number = own.number
			RETURNING m.lane, m.move, m.delivered, m.failed, m.dead
	), gathered AS (
		DELETE FROM event_engine.subscription_cursors AS c
			WHERE c.subscription_number = own.number
			RETURNING c.lane, c.move, c.delivered, c.failed, c.dead
	), latest AS (
		SELECT DISTINCT ON (a.lane) a.*
		FROM (SELECT m.* FROM moves AS m
			UNION ALL SELECT g.* FROM gathered AS g) AS a
		WHERE a.lane / 1024 = own.epoch
		ORDER BY a.lane, a.move DESC
	)
	SELECT COALESCE(sum(l.delivered), 0) AS delivered,
			COALESCE(sum(l.failed), 0) AS failed,
			COALESCE(sum(l.dead), 0) AS dead,
			COALESCE(max(l.move), 0) + 1 AS move
		INTO totals FROM latest AS l;
	-- all lanes begin at the new place; numbers go on, so that it is noticed
	INSERT INTO event_engine.subscription_cursors AS c (subscription_number,
			lane, move, low_snapshot, low_seq, low_base_seq, high_snapshot,
			high_seq, high_base_seq, seq, delivered, failed, dead, moved_at)
		VALUES (own.number, own.epoch * 1024 + 1023, totals.move,
			range.low_snapshot, range.low_seq, range.low_base_seq,
			CASE WHEN seq IS NOT NULL THEN range.high_snapshot END,
			CASE WHEN seq IS NOT NULL THEN range.high_seq END,
			CASE WHEN seq IS NOT NULL THEN range.high_base_seq END,
			COALESCE(seq - 1, range.low_seq), totals.delivered,
			totals.failed, totals.dead, clock_timestamp());
	PERFORM event_engine.announce_cursors();
	PERFORM event_engine.wake_workers();
	PERFORM event_engine.wake_clients(own.number);
END
$$;
COMMENT ON FUNCTION event_engine.seek_subscription_as(oid, text, text, bigint) IS
	'Does the work of seek_subscription() for the given role.';

/*
 * seek_subscription: go on from another place in the log.
 *
 *	to		now: leave out all that waits; beginning; or a time: events that
 *			arrived from about a second before it on
 *	seq		instead: from this position of the log on
 *
 * Events behind the new place are delivered, again or for the first time,
 * like new ones: they are not marked.  What waits for another attempt and
 * lies before it stays; what lies behind is met again, so it is forgotten.
 * Receipts of pulling clients for events behind it are void.
 */
CREATE FUNCTION event_engine.seek_subscription(subscriber text,
		"to" text DEFAULT NULL, seq bigint DEFAULT NULL)
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.seek_subscription(text, text, bigint) IS
	'Delivers to a subscription from another place in the log on.';

REVOKE ALL ON FUNCTION
	event_engine.replay_events_as(oid, text, timestamptz, timestamptz, bigint, bigint, text[], text, jsonb),
	event_engine.cancel_replay_as(oid, uuid),
	event_engine.seek_subscription_as(oid, text, text, bigint)
FROM PUBLIC;
/* ------------------------------------------------------------------------
 * Request and reply.  A request is an event, and so is each reply to it: all
 * that is known of them is in the log.
 * ------------------------------------------------------------------------ */

/*
 * event_responders: functions that answer at once, in the transaction of
 * whoever asks.
 *
 *	pattern		of the request
 *	function	signature; takes the request, returns the reply's payload
 *	owner		it runs as this role
 */
CREATE TABLE event_engine.event_responders (
	pattern varchar(255) COLLATE "C" NOT NULL PRIMARY KEY,
	function text NOT NULL,
	owner regrole NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE event_engine.event_responders IS
	'Functions that answer requests in the transaction of whoever asks.';
/* ------------------------------------------------------------------------
 * Request and reply.
 *
 * The first reply to a request is published under the event_id "reply:" and
 * the request's id.  Of several repliers at the same time the unique key of
 * publishers' identifiers lets one be first: the others wait for its end, and
 * what they say is stored as a late reply.
 * ------------------------------------------------------------------------ */

/*
 * query_event: publish a request, commit it, and wait for the reply to it.
 * While it waits the session has no snapshot, lock or transaction id.
 *
 *	pattern, payload, metadata, source, event_id, partition_key, priority
 *					as of publish_event; asked again under the same event_id
 *					it waits for the reply to the first
 *	timeout			how long to wait; repliers find when that is over in
 *					metadata.tags.replyBy
 *	reply_pattern	of the reply; default: pattern and '.reply'
 *	raise_timeout	an error when the time is up; else reply is null
 *
 *	reply			payload of the reply
 *	reply_id		the event that it is
 *	request_id		the event that was published
 *
 * Errors: VE421 no reply in time, VE422 nobody has subscribed to it (nothing
 * is published then), and those of publish_event.
 */
CREATE PROCEDURE event_engine.query_event(
	pattern text,
	payload jsonb,
	timeout interval DEFAULT '10 s',
	metadata jsonb DEFAULT '{}',
	source jsonb DEFAULT NULL,
	event_id text DEFAULT NULL,
	partition_key text DEFAULT NULL,
	priority event_engine.event_priority DEFAULT NULL,
	reply_pattern text DEFAULT NULL,
	raise_timeout boolean DEFAULT true,
	INOUT reply jsonb DEFAULT NULL,
	INOUT reply_id uuid DEFAULT NULL,
	INOUT request_id uuid DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_query_event';
COMMENT ON PROCEDURE event_engine.query_event(text, jsonb, interval, jsonb, jsonb, text, text, event_engine.event_priority, text, boolean, jsonb, uuid, uuid) IS
	'Publishes a request, commits it, and waits for the reply.';

/*
 * await_reply: wait for the reply to a request that is published, by
 * query_event or otherwise.  For the role that published it, and for readers
 * of the log.
 */
CREATE PROCEDURE event_engine.await_reply(
	request_id uuid,
	timeout interval DEFAULT '10 s',
	raise_timeout boolean DEFAULT true,
	INOUT reply jsonb DEFAULT NULL,
	INOUT reply_id uuid DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_await_reply';
COMMENT ON PROCEDURE event_engine.await_reply(uuid, interval, boolean, jsonb, uuid) IS
	'Waits for the reply to a request that was published before.';

/*
 * reply_event: reply to a request, in the caller's transaction.
 *
 *	request_id	the request's id: of what a handler is given, its id
 *	payload, metadata, source, version	of the reply, as of publish_event
 *
 * The reply has the request's correlation and partition_key, and the request
 * as its cause.  metadata.tags.reply tells whether it is the first or a late
 * one.
 *
 * Result: the id of the reply.
 */
CREATE FUNCTION event_engine.reply_event(
	request_id uuid,
	payload jsonb,
	metadata jsonb DEFAULT '{}',
	source jsonb DEFAULT NULL,
	version text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_reply_event';
COMMENT ON FUNCTION event_engine.reply_event(uuid, jsonb, jsonb, jsonb, text) IS
	'Replies to a request in the caller''s transaction; returns the id of the reply.';

/*
 * list_replies: all that replied to a request, in their order.
 *
 *	reply	first (the one that was waited for), or late
 *	in_time	did it come before the one who asked gave up?
 */
CREATE FUNCTION event_engine.list_replies(request_id uuid)
	RETURNS TABLE (reply text, in_time boolean, elapsed interval, id uuid,
		pattern text, payload jsonb, created_by text, created_at timestamptz)
	LANGUAGE sql STABLE STRICT ROWS 2
	SET search_path = pg_catalog, pg_temp AS $$
SELECT e.metadata #>> '{tags,reply}',
	e.created_at <= (r.metadata #>> '{tags,replyBy}')::timestamptz,
	e.created_at - r.created_at, e.id, e.pattern::text, e.payload,
	e.created_by, e.created_at
FROM event_engine.get_event(request_id) AS r
JOIN event_engine.events AS e
	ON e.metadata ->> 'correlationId' = r.metadata ->> 'correlationId'
		AND e.metadata ->> 'causationId' = r.id::text
		AND e.metadata #>> '{tags,reply}' IS NOT NULL
ORDER BY e.seq
$$;
COMMENT ON FUNCTION event_engine.list_replies(uuid) IS
	'The replies to a request: the first, and the late ones.';

/* ---- Answered at once, by a function ---- */

CREATE FUNCTION event_engine.own_responder(caller oid, pattern text)
	RETURNS event_engine.event_responders
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.event_responders;
BEGIN
	SELECT r.* INTO stored FROM event_engine.event_responders AS r
		WHERE r.pattern = own_responder.pattern FOR UPDATE;
	IF FOUND AND NOT pg_has_role(caller, stored.owner::oid, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of the responder of "%s"', pattern),
			DETAIL = format('It belongs to role %s.', stored.owner);
	END IF;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.own_responder(oid, text) IS
	'Internal: locks the responder of a pattern; raises unless it is the caller''s.';

CREATE FUNCTION event_engine.register_query_responder_as(caller oid,
		pattern text, responder regprocedure)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	names CONSTANT text[] := ARRAY[pattern, pattern || '.reply'];
	missing text;
BEGIN
	SELECT n INTO missing FROM unnest(names) WITH ORDINALITY AS u (n, i)
		WHERE n IS NULL OR NOT EXISTS (
			SELECT FROM event_engine.event_definitions AS d
			WHERE d.pattern = n)
		ORDER BY u.i LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE001',
			MESSAGE = format('unknown event pattern %s',
				COALESCE('"' || missing || '"', 'null')),
			DETAIL = 'A request is an event, and so is its reply.',
			HINT = 'Register it with event_engine.register_event_definition().';
	END IF;
	PERFORM event_engine.check_handler(caller, responder);
	IF (SELECT p.prorettype <> 'jsonb'::regtype
				OR p.proargtypes[0] = 'event_engine.event[]'::regtype
			FROM pg_proc AS p WHERE p.oid = responder) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('function %s cannot be a responder', responder),
			DETAIL = 'A responder takes one argument, of type event_engine.event or jsonb, and returns jsonb.';
	END IF;
	PERFORM event_engine.own_responder(caller, pattern);
	INSERT INTO event_engine.event_responders AS r (pattern, function, owner)
		VALUES (pattern, responder::text, caller::regrole)
		ON CONFLICT ON CONSTRAINT event_responders_pkey DO UPDATE
			SET function = excluded.function, owner = excluded.owner,
				updated_at = clock_timestamp()
			WHERE pg_has_role(caller, r.owner::oid, 'USAGE');
	IF NOT FOUND THEN
		PERFORM event_engine.own_responder(caller, pattern);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.register_query_responder_as(oid, text, regprocedure) IS
	'Does the work of register_query_responder() for the given role.';

CREATE FUNCTION event_engine.register_query_responder(pattern text,
		responder regprocedure)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.register_query_responder(text, regprocedure) IS
	'Registers the function that answers requests of a pattern; the same with the function itself.';

/*
 * register_query_responder: a function that answers requests of a pattern in
 * the transaction of whoever asks, by query_responder().
 *
 *	pattern		of the request; the reply's is that and '.reply'
 *	responder	function, as a name or a signature: takes event_engine.event or
 *				jsonb (the envelope), returns jsonb.  Runs as the role that
 *				registers it, under the restrictions of a handler.
 *
 * A pattern has one; registered again it is replaced.
 */
CREATE FUNCTION event_engine.register_query_responder(pattern text,
		responder text)
	RETURNS void
	LANGUAGE sql
RETURN event_engine.register_query_responder(pattern,
	event_engine.find_handler(responder));
COMMENT ON FUNCTION event_engine.register_query_responder(text, text) IS
	'Registers the function that answers requests of a pattern in the transaction of whoever asks.';

CREATE FUNCTION event_engine.remove_query_responder_as(caller oid,
		pattern text)
	RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.own_responder(caller, pattern);
	DELETE FROM event_engine.event_responders AS r
		WHERE r.pattern = remove_query_responder_as.pattern;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION event_engine.remove_query_responder_as(oid, text) IS
	'Does the work of remove_query_responder() for the given role.';

CREATE FUNCTION event_engine.remove_query_responder(pattern text)
	RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.remove_query_responder(text) IS
	'Removes the responder of a pattern; false when there is none.';

/*
 * query_responder: ask the registered responder, in the caller's transaction.
 * Request and reply are events of this transaction.
 *
 * Result: the payload of the reply; null where the responder gave none, and
 * none is published then.
 * Errors: VE422 no responder, those of publish_event for request and reply,
 * and what the responder raises.
 */
CREATE FUNCTION event_engine.query_responder(
	pattern text,
	payload jsonb,
	metadata jsonb DEFAULT '{}',
	source jsonb DEFAULT NULL,
	partition_key text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_query_responder';
COMMENT ON FUNCTION event_engine.query_responder(text, jsonb, jsonb, jsonb, text) IS
	'Asks the responder of a pattern in the caller''s transaction; returns its reply.';
/* ------------------------------------------------------------------------
 * Workflows: definitions, their instances, what these wait for, and the
 * steps that they have taken.
 *
 * The instances of a role are woken by that role's dispatcher, a row of
 * subscriptions of kind workflow: "number" is that subscription's, so that
 * what a dispatcher has to look at lies together in the indexes.
 * ------------------------------------------------------------------------ */

/*
 * workflow_definitions: what a workflow does, one row for each version.
 *
 *	name, version		of what start_workflow() starts
 *	owner				the handler is called as this role
 *	number				of the owner's dispatcher
 *	handler				signature of the function that takes the steps; null:
 *						an orchestrator outside the database takes them
 *	options				max_attempts, backoff, timeout_ms, instance_timeout, ...
 *						with defaults filled in
 *	status				active | deprecated: no instance is started of it
 */
CREATE TABLE event_engine.workflow_definitions (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	name varchar(255) COLLATE "C" NOT NULL CHECK (name <> ''),
	version varchar(50) NOT NULL,
	owner regrole NOT NULL,
	number integer NOT NULL,
	handler text,
	description text,
	options jsonb NOT NULL,
	status text NOT NULL DEFAULT 'active'
		CHECK (status IN ('active', 'deprecated')),
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	UNIQUE (name, version)
);
COMMENT ON TABLE event_engine.workflow_definitions IS
	'What workflows do: a handler and its options, one row for each version.';

/* Caches of definitions hear of every change, by whomever. */
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.workflow_definitions FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.workflow_definitions FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.workflow_definitions
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;

/*
 * workflow_instances: one row for each workflow started.
 *
 *	workflow, version	of its definition
 *	status				running		a step is due or under way
 *						waiting		for one of its waits
 *						compensating	undoing what its steps have done
 *						completed, failed, cancelled, timed_out
 *	correlation_key		by which people find it
 *	idempotency_key		starting it again with the same gives this one
 *	input, output		given at the start, and by the last step
 *	state				what the steps keep for each other
 *	step				name of the step to be taken next, or failed at
 *	steps				taken so far
 *	wait_needed			how many of its waits have yet to match until it is
 *						resumed
 *	matched				events of those that have, by the name of the wait
 *	resumption			why the step is taken that is due, has failed, or is
 *						guarded: {"kind", "wait", "events"}
 *	resumption_event	the event of that
 *	attempts			made of the step that is due or failed
 *	next_attempt_at		when that step is due; null: none is
 *	last_error, error_details	of the latest attempt that failed
 *	deadline_at			when the whole instance times out
 *	parent_id			of the instance that started it
 *	metadata			correlationId, causationId, ... for the events it publishes
 *
 * A step changes no column that an index needs, save the first one, the last
 * one and those that failed: the room left in the pages lets the new row stay
 * near the old.
 */
CREATE TABLE event_engine.workflow_instances (
	id uuid NOT NULL PRIMARY KEY,
	number integer NOT NULL,
	definition_id uuid NOT NULL,
	workflow varchar(255) COLLATE "C" NOT NULL,
	version varchar(50) NOT NULL,
	status text NOT NULL
		CHECK (status IN ('running', 'waiting', 'compensating', 'completed',
			'failed', 'cancelled', 'timed_out')),
	correlation_key varchar(255) COLLATE "C",
	idempotency_key varchar(255) COLLATE "C",
	input jsonb NOT NULL,
	state jsonb NOT NULL,
	output jsonb,
	step text NOT NULL,
	steps integer NOT NULL DEFAULT 0,
	wait_needed integer NOT NULL DEFAULT 0,
	matched jsonb,
	resumption jsonb,
	resumption_event event_engine.event,
	attempts integer NOT NULL DEFAULT 0,
	next_attempt_at timestamptz,
	last_error text,
	error_details jsonb,
	parent_id uuid,
	deadline_at timestamptz,
	metadata jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	finished_at timestamptz
) WITH (fillfactor = 70);
COMMENT ON TABLE event_engine.workflow_instances IS
	'Workflows that were started: where each of them stands.';
CREATE INDEX workflow_instances_correlation_key_idx
	ON event_engine.workflow_instances (workflow, correlation_key)
	WHERE correlation_key IS NOT NULL;
CREATE UNIQUE INDEX workflow_instances_idempotency_key_idx
	ON event_engine.workflow_instances (workflow, idempotency_key)
	WHERE idempotency_key IS NOT NULL;
CREATE INDEX workflow_instances_next_attempt_at_idx
	ON event_engine.workflow_instances (number, next_attempt_at)
	WHERE next_attempt_at IS NOT NULL;
CREATE INDEX workflow_instances_deadline_at_idx
	ON event_engine.workflow_instances (number, deadline_at)
	WHERE deadline_at IS NOT NULL;
CREATE INDEX workflow_instances_parent_id_idx
	ON event_engine.workflow_instances (parent_id)
	WHERE parent_id IS NOT NULL;

/*
 * workflow_waits: what instances wait for.  A row is gone once its wait has
 * matched, timed out or been cancelled, or another of the instance resumed it.
 *
 *	name			what the steps call it
 *	pattern			of the event, exact or a wildcard; null: it sleeps
 *	filter_path, filters	the condition: SQL/JSON path predicate over the
 *					envelope, and filter list; what they said of the workflow is
 *					resolved
 *	key				hash of the pattern and of the path and value of one
 *					equality that the condition requires; of the pattern alone
 *					where it requires none
 *	timeout_at		when the instance is resumed without an event
 *	snapshot, seq, base_seq		position in the log when it was registered: it
 *					matches events that this does not see
 *	since			and those of the past that arrived from then on
 *	variables		{"workflow": {...}} where the condition speaks of $workflow
 *	xid				the top-level transaction that registered it
 */
CREATE TABLE event_engine.workflow_waits (
	id uuid NOT NULL PRIMARY KEY,
	instance_id uuid NOT NULL,
	number integer NOT NULL,
	name text NOT NULL,
	pattern varchar(255) COLLATE "C",
	filter_path text,
	filters jsonb,
	key bigint,
	timeout_at timestamptz,
	snapshot pg_snapshot,
	seq bigint,
	base_seq bigint,
	since timestamptz,
	variables jsonb,
	xid xid8 NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CHECK ((pattern IS NULL) = (key IS NULL)),
	CHECK ((pattern IS NULL) = (snapshot IS NULL)),
	CHECK (pattern IS NOT NULL OR timeout_at IS NOT NULL)
);
COMMENT ON TABLE event_engine.workflow_waits IS
	'What workflows wait for: events, and moments.';
CREATE INDEX workflow_waits_instance_id_idx
	ON event_engine.workflow_waits (instance_id);
CREATE INDEX workflow_waits_key_idx
	ON event_engine.workflow_waits (number, key) WHERE key IS NOT NULL;
CREATE INDEX workflow_waits_timeout_at_idx
	ON event_engine.workflow_waits (number, timeout_at)
	WHERE timeout_at IS NOT NULL;
/* those that a reader of the log has not seen before */
CREATE INDEX workflow_waits_xid_idx
	ON event_engine.workflow_waits (number, base_seq, xid)
	WHERE pattern IS NOT NULL;

/*
 * workflow_wait_keys: by which paths the keys of waits were made, so that
 * the same keys can be made of an event.  A row stays once it is there.
 *
 *	pattern		of waits; exact or a wildcard
 *	path		members from the envelope down, '' where the key is that of the
 *				pattern alone
 */
CREATE TABLE event_engine.workflow_wait_keys (
	number integer NOT NULL,
	pattern varchar(255) COLLATE "C" NOT NULL,
	path text COLLATE "C" NOT NULL,
	PRIMARY KEY (number, pattern, path)
);
COMMENT ON TABLE event_engine.workflow_wait_keys IS
	'By which paths of which patterns the keys of waits are made.';
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.workflow_wait_keys FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.workflow_wait_keys FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.workflow_wait_keys
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;

/*
 * workflow_steps: what instances have done, one row for each attempt.
 *
 *	step_number, step	the how-manieth, and its name
 *	resumed_by			start | event | timeout | sleep | step (the one before) |
 *						child | signal | compensation | call (of a function)
 *	attempt				of this step, from 1
 *	wait_name			of the wait that ended
 *	event_id, event_seq	of the event that resumed it
 *	result				wait | sleep | completed | failed | cancelled |
 *						timed_out | retry | told (an orchestrator outside)
 *	error_message, details	what went wrong, whole
 */
CREATE TABLE event_engine.workflow_steps (
	instance_id uuid NOT NULL,
	step_number integer NOT NULL,
	attempt integer NOT NULL,
	step text NOT NULL,
	resumed_by text NOT NULL,
	wait_name text,
	event_id uuid,
	event_seq bigint,
	result text NOT NULL,
	error_message text,
	details jsonb,
	started_at timestamptz NOT NULL,
	finished_at timestamptz NOT NULL
);
COMMENT ON TABLE event_engine.workflow_steps IS
	'The steps that workflows have taken: why, when, and what came of it.';
CREATE INDEX workflow_steps_instance_id_idx
	ON event_engine.workflow_steps (instance_id, step_number, attempt);

/*
 * workflow_instance: an instance as its handler sees it.
 */
CREATE TYPE event_engine.workflow_instance AS (
	id uuid,
	workflow varchar(255) COLLATE "C",
	version varchar(50),
	step text,
	steps integer,
	status text,
	input jsonb,
	state jsonb,
	correlation_key varchar(255) COLLATE "C",
	parent_id uuid,
	created_at timestamptz
);
COMMENT ON TYPE event_engine.workflow_instance IS
	'A workflow as the function that takes its steps sees it.';

/*
 * workflow_resumption: why a step is taken.
 *
 *	kind		start | event | timeout | sleep | step | child | signal |
 *				compensation
 *	wait		name of the wait that ended
 *	event		that ended it
 *	events		envelopes by the name of the wait, where several were needed
 *	attempt		from 1
 */
CREATE TYPE event_engine.workflow_resumption AS (
	kind text,
	wait text,
	event event_engine.event,
	events jsonb,
	attempt integer
);
COMMENT ON TYPE event_engine.workflow_resumption IS
	'Why a step of a workflow is taken.';
/* ------------------------------------------------------------------------
 * Workflows: definitions, and looking at instances.
 *
 * The public functions that change definitions are faces in C, which tell the
 * definer function of the same name with _as whose call it is.
 * ------------------------------------------------------------------------ */

/* ---- What a definition may say ---- */

/*
 * Options of a workflow in canonical form, laid over base; without a base,
 * over the defaults.
 *
 *	max_attempts, backoff_ms, backoff_factor, backoff_max_ms, jitter, or
 *	retryPolicy				of a step that fails, as of a subscription
 *	timeout_ms				of one step
 *	instance_timeout_ms		of all of an instance; also instance_timeout, an
 *							interval; 0: none
 */
CREATE FUNCTION event_engine.workflow_options(options jsonb,
		base jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result jsonb := COALESCE(base, jsonb_build_object('max_attempts', 5,
		'backoff_ms', 1000, 'backoff_factor', 2, 'backoff_max_ms', 3600000,
		'jitter', 0.2, 'timeout_ms', 30000, 'instance_timeout_ms', 0));
	timeout interval;
	option record;
BEGIN
	IF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = 'options must be a JSON object';
	END IF;
	FOR option IN SELECT o.key, o.value FROM jsonb_each(options) AS o LOOP
		IF option.key IN ('retryPolicy', 'retry_policy') THEN
			result := result || (SELECT COALESCE(jsonb_object_agg(k.key, k.value), '{}')
				FROM jsonb_each(event_engine.subscription_options(
					jsonb_build_object('retryPolicy', option.value), '{}')) AS k);
		ELSIF option.key IN ('instance_timeout', 'instanceTimeout') THEN
			timeout := (option.value #>> '{}')::interval;
			result := result || jsonb_build_object('instance_timeout_ms',
				COALESCE(round(extract(epoch FROM timeout) * 1000), 0));
		ELSIF option.key IN ('instance_timeout_ms', 'instanceTimeoutMs') THEN
			result := result
				|| jsonb_build_object('instance_timeout_ms', option.value);
		ELSIF option.key IN ('max_attempts', 'maxAttempts', 'backoff_ms',
				'backoffMs', 'backoff_factor', 'backoffFactor',
				'backoff_max_ms', 'backoffMaxMs', 'maxBackoffMs',
				'exponential_backoff', 'exponentialBackoff', 'jitter',
				'timeout', 'timeout_ms', 'timeoutMs') THEN
			result := result
				|| event_engine.subscription_option(option.key, option.value);
		ELSE
			RAISE EXCEPTION USING ERRCODE = 'VE503',
				MESSAGE = format('unknown option "%s" of a workflow', option.key),
				HINT = 'Options are max_attempts, backoff_ms, backoff_factor, backoff_max_ms, jitter, timeout_ms, instance_timeout, retryPolicy {maxAttempts, backoffMs, exponentialBackoff, jitter}.';
		END IF;
	END LOOP;
	IF jsonb_typeof(result -> 'instance_timeout_ms') <> 'number'
		OR (result ->> 'instance_timeout_ms')::numeric
			NOT BETWEEN 0 AND 315360000000 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = 'invalid value of option "instance_timeout"',
			DETAIL = 'It must be between nothing and ten years.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION event_engine.workflow_options(jsonb, jsonb) IS
	'Options of a workflow in canonical form, defaults filled in.';

/* Raises what forbids a function as handler of a role's workflow. */
CREATE FUNCTION event_engine.check_workflow_handler(owner oid,
		handler regprocedure)
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	function record;
	problem text;
BEGIN
	SELECT p.prokind, p.proretset, p.prorettype, p.pronargs,
			p.proargtypes::oid[] AS arguments, n.nspname
		INTO function
		FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
		WHERE p.oid = handler;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('handler %s does not exist', handler);
	END IF;
	problem := CASE
		WHEN function.prokind NOT IN ('f', 'p')
			THEN 'It is neither a function nor a procedure.'
		WHEN function.proretset THEN 'It returns a set.'
		WHEN function.pronargs <> 2
			OR function.arguments[0] <> 'event_engine.workflow_instance'::regtype
			OR function.arguments[1] <> 'event_engine.workflow_resumption'::regtype
			THEN 'It must take event_engine.workflow_instance and event_engine.workflow_resumption.'
		WHEN function.prorettype NOT IN ('jsonb'::regtype, 'void'::regtype)
			THEN 'It must return jsonb, or void.'
		WHEN function.nspname LIKE 'pg\_temp\_%'
			THEN 'It is temporary: no other session can call it.'
		END;
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('function %s cannot take the steps of a workflow',
				handler),
			DETAIL = problem;
	END IF;
	IF NOT has_function_privilege(owner, handler, 'EXECUTE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('permission denied for function %s', handler),
			DETAIL = format('Role %s owns the workflow and would run it.',
				owner::regrole);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_workflow_handler(oid, regprocedure) IS
	'Internal: raises what forbids a function as handler of a role''s workflow.';

/* The function found under a name that was given; null where none was. */
CREATE FUNCTION event_engine.named_workflow_handler(given text,
		function regprocedure)
	RETURNS regprocedure
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF given IS NOT NULL AND function IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('handler "%s" does not exist', given),
			DETAIL = 'The handler of a workflow takes event_engine.workflow_instance and event_engine.workflow_resumption.',
			HINT = 'Create the function first, and name its schema unless that is in the search path.';
	END IF;
	RETURN function;
END
$$;
COMMENT ON FUNCTION event_engine.named_workflow_handler(text, regprocedure) IS
	'Internal: the function found under a name, or an error.';

/* By name or signature, as visible to the caller. */
CREATE FUNCTION event_engine.find_workflow_handler(handler text)
	RETURNS regprocedure
	LANGUAGE sql STABLE
RETURN event_engine.named_workflow_handler(handler,
	to_regprocedure(CASE WHEN handler LIKE '%(%' THEN handler
		ELSE handler || '(event_engine.workflow_instance,event_engine.workflow_resumption)'
		END));
COMMENT ON FUNCTION event_engine.find_workflow_handler(text) IS
	'The function meant by the name or signature of a workflow''s handler, as the caller sees it.';

/* ---- Register, update, deprecate ---- */

/* The version of that workflow, locked, if the caller may change it. */
CREATE FUNCTION event_engine.own_workflow(caller oid, name text, version text)
	RETURNS event_engine.workflow_definitions
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.workflow_definitions;
BEGIN
	SELECT d.* INTO stored FROM event_engine.workflow_definitions AS d
		WHERE d.name = own_workflow.name AND d.version = own_workflow.version
		FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE501',
			MESSAGE = format('unknown version "%s" of workflow "%s"', version,
				name);
	END IF;
	IF NOT pg_has_role(caller, stored.owner::oid, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of workflow "%s"', name),
			DETAIL = format('It belongs to role %s.', stored.owner);
	END IF;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.own_workflow(oid, text, text) IS
	'Internal: locks a version of a workflow that the caller may change.';

CREATE FUNCTION event_engine.register_workflow_as(caller oid, name text,
		handler regprocedure, version text, description text, options jsonb)
	RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	draft event_engine.workflow_definitions;
	stored event_engine.workflow_definitions;
BEGIN
	IF name IS NULL OR name = '' OR length(name) > 255 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = 'invalid name of a workflow',
			DETAIL = 'A name has 1 to 255 characters.';
	END IF;
	IF version IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = 'version of a workflow must not be null';
	END IF;
	-- an error of its own where it is none
	PERFORM event_engine.compare_versions(version, version);
	draft.name := name;
	draft.version := version;
	draft.description := description;
	draft.options := event_engine.workflow_options(options);

	-- all versions of a workflow belong to one role
	SELECT d.owner INTO draft.owner
		FROM event_engine.workflow_definitions AS d
		WHERE d.name = draft.name LIMIT 1;
	draft.owner := COALESCE(draft.owner, caller::regrole);
	IF NOT pg_has_role(caller, draft.owner::oid, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of workflow "%s"', name),
			DETAIL = format('It belongs to role %s.', draft.owner);
	END IF;
	IF handler IS NOT NULL THEN
		PERFORM event_engine.check_workflow_handler(draft.owner, handler);
		draft.handler := handler::text;
	END IF;
	draft.number := event_engine.ensure_dispatcher(draft.owner);
	PERFORM event_engine.register_workflow_events();

	LOOP
		INSERT INTO event_engine.workflow_definitions AS d (name, version,
				owner, number, handler, description, options)
			VALUES (draft.name, draft.version, draft.owner, draft.number,
				draft.handler, draft.description, draft.options)
			ON CONFLICT ON CONSTRAINT workflow_definitions_name_version_key
				DO NOTHING
			RETURNING d.* INTO stored;
		IF FOUND THEN
			RETURN stored.id;
		END IF;
		SELECT d.* INTO stored FROM event_engine.workflow_definitions AS d
			WHERE d.name = draft.name AND d.version = draft.version;
		EXIT WHEN FOUND;
	END LOOP;
	IF (stored.owner, stored.handler, stored.description, stored.options)
		IS DISTINCT FROM
		(draft.owner, draft.handler, draft.description, draft.options) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = format('version "%s" of workflow "%s" exists and is defined otherwise',
				draft.version, draft.name),
			HINT = 'Change it with event_engine.update_workflow(), or register another version.';
	END IF;
	RETURN stored.id;
END
$$;
COMMENT ON FUNCTION event_engine.register_workflow_as(oid, text, regprocedure, text, text, jsonb) IS
	'Does the work of register_workflow() for the given role.';

CREATE FUNCTION event_engine.register_workflow(name text,
		handler regprocedure, version text DEFAULT '1.0.0',
		description text DEFAULT NULL, options jsonb DEFAULT '{}')
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.register_workflow(text, regprocedure, text, text, jsonb) IS
	'Registers a version of a workflow; the same with the handler as text.';

/*
 * register_workflow
 *
 *	name		of the workflow; all its versions belong to the role that
 *				registered the first
 *	handler		function of (event_engine.workflow_instance,
 *				event_engine.workflow_resumption) that takes its steps, by name
 *				or signature; null: an orchestrator outside takes them
 *	version		start_workflow() starts the highest; instances stay on theirs
 *	options		see workflow_options()
 *
 * Result: the id; the same definition again gives the same id.
 * Writes: workflow_definitions, and the role's dispatcher in subscriptions.
 */
CREATE FUNCTION event_engine.register_workflow(name text,
		handler text DEFAULT NULL, version text DEFAULT '1.0.0',
		description text DEFAULT NULL, options jsonb DEFAULT '{}')
	RETURNS uuid
	LANGUAGE sql
RETURN event_engine.register_workflow(name,
	event_engine.find_workflow_handler(handler), version, description, options);
COMMENT ON FUNCTION event_engine.register_workflow(text, text, text, text, jsonb) IS
	'Registers a version of a workflow: a function that takes its steps.';

CREATE FUNCTION event_engine.update_workflow_as(caller oid, name text,
		version text, handler regprocedure, description text, options jsonb,
		status text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old event_engine.workflow_definitions;
BEGIN
	old := event_engine.own_workflow(caller, name, version);
	IF handler IS NOT NULL THEN
		PERFORM event_engine.check_workflow_handler(old.owner, handler);
	END IF;
	IF status NOT IN ('active', 'deprecated') THEN
		RAISE EXCEPTION USING ERRCODE = 'VE503',
			MESSAGE = format('unknown status "%s" of a workflow', status),
			HINT = 'A status is one of active, deprecated.';
	END IF;
	UPDATE event_engine.workflow_definitions AS d
		SET handler = COALESCE(update_workflow_as.handler::text, d.handler),
			description = COALESCE(update_workflow_as.description,
				d.description),
			options = event_engine.workflow_options(
				COALESCE(update_workflow_as.options, '{}'), d.options),
			status = COALESCE(update_workflow_as.status, d.status),
			updated_at = clock_timestamp()
		WHERE d.id = old.id;
END
$$;
COMMENT ON FUNCTION event_engine.update_workflow_as(oid, text, text, regprocedure, text, jsonb, text) IS
	'Does the work of update_workflow() for the given role.';

CREATE FUNCTION event_engine.update_workflow(name text, version text,
		handler regprocedure, description text DEFAULT NULL,
		options jsonb DEFAULT NULL, status text DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.update_workflow(text, text, regprocedure, text, jsonb, text) IS
	'Changes a version of a workflow; the same with the handler as text.';

/*
 * update_workflow: null leaves things as they are; options are laid over
 * those that are set.  Running instances go on by what is changed.
 */
CREATE FUNCTION event_engine.update_workflow(name text, version text,
		handler text DEFAULT NULL, description text DEFAULT NULL,
		options jsonb DEFAULT NULL, status text DEFAULT NULL)
	RETURNS void
	LANGUAGE sql
RETURN event_engine.update_workflow(name, version,
	event_engine.find_workflow_handler(handler), description, options, status);
COMMENT ON FUNCTION event_engine.update_workflow(text, text, text, text, jsonb, text) IS
	'Changes a version of a workflow, for the instances that run as well.';

CREATE FUNCTION event_engine.deprecate_workflow(name text, version text)
	RETURNS void
	LANGUAGE sql
RETURN event_engine.update_workflow(name, version, status => 'deprecated');
COMMENT ON FUNCTION event_engine.deprecate_workflow(text, text) IS
	'Has no instance started of a version any more; those that run go on.';

/* ---- Instances ---- */

/*
 * start_workflow
 *
 *	name			of the workflow
 *	input			what it is to work on
 *	correlation_key	by which it is found: the number of an order
 *	idempotency_key	starting it again with the same one gives the instance
 *					that there is, and starts none
 *	version			null: the highest that is active
 *
 * Result: the id of the instance.  Its first step is taken after the commit.
 */
CREATE FUNCTION event_engine.start_workflow(name text,
		input jsonb DEFAULT '{}', correlation_key text DEFAULT NULL,
		idempotency_key text DEFAULT NULL, version text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_start_workflow';
COMMENT ON FUNCTION event_engine.start_workflow(text, jsonb, text, text, text) IS
	'Starts a workflow; its first step is taken after the commit.';

CREATE FUNCTION event_engine.cancel_workflow(workflow_instance_id uuid,
		reason text DEFAULT NULL)
	RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_cancel_workflow';
COMMENT ON FUNCTION event_engine.cancel_workflow(uuid, text) IS
	'Ends a workflow; false when it was over already.';

CREATE FUNCTION event_engine.resume_workflow(workflow_instance_id uuid)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_resume_workflow';
COMMENT ON FUNCTION event_engine.resume_workflow(uuid) IS
	'Takes the step at which a workflow has failed once more, with all its attempts.';

CREATE FUNCTION event_engine.move_workflow(workflow_instance_id uuid,
		version text)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_move_workflow';
COMMENT ON FUNCTION event_engine.move_workflow(uuid, text) IS
	'Has an instance go on by another version of its workflow.';

/* ---- The plain style, and orchestrators outside ---- */

/*
 * register_workflow_wait
 *
 *	workflow_instance_id	which is resumed
 *	event_pattern			registered, or a wildcard
 *	filter_condition		SQL/JSON path predicate over the envelope; the
 *							instance is $workflow {id, workflow, version,
 *							correlationKey, input, state}
 *	timeout					then it is resumed without an event
 *	name					of the wait; by default the pattern
 *	since					events of the past from then on match as well
 *	next_step				name of the step to be taken then
 *	filters					further condition, a filter list
 *	needed					how many waits of the instance must match until it
 *							is resumed; 1 unless it was said before
 *
 * Result: the id of the wait.
 */
CREATE FUNCTION event_engine.register_workflow_wait(workflow_instance_id uuid,
		event_pattern text, filter_condition text DEFAULT NULL,
		timeout interval DEFAULT NULL, name text DEFAULT NULL,
		since timestamptz DEFAULT NULL, next_step text DEFAULT NULL,
		filters jsonb DEFAULT NULL, needed integer DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_register_workflow_wait';
COMMENT ON FUNCTION event_engine.register_workflow_wait(uuid, text, text, interval, text, timestamptz, text, jsonb, integer) IS
	'Has a workflow wait for an event that was not yet visible.';

CREATE FUNCTION event_engine.cancel_workflow_wait(workflow_instance_id uuid,
		wait_id uuid)
	RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_cancel_workflow_wait';
COMMENT ON FUNCTION event_engine.cancel_workflow_wait(uuid, uuid) IS
	'Takes a wait back; false when it is over already.';

CREATE FUNCTION event_engine.sleep_workflow(workflow_instance_id uuid,
		duration interval DEFAULT NULL, until timestamptz DEFAULT NULL,
		name text DEFAULT NULL, next_step text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_sleep_workflow';
COMMENT ON FUNCTION event_engine.sleep_workflow(uuid, interval, timestamptz, text, text) IS
	'Has a workflow sleep for a while, or until a time.';

CREATE FUNCTION event_engine.set_workflow_state(workflow_instance_id uuid,
		state jsonb)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_set_workflow_state';
COMMENT ON FUNCTION event_engine.set_workflow_state(uuid, jsonb) IS
	'Replaces the state of a workflow.';

CREATE FUNCTION event_engine.complete_workflow(workflow_instance_id uuid,
		output jsonb DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_complete_workflow';
COMMENT ON FUNCTION event_engine.complete_workflow(uuid, jsonb) IS
	'Ends a workflow that has done its work.';

CREATE FUNCTION event_engine.fail_workflow(workflow_instance_id uuid,
		message text, details jsonb DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_fail_workflow';
COMMENT ON FUNCTION event_engine.fail_workflow(uuid, text, jsonb) IS
	'Ends a workflow that cannot do its work, without further attempts.';

REVOKE ALL ON FUNCTION
	event_engine.register_workflow_as(oid, text, regprocedure, text, text, jsonb),
	event_engine.update_workflow_as(oid, text, text, regprocedure, text, jsonb, text)
FROM PUBLIC;
/* ------------------------------------------------------------------------
 * Workflows: what their dispatchers have yet to do.
 * ------------------------------------------------------------------------ */

/*
 * workflow_postponed: events that end a wait of an instance which somebody
 * else had locked.  A dispatcher does not stand still for him: it goes on, and
 * acts on the event when the instance is free.
 *
 *	number		of the dispatcher
 *	wait_id		the wait that the event ends, unless it is over by then
 *	seq, event	the event
 */
CREATE TABLE event_engine.workflow_postponed (
	number integer NOT NULL,
	seq bigint NOT NULL,
	wait_id uuid NOT NULL,
	instance_id uuid NOT NULL,
	event event_engine.event NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (number, seq, wait_id)
);
COMMENT ON TABLE event_engine.workflow_postponed IS
	'Events that resume a workflow as soon as nobody else has it locked.';
/* ------------------------------------------------------------------------
 * Workflows: the dispatcher of a role, which resumes its workflows.
 *
 * It is an ordinary row of subscriptions, of kind workflow, so that cursors,
 * lanes, waking, pause and statistics are those of all subscriptions.
 * ------------------------------------------------------------------------ */

/*
 * ensure_dispatcher: the number of a role's dispatcher, made where there is
 * none.  It begins with nothing to match: see cover_patterns().
 *
 * Writes: subscriptions, and the cursor.
 */
CREATE FUNCTION event_engine.ensure_dispatcher(owner oid)
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	dispatcher CONSTANT text := left('workflow:' || owner::regrole::text, 255);
	stored event_engine.subscriptions;
BEGIN
	LOOP
		SELECT s.* INTO stored FROM event_engine.subscriptions AS s
			WHERE s.owner = ensure_dispatcher.owner AND s.kind = 'workflow';
		IF FOUND THEN
			RETURN stored.number;
		END IF;
		IF EXISTS (SELECT FROM event_engine.subscriptions AS s
				WHERE s.subscriber = dispatcher) THEN
			RAISE EXCEPTION USING ERRCODE = 'VE304',
				MESSAGE = format('subscription "%s" is not the dispatcher of role %s',
					dispatcher, owner::regrole),
				HINT = 'Subscribe under another name instead of it.';
		END IF;
		IF current_setting('server_version_num')::integer < 170000
			AND NOT (SELECT r.rolcanlogin FROM pg_roles AS r
				WHERE r.oid = ensure_dispatcher.owner) THEN
			RAISE EXCEPTION USING ERRCODE = 'VE304',
				MESSAGE = format('role %s may not log in and cannot have a worker',
					owner::regrole),
				DETAIL = 'Steps of workflows are run by a worker as their owner; before PostgreSQL 17 that role must be allowed to log in.',
				HINT = 'ALTER ROLE ... LOGIN, or register the workflow as another role.';
		END IF;

		INSERT INTO event_engine.subscriptions AS s (subscriber, owner, kind,
				match, options)
			VALUES (dispatcher, owner::regrole, 'workflow', '[]',
				event_engine.subscription_options('{}'))
			ON CONFLICT ON CONSTRAINT subscriptions_subscriber_key DO NOTHING
			RETURNING s.* INTO stored;
		IF FOUND THEN
			PERFORM event_engine.start_cursor(stored.number, 'now');
			RETURN stored.number;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION event_engine.ensure_dispatcher(oid) IS
	'Internal: the number of the subscription that resumes a role''s workflows, made where there is none.';

/*
 * cover_patterns: have the dispatcher read events of these patterns as well.
 * A matcher holds 10000 patterns: a role that waits for more kinds of events
 * reads them all.
 */
CREATE FUNCTION event_engine.cover_patterns(number integer, patterns text[])
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known text[];
BEGIN
	SELECT s.patterns INTO known FROM event_engine.subscriptions AS s
		WHERE s.number = cover_patterns.number;
	IF known @> cover_patterns.patterns OR known = '{#}' THEN
		RETURN;
	END IF;
	-- as of now: somebody else may be adding others
	SELECT s.patterns INTO known FROM event_engine.subscriptions AS s
		WHERE s.number = cover_patterns.number FOR UPDATE;
	SELECT CASE WHEN '#' = ANY (known) OR count(DISTINCT p.pattern) > 5000
			THEN '{#}'::text[]
			ELSE array_agg(DISTINCT p.pattern) END
		INTO known
		FROM unnest(known || cover_patterns.patterns) AS p (pattern);
	UPDATE event_engine.subscriptions AS s
		SET patterns = known,
			match = event_engine.subscription_match(known, NULL),
			updated_at = clock_timestamp()
		WHERE s.number = cover_patterns.number;
END
$$;
COMMENT ON FUNCTION event_engine.cover_patterns(integer, text[]) IS
	'Internal: has a dispatcher read events of these patterns as well.';

/* Raises where workflows need the dispatcher. */
CREATE FUNCTION event_engine.check_dispatcher_unused(number integer,
		subscriber text)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM event_engine.workflow_definitions AS d
			WHERE d.number = check_dispatcher_unused.number) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('dispatcher "%s" is needed by workflows',
				subscriber),
			HINT = 'event_engine.pause_subscription() stops them for a while.';
	END IF;
	DELETE FROM event_engine.workflow_wait_keys AS k
		WHERE k.number = check_dispatcher_unused.number;
END
$$;
COMMENT ON FUNCTION event_engine.check_dispatcher_unused(integer, text) IS
	'Internal: raises where workflows need the dispatcher that is to be removed.';

/*
 * dispatcher_due: when the workflows of a dispatcher next have something to
 * do by the clock; null: not as far as is known.  Its columns are indexed.
 */
CREATE FUNCTION event_engine.dispatcher_due(number integer)
	RETURNS timestamptz
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT LEAST(
		(SELECT i.next_attempt_at FROM event_engine.workflow_instances AS i
			WHERE i.number = dispatcher_due.number
				AND i.next_attempt_at IS NOT NULL
			ORDER BY i.next_attempt_at LIMIT 1),
		(SELECT i.deadline_at FROM event_engine.workflow_instances AS i
			WHERE i.number = dispatcher_due.number
				AND i.deadline_at IS NOT NULL
			ORDER BY i.deadline_at LIMIT 1),
		(SELECT w.timeout_at FROM event_engine.workflow_waits AS w
			WHERE w.number = dispatcher_due.number
				AND w.timeout_at IS NOT NULL
			ORDER BY w.timeout_at LIMIT 1))
$$;
COMMENT ON FUNCTION event_engine.dispatcher_due(integer) IS
	'Internal: when the workflows of a dispatcher next have something to do by the clock.';
/* ------------------------------------------------------------------------
 * Workflows: what the handler of a step answers.
 *
 *	RETURN event_engine.wait_for('invoice.paid', timeout => '3 days',
 *		condition => '$.payload.invoice == $workflow.input.invoice',
 *		next_step => 'paid');
 *
 * Pure functions of their arguments and the clock; src/workflow/answer.c reads
 * what they make.
 * ------------------------------------------------------------------------ */

/*
 * wait_for
 *
 *	pattern			of the event, registered or a wildcard
 *	condition		SQL/JSON path predicate over the envelope, which sees the
 *					instance as $workflow {id, workflow, version,
 *					correlationKey, input, state}
 *	timeout			then the step is taken without an event, or timeout_at
 *	name			of the wait; by default the pattern
 *	since			events of the past from then on match as well
 *	next_step		name of the next step
 *	state			the new one; null: as before
 *	filters			further condition, a filter list
 */
CREATE FUNCTION event_engine.wait_for(pattern text,
		condition text DEFAULT NULL, timeout interval DEFAULT NULL,
		name text DEFAULT NULL, since timestamptz DEFAULT NULL,
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL,
		filters jsonb DEFAULT NULL, timeout_at timestamptz DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN jsonb_build_object('do', 'wait', 'step', next_step, 'state', state,
	'waits', jsonb_build_array(jsonb_build_object('pattern', pattern,
		'condition', condition, 'name', name, 'since', since,
		'filters', filters,
		'timeoutAt', COALESCE(timeout_at, clock_timestamp() + timeout))));
COMMENT ON FUNCTION event_engine.wait_for(text, text, interval, text, timestamptz, text, jsonb, jsonb, timestamptz) IS
	'Answer of a step: wait for an event.';

CREATE FUNCTION event_engine.sleep_until(until timestamptz,
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL,
		name text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_build_object('do', 'wait', 'step', next_step, 'state', state,
	'waits', jsonb_build_array(jsonb_build_object('name', name,
		'timeoutAt', until)));
COMMENT ON FUNCTION event_engine.sleep_until(timestamptz, text, jsonb, text) IS
	'Answer of a step: sleep until a time.';

CREATE FUNCTION event_engine.sleep_for(duration interval,
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL,
		name text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN event_engine.sleep_until(clock_timestamp() + duration, next_step, state,
	name);
COMMENT ON FUNCTION event_engine.sleep_for(interval, text, jsonb, text) IS
	'Answer of a step: sleep for a while.';

/* Several answers of wait_for() and sleep_for() as one; so many must match. */
CREATE FUNCTION event_engine.wait_for_n(needed integer, waits jsonb[],
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('do', 'wait', 'step', next_step, 'state', state,
	'needed', needed,
	'waits', (SELECT jsonb_agg(e.wait ORDER BY w.position, e.position)
		FROM unnest(waits) WITH ORDINALITY AS w (answer, position),
			jsonb_array_elements(w.answer -> 'waits')
				WITH ORDINALITY AS e (wait, position)));
COMMENT ON FUNCTION event_engine.wait_for_n(integer, jsonb[], text, jsonb) IS
	'Answer of a step: wait until so many of several waits have matched.';

CREATE FUNCTION event_engine.wait_for_any(waits jsonb[],
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN event_engine.wait_for_n(1, waits, next_step, state);
COMMENT ON FUNCTION event_engine.wait_for_any(jsonb[], text, jsonb) IS
	'Answer of a step: wait for whichever of several comes first.';

CREATE FUNCTION event_engine.wait_for_all(waits jsonb[],
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN event_engine.wait_for_n(
	(SELECT count(*)::integer FROM unnest(waits) AS w (answer),
			jsonb_array_elements(w.answer -> 'waits') AS e (wait)
		WHERE e.wait ->> 'pattern' IS NOT NULL), waits, next_step, state);
COMMENT ON FUNCTION event_engine.wait_for_all(jsonb[], text, jsonb) IS
	'Answer of a step: wait for all of several events; a time that is among them ends it.';

CREATE FUNCTION event_engine.continue_with(next_step text,
		state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('do', 'continue', 'step', next_step, 'state', state);
COMMENT ON FUNCTION event_engine.continue_with(text, jsonb) IS
	'Answer of a step: commit, and go on with another at once.';

CREATE FUNCTION event_engine.complete(output jsonb DEFAULT NULL,
		state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('do', 'complete', 'output', output, 'state', state);
COMMENT ON FUNCTION event_engine.complete(jsonb, jsonb) IS
	'Answer of a step: the workflow has done its work.';

CREATE FUNCTION event_engine.fail(message text, details jsonb DEFAULT NULL,
		state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('do', 'fail', 'message', message,
	'details', details, 'state', state);
COMMENT ON FUNCTION event_engine.fail(text, jsonb, jsonb) IS
	'Answer of a step: the workflow has failed; the step is not tried again.';
/* ------------------------------------------------------------------------
 * Workflows: looking at definitions and instances.
 *
 * Whoever may read event_engine.workflow_instances (the duty reader) sees all
 * of them, and everybody else those of the roles that he is a member of.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.sees_workflows(caller oid, owner oid)
	RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
RETURN has_table_privilege(caller, 'event_engine.workflow_instances', 'SELECT')
	OR pg_has_role(caller, owner, 'USAGE');
COMMENT ON FUNCTION event_engine.sees_workflows(oid, oid) IS
	'Internal: whether a role may see the workflows of another.';

CREATE FUNCTION event_engine.get_workflow_as(caller oid,
		workflow_instance_id uuid)
	RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
SELECT jsonb_build_object(
	'id', i.id, 'workflow', i.workflow, 'version', i.version,
	'status', i.status, 'step', i.step, 'steps', i.steps,
	'correlationKey', i.correlation_key, 'idempotencyKey', i.idempotency_key,
	'input', i.input, 'state', i.state, 'output', i.output,
	'attempts', i.attempts, 'nextAttemptAt', i.next_attempt_at,
	'lastError', i.last_error, 'errorDetails', i.error_details,
	'parentId', i.parent_id, 'deadlineAt', i.deadline_at,
	'metadata', i.metadata, 'createdAt', i.created_at,
	'updatedAt', i.updated_at, 'finishedAt', i.finished_at)
	|| jsonb_build_object(
	'waitNeeded', i.wait_needed,
	'waits', COALESCE((SELECT jsonb_agg(jsonb_build_object('id', w.id,
			'name', w.name, 'pattern', w.pattern, 'condition', w.filter_path,
			'filters', w.filters, 'timeoutAt', w.timeout_at, 'since', w.since,
			'createdAt', w.created_at) ORDER BY w.id)
		FROM event_engine.workflow_waits AS w
		WHERE w.instance_id = i.id), '[]'),
	'history', COALESCE((SELECT jsonb_agg(jsonb_build_object(
			'number', s.step_number, 'attempt', s.attempt, 'step', s.step,
			'resumedBy', s.resumed_by, 'wait', s.wait_name,
			'eventId', s.event_id, 'result', s.result,
			'error', s.error_message, 'details', s.details,
			'startedAt', s.started_at, 'finishedAt', s.finished_at,
			'durationMs', round(extract(epoch
				FROM s.finished_at - s.started_at) * 1000, 3))
			ORDER BY s.step_number, s.started_at, s.attempt)
		FROM event_engine.workflow_steps AS s
		WHERE s.instance_id = i.id), '[]'))
FROM event_engine.workflow_instances AS i
	LEFT JOIN event_engine.workflow_definitions AS d ON d.id = i.definition_id
WHERE i.id = workflow_instance_id
	AND event_engine.sees_workflows(caller, COALESCE(d.owner, 10)::oid)
$$;
COMMENT ON FUNCTION event_engine.get_workflow_as(oid, uuid) IS
	'Does the work of get_workflow() for the given role.';

CREATE FUNCTION event_engine.get_workflow(workflow_instance_id uuid)
	RETURNS jsonb
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.get_workflow(uuid) IS
	'An instance of a workflow, with what it waits for and the steps that it has taken; null when there is none.';

/*
 * list_workflows: instances that fit, newest first.
 *
 *	of_workflow, in_status, with_key, of_version, of_parent	exactly
 *	since, until		bounds of created_at; the upper one is not included
 *	before_id			pass the last id of a page to get the next page
 */
CREATE FUNCTION event_engine.list_workflows_as(caller oid, of_workflow text,
		in_status text, with_key text, of_version text, of_parent uuid,
		since timestamptz, until timestamptz, before_id uuid,
		max_instances integer)
	RETURNS TABLE (id uuid, workflow varchar, version varchar, status text,
		correlation_key varchar, step text, steps integer,
		created_at timestamptz, updated_at timestamptz,
		finished_at timestamptz, last_error text)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
SELECT i.id, i.workflow, i.version, i.status, i.correlation_key, i.step,
	i.steps, i.created_at, i.updated_at, i.finished_at, i.last_error
FROM event_engine.workflow_instances AS i
	LEFT JOIN event_engine.workflow_definitions AS d ON d.id = i.definition_id
WHERE ($2 IS NULL OR i.workflow = $2) AND ($3 IS NULL OR i.status = $3)
	AND ($4 IS NULL OR i.correlation_key = $4)
	AND ($5 IS NULL OR i.version = $5) AND ($6 IS NULL OR i.parent_id = $6)
	AND ($7 IS NULL OR i.created_at >= $7) AND ($8 IS NULL OR i.created_at < $8)
	AND ($9 IS NULL OR i.id < $9)
	AND event_engine.sees_workflows($1, COALESCE(d.owner, 10)::oid)
ORDER BY i.id DESC LIMIT $10
$$;
COMMENT ON FUNCTION event_engine.list_workflows_as(oid, text, text, text, text, uuid, timestamptz, timestamptz, uuid, integer) IS
	'Does the work of list_workflows() for the given role.';

CREATE FUNCTION event_engine.list_workflows(of_workflow text DEFAULT NULL,
		in_status text DEFAULT NULL, with_key text DEFAULT NULL,
		of_version text DEFAULT NULL, of_parent uuid DEFAULT NULL,
		since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
		before_id uuid DEFAULT NULL, max_instances integer DEFAULT 100)
	RETURNS TABLE (id uuid, workflow varchar, version varchar, status text,
		correlation_key varchar, step text, steps integer,
		created_at timestamptz, updated_at timestamptz,
		finished_at timestamptz, last_error text)
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.list_workflows(text, text, text, text, uuid, timestamptz, timestamptz, uuid, integer) IS
	'Instances of workflows that fit, newest first, a page at a time.';

CREATE FUNCTION event_engine.list_workflow_definitions_as(caller oid,
		of_name text)
	RETURNS TABLE (name varchar, version varchar, status text, owner regrole,
		handler text, description text, options jsonb, id uuid,
		created_at timestamptz, updated_at timestamptz)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
SELECT d.name, d.version, d.status, d.owner, d.handler, d.description,
	d.options, d.id, d.created_at, d.updated_at
FROM event_engine.workflow_definitions AS d
WHERE ($2 IS NULL OR d.name = $2)
	AND event_engine.sees_workflows($1, d.owner::oid)
ORDER BY d.name, d.created_at, d.version
$$;
COMMENT ON FUNCTION event_engine.list_workflow_definitions_as(oid, text) IS
	'Does the work of list_workflow_definitions() for the given role.';

CREATE FUNCTION event_engine.list_workflow_definitions(of_name text DEFAULT NULL)
	RETURNS TABLE (name varchar, version varchar, status text, owner regrole,
		handler text, description text, options jsonb, id uuid,
		created_at timestamptz, updated_at timestamptz)
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.list_workflow_definitions(text) IS
	'The workflows that are registered, all versions.';

REVOKE ALL ON FUNCTION
	event_engine.get_workflow_as(oid, uuid),
	event_engine.list_workflows_as(oid, text, text, text, text, uuid, timestamptz, timestamptz, uuid, integer),
	event_engine.list_workflow_definitions_as(oid, text)
FROM PUBLIC;

/* ---- Instances that are over ---- */

/*
 * delete_workflows: forget instances that are over, with their history, those
 * that ended first before the others.
 *
 *	finished_before		which: those that ended before this time
 *	of_workflow, in_status	of this workflow, with this status only
 *	max_instances		how many at once
 *
 * Result: how many were deleted.  Their idempotency keys may be used again.
 */
CREATE FUNCTION event_engine.delete_workflows_as(caller oid,
		finished_before timestamptz, of_workflow text, in_status text,
		max_instances integer)
	RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	upkeep CONSTANT boolean := has_function_privilege(caller,
		'event_engine.run_maintenance()', 'EXECUTE');
	ids uuid[];
BEGIN
	IF finished_before IS NULL OR COALESCE(max_instances, 0) < 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'finished_before must be a time, and max_instances at least 1';
	END IF;
	-- what somebody is resuming is not over
	SELECT array_agg(o.id) INTO ids FROM (SELECT i.id
		FROM event_engine.workflow_instances AS i
		WHERE i.finished_at < delete_workflows_as.finished_before
			AND i.status IN ('completed', 'failed', 'cancelled', 'timed_out')
			AND (of_workflow IS NULL OR i.workflow = of_workflow)
			AND (in_status IS NULL OR i.status = in_status)
			AND (upkeep OR EXISTS (SELECT
				FROM event_engine.workflow_definitions AS d
				WHERE d.id = i.definition_id
					AND pg_has_role(caller, d.owner::oid, 'USAGE')))
		ORDER BY i.finished_at LIMIT max_instances
		FOR UPDATE SKIP LOCKED) AS o;
	DELETE FROM event_engine.workflow_steps AS s
		WHERE s.instance_id = ANY (ids);
	DELETE FROM event_engine.workflow_compensations AS c
		WHERE c.instance_id = ANY (ids);
	DELETE FROM event_engine.workflow_instances AS i WHERE i.id = ANY (ids);
	RETURN COALESCE(cardinality(ids), 0);
END
$$;
COMMENT ON FUNCTION event_engine.delete_workflows_as(oid, timestamptz, text, text, integer) IS
	'Does the work of delete_workflows() for the given role.';

CREATE FUNCTION event_engine.delete_workflows(finished_before timestamptz,
		of_workflow text DEFAULT NULL, in_status text DEFAULT NULL,
		max_instances integer DEFAULT 10000)
	RETURNS bigint
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.delete_workflows(timestamptz, text, text, integer) IS
	'Forgets instances that ended before a time, with their history.';

REVOKE ALL ON FUNCTION
	event_engine.delete_workflows_as(oid, timestamptz, text, text, integer)
FROM PUBLIC;
/* ------------------------------------------------------------------------
 * Workflows: events that start and cancel them.
 * ------------------------------------------------------------------------ */

/*
 * workflow_event_triggers
 *
 *	workflow_definition_id	version of the workflow that was the latest then
 *	workflow, version	what is started or cancelled; version null: the highest
 *						active one is started, instances of any are cancelled
 *	number				of the owner's dispatcher, which fires it
 *	event_pattern		exact or a wildcard
 *	trigger_type		START | CANCEL
 *	event_condition		SQL/JSON path predicate over the envelope; of CANCEL the
 *						instance is $workflow
 *	input_mapping		of START: {name: SQL/JSON path over the envelope, or a
 *						constant}; null: the payload is the input
 *	correlation_key		SQL/JSON path: the key of the instance that is started, or
 *						of those that are cancelled
 *	policy				of START: always | if_none_running | restart, looking at
 *						instances with the same key
 *	priority			lower ones first
 *	since, since_seq	it fires for events that this snapshot does not see
 */
CREATE TABLE event_engine.workflow_event_triggers (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	workflow_definition_id uuid NOT NULL,
	workflow varchar(255) COLLATE "C" NOT NULL,
	version varchar(50),
	number integer NOT NULL,
	event_pattern varchar(255) COLLATE "C" NOT NULL,
	trigger_type text NOT NULL CHECK (trigger_type IN ('START', 'CANCEL')),
	event_condition text,
	input_mapping jsonb CHECK (jsonb_typeof(input_mapping) = 'object'),
	correlation_key text,
	policy text NOT NULL DEFAULT 'always'
		CHECK (policy IN ('always', 'if_none_running', 'restart')),
	enabled boolean NOT NULL DEFAULT true,
	priority integer NOT NULL DEFAULT 100,
	description text,
	since pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),
	since_seq bigint NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE event_engine.workflow_event_triggers IS
	'Which events start workflows, and which cancel them.';
CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.workflow_event_triggers FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.workflow_event_triggers FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.workflow_event_triggers
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;

/* Who is running under a key; no step changes these columns. */
CREATE INDEX workflow_instances_running_idx
	ON event_engine.workflow_instances (workflow, correlation_key)
	WHERE finished_at IS NULL;

/*
 * workflow_trigger_failures: events for which a trigger could not be fired,
 * whole, until a person has it tried again or discards it.
 *
 *	status	failed | retried | discarded
 */
CREATE TABLE event_engine.workflow_trigger_failures (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	trigger_id uuid NOT NULL,
	workflow varchar(255) COLLATE "C" NOT NULL,
	event event_engine.event NOT NULL,
	error_message text NOT NULL,
	error_details jsonb,
	status text NOT NULL DEFAULT 'failed'
		CHECK (status IN ('failed', 'retried', 'discarded')),
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	status_changed_at timestamptz
);
COMMENT ON TABLE event_engine.workflow_trigger_failures IS
	'Events for which a trigger could not be fired, to be tried again or discarded.';
CREATE INDEX workflow_trigger_failures_trigger_id_idx
	ON event_engine.workflow_trigger_failures (trigger_id, created_at);
/* ------------------------------------------------------------------------
 * Workflows: triggers.  Which event a trigger wants is asked in C
 * (src/workflow/trigger.c); what it then does is written here.  It is done in
 * the transaction in which the dispatcher moves its cursor past the event.
 * ------------------------------------------------------------------------ */

/* ---- Fire ---- */

/* What a path finds: nothing is null, several are an array. */
CREATE FUNCTION event_engine.trigger_value(envelope jsonb, path text)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN (SELECT CASE count(*) WHEN 0 THEN 'null' WHEN 1 THEN (array_agg(v))[1]
		ELSE jsonb_agg(v) END
	FROM jsonb_path_query(envelope, path::jsonpath) AS v);
COMMENT ON FUNCTION event_engine.trigger_value(jsonb, text) IS
	'Internal: what a path of a trigger finds in an envelope.';

/* Is this member of a mapping a path?  All else is a constant. */
CREATE FUNCTION event_engine.trigger_is_path(value jsonb)
	RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN jsonb_typeof(value) = 'string'
	AND value #>> '{}' ~ '^\s*((strict|lax)\s+)?\$';
COMMENT ON FUNCTION event_engine.trigger_is_path(jsonb) IS
	'Internal: whether a member of a trigger''s input mapping is a path.';

/* The input of the instance. */
CREATE FUNCTION event_engine.trigger_input(mapping jsonb, envelope jsonb)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN mapping IS NULL THEN envelope -> 'payload'
	ELSE (SELECT COALESCE(jsonb_object_agg(m.key,
			CASE WHEN event_engine.trigger_is_path(m.value)
				THEN event_engine.trigger_value(envelope, m.value #>> '{}')
				ELSE m.value END), '{}')
		FROM jsonb_each(mapping) AS m) END;
COMMENT ON FUNCTION event_engine.trigger_input(jsonb, jsonb) IS
	'Internal: the input that a trigger makes of an event.';

CREATE FUNCTION event_engine.trigger_key(path text, envelope jsonb)
	RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN path IS NOT NULL
	THEN event_engine.trigger_value(envelope, path) #>> '{}' END;
COMMENT ON FUNCTION event_engine.trigger_key(text, jsonb) IS
	'Internal: the correlation key that a trigger makes of an event.';

/*
 * Would a path of the trigger raise an error?  Asked without raising it, so
 * that no subtransaction is needed where none does.
 */
CREATE FUNCTION event_engine.trigger_raises(t event_engine.workflow_event_triggers,
		envelope jsonb)
	RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN (SELECT COALESCE(bool_or(jsonb_path_exists(envelope, p.path::jsonpath,
		'{}', true) IS NULL), false)
	FROM (SELECT m.value #>> '{}'
			FROM jsonb_each(COALESCE(t.input_mapping, '{}')) AS m
			WHERE event_engine.trigger_is_path(m.value)
		UNION ALL SELECT t.correlation_key WHERE t.correlation_key IS NOT NULL
		UNION ALL SELECT t.event_condition WHERE t.event_condition IS NOT NULL
			AND t.trigger_type = 'START') AS p (path));
COMMENT ON FUNCTION event_engine.trigger_raises(event_engine.workflow_event_triggers, jsonb) IS
	'Internal: whether a path of a trigger raises an error for an event.';

CREATE FUNCTION event_engine.trigger_failed(t event_engine.workflow_event_triggers,
		event event_engine.event, message text, details jsonb)
	RETURNS text
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO event_engine.workflow_trigger_failures (trigger_id, workflow,
			event, error_message, error_details)
		VALUES (t.id, t.workflow, event, message, details)
		RETURNING 'failed'
$$;
COMMENT ON FUNCTION event_engine.trigger_failed(event_engine.workflow_event_triggers, event_engine.event, text, jsonb) IS
	'Internal: writes down that a trigger could not be fired for an event.';

/* As $workflow in the condition of a trigger that cancels. */
CREATE FUNCTION event_engine.workflow_variables(i event_engine.workflow_instances)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object('workflow', jsonb_build_object('id', i.id,
	'workflow', i.workflow, 'version', i.version, 'input', i.input,
	'state', i.state, 'correlationKey', i.correlation_key));
COMMENT ON FUNCTION event_engine.workflow_variables(event_engine.workflow_instances) IS
	'Internal: an instance as conditions see it.';

CREATE FUNCTION event_engine.fire_start(t event_engine.workflow_event_triggers,
		event event_engine.event, envelope jsonb, key text)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	running uuid;
BEGIN
	IF jsonb_path_match(envelope, COALESCE(t.event_condition, 'true')::jsonpath,
			'{}', true) IS NOT TRUE AND t.event_condition IS NOT NULL THEN
		RETURN 'skipped';
	END IF;
	PERFORM FROM event_engine.workflow_definitions AS d
		WHERE d.name = t.workflow AND d.status = 'active'
			AND (t.version IS NULL OR d.version = t.version);
	IF NOT FOUND THEN
		RETURN event_engine.trigger_failed(t, event,
			format('workflow "%s" has no active version%s', t.workflow,
				' ' || t.version), NULL);
	END IF;
	IF t.policy <> 'always' THEN
		-- one at a time: who comes second sees what the first has started
		PERFORM pg_advisory_xact_lock(
			hashtextextended('event_engine trigger ' || t.workflow, 0));
		FOR running IN SELECT i.id FROM event_engine.workflow_instances AS i
			WHERE i.workflow = t.workflow AND i.finished_at IS NULL
				AND i.correlation_key IS NOT DISTINCT FROM key
			ORDER BY i.id
		LOOP
			IF t.policy = 'if_none_running' THEN
				RETURN 'skipped';
			END IF;
			PERFORM event_engine.cancel_workflow(running,
				format('started again because of event %s', event.id));
		END LOOP;
	END IF;
	running := event_engine.start_workflow(t.workflow,
		event_engine.trigger_input(t.input_mapping, envelope), key, NULL,
		t.version);
	IF event.deliver_at > clock_timestamp() THEN
		UPDATE event_engine.workflow_instances AS i
			SET next_attempt_at = event.deliver_at WHERE i.id = running;
	END IF;
	RETURN 'started';
END
$$;
COMMENT ON FUNCTION event_engine.fire_start(event_engine.workflow_event_triggers, event_engine.event, jsonb, text) IS
	'Internal: starts a workflow because of an event.';

CREATE FUNCTION event_engine.fire_cancel(t event_engine.workflow_event_triggers,
		event event_engine.event, envelope jsonb, key text)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	running event_engine.workflow_instances;
	holds boolean;
	result text := 'skipped';
BEGIN
	FOR running IN SELECT i.* FROM event_engine.workflow_instances AS i
		WHERE i.workflow = t.workflow AND i.finished_at IS NULL
			AND (t.correlation_key IS NULL OR i.correlation_key = key)
			AND (t.version IS NULL OR i.version = t.version)
		ORDER BY i.id
	LOOP
		holds := t.event_condition IS NULL OR jsonb_path_match(envelope,
			t.event_condition::jsonpath,
			event_engine.workflow_variables(running), true);
		IF holds IS NULL THEN
			result := event_engine.trigger_failed(t, event, format(
				'condition of a trigger is neither true nor false for workflow %s',
				running.id), jsonb_build_object('condition', t.event_condition));
		ELSIF holds THEN
			PERFORM event_engine.cancel_workflow(running.id,
				format('cancelled by event %s', event.id));
			result := 'cancelled';
		END IF;
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION event_engine.fire_cancel(event_engine.workflow_event_triggers, event_engine.event, jsonb, text) IS
	'Internal: cancels the workflows that an event is meant for.';

/*
 * fire_trigger: what a trigger does because of an event.  What is wrong with
 * its paths is written down as its failure, and harms nobody else.
 *
 * Result: started, cancelled, skipped, or failed.
 */
CREATE FUNCTION event_engine.fire_trigger(id uuid, event event_engine.event)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	t event_engine.workflow_event_triggers;
	envelope jsonb := event_engine.event_envelope(event);
	key text;
	code text;
	message text;
	detail text;
BEGIN
	SELECT w.* INTO t FROM event_engine.workflow_event_triggers AS w
		WHERE w.id = id;
	IF NOT FOUND OR NOT t.enabled THEN
		RETURN 'skipped';
	END IF;
	IF event_engine.trigger_raises(t, envelope) THEN
		BEGIN
			PERFORM event_engine.trigger_input(t.input_mapping, envelope),
				event_engine.trigger_key(t.correlation_key, envelope);
			PERFORM jsonb_path_match(envelope, t.event_condition::jsonpath);
			message := 'a path of the trigger fails';
		EXCEPTION WHEN data_exception OR feature_not_supported THEN
			GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE,
				message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
		END;
		RETURN event_engine.trigger_failed(t, event, message,
			jsonb_strip_nulls(jsonb_build_object('sqlstate', code,
				'detail', NULLIF(detail, ''))));
	END IF;
	IF COALESCE((event.metadata ->> 'hops')::numeric, 0)
		>= current_setting('event_engine.store_hop_limit')::integer THEN
		RETURN event_engine.trigger_failed(t, event, format(
			'events and workflows have caused one another %s times over',
			event.metadata ->> 'hops'), jsonb_build_object('sqlstate', 'VE206'));
	END IF;
	key := event_engine.trigger_key(t.correlation_key, envelope);
	IF length(key) > 255 OR key = '' THEN
		RETURN event_engine.trigger_failed(t, event,
			'correlation key of a workflow must have 1 to 255 characters',
			NULL);
	END IF;
	IF t.trigger_type = 'START' THEN
		RETURN event_engine.fire_start(t, event, envelope, key);
	END IF;
	RETURN event_engine.fire_cancel(t, event, envelope, key);
END
$$;
COMMENT ON FUNCTION event_engine.fire_trigger(uuid, event_engine.event) IS
	'Internal: what a trigger does because of an event.';

/* ---- Create, change, remove ---- */

/* The trigger, locked, if the caller may change it. */
CREATE FUNCTION event_engine.own_trigger(caller oid, id uuid)
	RETURNS event_engine.workflow_event_triggers
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.workflow_event_triggers;
	owner regrole;
BEGIN
	SELECT t.* INTO stored FROM event_engine.workflow_event_triggers AS t
		WHERE t.id = own_trigger.id FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE507',
			MESSAGE = format('unknown trigger %s', COALESCE(id::text, 'null')),
			HINT = 'event_engine.list_workflow_triggers() shows them.';
	END IF;
	SELECT s.owner INTO owner FROM event_engine.subscriptions AS s
		WHERE s.number = stored.number;
	IF NOT pg_has_role(caller, owner::oid, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of workflow "%s"', stored.workflow),
			DETAIL = format('It belongs to role %s.', owner);
	END IF;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.own_trigger(oid, uuid) IS
	'Internal: locks a trigger that the caller may change.';

/* Raises what is wrong with a trigger. */
CREATE FUNCTION event_engine.check_trigger(t event_engine.workflow_event_triggers)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	part record;
	problem text := CASE
		WHEN t.trigger_type IS NULL OR t.trigger_type NOT IN ('START', 'CANCEL')
			THEN 'A trigger_type is one of START, CANCEL.'
		WHEN t.policy IS NULL
				OR t.policy NOT IN ('always', 'if_none_running', 'restart')
			THEN 'A policy is one of always, if_none_running, restart.'
		WHEN t.trigger_type = 'CANCEL'
				AND (t.input_mapping IS NOT NULL OR t.policy <> 'always')
			THEN 'input_mapping and policy are for triggers that start workflows.'
		WHEN t.trigger_type = 'CANCEL' AND t.correlation_key IS NULL
				AND t.event_condition IS NULL
			THEN 'It would cancel all instances: give a correlation_key or an event_condition.'
		WHEN jsonb_typeof(t.input_mapping) <> 'object'
			THEN 'input_mapping is an object of names and paths.' END;
BEGIN
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE507', MESSAGE = 'invalid trigger',
			DETAIL = problem;
	END IF;
	PERFORM event_engine.check_match(
		event_engine.subscription_match(ARRAY[t.event_pattern::text], NULL),
		CASE t.trigger_type WHEN 'START' THEN t.event_condition END, NULL);
	IF t.event_pattern !~ '[*#]' AND NOT EXISTS (
		SELECT FROM event_engine.event_definitions AS d
		WHERE d.pattern = t.event_pattern) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE001',
			MESSAGE = format('unknown event pattern "%s"', t.event_pattern),
			HINT = 'Register it with event_engine.register_event_definition().';
	END IF;
	FOR part IN
		SELECT 'input_mapping.' || m.key AS name, m.value #>> '{}' AS path
			FROM jsonb_each(COALESCE(t.input_mapping, '{}')) AS m
			WHERE event_engine.trigger_is_path(m.value)
		UNION ALL SELECT 'correlation_key', t.correlation_key
		UNION ALL SELECT 'event_condition', t.event_condition
	LOOP
		BEGIN
			PERFORM part.path::jsonpath;
		EXCEPTION WHEN OTHERS THEN
			RAISE EXCEPTION USING ERRCODE = 'VE507',
				MESSAGE = format('%s of a trigger is not an SQL/JSON path: %s',
					part.name, part.path), DETAIL = SQLERRM;
		END;
	END LOOP;
END
$$;
COMMENT ON FUNCTION event_engine.check_trigger(event_engine.workflow_event_triggers) IS
	'Internal: raises what is wrong with a trigger.';

CREATE FUNCTION event_engine.create_workflow_trigger_as(caller oid,
		workflow text, event_pattern text, trigger_type text,
		event_condition text, input_mapping jsonb, correlation_key text,
		policy text, enabled boolean, priority integer, description text,
		version text)
	RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	definition event_engine.workflow_definitions;
	t event_engine.workflow_event_triggers;
BEGIN
	SELECT d.* INTO definition FROM event_engine.workflow_definitions AS d
		WHERE d.name = workflow AND (create_workflow_trigger_as.version IS NULL
			OR d.version = create_workflow_trigger_as.version)
		ORDER BY d.created_at DESC LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE501',
			MESSAGE = format('unknown workflow %s',
				COALESCE('"' || workflow || '"', 'null')),
			HINT = 'Register it with event_engine.register_workflow().';
	END IF;
	IF NOT pg_has_role(caller, definition.owner::oid, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of workflow "%s"', workflow),
			DETAIL = format('It belongs to role %s.', definition.owner);
	END IF;
	t.workflow := definition.name;
	t.version := version;
	t.number := definition.number;
	t.event_pattern := event_pattern;
	t.trigger_type := upper(trigger_type);
	t.event_condition := event_condition;
	t.input_mapping := input_mapping;
	t.correlation_key := correlation_key;
	t.policy := policy;
	PERFORM event_engine.check_trigger(t);
	INSERT INTO event_engine.workflow_event_triggers AS n
		(workflow_definition_id, workflow, version, number, event_pattern,
		trigger_type, event_condition, input_mapping, correlation_key, policy,
		enabled, priority, description, since_seq)
	SELECT definition.id, t.workflow, t.version, t.number, t.event_pattern,
		t.trigger_type, t.event_condition, t.input_mapping, t.correlation_key,
		t.policy, COALESCE(create_workflow_trigger_as.enabled, true),
		COALESCE(create_workflow_trigger_as.priority, 100),
		create_workflow_trigger_as.description, s.last_value
	FROM event_engine.event_seq AS s
	RETURNING n.id INTO t.id;
	PERFORM event_engine.cover_patterns(t.number, ARRAY[t.event_pattern::text]);
	RETURN t.id;
END
$$;
COMMENT ON FUNCTION event_engine.create_workflow_trigger_as(oid, text, text, text, text, jsonb, text, text, boolean, integer, text, text) IS
	'Does the work of create_workflow_trigger() for the given role.';

/*
 * create_workflow_trigger: have events start a workflow, or cancel it.  For
 * its owner.  See workflow_event_triggers for the parameters.
 *
 * Result: the trigger's id.
 */
CREATE FUNCTION event_engine.create_workflow_trigger(workflow text,
		event_pattern text, trigger_type text DEFAULT 'START',
		event_condition text DEFAULT NULL, input_mapping jsonb DEFAULT NULL,
		correlation_key text DEFAULT NULL, policy text DEFAULT 'always',
		enabled boolean DEFAULT true, priority integer DEFAULT 100,
		description text DEFAULT NULL, version text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.create_workflow_trigger(text, text, text, text, jsonb, text, text, boolean, integer, text, text) IS
	'Has events start a workflow, or cancel it.';

CREATE FUNCTION event_engine.update_workflow_trigger_as(caller oid, id uuid,
		event_condition text, input_mapping jsonb, correlation_key text,
		policy text, enabled boolean, priority integer, description text)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t event_engine.workflow_event_triggers;
	now_enabled boolean;
	latest bigint := (SELECT s.last_value FROM event_engine.event_seq AS s);
BEGIN
	t := event_engine.own_trigger(caller, id);
	now_enabled := COALESCE(enabled, t.enabled);
	t.event_condition := COALESCE(event_condition, t.event_condition);
	t.input_mapping := COALESCE(input_mapping, t.input_mapping);
	t.correlation_key := COALESCE(correlation_key, t.correlation_key);
	t.policy := COALESCE(policy, t.policy);
	PERFORM event_engine.check_trigger(t);
	-- what comes while it is disabled is not made good
	UPDATE event_engine.workflow_event_triggers AS o
		SET event_condition = t.event_condition,
			input_mapping = t.input_mapping,
			correlation_key = t.correlation_key, policy = t.policy,
			priority = COALESCE(update_workflow_trigger_as.priority, o.priority),
			description = COALESCE(update_workflow_trigger_as.description,
				o.description),
			since = CASE WHEN now_enabled AND NOT o.enabled
				THEN pg_current_snapshot() ELSE o.since END,
			since_seq = CASE WHEN now_enabled AND NOT o.enabled
				THEN latest ELSE o.since_seq END,
			enabled = now_enabled, updated_at = clock_timestamp()
		WHERE o.id = t.id;
END
$$;
COMMENT ON FUNCTION event_engine.update_workflow_trigger_as(oid, uuid, text, jsonb, text, text, boolean, integer, text) IS
	'Does the work of update_workflow_trigger() for the given role.';

/* Null leaves things as they are. */
CREATE FUNCTION event_engine.update_workflow_trigger(id uuid,
		event_condition text DEFAULT NULL, input_mapping jsonb DEFAULT NULL,
		correlation_key text DEFAULT NULL, policy text DEFAULT NULL,
		enabled boolean DEFAULT NULL, priority integer DEFAULT NULL,
		description text DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.update_workflow_trigger(uuid, text, jsonb, text, text, boolean, integer, text) IS
	'Changes a trigger, or enables or disables it.';

CREATE FUNCTION event_engine.drop_workflow_trigger_as(caller oid, id uuid)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t event_engine.workflow_event_triggers;
BEGIN
	t := event_engine.own_trigger(caller, id);
	DELETE FROM event_engine.workflow_event_triggers AS o WHERE o.id = t.id;
END
$$;
COMMENT ON FUNCTION event_engine.drop_workflow_trigger_as(oid, uuid) IS
	'Does the work of drop_workflow_trigger() for the given role.';

CREATE FUNCTION event_engine.drop_workflow_trigger(id uuid)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.drop_workflow_trigger(uuid) IS
	'Removes a trigger.';

CREATE FUNCTION event_engine.list_workflow_triggers(of_workflow text DEFAULT NULL)
	RETURNS TABLE (id uuid, workflow text, version text, owner regrole,
		event_pattern text, trigger_type text, event_condition text,
		input_mapping jsonb, correlation_key text, policy text,
		enabled boolean, priority integer, description text, failures bigint)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
SELECT t.id, t.workflow::text, t.version::text, s.owner, t.event_pattern::text,
	t.trigger_type, t.event_condition, t.input_mapping, t.correlation_key,
	t.policy, t.enabled, t.priority, t.description,
	(SELECT count(*) FROM event_engine.workflow_trigger_failures AS f
		WHERE f.trigger_id = t.id AND f.status = 'failed')
FROM event_engine.workflow_event_triggers AS t
LEFT JOIN event_engine.subscriptions AS s ON s.number = t.number
WHERE of_workflow IS NULL OR t.workflow = of_workflow
ORDER BY t.workflow, t.priority, t.created_at
$$;
COMMENT ON FUNCTION event_engine.list_workflow_triggers(text) IS
	'The triggers of a workflow, or of all, in the order in which they fire.';

CREATE FUNCTION event_engine.retry_trigger_failures_as(caller oid,
		trigger_id uuid)
	RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t event_engine.workflow_event_triggers;
	failure event_engine.workflow_trigger_failures;
	n bigint := 0;
BEGIN
	t := event_engine.own_trigger(caller, trigger_id);
	FOR failure IN SELECT f.* FROM event_engine.workflow_trigger_failures AS f
		WHERE f.trigger_id = t.id AND f.status = 'failed'
		ORDER BY f.created_at, f.id FOR UPDATE
	LOOP
		UPDATE event_engine.workflow_trigger_failures AS f
			SET status = 'retried', status_changed_at = clock_timestamp()
			WHERE f.id = failure.id;
		IF event_engine.fire_trigger(t.id, failure.event) <> 'failed' THEN
			n := n + 1;
		END IF;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.retry_trigger_failures_as(oid, uuid) IS
	'Does the work of retry_trigger_failures() for the given role.';

/* Result: for how many events it has not failed this time. */
CREATE FUNCTION event_engine.retry_trigger_failures(trigger_id uuid)
	RETURNS bigint
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.retry_trigger_failures(uuid) IS
	'Fires a trigger for the events for which it has failed.';

CREATE FUNCTION event_engine.discard_trigger_failures_as(caller oid,
		trigger_id uuid)
	RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t event_engine.workflow_event_triggers;
	n bigint;
BEGIN
	t := event_engine.own_trigger(caller, trigger_id);
	UPDATE event_engine.workflow_trigger_failures AS f
		SET status = 'discarded', status_changed_at = clock_timestamp()
		WHERE f.trigger_id = t.id AND f.status = 'failed';
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.discard_trigger_failures_as(oid, uuid) IS
	'Does the work of discard_trigger_failures() for the given role.';

CREATE FUNCTION event_engine.discard_trigger_failures(trigger_id uuid)
	RETURNS bigint
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.discard_trigger_failures(uuid) IS
	'Has the failures of a trigger be as they are; returns how many.';
/* ------------------------------------------------------------------------
 * Workflows: events about them, see src/workflow/life_cycle.c.
 * ------------------------------------------------------------------------ */

/* What happens to a workflow: the patterns are workflow. and these. */
CREATE FUNCTION event_engine.workflow_event_names()
	RETURNS SETOF text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 11
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT unnest('{started,resumed,step_completed,step_failed,waiting,
		compensating,completed,failed,cancelled,timed_out,finished}'::text[])
$$;
COMMENT ON FUNCTION event_engine.workflow_event_names() IS
	'Internal: what happens to a workflow, and is published as workflow.<name>.';

/*
 * Their definitions are made with the first workflow, not with the extension:
 * so they are dumped and restored like all others.  Where somebody has such a
 * pattern already it stays as it is.
 */
CREATE FUNCTION event_engine.register_workflow_events()
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT event_engine.register_event_definition('workflow.' || n.name,
		'{"type": "object", "required": ["id", "workflow", "version", "status"],
		  "properties": {"id": {"type": "string"}, "workflow": {"type": "string"},
			"version": {"type": "string"}, "status": {"type": "string"},
			"step": {"type": "string"}, "stepNumber": {"type": "integer"},
			"attempt": {"type": "integer"}, "result": {"type": "string"},
			"resumedBy": {"type": "string"}, "wait": {"type": "string"},
			"error": {"type": "string"}, "durationMs": {"type": "integer"},
			"correlationKey": {"type": "string"}, "parentId": {"type": "string"}}}',
		event_id => 'event_engine.workflow.' || n.name,
		name => 'Workflow ' || replace(n.name, '_', ' '),
		source_types => '{workflow}')
	FROM event_engine.workflow_event_names() AS n (name)
	WHERE NOT EXISTS (SELECT FROM event_engine.event_definitions AS d
		WHERE d.pattern = 'workflow.' || n.name)
$$;
COMMENT ON FUNCTION event_engine.register_workflow_events() IS
	'Internal: registers the events about workflows.';
REVOKE ALL ON FUNCTION event_engine.register_workflow_events() FROM PUBLIC;
/*
 * workflow_compensations: how to undo what the steps of a workflow have done.
 *
 *	position	in the order of registration; undone in reverse
 *	step		that registered it
 *	handler		signature of a function of the argument
 *	status		registered | done | failed: a person is to look at it
 *	attempts, last_error	of the latest ones
 *	outcome		what the workflow is once all is undone; null until it begins
 */
CREATE TABLE event_engine.workflow_compensations (
	instance_id uuid NOT NULL,
	position integer NOT NULL,
	step text NOT NULL,
	handler text NOT NULL,
	argument jsonb NOT NULL,
	status text NOT NULL DEFAULT 'registered'
		CHECK (status IN ('registered', 'done', 'failed')),
	attempts integer NOT NULL DEFAULT 0,
	last_error text,
	outcome text,
	registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	finished_at timestamptz,
	PRIMARY KEY (instance_id, position)
);
COMMENT ON TABLE event_engine.workflow_compensations IS
	'How to undo what the steps of workflows have done, and how far that has come.';
/* ------------------------------------------------------------------------
 * Workflows: compensations and children.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.compensate_with_as(caller oid,
		workflow_instance_id uuid, handler regprocedure, argument jsonb)
	RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	instance event_engine.workflow_instances;
	owner regrole;
	registered integer;
BEGIN
	SELECT i.* INTO instance FROM event_engine.workflow_instances AS i
		WHERE i.id = workflow_instance_id FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE502',
			MESSAGE = format('workflow instance %s does not exist',
				COALESCE(workflow_instance_id::text, 'null'));
	END IF;
	SELECT d.owner INTO owner FROM event_engine.workflow_definitions AS d
		WHERE d.id = instance.definition_id;
	IF NOT pg_has_role(caller, owner::oid, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be owner of workflow "%s"',
				instance.workflow),
			DETAIL = format('It belongs to role %s.', owner);
	END IF;
	IF instance.status NOT IN ('running', 'waiting') THEN
		RAISE EXCEPTION USING ERRCODE = 'VE504',
			MESSAGE = format('workflow "%s" is %s already', instance.workflow,
				instance.status);
	END IF;
	IF handler IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = 'handler of a compensation does not exist',
			DETAIL = 'It is a function with one argument, of type jsonb.',
			HINT = 'Create the function first, and name its schema unless that is in the search path.';
	END IF;
	IF NOT has_function_privilege(owner::oid, handler, 'EXECUTE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('permission denied for function %s', handler),
			DETAIL = format('Role %s owns the workflow and would run it.',
				owner);
	END IF;
	INSERT INTO event_engine.workflow_compensations AS c (instance_id,
			position, step, handler, argument)
		SELECT instance.id, COALESCE(max(o.position), 0) + 1, instance.step,
				compensate_with_as.handler::text, COALESCE(compensate_with_as.argument, 'null')
			FROM event_engine.workflow_compensations AS o
			WHERE o.instance_id = instance.id
		RETURNING c.position INTO registered;
	RETURN registered;
END
$$;
COMMENT ON FUNCTION event_engine.compensate_with_as(oid, uuid, regprocedure, jsonb) IS
	'Does the work of compensate_with() for the given role.';

CREATE FUNCTION event_engine.compensate_with(workflow_instance_id uuid,
		handler regprocedure, argument jsonb DEFAULT '{}')
	RETURNS integer
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.compensate_with(uuid, regprocedure, jsonb) IS
	'Registers how to undo what a step has done; the same with the function itself.';

/*
 * compensate_with: how to undo what a step has done.  When the workflow
 * fails, is cancelled, or times out, what is registered is called in reverse
 * order, each in a transaction of its own, as the workflow's owner, and tried
 * again like a step.
 *
 *	handler		function of one jsonb, by name or signature
 *	argument	given to it
 *
 * Result: the position.
 */
CREATE FUNCTION event_engine.compensate_with(workflow_instance_id uuid,
		handler text, argument jsonb DEFAULT '{}')
	RETURNS integer
	LANGUAGE sql
RETURN event_engine.compensate_with(workflow_instance_id,
	to_regprocedure(CASE WHEN handler LIKE '%(%' THEN handler
		ELSE handler || '(jsonb)' END), argument);
COMMENT ON FUNCTION event_engine.compensate_with(uuid, text, jsonb) IS
	'Registers how to undo what a step has done.';

/* ---- Children ---- */

/*
 * start_child_workflow: start a workflow for another one, which may wait for
 * it by wait_for_children().  Where the parent fails, is cancelled, or times
 * out, children that run are cancelled; one that is to outlive it is started
 * by start_workflow().
 */
CREATE FUNCTION event_engine.start_child_workflow(parent_id uuid, name text,
		input jsonb DEFAULT '{}', correlation_key text DEFAULT NULL,
		idempotency_key text DEFAULT NULL, version text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_start_child_workflow';
COMMENT ON FUNCTION event_engine.start_child_workflow(uuid, text, jsonb, text, text, text) IS
	'Starts a workflow as the child of another.';

/*
 * wait_for_children: answer of a step: wait until so many of the children are
 * over (null: all), in whatever way.  The step that follows finds the events
 * workflow.finished in its resumption, the waits being named "child 1", ...
 */
CREATE FUNCTION event_engine.wait_for_children(children uuid[],
		needed integer DEFAULT NULL, timeout interval DEFAULT NULL,
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN event_engine.wait_for_n(COALESCE(needed, cardinality(children)),
	(SELECT array_agg(event_engine.wait_for('workflow.finished',
			condition => format('$.payload.id == "%s"', c.id),
			name => 'child ' || c.position, timeout => timeout,
			since => event_engine.event_time(c.id)) ORDER BY c.position)
		FROM unnest(children) WITH ORDINALITY AS c (id, position)),
	next_step, state);
COMMENT ON FUNCTION event_engine.wait_for_children(uuid[], integer, interval, text, jsonb) IS
	'Answer of a step: wait for child workflows.';
/* ------------------------------------------------------------------------
 * Operations.
 * ------------------------------------------------------------------------ */

/*
 * event_retention: how long events are kept.  The rule of the most particular
 * pattern holds: the name itself, or else the wildcard with most letters.
 * What no rule is for is kept as event_engine.operations_retention says.
 *
 *	match			the pattern as of a subscription
 *	keep_for		after the end of their partition; null: for ever
 *	archive_table	takes the events before they go
 *	archive_file	they are written to event_engine.operations_archive_directory
 */
CREATE TABLE event_engine.event_retention (
	pattern varchar(255) COLLATE "C" NOT NULL PRIMARY KEY,
	match jsonb NOT NULL,
	keep_for interval CHECK (keep_for > '0'),
	archive_table regclass,
	archive_file boolean NOT NULL DEFAULT false,
	set_by regrole NOT NULL,
	set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CHECK (event_engine.check_match(match, NULL, NULL))
);
COMMENT ON TABLE event_engine.event_retention IS
	'How long events are kept, by pattern.';

/*
 * event_maintenance: what upkeep has done, and what it could not do; kept for
 * 90 days.
 *
 *	task		expire (events leave their partition), drop (an empty partition),
 *				forget (rows that are settled or expired), analyze
 *	object		the partition or table
 *	outcome		done | forced (though a subscription had yet to read them) |
 *				held (somebody needs it) | locked (somebody uses it) | failed;
 *				the latter three at most once an hour
 *	events		how many, an estimate for whole partitions
 *	bytes		given back to the file system
 */
CREATE TABLE event_engine.event_maintenance (
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	task text NOT NULL,
	object text NOT NULL,
	outcome text NOT NULL
		CHECK (outcome IN ('done', 'forced', 'held', 'locked', 'failed')),
	events bigint,
	bytes bigint,
	detail text
);
COMMENT ON TABLE event_engine.event_maintenance IS
	'What upkeep has done, and what it could not do.';
CREATE INDEX event_maintenance_at_idx ON event_engine.event_maintenance (at);

/* The server's launcher does not see our tables: it is told of them. */
CREATE FUNCTION event_engine.wake_workers() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_wake_workers';
COMMENT ON FUNCTION event_engine.wake_workers() IS
	'Lets the workers look at this database as soon as the transaction commits.';
SELECT event_engine.wake_workers();
/* ------------------------------------------------------------------------
 * Operations: upkeep by hand.
 * ------------------------------------------------------------------------ */

/*
 * run_maintenance: what the router does once a minute: partitions ahead of
 * time, sealing those whose time is over, gathering cursors, forgetting
 * expired identifiers.  Needed by hand (or by pg_cron) only where the library
 * is not preloaded.
 */
CREATE FUNCTION event_engine.run_maintenance() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_run_maintenance';
COMMENT ON FUNCTION event_engine.run_maintenance() IS
	'Does the regular upkeep now: partitions, cursors, expired identifiers.';
/* ------------------------------------------------------------------------
 * Operations: what is going on.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.worker_slots(
		OUT kind text, OUT slot integer, OUT dbid oid, OUT roleid oid,
		OUT pid integer, OUT state text, OUT started_at timestamptz,
		OUT events bigint, OUT batches bigint, OUT failures bigint,
		OUT busy_since timestamptz)
	RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'ee_sql_worker_slots';
COMMENT ON FUNCTION event_engine.worker_slots() IS
	'The processes of event_engine in this server; none where the library was not preloaded.';

/*
 * stat_workers: of all databases.
 *
 *	kind		launcher (one a server), router (one a database), executor (one
 *				a role with subscriptions, while there is work)
 *	state		starting | running | busy
 *	events, batches, failures	of an executor since it was started; failures
 *				are rounds that were rolled back
 *	busy_for	since when it has been at its round: a batch of one subscription
 */
CREATE VIEW event_engine.stat_workers AS
	SELECT w.kind, d.datname AS database, r.rolname AS role, w.pid, w.state,
		w.started_at, w.events, w.batches, w.failures,
		pg_catalog.clock_timestamp() - w.busy_since AS busy_for
	FROM event_engine.worker_slots() AS w
	LEFT JOIN pg_catalog.pg_database AS d ON d.oid = w.dbid
	LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = w.roleid;
COMMENT ON VIEW event_engine.stat_workers IS
	'The processes of event_engine in this server, and what they are doing.';

CREATE FUNCTION event_engine.subscription_counters(
		number integer, id uuid, OUT since timestamptz, OUT delivered bigint,
		OUT failed bigint, OUT delivered_rate float8, OUT failed_rate float8,
		OUT latency_p50 float8, OUT latency_p95 float8, OUT latency_p99 float8,
		OUT latency_buckets bigint[], OUT latency_sum float8,
		OUT in_flight integer, OUT breaker text, OUT breaker_since timestamptz,
		OUT breaker_retry_at timestamptz, OUT breaker_opened bigint)
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_counters';
COMMENT ON FUNCTION event_engine.subscription_counters(integer, uuid) IS
	'What processes know together of a subscription: counted since the server was started, in flight where that is limited, and its circuit breaker.';

/* A function of its own for the sake of its estimate, which is of few rows. */
CREATE FUNCTION event_engine.epoch_lanes(epochs jsonb) RETURNS SETOF integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 4
	SET search_path = pg_catalog, pg_temp AS $$
SELECT generate_series(0, (epochs -> 0 ->> 'concurrency')::integer * 4 - 1)
$$;
COMMENT ON FUNCTION event_engine.epoch_lanes(jsonb) IS
	'The lanes of the present epoch of a subscription.';

/*
 * stat_subscriptions
 *
 *	delivered, failed, dead		events, over the life of the subscription;
 *				failed counts attempts
 *	pending, parked, leased		events that are retried or delayed, that wait
 *				behind one of the same key, that a pulling client holds
 *	dead_letters	that nobody has decided on
 *	lag			positions of the log not yet looked at: an upper bound of the
 *				events that wait, since they may be of other patterns; it
 *				stays when nothing of the subscription's is among them; of the
 *				lane that is furthest behind
 *	last_error	of the latest failure that is still to be retried
 *	moved_at	when the subscription last got on in the log
 *	delivered_rate, failed_rate		per second, over about the last minute
 *	latency_p50, latency_p95, latency_p99	milliseconds from the arrival of an
 *				event to its delivery, over the last five to ten minutes; null
 *				where nothing was delivered
 *	breaker		closed | open | half_open; of kind handler
 *	breaker_retry_at	when an attempt is made again
 *
 * The rates and latencies are known where the library was preloaded.
 */
CREATE VIEW event_engine.stat_subscriptions AS
	SELECT s.subscriber, s.kind, s.status, s.status_reason, s.owner,
		c.delivered + COALESCE(n.delivered, 0) AS delivered,
		c.failed + COALESCE(n.failed, 0) AS failed,
		c.dead + COALESCE(n.dead, 0) AS dead,
		COALESCE(d.pending, 0) AS pending,
		COALESCE(d.parked, 0) AS parked,
		COALESCE(d.leased, 0) + COALESCE(l.leased, 0) AS leased,
		COALESCE(x.dead_letters, 0) AS dead_letters,
		CASE WHEN (s.options -> 'immediate')::boolean THEN 0
			ELSE GREATEST(p.last - c.seq, 0) END AS lag,
		d.next_attempt_at, d.last_error, c.moved_at,
		COALESCE(r.delivered_rate, 0) AS delivered_rate,
		COALESCE(r.failed_rate, 0) AS failed_rate,
		r.latency_p50, r.latency_p95, r.latency_p99,
		CASE WHEN s.kind = 'handler' THEN COALESCE(r.breaker, 'closed') END
			AS breaker,
		r.breaker_retry_at
	FROM event_engine.subscriptions AS s
	CROSS JOIN (SELECT CASE WHEN q.is_called THEN q.last_value
			ELSE q.last_value - 1 END AS last
		FROM event_engine.event_seq AS q) AS p
	LEFT JOIN event_engine.subscription_cursors AS o
		ON o.subscription_number = s.number AND o.lane = s.epoch * 1024 + 1023
	CROSS JOIN LATERAL (
		SELECT o.delivered + COALESCE(sum(m.delivered), 0)::bigint AS delivered,
			o.failed + COALESCE(sum(m.failed), 0)::bigint AS failed,
			o.dead + COALESCE(sum(m.dead), 0)::bigint AS dead,
			-- urgent and low events are few: their idle lanes stay behind
			min(CASE WHEN m.move IS NULL THEN o.low_seq
				WHEN m.high_seq IS NULL THEN m.low_seq
				ELSE GREATEST(m.low_seq, LEAST(m.seq, m.high_seq)) END)
				FILTER (WHERE l.lane % 4 = 2) AS seq,
			GREATEST(o.moved_at, max(m.moved_at)) AS moved_at
		FROM event_engine.epoch_lanes(s.epochs) AS l (lane)
		LEFT JOIN LATERAL (
			(SELECT a.move, a.low_seq, a.high_seq, a.seq, a.delivered,
				a.failed, a.dead, a.moved_at
			FROM event_engine.subscription_cursor_moves AS a
			WHERE a.subscription_number = s.number
				AND a.lane = s.epoch * 1024 + l.lane
			ORDER BY a.move DESC LIMIT 1)
			UNION ALL
			(SELECT g.move, g.low_seq, g.high_seq, g.seq, g.delivered,
				g.failed, g.dead, g.moved_at
			FROM event_engine.subscription_cursors AS g
			WHERE g.subscription_number = s.number
				AND g.lane = s.epoch * 1024 + l.lane)
			ORDER BY move DESC LIMIT 1) AS m ON true) AS c
	LEFT JOIN (
		SELECT o.subscription_number, sum(o.delivered)::bigint AS delivered,
			sum(o.failed)::bigint AS failed, sum(o.dead)::bigint AS dead
		FROM event_engine.delivery_counts AS o
		GROUP BY o.subscription_number) AS n ON n.subscription_number = s.number
	LEFT JOIN (
		SELECT e.subscription_number,
			count(*) FILTER (WHERE e.status IN ('retry', 'delayed')) AS pending,
			count(*) FILTER (WHERE e.status = 'parked') AS parked,
			count(*) FILTER (WHERE e.status = 'leased') AS leased,
			min(e.next_attempt_at) FILTER (WHERE e.status IN ('retry', 'delayed'))
				AS next_attempt_at,
			(array_agg(e.last_error ORDER BY e.updated_at DESC)
				FILTER (WHERE e.last_error IS NOT NULL))[1] AS last_error
		FROM event_engine.deliveries AS e
		GROUP BY e.subscription_number) AS d ON d.subscription_number = s.number
	LEFT JOIN (
		SELECT h.subscription_number,
			sum(cardinality(h.seqs))::bigint AS leased
		FROM event_engine.event_leases AS h
		GROUP BY h.subscription_number) AS l ON l.subscription_number = s.number
	LEFT JOIN (
		SELECT t.subscriber, count(*) AS dead_letters
		FROM event_engine.event_dead_letters AS t
		WHERE t.status = 'dead'
		GROUP BY t.subscriber) AS x ON x.subscriber = s.subscriber
	CROSS JOIN LATERAL event_engine.subscription_counters(s.number, s.id) AS r;
COMMENT ON VIEW event_engine.stat_subscriptions IS
	'How each subscription is getting on: delivered, failed, waiting, lag.';

/*
 * stat_partitions
 *
 *	lower, upper	of created_at; null for the default partition
 *	events			an estimate, as of the latest ANALYZE or vacuum
 *	size			with indexes and TOAST, in bytes
 *	sealed_at		since when it takes no event
 *	min_seq, max_seq	of a sealed one
 */
CREATE VIEW event_engine.stat_partitions AS
	SELECT c.oid::regclass AS partition, p.lower, p.upper,
		NULLIF(c.reltuples, -1)::bigint AS events,
		pg_catalog.pg_total_relation_size(c.oid) AS size,
		p.sealed_at, p.min_seq, p.max_seq
	FROM pg_catalog.pg_inherits AS i
	JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
	LEFT JOIN event_engine.event_partitions AS p ON p.relid = c.oid
	WHERE i.inhparent = 'event_engine.events'::regclass;
COMMENT ON VIEW event_engine.stat_partitions IS
	'The partitions of the log: bounds, size, state.';

CREATE FUNCTION event_engine.queue_pressure(OUT pressure text,
		OUT depth bigint)
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'ee_sql_queue_pressure';
COMMENT ON FUNCTION event_engine.queue_pressure() IS
	'How many events wait for the slowest subscription, and whether that is none, high or full for publishers; known where event_engine.store_max_queue_depth or store_high_watermark is set.';

/*
 * health: is it working?
 *
 *	status		healthy
 *				degraded: something waits for an operator (dead letters, broken
 *				subscriptions)
 *				unhealthy: nothing is being delivered, or by nobody
 *	problems	each in a sentence
 */
CREATE FUNCTION event_engine.health() RETURNS jsonb
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	problems text[] := '{}';
	severe boolean := false;
	workers record;
	totals record;
	registry record;
	queue record;
	stranded bigint;
BEGIN
	SELECT count(*) FILTER (WHERE w.kind = 'launcher') AS launcher,
			count(*) FILTER (WHERE w.kind = 'router' AND w.state <> 'starting'
				AND w.database = current_database()) AS router,
			count(*) FILTER (WHERE w.kind = 'executor'
				AND w.database = current_database()) AS executors,
			count(*) FILTER (WHERE w.kind = 'executor' AND w.state = 'busy'
				AND w.database = current_database()) AS busy
		INTO workers FROM event_engine.stat_workers AS w;
	SELECT count(*) AS subscriptions,
			count(*) FILTER (WHERE s.status = 'active') AS active,
			count(*) FILTER (WHERE s.status = 'paused') AS paused,
			count(*) FILTER (WHERE s.status = 'broken') AS broken,
			count(*) FILTER (WHERE s.kind <> 'pull') AS worked,
			count(*) FILTER (WHERE s.kind = 'handler') AS handlers,
			count(*) FILTER (WHERE s.breaker <> 'closed'
				AND s.status = 'active') AS open,
			COALESCE(sum(s.delivered), 0) AS delivered,
			COALESCE(sum(s.failed), 0) AS failed,
			COALESCE(sum(s.pending), 0) AS pending,
			max(s.moved_at) AS moved_at
		INTO totals FROM event_engine.stat_subscriptions AS s;
	SELECT count(*) AS definitions INTO registry
		FROM event_engine.event_definitions;
	SELECT count(*) INTO stranded FROM (SELECT FROM event_engine.event_dead_letters
		AS d WHERE d.status = 'dead' LIMIT 100000) AS d;

	IF totals.worked > 0 AND workers.launcher = 0 THEN
		problems := problems || 'No workers: the library is not preloaded; events are delivered by process_batch() only.'::text;
		severe := true;
	ELSIF totals.worked > 0 AND workers.router = 0 THEN
		problems := problems || 'The router of this database is not running.'::text;
		severe := true;
	END IF;
	IF NOT current_setting('event_engine.delivery_enabled', true)::boolean THEN
		problems := problems || 'Delivery is turned off by event_engine.delivery_enabled.'::text;
		severe := true;
	END IF;
	problems := problems || ARRAY(SELECT format('The handler of subscription "%s" has been running for more than 5 s.', a.query)
		FROM event_engine.stat_workers AS w
		JOIN pg_stat_activity AS a ON a.pid = w.pid
		WHERE w.kind = 'executor' AND w.database = current_database()
			AND w.busy_for > interval '5 s'
		ORDER BY a.query);
	IF totals.broken > 0 THEN
		problems := problems || format('%s subscription(s) are broken.', totals.broken);
	END IF;
	SELECT q.* INTO queue FROM event_engine.queue_pressure() AS q;
	IF queue.pressure <> 'none' THEN
		problems := problems || format(CASE queue.pressure
			WHEN 'full' THEN 'The queue is full: %s events or more wait for a subscription.'
			ELSE 'The queue is long: %s events or more wait for a subscription.' END,
			queue.depth);
	END IF;
	IF totals.open > 0 THEN
		problems := problems || format('The circuit breaker of %s subscription(s) is open: their handlers fail.', totals.open);
	END IF;
	IF stranded > 0 THEN
		problems := problems || format('%s dead letter(s) wait for a decision.', stranded);
	END IF;
	RETURN jsonb_build_object(
		'status', CASE WHEN severe THEN 'unhealthy'
			WHEN problems <> '{}' THEN 'degraded' ELSE 'healthy' END,
		'service', 'event_engine',
		'version', (SELECT e.extversion FROM pg_extension AS e
			WHERE e.extname = 'event_engine'),
		'timestamp', clock_timestamp(),
		'uptime', extract(epoch FROM date_trunc('seconds',
			clock_timestamp() - pg_postmaster_start_time()))::bigint,
		'problems', problems,
		'stats', jsonb_build_object(
			'totalProcessed', totals.delivered + totals.failed,
			'successCount', totals.delivered,
			'errorCount', totals.failed,
			'pendingCount', totals.pending,
			'deadLetterCount', stranded,
			'lastProcessedAt', totals.moved_at),
		'config', jsonb_build_object(
			'enabled', current_setting('event_engine.delivery_enabled')::boolean,
			'pollingInterval', current_setting('event_engine.delivery_poll_interval'),
			'payloadLimit', current_setting('event_engine.store_max_payload'),
			'maxQueueDepth', current_setting('event_engine.store_max_queue_depth')::integer,
			'highWatermark', current_setting('event_engine.store_high_watermark')::integer,
			'backpressure', current_setting('event_engine.store_backpressure'),
			'retention', current_setting('event_engine.operations_retention')),
		'workers', jsonb_build_object(
			'launcher', workers.launcher > 0,
			'router', workers.router > 0,
			'executors', workers.executors,
			'busy', workers.busy),
		'registry', jsonb_build_object(
			'eventTypes', registry.definitions,
			'totalHandlers', totals.handlers,
			'subscriptions', totals.subscriptions,
			'active', totals.active,
			'paused', totals.paused,
			'broken', totals.broken));
END
$$;
COMMENT ON FUNCTION event_engine.health() IS
	'Is it working? Status healthy, degraded or unhealthy, the problems, and figures.';
/* ------------------------------------------------------------------------
 * Operations: who may do what.
 *
 * Roles belong to the cluster, so the extension makes none: a duty is a set
 * of privileges that grant_duty() gives to a role of yours.  90_privileges.sql
 * leaves PUBLIC with what is said there.
 * ------------------------------------------------------------------------ */

/*
 * duties: what each duty consists of.
 *
 *	publisher	publishes, by function, INSERT and COPY, and by capturing the
 *				tables that it owns
 *	subscriber	subscribes, pulls, delivers to its own subscriptions
 *	reader		sees everything, changes nothing
 *	operator	defines events, does the upkeep, decides on dead letters
 */
CREATE VIEW event_engine.duties AS
	SELECT d.duty, 'EXECUTE' AS privilege,
		CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind,
		p.oid::regprocedure::text AS object, p.oid, p.proacl AS acl
	FROM (VALUES
		('publisher', '{publish_event,publish_events,validate_event,
			get_event_definition,list_event_definitions,capture_changes,
			stop_capturing,query_event,await_reply,reply_event,
			query_responder}'::text[]),
		('subscriber', '{subscribe,find_handler,update_subscription,
			unsubscribe,pause_subscription,resume_subscription,drain_subscription,
			seek_subscription,receive_events,await_events,ack_events,
			nack_events,extend_events,process_batch,redrive_dead_letters,
			discard_dead_letters,event_envelope,pattern_subscribers,
			get_event_definition,list_event_definitions}'),
		('reader', '{get_event,list_events,trace_events,event_counts,
			event_time,expand_pattern,event_matches,event_envelope,
			explain_match,match_event,pattern_subscribers,event_subscribers,test_filter,
			subscription_match,validate_event,get_event_definition,
			list_event_definitions,worker_slots,subscription_counters,
			queue_pressure,pattern_counters,epoch_lanes,
			retention_of,partition_needed_by,
			passed_event,delivery_state,subscription_backlog,event_deliveries,duties_of,health,
			metrics,doctor,library_version}'),
		('operator', '{retention_of,partition_needed_by,register_event_definition,update_event_definition,
			register_schema,schema_compatibility,
			add_event_rule,remove_event_rule,
			list_event_rules,get_event_definition,list_event_definitions,
			validate_event,run_maintenance,set_retention,reset_retention,
			expire_partition,redrive_dead_letters,
			discard_dead_letters,replay_events,process_event}'),
		('operator', '{delete_workflows}'),
		('publisher', '{start_workflow}'),
		('subscriber', '{start_workflow,register_workflow,update_workflow,
			deprecate_workflow,find_workflow_handler,named_workflow_handler,
			cancel_workflow,resume_workflow,move_workflow,
			register_workflow_wait,cancel_workflow_wait,sleep_workflow,
			set_workflow_state,complete_workflow,fail_workflow,get_workflow,
			list_workflows,list_workflow_definitions,delete_workflows,create_workflow_trigger,
			update_workflow_trigger,drop_workflow_trigger,
			list_workflow_triggers,retry_trigger_failures,
			discard_trigger_failures,compensate_with,start_child_workflow}'),
		('reader', '{list_workflow_triggers,get_workflow,list_workflows,list_workflow_definitions,
			workflow_options}'),
		-- one event at a time, and for tests
		('subscriber', '{register_query_responder,remove_query_responder}'),
		('reader', '{list_replies,event_subscriptions,trace_deliveries,
			trace_nodes}'),
		('subscriber', '{process_event,run_pending,make_due,
			lock_deliveries,wait_for_delivery,undelivered_event,
			replay_events,cancel_replay}'),
		('reader', '{assert_published,wait_for_event,first_published,
			schedule_times,next_schedule_time,list_event_schedules}'),
		('publisher', '{schedule_event,pause_event_schedule,
			resume_event_schedule,unschedule_event,run_event_schedule,
			list_event_schedules,own_schedule,store_schedule,
			activate_schedule,remove_schedule,claim_schedule,note_schedule,
			check_scheduler,set_schedule_job,schedule_of_job,
			schedule_times,next_schedule_time}')
		) AS d (duty, names)
	JOIN pg_catalog.pg_proc AS p ON p.proname = ANY (d.names)
		AND p.pronamespace = 'event_engine'::regnamespace
	UNION ALL
	SELECT d.duty, d.privilege, 'TABLE', c.oid::regclass::text, c.oid, c.relacl
	FROM (VALUES
		('publisher', 'INSERT', '{events}'::text[]),
		('reader', 'SELECT', '{events,event_definitions,
			event_definition_versions,event_schemas,event_rules,event_dead_letters,
			event_processing_log,deliveries,held_up_keys,event_schedules,event_replays,stat_replays,subscription_list,captured_tables,
			duties,stat_subscriptions,stat_definitions,stat_sources,stat_backlog,
			subscriptions,event_leases,event_responders,stat_workers,
			stat_partitions,stat_retention,event_retention,event_maintenance,
			event_partitions,workflow_definitions,workflow_instances,
			workflow_steps,workflow_waits,workflow_event_triggers,
			workflow_trigger_failures,workflow_compensations}'),
		('operator', 'SELECT', '{event_dead_letters,duties,stat_retention,
			event_retention,event_maintenance}')
		) AS d (duty, privilege, names)
	JOIN pg_catalog.pg_class AS c ON c.relname = ANY (d.names)
		AND c.relnamespace = 'event_engine'::regnamespace;
COMMENT ON VIEW event_engine.duties IS
	'What each duty (publisher, subscriber, reader, operator) consists of.';

CREATE FUNCTION event_engine.check_duty(duty text, grantee regrole)
	RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF grantee IS NULL OR grantee = 0::oid THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'role must be one, and not null';
	END IF;
	IF duty IS NULL OR duty NOT IN
		('publisher', 'subscriber', 'reader', 'operator') THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unknown duty %s',
				COALESCE('"' || duty || '"', 'null')),
			HINT = 'A duty is one of publisher, subscriber, reader, operator.';
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_duty(text, regrole) IS
	'Internal: raises unless there is such a duty.';

/* Duties of which a role has been given all. */
CREATE FUNCTION event_engine.duties_of(grantee regrole) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT COALESCE(array_agg(g.duty ORDER BY g.duty), '{}')
FROM (SELECT d.duty FROM event_engine.duties AS d
	GROUP BY d.duty
	HAVING bool_and(EXISTS (SELECT FROM aclexplode(d.acl) AS a
		WHERE a.grantee = duties_of.grantee::oid
			AND a.privilege_type = d.privilege))) AS g
$$;
COMMENT ON FUNCTION event_engine.duties_of(regrole) IS
	'The duties that a role has been given.';

/*
 * grant_duty: give a role what a duty needs.  To be run by the extension's
 * owner or a superuser, again after an update of the extension.
 */
CREATE PROCEDURE event_engine.grant_duty(duty text, role regrole)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	needed record;
BEGIN
	PERFORM event_engine.check_duty(duty, role);
	FOR needed IN
		SELECT d.privilege, d.kind, d.object FROM event_engine.duties AS d
		WHERE d.duty = grant_duty.duty
	LOOP
		EXECUTE format('GRANT %s ON %s %s TO %s', needed.privilege,
			needed.kind, needed.object, role);
	END LOOP;
END
$$;
COMMENT ON PROCEDURE event_engine.grant_duty(text, regrole) IS
	'Gives a role what the duty publisher, subscriber, reader or operator needs.';

/* revoke_duty: take it back, but for what the role's other duties need. */
CREATE PROCEDURE event_engine.revoke_duty(duty text, role regrole)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kept CONSTANT text[] := array_remove(event_engine.duties_of(role), duty);
	needed record;
BEGIN
	PERFORM event_engine.check_duty(duty, role);
	FOR needed IN
		SELECT d.privilege, d.kind, d.object FROM event_engine.duties AS d
		WHERE d.duty = revoke_duty.duty
			AND NOT EXISTS (SELECT FROM event_engine.duties AS o
				WHERE o.duty = ANY (kept) AND o.oid = d.oid
					AND o.privilege = d.privilege)
	LOOP
		EXECUTE format('REVOKE %s ON %s %s FROM %s', needed.privilege,
			needed.kind, needed.object, role);
	END LOOP;
END
$$;
COMMENT ON PROCEDURE event_engine.revoke_duty(text, regrole) IS
	'Takes a duty back from a role, but for what its other duties need.';
/* ------------------------------------------------------------------------
 * Operations: figures by pattern and by source, from shared memory.  They
 * count since the server was started, and only where it has preloaded the
 * library.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.pattern_counters(pattern text,
		OUT source_type text, OUT published_at timestamptz,
		OUT published bigint, OUT refused bigint, OUT delivered bigint,
		OUT failed bigint, OUT dead bigint,
		OUT published_rate float8, OUT refused_rate float8,
		OUT delivered_rate float8, OUT failed_rate float8,
		OUT dead_rate float8)
	RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 4
	AS 'MODULE_PATHNAME', 'ee_sql_pattern_counters';
COMMENT ON FUNCTION event_engine.pattern_counters(text) IS
	'What became of the events of a pattern since the server was started, by kind of source.';

/*
 * stat_sources: by pattern and kind of source
 *
 *	source_type		workflow | task | integration | external
 *	published		events whose transaction committed
 *	refused			events that were not valid
 *	delivered, failed, dead		deliveries to handlers and bells, failed
 *					attempts, dead letters; one event may have several
 *	..._rate		per second, over about the last minute
 *	error_rate		share of the attempts that failed, over about the last
 *					minute; null where there was none
 */
CREATE VIEW event_engine.stat_sources AS
	SELECT d.pattern, c.source_type, c.published, c.refused, c.delivered,
		c.failed, c.dead, c.published_rate, c.delivered_rate,
		c.failed_rate / NULLIF(c.delivered_rate + c.failed_rate, 0)
			AS error_rate
	FROM event_engine.event_definitions AS d
	CROSS JOIN LATERAL event_engine.pattern_counters(d.pattern) AS c;
COMMENT ON VIEW event_engine.stat_sources IS
	'What became of the events of each pattern and kind of source since the server was started.';

/*
 * stat_definitions: by pattern; the columns of stat_sources, and
 *
 *	subscriptions	how many want its events, by the name alone
 *	last_published_at	since the server was started
 */
CREATE VIEW event_engine.stat_definitions AS
	SELECT d.pattern, d.event_id, d.version, d.status,
		(SELECT count(*)
			FROM event_engine.pattern_subscribers(d.pattern)) AS subscriptions,
		COALESCE(c.published, 0) AS published,
		COALESCE(c.refused, 0) AS refused,
		COALESCE(c.delivered, 0) AS delivered,
		COALESCE(c.failed, 0) AS failed,
		COALESCE(c.dead, 0) AS dead,
		COALESCE(c.published_rate, 0) AS published_rate,
		COALESCE(c.delivered_rate, 0) AS delivered_rate,
		c.failed_rate / NULLIF(c.delivered_rate + c.failed_rate, 0)
			AS error_rate,
		c.published_at AS last_published_at
	FROM event_engine.event_definitions AS d
	LEFT JOIN LATERAL (
		SELECT max(s.published_at) AS published_at,
			sum(s.published)::bigint AS published,
			sum(s.refused)::bigint AS refused,
			sum(s.delivered)::bigint AS delivered,
			sum(s.failed)::bigint AS failed, sum(s.dead)::bigint AS dead,
			sum(s.published_rate) AS published_rate,
			sum(s.delivered_rate) AS delivered_rate,
			sum(s.failed_rate) AS failed_rate
		FROM event_engine.pattern_counters(d.pattern) AS s) AS c ON true;
COMMENT ON VIEW event_engine.stat_definitions IS
	'What became of the events of each definition since the server was started.';
/* ------------------------------------------------------------------------
 * Operations: metrics for Prometheus, and whatever reads its format.
 * ------------------------------------------------------------------------ */

/*
 * metric_sample: a line of the text exposition format.
 *
 *	labels		name, value, name, value, ...
 *	value		null gives no line
 */
CREATE FUNCTION event_engine.metric_sample(name text, labels text[],
		value float8)
	RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_metric_sample';
COMMENT ON FUNCTION event_engine.metric_sample(text, text[], float8) IS
	'Internal: a line of the text format of Prometheus.';

/* The upper bounds, in seconds, of subscription_counters.latency_buckets. */
CREATE FUNCTION event_engine.latency_bounds() RETURNS float8[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
SELECT array_agg((1 << n) / 1e6 ORDER BY n) || '{Infinity}'::float8[]
FROM generate_series(8, 26, 2) AS n
$$;
COMMENT ON FUNCTION event_engine.latency_bounds() IS
	'Internal: upper bounds of the buckets of latencies, in seconds.';

/*
 * metric_lines: the samples of a family that have these labels, and one more,
 * with a value each.
 *
 *	label, texts	that one more, and its texts; null where there is none
 */
CREATE FUNCTION event_engine.metric_lines(name text, labels text[],
		label text, texts text[], "values" float8[])
	RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
SELECT string_agg(event_engine.metric_sample(name,
	labels || CASE WHEN label IS NOT NULL THEN ARRAY[label, u.text] END,
	u.value), '' ORDER BY u.place)
FROM unnest("values", texts) WITH ORDINALITY AS u (value, text, place)
$$;
COMMENT ON FUNCTION event_engine.metric_lines(text, text[], text, text[], float8[]) IS
	'Internal: lines of the text format of Prometheus that differ in one label.';

/*
 * metrics: all figures of this database in the text exposition format of
 * Prometheus (version 0.0.4).  One metric stands for one column of a
 * statistics view.  Cheap enough to be read every second; what is counted in
 * shared memory starts anew with the server, as a counter may.
 *
 * Each view gives rows of the same shape: a family with its number n, which
 * says where it stands, and lines of it, which stand in order of their labels.
 */
CREATE FUNCTION event_engine.metrics() RETURNS text
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off AS $$
DECLARE
	bounds CONSTANT float8[] := event_engine.latency_bounds();
	health CONSTANT jsonb := event_engine.health();
BEGIN
	RETURN (
	SELECT string_agg(format(E'# HELP %1$s %2$s\n# TYPE %1$s %3$s\n%4$s', f.family,
		f.help, f.type, f.lines), '' ORDER BY f.n)
	FROM (
	SELECT g.n, g.family, g.type, g.help,
		string_agg(g.lines, '' ORDER BY g.labels) AS lines
	FROM (
	SELECT m.n, m.family, 'gauge' AS type, m.help, '{}'::text[] AS labels,
		event_engine.metric_lines(m.family, NULL, m.label, m.texts, m.values) AS lines
	FROM (VALUES
		(1, 'event_engine_info', 'Version of the extension.',
			'version', ARRAY[health ->> 'version'], '{1}'::float8[]),
		(2, 'event_engine_health',
			'1 for the present state of the engine, 0 for the others.',
			'status', '{degraded,healthy,unhealthy}',
			ARRAY[(health ->> 'status' = 'degraded')::integer,
				(health ->> 'status' = 'healthy')::integer,
				(health ->> 'status' = 'unhealthy')::integer])
		) AS m (n, family, help, label, texts, "values")
	UNION ALL
	SELECT m.n, m.family, 'counter', m.help, l.labels,
		event_engine.metric_lines(m.family, l.labels, m.label, m.texts, m.values)
	FROM event_engine.stat_sources AS s
	CROSS JOIN LATERAL (SELECT ARRAY['pattern', s.pattern,
		'source_type', s.source_type]) AS l (labels)
	CROSS JOIN LATERAL (VALUES
		(10, 'event_engine_events_published_total',
			'Events whose transaction committed, since the server was started.',
			NULL, NULL::text[], ARRAY[s.published]::float8[]),
		(11, 'event_engine_events_refused_total',
			'Events that were not valid, since the server was started.',
			NULL, NULL, ARRAY[s.refused]),
		(12, 'event_engine_deliveries_total',
			'Deliveries by outcome, since the server was started.',
			'outcome', '{delivered,failed,dead}',
			ARRAY[s.delivered, s.failed, s.dead])
		) AS m (n, family, help, label, texts, "values")
	UNION ALL
	SELECT m.n, m.family, m.type, m.help, l.labels,
		event_engine.metric_lines(m.family, l.labels, m.label, m.texts, m.values)
	FROM event_engine.stat_subscriptions AS s
	CROSS JOIN LATERAL (SELECT ARRAY['subscriber', s.subscriber]) AS l (labels)
	CROSS JOIN LATERAL (VALUES
		(20, 'event_engine_subscription_delivered_total', 'counter',
			'Events delivered, over the life of the subscription.',
			NULL, NULL::text[], ARRAY[s.delivered]::float8[]),
		(21, 'event_engine_subscription_failed_total', 'counter',
			'Attempts that failed, over the life of the subscription.',
			NULL, NULL, ARRAY[s.failed]),
		(22, 'event_engine_subscription_dead_total', 'counter',
			'Events given up, over the life of the subscription.',
			NULL, NULL, ARRAY[s.dead]),
		(23, 'event_engine_subscription_active', 'gauge',
			'1 while the subscription is active, 0 when it is paused or broken.',
			NULL, NULL, ARRAY[(s.status = 'active')::integer]),
		(24, 'event_engine_subscription_waiting_events', 'gauge',
			'Events that are retried or delayed (pending), parked behind one of their key, or leased.',
			'state', '{pending,parked,leased}',
			ARRAY[s.pending, s.parked, s.leased]),
		(25, 'event_engine_subscription_lag_positions', 'gauge',
			'Positions of the log behind the cursor of the subscription.',
			NULL, NULL, ARRAY[s.lag]),
		(26, 'event_engine_subscription_dead_letters', 'gauge',
			'Dead letters that nobody has decided on.',
			NULL, NULL, ARRAY[s.dead_letters])
		) AS m (n, family, type, help, label, texts, "values")
	UNION ALL
	SELECT 30, m.family, 'gauge',
		'Age of the oldest event in the log that the subscription has yet to take; 0 where there is none.',
		l.labels, event_engine.metric_sample(m.family, l.labels,
			COALESCE(extract(epoch FROM clock_timestamp() - b.oldest_at), 0)::float8)
	FROM (VALUES ('event_engine_subscription_oldest_age_seconds')) AS m (family)
	CROSS JOIN event_engine.subscriptions AS s
	CROSS JOIN LATERAL (SELECT ARRAY['subscriber', s.subscriber]) AS l (labels)
	CROSS JOIN LATERAL event_engine.subscription_backlog(s.number, 1) AS b
	UNION ALL
	SELECT 31, m.family, 'histogram',
		'Time from the arrival of an event to its delivery.',
		l.labels, event_engine.metric_lines(m.family || '_bucket', l.labels,
				'le', replace(bounds::text, 'Infinity', '+Inf')::text[],
				c.latency_buckets)
			|| event_engine.metric_sample(m.family || '_sum', l.labels,
				c.latency_sum)
			|| event_engine.metric_sample(m.family || '_count', l.labels,
				c.latency_buckets[cardinality(bounds)])
	FROM (VALUES ('event_engine_delivery_latency_seconds')) AS m (family)
	CROSS JOIN event_engine.subscriptions AS s
	CROSS JOIN LATERAL (SELECT ARRAY['subscriber', s.subscriber]) AS l (labels)
	CROSS JOIN LATERAL event_engine.subscription_counters(s.number, s.id) AS c
	UNION ALL
	SELECT 40, m.family, 'gauge',
		'Processes of this database by kind and state; the launcher is the server''s.',
		l.labels, event_engine.metric_sample(m.family, l.labels, count(*))
	FROM (VALUES ('event_engine_workers')) AS m (family)
	CROSS JOIN event_engine.stat_workers AS w
	CROSS JOIN LATERAL (SELECT ARRAY['kind', w.kind, 'state', w.state]) AS l (labels)
	WHERE w.database IS NULL OR w.database = current_database()
	GROUP BY m.family, l.labels
	UNION ALL
	SELECT m.n, m.family, 'gauge', m.help, '{}',
		event_engine.metric_sample(m.family, NULL, m.value)
	FROM (SELECT count(*) AS partitions, COALESCE(sum(p.size), 0) AS bytes
		FROM event_engine.stat_partitions AS p) AS p
	CROSS JOIN LATERAL (VALUES
		(50, 'event_engine_partitions', 'Partitions of the log.',
			p.partitions::float8),
		(51, 'event_engine_log_bytes', 'Size of the log with its indexes.',
			p.bytes)
		) AS m (n, family, help, value)
	) AS g
	GROUP BY g.n, g.family, g.type, g.help) AS f);
END
$$;
COMMENT ON FUNCTION event_engine.metrics() IS
	'All figures of this database in the text format of Prometheus.';
/* ------------------------------------------------------------------------
 * Operations: where an event is, and what waits.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.subscription_backlog(subscription_number integer,
		max_events bigint, OUT events bigint, OUT oldest_at timestamptz,
		OUT complete boolean)
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_subscription_backlog';
COMMENT ON FUNCTION event_engine.subscription_backlog(integer, bigint) IS
	'The events of a subscription that its cursors have yet to pass, up to so many in each lane.';

/*
 * stat_backlog: what waits for each subscription, going by its filters.
 *
 *	events		in the log, not yet taken from it; exactly up to 10,000 a lane
 *				(complete says whether that was all), apart from those that are
 *				retried, delayed, parked or leased
 *	oldest_at	arrival of the oldest of these and those; null: nothing waits
 *	age			of that one
 */
CREATE VIEW event_engine.stat_backlog AS
	SELECT s.subscriber, b.events, b.complete,
		LEAST(b.oldest_at, d.oldest_at, l.oldest_at) AS oldest_at,
		pg_catalog.clock_timestamp() - LEAST(b.oldest_at, d.oldest_at,
			l.oldest_at) AS age
	FROM event_engine.subscriptions AS s
	CROSS JOIN LATERAL event_engine.subscription_backlog(s.number, 10000) AS b
	LEFT JOIN LATERAL (
		SELECT min((e.event).created_at) AS oldest_at
		FROM event_engine.deliveries AS e
		WHERE e.subscription_number = s.number) AS d ON true
	LEFT JOIN LATERAL (
		SELECT min(h.first_at) AS oldest_at
		FROM event_engine.event_leases AS h
		WHERE h.subscription_number = s.number) AS l ON true;
COMMENT ON VIEW event_engine.stat_backlog IS
	'How many events wait for each subscription, and since when.';

/*
 * event_deliveries: where is this event, for each subscription that it
 * concerns?
 *
 *	state		pending		not yet taken from the log
 *				delayed		not due before next_attempt_at
 *				retrying	failed, and due again at next_attempt_at
 *				parked		behind a failing one of the same key
 *				halted		given up, and its key stands still until a person
 *							has decided on the dead letter
 *				released	that has been discarded: its key goes on next
 *				leased		handed to a pulling client, until next_attempt_at
 *				delivered	done
 *				dead | redriven | discarded		see event_dead_letters
 *				before		arrived before the subscription did
 *	attempts	made so far, where they were counted
 *	finished_at	when it was delivered, for subscriptions with a processing_log
 */
CREATE FUNCTION event_engine.event_deliveries(id uuid,
		OUT subscriber text, OUT state text, OUT attempts integer,
		OUT next_attempt_at timestamptz, OUT last_error text,
		OUT finished_at timestamptz)
	RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE STRICT ROWS 10
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	given event_engine.event;
BEGIN
	SELECT * INTO given FROM event_engine.get_event(event_deliveries.id);
	IF given.id IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE205',
			MESSAGE = format('unknown event "%s"', event_deliveries.id);
	END IF;
	RETURN QUERY
	SELECT s.subscriber::text,
		CASE WHEN t.state = 'retry' THEN 'retrying'
			WHEN t.state <> 'done' THEN t.state
			WHEN x.status IS NOT NULL THEN x.status
			WHEN p.finished_at IS NULL AND given.created_at < s.created_at
				AND s.options ->> 'start' = 'now' THEN 'before'
			ELSE 'delivered' END,
		COALESCE(t.attempts, x.retry_count, p.attempt),
		t.next_attempt_at,
		COALESCE(t.error, x.error_message),
		p.finished_at
	FROM event_engine.subscriptions AS s
	JOIN event_engine.explain_match(given) AS m ON m.subscriber = s.subscriber
	CROSS JOIN LATERAL event_engine.delivery_state(s, given) AS t
	LEFT JOIN LATERAL (
		SELECT x.status, x.retry_count, x.error_message
		FROM event_engine.event_dead_letters AS x
		WHERE x.subscriber = s.subscriber AND x.seq = given.seq
		ORDER BY x.created_at DESC LIMIT 1) AS x ON true
	LEFT JOIN LATERAL (
		SELECT p.finished_at, p.attempt
		FROM event_engine.event_processing_log AS p
		WHERE p.id = given.id AND p.subscriber = s.subscriber
			AND p.outcome = 'delivered'
		ORDER BY p.finished_at DESC LIMIT 1) AS p ON true
	WHERE m.matches OR t.state NOT IN ('pending', 'done')
		OR x.status IS NOT NULL
	ORDER BY s.subscriber;
END
$$;
COMMENT ON FUNCTION event_engine.event_deliveries(uuid) IS
	'Where an event is, for each subscription that it concerns: pending, delivered, retrying, parked, dead, ...';
/* The workflows of a correlation are found like its events. */
CREATE INDEX workflow_instances_correlation_idx
	ON event_engine.workflow_instances ((metadata ->> 'correlationId'));
/* ------------------------------------------------------------------------
 * Operations: what happened because of what.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.event_subscriptions(event event_engine.event)
	RETURNS SETOF integer
	LANGUAGE c VOLATILE STRICT ROWS 5
	AS 'MODULE_PATHNAME', 'ee_sql_event_subscriptions';
COMMENT ON FUNCTION event_engine.event_subscriptions(event_engine.event) IS
	'The numbers of the subscriptions that want an event; those whose filter raises an error are among them.';

/*
 * What has become of an event for the subscriptions that it concerns, as
 * event_deliveries() tells, made for many events at a time.
 */
CREATE FUNCTION event_engine.trace_deliveries(given event_engine.event)
	RETURNS TABLE (subscriber text, state text, detail text, at timestamptz)
	LANGUAGE sql VOLATILE ROWS 5
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = on
	SET enable_seqscan = off AS $$
SELECT s.subscriber::text,
	CASE WHEN d.status = 'retry' THEN 'retrying'
		WHEN d.status IS NOT NULL THEN d.status
		WHEN l.attempts IS NOT NULL THEN 'leased'
		WHEN x.status IS NOT NULL THEN x.status
		WHEN p.finished_at IS NOT NULL
			OR (s.options -> 'immediate')::boolean THEN 'delivered'
		WHEN NOT event_engine.passed_event(s.number, given) THEN 'pending'
		WHEN s.options ->> 'start' = 'now' AND given.created_at < s.created_at
			THEN 'before'
		ELSE 'delivered' END,
	concat_ws(', ',
		CASE COALESCE(d.attempts, l.attempts, x.retry_count, p.attempt)
			WHEN 0 THEN NULL WHEN 1 THEN '1 attempt'
			ELSE COALESCE(d.attempts, l.attempts, x.retry_count, p.attempt)
				|| ' attempts' END,
		CASE WHEN isfinite(d.next_attempt_at)
				AND d.status IN ('retry', 'delayed')
			THEN 'due at ' || date_trunc('second', d.next_attempt_at) END,
		COALESCE(d.last_error, x.error_message)),
	COALESCE(p.finished_at, d.updated_at, x.created_at)
FROM event_engine.subscriptions AS s
LEFT JOIN event_engine.deliveries AS d
	ON d.subscription_number = s.number AND d.seq = given.seq
LEFT JOIN LATERAL (SELECT l.attempts FROM event_engine.event_leases AS l
	WHERE l.subscription_number = s.number AND given.seq = ANY (l.seqs)
	LIMIT 1) AS l ON true
LEFT JOIN LATERAL (SELECT x.status, x.retry_count, x.error_message, x.created_at
	FROM event_engine.event_dead_letters AS x
	WHERE x.subscriber = s.subscriber AND x.seq = given.seq
	ORDER BY x.created_at DESC LIMIT 1) AS x ON true
LEFT JOIN LATERAL (SELECT p.finished_at, p.attempt
	FROM event_engine.event_processing_log AS p
	WHERE p.id = given.id AND p.subscriber = s.subscriber
		AND p.outcome = 'delivered'
	ORDER BY p.finished_at DESC LIMIT 1) AS p ON true
WHERE s.kind <> 'workflow'
	AND (s.number IN (SELECT w FROM event_engine.event_subscriptions(given) AS w)
		OR d.seq IS NOT NULL OR x.status IS NOT NULL)
ORDER BY s.subscriber
$$;
COMMENT ON FUNCTION event_engine.trace_deliveries(event_engine.event) IS
	'What has become of an event, for each subscription that it concerns, in words.';

/*
 * trace_nodes: what belongs to a correlation, as nodes of a tree.
 *
 *	key, parent		of the node, and of the one that caused it; null: none
 *	the rest		as of trace_events()
 *
 * In the order in which those with the same parent are shown.  The planner
 * cannot know how many there are: nested loops could be loops of thousands
 * within thousands.
 */
CREATE FUNCTION event_engine.trace_nodes(correlation_id text,
		max_events integer, deliveries boolean)
	RETURNS TABLE (key text, parent text, kind text, name text, state text,
		at timestamptz, detail text, id uuid, event_id text, payload jsonb,
		created_by text, seq bigint)
	LANGUAGE sql VOLATILE ROWS 1000
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off AS $$
WITH found AS MATERIALIZED (
	-- by the index on the correlation, not by that on seq
	SELECT f.* FROM (SELECT e.* FROM event_engine.events AS e
		WHERE e.metadata ->> 'correlationId' = correlation_id OFFSET 0) AS f
	ORDER BY f.seq LIMIT max_events
), names AS MATERIALIZED (
	-- all that can be named as a cause
	SELECT DISTINCT ON (n.name) n.name, n.id
	FROM (SELECT f.id::text AS name, f.id FROM found AS f
		UNION ALL
		SELECT f.event_id::text, f.id FROM found AS f
		WHERE f.event_id IS NOT NULL) AS n
	ORDER BY n.name, n.id
), instances AS MATERIALIZED (
	SELECT i.* FROM event_engine.workflow_instances AS i
	WHERE i.metadata ->> 'correlationId' = correlation_id
), steps AS MATERIALIZED (
	SELECT s.* FROM instances AS i
	CROSS JOIN LATERAL (SELECT o.* FROM event_engine.workflow_steps AS o
		WHERE o.instance_id = i.id OFFSET 0) AS s
), published AS MATERIALIZED (
	-- by which step an event was published
	SELECT DISTINCT ON (f.id) f.id,
		format('%s %s %s', s.instance_id, s.step_number, s.attempt) AS step
	FROM found AS f
	JOIN steps AS s ON s.instance_id::text = f.source ->> 'id'
		AND f.created_at BETWEEN s.started_at AND s.finished_at
	WHERE f.source ->> 'type' = 'workflow'
	ORDER BY f.id, s.started_at DESC
), nodes AS (
	-- events, under the step or the workflow that published them, or the
	-- event that caused them
	SELECT f.id::text AS key,
		COALESCE(p.step, w.id::text, c.id::text) AS parent,
		'event' AS kind, f.pattern::text AS name, NULL AS state,
		f.created_at AS at, NULL AS detail, f.id, f.event_id::text, f.payload,
		f.created_by, f.seq, 1 AS place
	FROM found AS f
	LEFT JOIN names AS c ON c.name = f.metadata ->> 'causationId'
	LEFT JOIN published AS p ON p.id = f.id
	LEFT JOIN instances AS w ON w.id::text = f.source ->> 'id'
		AND f.source ->> 'type' = 'workflow'
	UNION ALL
	-- deliveries, under their event
	SELECT NULL, f.id::text, 'delivery', d.subscriber, d.state, d.at,
		NULLIF(d.detail, ''), NULL, NULL, NULL, NULL, f.seq, 0
	FROM found AS f
	CROSS JOIN LATERAL event_engine.trace_deliveries(ROW(f.*)::event_engine.event) AS d
	WHERE deliveries
	UNION ALL
	-- workflows, under the one that started them, or the event
	SELECT i.id::text, COALESCE(o.id::text, c.id::text), 'workflow',
		i.workflow::text, i.status, i.created_at,
		concat_ws(', ', 'key ' || i.correlation_key, i.last_error), i.id, NULL,
		i.input, NULL, NULL, 1
	FROM instances AS i
	LEFT JOIN instances AS o ON o.id = i.parent_id
	LEFT JOIN names AS c ON c.name = i.metadata ->> 'causationId'
	UNION ALL
	-- steps, under their workflow
	SELECT format('%s %s %s', s.instance_id, s.step_number, s.attempt),
		s.instance_id::text, 'step', s.step, s.result, s.started_at,
		concat_ws(', ', 'by ' || COALESCE(f.pattern::text, s.wait_name,
				s.resumed_by),
			CASE WHEN s.attempt > 1 THEN 'attempt ' || s.attempt END,
			s.error_message),
		s.event_id, NULL, NULL, NULL, s.event_seq, 0
	FROM steps AS s
	LEFT JOIN found AS f ON f.id = s.event_id
)
SELECT n.key, n.parent, n.kind, n.name, n.state, n.at, n.detail, n.id,
	n.event_id, n.payload, n.created_by, n.seq
FROM nodes AS n
ORDER BY n.place, n.at, n.seq, n.name
$$;
COMMENT ON FUNCTION event_engine.trace_nodes(text, integer, boolean) IS
	'The events, deliveries, workflows and steps of a correlation, each with what caused it.';

/*
 * trace_events: what belongs together, as a tree: what happened because of
 * what.
 *
 *	correlation_id	as in metadata.correlationId
 *	max_events		the first so many
 *	deliveries		show what has become of each event, too
 *
 *	tree			the name, indented; a delivery's with an arrow
 *	state			of a delivery as in event_deliveries(), of a workflow its
 *					status, of a step its result
 *	elapsed			since the first event
 *	detail			attempts and errors, what a step was resumed by
 *	kind			event | delivery | workflow | step
 *	depth			0 for what nothing in the trace has caused
 *	name			pattern, subscriber, workflow, or step
 *	caused_by		id of the event or workflow above it.  An event's cause is the
 *					one that metadata.causationId names by its id or event_id
 *
 * Where events claim to be their own cause, over however many steps, the
 * first of them stands at depth 0.
 */
CREATE FUNCTION event_engine.trace_events(correlation_id text,
		max_events integer DEFAULT 10000, deliveries boolean DEFAULT true)
	RETURNS TABLE (tree text, state text, elapsed interval, detail text,
		kind text, depth integer, name text, at timestamptz, id uuid,
		caused_by uuid, event_id text, payload jsonb, created_by text,
		seq bigint)
	LANGUAGE c VOLATILE STRICT ROWS 100
	AS 'MODULE_PATHNAME', 'ee_sql_trace_events';
COMMENT ON FUNCTION event_engine.trace_events(text, integer, boolean) IS
	'The events of a correlation as a tree of causes, with their deliveries and the workflows that they moved.';
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
 *					events, and belongs to the extension's owner or a superuser
 *	archive_file	they are copied to a file of the server before they go, in
 *					event_engine.operations_archive_directory
 */
CREATE FUNCTION event_engine.set_retention(pattern text, keep_for interval,
		archive_table regclass DEFAULT NULL,
		archive_file boolean DEFAULT false)
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
	END IF;
	IF archive_file
		AND current_setting('event_engine.operations_archive_directory') = '' THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = 'there is no directory for archives of events',
			HINT = 'Set event_engine.operations_archive_directory to one that the server may write to.';
	END IF;
	INSERT INTO event_engine.event_retention AS r
		(pattern, match, keep_for, archive_table, archive_file, set_by)
	VALUES (set_retention.pattern,
		event_engine.subscription_match(ARRAY[set_retention.pattern], NULL),
		set_retention.keep_for, set_retention.archive_table,
		COALESCE(set_retention.archive_file, false), session_user::regrole)
	ON CONFLICT (pattern) DO UPDATE SET keep_for = excluded.keep_for,
		archive_table = excluded.archive_table,
		archive_file = excluded.archive_file, set_by = excluded.set_by,
		set_at = excluded.set_at;
END
$$;
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
 * nobody else may have put triggers on the table.
 */
CREATE FUNCTION event_engine.check_archive(archive_table regclass)
	RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	missing text;
BEGIN
	PERFORM FROM pg_class AS c
	JOIN pg_roles AS r ON r.oid = c.relowner
	WHERE c.oid = archive_table AND c.relkind IN ('r', 'p', 'f')
		AND (r.rolsuper OR c.relowner = (SELECT e.extowner
			FROM pg_extension AS e WHERE e.extname = 'event_engine'));
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('%s cannot be an archive of events', archive_table),
			HINT = 'An archive is a table that belongs to a superuser or to the owner of the extension.';
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
/* ------------------------------------------------------------------------
 * Operations: what is wrong, who causes it, and the cure.
 * ------------------------------------------------------------------------ */

/*
 * finding
 *
 *	severity	critical (nothing works, or soon so), warning (a person is needed),
 *				notice (worth knowing)
 *	code		stable, for programs; docs/doctor.md has each
 *	what		a sentence
 *	who			the process, transaction, slot, subscription, table or setting
 *	since		where that is known
 *	cure		what to do, with statements that can be run
 */
CREATE TYPE event_engine.finding AS (
	severity text,
	code text,
	what text,
	who text,
	since timestamptz,
	cure text
);
COMMENT ON TYPE event_engine.finding IS
	'What doctor() has found: how bad, what, who causes it, since when, the cure.';

CREATE FUNCTION event_engine.library_version() RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_library_version';
COMMENT ON FUNCTION event_engine.library_version() IS
	'Version of the library that this session has loaded.';

/* Processes, versions, settings. */
CREATE FUNCTION event_engine.doctor_server()
	RETURNS SETOF event_engine.finding
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
WITH workers AS (
	SELECT count(*) FILTER (WHERE w.kind = 'launcher') AS launchers,
		count(*) FILTER (WHERE w.kind = 'router') AS routers,
		count(*) FILTER (WHERE w.kind = 'router' AND w.state <> 'starting'
			AND w.database = current_database()) AS mine,
		count(*) FILTER (WHERE w.kind = 'executor') AS executors
	FROM event_engine.stat_workers AS w
), wanted AS (
	SELECT COALESCE(sum(o.executors), 0) AS executors
	FROM (SELECT max(COALESCE((s.options ->> 'concurrency')::integer, 1))
			AS executors
		FROM event_engine.subscriptions AS s
		WHERE s.status = 'active' AND s.kind <> 'pull'
		GROUP BY s.owner) AS o
), settings AS (
	SELECT current_setting('shared_preload_libraries') ~ '\yevent_engine\y'
			AS preloaded,
		current_setting('max_worker_processes')::integer AS processes,
		current_setting('event_engine.worker_slots', true)::integer AS slots,
		current_setting('event_engine.worker_executors_per_role', true)::integer
			AS per_role,
		current_setting('event_engine.operations_retention')::interval AS kept,
		current_setting('event_engine.operations_retention_limit')::interval
			AS kept_at_most,
		current_setting('event_engine.store_max_queue_depth')::integer AS depth,
		current_setting('event_engine.store_high_watermark')::integer AS mark,
		current_setting('event_engine.store_backpressure') AS backpressure,
		current_setting('event_engine.store_partition_period') AS period
)
SELECT CASE WHEN wanted.executors > 0 THEN 'critical' ELSE 'notice' END,
	'not_preloaded',
	'The library is not preloaded: nothing is pushed, and nobody does the upkeep.',
	'shared_preload_libraries = ' || quote_literal(current_setting('shared_preload_libraries')),
	pg_postmaster_start_time(),
	'Add event_engine to shared_preload_libraries and restart, or run event_engine.process_batch() and event_engine.run_maintenance() from pg_cron.'
FROM settings, wanted WHERE NOT settings.preloaded
UNION ALL
SELECT 'critical', 'no_launcher', 'The launcher is not running.',
	'max_worker_processes = ' || settings.processes, NULL,
	'The server starts it again within seconds; if not, look into its log, and increase max_worker_processes.'
FROM settings, workers WHERE settings.preloaded AND workers.launchers = 0
UNION ALL
SELECT 'critical', 'no_router',
	'The router of this database is not running: no executor is started, and nobody does the upkeep.',
	'database ' || quote_ident(current_database()), NULL,
	'Look into the server''s log; increase max_worker_processes if it says that there is no slot.'
FROM settings, workers
WHERE settings.preloaded AND workers.launchers > 0 AND workers.mine = 0
UNION ALL
SELECT 'warning', 'few_worker_processes',
	format('The server has room for %s background workers; event_engine needs %s: a launcher, %s router(s) and, for the subscriptions of this database, %s executor(s).',
		settings.processes, 1 + workers.routers + wanted.executors,
		workers.routers, wanted.executors),
	'max_worker_processes = ' || settings.processes, NULL,
	format('ALTER SYSTEM SET max_worker_processes = %s; then restart. Parallel queries and logical replication take their workers from there too.',
		settings.processes + wanted.executors + 8)
FROM settings, workers, wanted
WHERE settings.preloaded
	AND 1 + workers.routers + wanted.executors > settings.processes
UNION ALL
SELECT 'warning', 'worker_slots_taken',
	format('All %s slots for executors are taken: other roles wait for one to end.',
		settings.slots),
	'event_engine.worker_slots = ' || settings.slots, NULL,
	format('ALTER SYSTEM SET event_engine.worker_slots = %s; then restart.',
		settings.slots * 2)
FROM settings, workers WHERE workers.executors >= settings.slots
UNION ALL
SELECT 'critical', 'version_mismatch',
	format('The library is version %s, the extension in this database %s: its workers stand still.',
		event_engine.library_version(), e.extversion),
	'extension event_engine', NULL,
	'ALTER EXTENSION event_engine UPDATE; or restart the server if the library was upgraded; then reconnect.'
FROM pg_extension AS e
WHERE e.extname = 'event_engine'
	AND e.extversion <> event_engine.library_version()
UNION ALL
SELECT 'critical', 'delivery_disabled', 'Delivery is turned off.',
	'event_engine.delivery_enabled = off', NULL,
	'ALTER SYSTEM RESET event_engine.delivery_enabled; SELECT pg_reload_conf();'
WHERE NOT current_setting('event_engine.delivery_enabled')::boolean
UNION ALL
SELECT 'warning', 'validation_disabled',
	'Payloads are not validated in this session, nor in others with the same settings.',
	'event_engine.validation_enabled = off', NULL,
	'Find who sets it: SELECT * FROM pg_db_role_setting; or ALTER SYSTEM RESET event_engine.validation_enabled; SELECT pg_reload_conf();'
WHERE NOT current_setting('event_engine.validation_enabled')::boolean
UNION ALL
SELECT 'warning', 'fsync_off',
	'A crash of the machine may lose or damage everything.', 'fsync = off',
	NULL, 'ALTER SYSTEM RESET fsync; SELECT pg_reload_conf();'
WHERE NOT current_setting('fsync')::boolean
UNION ALL
SELECT 'warning', 'settings_contradict', c.what, c.who, NULL, c.cure
FROM settings, LATERAL (VALUES
	(settings.kept_at_most > '0' AND settings.kept_at_most < GREATEST(settings.kept,
			(SELECT max(r.keep_for) FROM event_engine.event_retention AS r)),
		'Expired events wait for nobody: the limit is over before they expire.',
		'event_engine.operations_retention_limit = ' || settings.kept_at_most,
		'Set it to more than the longest time that events are kept, or to 0.'),
	(settings.depth > 0 AND settings.mark > settings.depth,
		'The queue is full before it is long.',
		'event_engine.store_high_watermark = ' || settings.mark,
		'Set it below event_engine.store_max_queue_depth, or to 0 for 80 % of that.'),
	(settings.backpressure <> 'off' AND settings.depth = 0 AND settings.mark = 0,
		'Publishers heed a queue that has no limit.',
		'event_engine.store_backpressure = ' || settings.backpressure,
		'Set event_engine.store_max_queue_depth as well.'),
	(settings.per_role > settings.slots,
		'A role may have more executors than there are slots.',
		'event_engine.worker_executors_per_role = ' || settings.per_role,
		'Increase event_engine.worker_slots.'),
	(settings.kept > 1000 * ('1 ' || settings.period)::interval,
		'More than a thousand partitions are kept: planning a query over all of them takes long.',
		'event_engine.store_partition_period = ' || settings.period,
		'Choose a longer period; it holds for partitions made from now on.')
	) AS c (wrong, what, who, cure)
WHERE c.wrong
$$;
COMMENT ON FUNCTION event_engine.doctor_server() IS
	'Does the work of doctor(): processes, versions and settings.';

/* Who keeps others from cleaning up. */
CREATE FUNCTION event_engine.doctor_holders(patience interval)
	RETURNS SETOF event_engine.finding
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
SELECT 'warning', CASE WHEN a.state LIKE 'idle in transaction%'
		THEN 'idle_in_transaction' ELSE 'long_transaction' END,
	format('A transaction has been open for %s%s.',
		date_trunc('second', clock_timestamp() - a.xact_start),
		CASE WHEN EXISTS (SELECT FROM pg_locks AS l
			JOIN pg_inherits AS i ON i.inhrelid = l.relation
			WHERE l.pid = a.pid AND i.inhparent = 'event_engine.events'::regclass)
			THEN ' and uses the log: the partitions that it uses can neither be sealed nor expire'
			ELSE ': vacuum keeps all rows that it might see' END),
	format('process %s, role %I%s%s', a.pid, a.usename,
		', ' || NULLIF(a.application_name, ''), ', from ' || a.client_addr),
	a.xact_start,
	format('SELECT pg_terminate_backend(%s);%s', a.pid,
		CASE WHEN a.state LIKE 'idle in transaction%'
			THEN ' and set idle_in_transaction_session_timeout.' END)
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.backend_type = 'client backend'
	AND a.pid <> pg_backend_pid()
	AND a.xact_start < clock_timestamp() - patience
	AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL
		OR a.state LIKE 'idle in transaction%')
UNION ALL
SELECT CASE WHEN u.uses THEN 'critical' ELSE 'warning' END,
	'prepared_transaction',
	format('A transaction has been prepared for %s and neither committed nor rolled back%s.',
		date_trunc('second', clock_timestamp() - p.prepared),
		CASE WHEN u.uses THEN '; what it has published is not delivered, and its partition never expires'
			ELSE ': vacuum keeps all rows that are younger' END),
	format('prepared transaction %L, role %I', p.gid, p.owner), p.prepared,
	format('COMMIT PREPARED %L; or ROLLBACK PREPARED %1$L; as its transaction manager says.', p.gid)
FROM pg_prepared_xacts AS p
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_locks AS l
	JOIN pg_locks AS t ON t.virtualtransaction = l.virtualtransaction
		AND t.pid IS NULL
	WHERE l.pid IS NULL AND t.transactionid = p.transaction
		AND l.relation = 'event_engine.events'::regclass) AS uses) AS u
WHERE p.database = current_database()
	AND p.prepared < clock_timestamp() - patience
UNION ALL
SELECT CASE WHEN s.wal_status IN ('unreserved', 'lost') THEN 'critical'
		ELSE 'warning' END, 'replication_slot',
	format('Nobody reads from a %s replication slot, which keeps %s of WAL%s.',
		s.slot_type, pg_size_pretty(pg_wal_lsn_diff(CASE
			WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
			ELSE pg_current_wal_lsn() END, s.restart_lsn)),
		CASE WHEN COALESCE(s.xmin, s.catalog_xmin) IS NOT NULL
			THEN ' and old row versions' END),
	format('slot %I', s.slot_name), NULL,
	format('Start its reader, or SELECT pg_drop_replication_slot(%L); and set max_slot_wal_keep_size.', s.slot_name)
FROM pg_replication_slots AS s
WHERE NOT s.active AND NOT s.temporary
	AND (s.restart_lsn IS NOT NULL OR s.xmin IS NOT NULL
		OR s.catalog_xmin IS NOT NULL OR s.wal_status = 'lost')
UNION ALL
SELECT CASE WHEN x.age > 1500000000 THEN 'critical' ELSE 'warning' END,
	'xid_age',
	format('A table has not been frozen for %s transactions; the server stops all writing before 2,147 million.', x.age),
	format('table %s', x.relation), NULL,
	format('End what keeps old rows (see the other findings), then VACUUM (FREEZE) %s;', x.relation)
FROM (SELECT c.oid::regclass AS relation, age(c.relfrozenxid) AS age
	FROM pg_class AS c
	WHERE c.relnamespace = 'event_engine'::regnamespace
		AND c.relkind IN ('r', 't', 'm')
		AND age(c.relfrozenxid) > 1.2 * current_setting('autovacuum_freeze_max_age')::bigint
	ORDER BY age(c.relfrozenxid) DESC LIMIT 1) AS x
$$;
COMMENT ON FUNCTION event_engine.doctor_holders(interval) IS
	'Does the work of doctor(): transactions, slots and tables that hold things up.';

/* Subscriptions. */
CREATE FUNCTION event_engine.doctor_deliveries(patience interval)
	RETURNS SETOF event_engine.finding
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
SELECT f.severity, f.code, f.what, format('subscription %L, role %I%s',
	s.subscriber, s.owner::regrole::text, ', ' || s.handler), f.since, f.cure
FROM event_engine.subscriptions AS s
CROSS JOIN LATERAL (
	SELECT 'critical' AS severity, 'subscription_broken' AS code,
		format('It cannot be delivered: %s.', s.status_reason) AS what,
		s.updated_at AS since,
		format('Mend it (event_engine.update_subscription(%L, handler => ...)), then SELECT event_engine.resume_subscription(%1$L);', s.subscriber) AS cure
	WHERE s.status = 'broken'
	UNION ALL
	SELECT 'notice', 'subscription_paused',
		format('It is paused%s.', ': ' || s.status_reason), s.updated_at,
		format('SELECT event_engine.resume_subscription(%L);', s.subscriber)
	WHERE s.status = 'paused'
	UNION ALL
	SELECT 'warning', 'breaker_open',
		format('Its circuit breaker is %s: the handler fails%s.',
			replace(c.breaker, '_', ' '), (SELECT ', ' || quote_literal(d.last_error)
				FROM event_engine.deliveries AS d
				WHERE d.subscription_number = s.number AND d.last_error IS NOT NULL
				ORDER BY d.updated_at DESC LIMIT 1)),
		c.breaker_since,
		format('Mend what the handler needs; it is tried again by itself, or at once with SELECT event_engine.resume_subscription(%L);', s.subscriber)
	FROM event_engine.subscription_counters(s.number, s.id) AS c
	WHERE s.status = 'active' AND c.breaker <> 'closed'
	UNION ALL
	SELECT 'warning', 'keys_halted',
		format('%s key(s) are held up by an event that was given up; %s event(s) wait behind.',
			h.keys, h.parked), h.since,
		format('SELECT event_engine.redrive_dead_letters(subscriber => %L); or event_engine.discard_dead_letters(subscriber => %1$L);', s.subscriber)
	FROM (SELECT count(*) AS keys, sum(k.parked) AS parked, min(k.since) AS since
		FROM event_engine.held_up_keys AS k
		WHERE k.subscriber = s.subscriber AND k.status = 'halted') AS h
	WHERE h.keys > 0
	UNION ALL
	SELECT 'warning', 'subscription_behind',
		format('Its oldest event has waited for %s.',
			date_trunc('second', clock_timestamp() - b.oldest_at)),
		b.oldest_at,
		CASE s.kind WHEN 'pull' THEN 'See that its clients run.'
			ELSE 'See what its handler does (stat_workers, pg_stat_activity); give it event_engine.event[] or a greater concurrency.' END
	FROM event_engine.subscription_backlog(s.number, 1) AS b
	WHERE s.status = 'active' AND b.oldest_at < clock_timestamp() - patience
	) AS f
UNION ALL
SELECT CASE WHEN d.recent > 0 THEN 'warning' ELSE 'notice' END, 'dead_letters',
	format('%s dead letter(s) wait for a decision, %s of them of the last hour; the latest says %L.',
		d.letters, d.recent, d.latest),
	format('subscription %L', d.subscriber), d.since,
	format('Look at event_engine.event_dead_letters; then SELECT event_engine.redrive_dead_letters(subscriber => %L); or event_engine.discard_dead_letters(subscriber => %1$L);', d.subscriber)
FROM (SELECT x.subscriber, count(*) AS letters,
		count(*) FILTER (WHERE x.created_at > clock_timestamp() - '1 hour'::interval)
			AS recent,
		min(x.created_at) AS since,
		(array_agg(x.error_message ORDER BY x.created_at DESC))[1] AS latest
	FROM event_engine.event_dead_letters AS x
	WHERE x.status = 'dead' GROUP BY x.subscriber) AS d
UNION ALL
SELECT 'warning', 'executor_busy',
	format('An executor has been at work without a pause for %s%s.',
		date_trunc('second', w.busy_for), ': ' || NULLIF(left(a.query, 100), '')),
	format('process %s, role %I', w.pid, w.role),
	clock_timestamp() - w.busy_for,
	format('A handler that hangs is ended by the option timeout_ms of its subscription, or SELECT pg_cancel_backend(%s); a backlog just takes its time.', w.pid)
FROM event_engine.stat_workers AS w
LEFT JOIN pg_stat_activity AS a ON a.pid = w.pid
WHERE w.database = current_database() AND w.busy_for > patience
UNION ALL
SELECT CASE q.pressure WHEN 'full' THEN 'critical' ELSE 'warning' END,
	'queue_' || CASE q.pressure WHEN 'full' THEN 'full' ELSE 'long' END,
	format('%s events or more wait for the slowest subscription%s.', q.depth,
		CASE current_setting('event_engine.store_backpressure')
			WHEN 'off' THEN '' ELSE ', and publishers are held back' END),
	NULL, NULL, 'SELECT * FROM event_engine.stat_backlog ORDER BY age DESC; says whose. Speed it up, or leave it out with its option backpressure.'
FROM event_engine.queue_pressure() AS q WHERE q.pressure <> 'none'
$$;
COMMENT ON FUNCTION event_engine.doctor_deliveries(interval) IS
	'Does the work of doctor(): subscriptions, executors and dead letters.';

/* The log. */
CREATE FUNCTION event_engine.doctor_log(patience interval)
	RETURNS SETOF event_engine.finding
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
SELECT 'critical', 'no_partition',
	'The log has no partition for the present: events go to the default partition.',
	'table event_engine.events',
	(SELECT max(p.upper) FROM event_engine.event_partitions AS p
		WHERE p.upper <= clock_timestamp()),
	'SELECT event_engine.run_maintenance(); and see why the router does not.'
WHERE EXISTS (SELECT FROM event_engine.events)
	AND NOT EXISTS (SELECT FROM event_engine.event_partitions AS p
		JOIN pg_inherits AS i ON i.inhrelid = p.relid
		WHERE p.lower <= clock_timestamp() AND p.upper > clock_timestamp())
UNION ALL
SELECT 'warning', 'no_partition_ahead',
	'The log has no partition for the next period.',
	'table event_engine.events', NULL,
	'SELECT event_engine.run_maintenance(); and see why the router does not.'
FROM event_engine.event_partitions AS p
JOIN pg_inherits AS i ON i.inhrelid = p.relid
WHERE p.lower <= clock_timestamp() AND p.upper > clock_timestamp()
	AND NOT EXISTS (SELECT FROM event_engine.event_partitions AS n
		JOIN pg_inherits AS j ON j.inhrelid = n.relid
		WHERE n.lower = p.upper)
UNION ALL
SELECT 'notice', 'default_partition',
	format('%s event(s) found no partition of their time; they are delivered as all others.', d.events),
	'table event_engine.events_default', d.since,
	'Nothing has to be done: they leave one by one when they expire. Many of them tell that nobody did the upkeep in time.'
FROM (SELECT count(*) AS events, min(e.created_at) AS since
	FROM (SELECT t.created_at FROM event_engine.events_default AS t
		LIMIT 100000) AS e) AS d
WHERE d.events > 0
UNION ALL
SELECT 'warning', 'partition_unsealed',
	'A partition whose time is over cannot be sealed: somebody may yet commit into it.',
	format('table %s%s', p.relid, ', ' || string_agg(DISTINCT COALESCE(
		'process ' || l.pid, 'prepared transaction ' || quote_literal(t.gid)), ', ')),
	p.upper, 'End the transactions named, see their own findings.'
FROM event_engine.event_partitions AS p
JOIN pg_inherits AS i ON i.inhrelid = p.relid
LEFT JOIN pg_locks AS l ON l.relation = p.relid AND l.granted
	AND l.mode = 'RowExclusiveLock'
	AND l.database = (SELECT d.oid FROM pg_database AS d
		WHERE d.datname = current_database())
LEFT JOIN pg_locks AS x ON l.pid IS NULL AND x.pid IS NULL
	AND x.virtualtransaction = l.virtualtransaction
LEFT JOIN pg_prepared_xacts AS t ON t.transaction = x.transactionid
WHERE p.sealed_at IS NULL
	AND p.upper < clock_timestamp() - GREATEST(patience, '2 minutes')
GROUP BY p.relid, p.upper
UNION ALL
SELECT 'warning', 'retention_held',
	format('Expired events of %s partition(s) stay, since somebody has yet to read them.', count(*)),
	r.needed_by, min(r.expires_at),
	'Let it read them; or unsubscribe; or SELECT event_engine.expire_partition(partition, force => true) FROM event_engine.stat_retention WHERE state = ''held'';'
FROM event_engine.stat_retention AS r
WHERE r.state = 'held' AND r.expires_at < clock_timestamp() - patience
GROUP BY r.needed_by
UNION ALL
SELECT 'warning', 'retention_' || m.outcome,
	format('Expired events of partition %I could not go: %s.', m.object, m.detail),
	'table event_engine.' || quote_ident(m.object), min(m.at),
	CASE m.outcome WHEN 'locked' THEN 'Wait for it to end, or end it.'
		ELSE 'Mend that; upkeep tries again each minute.' END
FROM event_engine.event_maintenance AS m
JOIN event_engine.event_partitions AS p
	ON p.relid = to_regclass('event_engine.' || quote_ident(m.object))
WHERE m.outcome IN ('locked', 'failed') AND p.emptied_at IS NULL
	AND p.expires_at <= clock_timestamp()
	AND m.at > clock_timestamp() - '65 minutes'::interval
GROUP BY m.object, m.outcome, m.detail
UNION ALL
SELECT 'warning', 'autovacuum_off',
	'Tables of event_engine are not vacuumed by themselves.', o.who, NULL, o.cure
FROM (SELECT 'autovacuum = off' AS who,
		'ALTER SYSTEM RESET autovacuum; SELECT pg_reload_conf();' AS cure
	WHERE NOT current_setting('autovacuum')::boolean
	UNION ALL
	SELECT 'track_counts = off',
		'ALTER SYSTEM RESET track_counts; SELECT pg_reload_conf();'
	WHERE NOT current_setting('track_counts')::boolean
	UNION ALL
	SELECT format('table %s', c.oid::regclass),
		format('ALTER TABLE %s RESET (autovacuum_enabled);', c.oid::regclass)
	FROM pg_class AS c
	WHERE c.relnamespace = 'event_engine'::regnamespace AND c.relkind IN ('r', 'm')
		AND EXISTS (SELECT FROM unnest(c.reloptions) AS r
			WHERE r ~* '^autovacuum_enabled=(off|false|no|0)$')) AS o
UNION ALL
SELECT 'critical', 'index_invalid',
	'An index is not valid: reading the log raises an error, or is slow.',
	format('index %s', x.indexrelid::regclass), NULL,
	format('REINDEX INDEX CONCURRENTLY %s;', x.indexrelid::regclass)
FROM pg_index AS x
JOIN pg_class AS c ON c.oid = x.indexrelid
WHERE c.relnamespace = 'event_engine'::regnamespace
	AND NOT (x.indisvalid AND x.indisready)
UNION ALL
SELECT 'warning', 'clock_back',
	format('The clock of the server went back: it has noted a time that is %s ahead.',
		date_trunc('second', m.latest - clock_timestamp())),
	'system clock', NULL,
	'Set the clock, and let it be kept by NTP. Events get the time of their partition''s boundary meanwhile, and what is due waits for the time noted.'
FROM (SELECT GREATEST(
		(SELECT max(m.created_at) FROM event_engine.event_milestones AS m),
		(SELECT max(p.sealed_at) FROM event_engine.event_partitions AS p)) AS latest)
	AS m
WHERE m.latest > clock_timestamp() + '1 minute'::interval
$$;
COMMENT ON FUNCTION event_engine.doctor_log(interval) IS
	'Does the work of doctor(): partitions, retention and vacuum.';

/*
 * doctor: what is wrong now, the worst first; no row where nothing is.
 *
 *	patience	what has lasted for less is not told
 */
CREATE FUNCTION event_engine.doctor(patience interval DEFAULT '5 minutes')
	RETURNS SETOF event_engine.finding
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp SET jit = off AS $$
SELECT f.* FROM (
	SELECT s.* FROM event_engine.doctor_server() AS s
	UNION ALL
	SELECT h.* FROM event_engine.doctor_holders(patience) AS h
	UNION ALL
	SELECT d.* FROM event_engine.doctor_deliveries(patience) AS d
	UNION ALL
	SELECT l.* FROM event_engine.doctor_log(patience) AS l) AS f
ORDER BY array_position('{critical,warning,notice}', f.severity), f.code,
	f.who
$$;
COMMENT ON FUNCTION event_engine.doctor(interval) IS
	'What is wrong, who causes it (process, transaction, slot, subscription), and the cure.';
/* ------------------------------------------------------------------------
 * Privileges: PUBLIC has what is said here, and nothing else.  What a duty
 * consists of is said by the view duties, and given by grant_duty().
 * ------------------------------------------------------------------------ */

REVOKE ALL ON ALL ROUTINES IN SCHEMA event_engine FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA event_engine FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA event_engine FROM PUBLIC;

/* Names may be looked up, and functions be written that take an event. */
GRANT USAGE ON SCHEMA event_engine TO PUBLIC;
GRANT USAGE ON TYPE
	event_engine.event,
	event_engine.event_priority,
	event_engine.finding,
	event_engine.received_event,
	event_engine.schema_break,
	event_engine.validation_error,
	event_engine.workflow_instance,
	event_engine.workflow_resumption
TO PUBLIC;

/* Pure functions of their arguments. */
GRANT EXECUTE ON FUNCTION
	event_engine.jsonschema_is_valid(jsonb, jsonb, text),
	event_engine.jsonschema_errors(jsonb, jsonb, text),
	event_engine.jsonschema_is_valid_with(jsonb, jsonb, jsonb, text),
	event_engine.jsonschema_errors_with(jsonb, jsonb, jsonb, text),
	event_engine.jsonschema_check(jsonb, text, boolean),
	event_engine.jsonschema_output(jsonb, jsonb, text, text),
	event_engine.check_event_pattern(text),
	event_engine.compare_versions(text, text),
	event_engine.event_time(uuid)
TO PUBLIC;

/* What the handlers of workflows answer. */
GRANT EXECUTE ON FUNCTION
	event_engine.wait_for(text, text, interval, text, timestamptz, text, jsonb, jsonb, timestamptz),
	event_engine.wait_for_n(integer, jsonb[], text, jsonb),
	event_engine.wait_for_any(jsonb[], text, jsonb),
	event_engine.wait_for_all(jsonb[], text, jsonb),
	event_engine.wait_for_children(uuid[], integer, interval, text, jsonb),
	event_engine.sleep_until(timestamptz, text, jsonb, text),
	event_engine.sleep_for(interval, text, jsonb, text),
	event_engine.continue_with(text, jsonb),
	event_engine.complete(jsonb, jsonb),
	event_engine.fail(text, jsonb, jsonb)
TO PUBLIC;

/* The condition of a trigger, asked in the name of whoever inserts. */
GRANT EXECUTE ON FUNCTION event_engine.delivers_immediately() TO PUBLIC;
/* ------------------------------------------------------------------------
 * Dump: tables and sequences whose rows belong to the user.  Partitions of the
 * log are dumped like any other table, and are not named here.
 *
 * Left out are event_log_state, which says what cluster this is, and
 * executor_starts, which counts processes of a server that is not the one
 * restored to, and event_maintenance, which tells what that server has done.
 * ------------------------------------------------------------------------ */

SELECT pg_extension_config_dump('event_engine.deliveries', '');
SELECT pg_extension_config_dump('event_engine.delivery_counts', '');
SELECT pg_extension_config_dump('event_engine.delivery_keys', '');
SELECT pg_extension_config_dump('event_engine.event_dead_letters', '');
SELECT pg_extension_config_dump('event_engine.event_definition_versions', '');
SELECT pg_extension_config_dump('event_engine.event_definitions', '');
SELECT pg_extension_config_dump('event_engine.event_keys', '');
SELECT pg_extension_config_dump('event_engine.event_leases', '');
SELECT pg_extension_config_dump('event_engine.event_milestones', '');
SELECT pg_extension_config_dump('event_engine.event_partitions', '');
SELECT pg_extension_config_dump('event_engine.event_processing_log', '');
SELECT pg_extension_config_dump('event_engine.event_schemas', '');
SELECT pg_extension_config_dump('event_engine.event_replay_cursors', '');
SELECT pg_extension_config_dump('event_engine.event_replays', '');
SELECT pg_extension_config_dump('event_engine.event_responders', '');
SELECT pg_extension_config_dump('event_engine.event_retention', '');
SELECT pg_extension_config_dump('event_engine.event_rules', '');
SELECT pg_extension_config_dump('event_engine.event_schedules', '');
SELECT pg_extension_config_dump('event_engine.event_seq', '');
SELECT pg_extension_config_dump('event_engine.events_default', '');
SELECT pg_extension_config_dump('event_engine.subscription_cursor_moves', '');
SELECT pg_extension_config_dump('event_engine.subscription_cursors', '');
SELECT pg_extension_config_dump('event_engine.subscriptions', '');
SELECT pg_extension_config_dump('event_engine.subscriptions_number_seq', '');
SELECT pg_extension_config_dump('event_engine.workflow_definitions', '');
SELECT pg_extension_config_dump('event_engine.workflow_instances', '');
SELECT pg_extension_config_dump('event_engine.workflow_postponed', '');
SELECT pg_extension_config_dump('event_engine.workflow_steps', '');
SELECT pg_extension_config_dump('event_engine.workflow_wait_keys', '');
SELECT pg_extension_config_dump('event_engine.workflow_waits', '');
SELECT pg_extension_config_dump('event_engine.workflow_event_triggers', '');
SELECT pg_extension_config_dump('event_engine.workflow_trigger_failures', '');
SELECT pg_extension_config_dump('event_engine.workflow_compensations', '');
