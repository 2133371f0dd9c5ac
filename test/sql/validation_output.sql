-- The output formats of the specification: flag, basic, detailed.
SET search_path = event_engine, public;

CREATE TEMP TABLE polygon (schema jsonb, instance jsonb);
INSERT INTO polygon VALUES ('{
	"$id": "https://example.com/polygon",
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"$defs": {"point": {
		"type": "object", "required": ["x", "y"], "additionalProperties": false,
		"properties": {"x": {"type": "number"}, "y": {"type": "number"}}}},
	"type": "array", "minItems": 3, "items": {"$ref": "#/$defs/point"}}',
	'[{"x": 2.5, "y": 1.3}, {"x": 1, "z": 6.7}]');

SELECT f AS format, jsonb_pretty(jsonschema_output(schema, instance, f)) AS output
FROM polygon, unnest('{flag,basic,detailed}'::text[]) WITH ORDINALITY o (f, i) ORDER BY i;
SELECT f AS format, o - 'annotations' AS valid, jsonb_array_length(o -> 'annotations') AS annotations
FROM polygon, unnest('{flag,basic,detailed}'::text[]) f,
	jsonschema_output(schema, '[{"x": 1, "y": 2}, {"x": 1, "y": 3}, {"x": 2, "y": 2}]', f) o;
SELECT jsonschema_output('true', '1'), jsonschema_output('false', '1', NULL), jsonschema_output('false', '1', 'flag', 'draft7');
SELECT jsonschema_output('true', NULL) IS NULL AS no_instance, jsonschema_output(NULL, '1') IS NULL AS no_schema;
SELECT jsonschema_output('true', '1', 'verbose');
SELECT jsonschema_output('true', '1', dialect => 'draft5');
SELECT jsonschema_output('{"type": "strin"}', '1');

-- a choice holds the branch that came closest; two errors of a schema are below one
SELECT jsonb_pretty(jsonschema_output('{"properties": {"pay": {"oneOf": [
	{"required": ["iban"], "properties": {"kind": {"const": "bank"}, "iban": {"type": "string"}}},
	{"required": ["number"], "properties": {"kind": {"const": "card"}, "cvc": {"type": "string"}}}]}}}',
	'{"pay": {"kind": "card", "cvc": 1}}', 'detailed'));

-- the tree holds what the list holds: a branch is as far as all that is below it
SELECT jsonb_path_query_array(jsonschema_output(schema, '{}', 'detailed'), 'strict $.**.error') =
	jsonb_path_query_array(jsonschema_output(schema, '{}', 'basic'), 'strict $.errors[*].error') AS same
FROM (VALUES ('{"oneOf": [{"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"required": ["c"]}]}'::jsonb)) v (schema);

