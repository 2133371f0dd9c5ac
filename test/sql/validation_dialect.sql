-- One keyword, several meanings: each dialect has its own.
SET search_path = event_engine, public;

SELECT d.dialect, c.n, c.schema, c.instance, jsonschema_is_valid(c.schema::jsonb, c.instance::jsonb, d.dialect) AS valid
FROM (VALUES
	(1, '{"const": 1}', '2', '{draft4,draft6}'::text[]),
	(2, '{"maximum": 3, "exclusiveMaximum": true}', '3', '{draft4}'),
	(3, '{"if": true, "then": false}', '1', '{draft6,draft7}'),
	(4, '{"$ref": "#/definitions/a", "maximum": 1, "definitions": {"a": {}}}', '2', '{draft7,2019-09}'),
	(5, '{"items": [{"type": "null"}], "additionalItems": false}', '[null, 1]', '{draft7,2019-09}'),
	(6, '{"prefixItems": [{"type": "null"}], "items": false}', '[null, 1]', '{2020-12}'),
	(7, '{"contains": {"type": "null"}, "minContains": 0}', '[]', '{draft7,2019-09,2020-12}'),
	(8, '{"contains": {"type": "null"}, "maxContains": 1}', '[null, null]', '{draft7,2019-09,2020-12}'),
	(9, '{"dependentRequired": {"a": ["b"]}}', '{"a": 1}', '{draft7,2019-09}'),
	(10, '{"dependentSchemas": {"a": {"maxProperties": 1}}}', '{"a": 1, "b": 2}', '{draft7,2019-09}'),
	(11, '{"prefixItems": [true], "contains": {"type": "string"}, "unevaluatedItems": false}', '[1, "x"]', '{2020-12}'),
	(12, '{"prefixItems": [true], "contains": {"type": "string"}, "unevaluatedItems": false}', '[1, "x", 2]', '{2020-12}'),
	(13, '{"anyOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"properties": {"b": true}}], "unevaluatedProperties": false}', '{"a": 1, "b": 2}', '{2019-09,2020-12}'),
	(14, '{"$recursiveAnchor": true, "properties": {"a": {"$recursiveRef": "#"}}, "additionalProperties": false}', '{"a": {"b": 1}}', '{2019-09}')
) c (n, schema, instance, dialects), LATERAL unnest(c.dialects) WITH ORDINALITY d (dialect, i) ORDER BY c.n, d.i;

-- $schema wins over the argument
SELECT jsonschema_is_valid('{"$schema": "http://json-schema.org/draft-04/schema#", "const": 1}', '2', 'draft7') AS draft4_has_no_const;

-- a metaschema without the vocabulary of validation
SELECT jsonschema_is_valid_with('{"$schema": "https://example.com/meta", "properties": {"a": {"minimum": 10}, "b": false}}', i,
	'{"https://example.com/meta": {"$id": "https://example.com/meta", "$schema": "https://json-schema.org/draft/2020-12/schema", "$vocabulary": {"https://json-schema.org/draft/2020-12/vocab/core": true, "https://json-schema.org/draft/2020-12/vocab/applicator": true}}}')
FROM (VALUES ('{"a": 1}'::jsonb), ('{"b": 1}')) v (i);
SELECT jsonschema_is_valid_with('{"$schema": "https://example.com/meta"}', '1',
	'{"https://example.com/meta": {"$schema": "https://json-schema.org/draft/2020-12/schema", "$vocabulary": {"https://example.com/vocab": true}}}');

-- v1: a dynamic reference is the name of an anchor on the way, with or without #
SELECT instance, jsonschema_is_valid('{"$schema": "https://json-schema.org/v1", "$id": "https://example.com/root", "$ref": "list",
	"$defs": {"item": {"$dynamicAnchor": "item", "type": "string"},
		"list": {"$id": "list", "prefixItems": [{"$dynamicRef": "item"}], "items": {"$dynamicRef": "#item"}}}}', instance)
FROM unnest('{"[\"a\", \"b\"]", "[1, \"b\"]", "[\"a\", 1]"}'::jsonb[]) instance;
SELECT jsonschema_is_valid('{"$dynamicRef": "nowhere"}', '1', 'v1');

-- v1: by name and value of a property
SELECT e.* FROM jsonschema_errors('{"propertyDependencies": {"kind": {"card": {"required": ["number"]}, "cash": true, "": false}}}', '{"kind": "card"}', 'v1') e;
SELECT instance, jsonschema_is_valid('{"propertyDependencies": {"kind": {"card": {"required": ["number"]}, "cash": true, "": false}}}', instance, dialect) AS valid, dialect
FROM unnest('{"{\"kind\": \"cash\"}", "{\"kind\": [\"card\"]}", "{\"kind\": \"\"}", "{}", "1"}'::jsonb[]) instance, unnest('{2020-12,v1}'::text[]) dialect ORDER BY dialect, instance;
SELECT jsonschema_is_valid('{"propertyDependencies": {"kind": 1}}', '1', 'v1');
SELECT jsonschema_is_valid(jsonb_build_object('propertyDependencies', (SELECT jsonb_object_agg('p' || i, '{"x": false}'::jsonb) FROM generate_series(1, 20000) i)), '{"p7": "x"}', 'v1');

-- v1: unknown keywords begin with x-
SELECT instance_path, message FROM jsonschema_check('{"$schema": "https://json-schema.org/v1", "x-owner": 1, "colour": "red", "items": {"propertyDependencies": {"a": {"b": 1}}}}');
