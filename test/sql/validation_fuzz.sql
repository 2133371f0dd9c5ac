-- The inputs that the fuzzer (make fuzz) has learnt, once more: no crash, no
-- answers that contradict each other, no errors but those that a user causes.
\getenv srcdir PG_ABS_SRCDIR
SET client_min_messages = warning;
SET statement_timeout = '60s';

CREATE FUNCTION pg_temp.as_jsonb(t text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN RETURN t::jsonb; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;

-- A letter, and lines of a schema, an instance, another schema.
CREATE FUNCTION pg_temp.replay_schema(input text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	dialect text := ('{draft4,draft6,draft7,2019-09,2020-12,v1}'::text[])[(ascii(input) & 7) % 6 + 1];
	lines text[] := string_to_array(substr(input, 2), E'\n');
	schema jsonb := pg_temp.as_jsonb(lines[1]);
	instance jsonb := pg_temp.as_jsonb(lines[2]);
	documents jsonb := jsonb_build_object('http://x/2', pg_temp.as_jsonb(lines[3]));
	valid boolean;
	said text;
BEGIN
	IF schema IS NULL OR instance IS NULL THEN RETURN 'no JSON'; END IF;
	PERFORM count(*) FROM event_engine.jsonschema_check(schema, dialect, true);
	valid := event_engine.jsonschema_is_valid_with(schema, instance, documents, dialect);
	IF valid <> (NOT EXISTS (SELECT FROM event_engine.jsonschema_errors_with(schema, instance, documents, dialect))) THEN
		RETURN 'errors say otherwise: ' || input;
	END IF;
	valid := event_engine.jsonschema_is_valid(schema, instance, dialect);
	IF valid <> (NOT EXISTS (SELECT FROM event_engine.jsonschema_errors(schema, instance, dialect))) THEN
		RETURN 'errors say otherwise: ' || input;
	END IF;
	SELECT string_agg(format, ' ') INTO said FROM unnest('{flag,basic,detailed}'::text[]) AS format
	WHERE event_engine.jsonschema_output(schema, instance, format, dialect) -> 'valid' <> to_jsonb(valid);
	IF said IS NOT NULL THEN
		RETURN said || ' say otherwise: ' || input;
	END IF;
	IF EXISTS (SELECT FROM event_engine.schema_breaks(schema, jsonb_build_object('dialect', dialect),
			schema, jsonb_build_object('dialect', dialect), 'full')) THEN
		RETURN 'not compatible with itself: ' || input;
	END IF;
	RETURN 'fine';
EXCEPTION WHEN SQLSTATE 'VE102' OR SQLSTATE 'VE103' OR SQLSTATE 'VE104' OR statement_too_complex OR invalid_regular_expression THEN
	RETURN 'refused';
END $$;

-- A pattern and a text.
CREATE FUNCTION pg_temp.replay_regex(input text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	pattern text := split_part(input, E'\n', 1);
	valid boolean := event_engine.jsonschema_is_valid('{"format": "regex"}', to_jsonb(pattern), 'draft7');
BEGIN
	PERFORM event_engine.jsonschema_is_valid(jsonb_build_object('pattern', pattern), to_jsonb(substr(input, length(pattern) + 2)));
	RETURN CASE WHEN valid THEN 'fine' ELSE 'compiles, but is no pattern: ' || input END;
EXCEPTION WHEN SQLSTATE 'VE102' OR statement_too_complex OR invalid_regular_expression THEN
	RETURN 'refused';
END $$;

-- The narrower of two formats accepts nothing that the wider refuses.
CREATE FUNCTION pg_temp.replay_format(input text) RETURNS text LANGUAGE sql AS $$
SELECT coalesce(string_agg(narrow || ', but not ' || wide || ': ' || input, '; '), 'fine')
FROM unnest('{uri,uri,iri,uri-reference,email,ipv4}'::text[], '{uri-reference,iri,iri-reference,iri-reference,idn-email,hostname}'::text[]) AS f (narrow, wide)
WHERE event_engine.jsonschema_is_valid(jsonb_build_object('format', narrow), to_jsonb(input), 'draft7')
	AND NOT event_engine.jsonschema_is_valid(jsonb_build_object('format', wide), to_jsonb(input), 'draft7') $$;

\set file :srcdir '/../test/fuzz/corpus/schema.jsonl'
\set lines `cat :'file'`
SELECT outcome, count(*) > 0 AS "some" FROM string_to_table(:'lines', E'\n') AS line, pg_temp.replay_schema(line::jsonb #>> '{}') AS outcome WHERE line <> '' GROUP BY outcome ORDER BY outcome COLLATE "C";
\set file :srcdir '/../test/fuzz/corpus/regex.jsonl'
\set lines `cat :'file'`
SELECT outcome, count(*) > 0 AS "some" FROM string_to_table(:'lines', E'\n') AS line, pg_temp.replay_regex(line::jsonb #>> '{}') AS outcome WHERE line <> '' GROUP BY outcome ORDER BY outcome COLLATE "C";
\set file :srcdir '/../test/fuzz/corpus/format.jsonl'
\set lines `cat :'file'`
SELECT outcome, count(*) > 0 AS "some" FROM string_to_table(:'lines', E'\n') AS line, pg_temp.replay_format(line::jsonb #>> '{}') AS outcome WHERE line <> '' GROUP BY outcome ORDER BY outcome COLLATE "C";
