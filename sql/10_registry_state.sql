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
 *						"strict": boolean, "sensitive": [path],
 *						"sensitive_subject": path}
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
	definition_id uuid NOT NULL,
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
 * No foreign keys between tables that are dumped: a parallel restore loads them
 * in any order.
 */
CREATE FUNCTION event_engine.forget_versions() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	DELETE FROM event_engine.event_definition_versions
	WHERE definition_id = OLD.id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION event_engine.forget_versions() IS
	'Trigger on event_definitions: versions go with their definition.';
CREATE TRIGGER forget_versions AFTER DELETE ON event_engine.event_definitions
	FOR EACH ROW EXECUTE FUNCTION event_engine.forget_versions();

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
