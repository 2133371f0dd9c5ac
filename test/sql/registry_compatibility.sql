-- What a change of a schema breaks, and that it is refused where it must not.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE FUNCTION breaks(old jsonb, new jsonb, mode text DEFAULT 'backward')
	RETURNS SETOF text LANGUAGE sql AS $$
SELECT concat_ws(' | ', direction, coalesce(nullif(path, ''), '/'), keyword,
	coalesce(old, '-'), coalesce(new, '-'), why)
FROM event_engine.schema_compatibility(old, new, mode)
$$;

-- Each keyword, both ways: what is wider on one side is narrower on the other.
WITH pairs (n, narrow, wide) AS (VALUES
	('type', '{"type": "integer"}'::jsonb, '{"type": ["number", "null"]}'::jsonb),
	('boolean schema', 'false', '{"type": "string"}'),
	('anything', '{"type": "string"}', 'true'),
	('minimum', '{"type": "integer", "exclusiveMinimum": 4}', '{"type": "number", "minimum": 5}'),
	('maximum', '{"maximum": 5}', '{"maximum": 5.5}'),
	('multipleOf', '{"type": "number", "multipleOf": 10}', '{"type": "integer", "multipleOf": 5}'),
	('length', '{"type": "string", "minLength": 2, "maxLength": 4}', '{"minLength": 1, "maxLength": 5}'),
	('pattern', '{"pattern": "^a", "minLength": 1}', '{"pattern": "^a"}'),
	('enum', '{"enum": ["a", 1]}', '{"enum": [1.0, "b", "a"]}'),
	('const', '{"const": [1, {"a": null}]}', '{"type": "array", "minItems": 2}'),
	('required', '{"required": ["a", "b"]}', '{"required": ["b"]}'),
	('properties', '{"properties": {"a": {"enum": ["x"]}}}', '{"properties": {"a": {"type": "string"}}}'),
	('new property, closed', '{"properties": {"a": true}, "additionalProperties": false}',
		'{"properties": {"a": true, "b": {"type": "string"}}, "additionalProperties": false}'),
	('additionalProperties', '{"additionalProperties": {"type": "integer"}}',
		'{"properties": {"a": {"type": "number"}}, "additionalProperties": {"type": "number"}}'),
	('patternProperties', '{"patternProperties": {"^x_": {"type": "integer"}}}',
		'{"properties": {"x_a": {"type": "number"}}, "patternProperties": {"^x_": {"type": ["number", "null"]}}}'),
	('propertyNames', '{"propertyNames": {"maxLength": 2}}', '{"propertyNames": {"maxLength": 3}}'),
	('minProperties', '{"required": ["a", "b"]}', '{"minProperties": 2}'),
	('dependentRequired', '{"required": ["a"]}', '{"dependentRequired": {"b": ["a"]}}'),
	('items', '{"items": {"type": "integer"}, "maxItems": 3}', '{"items": {"type": "number"}, "maxItems": 4}'),
	('prefixItems', '{"prefixItems": [{"type": "string"}], "items": false}',
		'{"prefixItems": [{"type": "string"}, {"type": "integer"}]}'),
	('uniqueItems', '{"maxItems": 1}', '{"uniqueItems": true}'),
	('contains', '{"contains": {"const": 1}}', '{"contains": {"type": "integer"}}'),
	('allOf', '{"allOf": [{"type": "object"}, {"required": ["a"]}]}', '{"required": ["a"]}'),
	('anyOf', '{"anyOf": [{"type": "string"}, {"type": "null"}]}', '{"type": ["null", "string", "array"]}'),
	('oneOf by what tells them apart',
		'{"type": "object", "oneOf": [{"required": ["k"], "properties": {"k": {"const": "a"}, "v": {"type": "string"}}},
			{"required": ["k"], "properties": {"k": {"const": "b"}, "v": {"type": "integer"}}}]}',
		'{"oneOf": [{"required": ["k"], "properties": {"k": {"const": "c"}}},
			{"required": ["k"], "properties": {"k": {"const": "a"}, "v": {"type": "string"}}},
			{"required": ["k"], "properties": {"k": {"const": "b"}, "v": {"type": "number"}}}]}'),
	('not', '{"type": "string"}', '{"not": {"type": ["object", "array"]}}'),
	('if', '{"if": {"required": ["a"]}, "then": {"required": ["b", "c"]}}',
		'{"if": {"required": ["a"]}, "then": {"required": ["b"]}}'),
	('$ref, recursive',
		'{"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer"},
			"next": {"$ref": "#/$defs/n"}}}}}',
		'{"type": "object", "properties": {"v": {"type": "number"}, "next": {"$ref": "#"}}}'))
