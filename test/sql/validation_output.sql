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
SELECT f AS format, jsonschema_output(schema, '[{"x": 1, "y": 2}, {"x": 1, "y": 3}, {"x": 2, "y": 2}]', f) AS valid
FROM polygon, unnest('{flag,basic,detailed}'::text[]) f;
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
