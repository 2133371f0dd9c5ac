-- jsonb_to_json() writes what the output function of jsonb does, to the byte.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE TABLE json_cases (value jsonb);

-- scalars, empty containers, nesting
INSERT INTO json_cases VALUES ('null'), ('true'), ('false'), ('""'), ('[]'), ('{}'), ('[[], {}, [[{}]]]'),
	('{"a": null, "b": {"c": false, "d": "x"}, "cc": [1.10, -0, 12345678901234567890]}');
SELECT event_engine.jsonb_to_json(value) FROM json_cases;

-- what has to be escaped, at each place of a word
INSERT INTO json_cases SELECT to_jsonb(repeat('x', before) || c || repeat('y', after))
FROM generate_series(0, 17) AS before, generate_series(0, 9) AS after,
	unnest(ARRAY['"', '\', e'\b', e'\f', e'\n', e'\r', e'\t', e'\x01', e'\x1f', ' ', '/', e'\x7f', '€', '😀']) AS c;
INSERT INTO json_cases SELECT to_jsonb(string_agg(chr(i), '')) FROM generate_series(1, 3000) AS i;
SELECT event_engine.jsonb_to_json(to_jsonb(e'"\\\b\f\n\r\t\x01\x1f/€'::text));

-- numbers of each weight and scale, and of the long format
INSERT INTO json_cases SELECT to_jsonb(sign * (12345678.87654321::numeric * 10::numeric ^ places))
FROM generate_series(-60, 60) AS places, unnest(ARRAY[-1, 1]) AS sign;
INSERT INTO json_cases SELECT to_jsonb(round(sign * (98765.4321::numeric * 10::numeric ^ places), scale))
FROM generate_series(-12, 12) AS places, generate_series(0, 20) AS scale, unnest(ARRAY[-1, 1]) AS sign;
INSERT INTO json_cases SELECT to_jsonb(i) FROM generate_series(-20000, 20000, 7) AS i;
INSERT INTO json_cases SELECT to_jsonb(10::numeric ^ i - less) FROM generate_series(0, 40) AS i, generate_series(0, 1) AS less;
INSERT INTO json_cases VALUES ('1e131071'), ('1e-16383'), ('-1.5e-300'), ('0.000'), ('1e300');

-- many members: every 32nd entry holds an offset, the others a length
INSERT INTO json_cases SELECT jsonb_object_agg(repeat('k', i % 5) || i, jsonb_build_array(i, repeat('v', i % 9), i % 2 = 0, NULL))
FROM generate_series(1, 300) AS i;
INSERT INTO json_cases SELECT jsonb_agg(c.value) FROM json_cases AS c;

SELECT count(*) > 5000 AS cases, count(*) FILTER (WHERE event_engine.jsonb_to_json(value)::text <> value::text) AS differ
FROM json_cases;
SELECT event_engine.jsonb_to_json(NULL) IS NULL AS strict;

DROP TABLE json_cases;