SELECT n AS pair,
	(SELECT count(*) FROM breaks(narrow, wide)) AS widened,
	(SELECT count(*) > 0 FROM breaks(wide, narrow)) AS narrowed_breaks,
	(SELECT count(*) FROM breaks(wide, narrow, 'forward')) AS forward,
	(SELECT count(*) > 0 FROM breaks(wide, narrow, 'full')) AS full_breaks,
	(SELECT count(*) FROM breaks(narrow, narrow, 'full'))
		+ (SELECT count(*) FROM breaks(wide, wide, 'full')) AS same
FROM pairs;

-- What is said.
SELECT * FROM breaks(
	'{"type": "object", "required": ["id"], "properties": {
		"id": {"type": "string", "maxLength": 40},
		"status": {"enum": ["open", "paid"]},
		"lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
		"old": {"type": "string"}},
	  "$defs": {"line": {"type": "object", "properties": {"amount": {"type": "number"}}}}}',
	'{"type": "object", "required": ["id", "total"], "properties": {
		"id": {"type": "string", "maxLength": 36},
		"status": {"enum": ["open", "settled"]},
		"total": {"type": "number"},
		"lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/line"}}},
	  "additionalProperties": false,
	  "$defs": {"line": {"type": "object", "properties": {"amount": {"type": "number", "minimum": 0}}}}}');
SELECT * FROM breaks('{"minimum": 1}', '{"minimum": 0}', 'forward');
SELECT * FROM breaks('{"pattern": "^a+$"}', '{"pattern": "^a*$"}');
SELECT * FROM breaks('{"type": "object"}', '{"properties": {"new": {"type": "string"}}}');
SELECT * FROM breaks('{"type": ["string", "integer"]}', '{"oneOf": [{"type": "string"}, {"minLength": 1}]}');
-- unevaluated* looks at how a value came to be valid: word for word, or no proof
SELECT * FROM breaks('{"properties": {"a": {"properties": {"x": true}, "unevaluatedProperties": false}}}',
	'{"properties": {"a": {"properties": {"x": true}, "unevaluatedProperties": false}}}', 'full');
SELECT * FROM breaks('{"properties": {"x": true}, "unevaluatedProperties": false}',
	'{"properties": {"x": true, "y": true}, "unevaluatedProperties": false}');
-- the draft says what a keyword means
SELECT count(*) FROM event_engine.schema_compatibility(
	'{"minimum": 4, "exclusiveMinimum": true, "type": "integer"}', '{"minimum": 5}', dialect => 'draft4');
SELECT b.keyword, b.why FROM event_engine.schema_compatibility(
	'{"$schema": "http://json-schema.org/draft-07/schema#", "type": "integer"}',
	'{"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer"}') AS b;
SELECT count(*) FROM event_engine.schema_compatibility(NULL, 'true', 'full');
SELECT event_engine.schema_compatibility('true', 'true', 'sideways');
SELECT event_engine.schema_compatibility('true', 'true', dialect => 'draft2');

-- A thousand ways: hard to compare is not long to compare.
SELECT left(string_agg(b.why, ''), 60) AS why FROM (
	SELECT jsonb_build_object('allOf', jsonb_agg(jsonb_build_object('anyOf',
		jsonb_build_array(jsonb_build_object('required', jsonb_build_array('a' || i)),
			jsonb_build_object('required', jsonb_build_array('b' || i)))))) AS s
	FROM generate_series(1, 40) AS i) AS x,
	event_engine.schema_compatibility(x.s, '{"required": ["z"]}') AS b;

-- Registering: none is checked unless asked for.
SELECT event_engine.register_event_definition('bill', '{"type": "string"}');
SELECT event_engine.register_event_definition('bill', '{"type": "integer"}', '2.0.0');
SELECT event_engine.register_event_definition('bill', 'true', '3.0.0',
	options => '{"compatibility": "upward"}');
