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
