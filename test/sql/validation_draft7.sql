-- What each keyword of draft 7 accepts and refuses, and that the report
-- agrees with the boolean answer.  The official suite goes into every corner
-- (test/conformance); this is the short form.
\pset null '(null)'
SET search_path = event_engine, public;
\set draft7 '''draft7'''

CREATE TEMP TABLE cases (n serial, schema jsonb, valid jsonb, invalid jsonb);
INSERT INTO cases (schema, valid, invalid) VALUES
	('true', '[1, null, {}]', '[]'),
	('false', '[]', '[1, null, {}]'),
	('{}', '[1, null, {}]', '[]'),
	('{"type": "integer"}', '[1, 1.0, -3, 1e3]', '[1.5, "1", null, true]'),
	('{"type": "number"}', '[1, 1.5]', '["1"]'),
	('{"type": ["string", "null"]}', '["x", null]', '[1, []]'),
	('{"type": "boolean"}', '[true, false]', '[0, 1, null]'),
	('{"enum": ["a", 1, null, false, [1], {"x": 1.0}]}',
		'["a", 1.0, null, false, [1.0], {"x": 1}]',
		'["b", 0, true, [1,1], {"x": 2}, {}]'),
	('{"const": {"a": [1, 2]}}', '[{"a": [1.0, 2.00]}]', '[{"a": [2, 1]}, {}]'),
	('{"const": [0]}', '[[0], [0.0]]', '[0, [false], []]'),
	('{"multipleOf": 0.01}', '[1, 0.07, -4.35, "x"]', '[0.075]'),
	('{"minimum": 3, "exclusiveMaximum": 4}', '[3, 3.99]', '[2.999, 4, 4.0, -5]'),
	('{"exclusiveMinimum": -1.5, "maximum": 2.5}', '[-1.4, 2.5]', '[-1.5, 2.51]'),
	('{"minLength": 2, "maxLength": 3}', '["ab", "äöü", "😀😀", 1]', '["a", "abcd", "😀"]'),
	('{"pattern": "^a+$"}', '["a", "aaa", 5]', '["b", ""]'),
	('{"items": {"type": "integer"}}', '[[], [1,2]]', '[[1,"x"]]'),
	('{"items": [{"type": "integer"}], "additionalItems": false}', '[[], [1]]', '[["x"], [1,2]]'),
	('{"minItems": 1, "maxItems": 2}', '[[1], [1,2]]', '[[], [1,2,3]]'),
	('{"uniqueItems": true}', '[[], [1,true,"1",[1],{"a":1}]]', '[[1,2,1.0], [{"a":1},{"a":1.0}]]'),
	('{"contains": {"minimum": 5}}', '[[1,5]]', '[[], [1]]'),
	('{"required": ["a", "bb"]}', '[{"a":1,"bb":2,"c":3}, 1]', '[{"a":1}, {}]'),
	('{"minProperties": 1, "maxProperties": 1}', '[{"a":1}]', '[{}, {"a":1,"b":1}]'),
	('{"properties": {"a": {"type": "string"}, "no": false}}', '[{}, {"a":"x","z":1}]', '[{"a":1}, {"no":1}]'),
	('{"properties": {"a": true}, "patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": false}',
		'[{"a":1,"x-y":2}]', '[{"x-y":""}, {"b":1}]'),
	('{"required": ["id"], "additionalProperties": false}', '[]', '[{}, {"id":1}]'),
	('{"propertyNames": {"maxLength": 2}}', '[{"ab":1}]', '[{"abc":1}]'),
	('{"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}',
		'[{}, {"a":1,"b":1}, {"c":1,"d":1}]', '[{"a":1}, {"c":1}]'),
	('{"allOf": [{"minimum": 1}, {"maximum": 3}]}', '[1, 3]', '[0, 4]'),
	('{"anyOf": [{"type": "string"}, {"minimum": 3}]}', '["x", 3]', '[1]'),
	('{"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}', '[2, 3]', '[1, 6]'),
	('{"not": {"type": "null"}}', '[1, false]', '[null]'),
	('{"if": {"minimum": 10}, "then": {"multipleOf": 10}, "else": {"maximum": 5}}', '[20, 5]', '[15, 6]'),
	('{"contentEncoding": "base64", "contentMediaType": "application/json"}',
		'["eyJhIjoxfQ==", 1]', '["{}", "ezp9Cg=="]'),
	('{"$ref": "#/definitions/a", "maxLength": 1, "definitions": {"a": {"type": "string"}}}',
		'["abc"]', '[1]'),
	('{"properties": {"child": {"$ref": "#"}}, "additionalProperties": false}',
		'[{"child":{"child":{}}}]', '[{"child":{"x":1}}]');

SELECT count(*) AS cases, sum(jsonb_array_length(valid) + jsonb_array_length(invalid)) AS instances FROM cases;

-- no row: every verdict is as listed, and errors are reported just when invalid
SELECT c.n, i.instance, i.expected, jsonschema_is_valid(c.schema, i.instance, :draft7) AS got,
	(SELECT count(*) FROM jsonschema_errors(c.schema, i.instance, :draft7)) AS errors
FROM cases c,
	LATERAL (SELECT jsonb_array_elements(valid), true UNION ALL SELECT jsonb_array_elements(invalid), false) i (instance, expected)
WHERE jsonschema_is_valid(c.schema, i.instance, :draft7) IS DISTINCT FROM i.expected
	OR (SELECT count(*) = 0 FROM jsonschema_errors(c.schema, i.instance, :draft7)) IS DISTINCT FROM i.expected;

-- every schema of the list is one to its metaschema
SELECT c.n, e.* FROM cases c, LATERAL jsonschema_check(c.schema, :draft7) e;

-- the metaschema accepts itself and refuses nonsense
SELECT jsonschema_is_valid('{"$ref": "http://json-schema.org/draft-07/schema#"}', '{"minimum": 1}', :draft7) AS good,
	jsonschema_is_valid('{"$ref": "http://json-schema.org/draft-07/schema#"}', '{"minimum": "1"}', :draft7) AS bad;

-- null in, null out; no rows of errors
SELECT jsonschema_is_valid(NULL, '1') AS no_schema, jsonschema_is_valid('{}', NULL) AS no_instance,
	(SELECT count(*) FROM jsonschema_errors('{}', NULL)) AS errors;
SELECT jsonschema_is_valid('{}', '1', 'draft3');

-- a call site that lives on while its schema changes
DO $$
DECLARE
	s jsonb;
BEGIN
	FOREACH s IN ARRAY ARRAY['{"type": "null"}', '{}', '{"type": "null"}', 'true', '{"type": "string"}']::jsonb[] LOOP
		RAISE NOTICE '% %', s, event_engine.jsonschema_is_valid(s, '1');
	END LOOP;
END $$;

-- in a check constraint
CREATE TEMP TABLE invoice (doc jsonb CHECK (jsonschema_is_valid(
	'{"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number", "exclusiveMinimum": 0}}}', doc)));
INSERT INTO invoice VALUES ('{"amount": 0.01}'), (NULL);
INSERT INTO invoice VALUES ('{"amount": 0.00}');