SELECT event_engine.register_event_definition('paid',
	'{"type": "object", "required": ["total"], "properties": {"total": {"type": "integer"}}, "additionalProperties": false}',
	options => '{"compatibility": "backward"}');
-- The policy stays, and the same again is the same again.
SELECT event_engine.register_event_definition('paid',
	'{"type": "object", "properties": {"total": {"type": "number"}, "note": {"type": "string"}}, "additionalProperties": false}',
	'1.1.0', options => '{"assert_formats": true}');
SELECT event_engine.register_event_definition('paid',
	'{"type": "object", "properties": {"total": {"type": "number"}, "note": {"type": "string"}}, "additionalProperties": false}',
	'1.1.0', options => '{"assert_formats": true}');
SELECT version, options FROM event_engine.get_event_definition('paid');
-- all that breaks is told
SELECT event_engine.register_event_definition('paid',
	'{"type": "object", "required": ["total", "currency"], "properties": {"total": {"type": "integer"}}}',
	'2.0.0');
\echo :LAST_ERROR_SQLSTATE
SELECT event_engine.update_event_definition('paid', payload_schema => 'false');
\echo :LAST_ERROR_SQLSTATE
-- a draft promises nothing until it is activated
SELECT event_engine.register_event_definition('paid', 'false', '2.0.0', status => 'draft');
SELECT event_engine.update_event_definition('paid', version => '2.0.0', status => 'active');
SELECT event_engine.update_event_definition('paid', version => '2.0.0', status => 'active',
	options => '{"compatibility": "none"}') > 0 AS done;
-- a status, or a policy for what comes, breaks nothing
SELECT event_engine.update_event_definition('paid', status => 'deprecated') > 0 AS done;
SELECT event_engine.update_event_definition('paid', status => 'active',
	options => '{"compatibility": "full"}') > 0 AS done;

-- Transitive: with all before, not only the last.
SELECT event_engine.register_event_definition('t', '{"type": "string", "minLength": 1}',
	options => '{"compatibility": "forward"}');
SELECT event_engine.register_event_definition('t', '{"type": "string", "minLength": 3}', '1.1.0');
SELECT event_engine.register_event_definition('t', '{"type": "string", "minLength": 1}', '1.2.0',
	options => '{"compatibility": "none"}');
SELECT event_engine.register_event_definition('t', '{"type": "string", "minLength": 2}', '1.3.0',
	options => '{"compatibility": "forward_transitive"}');
SELECT event_engine.register_event_definition('t', '{"type": "string", "minLength": 2}', '1.3.0',
	options => '{"compatibility": "forward"}');

-- Through a document.
SELECT event_engine.register_schema('https://example.com/money', '{"type": "object", "required": ["amount"]}');
SELECT event_engine.register_event_definition('m', '{"properties": {"price": {"$ref": "https://example.com/money"}}}',
	options => '{"compatibility": "full_transitive"}');
SELECT event_engine.register_event_definition('m',
	'{"properties": {"price": {"type": "object", "required": ["amount"]}}}', '1.1.0');
SELECT event_engine.register_event_definition('m', '{"properties": {"price": {"type": "object"}}}', '1.2.0');

-- Versions live side by side, and publishing chooses.
SELECT event_engine.publish_event('paid', '{"total": 1.5}', version => '1.0.0');
SELECT event_engine.publish_event('paid', '{"total": 1.5}', version => '1.1.0') IS NOT NULL AS stored;
SELECT event_engine.publish_event('paid', '{"total": 1}', version => '1.0.0') IS NOT NULL AS stored;
SELECT event_engine.publish_event('paid', '{"total": 1}') IS NOT NULL AS stored;
SELECT count(*) FROM event_engine.publish_events('[{"pattern": "paid", "version": "1.0.0", "payload": {"total": 2}}]');
INSERT INTO event_engine.events (pattern, payload, version) VALUES ('paid', '{"total": 3.5}', '1.1.0');
SELECT version, payload FROM event_engine.events WHERE pattern = 'paid' ORDER BY seq;

DROP FUNCTION breaks;
