-- Numbers are compared by value and exactly, however large or fine.
SET search_path = event_engine, public;

SELECT schema, instance, jsonschema_is_valid(schema::jsonb, instance::jsonb) AS valid
FROM (VALUES
	('{"type": "integer"}', '1e2'), ('{"type": "integer"}', '12345678901234567890123456789012345678.0'),
	('{"type": "integer"}', '0.0000000000000000000000000000001'), ('{"type": "integer"}', '-0.0'),
	('{"minimum": 9007199254740993}', '9007199254740992'), ('{"minimum": 9007199254740993}', '9007199254740993'),
	('{"maximum": 99999999999999999999}', '99999999999999999999.1'), ('{"maximum": 99999999999999999999}', '99999999999999999999.0'),
	('{"exclusiveMaximum": 0}', '-0.00000000000000000001'), ('{"exclusiveMaximum": 0}', '0.0'),
	('{"exclusiveMinimum": -1}', '-0.5'), ('{"minimum": -1}', '-1.5'), ('{"maximum": -1}', '-1.5'), ('{"maximum": -1}', '-0.5'),
	('{"multipleOf": 0.01}', '19.99'), ('{"multipleOf": 0.01}', '4.35'), ('{"multipleOf": 0.0001}', '0.00751'),
	('{"multipleOf": 3}', '9007199254740993'), ('{"multipleOf": 3}', '-9'), ('{"multipleOf": 3}', '0'), ('{"multipleOf": 3}', '4.5'),
	('{"multipleOf": 1.5}', '4.5'), ('{"multipleOf": 1e-8}', '12391239123'), ('{"multipleOf": 0.123456789}', '1e308'),
	('{"multipleOf": 5}', '1000000000000000000000000000000000000000005'), ('{"multipleOf": 5}', '1000000000000000000000000000000000000000006'),
	('{"const": 1.0}', '1'), ('{"const": 1e3}', '1000.000'), ('{"enum": [1, 2.50, 3]}', '2.5'), ('{"const": 0}', 'false'),
	('{"const": 100000000000000000000000000000000000000000001}', '100000000000000000000000000000000000000000002'),
	('{"minLength": 2.0}', '"a"'), ('{"maxItems": 1e30}', '[1]'), ('{"minItems": 1e30}', '[1]')
) v (schema, instance);

-- draft 4 looks at how an integer is written
SELECT jsonschema_is_valid('{"type": "integer"}', '1.0', 'draft4') AS draft4, jsonschema_is_valid('{"type": "integer"}', '1.0', 'draft6') AS draft6;

SELECT jsonschema_is_valid('{"multipleOf": 0}', '1');
SELECT jsonschema_is_valid('{"maxLength": -1}', '1');
SELECT jsonschema_is_valid('{"maxLength": 1.5}', '1');
SELECT message, expected, found FROM jsonschema_errors('{"multipleOf": 0.01, "maximum": 9007199254740993}', '9007199254740993.001');
