-- GitHub's webhooks: one document of 344 definitions, 58 events that point
-- into it, and 329 payloads with the verdict of another validator (ajv).
SET jit = off;
\getenv srcdir PG_ABS_SRCDIR
\set file :srcdir '/../demo/data/schema.json'
\set document `cat :'file'`
\set file :srcdir '/../demo/data/verdicts.jsonl'
\set verdicts `cat :'file'`
\set file :srcdir '/../demo/data/examples.jsonl'
\set examples `cat :'file'`

SELECT event_engine.register_schema('https://octokit/webhooks', :'document');

SELECT count(event_engine.register_event_definition('github.' || name,
	jsonb_build_object('$ref', 'https://octokit/webhooks#/definitions/' || definition),
	event_id => 'GitHubEvents.' || name))
FROM (SELECT v ->> 'name' AS name, v ->> 'definition' AS definition
	FROM string_to_table(rtrim(:'verdicts', E'\n'), E'\n') AS line, CAST(line AS jsonb) AS v) AS v;

CREATE TABLE payloads AS
	SELECT v ->> 'name' AS name, p.number, p.payload,
		(v -> 'valid' -> (p.number::int - 1))::boolean AS valid
	FROM string_to_table(rtrim(:'verdicts', E'\n'), E'\n') AS a, CAST(a AS jsonb) AS v,
		string_to_table(rtrim(:'examples', E'\n'), E'\n') AS b, CAST(b AS jsonb) AS e,
		jsonb_array_elements(e -> 'examples') WITH ORDINALITY AS p (payload, number)
	WHERE v ->> 'name' = e ->> 'name';
SELECT count(*), count(valid), count(*) FILTER (WHERE valid) AS valid FROM payloads;

-- The same verdict for each.
SELECT name, number FROM payloads
WHERE valid <> NOT EXISTS (
	SELECT FROM event_engine.validate_event('github.' || name, payload));
-- And a reason for each that is refused.
SELECT count(*) AS without_reason FROM payloads
WHERE NOT valid AND NOT EXISTS (
	SELECT FROM event_engine.validate_event('github.' || name, payload)
	WHERE instance_path IS NOT NULL AND message <> '');

-- A session keeps all of them, and the document, in less than 5 MB.
\c
SELECT count(DISTINCT d.pattern) FROM event_engine.event_definitions d, event_engine.validate_event(d.pattern, '{}')
WHERE d.pattern LIKE 'github.%';
SELECT sum(total_bytes) < 5 * 1024 * 1024 AS "less than 5 MB" FROM pg_backend_memory_contexts WHERE name LIKE 'event_engine%';

-- The valid ones can be examples.
SELECT count(event_engine.update_event_definition('github.' || name, examples => examples))
FROM (SELECT name, jsonb_agg(payload ORDER BY number) AS examples
	FROM payloads WHERE valid GROUP BY name) AS e;
SELECT sum(jsonb_array_length(examples)) FROM event_engine.list_event_definitions();

DROP TABLE payloads;
DELETE FROM event_engine.event_definitions;
DELETE FROM event_engine.event_schemas;