-- embedded resources, pointers in URIs, false, and the dialect by argument
SELECT e ->> 'keywordLocation' AS keyword, e ->> 'absoluteKeywordLocation' AS absolute, e ->> 'instanceLocation' AS instance
FROM jsonb_array_elements(jsonschema_output('{"id": "urn:x:root", "definitions": {"in": {"id": "urn:x:in", "definitions": {"a/b": {"maximum": 1}}}},
	"properties": {"a": {"$ref": "urn:x:in#/definitions/a~1b"}},
	"patternProperties": {"^ü \"": {"minimum": 3}}}', '{"a": 2, "ü \"": 2}', 'basic', 'draft4') -> 'errors') e;
SELECT e ->> 'keywordLocation' AS keyword, e ->> 'absoluteKeywordLocation' AS absolute, e ->> 'instanceLocation' AS instance
FROM jsonb_array_elements(jsonschema_output('{"$id": "https://example.com/s", "$defs": {"no": false}, "items": {"$ref": "#/$defs/no"}, "prefixItems": [false]}', '[1, 2]') -> 'errors') e;

-- as many errors as jsonschema_errors has rows
SELECT jsonb_array_length(jsonschema_output(schema, instance) -> 'errors') = (SELECT count(*) FROM jsonschema_errors(schema, instance)) AS same FROM polygon;
SELECT jsonb_array_length(jsonschema_output('{"items": {"type": "string", "maximum": 1}}', (SELECT jsonb_agg(i) FROM generate_series(2, 10001) i), f) -> 'errors')
FROM unnest('{basic,detailed}'::text[]) f;

-- the bytes are those that jsonb has, however many units there are
SELECT count(*), bool_and(o = o::text::jsonb AND jsonb_hash(o) = jsonb_hash(o::text::jsonb) AND
	o #> ARRAY['errors', (n - 1)::text, 'error'] = '"must be of type string"') AS same
FROM generate_series(1, 100) n, unnest('{basic,detailed}'::text[]) f,
	LATERAL (SELECT jsonschema_output('{"items": {"type": "string"}}', jsonb_agg(i), f) FROM generate_series(1, n) i) l (o);

-- annotations: what the schema says of a valid instance
CREATE FUNCTION pg_temp.notes(schema jsonb, instance jsonb, dialect text DEFAULT NULL)
RETURNS TABLE (instance_path text, keyword_path text, annotation jsonb) LANGUAGE sql AS $$
	SELECT a ->> 'instanceLocation', a ->> 'keywordLocation', a -> 'annotation'
	FROM jsonb_array_elements(event_engine.jsonschema_output(schema, instance, 'basic', dialect) -> 'annotations') a
$$;
SELECT * FROM pg_temp.notes('{"title": "T", "$comment": "none", "default": {"a": [1, null]}, "x-own": 1.50, "type": "object",
	"properties": {"a": {"readOnly": true}, "b": {"deprecated": false}}, "patternProperties": {"^z": {"title": "z"}},
	"additionalProperties": {"examples": [1]}, "propertyNames": {"title": "not for values"},
	"dependentSchemas": {"a": {"description": "beside a"}, "q": {"description": "no"}}}', '{"a": 1, "zed": 2, "other": 3}');
-- of what fails, and of not, there are none
SELECT * FROM pg_temp.notes('{"anyOf": [{"title": "a", "type": "string"}, {"title": "b"}], "oneOf": [{"title": "c", "type": "null"}, {"title": "d"}],
	"not": {"title": "e", "type": "null"}, "if": {"title": "f", "minimum": 5}, "then": {"title": "g"}, "else": {"title": "h"},
	"allOf": [{"$ref": "#/$defs/i"}], "$defs": {"i": {"title": "i"}}}', '7');
SELECT * FROM pg_temp.notes('{"if": {"title": "f", "minimum": 5}, "then": {"title": "g"}, "else": {"title": "h"}}', '3');
SELECT jsonschema_output('{"title": "dropped", "properties": {"a": {"title": "too"}, "b": {"type": "null"}}}', '{"a": 1, "b": 2}') ? 'annotations' AS of_invalid;
-- items, contains, and what was not evaluated
SELECT * FROM pg_temp.notes('{"prefixItems": [{"title": "first"}, true], "contains": {"const": 3}}', '[1, 2, 3]');
SELECT * FROM pg_temp.notes('{"prefixItems": [true], "items": {"title": "rest"}}', '[1, 2]');
SELECT * FROM pg_temp.notes('{"items": [true, true], "additionalItems": {"title": "rest"}, "contains": true}', '[1, 2, 3]', '2019-09');
SELECT * FROM pg_temp.notes('{"allOf": [{"prefixItems": [true]}, {"contains": {"const": 3}}], "unevaluatedItems": {"title": "u"}}', '[1, 2, 3]');
SELECT * FROM pg_temp.notes('{"anyOf": [{"properties": {"a": true}, "required": ["x"]}, {"properties": {"b": true}}], "unevaluatedProperties": {"title": "u"}}', '{"a": 1, "b": 2}');
-- format and content, these of strings alone; a reference voids its siblings up to draft 7
SELECT * FROM pg_temp.notes('{"format": "date", "contentMediaType": "application/json", "contentSchema": {"type": "null"}}', '"x"');
SELECT * FROM pg_temp.notes('{"format": "date", "contentMediaType": "application/json"}', '1');
SELECT * FROM pg_temp.notes('{"$ref": "#/definitions/a", "title": "void", "definitions": {"a": {"title": "a"}}}', '1', 'draft7');
SELECT * FROM pg_temp.notes('{"$ref": "#/definitions/a", "title": "both", "definitions": {"a": {"title": "a"}}}', '1', '2019-09');
-- detailed: those of a schema with several are below one unit
SELECT jsonb_pretty(jsonschema_output('{"$id": "https://example.com/a", "properties": {"x": {"$ref": "#/$defs/x"}, "y": {"title": "y"}},
	"$defs": {"x": {"title": "x", "description": "both"}}}', '{"x": 1, "y": 2}', 'detailed'));
