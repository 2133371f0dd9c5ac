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
