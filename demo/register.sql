-- One document that describes all of GitHub's webhooks, and a definition for
-- each event that refers into it.
\set schema `cat demo/data/schema.json`
SELECT event_engine.register_schema('https://octokit.github.io/webhooks.json', :'schema') AS uri \gset

CREATE SCHEMA demo;
CREATE TABLE demo.lines (name text, line jsonb);
\copy demo.lines (line) FROM 'demo/data/examples.jsonl' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')
CREATE TABLE demo.payloads AS
	SELECT line ->> 'name' AS event, n::int, payload, NULL::boolean AS valid
	FROM demo.lines, jsonb_array_elements(line -> 'examples') WITH ORDINALITY AS e (payload, n);
CREATE TABLE demo.events AS
	SELECT line ->> 'name' AS event, line ->> 'description' AS description, NULL::text AS definition
	FROM demo.lines;
TRUNCATE demo.lines;

-- What another validator, ajv, says of each payload: compared in the end.
\copy demo.lines (line) FROM 'demo/data/verdicts.jsonl' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')
UPDATE demo.payloads AS p SET valid = v.valid::boolean
	FROM demo.lines, jsonb_array_elements_text(line -> 'valid') WITH ORDINALITY AS v (valid, n)
	WHERE line ->> 'name' = p.event AND v.n = p.n;
UPDATE demo.events AS e SET definition = line ->> 'definition'
	FROM demo.lines WHERE line ->> 'name' = e.event;
DROP TABLE demo.lines;

SELECT count(event_engine.register_event_definition(
	pattern => 'github.' || event,
	payload_schema => jsonb_build_object('$ref', :'uri' || '#/definitions/' || definition),
	description => description,
	source_types => '{integration}',
	ui_metadata => '{"category": "github"}')) AS definitions
FROM demo.events \gset

SELECT format('   1 schema document of %s definitions, %s event definitions that refer to it; some of them:',
	count(*), :definitions) AS registered FROM jsonb_object_keys(:'schema'::jsonb -> 'definitions') \gset
\echo :registered
\echo
SELECT pattern, version, status, payload_schema ->> '$ref' AS payload_schema
FROM event_engine.list_event_definitions('{"category": "github"}')
WHERE pattern IN ('github.issues', 'github.pull_request', 'github.push', 'github.workflow_run')
ORDER BY pattern;
