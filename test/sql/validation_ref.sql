-- References: pointers, names, identifiers, documents; and those that lead
-- nowhere or in circles.
SET search_path = event_engine, public;
\set documents '''{"https://example.com/money.json": {"$defs": {"cents": {"$anchor": "cents", "type": "integer"}, "amount": {"$ref": "#cents"}}}, "https://example.com/yes": true}'''

-- documents are given by URI; within them references are relative to it
SELECT r AS ref, jsonschema_is_valid_with(jsonb_build_object('$id', 'https://example.com/order.json', '$ref', r), '1', :documents) AS one,
	jsonschema_is_valid_with(jsonb_build_object('$id', 'https://example.com/order.json', '$ref', r), '1.5', :documents) AS one_and_half
FROM unnest(ARRAY['money.json#/$defs/amount', 'https://example.com/money.json#cents', '/money.json#%2F$defs%2Fcents', 'yes', './a/../yes']) r;

SELECT instance_path, keyword_path, message
FROM jsonschema_errors_with('{"items": {"$ref": "https://example.com/money.json#/$defs/amount"}}', '[1, 1.5]', :documents);

-- a name before 2019-09, an identifier in the middle
SELECT jsonschema_is_valid('{"$id": "http://x/root.json", "definitions": {"a": {"$id": "#name", "type": "null"}, "b": {"$id": "sub/", "definitions": {"c": {"$id": "c.json", "type": "string"}}}}, "items": [{"$ref": "#name"}, {"$ref": "sub/c.json"}]}',
	i, 'draft7') FROM (VALUES ('[null, "x"]'::jsonb), ('[1]'), ('[null, 1]')) v (i);

-- nowhere
SELECT jsonschema_is_valid('{"properties": {"a": {"$ref": "#/$defs/b"}}}', '1');
\echo :LAST_ERROR_SQLSTATE
SELECT jsonschema_is_valid('{"$ref": "https://example.com/unknown.json"}', '1');
\echo :LAST_ERROR_SQLSTATE
SELECT jsonschema_is_valid('{"$ref": "#/$defs/b", "$defs": {"b": 7}}', '1');
\echo :LAST_ERROR_SQLSTATE
SELECT jsonschema_is_valid('{"$schema": "https://example.com/dialect"}', '1');
\echo :LAST_ERROR_SQLSTATE

-- in circles: refused where the instance is not consumed, fine where it is
SELECT jsonschema_is_valid('{"$ref": "#"}', '1');
\echo :LAST_ERROR_SQLSTATE
SELECT jsonschema_is_valid('{"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}', '1');
SELECT jsonschema_is_valid('{"type": ["object", "integer"], "additionalProperties": {"$ref": "#"}}', '{"a": {"b": {"c": 1}}}') AS good,
	jsonschema_is_valid('{"type": ["object", "integer"], "additionalProperties": {"$ref": "#"}}', '{"a": {"b": {"c": ""}}}') AS bad;

-- a recursive tree whose schema is extended dynamically
SELECT jsonschema_is_valid_with('{"$id": "https://example.com/strict", "$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": false}', i,
	'{"https://example.com/tree": {"$id": "https://example.com/tree", "$dynamicAnchor": "node", "type": "object", "properties": {"data": true, "children": {"type": "array", "items": {"$dynamicRef": "#node"}}}}}')
FROM (VALUES ('{"children": [{"data": 1}]}'::jsonb), ('{"children": [{"daat": 1}]}')) v (i);
