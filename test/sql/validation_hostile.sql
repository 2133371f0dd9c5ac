-- No schema and no instance hangs or crashes a backend.
SET search_path = event_engine, public;
SET statement_timeout = '20s';

CREATE FUNCTION pg_temp.outcome(schema text, instance text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN event_engine.jsonschema_is_valid(schema::jsonb, instance::jsonb)::text;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- deep instances against a recursive schema
SELECT pg_temp.outcome('{"items": {"$ref": "#"}}', repeat('[', 3000) || repeat(']', 3000)) AS deep_instance;
SELECT count(*) AS reported FROM jsonschema_errors('{"items": {"$ref": "#"}, "maxItems": 0}', (repeat('[', 500) || repeat(']', 500))::jsonb);

-- deep and long schemas
SELECT pg_temp.outcome(repeat('{"not": ', 2001) || '{"type": "null"}' || repeat('}', 2001), 'null') AS deep_schema;
SELECT pg_temp.outcome(format('{"$ref": "#/$defs/0", "$defs": {%s, "2000": {"type": "null"}}}',
	(SELECT string_agg(format('"%s": {"$ref": "#/$defs/%s"}', n, n + 1), ',') FROM generate_series(0, 1999) n)), '1') AS long_chain;

-- 10,000 branches; a doubling at every level, which the instance ends
SELECT pg_temp.outcome((SELECT jsonb_build_object('oneOf', jsonb_agg(jsonb_build_object('const', n)))::text FROM generate_series(1, 10000) n), '7777') AS branches;
SELECT count(*) AS reported FROM jsonschema_errors((SELECT jsonb_build_object('oneOf', jsonb_agg(jsonb_build_object('const', n))) FROM generate_series(1, 10000) n), '0');

-- large instances: distinct items, many properties, one long string
SELECT pg_temp.outcome('{"uniqueItems": true, "items": {"type": "integer"}}', (SELECT jsonb_agg(n)::text FROM generate_series(1, 100000) n)) AS distinct_items,
	pg_temp.outcome('{"uniqueItems": true}', (SELECT jsonb_agg(n % 99999)::text FROM generate_series(1, 100000) n)) AS one_twice,
	pg_temp.outcome('{"additionalProperties": {"type": "integer"}, "required": ["500"]}', (SELECT jsonb_object_agg(n, n)::text FROM generate_series(1, 100000) n)) AS properties,
	pg_temp.outcome('{"pattern": "^[a-z]*$", "minLength": 1000000}', '"' || repeat('a', 1000000) || '"') AS text;

SELECT pg_temp.outcome((SELECT jsonb_build_object('enum', jsonb_agg(n))::text FROM generate_series(1, 100000) n), '99999') AS enumeration,
	pg_temp.outcome(jsonb_build_object('pattern', '^' || repeat('ab?', 10000) || '$')::text, to_jsonb(repeat('a', 10000))::text) AS pattern,
	(SELECT count(*) FROM jsonschema_errors((SELECT jsonb_build_object('additionalProperties', false, 'properties', jsonb_object_agg('property' || n, true)) FROM generate_series(1, 1000) n),
		(SELECT jsonb_object_agg('propert' || n, 1) FROM generate_series(1, 20000) n))) AS unknown_properties;

-- keywords that are anything but what they should be
SELECT k AS keyword, pg_temp.outcome(format('{"%s": %s}', k, v), '{"a": [1, "x"]}') AS outcome
FROM unnest('{type,enum,properties,patternProperties,required,items,prefixItems,allOf,oneOf,not,if,$ref,$dynamicRef,minLength,pattern,format,multipleOf,dependentRequired,dependentSchemas,propertyNames,unevaluatedItems,uniqueItems,minimum}'::text[]) k,
	unnest('{17,"[[]]"}'::text[]) v;
SELECT pg_temp.outcome(s, '{"a": 1}') FROM unnest(ARRAY['[]', '"x"', 'null', '{"$schema": 1}', '{"$id": 1}', '{"$anchor": 5}', '{"$defs": 3}', '{"$vocabulary": 1}', '{"": {}}', '{"$id": "%%:::#/#", "$ref": "#"}']) s;

-- a document of 100 MB: valid, invalid at its end, and in a backend's memory no more afterwards
CREATE TEMP TABLE large AS SELECT jsonb_agg(repeat(chr(97 + n % 26), 1000000)) AS document FROM generate_series(1, 100) n;
SELECT pg_size_pretty(length(document::text)::bigint) AS size,
	jsonschema_is_valid('{"items": {"type": "string", "pattern": "^[a-z]*$", "maxLength": 1000000, "format": "uri-reference"}}', document, 'draft7') AS valid,
	jsonschema_is_valid('{"items": {"pattern": "^[a-u]*$"}}', document) AS invalid
FROM large;
SELECT instance_path, length(found) < 200 AS shortened FROM large, jsonschema_errors('{"items": {"pattern": "^[a-x]*$"}}', document) LIMIT 2;
SELECT sum(total_bytes) < 20 * 1024 * 1024 AS given_back FROM pg_backend_memory_contexts WHERE name ~ 'event_engine';
DROP TABLE large;

-- the patterns that only the server's engine knows can be cancelled
SELECT clock_timestamp() AS begin \gset
SET statement_timeout = '300ms';
SELECT jsonschema_is_valid('{"pattern": "^(a*)(a*)(a*)(a*)(a*)c\\5\\4\\3\\2\\1b$"}',
	to_jsonb(repeat('a', 200) || 'c' || repeat('a', 100) || 'b'));
-- and so can ways to fail that double at each level; the report of them is bounded
SELECT jsonschema_is_valid('{"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}], "type": "array"}',
	(repeat('[', 100) || '1' || repeat(']', 100))::jsonb);
RESET statement_timeout;
SELECT clock_timestamp() - :'begin' < '10s' AS soon;
SELECT count(*) AS reported FROM jsonschema_errors('{"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}], "type": "array"}',
	(repeat('[', 12) || '1' || repeat(']', 12))::jsonb);
-- so are violations and annotations, where all ways fail or hold
SELECT count(*) AS violations FROM jsonschema_errors('{"type": "array", "allOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}',
	(repeat('[', 17) || '1' || repeat(']', 17))::jsonb);
SELECT jsonb_array_length(jsonschema_output('{"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}',
	(repeat('[', 17) || '1' || repeat(']', 17))::jsonb) -> 'annotations') AS annotations;
-- what is wrong at the bottom of a deep instance, and beside it at each level
SELECT count(*) FROM jsonschema_errors('{"items": {"$ref": "#"}, "prefixItems": [{"type": "string"}]}',
	(repeat('[1, ', 1000) || '1' || repeat(']', 1000))::jsonb);
SELECT 'still here' AS backend;
