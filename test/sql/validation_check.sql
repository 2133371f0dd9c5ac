-- A bad schema is explained, with the place.
SET search_path = event_engine, public;
\pset null '-'

SELECT instance_path, keyword, message, expected, found FROM jsonschema_check('{"type": "strin", "minLength": -1, "properties": {"a": {"required": "b"}}, "items": 5}', 'draft7');
SELECT instance_path, message FROM jsonschema_check('{"type": "object", "properties": {"a": {"type": "integr"}}}');
SELECT instance_path, keyword, message FROM jsonschema_check('{"properties": {"a": {"$ref": "#/$defs/none"}, "b": {"pattern": "("}}}');
SELECT instance_path, keyword, message FROM jsonschema_check('{"$ref": "#"}');
SELECT instance_path, keyword, message FROM jsonschema_check('17');
SELECT count(*) AS good FROM jsonschema_check('{"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true}');
SELECT instance_path, message FROM jsonschema_check('{"minimum": 1, "exclusiveMinimum": true}', 'draft6');
SELECT count(*) AS null_schema FROM jsonschema_check(NULL);

-- the metaschemas are schemas
SELECT d AS dialect, (SELECT count(*) FROM jsonschema_check(jsonb_build_object('$ref', u), d)) AS problems,
	jsonschema_is_valid(jsonb_build_object('$ref', u), jsonb_build_object('$schema', u, 'type', 'object'), d) AS good,
	jsonschema_is_valid(jsonb_build_object('$ref', u), jsonb_build_object('$schema', u, 'type', 'thing'), d) AS bad
FROM (VALUES ('draft4', 'http://json-schema.org/draft-04/schema#'), ('draft6', 'http://json-schema.org/draft-06/schema#'),
	('draft7', 'http://json-schema.org/draft-07/schema#'), ('2019-09', 'https://json-schema.org/draft/2019-09/schema'),
	('2020-12', 'https://json-schema.org/draft/2020-12/schema'),
	('v1', 'https://json-schema.org/v1')) v (d, u);

-- names that are no keywords but are like one, or are one elsewhere; others are annotations
SELECT instance_path, keyword, message FROM jsonschema_check('{"title": "t", "x-own": 1, "unit": "kg", "note": "n", "example": 1, "$comment": "c",
	"propertes": {"wrong": {}}, "properties": {"requird": {"maxlength": 3}, "fine": {"enum": [{"requird": 1}]}}, "required": ["requird"],
	"$defs": {"a": {"ref": "#"}, "b": {"id": "x"}}, "anyOf": [{"mininum": 1}, true], "additionalItems": false,
	"allOf": [{"$schema": "http://json-schema.org/draft-04/schema#", "id": "x"}], "default": {"requird": 1}}');
SELECT instance_path, message FROM jsonschema_check('{"id": "http://example.com/x", "const": 1, "if": {"minContains": 1}, "properties": {"const": {}}}', 'draft4');
SELECT instance_path, message FROM jsonschema_check('{"requird": [], "type": 1}');
SELECT instance_path, message FROM jsonschema_check('{"properties": {"a": {"requird": []}}, "x-own": 1}', 'v1');
