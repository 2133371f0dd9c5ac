-- Who is strict is told of keywords and formats that have no meaning.
SET search_path = event_engine, public;

SELECT instance_path, message FROM jsonschema_check('{"titel": "x", "requierd": ["a"], "minimum": 1, "properties": {"titel": {"type": "string", "maxLenght": 5}, "requierd": {}}}', strict => true);
SELECT instance_path, message FROM jsonschema_check('{"properties": {"a": {"format": "date_time"}, "b": {"format": "social-security-number"}, "c": {"format": "date"}}}', strict => true);
-- also in what no reference reaches, and not in what only looks like a schema
SELECT instance_path, message FROM jsonschema_check('{"$defs": {"a": {"items": [{"typ": "x"}]}}}', '2019-09', true);
SELECT instance_path, message FROM jsonschema_check('{"const": {"foo": 1}, "enum": [{"bar": 2}], "default": {"x": {"y": 1}}, "x-owner": {"z": 1}, "title": "t", "description": "d", "examples": [1], "$comment": "c", "deprecated": true, "readOnly": true}', strict => true);
-- what is known depends on the dialect, of a resource inside too
SELECT d AS dialect, string_agg(instance_path, ' ' ORDER BY instance_path) AS unknown
FROM unnest('{draft4,draft6,draft7,2019-09,2020-12,v1}'::text[]) d,
	jsonschema_check('{"const": 1, "if": {}, "$defs": {}, "prefixItems": [{}], "examples": [], "$comment": "", "deprecated": true, "propertyDependencies": {}, "format": "duration"}', d, true)
GROUP BY d ORDER BY d;
SELECT instance_path, message FROM jsonschema_check('{"$defs": {"old": {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "http://x/old", "dependentRequired": {}}}, "dependentRequired": {}}', strict => true);
-- before 2019-09 a reference makes its siblings void
SELECT instance_path, message FROM jsonschema_check('{"$ref": "#/definitions/a", "title": "t", "minLength": 3, "definitions": {"a": {}}}', 'draft7', true);
SELECT instance_path, message FROM jsonschema_check('{"$ref": "#/$defs/a", "minLength": 3, "$defs": {"a": {}}}', strict => true);
-- for a long name nobody guesses
SELECT message FROM jsonschema_check(jsonb_build_object(repeat('requierd', 10), 1), strict => true);
-- who is not strict hears only of what is like a keyword
SELECT instance_path, message FROM jsonschema_check('{"requierd": ["a"], "colour": "red", "format": "dat"}');
SELECT instance_path, message FROM jsonschema_check('{"requierd": ["a"], "colour": "red", "format": "dat"}', strict => true);
SELECT instance_path, message FROM jsonschema_check('{"x-colour": "red", "format": "dat"}', 'v1', true);

-- definitions: by setting, or their own option
SET search_path = public;
SELECT event_engine.register_event_definition('strict.none', '{"requierd": ["a"]}');
SELECT event_engine.register_event_definition('strict.option', '{"properties": {"a": {"requierd": ["a"]}}}', options => '{"strict": true}');
SET event_engine.registry_strict_schemas = on;
SELECT event_engine.register_event_definition('strict.setting', '{"format": "dat"}');
SELECT event_engine.register_event_definition('strict.own', '{"format": "dat"}', options => '{"strict": false}');
SELECT event_engine.register_event_definition('strict.good', '{"format": "date"}');
-- what is registered stays usable
SELECT event_engine.publish_event('strict.none', '{}') IS NOT NULL AS published;
RESET event_engine.registry_strict_schemas;
SELECT event_engine.register_event_definition('strict.wrong', '{}', options => '{"strict": 1}');
